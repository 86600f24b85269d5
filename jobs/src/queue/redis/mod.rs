//! The store on Redis 7 or Valkey: one server, one found through Sentinels, or a cluster.
//!
//! All keys of a queue share the hash tag `{q:NAME}` and every change is one Lua script over them (`lua/`, the layout is described
//! in `lua/prelude.lua`), so a queue is always whole. Ids travel as the bytes under which they are kept (`ids`). What is plain costs least: a job with default
//! options, never failed, is one list entry and one hash field.
//!
//! A ready job whose group may not start one is met by a claim once and put aside, so that no later claim passes over it again;
//! what may have opened the group lets a claim meet its first ones anew (`lua/groups.lua`). Plain jobs cost nothing of that.
//!
//! `address` reads where the servers are, `topology` knows which of them has a key and finds them anew when that changes, and
//! `connection` brings commands there. With several masters each answers for its own queues: what one does not answer does not
//! stop the others.
//!
//! An idle worker blocks in `BZPOPMIN` on the queues' markers; whoever makes work sets the marker in the same script. Behind the wait
//! the worker has sent its claim already: the server carries it out in the moment in which it ends the wait, and no time passes between.

mod address;
mod audit;
mod batches;
mod check;
mod claim;
mod connection;
mod dead;
mod failure;
mod ids;
mod limits;
mod list;
mod look;
mod presence;
mod read;
mod scripts;
mod server;
mod servers;
mod shapes;
mod slots;
mod steer;
mod store;
mod tell;
mod topology;
mod wait;
mod work;

pub use address::SCHEMES;
pub use servers::Servers;
pub use store::RedisQueue;
