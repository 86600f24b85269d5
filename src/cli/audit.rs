//! `deskhand audit`.

use clap::{Args, Subcommand};

use super::print::{Output, at, line, or_dash};
use crate::app::App;
use crate::audit::{Filter, service};
use crate::base::TenantId;

/// How many entries an export reads at once.
const STRIDE: i64 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Show the record, the latest entry first.
    List(List),
    /// Prove that no entry was changed or removed; fails if one was.
    Verify {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        output: Output,
    },
    /// Print the record in the order of its chain, one JSON object a line.
    Export {
        #[command(flatten)]
        whose: Whose,
        /// Only entries behind this place in the chain.
        #[arg(long, default_value_t = 0)]
        after_seq: i64,
    },
}

#[derive(Debug, Args)]
pub(super) struct Whose {
    /// The tenant.
    #[arg(long, default_value_t = TenantId::default())]
    tenant: TenantId,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    /// Only what was done so, as in queue.pause.
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to this kind of thing.
    #[arg(long)]
    object_kind: Option<String>,
    /// Only what was done to this thing.
    #[arg(long)]
    object_id: Option<String>,
    /// Only what was done by this name.
    #[arg(long)]
    actor: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: u64,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(command: Audit, app: &App) -> anyhow::Result<()> {
    match command {
        Audit::List(List { whose, action, object_kind, object_id, actor, limit, output }) => {
            let filter = Filter { action, object_kind, object_id, actor, ..Filter::default() };
            let entries = service::list(&app.db, &whose.tenant, &filter, None, limit).await?;
            output.rows(&entries, ["SEQ", "AT", "WHO", "FROM", "WHAT", "OBJECT", "WHY"], |entry| {
                [
                    entry.seq.to_string(),
                    at(entry.at),
                    format!("{} {}", entry.actor_kind, entry.actor_name),
                    or_dash(entry.address.as_ref()),
                    entry.action.clone(),
                    format!("{} {}", entry.object_kind, entry.object_id),
                    or_dash(entry.reason.as_ref()),
                ]
            })
        }
        Audit::Verify { whose, output } => {
            let verdict = service::verify(&app.db, &whose.tenant).await?;
            output.one(&verdict, || format!("{} entries, the last hash is {:?}", verdict.entries, verdict.head))?;
            match verdict.broken {
                Some(broken) => {
                    anyhow::bail!("the record of tenant {} is broken at {}: {}", whose.tenant, broken.seq, broken.what)
                }
                None => Ok(()),
            }
        }
        Audit::Export { whose, after_seq } => {
            let mut place = after_seq;
            loop {
                let entries = service::after(&app.db, &whose.tenant, place, STRIDE).await?;
                let Some(last) = entries.last() else { return Ok(()) };
                place = last.seq;
                for entry in &entries {
                    line(&serde_json::to_string(entry)?)?;
                }
            }
        }
    }
}
