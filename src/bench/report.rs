//! What a run has found, and the settings it was found with.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measures::{DEEP, MEASURES};
use super::plan::{BATCH, Plan};
use super::round::Figures;
use super::statistics::median;
use crate::base::shown;

/// The figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The median of all rounds by key; none where a measure means nothing.
    #[serde(flatten)]
    pub figures: BTreeMap<&'static str, Option<f64>>,
    /// Why there is no figure, by key.
    pub reasons: BTreeMap<&'static str, &'static str>,
    /// What it was measured with.
    pub settings: Settings,
    /// The figures of each round.
    pub rounds: Vec<Figures>,
}

/// The settings that decide the figures.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// The version of this program.
    pub deskhand: &'static str,
    /// How it was built: `release` or `debug`.
    pub build: &'static str,
    /// How many processors this process may use.
    pub cpus: usize,
    /// The address of the queue, without a password.
    pub queue: String,
    /// Product and version of the store.
    pub version: String,
    /// What the store tells of itself.
    pub store: BTreeMap<String, String>,
    /// How many jobs were pushed in bulk and drained in each round.
    pub jobs: usize,
    /// The size of a job's arguments.
    pub payload_bytes: usize,
    /// How many jobs the worker had at once.
    pub concurrency: usize,
    /// How many jobs one push in bulk had.
    pub batch: usize,
    /// How often everything was measured.
    pub rounds: usize,
}

impl Settings {
    pub(super) fn new(plan: &Plan, version: String, store: BTreeMap<String, String>) -> Self {
        Self {
            deskhand: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            queue: shown(&plan.url),
            version,
            store,
            jobs: plan.jobs,
            payload_bytes: plan.payload_bytes,
            concurrency: plan.concurrency,
            batch: BATCH,
            rounds: plan.rounds,
        }
    }

    /// Returns what stands beside each figure: the store, and how much it keeps through a crash.
    pub fn beside(&self) -> String {
        let setting = |key: &str| self.store.get(key).map(String::as_str);
        let kept = match (setting("durability"), setting("appendonly")) {
            (Some(durability), _) => durability.to_owned(),
            (None, Some("yes")) => format!("AOF {}", setting("appendfsync").unwrap_or("not told")),
            (None, Some("no")) => "no AOF".to_owned(),
            (None, _) => "AOF not told".to_owned(),
        };
        format!("{}, {kept}", self.version)
    }

    /// Returns all settings, a line each.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            ("queue".to_owned(), format!("{} ({})", self.queue, self.version)),
            ("deskhand".to_owned(), format!("{}, {} build, {} processors", self.deskhand, self.build, self.cpus)),
            (
                "jobs".to_owned(),
                format!(
                    "{} of {} bytes, {} at once in the worker, batches of {}, medians of {} rounds",
                    self.jobs, self.payload_bytes, self.concurrency, self.batch, self.rounds
                ),
            ),
        ];
        lines.extend(self.store.iter().map(|(key, value)| (key.clone(), value.clone())));
        lines
    }
}

impl Report {
    /// Takes the medians of rounds.
    pub(super) fn new(settings: Settings, rounds: Vec<Figures>) -> Self {
        let (mut figures, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        let deep = rounds.iter().any(|round| DEEP.iter().any(|measure| round.contains_key(measure.key)));
        for measure in MEASURES.iter().chain(&DEEP) {
            let found: Vec<f64> = rounds.iter().filter_map(|round| round.get(measure.key).copied()).collect();
            if found.is_empty() {
                reasons.insert(measure.key, reason(measure.key, deep));
            }
            figures.insert(measure.key, (!found.is_empty()).then(|| rounded(median(found))));
        }
        Self { figures, reasons, settings, rounds }
    }
}

/// Says why a measure was not taken.
fn reason(key: &str, deep: bool) -> &'static str {
    match key {
        "two_workers_ratio" if deep => "there is one master, or none",
        "page_on_disk_ms" | "single_per_page" => "a push to Redis is a round trip, not a write of ours",
        _ if DEEP.iter().any(|measure| measure.key == key) => "measured with --deep",
        _ => "a SQLite file has no server",
    }
}

/// Five digits are more than a measure has.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(4 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn settings() -> Settings {
        let plan = Plan {
            url: "redis://:hidden@h".to_owned(),
            prefix: "deskhand".to_owned(),
            jobs: 1,
            payload_bytes: 100,
            concurrency: 1,
            rounds: 3,
            deep: false,
        };
        let store = [("appendonly".to_owned(), "yes".to_owned()), ("appendfsync".to_owned(), "everysec".to_owned())];
        Settings::new(&plan, "redis 7.0.15".to_owned(), store.into())
    }

    #[test]
    fn a_report_has_the_medians_and_a_reason_for_what_it_has_not() {
        let rounds = [3.0, 1.0, 2.0].map(|value| Figures::from([("drain_per_s", value)]));
        let report = serde_json::to_value(Report::new(settings(), rounds.into())).expect("JSON");
        assert_eq!(report["drain_per_s"], 2.0);
        assert!(report["redis_cpu_s_per_100k"].is_null());
        assert_eq!(report["reasons"]["redis_cpu_s_per_100k"], "a SQLite file has no server");
        assert!(report["reasons"]["drain_per_s"].is_null());
        assert!(!report.to_string().contains("hidden"));
    }

    #[test]
    fn what_stands_beside_a_figure_says_how_durable_it_is() {
        assert_eq!(settings().beside(), "redis 7.0.15, AOF everysec");
    }

    #[test]
    fn figures_have_five_digits() {
        assert_eq!([123_456.7, 0.012_345_67, 0.0].map(|value| rounded(value).to_string()), ["123460", "0.012346", "0"]);
    }
}
