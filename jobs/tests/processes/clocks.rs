//! The clocks of worker processes are an hour off, one each way: the server's time decides, so nothing comes of it.
//!
//! The clock is bent below the program, in the C library's `clock_gettime`, so whatever the engine asks for the time is misled.
//! (A SQLite file knows no other clock than that of its one machine; there is nothing to prove.)

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::crew::on_redis;
use super::journal::End;

const HOUR_SECONDS: i64 = 3_600;

/// Longer than a lease: one that was reckoned with a wrong clock would have run out.
const LONG_MS: u64 = 13_500;

fn bent_clock(directory: &std::path::Path) -> PathBuf {
    let library = directory.join("skew.so");
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes/skew.c");
    // Rust links with it, so it is there.
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    assert!(built.expect("cc is there").success());
    library
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_clocks_are_an_hour_off_change_nothing() {
    let Some(mut crew) = on_redis().await else { return };
    let files = tempfile::tempdir().expect("a temporary directory");
    let library = bent_clock(files.path()).display().to_string();
    let mut hands = Vec::new();
    for (name, seconds) in [("fast", HOUR_SECONDS), ("slow", -HOUR_SECONDS)] {
        let skew = seconds.to_string();
        let hand = crew.spawn_with(name, 8, &[("LD_PRELOAD", &library), ("DESKHAND_TEST_SKEW_SECONDS", &skew)]);
        crew.until_alive(name, 1).await;
        let off_by = crew.clock_off_by_seconds(hand);
        assert!((off_by - seconds).abs() <= 2, "the clock of {name} is off by {off_by} s: this test tests nothing");
        hands.push(hand);
    }
    crew.push_each(4, |mark| mark.takes_ms = LONG_MS).await;
    crew.push_each(60, |mark| (mark.takes_ms, mark.fails) = (20, 1)).await;
    crew.push_due(60, Duration::from_secs(2)).await;
    let due_ms = super::journal::uptime_ms() + 1_900;
    let report = crew.account().await;
    assert!(report.explained.is_empty(), "{report:?}");

    let runs: Vec<_> = hands.iter().flat_map(|hand| crew.runs(*hand)).collect();
    let retried = |n: u32, attempt: u32| runs.iter().find(|run| (run.n, run.attempt) == (n, attempt)).expect("it ran");
    for n in 4..64 {
        let Some((End::Failed, failed_ms)) = retried(n, 1).end else { panic!("the first attempt fails") };
        let waited_ms = retried(n, 2).from_ms.saturating_sub(failed_ms);
        assert!((490..3_000).contains(&waited_ms), "job {n} was tried again after {waited_ms} ms instead of 500");
    }
    for run in runs.iter().filter(|run| run.n >= 64) {
        assert!(run.from_ms >= due_ms && run.from_ms < due_ms + 3_000, "{run:?} was due at {due_ms}");
    }
    for hand in hands {
        assert!(!crew.runs(hand).is_empty(), "both have worked");
        assert_eq!(crew.dismiss(hand).await[1..], [0, 0, 0]);
    }
}
