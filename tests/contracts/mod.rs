//! What holds for every member of a rack, and for every call to another system.

mod adapters;
mod outbound;
