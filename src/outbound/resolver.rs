//! From a name to the addresses that may be called. What was judged here is what is connected to: nobody asks again in between.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::policy::{Policy, Refusal, Trust};

/// Says that a name is not known, so that this can be told from a host that does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the name of the host is not known")]
pub(super) struct Unknown(#[source] io::Error);

/// Finds the addresses of a name.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Returns every address that the name has now.
    ///
    /// # Errors
    /// If the name has none, or nobody can tell.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// Asks as every program of this machine does.
pub(super) struct System;

#[async_trait]
impl Lookup for System {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Resolves names for connections and drops the addresses that must not be called, so that a name cannot hide one.
pub(super) struct Judging {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) policy: Arc<Policy>,
    pub(super) trust: Trust,
}

impl Resolve for Judging {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, policy, trust) = (Arc::clone(&self.lookup), Arc::clone(&self.policy), self.trust);
        Box::pin(async move {
            let found = lookup.lookup(name.as_str()).await.map_err(Unknown)?;
            Ok(sockets(permitted(&policy, trust, name.as_str(), &found)?))
        })
    }
}

/// Resolves the name of the proxy, which is where the settings say: only calls that go through it use this.
pub(super) struct OfProxy(pub(super) Arc<dyn Lookup>);

impl Resolve for OfProxy {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.0);
        Box::pin(async move { Ok(sockets(lookup.lookup(name.as_str()).await.map_err(Unknown)?)) })
    }
}

fn sockets(addresses: Vec<IpAddr>) -> Addrs {
    Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)))
}

/// Returns the addresses of a name that may be called; a refusal if it has some and none may.
fn permitted(policy: &Policy, trust: Trust, name: &str, found: &[IpAddr]) -> Result<Vec<IpAddr>, Refusal> {
    let mut refusal = None;
    let mut permitted = Vec::with_capacity(found.len());
    for address in found {
        match policy.judge(trust, Some(name), *address) {
            Ok(()) => permitted.push(*address),
            Err(why) => refusal = refusal.or(Some(why)),
        }
    }
    match refusal {
        Some(why) if permitted.is_empty() => Err(why),
        _ => Ok(permitted),
    }
}

/// Judges a name that a proxy will resolve once more: we cannot choose among its addresses, so all must be good.
pub(super) async fn judge_name(lookup: &dyn Lookup, policy: &Policy, trust: Trust, name: &str) -> Result<(), Refusal> {
    match lookup.lookup(name).await {
        Ok(found) if !found.is_empty() => {
            found.iter().try_for_each(|address| policy.judge(trust, Some(name), *address))
        }
        // Many networks know names of outside only at their proxy. An administrator vouches for the name; a user does not.
        _ if trust == Trust::Admin || policy.allows_name(name) => Ok(()),
        _ => Err(Refusal::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::Private;
    use super::*;

    #[test]
    fn of_several_addresses_the_bad_ones_are_dropped() {
        let policy = Policy { private: Private::Allow, allow: Vec::new() };
        let addresses =
            |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|t| t.parse().expect("an address")).collect() };
        for (trust, found, expected) in [
            (Trust::User, &["10.0.0.1", "8.8.8.8"][..], Ok(&["8.8.8.8"][..])),
            (Trust::User, &["10.0.0.1", "127.0.0.1"], Err(Refusal::Private)),
            (Trust::Admin, &["169.254.169.254", "10.0.0.1"], Ok(&["10.0.0.1"])),
            (Trust::Admin, &["169.254.169.254"], Err(Refusal::Never)),
            (Trust::Admin, &[], Ok(&[])),
        ] {
            let permitted = permitted(&policy, trust, "name", &addresses(found));
            assert_eq!(permitted, expected.map(addresses), "{trust:?} {found:?}");
        }
    }
}
