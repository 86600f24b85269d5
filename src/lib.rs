//! Deskhand: the durable job queue behind an IT service desk.

pub mod access;
pub mod base;
pub mod db;
pub mod dispatch;
pub mod outbound;
pub mod work_orders;
