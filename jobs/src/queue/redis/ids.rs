//! Ids as the store keeps them: the 16 bytes of a UUID, or 14 if they say the same.
//!
//! A waiting job is named twice, in its list and in the hash of all jobs. Up to 14 bytes the server keeps a field in 16 bytes of memory,
//! beyond them in 32. In a `UUIDv7` six bits are always alike, and the first ten of its clock stay so from April 2022 to December 2030;
//! without these 16 bits an id is as good as with them, and sorts as before among its like. All other ids, and those of later years,
//! take their 16 bytes.

use std::ops::Deref;

use crate::id::JobId;

/// What the clock of a `UUIDv7` begins with when it is left out.
const ERA: u128 = 6;

/// How many bits of the clock are kept, and how many random bits stand before and behind the variant.
const CLOCK: u32 = 38;
const BEFORE: u32 = 12;
const BEHIND: u32 = 62;

const VERSION: u128 = 7;
const VARIANT: u128 = 2;

/// The bytes of an id under which a job is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    bytes: [u8; 16],
    len: usize,
}

impl Packed {
    pub(super) fn of(id: JobId) -> Self {
        let whole = u128::from_be_bytes(*id.as_bytes());
        let field = |above: u32, bits: u32| (whole >> above) & ((1 << bits) - 1);
        let (variant, version) = (field(BEHIND, 2), field(BEHIND + 2 + BEFORE, 4));
        if version != VERSION || variant != VARIANT || whole >> (80 + CLOCK) != ERA {
            return Self { bytes: *id.as_bytes(), len: 16 };
        }
        let short = (field(80, CLOCK) << BEFORE | field(BEHIND + 2, BEFORE)) << BEHIND | field(0, BEHIND);
        Self { bytes: (short << 16).to_be_bytes(), len: 14 }
    }

    /// Reads the id again; `None` if these bytes are none.
    pub(super) fn read(bytes: &[u8]) -> Option<JobId> {
        if bytes.len() != 14 {
            return JobId::from_slice(bytes);
        }
        let short = bytes.iter().fold(0_u128, |whole, byte| whole << 8 | u128::from(*byte));
        let field = |above: u32, bits: u32| (short >> above) & ((1 << bits) - 1);
        let clock = ERA << CLOCK | field(BEHIND + BEFORE, CLOCK);
        let random = (VARIANT << BEHIND) | field(0, BEHIND);
        let whole = clock << 80 | VERSION << 76 | field(BEHIND, BEFORE) << 64 | random;
        JobId::from_slice(&whole.to_be_bytes())
    }
}

impl Deref for Packed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Packed {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> JobId {
        text.parse().expect("a UUID")
    }

    #[test]
    fn ids_of_today_are_kept_in_fourteen_bytes_and_all_others_as_they_are() {
        for (text, len) in [
            (JobId::new().to_string().as_str(), 14),
            ("01800000-0000-7000-8000-000000000000", 14),
            ("01bfffff-ffff-7fff-bfff-ffffffffffff", 14),
            ("017fffff-ffff-7fff-bfff-ffffffffffff", 16),
            ("01c00000-0000-7000-8000-000000000000", 16),
            ("019aa8c2-7c1e-4000-8000-000000000000", 16),
            ("019aa8c2-7c1e-7000-c000-000000000000", 16),
            ("00000000-0000-0000-0000-000000000000", 16),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", 16),
        ] {
            let packed = Packed::of(id(text));
            assert_eq!((packed.len(), Packed::read(&packed)), (len, Some(id(text))), "{text}");
        }
        assert_eq!(Packed::read(&[0; 15]), None);
    }

    proptest! {
        #[test]
        fn ids_of_today_survive_and_keep_their_order(
            clock in 0..1_u128 << CLOCK, before in 0..1_u128 << BEFORE, behind in 0..1_u128 << BEHIND,
            apart in [0..2_u128, 0..2_u128, 0..2_u128],
        ) {
            let id = |[clock, before, behind]: [u128; 3]| {
                let clock = ERA << CLOCK | clock.min((1 << CLOCK) - 1);
                let random = before.min((1 << BEFORE) - 1) << 64 | VARIANT << BEHIND | behind.min((1 << BEHIND) - 1);
                JobId::from_slice(&(clock << 80 | VERSION << 76 | random).to_be_bytes()).expect("16 bytes")
            };
            let one = id([clock, before, behind]);
            let other = id([clock + apart[0], before + apart[1], behind ^ apart[2]]);
            let packed = [one, other].map(Packed::of);
            prop_assert_eq!(packed.map(|one| one.len()), [14, 14]);
            prop_assert_eq!(packed.map(|one| Packed::read(&one)), [Some(one), Some(other)]);
            prop_assert_eq!(packed[0].cmp(&packed[1]), one.cmp(&other));
        }

        #[test]
        fn whatever_is_an_id_survives(bytes in any::<[u8; 16]>()) {
            let id = JobId::from_slice(&bytes).expect("16 bytes");
            prop_assert_eq!(Packed::read(&Packed::of(id)), Some(id));
        }
    }
}
