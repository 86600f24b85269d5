//! What stands between a request and its handler: who asks and may they, how often, was it asked before. One layer and not three: for each
//! request a layer copies all that are within it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::guard::Guard;
use super::problem::Answer;
use super::rate::Rates;
use super::{caller, idempotency};
use crate::app::App;

/// What the layer knows.
pub(super) struct Gate {
    pub(super) app: App,
    pub(super) guard: Guard,
    pub(super) rates: Rates,
}

/// Lets in who may.
pub(super) async fn layer(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Answer<Response> {
    let Some(called_by) = caller::admit(&gate.app, &gate.guard, &mut request).await? else {
        return Ok(next.run(request).await);
    };
    let mut response = match gate.rates.admit(&request, gate.app.clock.now()) {
        Ok(()) => idempotency::carry_out(&gate.app, &gate.guard, request, next).await.into_response(),
        Err(refused) => refused.into_response(),
    };
    response.extensions_mut().insert(called_by);
    Ok(response)
}
