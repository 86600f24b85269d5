//! The table `work_orders`.

mod list;
mod row;
mod statistics;
mod take;

pub use list::{Filter, Stand};
pub(crate) use list::{list, walk};
pub(crate) use row::{count_of, get, write};
pub(crate) use statistics::statistics;
pub(crate) use take::{Known, Stored, hold, hold_external, insert, known, touch};
