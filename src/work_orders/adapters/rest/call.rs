//! Requests with the credentials.

use reqwest::RequestBuilder;
use url::Url;

use super::plan::{Auth, Plan};
use crate::base::Secret;
use crate::work_orders::adapters::{Connection, Error};

/// Reads the settings for a call; whoever saved them has seen what is wrong with them.
pub(super) fn plan(connection: &Connection) -> Result<Plan, Error> {
    Plan::read(connection).map_err(|wrong| {
        // Settings say nothing of a secret that was cleared: that is a matter of who we are.
        if wrong.iter().all(|field| matches!(field.pointer.as_str(), "/api_key" | "/username")) {
            return Error::auth(connection, "there are none for its kind of authentication");
        }
        let said: Vec<_> = wrong.into_iter().map(|field| format!("{}: {}", field.pointer, field.message)).collect();
        Error::permanent(connection, format!("the settings of this system are wrong: {}", said.join("; ")))
    })
}

/// Begins a GET with the credentials.
pub(super) fn get(connection: &Connection, plan: &Plan, url: Url) -> RequestBuilder {
    signed(connection, plan, connection.http.get(url))
}

/// Puts the credentials on a request.
pub(super) fn signed(connection: &Connection, plan: &Plan, request: RequestBuilder) -> RequestBuilder {
    let request = request.header(reqwest::header::ACCEPT, "application/json");
    match (&plan.auth, &connection.api_key) {
        (Auth::Basic, key) => match &connection.username {
            Some(user) => {
                let secret = connection.password.as_ref().or(key.as_ref());
                request.basic_auth(user, secret.map(Secret::expose))
            }
            None => request,
        },
        (Auth::Bearer, Some(key)) => request.bearer_auth(key.expose()),
        (Auth::Header(name), Some(key)) => request.header(name, key.expose()),
        (Auth::None | Auth::Bearer | Auth::Header(_), _) => request,
    }
}
