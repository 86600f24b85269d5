//! The queue: whether it answers, is fit to keep jobs and keeps them over a crash. Version, eviction and the rights of the user are
//! refused by the queue itself, with the cure.

use super::finding::Finding;
use crate::app::open_queue;
use crate::base::shown;
use crate::config::Config;

const PART: &str = "queue";

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let queue = match open_queue(&config.queue).await {
        Ok(queue) => queue,
        Err(error) => return vec![Finding::failed(PART, &error)],
    };
    vec![match queue.check().await {
        Ok(found) => judge(&format!("{} at {}, {}", found.version, shown(&config.queue.url), found.durability)),
        Err(error) => Finding::failed(PART, &error),
    }]
}

fn judge(told: &str) -> Finding {
    if told.contains("no append-only file") {
        let cure =
            "set appendonly to yes: without it a crash costs the time until jobs are sent again, pauses and limits";
        return Finding::warn(PART, told, cure);
    }
    Finding::ok(PART, told)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_server_without_a_file_is_a_reason_to_look() {
        assert_eq!(judge("redis 7.0.15 at redis://h, append-only file, fsync everysec").level, Level::Ok);
        assert_eq!(judge("redis 7.0.15 at redis://h, no append-only file: jobs of …").level, Level::Warn);
    }
}
