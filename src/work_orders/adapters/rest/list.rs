//! The list, page by page.

use chrono::{DateTime, Utc};
use reqwest::header::LINK;
use serde_json::Value;
use url::Url;

use super::call::get;
use super::plan::{Paging, Plan};
use super::template::Slot;
use super::ticket::{self, Found};
use crate::outbound::Answer;
use crate::work_orders::adapters::anchor::{Anchor, Ends};
use crate::work_orders::adapters::cuts::{borders, in_order};
use crate::work_orders::adapters::fields::text;
use crate::work_orders::adapters::judge::{ask, read};
use crate::work_orders::adapters::{Connection, Error, Page, PageToken, Window};
use crate::work_orders::model::page_mark;

pub(super) async fn changed(
    connection: &Connection,
    plan: &Plan,
    window: Window,
    page: Option<&PageToken>,
) -> Result<Page, Error> {
    // The tokens of the other kinds of paging are no anchors.
    let at = Anchor::of(connection, window.since, page.filter(|_| plan.counts()))?;
    let url = match (&plan.paging, page) {
        (Paging::Link(_), Some(token)) => next_url(connection, &token.0)?,
        _ => plan.list.fill(connection, |slot| plan.value(slot, window, &at, page)),
    };
    let answer = ask(connection, get(connection, plan, url.clone())).await?;
    let body: Value = read(connection, &answer)?;
    let mut found = parse(connection, plan, &body)?;
    found.ahead = plan.ahead(&at, &found, &body);
    found.next = match &plan.paging {
        Paging::None => None,
        Paging::Cursor(place) => text(&body, place).map(PageToken),
        Paging::Link(place) => {
            link(place.as_deref(), &body, &answer).and_then(|next| Some(url.join(&next).ok()?.into())).map(PageToken)
        }
        Paging::Page(_) | Paging::Offset => {
            let ends = plan.ends(&body);
            let border = match plan.paging {
                Paging::Offset => ends.first.clone(),
                _ => border(connection, plan, window, &at).await?,
            };
            if at.has_moved(border.as_deref(), page_mark(dates(&found)), plan.since.step()) {
                return Ok(at.anew());
            }
            plan.beyond(at, window.since, &found, &body, ends.last).map(Anchor::token)
        }
    };
    Ok(found)
}

/// Cuts the list, if it has a place for the end of a part and tells how long it is.
pub(super) async fn cuts(
    connection: &Connection,
    plan: &Plan,
    since: Option<DateTime<Utc>>,
    ahead: u64,
    parts: u64,
) -> Result<Vec<DateTime<Utc>>, Error> {
    if !plan.is_cut() {
        return Ok(Vec::new());
    }
    // A system may give smaller pages than it was asked for.
    let per_step = match plan.paging {
        Paging::Page(_) => changed(connection, plan, since.into(), None).await?.len().max(1),
        _ => 1,
    };
    let mut cuts = Vec::new();
    for offset in borders(ahead, parts) {
        let at = Anchor::at(since, offset / per_step);
        let page = changed(connection, plan, since.into(), Some(&at.token())).await?;
        let first = dates(&page).next();
        // What the form of `{until}` cannot tell apart stays together.
        cuts.extend(first.map(|at| plan.since.floor(at)));
    }
    Ok(in_order(cuts))
}

/// Returns what the page before ends with by now, where pages are counted: they cannot begin with a ticket of the page before.
async fn border(connection: &Connection, plan: &Plan, window: Window, at: &Anchor) -> Result<Option<String>, Error> {
    let Some(before) = at.before() else { return Ok(None) };
    let token = before.clone().token();
    let url = plan.list.fill(connection, |slot| plan.value(slot, window, &before, Some(&token)));
    let body: Value = read(connection, &ask(connection, get(connection, plan, url)).await?)?;
    Ok(plan.ends(&body).last)
}

/// Finds the tickets of a page. A wrong place would look like an empty system.
pub(super) fn parse(connection: &Connection, plan: &Plan, body: &Value) -> Result<Page, Error> {
    let Some(items) = body.pointer(&plan.items).and_then(Value::as_array) else {
        let place = if plan.items.is_empty() { "at its top" } else { &plan.items };
        return Err(Error::permanent(
            connection,
            format!("the answer has no list {place}: change items_path of this system"),
        ));
    };
    let (mut tickets, mut deleted) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        match ticket::read(&plan.places, item) {
            Ok(Found::There(remote)) => tickets.push(Ok(*remote)),
            Ok(Found::Deleted(gone)) => deleted.push(gone),
            Err(error) => tickets.push(Err(error)),
        }
    }
    let page = Page { tickets, deleted, next: None, ahead: None };
    let dates: Vec<_> = dates(&page).collect();
    if dates.len() > 2 && dates.first() > dates.last() && dates.is_sorted_by(|one, other| one >= other) {
        // The place reached is that of the latest change: what follows would never be read.
        let cure = "add to list_url what sorts it by the last change, the earliest first";
        return Err(Error::permanent(connection, format!("the list begins with the latest change: {cure}")));
    }
    Ok(page)
}

fn dates(page: &Page) -> impl Iterator<Item = DateTime<Utc>> + '_ {
    page.tickets.iter().filter_map(|ticket| ticket.as_ref().ok()?.updated_at)
}

/// Returns the address of the next page, from the answer or from its header.
fn link(place: Option<&str>, body: &Value, answer: &Answer) -> Option<String> {
    match place {
        Some(place) => text(body, place),
        None => answer.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_link),
    }
}

/// Reads `<https://…>; rel="next"` among several.
fn next_link(header: &str) -> Option<String> {
    header.split('<').skip(1).find_map(|link| {
        let (url, parameters) = link.split_once('>')?;
        let parameters = parameters.split(',').next().unwrap_or_default();
        let is_next = parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=next" | "rel=\"next\""));
        is_next.then(|| url.to_owned())
    })
}

/// Reads the address of the next page. The credentials go along, so it has to be that of the system.
fn next_url(connection: &Connection, text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::permanent(connection, "the address of the next page is none"))?;
    if url.origin() != connection.api_url.origin() {
        let host = url.host_str().unwrap_or_default();
        return Err(Error::permanent(connection, format!("the next page is on another host, {host}: change api_url")));
    }
    Ok(url)
}

impl Plan {
    /// Says whether the list can be read in parts.
    fn is_cut(&self) -> bool {
        self.counts() && self.total.is_some() && self.list.has(Slot::Since) && self.list.has(Slot::Until)
    }

    /// Returns how many tickets follow a page, if that is to be known.
    fn ahead(&self, at: &Anchor, page: &Page, body: &Value) -> Option<u64> {
        if !self.is_cut() {
            return None;
        }
        let got = page.len();
        let passed = if matches!(self.paging, Paging::Page(_)) { at.offset * got.max(1) } else { at.skip() };
        Some(body.pointer(self.total.as_ref()?)?.as_u64()?.saturating_sub((passed + got) as u64))
    }

    /// Says whether the system counts pages or tickets.
    fn counts(&self) -> bool {
        matches!(self.paging, Paging::Page(_) | Paging::Offset)
    }

    /// Returns the first and the last ticket of a page, whatever can be read of them.
    fn ends(&self, body: &Value) -> Ends {
        let items = body.pointer(&self.items).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // Without {since} each run reads the whole list: what this one passes over comes with the next.
        let id = |item: &Value| text(item, &self.places.id).filter(|_| self.list.has(Slot::Since));
        Ends { first: items.first().and_then(id), last: items.last().and_then(id) }
    }

    fn value(&self, slot: Slot, window: Window, at: &Anchor, page: Option<&PageToken>) -> Option<String> {
        let Window { since, until } = window;
        match (slot, &self.paging) {
            (Slot::Limit, _) => Some(self.page_size.to_string()),
            (Slot::Page, Paging::Page(first)) => Some((first + at.offset).to_string()),
            (Slot::Offset, _) => Some(at.skip().to_string()),
            (Slot::Cursor, _) => page.map(|token| token.0.clone()),
            // The mark of a page: some systems take "since" as "later than", so it is asked a step earlier.
            (Slot::Since, _) if self.counts() && page.is_some() && at.from_ms > 0 => {
                Some(self.since.write(at.from() - self.since.step()))
            }
            (Slot::Until, _) => until.map(|until| self.since.write(until)),
            (Slot::Since, _) => since.map(|since| self.since.write(since - self.since.step())),
            _ => None,
        }
    }

    /// Returns where the next page begins. A system may give less than it was asked for, so only an empty page is the end where it
    /// does not say how many there are.
    fn beyond(
        &self,
        at: Anchor,
        since: Option<DateTime<Utc>>,
        page: &Page,
        body: &Value,
        last: Option<String>,
    ) -> Option<Anchor> {
        let by_page = matches!(self.paging, Paging::Page(_));
        let got = page.tickets.len() + page.deleted.len();
        let total = self.total.as_ref().and_then(|place| body.pointer(place)?.as_u64());
        let passed = if by_page { at.offset * got.max(1) } else { at.skip() };
        if got == 0 || total.is_some_and(|total| (passed + got) as u64 >= total) {
            return None;
        }
        // Deleted tickets count for the order, so a page of them alone goes on by count.
        let mark = page_mark(dates(page)).filter(|_| self.list.has(Slot::Since)).map(|mark| self.since.floor(mark));
        let floor = since.map_or(0, |since| self.since.floor(since).timestamp_millis());
        let mark_ms = mark.map(|mark| mark.timestamp_millis()).filter(|mark| *mark > floor);
        let offset = if by_page { at.offset + 1 } else { at.skip() + got };
        let last = last.filter(|_| offset > at.offset);
        let offset = offset.max(at.offset);
        Some(at.beyond(offset, mark_ms, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        for (header, expected) in [
            (r#"<https://a.b/?page=2>; rel="next", <https://a.b/?page=9>; rel="last""#, Some("https://a.b/?page=2")),
            (r#"<https://a.b/?page=1>; rel="prev", </x?a=1,2>; rel=next"#, Some("/x?a=1,2")),
            (r#"<https://a.b/?page=9>; rel="last""#, None),
            ("nothing", None),
        ] {
            assert_eq!(next_link(header).as_deref(), expected, "{header}");
        }
    }
}
