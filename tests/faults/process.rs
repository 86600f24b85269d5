//! Processes of the program, and waiting for what they do.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

/// A running process; it dies with the test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::spawn(arguments, settings, Stdio::null(), Stdio::null())
    }

    /// Starts one whose log goes to a file, and what it prints to another beside it, with the extension `out`.
    pub(crate) fn start_logging(arguments: &[&str], settings: &[(&str, &str)], log: &Path) -> Self {
        let file = |path: &Path| Stdio::from(File::create(path).expect("a file in a temporary directory"));
        Self::spawn(arguments, settings, file(&log.with_extension("out")), file(log))
    }

    fn spawn(arguments: &[&str], settings: &[(&str, &str)], out: Stdio, log: Stdio) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_deskhand"))
            .args(arguments)
            .env_remove("DESKHAND_ADMIN_TOKEN")
            .envs(settings.iter().copied())
            .stdout(out)
            .stderr(log)
            .spawn();
        Self(child.expect("the program starts"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("SIGKILL");
        self.0.wait().expect("it ends");
    }

    /// Asks it to stop, and returns how it ended.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
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
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "{what} within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
