//! Medians and percentiles of what was measured.

/// Returns the middle value; of an even number the mean of the two. 0 without any.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Values in order, for percentiles.
pub(super) struct Sorted(Vec<f64>);

impl Sorted {
    pub(super) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// Returns the value that this share of all does not exceed: 0.5 for the median, 1.0 for the largest. 0 without any.
    pub(super) fn at(&self, share: f64) -> f64 {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn a_median_stands_in_the_middle() {
        is(median(vec![3.0, 1.0, 2.0]), 2.0);
        is(median(vec![4.0, 1.0]), 2.5);
        is(median(Vec::new()), 0.0);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted = Sorted::new((1..=200).rev().map(f64::from).collect());
        is(sorted.at(0.5), 100.0);
        is(sorted.at(0.99), 198.0);
        is(sorted.at(1.0), 200.0);
        is(Sorted::new(vec![7.0]).at(0.99), 7.0);
    }
}
