//! The servers behind an address, without a queue: for tools that measure beside one.

use std::sync::Arc;

use redis::aio::ConnectionManager;

use super::address::Address;
use super::topology::Topology;
use crate::queue::{Error, Result};

/// The masters that an address leads to, and the same client that a queue uses.
pub struct Servers {
    topology: Arc<Topology>,
    store: String,
}

impl Servers {
    /// Finds the masters of an address, which looks as [`RedisQueue::open`](super::RedisQueue::open) says.
    ///
    /// # Errors
    /// If the address cannot be read, or nobody there knows a master.
    pub async fn find(url: &str) -> Result<Self> {
        let refused = |message| Error::Refused { store: "an address that cannot be read".to_owned(), message };
        let address = Address::parse(url).map_err(refused)?;
        let store = address.shown.clone();
        Ok(Self { topology: Topology::open(address).await?, store })
    }

    /// Returns a connection to the master that has a key; it connects at its first command.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no master has the key's slot.
    pub fn of(&self, key: &str) -> Result<ConnectionManager> {
        if let Some(server) = self.topology.map().server_of(key.as_bytes()) {
            return Ok(server.shared().manager);
        }
        let source = format!("no master of the cluster has the slot of {key}").into();
        Err(Error::Unavailable { store: self.store.clone(), source })
    }

    /// Returns a connection to each master.
    pub fn all(&self) -> Vec<ConnectionManager> {
        self.topology.map().servers.iter().map(|server| server.shared().manager).collect()
    }
}
