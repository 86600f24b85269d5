//! Finding the one whom we mean among the people of a system.

use super::{Connection, Error};
use crate::work_orders::model::Person;

const MAX_NAMED: usize = 10;

/// Somebody whom a ticket may be given to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What the system calls them in a change.
    pub(super) id: String,
    /// The name that is shown.
    pub(super) name: String,
    /// The name of the account, where that is another one.
    pub(super) login: Option<String>,
    /// The address; some systems hide it.
    pub(super) email: Option<String>,
}

/// Returns what to search a person by, the surest first.
pub(super) fn terms(person: &Person) -> impl Iterator<Item = &str> {
    [&person.email, &person.name].into_iter().flatten().map(String::as_str).filter(|term| !term.trim().is_empty())
}

/// Finds the one candidate who is the person. To give a ticket to somebody else of that name would be worse than a refusal.
pub(super) fn pick<'a>(
    connection: &Connection,
    person: &Person,
    candidates: &'a [Candidate],
) -> Result<&'a Candidate, Error> {
    let same = |one: &str, other: &str| one.trim().to_lowercase() == other.trim().to_lowercase();
    let email = person.email.as_deref().filter(|email| !email.trim().is_empty());
    let has_email = |candidate: &&Candidate| {
        candidate.email.as_deref().zip(email).is_some_and(|(theirs, wanted)| same(theirs, wanted))
    };
    let has_name = |candidate: &&Candidate| {
        let names = [Some(candidate.name.as_str()), candidate.login.as_deref()];
        person.name.as_deref().is_some_and(|wanted| names.iter().flatten().any(|name| same(name, wanted)))
    };
    let mut fitting: Vec<_> = candidates.iter().filter(has_email).collect();
    if fitting.is_empty() {
        // Who shows another address is somebody else.
        let may_be = |candidate: &&Candidate| email.is_none() || candidate.email.is_none();
        fitting = candidates.iter().filter(has_name).filter(may_be).collect();
    }
    // Who is found by address and by name is one.
    fitting.sort_by(|one, other| one.id.cmp(&other.id));
    fitting.dedup_by(|one, other| one.id == other.id);
    let said = terms(person).collect::<Vec<_>>().join(", ");
    let (message, named) = match fitting.as_slice() {
        [one] => return Ok(one),
        [] => (
            format!("assignee: nobody to whom the ticket may be given is known as {said}"),
            candidates.iter().collect(),
        ),
        several => {
            (format!("assignee: {} people are known as {said}, give the e-mail address", several.len()), fitting)
        }
    };
    Err(Error::refused(connection, vec![message], named.iter().take(MAX_NAMED).map(|one| one.name.clone()).collect()))
}
