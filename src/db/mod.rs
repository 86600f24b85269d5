//! Floor 0: two databases, one text.
//!
//! A use case begins a transaction, hands `&mut Tx` to store functions, and commits. A store function runs the same statement
//! on either database through [`on!`](crate::on):
//!
//! ```text
//! pub async fn name_of(tx: &mut Tx, id: TicketId) -> Result<Option<String>> {
//!     let sql = "SELECT name FROM tickets WHERE id = $1";
//!     Ok(on!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_optional(c).await)?)
//! }
//! ```
//!
//! Statements whose shape varies are built with sea-query: `let (sql, values) = c.build(&select);` inside `on!`, then
//! `sqlx::query_as_with(sql, values)`. What must differ is a `match tx.backend()` with its reason.
//!
//! The dialect: ids are text, `COLLATE "C"` on Postgres; time comes from [`Clock`](crate::base::Clock), never from the database;
//! JSON is opaque text; no arrays; `lower(x) LIKE lower($1)`; booleans bare.

mod build;
mod check;
pub mod figures;
pub mod file;
mod insert;
mod migrate;
mod open;
mod page;
mod rows;
mod shape;
mod text;
mod tx;

pub use crate::on;
pub use build::Build;
pub use insert::{Value, insert_rows};
pub use migrate::Migrations;
pub use open::{Db, Health};
pub use page::{count, page_of, read_page};
pub use rows::{parts, placeholders};
pub use text::{Text, written};
pub use tx::{Backend, Conn, Tx};
