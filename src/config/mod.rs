//! What can be set, where it is set, and what is refused.
//!
//! Three layers, the later one wins key by key: `config/default.toml` (compiled in, with a sentence for every key), the file
//! given with `--config`, the environment (`DESKHAND_SECTION__KEY`). A key that does not exist or a value that does not fit
//! stops the start.
//!
//! To add a key: 1. a field with its sentence in `settings.rs`; 2. the key with the same sentence in `config/default.toml`;
//! 3. a rule in `check.rs` if its type does not say everything.

mod address;
mod check;
mod environment;
mod load;
mod network;
mod settings;

pub use load::{Error, load};
pub use network::Network;
pub use settings::{Config, Database, Metrics, Queue, Secrets, Server, Worker};
