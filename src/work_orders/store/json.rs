//! JSON in text columns.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::{Error, Result};

pub(super) fn write(column: &str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal(format!("cannot write {column} as JSON"), error))
}

pub(super) fn read<T: DeserializeOwned>(column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::internal(format!("{column} holds unreadable JSON"), error))
}
