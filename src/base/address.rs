//! Addresses of databases and queues, as people may see them.

/// Blanks the password of an address; what is no address stays as it is.
pub fn shown(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Fails only for an address without a host, which has no password.
            let _ = parsed.set_password(Some("***"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_address_has_no_password() {
        assert_eq!(shown("postgres://dan:pw@db.example:5432/desk"), "postgres://dan:***@db.example:5432/desk");
        assert_eq!(shown("rediss://:pw@queue.example/0"), "rediss://:***@queue.example/0");
        assert_eq!(shown("sqlite://data/deskhand.db"), "sqlite://data/deskhand.db");
    }
}
