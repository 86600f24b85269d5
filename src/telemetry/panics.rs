//! Panics as one line of the log each, with the request or the job that they happened in.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

/// Has every panic of the process logged, instead of printed in several lines.
pub(super) fn log() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let text = text(panic);
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(target: "deskhand::panic", location, thread, %backtrace, "panic: {text}");
        } else {
            tracing::error!(target: "deskhand::panic", location, thread, "panic: {text}");
        }
    }));
}

fn text<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("it carries no text")
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use serde_json::Value;

    use super::*;
    use crate::telemetry::lines::Format;
    use crate::telemetry::lines::tests::logged;

    #[test]
    fn a_panic_is_one_line_with_the_work_that_it_happened_in() {
        let before = std::panic::take_hook();
        log();
        let text = logged(Format::Json, "info", || {
            let request = tracing::error_span!("request", request_id = "r1");
            let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| request.in_scope(|| panic!("of all\nthings"))));
            assert!(panicked.is_err());
        });
        std::panic::set_hook(before);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert_eq!((&lines[0]["message"], &lines[0]["request_id"]), (&"panic: of all\nthings".into(), &"r1".into()));
        assert!(lines[0]["location"].as_str().is_some_and(|place| place.contains("panics.rs")), "{text}");
    }
}
