//! What people do in a ticket system while it is read, and what stands there then; the same for every fake.

/// What somebody does to a ticket; numbers choose among the words that the system has.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// Makes another one, whichever ticket is named.
    Make,
    Title(u8),
    Text(u8),
    Status(u8),
    Priority(u8),
    /// Gives it to somebody, or to nobody.
    Give(Option<u8>),
    /// Says on which day of a month it is due, or never.
    Due(Option<u8>),
    /// Puts so many labels on it.
    Label(u8),
    Remove,
    /// Brings it back.
    Restore,
    /// From now on its body cannot be read; the date of its last change stays.
    Spoil,
    /// It can be read again; the date of its last change stays.
    Mend,
}

impl Deed {
    /// Says whether it leaves the date of the last change as it was.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Spoil | Self::Mend)
    }
}

/// Somebody does something to the n-th ticket.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) n: u64,
    pub(crate) deed: Deed,
    /// How long after the latest change of all tickets; a little before it where one server's clock is slow.
    pub(crate) after_s: i64,
}

/// How a ticket stands there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Truth {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) status: String,
    pub(crate) priority: String,
    pub(crate) assignee: Option<String>,
    /// A day.
    pub(crate) due: Option<String>,
    /// None if the system has no labels.
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) is_gone: bool,
    pub(crate) is_spoilt: bool,
}

/// Names of so many labels.
pub(crate) fn labels(count: u8) -> Vec<String> {
    (0..count % 4).map(|label| format!("label{label}")).collect()
}

/// Writes a day of a month.
pub(crate) fn day(day: u8) -> String {
    format!("2027-03-{:02}", 1 + day % 28)
}
