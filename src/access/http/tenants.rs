//! `/tenants`: those who share the installation; kept by administrators of the first one.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::roles::service as roles;
use crate::access::tenants::{Tenant, service};
use crate::access::users::User;
use crate::access::{Caller, RoleName};
use crate::app::App;
use crate::base::{Actor, Error, TenantId};
use crate::http::{Answer, Body, Created, Data, List, Page, Paging, Path, data};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change))
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(add_member))
}

/// Says that a tenant is not there to those who may not know of it.
fn must_keep(caller: &Caller, id: &TenantId) -> Answer<()> {
    caller.must_steer_all().map_err(|_| Error::not_found("tenant", id).into())
}

/// Lists all tenants.
#[utoipa::path(
    get, path = "/tenants", operation_id = "list_tenants", tag = "tenants",
    params(Paging),
    responses((status = 200, description = "Tenants by id.", body = List<Tenant>)),
    security(("token" = ["admin"]))
)]
async fn list(State(app): State<App>, caller: Caller, Page(page): Page) -> Answer<List<Tenant>> {
    caller.must_steer_all()?;
    Ok(service::list(&app.db, page).await?.into())
}

/// A new tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    /// Its short name, which never changes.
    id: TenantId,
    /// Its name for people; the short one if left out.
    name: Option<String>,
}

/// Makes a tenant.
#[utoipa::path(
    post, path = "/tenants", operation_id = "create_tenant", tag = "tenants",
    request_body = NewTenant,
    responses((status = 201, description = "The tenant.", body = Data<Tenant>)),
    security(("token" = ["admin"]))
)]
async fn create(State(app): State<App>, caller: Caller, Body(sent): Body<NewTenant>) -> Answer<Created<Tenant>> {
    caller.must_steer_all()?;
    let name = sent.name.as_deref().unwrap_or(sent.id.as_str());
    Ok(Created(service::create(&app.db, &caller.actor, &sent.id, name).await?))
}

/// Shows a tenant.
#[utoipa::path(
    get, path = "/tenants/{id}", operation_id = "show_tenant", tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant.")),
    responses((status = 200, description = "The tenant.", body = Data<Tenant>)),
    security(("token" = ["admin"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<TenantId>) -> Answer<Data<Tenant>> {
    must_keep(&caller, &id)?;
    Ok(data(service::get(&app.db, &id).await?))
}

/// Another name for a tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantChange)]
struct Rename {
    /// Its name for people.
    name: String,
    /// The version that was read before.
    version: Option<i64>,
}

/// Gives a tenant another name for people.
#[utoipa::path(
    patch, path = "/tenants/{id}", operation_id = "change_tenant", tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant.")),
    request_body = Rename,
    responses((status = 200, description = "The tenant.", body = Data<Tenant>)),
    security(("token" = ["admin"]))
)]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TenantId>,
    Body(sent): Body<Rename>,
) -> Answer<Data<Tenant>> {
    must_keep(&caller, &id)?;
    Ok(data(service::rename(&app.db, &caller.actor, &id, &sent.name, sent.version).await?))
}

/// Refuses the tokens and sessions of a tenant; all it has stays.
#[utoipa::path(
    post, path = "/tenants/{id}/disable", operation_id = "disable_tenant", tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant.")),
    responses((status = 200, description = "The tenant.", body = Data<Tenant>)),
    security(("token" = ["admin"]))
)]
async fn disable(State(app): State<App>, caller: Caller, Path(id): Path<TenantId>) -> Answer<Data<Tenant>> {
    must_keep(&caller, &id)?;
    Ok(data(service::disable(&app.db, &caller.actor, &id).await?))
}

/// Serves a disabled tenant again.
#[utoipa::path(
    post, path = "/tenants/{id}/enable", operation_id = "enable_tenant", tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant.")),
    responses((status = 200, description = "The tenant.", body = Data<Tenant>)),
    security(("token" = ["admin"]))
)]
async fn enable(State(app): State<App>, caller: Caller, Path(id): Path<TenantId>) -> Answer<Data<Tenant>> {
    must_keep(&caller, &id)?;
    Ok(data(service::enable(&app.db, &caller.actor, &id).await?))
}

/// Somebody who is to be a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMember {
    /// What the person signs in with.
    name: String,
    /// A role to grant in the tenant at once.
    role: Option<RoleName>,
}

/// Makes somebody who has an account a member of a tenant.
#[utoipa::path(
    post, path = "/tenants/{id}/members", operation_id = "add_member", tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant.")),
    request_body = NewMember,
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = ["admin"]))
)]
async fn add_member(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TenantId>,
    Body(sent): Body<NewMember>,
) -> Answer<Data<User>> {
    must_keep(&caller, &id)?;
    // It is noted in the record of the tenant that gets a member.
    let there = Caller { actor: Actor { tenant: id, ..caller.actor.clone() }, ..caller };
    if let Some(role) = &sent.role {
        roles::get(&app.db, there.tenant(), role).await?;
    }
    let user = app.access.add_member(&there, &sent.name).await?;
    if let Some(role) = &sent.role {
        roles::grant(&app.db, &there, user.id, role, None).await?;
    }
    Ok(data(user))
}
