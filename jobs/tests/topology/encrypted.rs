//! TLS with an authority of one's own, certificates on both sides, and a user with few rights.

use std::path::{Path, PathBuf};

use deskhand_jobs::QueueName;
use deskhand_jobs::queue::Endings;
use deskhand_jobs::queue::redis::RedisQueue;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::sentinels::Sentinel;
use super::{is_drained, job, open};
use crate::faults::server::{RedisServer, free_port};
use crate::faults::{Running, Runs, until};
use crate::fixtures::user_of_the_readme;

/// An authority, a certificate for 127.0.0.1 and one of a client, in files.
struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let key = || KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // By other names than the default, or each would look as if it had signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("signed");
        let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).expect("written");
        write("ca.pem", authority.pem());
        for name in ["server", "client"] {
            let key = key();
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a valid name");
            params.distinguished_name.push(DnType::CommonName, name);
            write(&format!("{name}.pem"), params.signed_by(&key, &authority).expect("signed").pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The settings of a server that talks only to clients with a certificate.
    fn settings(&self, tls_port: u16) -> Vec<String> {
        let file = |name: &str| self.file(name).display().to_string();
        let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(file);
        let words = ["--tls-port", &tls_port.to_string(), "--tls-cert-file", &cert, "--tls-key-file", &key];
        [&words[..], &["--tls-ca-cert-file", &ca]].concat().into_iter().map(str::to_owned).collect()
    }

    /// What stands behind the question mark of an address.
    fn query(&self) -> String {
        let show = |name: &str| Path::display(&self.file(name)).to_string();
        format!("ca={}&cert={}&key={}", show("ca.pem"), show("client.pem"), show("client.key"))
    }
}

fn start(certificates: &Certificates, tls_port: u16, more: &[&str]) -> Option<RedisServer> {
    let settings = certificates.settings(tls_port);
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(more.iter().copied()).collect();
    RedisServer::start_with(&settings)
}

/// Pushes jobs and runs them.
async fn works(url: &str) {
    let queue = open(url).await;
    let name = QueueName::default();
    let runs = Runs::default();
    let worker = Running::start(queue.clone(), &runs);
    queue.push(&(0..20).map(|n| job(&name, n, 1)).collect::<Vec<_>>()).await.expect("pushes");
    until("all to run", || async { runs.distinct() == 20 }).await;
    until("all to be told", || is_drained(&*queue)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_few_rights_works_over_tls_with_certificates_on_both_sides() {
    let (certificates, port) = (Certificates::new(), free_port());
    let Some(server) = start(&certificates, port, &[]) else { return };
    let mut admin = redis::Client::open(server.url()).expect("a valid address");
    user_of_the_readme("desk", "test").exec(&mut admin).expect("a valid rule");
    let address = format!("rediss://desk:secret@127.0.0.1:{port}/0");
    works(&format!("{address}?{}", certificates.query())).await;

    let others = Certificates::new();
    let ca_only = format!("{address}?ca={}", certificates.file("ca.pem").display());
    for wrong in [address.clone(), ca_only, format!("{address}?{}", others.query())] {
        let error = RedisQueue::open(&wrong, "test", Endings::Drop).await.err().expect("refused");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_reached_over_tls() {
    let (certificates, port) = (Certificates::new(), free_port());
    let bus = free_port().to_string();
    let cluster = ["--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", &bus];
    let Some(server) = start(&certificates, port, &cluster) else { return };
    server.say(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    until("the cluster to come together", || async {
        server.ask::<String>(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok")
    })
    .await;
    works(&format!("rediss+cluster://127.0.0.1:{port}?{}", certificates.query())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_are_asked_over_tls() {
    let (certificates, port, at) = (Certificates::new(), free_port(), free_port());
    let Some(_server) = start(&certificates, port, &["--tls-replication", "yes"]) else { return };
    let settings = certificates
        .settings(at)
        .chunks(2)
        .fold(String::new(), |lines, pair| format!("{lines}{} {}\n", pair[0].trim_start_matches("--"), pair[1]));
    let monitor = format!("port 0\ntls-replication yes\nsentinel monitor desk 127.0.0.1 {port} 1\n");
    let sentinel = Sentinel::with(at, &format!("{settings}{monitor}"));
    let url = format!("rediss+sentinel://127.0.0.1:{}?service=desk&{}", sentinel.port, certificates.query());
    until("the Sentinel to answer", || async { RedisQueue::open(&url, "test", Endings::Drop).await.is_ok() }).await;
    works(&url).await;
}
