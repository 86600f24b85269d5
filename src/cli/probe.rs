//! `deskhand probe`: the question of a container's health check, where there is no other client for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::print::line;
use crate::config::Config;

/// The checks behind `/ready` answer within 3 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ask the process of this host whether it is ready; the exit code is 0 if it is.
#[derive(Debug, Args)]
pub(super) struct Probe {
    /// Where it answers; else the health address of the settings if there is one, else that of the API.
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
    /// Ask only whether it lives.
    #[arg(long)]
    live: bool,
}

pub(super) async fn run(command: Probe, config: &Config) -> anyhow::Result<()> {
    let listens = command.address.or(config.server.health_listen).unwrap_or(config.server.listen);
    let path = if command.live { "/health" } else { "/ready" };
    let url = format!("http://{}{path}", reachable(listens));
    // The environment may name a proxy, which is not for this.
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let reply = client.get(&url).send().await.with_context(|| {
        format!("nothing answers at {url}: is the process up, and is this the address it listens on (server.listen, server.health_listen)?")
    })?;
    let status = reply.status();
    let told = reply.text().await.unwrap_or_default();
    anyhow::ensure!(status.is_success(), "{url} answers {}: {}", status.as_u16(), wrong(&told));
    line(if command.live { "alive" } else { "ready" })
}

/// An address that means "every interface" is asked on this host.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let here = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(here, listens.port())
}

/// Names the parts that do not do their work.
fn wrong(told: &str) -> String {
    let told: Value = serde_json::from_str(told).unwrap_or_default();
    let checks = told["data"]["checks"].as_array().into_iter().flatten();
    let wrong = checks.filter(|check| check["ok"] == false).map(|check| {
        format!("{}: {}", check["name"].as_str().unwrap_or_default(), check["detail"].as_str().unwrap_or_default())
    });
    wrong.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_asked_on_this_host() {
        for (listens, asked) in
            [("0.0.0.0:8480", "127.0.0.1:8480"), ("[::]:8480", "[::1]:8480"), ("10.0.0.7:1", "10.0.0.7:1")]
        {
            assert_eq!(reachable(listens.parse().expect("an address")).to_string(), asked);
        }
    }

    #[test]
    fn only_what_is_wrong_is_told() {
        let told = r#"{"data":{"ready":false,"checks":[{"name":"database","ok":true,"detail":"x"},{"name":"queue","ok":false,"detail":"away"}]}}"#;
        assert_eq!(wrong(told), "queue: away");
        assert_eq!(wrong("no json"), "");
    }
}
