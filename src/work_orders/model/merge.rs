//! The three-way merge: what a system says of a ticket, laid over what was changed here, field by field.
//!
//! | the system's field | ours | what becomes of it |
//! |---|---|---|
//! | whatever | as it last said | follows the system |
//! | as it last said | changed here | stays, and waits to be taken there |
//! | the same as ours | changed here | agreed: nothing waits any more (so comes back what we wrote) |
//! | changed there | changed here | [`Field::winner`] decides; both values stay visible |

use chrono::{DateTime, TimeDelta, Utc};

use super::exchange::{Clash, Exchange, Mark, Pending};
use super::{Content, Field, Side};

/// How long after an update of ours a list may come in that was read before it.
const STALE: TimeDelta = TimeDelta::hours(1);

/// Says whether what a system said is older than an update that it has taken from us.
pub fn is_stale(mark: Option<Mark>, remote: &Content, now: DateTime<Utc>) -> bool {
    let Some((mark, stamp)) = mark.zip(remote.external_updated_at) else { return false };
    stamp < mark.stamp && now - mark.at < STALE
}

/// Lays what the system says over a ticket. `local` and `exchange` are as they stand here.
pub fn merge(local: &Content, mut exchange: Exchange, remote: &Content, now: DateTime<Utc>) -> (Content, Exchange) {
    let mut merged = remote.clone();
    for &field in Field::ALL {
        let (ours, theirs) = (field.of(local), field.of(remote));
        let Some(change) = exchange.pending.remove(&field) else {
            if ours != theirs {
                exchange.swings.note(field, Side::There, now);
            }
            continue;
        };
        if ours == theirs {
            continue;
        }
        if theirs != change.base {
            let kept = field.winner();
            exchange.clashes.insert(field, Clash { here: ours, there: theirs.clone(), kept, at: now });
            if kept == Side::There {
                exchange.swings.note(field, Side::There, now);
                continue;
            }
        }
        field.copy(local, &mut merged);
        exchange.pending.insert(field, Pending { base: theirs, ..change });
    }
    (merged, exchange)
}

/// Lays what the system says after an update of ours over the ticket: of the fields that were taken there, its word now counts,
/// for it may have rounded a date or trimmed a text. Answers the fields that it left as they were, too.
pub fn confirm(
    sent: &Content,
    fields: &[Field],
    local: &Content,
    mut exchange: Exchange,
    remote: &Content,
    now: DateTime<Utc>,
) -> (Content, Exchange, Vec<Field>) {
    let mut left = Vec::new();
    let mut local = local.clone();
    for &field in fields {
        let Some(change) = exchange.pending.get_mut(&field) else { continue };
        let theirs = field.of(remote);
        if theirs == change.base && theirs != field.of(sent) {
            left.push(field);
            continue;
        }
        exchange.swings.note(field, Side::Here, now);
        exchange.clashes.remove(&field);
        if field.of(&local) == field.of(sent) {
            exchange.pending.remove(&field);
            field.copy(remote, &mut local);
        } else {
            // Somebody changed it again while it was under way.
            change.base = theirs;
        }
    }
    if let Some(stamp) = remote.external_updated_at {
        exchange.mark = Some(Mark { stamp, at: now });
    }
    let (merged, exchange) = merge(&local, exchange, remote, now);
    (merged, exchange, left)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::work_orders::model::ticket::tests::content;
    use crate::work_orders::model::{Edits, Priority, Status};

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn edited(base: &Content, edits: &Edits) -> (Content, Exchange) {
        let (mut local, mut exchange) = (base.clone(), Exchange::default());
        exchange.edit(&mut local, edits, "dana", &[], now()).expect("they make sense");
        (local, exchange)
    }

    fn titled(title: &str) -> Content {
        Content { title: title.into(), ..content() }
    }

    fn with_status(status: Status) -> Content {
        Content { status, ..content() }
    }

    #[test]
    fn each_field_is_decided_by_itself() {
        let title = |text: &str| Edits { title: Some(text.into()), ..Edits::default() };
        // base, edit here, what the system says → the title here, whether it waits, whether both changed it
        for (edit, remote, expected, waits, clash) in [
            (None, "theirs", "theirs", false, None),
            (Some("ours"), "base", "ours", true, None),
            (Some("ours"), "ours", "ours", false, None),
            (Some("ours"), "theirs", "ours", true, Some(Side::Here)),
        ] {
            let (local, exchange) = edited(&titled("base"), &edit.map(title).unwrap_or_default());
            let (merged, exchange) = merge(&local, exchange, &titled(remote), now());
            assert_eq!(merged.title, expected, "{edit:?} against {remote}");
            assert_eq!(exchange.pending.contains_key(&Field::Title), waits, "{edit:?} against {remote}");
            assert_eq!(exchange.clashes.get(&Field::Title).map(|clash| clash.kept), clash, "{edit:?} against {remote}");
        }
    }

    #[test]
    fn how_far_a_ticket_is_is_decided_where_the_work_is_done() {
        let edits = Edits { status: Some(Status::Closed), title: Some("ours".into()), ..Edits::default() };
        let (local, exchange) = edited(&with_status(Status::Pending), &edits);
        let (merged, exchange) = merge(&local, exchange, &with_status(Status::Processing), now());
        assert_eq!((merged.status, merged.title.as_str()), (Status::Processing, "ours"));
        assert_eq!(exchange.pending.keys().copied().collect::<Vec<_>>(), [Field::Title]);
        let clash = &exchange.clashes[&Field::Status];
        assert_eq!((clash.here.as_str(), clash.there.as_str()), (Some("closed"), Some("processing")));
        let (mut local, mut exchange) = (merged, exchange);
        let again = Edits { status: Some(Status::Closed), ..Edits::default() };
        exchange.edit(&mut local, &again, "dana", &[], now()).expect("makes sense");
        assert!(exchange.clashes.is_empty() && exchange.pending.contains_key(&Field::Status), "somebody decided");
    }

    #[test]
    fn what_the_system_does_not_take_stays_here() {
        let (mut local, mut exchange) = (content(), Exchange::default());
        let edits = Edits { tags: Some(vec!["a".into()]), category: Some(Some("b".into())), ..Edits::default() };
        exchange.edit(&mut local, &edits, "dana", &[Field::Tags], now()).expect("they make sense");
        assert_eq!(exchange.to_push(now()), [Field::Category]);
        exchange.pending.remove(&Field::Category);
        assert!(!exchange.has_changes(), "there is nothing to take there");
        let (merged, _) = merge(&local, exchange, &Content { tags: vec!["theirs".into()], ..content() }, now());
        assert_eq!(merged.tags, ["a"]);
        let old: Pending =
            serde_json::from_value(serde_json::json!({"base": [], "by": "dana", "since": now()})).expect("old");
        assert!(!old.travels(Field::Tags) && old.travels(Field::Title), "as it was before that was noted");
    }

    #[test]
    fn taking_a_change_back_leaves_nothing_behind() {
        let (mut local, mut exchange) = edited(&titled("base"), &Edits { title: Some("x".into()), ..Edits::default() });
        let back = Edits { title: Some("base".into()), ..Edits::default() };
        exchange.edit(&mut local, &back, "dana", &[], now()).expect("makes sense");
        assert!(exchange.is_empty() && local == titled("base"));
    }

    #[test]
    fn what_comes_back_from_an_update_of_ours_is_no_change() {
        let edits = Edits { title: Some("ours ".into()), priority: Some(Priority::Urgent), ..Edits::default() };
        let (local, exchange) = edited(&titled("base"), &edits);
        let fields = [Field::Title, Field::Priority];
        // The system shortens the title its own way.
        let remote = Content { priority: Priority::Urgent, ..titled("our…") };
        let (merged, exchange, left) = confirm(&local, &fields, &local, exchange, &remote, now());
        assert!(exchange.pending.is_empty() && exchange.clashes.is_empty() && left.is_empty(), "{exchange:?}");
        assert_eq!(merged, remote);
        let (again, after) = merge(&merged, exchange.clone(), &remote, now());
        assert_eq!((again, after), (merged, exchange));
    }

    #[test]
    fn a_field_that_the_system_left_alone_still_waits() {
        let edits = Edits { title: Some("ours".into()), ..Edits::default() };
        let (local, exchange) = edited(&titled("base"), &edits);
        let (merged, exchange, left) = confirm(&local, &[Field::Title], &local, exchange, &titled("base"), now());
        assert_eq!((merged.title.as_str(), left), ("ours", vec![Field::Title]));
        assert!(exchange.pending.contains_key(&Field::Title));
    }

    #[test]
    fn a_change_made_while_another_was_under_way_still_waits() {
        let (sent, exchange) = edited(&titled("base"), &Edits { title: Some("first".into()), ..Edits::default() });
        let (mut local, mut exchange) = (sent.clone(), exchange);
        let second = Edits { title: Some("second".into()), ..Edits::default() };
        exchange.edit(&mut local, &second, "dana", &[], now()).expect("makes sense");
        let (merged, exchange, _) = confirm(&sent, &[Field::Title], &local, exchange, &titled("first"), now());
        assert_eq!(merged.title, "second");
        assert_eq!(exchange.pending[&Field::Title].base, "first");
    }

    #[test]
    fn a_list_from_before_our_update_is_stale_for_an_hour() {
        let stamp = |seconds| DateTime::from_timestamp(seconds, 0).expect("in range");
        let mark = Some(Mark { stamp: stamp(100), at: now() });
        let said = |at: Option<i64>| Content { external_updated_at: at.map(stamp), ..content() };
        assert!(is_stale(mark, &said(Some(99)), now()));
        assert!(!is_stale(mark, &said(Some(100)), now()));
        assert!(!is_stale(mark, &said(None), now()));
        assert!(!is_stale(mark, &said(Some(99)), now() + STALE), "a system that was set back is believed again");
        assert!(!is_stale(None, &said(Some(99)), now()));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Here(u8, u8),
        There(u8, u8),
        Sync,
    }

    fn set(content: &mut Content, field: u8, value: u8) -> Edits {
        let edits = match field {
            0 => Edits { title: Some(format!("t{value}")), ..Edits::default() },
            1 => Edits { status: Some(Status::ALL[usize::from(value) % 5]), ..Edits::default() },
            2 => Edits { tags: Some(vec![format!("g{value}")]), ..Edits::default() },
            _ => Edits { assignee: Some((value > 0).then(|| format!("a{value}"))), ..Edits::default() },
        };
        edits.apply(content);
        edits
    }

    proptest! {
        /// Whatever people do on both sides: after a merge each field is the system's or waits with the system's word as its base,
        /// merging again changes nothing, and without changes here both sides are the same.
        #[test]
        fn both_sides_stay_accounted_for(steps in proptest::collection::vec(prop_oneof![
            (0u8..4, 0u8..3).prop_map(|(field, value)| Step::Here(field, value)),
            (0u8..4, 0u8..3).prop_map(|(field, value)| Step::There(field, value)),
            Just(Step::Sync),
        ], 0..40)) {
            let (mut local, mut remote, mut exchange) = (content(), content(), Exchange::default());
            for step in steps {
                match step {
                    Step::Here(field, value) => {
                        let edits = set(&mut local.clone(), field, value);
                        exchange.edit(&mut local, &edits, "dana", &[], now()).expect("makes sense");
                    }
                    Step::There(field, value) => { set(&mut remote, field, value); }
                    Step::Sync => {
                        let (merged, next) = merge(&local, exchange.clone(), &remote, now());
                        for &field in Field::ALL {
                            let value = field.of(&merged);
                            prop_assert!(value == field.of(&remote) || value == field.of(&local));
                            let Some(change) = next.pending.get(&field) else {
                                prop_assert_eq!(value, field.of(&remote));
                                continue;
                            };
                            prop_assert_eq!(&change.base, &field.of(&remote));
                            prop_assert_ne!(&value, &change.base);
                        }
                        let (again, after) = merge(&merged, next.clone(), &remote, now());
                        prop_assert_eq!((&again, &after), (&merged, &next));
                        (local, exchange) = (merged, next);
                    }
                }
            }
            let (merged, next) = merge(&local, exchange.clone(), &remote, now());
            prop_assert!(!next.pending.is_empty() || merged == remote);
        }
    }
}
