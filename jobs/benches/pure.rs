//! What the parts cost that touch no store: they are on the way of every job, so a microsecond here is one in each million jobs a
//! second.
//!
//! `make bench` runs it.

use std::hint::black_box;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use criterion::{Criterion, criterion_group, criterion_main};
use deskhand_jobs::cron::Schedule;
use deskhand_jobs::retry::Backoff;
use deskhand_jobs::{Envelope, JobId, Kind, Options, Priority, QueueName, Unique, UniqueUntil};
use serde_json::value::RawValue;

fn envelope(options: Options) -> Envelope {
    let args = RawValue::from_string(format!(r#"{{"ballast":"{}"}}"#, "x".repeat(86))).expect("JSON");
    Envelope::raw(Kind::new("bench.nothing").expect("follows the rule"), args, options).expect("small")
}

fn retries(c: &mut Criterion) {
    let backoff = Backoff::default();
    c.bench_function("back-off of the fifth failure", |b| b.iter(|| backoff.delay_ms(black_box(5), black_box(0.5))));
}

fn schedules(c: &mut Criterion) {
    let after: DateTime<Utc> = "2026-03-28T23:59:00Z".parse().expect("an instant");
    for (name, line, zone) in [
        ("next fire, every five minutes", "*/5 * * * *", Tz::UTC),
        ("next fire, a weekday's morning in Berlin", "30 8 * * 1-5", Tz::Europe__Berlin),
        ("next fire, four years ahead", "0 0 29 2 *", Tz::UTC),
    ] {
        let schedule = Schedule::parse(line, zone).expect("a crontab line");
        c.bench_function(name, |b| b.iter(|| schedule.next_after(black_box(after))));
    }
}

fn envelopes(c: &mut Criterion) {
    let plain = envelope(Options::default());
    let with_options = envelope(Options {
        priority: Priority::High,
        max_attempts: 3,
        unique: Some(Unique::new("site:7", UniqueUntil::Finished)),
        ..Options::default()
    });
    for (name, envelope) in [("plain", plain), ("with options", with_options)] {
        c.bench_function(&format!("envelope encoded, {name}"), |b| b.iter(|| black_box(&envelope).encode()));
        let (bytes, queue) = (envelope.encode(), QueueName::default());
        c.bench_function(&format!("envelope decoded, {name}"), |b| {
            b.iter(|| Envelope::decode(envelope.id, queue.clone(), black_box(&bytes)));
        });
    }
}

fn ids(c: &mut Criterion) {
    c.bench_function("job id made", |b| b.iter(JobId::new));
    let text = JobId::new().to_string();
    c.bench_function("job id read", |b| b.iter(|| black_box(&text).parse::<JobId>()));
}

criterion_group!(benches, retries, schedules, envelopes, ids);
criterion_main!(benches);
