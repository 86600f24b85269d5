//! `/tokens`: what programs come in with.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Caller, NewToken, Scopes, TokenId, TokenInfo, service};
use crate::app::App;
use crate::base::instant::optional as instant;
use crate::http::{Answer, Body, Created, Data, List, Path};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// What is told of a token.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct View {
    /// The token.
    id: TokenId,
    /// What it is for.
    name: String,
    /// What it may do.
    scopes: Scopes,
    /// Who made it; null if that was not noted yet.
    created_by: Option<String>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was last shown, to the minute.
    last_used_at: Option<DateTime<Utc>>,
    /// When it ends; null is never.
    expires_at: Option<DateTime<Utc>>,
    /// The token itself, shown this once when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl From<TokenInfo> for View {
    fn from(info: TokenInfo) -> Self {
        Self {
            id: info.id,
            name: info.name,
            scopes: Scopes::read(&info.scopes),
            created_by: info.created_by,
            created_at: info.created_at,
            last_used_at: info.last_used_at,
            expires_at: info.expires_at,
            token: None,
        }
    }
}

/// Lists the tokens of the tenant.
#[utoipa::path(
    get, path = "/tokens", operation_id = "list_tokens", tag = "tokens",
    responses((status = 200, description = "Tokens by name.", body = List<View>)),
    security(("token" = ["access:read"]))
)]
async fn list(State(app): State<App>, caller: Caller) -> Answer<List<View>> {
    Ok(List::whole(service::list(&app.db, caller.tenant()).await?.into_iter().map(View::from).collect()))
}

/// A token that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
struct Sent {
    /// What it is for, unique within the tenant.
    name: String,
    /// What it is to be allowed: nothing that the caller lacks.
    scopes: Scopes,
    /// When it ends; never if left out.
    #[serde(default, deserialize_with = "instant")]
    expires_at: Option<DateTime<Utc>>,
}

/// Makes a token; the answer shows it, and nothing ever does again.
#[utoipa::path(
    post, path = "/tokens", operation_id = "create_token", tag = "tokens",
    request_body = Sent,
    responses((status = 201, description = "The token.", body = Data<View>)),
    security(("token" = ["access:write"]))
)]
async fn create(State(app): State<App>, caller: Caller, Body(sent): Body<Sent>) -> Answer<Created<View>> {
    let wanted = NewToken { name: sent.name, scopes: sent.scopes, expires_at: sent.expires_at };
    let (info, secret) = service::create(&app.db, &caller, &wanted).await?;
    Ok(Created(View { token: Some(secret.expose().to_owned()), ..View::from(info) }))
}

/// Ends a token.
#[utoipa::path(
    delete, path = "/tokens/{id}", operation_id = "revoke_token", tag = "tokens",
    params(("id" = TokenId, Path, description = "The token.")),
    responses((status = 204, description = "The token has ended.")),
    security(("token" = ["access:write"]))
)]
async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<TokenId>) -> Answer<StatusCode> {
    service::revoke(&app.db, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
