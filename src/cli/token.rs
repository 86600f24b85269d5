//! `deskhand token`.

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::print::{Output, at, line, or_dash};
use crate::access::service;
use crate::app::App;
use crate::base::TenantId;
use crate::base::instant;

/// Until there are roles, every token may do everything in its tenant.
const SCOPES: &str = "admin";

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print it; it cannot be read again.
    Create {
        /// What it is for.
        name: String,
        /// The tenant in which it acts.
        #[arg(long, default_value_t = TenantId::default())]
        tenant: TenantId,
        /// When it ends, as in 2027-01-01T00:00:00Z; never if left out.
        #[arg(long, value_name = "INSTANT", value_parser = instant::read)]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Show the tokens of a tenant.
    List {
        /// The tenant.
        #[arg(long, default_value_t = TenantId::default())]
        tenant: TenantId,
        #[command(flatten)]
        output: Output,
    },
    /// End a token.
    Revoke {
        /// What it was for.
        name: String,
        /// The tenant.
        #[arg(long, default_value_t = TenantId::default())]
        tenant: TenantId,
    },
}

pub(super) async fn run(command: Token, app: &App) -> anyhow::Result<()> {
    match command {
        Token::Create { name, tenant, expires_at } => {
            let (_, secret) = service::create(&app.db, &tenant, &name, SCOPES, expires_at).await?;
            line(secret.expose())
        }
        Token::List { tenant, output } => {
            let tokens = service::list(&app.db, &tenant).await?;
            output.rows(&tokens, ["NAME", "CREATED", "LAST USED", "EXPIRES"], |token| {
                [
                    token.name.clone(),
                    at(token.created_at),
                    or_dash(token.last_used_at.map(at)),
                    or_dash(token.expires_at.map(at)),
                ]
            })
        }
        Token::Revoke { name, tenant } => {
            service::revoke(&app.db, &tenant, &name).await?;
            line(&format!("token {name} has ended"))
        }
    }
}
