//! A Redis server of one test, to be killed.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct RedisServer {
    port: u16,
    directory: tempfile::TempDir,
    settings: Vec<String>,
    child: Child,
}

impl RedisServer {
    /// Starts a server that writes each command to disk; `None` if the run is without servers.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// As [`RedisServer::start`], with settings of its own, such as `--appendfsync`, `everysec`.
    pub(crate) fn start_with(settings: &[&str]) -> Option<Self> {
        if std::env::var("TEST_ONLY").as_deref() == Ok("sqlite") {
            return None;
        }
        let port = free_port();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let child = launch(port, directory.path(), &settings);
        let server = Self { port, directory, settings, child };
        server.wait();
        Some(server)
    }

    /// Returns the address, with the password if the settings have one.
    pub(crate) fn url(&self) -> String {
        let password = self.settings.iter().skip_while(|word| *word != "--requirepass").nth(1);
        let login = password.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{login}127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Gives it an order.
    pub(crate) async fn say(&self, words: &[&str]) {
        self.ask::<redis::Value>(words).await;
    }

    /// Asks it something.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.expect("it answers")
    }

    /// Asks it something while it may be busy with itself.
    pub(crate) async fn try_ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url()).expect("a valid address");
        // Some orders take their time.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(30)));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut order = redis::cmd(words[0]);
        order.arg(&words[1..]);
        order.query_async(&mut connection).await
    }

    /// Ends the server as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again over the same files.
    pub(crate) fn restart(&mut self) {
        self.child = launch(self.port, self.directory.path(), &self.settings);
        self.wait();
    }

    /// Returns the file to which it appends commands.
    pub(crate) fn log(&self) -> std::path::PathBuf {
        let files = std::fs::read_dir(self.directory.path().join("appendonlydir")).expect("it has such a directory");
        let paths = files.map(|file| file.expect("readable").path());
        paths.into_iter().find(|path| path.to_string_lossy().ends_with(".incr.aof")).expect("it has such a file")
    }

    /// Stops the process where it stands, or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        signal(&self.child, if frozen { "STOP" } else { "CONT" });
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Finds a port that nobody listens on and no other test of this process is given. It is below those that connections take for
/// themselves, one of which would take it before the server does.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 10_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let seed = std::process::id().wrapping_mul(2_654_435_761) % COUNT;
    let mut ports = (0..COUNT).map(|_| (FIRST + (seed + GIVEN.fetch_add(1, Ordering::Relaxed)) % COUNT) as u16);
    ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

fn launch(port: u16, directory: &std::path::Path, settings: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"])
        .args(["--appendfsync", "always", "--dir"])
        .arg(directory)
        .args(settings)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed: run the tests with `make test`")
}

/// Sends a signal to a process.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("kill is there");
    assert!(sent.success(), "the process is there");
}
