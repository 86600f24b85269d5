//! `deskhand user`.

use clap::{Args, Subcommand};

use super::password::read_password;
use super::print::{Output, at, line, or_dash};
use crate::access::users::{Change, Draft, User as Person};
use crate::access::{BusinessId, Caller, RoleName, roles};
use crate::app::App;
use crate::base::{PageRequest, TenantId};

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Make a user. The password is asked for at the terminal, or read as one line from standard input.
    Create(Create),
    /// Show the members of a tenant.
    List {
        /// The tenant.
        #[arg(long, default_value_t = TenantId::default())]
        tenant: TenantId,
        /// Those in whose names this occurs.
        #[arg(long)]
        part: Option<String>,
        /// The number of the page.
        #[arg(long, default_value_t = 1)]
        page: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Refuse a user; all sessions end.
    Disable {
        /// What the user signs in with.
        name: String,
    },
    /// Let a disabled user come in again.
    Enable {
        /// What the user signs in with.
        name: String,
    },
    /// Give a user another password, asked for as with create; all sessions end.
    SetPassword {
        /// What the user signs in with.
        name: String,
        /// Do not ask the user to choose another one at the next sign-in.
        #[arg(long)]
        keep: bool,
    },
    /// Forget the failed sign-ins of a user.
    Unlock {
        /// What the user signs in with.
        name: String,
    },
    /// Grant a role, and make the user a member of the tenant if it is none.
    Grant(Hold),
    /// Take a role from a user.
    Revoke(Hold),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What the user signs in with.
    name: String,
    /// The name for people.
    #[arg(long)]
    display_name: Option<String>,
    /// Where mail reaches the user.
    #[arg(long)]
    email: Option<String>,
    /// Where calls and short messages reach the user.
    #[arg(long)]
    phone: Option<String>,
    /// The time zone, as in Asia/Shanghai.
    #[arg(long)]
    zone: Option<String>,
    /// The language, as in zh-CN.
    #[arg(long)]
    locale: Option<String>,
    /// The tenant.
    #[arg(long, default_value_t = TenantId::default())]
    tenant: TenantId,
    /// A role to grant at once; may be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<RoleName>,
    /// Ask for no password: the user signs in with the company's own accounts only.
    #[arg(long)]
    no_password: bool,
    /// Do not ask the user to choose another password at the first sign-in.
    #[arg(long)]
    keep: bool,
}

/// Who has what, where.
#[derive(Debug, Args)]
pub(super) struct Hold {
    /// What the user signs in with.
    name: String,
    /// The role.
    #[arg(long)]
    role: RoleName,
    /// The tenant.
    #[arg(long, default_value_t = TenantId::default())]
    tenant: TenantId,
    /// The business for which it counts; everything if left out.
    #[arg(long, value_name = "ID")]
    business: Option<BusinessId>,
}

pub(super) async fn run(command: User, app: &App) -> anyhow::Result<()> {
    match command {
        User::Create(command) => create(command, app).await,
        User::List { tenant, part, page, output } => {
            let page = PageRequest::new(Some(page), Some(PageRequest::MAX_SIZE))?;
            let users = app.access.users(&tenant, part.as_deref(), page).await?.items;
            output.rows(&users, ["NAME", "DISPLAY NAME", "MAIL", "LAST LOGIN", "DISABLED"], |user| {
                [
                    user.name.clone(),
                    user.display_name.clone(),
                    or_dash(user.email.clone()),
                    or_dash(user.last_login_at.map(at)),
                    or_dash(user.disabled_at.map(at)),
                ]
            })
        }
        User::Disable { name } => {
            let (user, caller) = kept(app, &name).await?;
            app.access.disable_user(&caller, user.id).await?;
            line(&format!("{} may not come in any more", user.name))
        }
        User::Enable { name } => {
            let (user, caller) = kept(app, &name).await?;
            app.access.enable_user(&caller, user.id).await?;
            line(&format!("{} may come in", user.name))
        }
        User::SetPassword { name, keep } => {
            let (user, caller) = kept(app, &name).await?;
            app.access.set_password(&caller, user.id, &read_password()?, !keep).await?;
            line(&format!("{} has another password; all sessions have ended", user.name))
        }
        User::Unlock { name } => {
            let (user, caller) = kept(app, &name).await?;
            app.access.unlock_user(&caller, user.id).await?;
            line(&format!("{} may try to sign in again", user.name))
        }
        User::Grant(hold) => {
            let caller = Caller::terminal(hold.tenant);
            let user = app.access.add_member(&caller, &hold.name).await?;
            roles::service::grant(&app.db, &caller, user.id, &hold.role, hold.business.as_ref()).await?;
            line(&format!("{} has the role {} in tenant {}", user.name, hold.role, caller.tenant()))
        }
        User::Revoke(hold) => {
            let caller = Caller::terminal(hold.tenant);
            let user = app.access.user_named(&hold.name).await?;
            roles::service::revoke(&app.db, &caller, user.id, &hold.role, hold.business.as_ref()).await?;
            line(&format!("{} has the role {} no more in tenant {}", user.name, hold.role, caller.tenant()))
        }
    }
}

async fn create(command: Create, app: &App) -> anyhow::Result<()> {
    let caller = Caller::terminal(command.tenant);
    // Before the password is asked for: a role that is misspelt must not cost a person its typing.
    for role in &command.roles {
        roles::service::get(&app.db, caller.tenant(), role).await?;
    }
    let password = if command.no_password { None } else { Some(read_password()?) };
    let change = Change {
        display_name: command.display_name,
        email: command.email,
        phone: command.phone,
        zone: command.zone,
        locale: command.locale,
    };
    let draft = Draft { name: command.name, password, must_change_password: Some(!command.keep), change };
    let user = app.access.create_user(&caller, &draft).await?;
    for role in &command.roles {
        roles::service::grant(&app.db, &caller, user.id, role, None).await?;
    }
    line(&user.id.to_string())
}

/// Finds a user, and a caller in a tenant of which it is a member: from the command line every account may be changed.
async fn kept(app: &App, name: &str) -> anyhow::Result<(Person, Caller)> {
    let user = app.access.user_named(name).await?;
    let caller = Caller::terminal(user.tenant_id.clone());
    Ok((user, caller))
}
