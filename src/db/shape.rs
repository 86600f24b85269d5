//! Whether a program may work on a database that is newer than itself.
//!
//! While a release is rolled out, processes of the one before go on and are started again beside the new ones. Most migrations
//! harm them nothing: they only expand. One that takes something away is named `NNNN_contract_MMMM_what.sql`: programs that know
//! migration MMMM no longer use it, older ones do. The name is in the database, so that a program reads it of migrations that it
//! does not have.

use std::collections::BTreeSet;

/// What the description of a migration that takes something away begins with: its file name without the number.
const CONTRACT: &str = "contract ";

/// A migration as the database names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) version: i64,
    pub(super) description: String,
}

impl Step {
    /// Returns the migration that a program has to know to do without what this one takes away; `None` if it takes nothing.
    fn needs(&self) -> Option<i64> {
        let rest = self.description.strip_prefix(CONTRACT)?;
        // One whose number cannot be read is meant for nobody who does not know it.
        Some(rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(self.version))
    }
}

/// Says why a program that knows these migrations cannot work on a database with those, if it cannot.
pub(super) fn refusal(known: &BTreeSet<i64>, applied: &[Step]) -> Option<String> {
    let newest = known.last().copied().unwrap_or_default();
    applied.iter().filter(|step| !known.contains(&step.version)).find_map(|step| {
        let Step { version, description } = step;
        if *version < newest {
            return Some(format!(
                "it has migration {version} ({description}), which programs that know migration {newest} know as well, but not this \
                 one: it is the database of another program"
            ));
        }
        step.needs().filter(|needed| *needed > newest).map(|needed| {
            format!(
                "migration {version} ({description}) took away what this program needs: start one that knows migration {needed} or \
                 newer, this one knows {newest}"
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(version: i64, description: &str) -> Step {
        Step { version, description: description.to_owned() }
    }

    #[test]
    fn a_newer_database_is_refused_only_if_it_lacks_what_this_program_needs() {
        let known = BTreeSet::from([1, 2, 4]);
        let old = [step(1, "jobs"), step(2, "api tokens")];
        for (further, refused) in [
            (vec![], None),
            (vec![step(4, "x")], None),
            (vec![step(5, "another column"), step(6, "an index")], None),
            // Whoever knows 4 does without already; that the number stands for an older one is no matter either.
            (vec![step(5, "contract 0004 drop args")], None),
            (vec![step(6, "contract 0002 drop args")], None),
            (vec![step(6, "contract 0005 drop args")], Some("start one that knows migration 5")),
            (vec![step(5, "a column"), step(9, "contract 0007 drop args")], Some("took away what this program needs")),
            (vec![step(6, "contract everything")], Some("knows migration 6")),
            (vec![step(3, "of another branch")], Some("database of another program")),
        ] {
            let applied = [&old[..], &further].concat();
            let told = refusal(&known, &applied);
            assert_eq!(told.is_some(), refused.is_some(), "{further:?}: {told:?}");
            assert!(told.unwrap_or_default().contains(refused.unwrap_or_default()), "{further:?}");
        }
    }
}
