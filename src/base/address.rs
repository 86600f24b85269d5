//! Addresses of databases and queues, as people may see them.

/// Blanks the passwords of an address, before the hosts and behind the question mark; what is no address stays as it is.
///
/// Works on the text: an address may name several hosts, and a password may have signs that belong elsewhere.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
    let login = login.map(|login| match login.split_once(':') {
        Some((user, _)) => format!("{user}:***@"),
        None => format!("{login}@"),
    });
    let (place, query) = place.split_once('?').map_or((place, None), |(place, query)| (place, Some(query)));
    let query = query.map(|query| {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.contains("pass") => format!("{name}=***"),
            _ => pair.to_owned(),
        });
        format!("?{}", pairs.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{}{place}{}", login.unwrap_or_default(), query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_address_has_no_password() {
        assert_eq!(shown("postgres://dan:pw@db.example:5432/desk"), "postgres://dan:***@db.example:5432/desk");
        assert_eq!(shown("rediss://:pw@queue.example/0"), "rediss://:***@queue.example/0");
        assert_eq!(shown("sqlite://data/deskhand.db"), "sqlite://data/deskhand.db");
        assert_eq!(shown("redis+cluster://u:p@h1:1,h2:2"), "redis+cluster://u:***@h1:1,h2:2");
        assert_eq!(
            shown("redis+sentinel://u:p?@h/0?service=m&sentinel_password=p"),
            "redis+sentinel://u:***@h/0?service=m&sentinel_password=***"
        );
    }
}
