//! Every operation of the document, against what may happen to any. A new endpoint is tested here without anybody thinking of it;
//! what the tests cannot guess (a body that fits, an id that exists) is in `stage.rs`, and they say so when it is missing.

mod fuzz;
mod refusals;
mod repeating;
mod sound;
mod stage;
