//! Addresses to listen on.

use std::net::SocketAddr;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Reads an address.
pub(super) fn one<'de, D: Deserializer<'de>>(reader: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(reader)?;
    let wrong =
        || D::Error::custom(format!("{text:?} is no address: give an IP address and a port, such as 127.0.0.1:8480"));
    text.parse().map_err(|_| wrong())
}

/// Reads an address; an empty text is none.
pub(super) fn optional<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(reader)?;
    if text.is_empty() {
        return Ok(None);
    }
    one(serde::de::value::StringDeserializer::new(text)).map(Some)
}
