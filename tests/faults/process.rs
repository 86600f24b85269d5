//! Processes of the program, and waiting for what they do.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

/// A running process; it dies with the test.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_deskhand"))
            .args(arguments)
            .env_remove("DESKHAND_ADMIN_TOKEN")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("the program starts"))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as a power cut would.
    pub(super) fn kill(&mut self) {
        self.0.kill().expect("SIGKILL");
        self.0.wait().expect("it ends");
    }

    /// Asks it to stop, and returns how it ended.
    pub(super) async fn stop(&mut self) -> Option<i32> {
        let asked = Command::new("kill").arg(self.id().to_string()).status().expect("kill is there");
        assert!(asked.success(), "the process is there");
        let ended = until("the process ends", async || self.0.try_wait().expect("it is ours")).await;
        ended.code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Asks until the answer is there.
pub(super) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "{what} within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
