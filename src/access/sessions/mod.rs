//! People who signed in with a browser, and those who try to.
//!
//! A session is 256 random bits in a cookie; the database keeps their hash. It ends by itself after a while without use, after a
//! longer while in any case, when its person changes its password or is disabled, and when somebody ends it.
//!
//! An attempt to sign in is counted before its password is looked at, so that a thousand at once are not a thousand guesses.

mod cookie;
mod model;
pub mod service;
pub(super) mod store;
mod strangers;
mod throttle;

pub use cookie::{COOKIE, csrf, of_cookies};
pub use model::{Session, SessionId, Visitor};
pub use service::{Knock, Login};
pub use strangers::Strangers;
pub use throttle::{ACCOUNT, ADDRESS, Failures, Policy};
