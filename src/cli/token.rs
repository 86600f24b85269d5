//! `deskhand token`.

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::print::{Output, at, line, or_dash};
use crate::access::{BuiltIn, Caller, NewToken, RoleName, Scope, Scopes, roles, service};
use crate::app::App;
use crate::base::TenantId;
use crate::base::instant;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print it; it cannot be read again. Without a scope or a role it may do everything in its tenant.
    Create {
        /// What it is for.
        name: String,
        /// What it may do, as in jobs:write; may be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// A role whose scopes it is to have, as they are now; may be given several times.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<RoleName>,
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
        Token::Create { name, scopes, roles, tenant, expires_at } => {
            let mut all: Scopes = scopes.into_iter().collect();
            for role in &roles {
                all = all.with(&roles::service::get(&app.db, &tenant, role).await?.scopes);
            }
            if all == Scopes::default() {
                all = BuiltIn::Admin.scopes();
            }
            let wanted = NewToken { name, scopes: all, expires_at };
            let (_, secret) = service::create(&app.db, &Caller::terminal(tenant), &wanted).await?;
            line(secret.expose())
        }
        Token::List { tenant, output } => {
            let tokens = service::list(&app.db, &tenant).await?;
            output.rows(&tokens, ["NAME", "SCOPES", "CREATED", "BY", "LAST USED", "EXPIRES"], |token| {
                [
                    token.name.clone(),
                    token.scopes.clone(),
                    at(token.created_at),
                    or_dash(token.created_by.clone()),
                    or_dash(token.last_used_at.map(at)),
                    or_dash(token.expires_at.map(at)),
                ]
            })
        }
        Token::Revoke { name, tenant } => {
            service::revoke_named(&app.db, &Caller::terminal(tenant), &name).await?;
            line(&format!("token {name} has ended"))
        }
    }
}
