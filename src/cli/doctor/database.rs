//! The database: whether it answers, keeps what it is told, can be written, has the right shape and the right time.

use chrono::TimeDelta;

use super::finding::Finding;
use super::secrets;
use crate::config::Config;
use crate::db::{Db, Migrations};

/// Time comes from the clocks of our hosts: one that is further off fires schedules at the wrong time.
const CLOCK: TimeDelta = TimeDelta::seconds(2);

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let db = match Db::open(&config.database.url).await {
        Ok(db) => db,
        Err(error) => return vec![Finding::failed("database", &error)],
    };
    let mut findings = vec![match db.check().await {
        Ok(found) => judge_durability(&format!("{} at {}, {}", found.version, db.url(), found.durability)),
        Err(error) => Finding::failed("database", &error),
    }];
    findings.extend(match db.refuses_writing().await {
        Ok(None) => None,
        Ok(Some(why)) => Some(Finding::bad("database", why, "give database.url the server that takes writes")),
        Err(error) => Some(Finding::failed("database", &error)),
    });
    match db.migrations().await {
        Ok(found) => {
            findings.push(judge_migrations(&found));
            if found.refusal.is_none() && found.missing.is_empty() {
                findings.extend(secrets::compare(config, &db).await);
            }
        }
        Err(error) => findings.push(Finding::failed("migrations", &error)),
    }
    match db.ahead_of_us().await {
        Ok(Some(ahead)) => findings.push(judge_clock("the database server", ahead)),
        Ok(None) => {}
        Err(error) => findings.push(Finding::failed("clock", &error)),
    }
    db.close().await;
    findings
}

fn judge_durability(told: &str) -> Finding {
    for setting in ["fsync", "synchronous_commit"] {
        if told.contains(&format!("{setting}=off")) {
            let cure = format!("set {setting} to on at the server: else a crash loses what was accepted");
            return Finding::bad("database", told, cure);
        }
    }
    Finding::ok("database", told)
}

fn judge_migrations(found: &Migrations) -> Finding {
    if let Some(why) = &found.refusal {
        return Finding::bad("migrations", why, "docs/upgrades.md says why");
    }
    if !found.missing.is_empty() {
        let detail = format!("{} are missing, the first is {}", found.missing.len(), found.missing[0]);
        return Finding::bad("migrations", detail, "run `deskhand migrate`, or start a process and it does");
    }
    if found.applied > found.known {
        let detail = format!("the database has migration {}, this program knows {}", found.applied, found.known);
        return Finding::ok("migrations", format!("{detail}: a newer release is being rolled out"));
    }
    Finding::ok("migrations", "the database has the shape of this version")
}

fn judge_clock(whose: &str, ahead: TimeDelta) -> Finding {
    let ms = ahead.num_milliseconds();
    let way = if ms < 0 { "behind" } else { "ahead of" };
    let told = format!("the clock of {whose} is {} ms {way} ours", ms.abs());
    if ahead.abs() <= CLOCK {
        return Finding::ok("clock", told);
    }
    Finding::warn("clock", told, "let both hosts follow the same time (chrony, systemd-timesyncd)")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_server_that_forgets_is_bad() {
        for (told, level) in [
            ("PostgreSQL 16, fsync=on, synchronous_commit=on", Level::Ok),
            ("PostgreSQL 16, fsync=on, synchronous_commit=remote_apply", Level::Ok),
            ("PostgreSQL 16, fsync=off, synchronous_commit=on", Level::Bad),
            ("PostgreSQL 16, fsync=on, synchronous_commit=off", Level::Bad),
        ] {
            assert_eq!(judge_durability(told).level, level, "{told}");
        }
    }

    #[test]
    fn the_shape_of_the_database_is_judged() {
        let as_known = Migrations { applied: 9, known: 9, missing: vec![], refusal: None };
        for (found, level, said) in [
            (as_known.clone(), Level::Ok, "the shape of this version"),
            (Migrations { applied: 12, ..as_known.clone() }, Level::Ok, "newer release"),
            (Migrations { applied: 7, missing: vec![8, 9], ..as_known.clone() }, Level::Bad, "the first is 8"),
            (Migrations { refusal: Some("took away".into()), ..as_known }, Level::Bad, "took away"),
        ] {
            let finding = judge_migrations(&found);
            assert!(finding.level == level && finding.detail.contains(said), "{finding:?}");
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        assert_eq!(judge_clock("x", TimeDelta::milliseconds(-40)).level, Level::Ok);
        let finding = judge_clock("x", TimeDelta::seconds(-70));
        assert!(finding.level == Level::Warn && finding.detail.contains("70000 ms behind"), "{finding:?}");
    }
}
