//! The document of the API: what the routes say of themselves, and what holds for all of them.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

use super::problem::{MEDIA_TYPE, ProblemBody};
use crate::access::Scope;
use crate::base::FieldError;

/// The name of the security scheme by which operations name their scopes.
pub(super) const TOKEN: &str = "token";

/// What makes a request that is sent twice the same request.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Deskhand",
        description = include_str!("openapi.md"),
        license(name = "MIT", identifier = "MIT"),
    ),
    components(schemas(ProblemBody<'_>, FieldError)),
    modifiers(&Schemes),
    tags(
        (name = "jobs", description = "Enqueue, look, steer."),
        (name = "dead letters", description = "What could not succeed, and sending it off again."),
        (name = "queues", description = "How full they are; pause and resume; limits."),
        (name = "workers", description = "Who is alive."),
        (name = "remote work", description = "Jobs for programs in other languages, which work over HTTP."),
        (name = "schedules", description = "What runs when."),
        (name = "freeze windows", description = "The maintenance calendar: when schedules rest."),
        (name = "work orders", description = "External ticket systems and their tickets."),
        (name = "sync logs", description = "One record for each run of a synchronisation."),
        (name = "sessions", description = "Signing in with a browser, and who the caller is."),
        (name = "users", description = "The people of a tenant, their accounts and roles."),
        (name = "roles", description = "The roles of a tenant, and who has them."),
        (name = "tokens", description = "What programs come in with."),
        (name = "tenants", description = "Those who share the installation; kept by administrators of the first one."),
        (name = "audit", description = "Who changed what, when, from where and why."),
        (name = "process", description = "Health, readiness, figures."),
    )
)]
struct Common;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let scopes: Vec<String> = Scope::ALL.iter().map(|scope| format!("- `{scope}`: {}", scope.sentence())).collect();
        let scopes = scopes.join("\n");
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(format!("An API token. Each operation names the scopes that it needs.\n\n{scopes}")))
            .build();
        document.components.get_or_insert_default().add_security_scheme(TOKEN, SecurityScheme::Http(token));
    }
}

/// Returns the document without routes; a router adds its own.
pub(super) fn common() -> OpenApi {
    Common::openapi()
}

/// Adds to every operation what holds for all: the shape of a refusal, and the key of requests that create.
pub(super) fn complete(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        if let Some(post) = item.post.as_mut().filter(|post| creates(post)) {
            post.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
        }
        let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in all.into_iter().flatten() {
            operation.responses.responses.entry("default".to_owned()).or_insert_with(refusal);
        }
    }
}

/// Says whether an operation makes something: then it takes an idempotency key.
pub(super) fn creates(post: &Operation) -> bool {
    ["201", "202"].iter().any(|status| post.responses.responses.contains_key(*status))
}

fn idempotency_key() -> utoipa::openapi::path::Parameter {
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).max_length(Some(200)).build();
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Makes a repeated request harmless: the second one gets the answer of the first. 1 to 200 visible ASCII characters.",
        ))
        .schema(Some(text))
        .build()
}

fn refusal() -> RefOr<utoipa::openapi::Response> {
    let schema = Ref::from_schema_name("Problem");
    let seconds = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).build();
    let again =
        HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds until another try makes sense.")).build();
    let response = ResponseBuilder::new()
        .description("Refused; `code` says why, `detail` says what to do.")
        .content(MEDIA_TYPE, Content::new(Some(schema)))
        .header("Retry-After", again)
        .build();
    RefOr::T(response)
}
