//! What the product costs around the engine: the outbox, the doors, the lists, a process that has nothing to do, a large synchronisation.
//!
//! `cargo bench --bench product -- outbox enqueue bulk lists idle sync` runs those that are named, or all. `DESKHAND_TEST_POSTGRES_URL` and
//! `DESKHAND_TEST_REDIS_URL` name the servers, as `make test` starts them; without them only the embedded storage is measured.
//! Figures of one run are to be read against each other: machines differ, ratios less.

mod database;
mod doors;
mod idle;
mod lists;
mod load;
mod outbox;
mod process;
mod sync;

use std::time::Instant;

/// The parts, in the order in which they run.
const PARTS: [&str; 6] = ["outbox", "enqueue", "bulk", "lists", "idle", "sync"];

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = asked.iter().find(|word| !PARTS.contains(&word.as_str())) {
        anyhow::bail!("{unknown:?} is no part of this: there are {}", PARTS.join(", "));
    }
    for part in PARTS {
        if !asked.is_empty() && !asked.iter().any(|word| word == part) {
            continue;
        }
        println!("{part}");
        match part {
            "outbox" => runtime.block_on(outbox::measure())?,
            "enqueue" => runtime.block_on(doors::measure_single())?,
            "bulk" => runtime.block_on(doors::measure_bulk())?,
            "lists" => runtime.block_on(lists::measure())?,
            "sync" => runtime.block_on(sync::measure())?,
            _ => runtime.block_on(idle::measure())?,
        }
    }
    Ok(())
}

/// Returns how many a second that is.
fn per_second(count: usize, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// Returns the value below which this share of the sorted values lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Sorts times in milliseconds.
fn sorted(mut times_ms: Vec<f64>) -> Vec<f64> {
    times_ms.sort_unstable_by(f64::total_cmp);
    times_ms
}
