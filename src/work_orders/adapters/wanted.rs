//! The word of a system that says what we mean, or the refusal that lists those it has.

use super::{Connection, Error};
use crate::work_orders::model::{Category, Priority, Status};

/// Picks the status that the mapping reads as the wanted one among those to which the ticket can go from where it is.
pub(super) fn status<'a, T>(
    connection: &Connection,
    from: &str,
    wanted: Status,
    offers: &'a [T],
    word: impl for<'b> Fn(&'b T) -> (&'b str, Option<Category>),
) -> Result<&'a T, Error> {
    let mapping = &connection.mapping;
    mapping.pick_status(wanted, offers, &word).ok_or_else(|| {
        let message = format!(
            "status: from {from} no step leads to a status that means {wanted}; choose another one, or say in the mapping of this \
             system which of its words means {wanted}"
        );
        let offered = |offer| {
            let (word, category) = word(offer);
            format!("{word} ({})", mapping.status(word, category))
        };
        Error::refused(connection, vec![message], offers.iter().map(offered).collect())
    })
}

/// Picks the priority that the mapping reads as the wanted one.
pub(super) fn priority<'a, T>(
    connection: &Connection,
    wanted: Priority,
    offers: &'a [T],
    word: impl for<'b> Fn(&'b T) -> &'b str,
) -> Result<&'a T, Error> {
    let mapping = &connection.mapping;
    mapping.pick_priority(wanted, offers, &word).ok_or_else(|| {
        let message =
            format!("priority: none means {wanted}; say in the mapping of this system which of its words does");
        let offered = |offer| format!("{} ({})", word(offer), mapping.priority(word(offer)));
        Error::refused(connection, vec![message], offers.iter().map(offered).collect())
    })
}
