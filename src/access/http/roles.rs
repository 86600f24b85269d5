//! `/roles`: the roles of a tenant, and who has them.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::roles::{Draft, Role, service};
use crate::access::users::User;
use crate::access::{BusinessId, Caller, RoleName, Scopes};
use crate::app::App;
use crate::http::{Answer, Body, Created, Data, List, Path, Query, data};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, change, remove)).routes(routes!(holders))
}

/// Lists the roles of the tenant.
#[utoipa::path(
    get, path = "/roles", operation_id = "list_roles", tag = "roles",
    responses((status = 200, description = "Those that every tenant has, then its own.", body = List<Role>)),
    security(("token" = ["access:read"]))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<Role>> {
    Ok(List::whole(service::list(&app.db, caller.tenant()).await?))
}

/// A new role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    /// Its short name.
    name: RoleName,
    /// Its name for people; its short name if left out.
    label: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// What it may do in the API; nothing if left out.
    scopes: Option<Scopes>,
}

/// Makes a role for the desk of the tenant.
#[utoipa::path(
    post, path = "/roles", operation_id = "create_role", tag = "roles",
    request_body = NewRole,
    responses((status = 201, description = "The role.", body = Data<Role>)),
    security(("token" = ["access:write"]))
)]
async fn create(State(app): State<App>, caller: Caller, Body(sent): Body<NewRole>) -> Answer<Created<Role>> {
    let NewRole { name, label, description, scopes } = sent;
    let draft = Draft { label, description, scopes, version: None };
    Ok(Created(service::create(&app.db, &caller, &name, &draft).await?))
}

/// Shows a role.
#[utoipa::path(
    get, path = "/roles/{name}", operation_id = "show_role", tag = "roles",
    params(("name" = RoleName, Path, description = "The role.")),
    responses((status = 200, description = "The role.", body = Data<Role>)),
    security(("token" = ["access:read"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(name): Path<RoleName>) -> Answer<Data<Role>> {
    Ok(data(service::get(&app.db, caller.tenant(), &name).await?))
}

/// Changes a role that the tenant made; what is left out stays.
#[utoipa::path(
    patch, path = "/roles/{name}", operation_id = "change_role", tag = "roles",
    params(("name" = RoleName, Path, description = "The role.")),
    request_body = Draft,
    responses((status = 200, description = "The role.", body = Data<Role>)),
    security(("token" = ["access:write"]))
)]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<RoleName>,
    Body(draft): Body<Draft>,
) -> Answer<Data<Role>> {
    Ok(data(service::change(&app.db, &caller, &name, &draft).await?))
}

/// Removes a role that the tenant made and nobody has.
#[utoipa::path(
    delete, path = "/roles/{name}", operation_id = "remove_role", tag = "roles",
    params(("name" = RoleName, Path, description = "The role.")),
    responses((status = 204, description = "The role is gone.")),
    security(("token" = ["access:write"]))
)]
async fn remove(State(app): State<App>, caller: Caller, Path(name): Path<RoleName>) -> Answer<StatusCode> {
    service::remove(&app.db, &caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Of {
    /// Who has it for this business counts, too.
    business_id: Option<BusinessId>,
}

/// Lists who has a role, for everything or for one business.
#[utoipa::path(
    get, path = "/roles/{name}/holders", operation_id = "list_holders", tag = "roles",
    params(("name" = RoleName, Path, description = "The role."), Of),
    responses((status = 200, description = "People by name.", body = List<User>)),
    security(("token" = ["access:read"]))
)]
async fn holders(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<RoleName>,
    Query(of): Query<Of>,
) -> Answer<List<User>> {
    Ok(List::whole(service::holders(&app.db, caller.tenant(), &name, of.business_id.as_ref()).await?))
}
