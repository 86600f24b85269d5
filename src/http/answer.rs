//! The shapes of what is answered: `{"data": …}`, and for lists also `total`, `page`, `size` and `next`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::base::Paged;

/// One object: 200 with `{"data": …}`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Data<T> {
    /// The object.
    pub data: T,
}

/// Wraps one object.
pub fn data<T>(data: T) -> Data<T> {
    Data { data }
}

/// A new object: 201 with `{"data": …}`.
#[derive(Debug)]
pub struct Created<T>(pub T);

/// Work that was taken and is not done: 202 with `{"data": …}`.
#[derive(Debug)]
pub struct Accepted<T>(pub T);

/// A slice of a list: 200 with `{"data": […], "total", "page", "size", "next"}`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct List<T> {
    /// The items of the page.
    data: Vec<T>,
    /// How many there are in the whole list, counted up to 10,000, jobs up to 1,000.
    total: u64,
    /// True if there are more than `total`, because a long list is counted up to a bound only; else it is left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    more: bool,
    /// The number of the page; the first is 1.
    page: u64,
    /// How many items a full page has.
    size: u64,
    /// The number of the next page; null on the last.
    next: Option<u64>,
}

/// A slice of a list that is walked by cursor: 200 with `{"data": […], "size", "next"}`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Walked<T> {
    /// The items.
    pub data: Vec<T>,
    /// How many a full page has.
    pub size: u64,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

impl<T: Serialize> IntoResponse for Walked<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl<T> List<T> {
    /// Wraps a list that is always answered as a whole.
    pub fn whole(data: Vec<T>) -> Self {
        let total = data.len() as u64;
        Self { data, total, more: false, page: 1, size: total, next: None }
    }
}

impl<T> From<Paged<T>> for List<T> {
    fn from(paged: Paged<T>) -> Self {
        let Paged { items, total, more, page, size, next } = paged;
        Self { data: items, total, more, page, size, next }
    }
}

impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(data(self.0))).into_response()
    }
}

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(data(self.0))).into_response()
    }
}

impl<T: Serialize> IntoResponse for List<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}
