//! The ids of this subject.

crate::id!(
    /// Identifies one external system.
    SystemId, "work order system"
);

crate::id!(
    /// Identifies one work order.
    WorkOrderId, "work order"
);

crate::id!(
    /// Identifies one run of a synchronisation.
    SyncLogId, "sync log"
);

crate::id!(
    /// Identifies one part of a run that is read in parts.
    SyncPartId, "part of a sync"
);
