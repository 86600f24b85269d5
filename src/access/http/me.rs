//! `/me`: who the caller is, and what a person changes about itself.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::users::Changed;
use crate::access::users::User;
use crate::access::{Caller, RoleName, Scopes};
use crate::app::App;
use crate::base::{ActorKind, Secret, TenantId};
use crate::http::{Answer, Body, Data, data};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show, change)).routes(routes!(change_password))
}

/// The caller.
#[derive(Serialize, ToSchema)]
struct Me {
    /// Whether it is a token or a user.
    #[schema(value_type = String)]
    kind: ActorKind,
    /// The name of the token or the user.
    name: String,
    /// The tenant in which it acts.
    tenant: TenantId,
    /// What it may do there.
    scopes: Scopes,
    /// The roles of a person.
    roles: Vec<RoleName>,
    /// The tenants in which a person may act.
    tenants: Vec<TenantId>,
    /// The person; null for a token.
    user: Option<User>,
}

/// Shows who the caller is.
#[utoipa::path(
    get, path = "/me", operation_id = "show_me", tag = "sessions",
    responses((status = 200, description = "The caller.", body = Data<Me>)),
    security(("token" = []))
)]
async fn show(State(app): State<App>, caller: Caller) -> Answer<Data<Me>> {
    let (mut user, mut roles, mut tenants) = (None, Vec::new(), vec![caller.tenant().clone()]);
    if let Some(person) = &caller.person {
        user = Some(app.access.user(caller.tenant(), person.user).await?);
        roles = person.roles.iter().cloned().collect();
        tenants = app.access.memberships(person.user).await?;
    }
    let Caller { actor, scopes, .. } = caller;
    Ok(data(Me { kind: actor.kind, name: actor.name, tenant: actor.tenant, scopes, roles, tenants, user }))
}

/// Changes what is told about the caller, if it is a person.
#[utoipa::path(
    patch, path = "/me", operation_id = "change_me", tag = "sessions",
    request_body = Changed,
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = []))
)]
async fn change(State(app): State<App>, caller: Caller, Body(sent): Body<Changed>) -> Answer<Data<User>> {
    let person = caller.must_be_person()?;
    let (change, version) = sent.read();
    Ok(data(app.access.change_myself(&caller, person.user, &change, version).await?))
}

/// A password and the next one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordChange)]
struct Passwords {
    /// The present password.
    old: Secret,
    /// The next one: 12 characters or more.
    new: Secret,
}

/// Changes the password of the caller, if it is a person; its other sessions end.
#[utoipa::path(
    put, path = "/me/password", operation_id = "change_my_password", tag = "sessions",
    request_body = Passwords,
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = []))
)]
async fn change_password(State(app): State<App>, caller: Caller, Body(sent): Body<Passwords>) -> Answer<Data<User>> {
    let person = caller.must_be_person()?;
    let me = (person.user, person.session);
    Ok(data(app.access.change_my_password(&caller, me, &sent.old, &sent.new).await?))
}
