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

/// How often one cut is looked for at most. Where changes lie evenly one look is enough.
pub(super) const STEPS: usize = 16;

/// What is known of a list that only counts: how many tickets changed before an instant, in milliseconds since 1970.
pub(super) struct Scale(Vec<(i64, u64)>);

impl Scale {
    /// Begins with the first and the last change of a list of so many tickets.
    pub(super) fn new(first_ms: i64, last_ms: i64, tickets: u64) -> Self {
        Self(vec![(first_ms, 0), (last_ms + 1, tickets)])
    }

    /// Returns where to count next to find the change before which `rank` tickets lie; `None` if what is known is near enough. Every other
    /// step halves: where changes lie close together, the rule of proportion alone comes nearer by little.
    pub(super) fn guess(&self, rank: u64, near_enough: u64, step: usize) -> Option<i64> {
        if self.nearest(rank).1.abs_diff(rank) <= near_enough {
            return None;
        }
        let above = self.0.iter().position(|(_, before)| *before > rank)?;
        let ((from_ms, low), (to_ms, high)) = (self.0[above.checked_sub(1)?], self.0[above]);
        let share = if step % 2 == 1 { 0.5 } else { rank.saturating_sub(low) as f64 / high.saturating_sub(low) as f64 };
        let guess = from_ms + ((to_ms - from_ms) as f64 * share) as i64;
        (to_ms - from_ms > 1).then(|| guess.clamp(from_ms + 1, to_ms - 1))
    }

    /// Notes how many changed before an instant.
    pub(super) fn note(&mut self, at_ms: i64, before: u64) {
        let place = self.0.partition_point(|(known_ms, _)| *known_ms < at_ms);
        self.0.insert(place, (at_ms, before));
    }

    /// Returns the known instant before which nearest to `rank` tickets lie, and how many do.
    pub(super) fn nearest(&self, rank: u64) -> (i64, u64) {
        self.0.iter().copied().min_by_key(|(_, before)| before.abs_diff(rank)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_finds_about_equal_parts_however_changes_lie() {
        let even: Vec<i64> = (0..10_000).map(|n| n * 60_000).collect();
        // Nine in ten came with an import, within a minute of ten years.
        let mut imported: Vec<i64> = (0..1_000).map(|n| n * 315_360_000).collect();
        imported.extend((0..9_000).map(|n| 200_000_000_000 + n * 6));
        imported.sort_unstable();
        for (dates, most, off) in [(even, 7, 150), (imported, 50, 300)] {
            let mut scale = Scale::new(dates[0], dates[dates.len() - 1], dates.len() as u64);
            let mut counted = 0;
            for rank in borders(10_000, 8).map(|rank| rank as u64) {
                for step in 0..STEPS {
                    let Some(at) = scale.guess(rank, 150, step) else { break };
                    counted += 1;
                    scale.note(at, dates.partition_point(|date| *date < at) as u64);
                }
            }
            assert!(counted <= most, "{counted} counts");
            for rank in borders(10_000, 8).map(|rank| rank as u64) {
                assert!(scale.nearest(rank).1.abs_diff(rank) <= off, "{rank}: {:?}", scale.nearest(rank));
            }
        }
    }

    #[test]
    fn of_one_instant_there_is_nothing_to_count() {
        assert_eq!(Scale::new(5, 5, 100).guess(50, 0, 0), None);
    }

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
