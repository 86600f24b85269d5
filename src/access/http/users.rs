//! `/users`: the people of a tenant, their accounts and roles.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::roles::{Grant, service as roles};
use crate::access::users::{Change, Draft, User};
use crate::access::{BusinessId, Caller, RoleName};
use crate::app::App;
use crate::base::{Secret, UserId};
use crate::http::{Answer, Body, Created, Data, List, Page, Paging, Path, Query, data};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, remove))
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(unlock))
        .routes(routes!(set_password))
        .routes(routes!(grants, grant))
        .routes(routes!(revoke))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Narrow {
    /// Those in whose names this occurs.
    part: Option<String>,
}

/// A new person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    /// What it signs in with; unique in the whole installation.
    name: String,
    /// A password of 12 characters or more; without one the person signs in with the company's own accounts only.
    password: Option<Secret>,
    /// Whether it has to choose another password first; yes if left out.
    must_change_password: Option<bool>,
    /// Its name for people.
    display_name: Option<String>,
    /// Where mail reaches it.
    email: Option<String>,
    /// Where calls and short messages reach it.
    phone: Option<String>,
    /// Its time zone; UTC if left out.
    zone: Option<String>,
    /// Its language; en if left out.
    locale: Option<String>,
}

/// What is to be different about a person; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange)]
pub(super) struct Changed {
    /// Its name for people.
    display_name: Option<String>,
    /// Where mail reaches it; an empty text removes it.
    email: Option<String>,
    /// Where calls and short messages reach it; an empty text removes it.
    phone: Option<String>,
    /// Its time zone.
    zone: Option<String>,
    /// Its language.
    locale: Option<String>,
    /// The version that was read before.
    version: Option<i64>,
}

impl Changed {
    /// Returns the change and the version that it is for.
    pub(super) fn read(self) -> (Change, Option<i64>) {
        let Self { display_name, email, phone, zone, locale, version } = self;
        (Change { display_name, email, phone, zone, locale }, version)
    }
}

/// Lists the people of the tenant.
#[utoipa::path(
    get, path = "/users", operation_id = "list_users", tag = "users",
    params(Narrow, Paging),
    responses((status = 200, description = "People by name.", body = List<User>)),
    security(("token" = ["access:read"]))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    Page(page): Page,
) -> Answer<List<User>> {
    Ok(app.access.users(caller.tenant(), narrow.part.as_deref(), page).await?.into())
}

/// Makes a person, a member of the tenant.
#[utoipa::path(
    post, path = "/users", operation_id = "create_user", tag = "users",
    request_body = NewUser,
    responses((status = 201, description = "The person.", body = Data<User>)),
    security(("token" = ["access:write"]))
)]
async fn create(State(app): State<App>, caller: Caller, Body(sent): Body<NewUser>) -> Answer<Created<User>> {
    let NewUser { name, password, must_change_password, display_name, email, phone, zone, locale } = sent;
    let change = Change { display_name, email, phone, zone, locale };
    Ok(Created(app.access.create_user(&caller, &Draft { name, password, must_change_password, change }).await?))
}

/// Shows a person.
#[utoipa::path(
    get, path = "/users/{id}", operation_id = "show_user", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = ["access:read"]))
)]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<UserId>) -> Answer<Data<User>> {
    Ok(data(app.access.user(caller.tenant(), id).await?))
}

/// Changes what is told about a person.
#[utoipa::path(
    patch, path = "/users/{id}", operation_id = "change_user", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    request_body = Changed,
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = ["access:write"]))
)]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<UserId>,
    Body(sent): Body<Changed>,
) -> Answer<Data<User>> {
    let (change, version) = sent.read();
    Ok(data(app.access.change_user(&caller, id, &change, version).await?))
}

/// Removes a person from the tenant with all its roles; who is in no other may not come in any more.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "remove_user", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    responses((status = 204, description = "The person is no member any more.")),
    security(("token" = ["access:write"]))
)]
async fn remove(State(app): State<App>, caller: Caller, Path(id): Path<UserId>) -> Answer<StatusCode> {
    app.access.remove_user(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses a person from now on; its sessions end.
#[utoipa::path(
    post, path = "/users/{id}/disable", operation_id = "disable_user", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = ["access:write"]))
)]
async fn disable(State(app): State<App>, caller: Caller, Path(id): Path<UserId>) -> Answer<Data<User>> {
    Ok(data(app.access.disable_user(&caller, id).await?))
}

/// Lets a disabled person come in again.
#[utoipa::path(
    post, path = "/users/{id}/enable", operation_id = "enable_user", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = ["access:write"]))
)]
async fn enable(State(app): State<App>, caller: Caller, Path(id): Path<UserId>) -> Answer<Data<User>> {
    Ok(data(app.access.enable_user(&caller, id).await?))
}

/// Forgets the failed sign-ins of a person, so that it may try again at once.
#[utoipa::path(
    post, path = "/users/{id}/unlock", operation_id = "unlock_user", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = ["access:write"]))
)]
async fn unlock(State(app): State<App>, caller: Caller, Path(id): Path<UserId>) -> Answer<Data<User>> {
    Ok(data(app.access.unlock_user(&caller, id).await?))
}

/// Another password for a person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The password: 12 characters or more.
    password: Secret,
    /// Whether the person has to choose another one first; yes if left out.
    must_change_password: Option<bool>,
}

/// Gives a person another password; its sessions end.
#[utoipa::path(
    put, path = "/users/{id}/password", operation_id = "set_password", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    request_body = NewPassword,
    responses((status = 200, description = "The person.", body = Data<User>)),
    security(("token" = ["access:write"]))
)]
async fn set_password(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<UserId>,
    Body(sent): Body<NewPassword>,
) -> Answer<Data<User>> {
    let must_change = sent.must_change_password.unwrap_or(true);
    Ok(data(app.access.set_password(&caller, id, &sent.password, must_change).await?))
}

/// Lists the roles of a person.
#[utoipa::path(
    get, path = "/users/{id}/roles", operation_id = "list_grants", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    responses((status = 200, description = "Its roles in the tenant.", body = List<Grant>)),
    security(("token" = ["access:read"]))
)]
async fn grants(State(app): State<App>, caller: Caller, Path(id): Path<UserId>) -> Answer<List<Grant>> {
    Ok(List::whole(roles::grants(&app.db, caller.tenant(), id).await?))
}

/// A role to grant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GrantDraft)]
struct Wanted {
    /// The role.
    role: RoleName,
    /// The business for which it counts; everything if left out.
    business_id: Option<BusinessId>,
}

/// Grants a role to a person; granting it again changes nothing.
#[utoipa::path(
    post, path = "/users/{id}/roles", operation_id = "grant_role", tag = "users",
    params(("id" = UserId, Path, description = "The person.")),
    request_body = Wanted,
    responses((status = 200, description = "Its roles in the tenant.", body = List<Grant>)),
    security(("token" = ["access:write"]))
)]
async fn grant(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<UserId>,
    Body(sent): Body<Wanted>,
) -> Answer<List<Grant>> {
    Ok(List::whole(roles::grant(&app.db, &caller, id, &sent.role, sent.business_id.as_ref()).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Of {
    /// The business for which it was granted; everything if left out.
    business_id: Option<BusinessId>,
}

/// Takes a role from a person.
#[utoipa::path(
    delete, path = "/users/{id}/roles/{role}", operation_id = "revoke_role", tag = "users",
    params(("id" = UserId, Path, description = "The person."), ("role" = RoleName, Path, description = "The role."), Of),
    responses((status = 200, description = "Its roles in the tenant.", body = List<Grant>)),
    security(("token" = ["access:write"]))
)]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path((id, role)): Path<(UserId, RoleName)>,
    Query(of): Query<Of>,
) -> Answer<List<Grant>> {
    Ok(List::whole(roles::revoke(&app.db, &caller, id, &role, of.business_id.as_ref()).await?))
}
