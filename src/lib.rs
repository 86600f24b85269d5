//! Deskhand: the durable job queue behind an IT service desk.
#![doc = include_str!("../ARCHITECTURE.md")]

pub mod access;
pub mod app;
pub mod audit;
pub mod backup;
pub mod base;
pub mod bench;
pub mod cli;
pub mod config;
pub mod db;
pub mod dispatch;
pub mod http;
pub mod idempotency;
pub mod outbound;
pub mod secrets;
pub mod telemetry;
pub mod work_orders;
