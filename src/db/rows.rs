//! Many rows in one statement.

/// The most rows of one statement: SQLite takes 32,766 values.
const MOST: usize = 256;

/// Splits rows into parts whose sizes are powers of two, the largest first. So there are few different statements, and they stay
/// prepared.
pub fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = rows.len().checked_ilog2().map(|power| MOST.min(1 << power))?;
        let (part, rest) = rows.split_at(size);
        rows = rest;
        Some(part)
    })
}

/// Writes what stands behind `VALUES`: so many rows of so many placeholders, each with a text at its end.
pub fn placeholders(rows: usize, values: usize, end: &str) -> String {
    let row = format!("({}{end}), ", vec!["?"; values].join(", "));
    let mut all = row.repeat(rows);
    all.truncate(all.len().saturating_sub(2));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_few_sizes_and_lose_nothing() {
        for (count, sizes) in [(0, vec![]), (1, vec![1]), (7, vec![4, 2, 1]), (600, vec![256, 256, 64, 16, 8])] {
            let rows: Vec<usize> = (0..count).collect();
            let split: Vec<&[usize]> = parts(&rows).collect();
            assert_eq!(split.iter().map(|part| part.len()).collect::<Vec<_>>(), sizes);
            assert_eq!(split.concat(), rows);
        }
    }

    #[test]
    fn every_value_has_its_place() {
        assert_eq!(placeholders(2, 2, ", 'x'"), "(?, ?, 'x'), (?, ?, 'x')");
        assert_eq!(placeholders(1, 1, ""), "(?)");
    }
}
