//! The table `work_orders`.

mod insert;
mod list;
mod row;
mod statistics;
mod take;
mod vanish;

pub(crate) use insert::insert;
pub use list::{Filter, Stand};
pub(crate) use list::{list, walk};
pub(crate) use row::{count_of, find, get, write};
pub(crate) use statistics::statistics;
pub(crate) use take::{Known, Stored, hold, hold_external, known, survey, touch};
pub(crate) use vanish::{Living, bury, living};
