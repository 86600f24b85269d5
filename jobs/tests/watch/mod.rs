//! What can be seen of a worker on real stores: in which order it takes jobs, how late, and what it costs while it rests.

mod delays;
mod idle;
mod queue_sets;
mod traces;
