//! What must not get worse: ours beside the bare server of the same round, never seconds, because machines differ.
//!
//! To raise a floor after something became faster: `make bench` on a quiet machine, then three quarters of what it tells.

use super::report::Report;

/// A ratio that must not fall.
struct Floor {
    /// The key of the ratio.
    ratio: &'static str,
    /// Whether the server writes an append-only file, which costs the bare server and ours differently.
    appends: bool,
    at_least: f64,
    /// What the ratio protects.
    reason: &'static str,
}

/// The parts of a bare server that a queue with leases and fencing has to reach at least.
const FLOORS: [Floor; 4] = [
    Floor {
        ratio: "bulk_ratio",
        appends: false,
        at_least: 0.6,
        reason: "a push writes a job with one list entry and one hash field",
    },
    Floor {
        ratio: "bulk_ratio",
        appends: true,
        at_least: 0.6,
        reason: "a push adds little to the file beside the job itself",
    },
    Floor {
        ratio: "drain_ratio",
        appends: false,
        at_least: 0.3,
        reason: "claims and settlements go in batches that overlap",
    },
    Floor {
        ratio: "drain_ratio",
        appends: true,
        at_least: 0.25,
        reason: "claims and settlements add little to the file",
    },
];

/// Says before a run whether its ratios will be worth anything.
///
/// # Errors
/// Why they will not.
pub fn can_judge(url: &str) -> Result<(), String> {
    if url.starts_with("sqlite://") {
        return Err("there is no bare Redis beside a file: nothing can be judged".to_owned());
    }
    if cfg!(debug_assertions) {
        return Err("a debug build is slow in ways that mean nothing: build with --release".to_owned());
    }
    Ok(())
}

/// Names the ratios that are below their floor, a sentence each; or says why none can be judged.
///
/// # Errors
/// If the report has no ratios to a bare server, or does not tell how that is set up.
pub fn fallen(report: &Report) -> Result<Vec<String>, String> {
    let appends = match report.settings.store.get("appendonly").map(String::as_str) {
        Some("yes") => true,
        Some("no") => false,
        _ => return Err("the server hides its settings (CONFIG GET appendonly): nothing can be judged".to_owned()),
    };
    let told = FLOORS.iter().filter(|floor| floor.appends == appends).filter_map(|floor| {
        let Floor { ratio, at_least, reason, .. } = floor;
        match report.figures.get(ratio).copied().flatten() {
            Some(value) if value >= *at_least => None,
            Some(value) => Some(format!("{ratio} is {value:.3}, below its floor of {at_least}: {reason}")),
            None => Some(format!("{ratio} was not measured, and has a floor of {at_least}")),
        }
    });
    Ok(told.collect())
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::settings;
    use super::super::round::Figures;
    use super::*;

    fn report(ratio: f64, store: &str) -> Report {
        let mut settings = settings();
        settings.store = [("appendonly".to_owned(), store.to_owned())].into();
        Report::new(settings, vec![Figures::from([("bulk_ratio", ratio), ("drain_ratio", 9.0)])])
    }

    #[test]
    fn a_ratio_below_its_floor_is_named_with_the_floor() {
        for floor in &FLOORS[..2] {
            let store = if floor.appends { "yes" } else { "no" };
            assert_eq!(fallen(&report(floor.at_least, store)), Ok(Vec::new()));
            let told = fallen(&report(floor.at_least * 0.9, store)).expect("judged").join("");
            assert!(told.contains("bulk_ratio") && told.contains(&floor.at_least.to_string()), "{told}");
        }
    }

    #[test]
    fn what_cannot_be_judged_is_no_success() {
        assert!(fallen(&report(9.0, "not told")).is_err());
        let mut report = report(9.0, "no");
        report.figures.insert("bulk_ratio", None);
        assert!(fallen(&report).expect("judged").join("").contains("was not measured"));
        assert!(can_judge("sqlite://queue.db").is_err());
    }
}
