//! Finding work orders.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use sea_query::{CaseStatement, Expr, ExprTrait, Func, LikeExpr, Order, Query, SelectStatement};

use super::row::Row;
use crate::base::{PageRequest, Paged, Result, TenantId};
use crate::db::{Build, Tx, read_page};
use crate::on;
use crate::work_orders::model::{Priority, Sort, Status, SystemId, WorkOrder, WorkOrderId};

/// Which work orders are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this status.
    pub status: Option<Status>,
    /// Only of this priority.
    pub priority: Option<Priority>,
    /// Only from this system.
    pub system: Option<SystemId>,
    /// Only of whoever has this name or e-mail address, in whatever case.
    pub assignee: Option<String>,
    /// Only with this in title, text or key, in whatever case.
    pub text: Option<String>,
    /// Only open ones that were due before this instant.
    pub due_before: Option<DateTime<Utc>>,
    /// Only open ones that are due at this instant or later.
    pub due_from: Option<DateTime<Utc>>,
    /// Only those that are not late at this instant: closed, without a date, or due later.
    pub not_late_at: Option<DateTime<Utc>>,
    /// Only those with changes that the system does not have, or only those without.
    pub has_changes: Option<bool>,
    /// Those that are gone from their system, and only them.
    pub deleted: bool,
}

/// How an order is written in SQL.
trait InSql: Copy {
    fn order(self) -> Order;
    fn key(self) -> Expr;
    fn without_date(self) -> DateTime<Utc>;
    fn place_of(self, order: &WorkOrder) -> Place;
}

impl InSql for Sort {
    fn order(self) -> Order {
        match self {
            Self::Created | Self::Updated | Self::Due | Self::Priority => Order::Asc,
            Self::CreatedDown | Self::UpdatedDown | Self::DueDown | Self::PriorityDown => Order::Desc,
        }
    }

    fn key(self) -> Expr {
        match self {
            Self::Created | Self::CreatedDown => Expr::col("reported_at"),
            Self::Updated | Self::UpdatedDown => Expr::col("updated_at"),
            Self::Due | Self::DueDown => Func::coalesce([Expr::col("due_date"), Expr::val(self.without_date())]).into(),
            Self::Priority | Self::PriorityDown => {
                let ranked = Priority::ALL.iter().enumerate();
                ranked
                    .fold(CaseStatement::new(), |ranks, (rank, priority)| {
                        ranks.case(Expr::col("priority").eq(priority.as_str()), Expr::val(rank as i64))
                    })
                    .into()
            }
        }
    }

    /// Returns the place of what has no date: behind all others.
    fn without_date(self) -> DateTime<Utc> {
        let year = if self.order() == Order::Asc { 9999 } else { 1 };
        NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN).and_utc()
    }

    fn place_of(self, order: &WorkOrder) -> Place {
        match self {
            Self::Created | Self::CreatedDown => Place::Instant(order.reported_at),
            Self::Updated | Self::UpdatedDown => Place::Instant(order.updated_at),
            Self::Due | Self::DueDown => Place::Instant(order.content.due_date.unwrap_or(self.without_date())),
            Self::Priority | Self::PriorityDown => {
                let rank = Priority::ALL.iter().position(|priority| *priority == order.content.priority);
                Place::Rank(rank.unwrap_or_default() as i64)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Instant(DateTime<Utc>),
    Rank(i64),
}

/// Where a walk through a list stands: behind this work order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    sort: Sort,
    place: Place,
    id: WorkOrderId,
}

impl Stand {
    /// Returns the order of the list in which it stands.
    pub fn sort(self) -> Sort {
        self.sort
    }
}

/// A text that is no place in a walk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cursor: take `next` of the page before, or begin with an empty one")]
pub struct NoStand(String);

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Instant(at) => at.timestamp_micros(),
            Place::Rank(rank) => rank,
        };
        write!(f, "{}~{place}~{}", self.sort, self.id)
    }
}

impl FromStr for Stand {
    type Err = NoStand;

    fn from_str(text: &str) -> Result<Self, NoStand> {
        let wrong = || NoStand(text.chars().take(200).collect());
        let mut parts = text.split('~');
        let (Some(sort), Some(place), Some(id), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let sort: Sort = sort.parse().map_err(|_| wrong())?;
        let place: i64 = place.parse().map_err(|_| wrong())?;
        let place = match sort {
            Sort::Priority | Sort::PriorityDown => Place::Rank(place),
            _ => Place::Instant(DateTime::from_timestamp_micros(place).filter(is_written).ok_or_else(wrong)?),
        };
        Ok(Self { sort, place, id: id.parse().map_err(|_| wrong())? })
    }
}

/// Says whether both databases can write an instant.
fn is_written(at: &DateTime<Utc>) -> bool {
    use chrono::Datelike;
    (1..=9999).contains(&at.year())
}

/// Reads a page of the work orders of a tenant.
pub(crate) async fn list(
    tx: &mut Tx,
    tenant: &TenantId,
    filter: &Filter,
    sort: Sort,
    page: PageRequest,
) -> Result<Paged<WorkOrder>> {
    let shown = |select: &mut SelectStatement| {
        select.column(sea_query::Asterisk).order_by_expr(sort.key(), sort.order()).order_by("id", sort.order());
    };
    read_page::<Row>(tx, matching(tenant, filter), shown, page).await?.try_map(Row::read)
}

/// Reads the next work orders of a walk, and where it stands then; `None` at its end.
pub(crate) async fn walk(
    tx: &mut Tx,
    tenant: &TenantId,
    filter: &Filter,
    sort: Sort,
    from: Option<Stand>,
    size: u64,
) -> Result<(Vec<WorkOrder>, Option<Stand>)> {
    let mut select = matching(tenant, filter);
    if let Some(from) = from {
        let place = match from.place {
            Place::Instant(at) => Expr::val(at),
            Place::Rank(rank) => Expr::val(rank),
        };
        let here = Expr::tuple([sort.key(), Expr::col("id")]);
        let there = Expr::tuple([place, Expr::val(from.id.to_string())]);
        select.and_where(if sort.order() == Order::Asc { here.gt(there) } else { here.lt(there) });
    }
    select.column(sea_query::Asterisk).order_by_expr(sort.key(), sort.order()).order_by("id", sort.order());
    select.limit(size + 1);
    let mut rows: Vec<Row> = on!(tx, |c| {
        let (sql, values) = c.build(&select);
        sqlx::query_as_with(sql, values).fetch_all(c).await
    })?;
    let has_more = rows.len() as u64 > size;
    rows.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let orders = rows.into_iter().map(Row::read).collect::<Result<Vec<_>>>()?;
    let last = orders.last().filter(|_| has_more);
    let next = last.map(|order| Stand { sort, place: sort.place_of(order), id: order.id });
    Ok((orders, next))
}

fn open() -> Expr {
    Expr::col("status").is_in([Status::Pending.as_str(), Status::Processing.as_str()])
}

fn matching(tenant: &TenantId, filter: &Filter) -> SelectStatement {
    let mut select = Query::select();
    select.from("work_orders").and_where(Expr::col("tenant_id").eq(tenant.as_str()));
    let words = [
        ("status", filter.status.map(|status| status.as_str().to_owned())),
        ("priority", filter.priority.map(|priority| priority.as_str().to_owned())),
        ("system_id", filter.system.map(|system| system.to_string())),
    ];
    for (column, word) in words {
        if let Some(word) = word {
            select.and_where(Expr::col(column).eq(word));
        }
    }
    let gone = Expr::col("deleted_at");
    select.and_where(if filter.deleted { gone.is_not_null() } else { gone.is_null() });
    if let Some(who) = &filter.assignee {
        let is = |column: &'static str| Func::lower(Expr::col(column)).eq(Func::lower(Expr::val(who.as_str())));
        select.and_where(is("assignee").or(is("assignee_email")));
    }
    if let Some(text) = &filter.text {
        let like = |column: &'static str, text: &str| {
            Func::lower(Expr::col(column)).like(LikeExpr::new(pattern(text)).escape('\\'))
        };
        // SQLite's lower() knows the 26 letters of English only, that of Postgres knows all.
        let forms = [text.to_ascii_lowercase(), text.to_lowercase()];
        let anywhere = |form: &String| like("title", form).or(like("external_key", form)).or(like("description", form));
        select.and_where(anywhere(&forms[0]).or(anywhere(&forms[1])));
    }
    if filter.due_before.is_some() || filter.due_from.is_some() {
        select.and_where(open());
    }
    select.and_where_option(filter.due_before.map(|at| Expr::col("due_date").lt(at)));
    select.and_where_option(filter.due_from.map(|at| Expr::col("due_date").gte(at)));
    select.and_where_option(filter.not_late_at.map(|at| {
        let later = Expr::col("due_date").is_null().or(Expr::col("due_date").gte(at));
        open().not().or(later)
    }));
    if let Some(has_changes) = filter.has_changes {
        let column = Expr::col("has_changes");
        select.and_where(if has_changes { column } else { column.not() });
    }
    select
}

/// Returns a pattern that finds a text anywhere, its own signs taken as they are.
fn pattern(text: &str) -> String {
    let plain = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{plain}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_written_and_nothing_else_does() {
        let id = WorkOrderId::new();
        for &sort in Sort::ALL {
            let place = match sort {
                Sort::Priority | Sort::PriorityDown => Place::Rank(2),
                _ => Place::Instant(DateTime::from_timestamp_micros(1_704_067_200_000_001).expect("in range")),
            };
            let stand = Stand { sort, place, id };
            assert_eq!(stand.to_string().parse(), Ok(stand));
        }
        for wrong in ["x", "due~1", "due~1~x", "colour~1~y", "due~x~y", &format!("due~{}~{id}", i64::MAX)] {
            let error = wrong.parse::<Stand>().expect_err(wrong).to_string();
            assert!(error.contains("no cursor"), "{error}");
        }
        assert!(format!("due~1~{id}~").parse::<Stand>().is_err());
    }

    #[test]
    fn signs_of_patterns_are_plain_text() {
        assert_eq!(pattern(r"100%_a\b"), r"%100\%\_a\\b%");
    }
}
