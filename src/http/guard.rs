//! Who may call what: exactly what the document of the API says. An operation without a word on it cannot be mounted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::http::Method;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::SecurityRequirement;

use super::openapi::{TOKEN, creates};
use crate::access::Scope;
use crate::base::{Error, Result};

/// What is asked of who calls an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: everybody may.
    Nothing,
    /// To be known, and every one of these scopes.
    Known(Vec<Scope>),
}

/// The needs of all operations.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    needs: Arc<HashMap<(Method, String), Need>>,
    /// The paths whose POST creates.
    creating: Arc<HashSet<String>>,
}

impl Guard {
    /// Reads the needs from the document.
    ///
    /// # Errors
    /// [`Error::Internal`] names an operation that says nothing, or a scope that does not exist.
    pub(super) fn of(document: &OpenApi) -> Result<Self> {
        let mut needs = HashMap::new();
        let mut creating = HashSet::new();
        for (path, item) in &document.paths.paths {
            if item.post.as_ref().is_some_and(creates) {
                creating.insert(path.clone());
            }
            for (method, operation) in operations(item) {
                let need = need(operation).map_err(|fault| Error::internal(format!("{method} {path}"), fault))?;
                needs.insert((method, path.clone()), need);
            }
        }
        Ok(Self { needs: Arc::new(needs), creating: Arc::new(creating) })
    }

    /// Lets everybody call an operation.
    #[must_use]
    pub(super) fn open(self, method: Method, path: &str) -> Self {
        let mut needs = Arc::unwrap_or_clone(self.needs);
        needs.insert((method, path.to_owned()), Need::Nothing);
        Self { needs: Arc::new(needs), ..self }
    }

    /// Returns what an operation asks; `None` if the document does not know it.
    pub(super) fn need(&self, method: &Method, route: &str) -> Option<&Need> {
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        self.needs.get(&(method, documented(route)))
    }

    /// Says whether a POST to a route takes an idempotency key.
    pub(super) fn takes_key(&self, route: &str) -> bool {
        self.creating.contains(&documented(route))
    }
}

/// Returns the path under which the document has a route: the first users' `/api/…` are the same operations as `/api/v1/…`.
pub(super) fn documented(route: &str) -> String {
    match route.strip_prefix("/api/") {
        Some(rest) if !rest.starts_with("v1/") => format!("/api/v1/{rest}"),
        _ => route.to_owned(),
    }
}

/// Returns the operations of a path.
pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
}

fn need(operation: &Operation) -> std::result::Result<Need, String> {
    let requirements = operation.security.as_deref().unwrap_or_default();
    let Some(first) = requirements.first() else {
        return Err("it does not say who may call it: give it `security((\"token\" = [\"area:verb\"]))`, \
                    or `security(())` if everybody may"
            .to_owned());
    };
    let Some(words) = words(first) else { return Ok(Need::Nothing) };
    let scopes = words.iter().map(|word| word.parse::<Scope>().map_err(|error| error.to_string()));
    Ok(Need::Known(scopes.collect::<std::result::Result<_, _>>()?))
}

/// Returns the scopes that a requirement names; `None` if it names no scheme.
fn words(requirement: &SecurityRequirement) -> Option<Vec<String>> {
    // The type does not let itself be read, its JSON does.
    let json = serde_json::to_value(requirement).ok()?;
    let words = json.get(TOKEN)?.as_array()?;
    Some(words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::{HttpMethod, OperationBuilder};
    use utoipa::openapi::{OpenApiBuilder, PathsBuilder};

    use super::*;

    fn document(securities: Option<Vec<SecurityRequirement>>) -> OpenApi {
        let operation = OperationBuilder::new().securities(securities).build();
        let paths = PathsBuilder::new().path("/api/v1/x/{id}", PathItem::new(HttpMethod::Get, operation));
        OpenApiBuilder::new().paths(paths).build()
    }

    #[test]
    fn the_guard_says_what_the_document_says() {
        let asks = |scopes: &[&str]| document(Some(vec![SecurityRequirement::new(TOKEN, scopes.iter().copied())]));
        let guard = Guard::of(&asks(&["jobs:read"])).expect("reads");
        let known = Need::Known(vec![Scope::JobsRead]);
        for (method, route, expected) in [
            (Method::GET, "/api/v1/x/{id}", Some(&known)),
            (Method::HEAD, "/api/v1/x/{id}", Some(&known)),
            (Method::GET, "/api/x/{id}", Some(&known)),
            (Method::POST, "/api/v1/x/{id}", None),
            (Method::GET, "/x/{id}", None),
        ] {
            assert_eq!(guard.need(&method, route), expected, "{method} {route}");
        }
        let everybody = Guard::of(&document(Some(vec![SecurityRequirement::default()]))).expect("reads");
        assert_eq!(everybody.need(&Method::GET, "/api/v1/x/{id}"), Some(&Need::Nothing));
        assert_eq!(guard.open(Method::GET, "/metrics").need(&Method::GET, "/metrics"), Some(&Need::Nothing));
        for silent in [document(None), document(Some(Vec::new())), asks(&["jobs:juggle"])] {
            assert!(Guard::of(&silent).is_err());
        }
    }
}
