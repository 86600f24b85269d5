//! Asking around for the servers: Sentinels for their master, nodes of a cluster for the shares of its masters.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{RedisError, Value};

use super::address::{Address, Layout};
use super::failure::classify;
use super::server::brief_connection;
use super::slots::{LAST_SLOT, Share, read_shares};
use crate::queue::{Error, Result};

/// Who has which slots. One server has all.
pub(super) type Found = Vec<Share>;

/// Asks all that may know, at once; the first good answer counts. `known` are further hosts and ports.
pub(super) async fn look(address: &Address, known: &[(String, u16)]) -> Result<Found> {
    let mut asked = BTreeSet::new();
    let mut answers: FuturesUnordered<_> = address
        .hosts
        .iter()
        .chain(known.iter().filter(|_| address.layout == Layout::Cluster))
        .filter(|host| asked.insert((*host).clone()))
        .map(|(host, port)| ask(address, host, *port))
        .collect();
    let mut worst = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(found) => return Ok(found),
            // What a person must mend says more than silence.
            Err(error) if worst.is_none() || matches!(error, Error::Refused { .. }) => worst = Some(error),
            Err(_) => {}
        }
    }
    Err(worst.unwrap_or_else(|| refused(address, "the address names no host")))
}

async fn ask(address: &Address, host: &str, port: u16) -> Result<Found> {
    match &address.layout {
        Layout::One => Ok(vec![everything(host.to_owned(), port)]),
        Layout::Sentinel(service) => ask_sentinel(address, service, host, port).await,
        Layout::Cluster => ask_node(address, host, port).await,
    }
}

async fn ask_node(address: &Address, host: &str, port: u16) -> Result<Found> {
    let failed = |error: RedisError| classify(&address.shown, error);
    let mut node = brief_connection(&address.server_at(host, port).map_err(failed)?).await.map_err(failed)?;
    let answer: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut node).await.map_err(failed)?;
    match read_shares(&answer, host) {
        Some(shares) if !shares.is_empty() => Ok(shares),
        Some(_) => Err(away(address, format!("the cluster node {host}:{port} knows no master with slots"))),
        None => Err(away(address, format!("the cluster node {host}:{port} answered nonsense to CLUSTER SLOTS"))),
    }
}

/// Asks a Sentinel for the master, and the master whether it is one: a Sentinel may be late.
async fn ask_sentinel(address: &Address, service: &str, host: &str, port: u16) -> Result<Found> {
    let failed = |error: RedisError| classify(&address.shown, error);
    let mut sentinel = brief_connection(&address.sentinel_at(host, port).map_err(failed)?).await.map_err(failed)?;
    let question = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service).to_owned();
    let master: Option<(String, u16)> = question.query_async(&mut sentinel).await.map_err(|error| {
        if error.to_string().contains("unknown command") {
            return refused(address, "it is no Sentinel; write redis:// for the server itself");
        }
        failed(error)
    })?;
    let Some((host, port)) = master else {
        let cure = "the name behind service= must be one that the Sentinels watch (sentinel monitor NAME …)";
        return Err(refused(address, &format!("the Sentinel {host}:{port} knows no master of that name; {cure}")));
    };
    let mut master = brief_connection(&address.server_at(&host, port).map_err(failed)?).await.map_err(failed)?;
    let info: redis::InfoDict = redis::cmd("INFO").arg("replication").query_async(&mut master).await.map_err(failed)?;
    if info.get::<String>("role").as_deref() != Some("master") {
        return Err(away(address, format!("{host}:{port} is to be the master but is not yet")));
    }
    Ok(vec![everything(host, port)])
}

fn everything(host: String, port: u16) -> Share {
    Share { first: 0, last: LAST_SLOT, master: (host, port) }
}

fn refused(address: &Address, message: &str) -> Error {
    Error::Refused { store: address.shown.clone(), message: message.to_owned() }
}

fn away(address: &Address, message: String) -> Error {
    Error::Unavailable { store: address.shown.clone(), source: message.into() }
}
