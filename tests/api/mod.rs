//! The API and the command line, from outside.

mod audit;
mod bench;
mod blocking;
mod calendar;
mod cli;
mod cli_access;
mod connections;
mod doctor;
mod document;
mod door;
mod figures;
mod jobs;
mod limits;
mod oidc;
mod people;
mod refusals;
mod remote;
mod roles;
mod steering;
mod terminal;
mod traces;
mod work_order_changes;
mod work_order_lists;
mod work_order_updates;
mod work_orders;
mod work_orders_gone;
