//! Which queues a worker serves, and in which order it asks them.

use std::str::FromStr;

use crate::id::QueueName;

/// The largest weight of a queue; shares beyond it are better served by workers of their own.
pub const MAX_WEIGHT: u32 = 1_000;

/// The queues of a worker, each once, and the order in which it takes jobs from them.
///
/// Read from text, `mail,reports` is ordered and `mail=5,reports=1` is weighted. Without any queue a worker does nothing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct QueueSet {
    names: Vec<QueueName>,
    weights: Option<Vec<u32>>,
}

/// A list of queues that makes no sense; the text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Nonsense(String);

impl Default for QueueSet {
    fn default() -> Self {
        Self { names: vec![QueueName::default()], weights: None }
    }
}

impl QueueSet {
    /// Makes an ordered set: all jobs of the first queue before any of the second, and so on.
    ///
    /// # Errors
    /// [`Nonsense`] if a queue is named twice.
    pub fn ordered(names: impl IntoIterator<Item = QueueName>) -> Result<Self, Nonsense> {
        let names: Vec<QueueName> = names.into_iter().collect();
        each_once(&names)?;
        Ok(Self { names, weights: None })
    }

    /// Makes a weighted set: while several queues have work, each gets its share of the jobs by its weight.
    ///
    /// # Errors
    /// [`Nonsense`] if a queue is named twice or a weight is not from 1 to [`MAX_WEIGHT`].
    pub fn weighted(shares: impl IntoIterator<Item = (QueueName, u32)>) -> Result<Self, Nonsense> {
        let (names, weights): (Vec<QueueName>, Vec<u32>) = shares.into_iter().unzip();
        each_once(&names)?;
        for (name, weight) in names.iter().zip(&weights) {
            if !(1..=MAX_WEIGHT).contains(weight) {
                return Err(Nonsense(format!(
                    "queue {name} has the weight {weight}: give it one from 1 to {MAX_WEIGHT}, or leave the queue out"
                )));
            }
        }
        Ok(Self { names, weights: Some(weights) })
    }

    /// Returns the queues in the order in which they were given.
    pub fn names(&self) -> &[QueueName] {
        &self.names
    }

    /// Returns the weight of each queue, in the order of [`QueueSet::names`], if the set is weighted.
    pub fn weights(&self) -> Option<&[u32]> {
        self.weights.as_deref()
    }

    fn read<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, Nonsense> {
        let (mut plain, mut shares) = (Vec::new(), Vec::new());
        for item in items.into_iter().map(str::trim) {
            let (name, weight) =
                item.split_once('=').map_or((item, None), |(name, weight)| (name.trim(), Some(weight)));
            let name = QueueName::new(name).map_err(|error| Nonsense(error.to_string()))?;
            match weight {
                None => plain.push(name),
                Some(weight) => shares.push((name.clone(), read_weight(&name, weight.trim())?)),
            }
        }
        match (plain.first(), shares.first()) {
            (None, None) => Err(Nonsense("it names no queue: name at least one, such as \"default\"".to_owned())),
            (Some(plain), Some((weighted, _))) => Err(Nonsense(format!(
                "queue {weighted} has a weight and queue {plain} has none: give all a weight, or none for a strict order"
            ))),
            (Some(_), None) => Self::ordered(plain),
            (None, Some(_)) => Self::weighted(shares),
        }
    }
}

fn read_weight(name: &QueueName, text: &str) -> Result<u32, Nonsense> {
    text.parse().map_err(|_| {
        Nonsense(format!(
            "the weight {text:?} of queue {name} is not a number: write one from 1 to {MAX_WEIGHT}, as in {name}=5"
        ))
    })
}

fn each_once(names: &[QueueName]) -> Result<(), Nonsense> {
    let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
    twice.map_or(Ok(()), |(_, name)| Err(Nonsense(format!("it names {name} twice: name each queue once"))))
}

impl FromStr for QueueSet {
    type Err = Nonsense;

    fn from_str(text: &str) -> Result<Self, Nonsense> {
        Self::read(text.split(',').filter(|item| !item.trim().is_empty()))
    }
}

impl TryFrom<Vec<String>> for QueueSet {
    type Error = Nonsense;

    fn try_from(items: Vec<String>) -> Result<Self, Nonsense> {
        Self::read(items.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_ordered_or_weighted() {
        let ordered: QueueSet = "mail, reports".parse().expect("valid");
        assert_eq!(ordered.names().iter().map(QueueName::as_str).collect::<Vec<_>>(), ["mail", "reports"]);
        assert_eq!(ordered.weights(), None);
        let weighted = QueueSet::try_from(vec!["mail=5".to_owned(), "reports = 1".to_owned()]).expect("valid");
        assert_eq!(weighted.names(), ordered.names());
        assert_eq!(weighted.weights(), Some(&[5, 1][..]));
    }

    #[test]
    fn nonsense_is_refused_with_the_cure() {
        for (text, words) in [
            ("", "names no queue"),
            (",", "names no queue"),
            ("mail,mail", "names mail twice"),
            ("mail=1,mail=2", "names mail twice"),
            ("mail=5,reports", "queue mail has a weight and queue reports has none"),
            ("mail=0", "give it one from 1 to 1000, or leave the queue out"),
            ("mail=1001", "from 1 to 1000"),
            ("mail=much", "the weight \"much\" of queue mail is not a number"),
            ("mail=-1", "as in mail=5"),
            ("Mail=1", "\"Mail\""),
            ("=1", "\"\""),
        ] {
            let error = text.parse::<QueueSet>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
