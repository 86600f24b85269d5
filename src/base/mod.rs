//! Floor 0: what every subject needs and what needs no subject. Ids, the clock, errors, secrets, pages, addresses, who acts, serving
//! together what many ask for at once.
//!
//! A subject makes its own id with one line, [`id!`](crate::id): `id!(/// Identifies one ticket. TicketId, "ticket");`

pub mod actor;
pub mod address;
pub mod clock;
pub mod error;
pub mod id;
pub mod instant;
pub mod page;
pub mod secrets;
pub mod together;

pub use crate::id;
pub use actor::{Actor, ActorKind, ClaimId};
pub use address::shown;
pub use clock::Clock;
pub use error::{Error, FieldError, Result};
pub use id::{BadId, TenantId, UserId};
pub use page::{PageRequest, Paged};
pub use secrets::{Key, KeyId, Secret, Vault};
pub use together::Together;
