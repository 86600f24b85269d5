//! What the routes answer.

mod work_orders;
