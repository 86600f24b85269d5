//! Whose turn it is among the priorities of a queue: pure. `redis/lua/claim.lua` has a twin, and the model test compares them.

use crate::options::Priority;

/// How many more urgent jobs a waiting priority lets pass before it gets the next job: one of every 32 at the least.
pub const PASSED_OVER: u8 = 31;

const RANKS: usize = Priority::ALL.len();

/// For each priority, the most urgent first: how many more urgent jobs were handed out while it waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Turns([u8; RANKS]);

impl Turns {
    /// Reads what [`Turns::packed`] gave.
    pub(crate) fn unpacked(packed: u32) -> Self {
        Self(packed.to_le_bytes())
    }

    /// Returns the counts in one number.
    pub(crate) fn packed(self) -> u32 {
        u32::from_le_bytes(self.0)
    }

    /// Chooses the priority of the next job among those that have one which may start, and counts.
    ///
    /// The most urgent goes first, unless others have let enough pass; of these the least urgent goes first, so that no other can
    /// make it wait longer. While only one waits nothing is counted: that costs a store nothing.
    pub(crate) fn next(&mut self, waiting: [bool; RANKS]) -> Option<usize> {
        let first = waiting.iter().position(|waits| *waits)?;
        let last = waiting.iter().rposition(|waits| *waits)?;
        if first == last {
            return Some(first);
        }
        let overdue = |rank: &usize| waiting[*rank] && self.0[*rank] >= PASSED_OVER;
        let turn = (first + 1..RANKS).rev().find(overdue).unwrap_or(first);
        self.0[turn] = 0;
        for rank in (turn + 1..RANKS).filter(|rank| waiting[*rank]) {
            self.0[rank] += 1;
        }
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_urgent_go_first_and_one_of_32_is_for_those_who_wait() {
        let mut turns = Turns::default();
        let chosen: Vec<_> = (0..64).filter_map(|_| turns.next([false, true, false, true])).collect();
        let low: Vec<_> = chosen.iter().enumerate().filter(|(_, rank)| **rank == 3).map(|(at, _)| at).collect();
        assert_eq!(low, [31, 63]);
    }

    #[test]
    fn who_waits_alone_is_not_counted() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            assert_eq!(turns.next([false, false, true, false]), Some(2));
        }
        assert_eq!((turns, turns.next([false; 4])), (Turns::default(), None));
    }

    proptest! {
        #[test]
        fn nobody_who_waits_lets_more_than_31_pass(arrivals in prop::collection::vec(any::<[bool; 4]>(), 1..400)) {
            let (mut turns, mut lines, mut passed) = (Turns::default(), [0_u32; 4], [0_u32; 4]);
            for arrived in arrivals {
                for (line, arrived) in lines.iter_mut().zip(arrived) {
                    *line += u32::from(arrived);
                }
                let waiting = lines.map(|jobs| jobs > 0);
                let Some(turn) = turns.next(waiting) else { continue };
                prop_assert!(waiting[turn]);
                lines[turn] -= 1;
                passed[turn] = 0;
                for rank in turn + 1..4 {
                    passed[rank] += u32::from(waiting[rank]);
                    prop_assert!(passed[rank] <= u32::from(PASSED_OVER), "priority {rank}");
                }
                prop_assert_eq!(Turns::unpacked(turns.packed()), turns);
            }
        }
    }
}
