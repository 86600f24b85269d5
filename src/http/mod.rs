//! The API. This room has the parts that every route shares, and the routes of the engine itself.
//!
//! To add the routes of a subject: 1. `subject/http.rs` gives an `OpenApiRouter`, its handlers take
//! [`Caller`](crate::access::Caller), [`Body`], [`Query`], [`Path`] and return an [`Answer`] of [`Data`], [`Created`] or [`List`];
//! 2. each handler documents itself with `#[utoipa::path(…)]`, and names in `security` the [`Scope`](crate::access::Scope) that it
//! needs: the guard asks for exactly that; 3. `router.rs` merges it, and `openapi.rs` has a sentence for its tag.

mod answer;
mod caller;
mod docs;
mod extract;
mod gate;
mod guard;
mod health;
mod idempotency;
mod job_view;
pub mod metrics;
mod openapi;
mod origin;
mod problem;
mod process;
mod rate;
mod request_id;
mod router;
mod routes;
mod served;
mod trace;

use crate::base::instant::optional as instant;
pub use answer::{Accepted, Created, Data, List, Walked, data};
pub use extract::{Body, Page, Paging, Path, Query, Unfiltered};
pub use health::{Check, Readiness, readiness};
pub use job_view::JobView;
pub use origin::Origin;
pub use problem::{Answer, Problem};
pub use router::{document, probes, router};
pub use routes::jobs::Wanted;
pub use routes::queues::find_queue;
pub use routes::remote_queues::RemoteQueueView;
pub use routes::schedule_view::ScheduleView;
pub use routes::work::Stopping;
pub use routes::workers::WorkerView;
