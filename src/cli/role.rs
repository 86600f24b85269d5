//! `deskhand role`.

use clap::Subcommand;

use super::print::{Output, line, or_dash, short};
use crate::access::roles::Draft;
use crate::access::{BusinessId, Caller, RoleName, Scope, roles::service};
use crate::app::App;
use crate::base::TenantId;

#[derive(Debug, Subcommand)]
pub(super) enum Role {
    /// Make a role for the desk of a tenant.
    Create {
        /// Its short name: a-z, 0-9, '_' and '-'.
        name: RoleName,
        /// Its name for people.
        #[arg(long)]
        label: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// What it may do in the API, as in jobs:read; may be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// The tenant.
        #[arg(long, default_value_t = TenantId::default())]
        tenant: TenantId,
    },
    /// Show the roles of a tenant.
    List {
        /// The tenant.
        #[arg(long, default_value_t = TenantId::default())]
        tenant: TenantId,
        #[command(flatten)]
        output: Output,
    },
    /// Show who has a role.
    Holders {
        /// The role.
        name: RoleName,
        /// The tenant.
        #[arg(long, default_value_t = TenantId::default())]
        tenant: TenantId,
        /// For this business, too.
        #[arg(long, value_name = "ID")]
        business: Option<BusinessId>,
        #[command(flatten)]
        output: Output,
    },
    /// Remove a role that nobody has.
    Delete {
        /// The role.
        name: RoleName,
        /// The tenant.
        #[arg(long, default_value_t = TenantId::default())]
        tenant: TenantId,
    },
}

pub(super) async fn run(command: Role, app: &App) -> anyhow::Result<()> {
    match command {
        Role::Create { name, label, description, scopes, tenant } => {
            let draft = Draft { label, description, scopes: Some(scopes.into_iter().collect()), version: None };
            service::create(&app.db, &Caller::terminal(tenant), &name, &draft).await?;
            line(&format!("there is a role {name}: grant it with `deskhand user grant NAME --role {name}`"))
        }
        Role::List { tenant, output } => {
            let roles = service::list(&app.db, &tenant).await?;
            output.rows(&roles, ["ROLE", "LABEL", "SCOPES", "DESCRIPTION"], |role| {
                let scopes = role.scopes.to_string();
                let scopes = (!scopes.is_empty()).then_some(scopes);
                [role.name.to_string(), role.label.clone(), or_dash(scopes), short(&role.description, 60)]
            })
        }
        Role::Holders { name, tenant, business, output } => {
            let users = service::holders(&app.db, &tenant, &name, business.as_ref()).await?;
            output.rows(&users, ["NAME", "DISPLAY NAME", "MAIL"], |user| {
                [user.name.clone(), user.display_name.clone(), or_dash(user.email.clone())]
            })
        }
        Role::Delete { name, tenant } => {
            service::remove(&app.db, &Caller::terminal(tenant), &name).await?;
            line(&format!("the role {name} is gone"))
        }
    }
}
