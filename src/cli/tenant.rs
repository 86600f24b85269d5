//! `deskhand tenant`.

use clap::Subcommand;

use super::print::{Output, at, line, or_dash};
use crate::access::Caller;
use crate::access::tenants::service;
use crate::app::App;
use crate::base::{PageRequest, TenantId};

#[derive(Debug, Subcommand)]
pub(super) enum Tenant {
    /// Make a tenant.
    Create {
        /// Its short name: a-z, 0-9, '_' and '-'.
        id: TenantId,
        /// Its name for people; the short one if left out.
        #[arg(long)]
        name: Option<String>,
    },
    /// Show the tenants.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Refuse the tokens and sessions of a tenant; all it has stays.
    Disable {
        /// The tenant.
        id: TenantId,
    },
    /// Serve a disabled tenant again.
    Enable {
        /// The tenant.
        id: TenantId,
    },
}

pub(super) async fn run(command: Tenant, app: &App) -> anyhow::Result<()> {
    let actor = Caller::terminal(app.tenant()).actor;
    match command {
        Tenant::Create { id, name } => {
            service::create(&app.db, &actor, &id, name.as_deref().unwrap_or(id.as_str())).await?;
            line(&format!(
                "there is a tenant {id}: give it people with `deskhand user create NAME --tenant {id} --role admin`"
            ))
        }
        Tenant::List { output } => {
            let first = PageRequest::new(None, Some(PageRequest::MAX_SIZE))?;
            let tenants = service::list(&app.db, first).await?.items;
            output.rows(&tenants, ["TENANT", "NAME", "CREATED", "DISABLED"], |tenant| {
                [
                    tenant.tenant_id.to_string(),
                    tenant.name.clone(),
                    at(tenant.created_at),
                    or_dash(tenant.disabled_at.map(at)),
                ]
            })
        }
        Tenant::Disable { id } => {
            service::disable(&app.db, &actor, &id).await?;
            line(&format!("tenant {id} is refused"))
        }
        Tenant::Enable { id } => {
            service::enable(&app.db, &actor, &id).await?;
            line(&format!("tenant {id} is served"))
        }
    }
}
