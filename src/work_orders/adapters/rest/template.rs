//! Addresses with places for what changes from call to call. They stay below the address of the system: credentials must not
//! travel to another one.

use url::Url;

use crate::work_orders::adapters::Connection;

/// What is put into a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// What names a ticket.
    Id,
    /// From when on.
    Since,
    /// Up to when.
    Until,
    /// The number of a page.
    Page,
    /// How many to pass over.
    Offset,
    /// How many to give.
    Limit,
    /// What names the next page.
    Cursor,
}

impl Slot {
    const ALL: [(&'static str, Self); 7] = [
        ("id", Self::Id),
        ("since", Self::Since),
        ("until", Self::Until),
        ("page", Self::Page),
        ("offset", Self::Offset),
        ("limit", Self::Limit),
        ("cursor", Self::Cursor),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, slot)| *slot == self).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Slot(Slot),
}

/// An address with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Vec<Part>>,
    query: Vec<(String, Vec<Part>)>,
}

impl Template {
    /// Reads an address that may have these places. The error is a sentence with the cure.
    pub(super) fn parse(text: &str, allowed: &[Slot]) -> Result<Self, String> {
        let text = text.trim();
        if text.contains("://") || text.starts_with("//") {
            return Err("it begins below api_url: leave out scheme and host, as in tickets?page={page}".to_owned());
        }
        if text.contains(['#', '\\']) || text.contains(char::is_whitespace) || text.contains('%') {
            return Err(
                "it has a sign that an address cannot have; write it without '#', '%', '\\' and blanks".to_owned()
            );
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = path.trim_matches('/');
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err("it has a step '.' or '..': write the address out".to_owned());
        }
        let parts = |text: &str| parts(text, allowed);
        let segments = path.split('/').filter(|segment| !segment.is_empty()).map(parts).collect::<Result<_, _>>()?;
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name.contains(['{', '}']) {
                return Err(format!("the parameter {name:?} has a place in its name: places stand in values"));
            }
            Ok((name.to_owned(), parts(value)?))
        });
        Ok(Self { segments, query: query.collect::<Result<_, String>>()? })
    }

    /// Returns the address of the system itself, which stands in for one that could not be read.
    pub(super) fn nothing() -> Self {
        Self { segments: Vec::new(), query: Vec::new() }
    }

    /// Says whether the address has this place.
    pub(super) fn has(&self, slot: Slot) -> bool {
        let values = self.segments.iter().chain(self.query.iter().map(|(_, value)| value));
        values.flatten().any(|part| *part == Part::Slot(slot))
    }

    /// Returns the address with its places filled. A parameter for which there is no value is left out.
    pub(super) fn fill(&self, connection: &Connection, value: impl Fn(Slot) -> Option<String>) -> Url {
        let put = |parts: &[Part]| -> Option<String> {
            parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => Some(text.clone()),
                    Part::Slot(slot) => value(*slot),
                })
                .collect()
        };
        let segments: Vec<_> = self.segments.iter().map(|parts| put(parts).unwrap_or_default()).collect();
        let mut url = connection.url(&segments.iter().map(String::as_str).collect::<Vec<_>>());
        if !self.query.is_empty() {
            let pairs = self.query.iter().filter_map(|(name, parts)| Some((name, put(parts)?)));
            url.query_pairs_mut().extend_pairs(pairs);
        }
        url
    }
}

fn parts(text: &str, allowed: &[Slot]) -> Result<Vec<Part>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else {
            return Err("a place has no end: write it as {since}".to_owned());
        };
        let slot = Slot::ALL.iter().find(|(known, slot)| *known == name && allowed.contains(slot));
        let Some((_, slot)) = slot else {
            let known: Vec<_> = allowed.iter().map(|slot| format!("{{{}}}", slot.name())).collect();
            return Err(format!("it has no place {{{name}}}; those it may have are: {}", known.join(", ")));
        };
        found.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
        found.push(Part::Slot(*slot));
        rest = behind;
    }
    if rest.contains('}') {
        return Err("a place has no beginning: write it as {since}".to_owned());
    }
    found.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Slot; 7] = [Slot::Id, Slot::Since, Slot::Until, Slot::Page, Slot::Offset, Slot::Limit, Slot::Cursor];

    #[test]
    fn bad_addresses_are_refused_with_the_cure() {
        for (text, cure) in [
            ("https://evil.example.com/x", "leave out scheme and host"),
            ("//evil.example.com/x", "leave out scheme and host"),
            ("a/../b", "'..'"),
            ("a#b", "cannot have"),
            ("a b", "cannot have"),
            ("a%2e%2e/b", "cannot have"),
            ("tickets/{key}", "{id}, {since}"),
            ("tickets/{id", "no end"),
            ("tickets/id}", "no beginning"),
            ("tickets?{id}=1", "in values"),
        ] {
            let error = Template::parse(text, &ALL).expect_err(text);
            assert!(error.contains(cure), "{text}: {error}");
        }
        assert!(Template::parse("tickets/{page}", &[Slot::Id]).is_err(), "a place that has no meaning there");
        assert!(Template::parse("/tickets?from=>={since}&n={limit}", &ALL).expect("fine").has(Slot::Since));
    }
}
