//! Where a long list is cut into parts: at the tickets on the borders between them.

use chrono::{DateTime, Utc};

/// Returns the offsets of the tickets that begin all parts but the first, of a list of `ahead` tickets.
pub(super) fn borders(ahead: u64, parts: u64) -> impl Iterator<Item = usize> + Send {
    (1..parts).map(move |part| usize::try_from(ahead * part / parts).unwrap_or(usize::MAX))
}

/// Puts cuts in order. Tickets that share an instant stay together, and some change while one looks.
pub(super) fn in_order(mut cuts: Vec<DateTime<Utc>>) -> Vec<DateTime<Utc>> {
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_about_equal() {
        assert_eq!(borders(1_000, 4).collect::<Vec<_>>(), [250, 500, 750]);
        assert_eq!(borders(3, 4).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(borders(1_000, 1).count(), 0);
    }

    #[test]
    fn a_cut_is_there_once() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("in range");
        assert_eq!(in_order(vec![at(3), at(1), at(3)]), [at(1), at(3)]);
    }
}
