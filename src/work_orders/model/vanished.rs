//! Tickets that a system no longer has.

use serde::{Deserialize, Serialize};

use super::SystemId;

/// The share of a system's tickets that may vanish in one night, in percent. More is no house-cleaning: a permission was taken away,
/// or the address leads to another system.
const MOST_PERCENT: usize = 20;

/// The arguments of the job that looks which tickets of one system are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconcileSystem {
    /// The system.
    pub system: SystemId,
}

/// Says why nothing may be removed, if too many of the tickets are missing in the system's list.
pub fn too_many(missing: usize, of: usize) -> Option<String> {
    (missing * 100 > of * MOST_PERCENT).then(|| {
        format!(
            "{missing} of {of} tickets are missing in the list of the system, more than {MOST_PERCENT} %: nothing was removed. Look \
             whether its account may still see all projects; if the tickets are gone indeed, delete the system with cascade=true and \
             make it anew"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_five_is_the_most() {
        for (missing, of, stops) in
            [(0, 0, false), (0, 5, false), (1, 5, false), (2, 5, true), (1, 4, true), (20, 100, false), (21, 100, true)]
        {
            assert_eq!(too_many(missing, of).is_some(), stops, "{missing} of {of}");
        }
    }
}
