//! The API. This room has the parts that every route shares, and the routes of the engine itself.
//!
//! To add the routes of a subject: 1. `subject/http.rs` gives a `Router`, its handlers take [`Caller`], [`Body`], [`Query`],
//! [`Path`] and return [`Answer`] of [`Data`], [`Created`] or [`List`]; 2. `router.rs` merges it.

mod answer;
mod caller;
mod extract;
mod problem;
mod request_id;

pub use answer::{Accepted, Created, Data, List, data};
pub use caller::Caller;
pub use extract::{Body, Page, Path, Query};
pub use problem::{Answer, Problem};
