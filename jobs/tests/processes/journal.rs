//! What a worker process writes down of each run, and how it is read.
//!
//! One line is one `write`, so a line that is there is whole even if the process was killed at once.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How a run ended, as its handler saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Failed,
    /// The worker told it to stop.
    Cut,
}

/// One run of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    /// Which process.
    pub(super) hand: usize,
    /// Which job.
    pub(super) n: u32,
    pub(super) attempt: u32,
    pub(super) from_ms: u64,
    pub(super) end: Option<(End, u64)>,
}

/// Returns the milliseconds since the machine started: the same for all processes, and moved by nobody's clock.
pub(super) fn uptime_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").expect("the kernel tells its uptime");
    let seconds: f64 = text.split(' ').next().and_then(|first| first.parse().ok()).expect("seconds");
    (seconds * 1_000.0) as u64
}

/// The writing end.
pub(super) struct Journal {
    /// The file, and how many runs it has.
    pages: Mutex<(File, u64)>,
}

impl Journal {
    pub(super) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path).expect("the journal can be written");
        Self { pages: Mutex::new((file, 0)) }
    }

    pub(super) fn started(&self, n: u32, attempt: u32) -> u64 {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let run = pages.1;
        pages.1 += 1;
        write(&mut pages.0, &format!("{} start {run} {n} {attempt}\n", uptime_ms()));
        run
    }

    pub(super) fn ended(&self, run: u64, end: End) {
        let word = match end {
            End::Finished => "finished",
            End::Failed => "failed",
            End::Cut => "cut",
        };
        self.write(&format!("{} {word} {run}\n", uptime_ms()));
    }

    /// The first line: what the process takes for the time, in milliseconds since 1970.
    pub(super) fn began(&self) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
        self.write(&format!("{} began {}\n", uptime_ms(), since_1970.as_millis()));
    }

    /// The last line of a process that stopped as told.
    pub(super) fn left(&self, summary: deskhand_jobs::worker::Summary) {
        let deskhand_jobs::worker::Summary { finished, handed_back, stale, abandoned } = summary;
        self.write(&format!("{} left {finished} {handed_back} {stale} {abandoned}\n", uptime_ms()));
    }

    fn write(&self, line: &str) {
        write(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner).0, line);
    }
}

fn write(file: &mut File, line: &str) {
    file.write_all(line.as_bytes()).expect("the journal can be written");
}

/// Everything in one journal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) runs: Vec<Ran>,
    /// When it began, and what time it was for the process, in milliseconds since 1970.
    pub(super) began: Option<(u64, i64)>,
    /// Finished, handed back, stale, abandoned, if the process stopped as told.
    pub(super) left: Option<[u64; 4]>,
}

/// Reads a journal; one that does not exist yet is empty.
pub(super) fn read(hand: usize, path: &Path) -> Pages {
    parse(hand, &std::fs::read_to_string(path).unwrap_or_default())
}

fn parse(hand: usize, text: &str) -> Pages {
    let mut pages = Pages::default();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let mut words = line.split_whitespace();
        let at_ms: u64 = words.next().and_then(|word| word.parse().ok()).expect("a time");
        let what = words.next().expect("what happened");
        let numbers: Vec<u64> = words.map(|word| word.parse().expect("a number")).collect();
        let end = match what {
            "start" => {
                let (n, attempt) = (numbers[1] as u32, numbers[2] as u32);
                assert_eq!(numbers[0], pages.runs.len() as u64, "runs are numbered as they start");
                pages.runs.push(Ran { hand, n, attempt, from_ms: at_ms, end: None });
                continue;
            }
            "began" => {
                pages.began = Some((at_ms, numbers[0] as i64));
                continue;
            }
            "left" => {
                pages.left = Some([numbers[0], numbers[1], numbers[2], numbers[3]]);
                continue;
            }
            "finished" => End::Finished,
            "failed" => End::Failed,
            "cut" => End::Cut,
            other => panic!("{other:?} in a journal"),
        };
        pages.runs[numbers[0] as usize].end = Some((end, at_ms));
    }
    pages
}

#[test]
fn a_journal_reads_as_it_was_written_and_half_a_line_does_not_count() {
    let pages = parse(3, "5 began 99\n10 start 0 7 1\n20 start 1 8 2\n30 finished 1\n40 left 1 2 3 4\n50 fini");
    let first = Ran { hand: 3, n: 7, attempt: 1, from_ms: 10, end: None };
    let second = Ran { hand: 3, n: 8, attempt: 2, from_ms: 20, end: Some((End::Finished, 30)) };
    assert_eq!(pages, Pages { runs: vec![first, second], began: Some((5, 99)), left: Some([1, 2, 3, 4]) });
}
