//! One integration binary: it links once, and its tests share their servers.

mod house;
