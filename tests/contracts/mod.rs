//! What holds for every member of a rack, and for every call to another system.

mod adapters;
mod outbound;
mod outbound_hosts;
mod outbound_routes;
mod secrets;
