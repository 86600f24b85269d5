//! Which server has which key, found again whenever that changes.
//!
//! One look is under way at a time, in a task of its own: who gives up waiting for an answer does not stop it. Nobody waits for
//! a look but a caller that was told to go elsewhere.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::address::{Address, Layout, at};
use super::failure::classify;
use super::look::{self, Found};
use super::server::Server;
use super::slots::{LAST_SLOT, Share, slot_of};
use crate::queue::Result;

/// How long after a look the next one may begin.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How often a server that does not answer is tried.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

pub(super) struct Topology {
    pub(super) address: Address,
    map: RwLock<Arc<Map>>,
    /// When the last look ended.
    looking: Mutex<Option<Instant>>,
}

/// Who had what at the time of one look.
#[derive(Clone)]
pub(super) struct Map {
    /// Which look of this process it was.
    pub(super) number: u64,
    pub(super) servers: Vec<Arc<Server>>,
    /// The slots of each master, and its place in the list of servers.
    shares: Vec<(Share, usize)>,
}

impl Topology {
    /// Finds the servers for the first time.
    pub(super) async fn open(address: Address) -> Result<Arc<Self>> {
        let map = Map { number: 0, servers: Vec::new(), shares: Vec::new() };
        let topology = Self { address, map: RwLock::new(Arc::new(map)), looking: Mutex::default() };
        let map = match topology.address.layout {
            Layout::One => topology.only_server()?,
            _ => topology.map_of(look::look(&topology.address, &[]).await?, 1)?,
        };
        topology.set(map);
        Ok(Arc::new(topology))
    }

    pub(super) fn map(&self) -> Arc<Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says whether queues live on different servers.
    pub(super) fn is_spread(&self) -> bool {
        self.address.layout == Layout::Cluster
    }

    /// Looks for the servers anew, unless somebody has looked since the look of that number.
    pub(super) fn look_anew(self: &Arc<Self>, seen: u64) -> JoinHandle<()> {
        let topology = Arc::clone(self);
        tokio::spawn(async move { topology.look(seen).await })
    }

    async fn look(&self, seen: u64) {
        if self.address.layout == Layout::One {
            return;
        }
        let mut last = self.looking.lock().await;
        if self.map().number > seen {
            return;
        }
        if let Some(last) = *last {
            sleep_until(last + BETWEEN_LOOKS).await;
        }
        let old = self.map();
        let number = old.number + 1;
        let found = look::look(&self.address, &old.hosts()).await;
        // One in vain is a look, too: those that have waited for it need not repeat it.
        let map = found.and_then(|found| self.map_of(found, number)).unwrap_or_else(|error| {
            tracing::debug!(%error, "looked in vain for the servers of the queue");
            Map { number, ..Map::clone(&old) }
        });
        if map.names() != old.names() {
            let names = map.names().join(", ");
            tracing::info!(servers = names, "the queue moves to {names}");
        }
        self.set(map);
        *last = Some(Instant::now());
    }

    fn set(&self, map: Map) {
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
    }

    fn only_server(&self) -> Result<Map> {
        let address = &self.address;
        let server = address.named().and_then(|client| Server::new(address.shown.clone(), client));
        let server = server.map_err(|error| classify(&address.shown, error))?;
        let master = address.hosts.first().cloned().unwrap_or_default();
        let shares = vec![(Share { first: 0, last: LAST_SLOT, master }, 0)];
        Ok(Map { number: 0, servers: vec![Arc::new(server)], shares })
    }

    /// Makes a map of what was found, with the servers that are known already and their connections.
    fn map_of(&self, found: Found, number: u64) -> Result<Map> {
        let old = self.map();
        let mut map = Map { number, servers: Vec::new(), shares: Vec::new() };
        for share in found {
            let name = at(&share.master.0, share.master.1);
            let known = |servers: &[Arc<Server>]| servers.iter().position(|server| server.name == name);
            let server = if let Some(place) = known(&map.servers) {
                place
            } else {
                let server = match known(&old.servers) {
                    Some(place) => Arc::clone(&old.servers[place]),
                    None => Arc::new(self.server(&share.master)?),
                };
                map.servers.push(server);
                map.servers.len() - 1
            };
            map.shares.push((share, server));
        }
        Ok(map)
    }

    fn server(&self, (host, port): &(String, u16)) -> Result<Server> {
        let address = &self.address;
        let server = address.server_at(host, *port).and_then(|client| Server::new(at(host, *port), client));
        server.map_err(|error| classify(&address.shown, error))
    }

    /// Notes that one of several servers does not answer: until it does, its queues are told so at once, because who serves
    /// other queues too must not wait for it each time.
    pub(super) fn has_fallen_silent(self: &Arc<Self>, server: &Arc<Server>) {
        if !self.is_spread() || !server.falls_silent() {
            return;
        }
        let (topology, server) = (Arc::downgrade(self), Arc::clone(server));
        tokio::spawn(async move {
            let mut said = false;
            while !server.answers().await {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(server = server.name, "the server {} does not answer: its queues wait", server.name);
                }
                sleep(BETWEEN_TRIES).await;
                let Some(topology) = topology.upgrade() else { return };
                if !topology.map().servers.iter().any(|known| Arc::ptr_eq(known, &server)) {
                    return;
                }
                // Another may have taken its place.
                drop(topology.look_anew(topology.map().number));
            }
            let away_ms = server.speaks().map(|away| away.as_millis() as u64);
            if said {
                tracing::info!(server = server.name, away_ms, "the server {} answers again", server.name);
            }
        });
    }
}

impl Map {
    /// Returns the server of a key; `None` if no master has its slot.
    pub(super) fn server_of(&self, key: &[u8]) -> Option<&Arc<Server>> {
        // The only server has every slot, and nothing needs to be computed.
        let slot = if self.shares.len() == 1 { self.shares[0].0.first } else { slot_of(key) };
        let (_, server) = self.shares.iter().find(|(share, _)| (share.first..=share.last).contains(&slot))?;
        self.servers.get(*server)
    }

    fn hosts(&self) -> Vec<(String, u16)> {
        self.shares.iter().map(|(share, _)| share.master.clone()).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.servers.iter().map(|server| server.name.clone()).collect();
        names.sort();
        names
    }
}
