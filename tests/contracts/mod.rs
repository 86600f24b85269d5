//! One suite per rack, over all its members.

mod adapters;
