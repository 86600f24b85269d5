//! A cluster of one test: three masters with a third of the slots each.

use deskhand_jobs::QueueName;

use crate::faults::server::{RedisServer, free_port};
use crate::faults::until;

/// How many slots the first two masters have.
const THIRD: u16 = 5_462;

pub(super) struct Cluster {
    /// The masters, and behind them a replica of the first if there is one.
    pub(super) nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Starts three masters; `None` if the run is without servers.
    pub(super) async fn start() -> Option<Self> {
        Self::of(3).await
    }

    /// Starts three masters and a replica of the first.
    pub(super) async fn with_replica() -> Option<Self> {
        let cluster = Self::of(4).await?;
        let first: String = cluster.nodes[0].ask(&["CLUSTER", "MYID"]).await;
        cluster.nodes[3].say(&["CLUSTER", "REPLICATE", &first]).await;
        let replica = &cluster.nodes[3];
        until("the replica to follow", || async {
            replica.ask::<String>(&["INFO", "replication"]).await.contains("master_link_status:up")
        })
        .await;
        Some(cluster)
    }

    async fn of(size: usize) -> Option<Self> {
        let mut nodes = Vec::new();
        for _ in 0..size {
            let bus = free_port().to_string();
            let settings = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1500"];
            let apart = ["--cluster-require-full-coverage", "no"];
            let node = RedisServer::start_with(&[&settings[..], &apart].concat())?;
            let epoch = (nodes.len() + 1).to_string();
            node.say(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            nodes.push((node, bus));
        }
        for (place, (node, _)) in nodes.iter().take(3).enumerate() {
            let first = place as u16 * THIRD;
            let last = if place == 2 { 16_383 } else { first + THIRD - 1 };
            node.say(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await;
        }
        for (node, bus) in &nodes[1..] {
            nodes[0].0.say(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]).await;
        }
        let nodes: Vec<_> = nodes.into_iter().map(|(node, _)| node).collect();
        for node in &nodes {
            let all = ["cluster_state:ok", "cluster_slots_assigned:16384", &format!("cluster_known_nodes:{size}")];
            until("the cluster to come together", || async {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                all.iter().all(|fact| info.contains(fact))
            })
            .await;
        }
        Some(Self { nodes })
    }

    /// Names two nodes, of which one may die.
    pub(super) fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", self.nodes[1].port(), self.nodes[2].port())
    }

    /// Returns the place of the master of a key.
    pub(super) async fn place_of(&self, key: &str) -> usize {
        let slot: u16 = self.nodes[1].ask(&["CLUSTER", "KEYSLOT", key]).await;
        usize::from(slot / THIRD)
    }

    /// Returns the name of a queue that the master of this place has.
    pub(super) async fn queue_on(&self, place: usize) -> QueueName {
        for n in 0.. {
            if self.place_of(&format!("{{q:q{n}}}")).await == place {
                return QueueName::new(format!("q{n}")).expect("a valid name");
            }
        }
        unreachable!("every master has some slots")
    }
}
