//! How long to wait before the next attempt: pure arithmetic.

use serde::{Deserialize, Serialize};

/// A back-off policy. Every number is a field; all delays are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Backoff {
    /// The delay after the first failure.
    pub base_ms: u64,
    /// What each further failure multiplies the delay by; 1.0 keeps it constant.
    pub factor: f64,
    /// The longest delay.
    pub max_ms: u64,
    /// The share of the delay that is drawn at random: 1.0 is full jitter (0 to the delay), 0.0 is exact.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_ms: 2_000, factor: 2.0, max_ms: 600_000, jitter: 1.0 }
    }
}

impl Backoff {
    /// A constant, exact delay.
    pub const fn exactly(delay_ms: u64) -> Self {
        Self { base_ms: delay_ms, factor: 1.0, max_ms: delay_ms, jitter: 0.0 }
    }

    /// Returns the delay in milliseconds after the `failures`-th failure (1 is the first).
    ///
    /// `draw` is a random number in `[0, 1)`; the caller provides it so that the answer is a function of its arguments.
    pub fn delay_ms(&self, failures: u32, draw: f64) -> u64 {
        let exponent = failures.saturating_sub(1).min(1_000) as i32;
        let whole = (self.base_ms as f64 * self.factor.max(1.0).powi(exponent)).min(self.max_ms as f64);
        let jitter = self.jitter.clamp(0.0, 1.0);
        (whole * (1.0 - jitter * draw.clamp(0.0, 1.0))).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let backoff = Backoff { base_ms: 1_000, factor: 2.0, max_ms: 10_000, jitter: 0.0 };
        let delays: Vec<u64> = (1..=6).map(|n| backoff.delay_ms(n, 0.5)).collect();
        assert_eq!(delays, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    }

    #[test]
    fn an_exact_delay_stays_exact() {
        assert_eq!(Backoff::exactly(7_000).delay_ms(9, 0.99), 7_000);
    }

    proptest! {
        #[test]
        fn a_delay_is_never_beyond_the_cap(failures in 0u32.., draw in 0.0f64..1.0, jitter in 0.0f64..=1.0) {
            let backoff = Backoff { jitter, ..Backoff::default() };
            prop_assert!(backoff.delay_ms(failures, draw) <= backoff.max_ms);
        }
    }
}
