//! `deskhand serve` as a process of its own, and what it takes of the machine.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::load::Client;

/// The token that the processes of a run know.
pub(crate) const TOKEN: &str = "a-token-for-measures-only";

/// A key of secrets, the same for every process on a database: each has a directory of its own, in which it would make another.
const SECRETS_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Ticks of the kernel's clock of CPU time in a second: what Linux tells programs on every machine.
const TICKS: f64 = 100.0;

/// A process that serves; it is told to stop when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// How long it took from the start until `/ready` said yes.
    pub(crate) ready_after: Duration,
    directory: tempfile::TempDir,
}

impl Process {
    /// Starts one on a database and a queue, given as address and prefix (`""` is a file beside the database), with these roles.
    pub(crate) async fn start(database: &str, queue: (&str, &str), roles: &str) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let start = Instant::now();
        // Another build may be named, to be compared with this one.
        let program = std::env::var("BENCH_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_deskhand").to_owned());
        let mut command = Command::new(program);
        if !queue.0.is_empty() {
            command.env("DESKHAND_QUEUE__URL", queue.0).env("DESKHAND_QUEUE__PREFIX", queue.1);
        }
        let child = command
            .args(["serve", "--roles", roles])
            .env("DESKHAND_DATA_DIR", directory.path())
            .env("DESKHAND_ADMIN_TOKEN", TOKEN)
            .env("DESKHAND_SECRETS__KEY", SECRETS_KEY)
            .env("DESKHAND_SERVER__LISTEN", &address)
            .env("DESKHAND_SERVER__REQUESTS_PER_SECOND", "0")
            .env("DESKHAND_SERVER__BODY_LIMIT_BYTES", "16777216")
            .env("DESKHAND_DATABASE__URL", database)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("log"))?)
            .spawn()?;
        let mut this = Self { child, address, ready_after: Duration::ZERO, directory };
        while this.ready_after.is_zero() {
            anyhow::ensure!(start.elapsed() < Duration::from_secs(30), "the process was not ready in 30 s");
            if let Some(ended) = this.child.try_wait()? {
                let told = std::fs::read_to_string(this.directory.path().join("log"))?;
                anyhow::bail!("the process ended at its start, {ended}: {told}");
            }
            if let Ok(mut client) = Client::connect(&this.address).await
                && let Ok((200, _)) = client.send("GET", "/ready", "").await
            {
                this.ready_after = start.elapsed();
            } else {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(this)
    }

    /// Returns the CPU seconds it has taken so far.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        cpu_s(&self.child.id().to_string())
    }

    /// Returns what it has in memory.
    pub(crate) fn resident_mb(&self) -> anyhow::Result<f64> {
        self.memory_mb("VmRSS:")
    }

    /// Returns the most that it ever had in memory.
    pub(crate) fn peak_mb(&self) -> anyhow::Result<f64> {
        self.memory_mb("VmHWM:")
    }

    fn memory_mb(&self, what: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let kib: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")).unwrap_or_default().trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the CPU seconds that a process has taken; `self` is this one.
pub(crate) fn cpu_s(pid: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may have blanks in it, the 12th and 13th are the user's and the system's time.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / TICKS)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
