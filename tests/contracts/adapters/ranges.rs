//! Ranges: a long list is cut into parts that are read by themselves, and together they are the whole.

use std::collections::BTreeSet;

use deskhand::work_orders::adapters::{Connection, Page, Walk, Window};

use super::edit::adapter;
use crate::fakes::desk::{Desk, all};

/// Those whose lists have no end that can be asked for, or that do not tell how long they are.
const WHOLE: [&str; 3] = ["zendesk", "rest by cursor", "rest by link"];

const COUNT: u64 = 240;
const PARTS: u64 = 4;

async fn first_page(connection: &Connection) -> Page {
    Walk::new(adapter(connection), connection, None).next_page().await.expect("reads").expect("a page")
}

async fn windows(connection: &Connection, ahead: u64, parts: u64) -> Vec<Window> {
    let cuts = adapter(connection).cuts(connection, None, ahead, parts).await.expect("looks");
    assert!(cuts.is_sorted_by(|one, other| one < other), "{}: {cuts:?}", connection.name);
    let begins = std::iter::once(None).chain(cuts.iter().copied().map(Some));
    let ends = cuts.iter().copied().map(Some).chain([None]);
    begins.zip(ends).map(|(since, until)| Window { since, until }).collect()
}

async fn read(connection: &Connection, window: Window) -> Vec<String> {
    let (mut walk, mut found) = (Walk::new(adapter(connection), connection, window), Vec::new());
    while let Some(page) = walk.next_page().await.expect("reads") {
        found.extend(page.tickets.into_iter().map(|ticket| ticket.expect("readable").external_id));
    }
    found
}

fn numbered(desk: &dyn Desk) -> BTreeSet<String> {
    (1..=COUNT).map(|n| desk.id(n)).collect()
}

#[tokio::test]
async fn the_parts_of_a_list_are_about_equal_and_together_the_whole() {
    for (name, desk) in all(COUNT).await {
        desk.page_size(20);
        let connection = desk.connection();
        let ahead = first_page(&connection).await.ahead;
        if WHOLE.contains(&name) {
            assert_eq!(ahead, None, "{name}");
            assert_eq!(windows(&connection, COUNT, PARTS).await, [Window::default()], "{name}");
            continue;
        }
        assert_eq!(ahead, Some(COUNT - 20), "{name}");
        let before = desk.lists();
        let windows = windows(&connection, COUNT, PARTS).await;
        assert_eq!(windows.len() as u64, PARTS, "{name}: {windows:?}");
        assert!(desk.lists() - before <= PARTS as usize, "{name}: {} requests to look", desk.lists() - before);
        let (mut union, mut sum) = (BTreeSet::new(), 0);
        for window in windows {
            let part: BTreeSet<String> = read(&connection, window).await.into_iter().collect();
            // Three in a row share their instant, and a system that says "later than" is asked a little earlier.
            assert!(part.len().abs_diff(60) <= 20, "{name}: {} in {window:?}", part.len());
            sum += part.len();
            union.extend(part);
        }
        assert_eq!(union, numbered(&*desk), "{name}");
        assert!(sum - union.len() <= 3 * PARTS as usize, "{name}: {} are in two parts", sum - union.len());
    }
}

#[tokio::test]
async fn tickets_of_one_instant_are_never_divided() {
    for (name, desk) in all(3).await {
        let connection = desk.connection();
        let windows = windows(&connection, 3, 8).await;
        let mut found = BTreeSet::new();
        for window in &windows {
            found.extend(read(&connection, *window).await);
        }
        assert!(windows.len() <= 3, "{name}: {windows:?}");
        assert_eq!(found.len(), 3, "{name}");
    }
}

#[tokio::test]
async fn a_ticket_that_leaves_a_part_while_it_is_read_hides_no_other() {
    for (name, desk) in all(COUNT).await.into_iter().filter(|(name, _)| !WHOLE.contains(name)) {
        desk.page_size(10);
        let connection = desk.connection();
        let windows = windows(&connection, COUNT, PARTS).await;
        desk.touch_while_paging();
        let mut found = BTreeSet::new();
        // The last part is read last: what leaves another one comes in there.
        for window in windows {
            found.extend(read(&connection, window).await);
        }
        assert_eq!(found, numbered(&*desk), "{name}");
    }
}
