//! Servers and users that cannot keep jobs are refused at the start, with the cure.

use deskhand_jobs::queue::redis::RedisQueue;
use deskhand_jobs::queue::{Endings, Error, Queue};

use super::cluster::Cluster;
use crate::conformance::plain;
use crate::faults::server::RedisServer;
use crate::fixtures::user_of_the_readme;

/// Opens a store that must be refused, and returns the reason.
async fn refusal(url: &str) -> String {
    let error = RedisQueue::open(url, "test", Endings::Drop).await.err().expect("refused");
    let text = error.to_string();
    assert!(matches!(error, Error::Refused { .. }), "{url}: {text}");
    assert!(!text.contains("secret"), "{text}");
    text
}

async fn run(server: &RedisServer, command: redis::Cmd) {
    let client = redis::Client::open(server.url()).expect("a valid address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("it answers");
    command.exec_async(&mut connection).await.expect("it obeys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_refused_with_the_address_of_its_master() {
    let (Some(master), Some(replica)) = (RedisServer::start(), RedisServer::start()) else { return };
    replica.say(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]).await;
    let text = refusal(&replica.url()).await;
    assert!(text.contains(&format!("127.0.0.1:{}", master.port())) && text.contains("redis+sentinel://"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_of_another_layout_are_refused_and_left_alone() {
    let Some(server) = RedisServer::start() else { return };
    server.say(&["SADD", "test:queues", "default", "empty", "layout 1"]).await;
    server.say(&["HSET", "test:{q:default}:jobs", "an id", "a payload"]).await;
    let text = refusal(&server.url()).await;
    assert!(
        text.contains("queue default") && text.contains("queue.prefix") && text.contains("docs/upgrades.md"),
        "{text}"
    );
    let left: usize = server.ask(&["DBSIZE"]).await;
    assert_eq!(left, 2);
    server.say(&["DEL", "test:{q:default}:jobs"]).await;
    let queue = RedisQueue::open(&server.url(), "test", Endings::Drop).await.expect("they have been run");
    server.say(&["HSET", "test:{q:empty}:jobs", "an id", "a payload"]).await;
    let refused = queue.push(&[plain()]).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "the other release is still there: {refused:?}");
    server.say(&["FLUSHALL"]).await;
    for _ in 0..2 {
        let queue =
            RedisQueue::open(&server.url(), "test", Endings::Drop).await.expect("nothing is there, or it is ours");
        queue.push(&[plain()]).await.expect("pushes");
        assert_eq!(queue.queues().await.expect("reads").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_from_a_server_that_is_away() {
    let Some(server) = RedisServer::start_with(&["--requirepass", "secret"]) else { return };
    for url in [server.url().replace("secret", "wrong"), server.url().replace(":secret@", "")] {
        assert!(refusal(&url).await.contains("user or password"));
    }
    let away = RedisQueue::open("redis://:secret@127.0.0.1:1", "test", Endings::Drop).await.err();
    assert!(matches!(away, Some(Error::Unavailable { .. })), "{away:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_mended_on_the_server_needs_no_restart() {
    let Some(server) = RedisServer::start() else { return };
    let url = server.url().replace("://", "://desk:secret@");
    run(&server, user_of_the_readme("desk", "test")).await;
    let queue = RedisQueue::open(&url, "test", Endings::Drop).await.expect("allowed");
    server.say(&["ACL", "DELUSER", "desk"]).await;
    assert!(queue.push(&[plain()]).await.is_err(), "the server has closed the connection");
    assert!(queue.push(&[plain()]).await.is_err(), "nobody of that name");
    run(&server, user_of_the_readme("desk", "test")).await;
    crate::faults::until("jobs to be taken", || async { queue.push(&[plain()]).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_lacks_rights_is_refused_with_the_rule() {
    let Some(server) = RedisServer::start() else { return };
    let url = server.url().replace("://", "://desk:secret@");
    for (less, lacks) in [
        (["-@list"].as_slice(), "LPUSH"),
        (&["-hset"], "HSET"),
        (&["-script|load"], "SCRIPT|LOAD"),
        (&["-evalsha"], "evalsha"),
        (&["-info"], "info"),
        (&["resetkeys", "~other:*"], "HSET"),
        (&["resetkeys", "%R~test:*"], "HSET"),
    ] {
        run(&server, user_of_the_readme("desk", "test")).await;
        server.say(&[&["ACL", "SETUSER", "desk"], less].concat()).await;
        let text = refusal(&url).await;
        assert!(text.contains(lacks) && text.contains("ACL SETUSER desk ~test:* +@hash"), "{less:?}: {text}");
        server.say(&["ACL", "DELUSER", "desk"]).await;
    }
    run(&server, user_of_the_readme("desk", "test")).await;
    let queue = RedisQueue::open(&url, "test", Endings::Drop).await.expect("the rule is enough");
    queue.check().await.expect("fit");
    let elsewhere = RedisQueue::open(&url, "desk", Endings::Drop).await.err().expect("other keys are not its own");
    assert!(elsewhere.to_string().contains("~desk:*"), "{elsewhere}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgets_is_refused() {
    let Some(server) = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]) else { return };
    let text = refusal(&server.url()).await;
    assert!(text.contains("allkeys-lru") && text.contains("noeviction"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_master_of_a_cluster_is_checked() {
    let Some(cluster) = Cluster::start().await else { return };
    cluster.nodes[2].say(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]).await;
    let text = refusal(&cluster.url()).await;
    assert!(text.contains(&cluster.nodes[2].port().to_string()) && text.contains("volatile-ttl"), "{text}");
    let node = refusal(&cluster.nodes[0].url()).await;
    assert!(node.contains("redis+cluster://"), "{node}");
    let Some(single) = RedisServer::start() else { return };
    let single = refusal(&single.url().replace("redis://", "redis+cluster://")).await;
    assert!(single.contains("redis:// instead"), "{single}");
}
