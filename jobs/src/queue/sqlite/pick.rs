//! Which jobs start next where limits or several priorities have a say.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sqlx::types::Json;

use super::apply::list;
use super::fault::Result;
use super::limits::Group;
use super::open::Change;
use crate::id::QueueName;
use crate::options::Priority;
use crate::queue::gate::Gate;
use crate::queue::turns::Turns;

const RANKS: usize = Priority::ALL.len();

/// The most jobs that one claim puts aside because their group may not start one. Each is put aside once.
const LIMITED_AT_ONCE: usize = 5_000;

/// The most jobs that are looked at together.
const CHUNK: usize = 500;

/// A ready job, as it is chosen.
struct Head {
    entry: i64,
    place: i64,
    group: Option<String>,
}

/// The ready jobs of one priority, the next ones of them loaded.
#[derive(Default)]
struct Line {
    loaded: VecDeque<Head>,
    /// The place of the last one that was loaded.
    after: Option<i64>,
    dry: bool,
    asked: usize,
    /// The limited jobs of groups that are open, by their places.
    limited: BTreeMap<i64, Head>,
}

impl Line {
    /// Says whether the next job is one of the limited.
    fn next_is_limited(&self) -> bool {
        let first = self.limited.first_key_value().map(|(place, _)| *place);
        match (self.loaded.front(), first) {
            (Some(head), Some(place)) => place < head.place,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    fn head(&self) -> Option<&Head> {
        if self.next_is_limited() {
            return self.limited.first_key_value().map(|(_, head)| head);
        }
        self.loaded.front()
    }

    fn pop(&mut self) -> Option<Head> {
        if self.next_is_limited() {
            return self.limited.pop_first().map(|(_, head)| head);
        }
        self.loaded.pop_front()
    }
}

/// A choice under way.
struct Picking<'a> {
    change: &'a mut Change,
    queue: &'a QueueName,
    wanted: usize,
    lines: [Line; RANKS],
    groups: HashMap<String, Group>,
    /// Entries of the chosen, in the order in which they should start.
    chosen: Vec<i64>,
    /// Entries of those to put aside.
    aside: Vec<i64>,
    /// The most urgent priority that has something; of the others a small share is enough.
    busiest: Option<usize>,
}

impl Change {
    /// Chooses up to so many ready jobs of a queue; returns their entries in order.
    pub(super) async fn pick(&mut self, queue: &QueueName, wanted: usize, before: Turns) -> Result<Vec<i64>> {
        let mut turns = before;
        let mut picking = Picking {
            change: self,
            queue,
            wanted,
            lines: Default::default(),
            groups: HashMap::new(),
            chosen: Vec::new(),
            aside: Vec::new(),
            busiest: None,
        };
        while picking.chosen.len() < wanted {
            let mut waiting = [false; RANKS];
            for (rank, waits) in waiting.iter_mut().enumerate() {
                *waits = picking.waits(rank).await?;
            }
            if picking.aside.len() >= LIMITED_AT_ONCE {
                break;
            }
            let Some(rank) = turns.next(waiting) else { break };
            picking.choose(rank);
        }
        let Picking { groups, chosen, aside, .. } = picking;
        self.put_aside(aside).await?;
        if turns != before {
            let sql = "UPDATE queues SET turns = ?2 WHERE name = ?1";
            sqlx::query(sql).bind(queue.as_str()).bind(turns.packed()).execute(&mut *self.tx).await?;
        }
        self.note(queue, &groups).await?;
        Ok(chosen)
    }

    async fn put_aside(&mut self, entries: Vec<i64>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE jobs SET limited = 1 WHERE entry IN (SELECT value FROM json_each(?1))";
        sqlx::query(sql).bind(list(entries)).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Writes the tokens of groups, and lets the next claim go on where this one had enough.
    async fn note(&mut self, queue: &QueueName, groups: &HashMap<String, Group>) -> Result<()> {
        let mut open = Vec::new();
        for (key, group) in groups {
            if group.rules.limits().rate.is_some() {
                self.save_group(queue, key, group).await?;
            }
            if group.limited > 0 && group.gate(self.now_ms) == Gate::Open {
                open.push(key.as_str());
            }
        }
        self.open_groups(queue, &open).await
    }
}

impl Picking<'_> {
    /// Says whether a priority has a job that may start, which is then its head.
    async fn waits(&mut self, rank: usize) -> Result<bool> {
        while self.aside.len() < LIMITED_AT_ONCE {
            if self.lines[rank].loaded.is_empty() && !self.lines[rank].dry {
                self.load(rank).await?;
                continue;
            }
            let Some(head) = self.lines[rank].head() else { return Ok(false) };
            let now_ms = self.change.now_ms;
            let group = head.group.as_ref().and_then(|key| self.groups.get_mut(key));
            let Some(group) = group.filter(|group| group.gate(now_ms) != Gate::Open) else { return Ok(true) };
            // A limited one only stays what it is.
            if !self.lines[rank].next_is_limited() {
                group.limited += 1;
                self.aside.extend(self.lines[rank].head().map(|head| head.entry));
            }
            self.lines[rank].pop();
        }
        Ok(false)
    }

    fn choose(&mut self, rank: usize) {
        let was_limited = self.lines[rank].next_is_limited();
        let Some(head) = self.lines[rank].pop() else { return };
        self.chosen.push(head.entry);
        if let Some(group) = head.group.and_then(|key| self.groups.get_mut(&key)) {
            group.rules.start(self.change.now_ms);
            group.running += 1;
            group.limited -= i64::from(was_limited);
        }
    }

    async fn load(&mut self, rank: usize) -> Result<()> {
        let left = self.wanted - self.chosen.len();
        let share = if self.busiest.is_none_or(|busiest| busiest == rank) { left } else { left / 32 + 1 };
        let line = &mut self.lines[rank];
        line.asked = share.max(2 * line.asked).min(CHUNK);
        let sql = "SELECT json_group_array(json_array(entry, place, group_key)) FROM \
                   (SELECT entry, place, group_key FROM jobs WHERE state = 'ready' AND limited = 0 AND queue = ?1 \
                    AND priority = ?2 AND place > ?3 ORDER BY place LIMIT (SELECT ?4))";
        let Json(mut heads): Json<Vec<(i64, i64, Option<String>)>> = sqlx::query_scalar(sql)
            .bind(self.queue.as_str())
            .bind(rank as i64)
            .bind(line.after.unwrap_or(i64::MIN))
            .bind(line.asked as i64)
            .fetch_one(&mut *self.change.tx)
            .await?;
        heads.sort_unstable_by_key(|(_, place, _)| *place);
        line.dry = heads.len() < line.asked;
        line.after = heads.last().map(|(_, place, _)| *place).or(line.after);
        if heads.is_empty() {
            self.busiest = self.busiest.filter(|busiest| *busiest != rank);
        } else {
            self.busiest = self.busiest.or(Some(rank));
        }
        let mut unknown: Vec<&str> = heads.iter().filter_map(|(.., key)| key.as_deref()).collect();
        unknown.retain(|key| !self.groups.contains_key(*key));
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            for (key, group) in self.change.groups(self.queue, &unknown).await? {
                if group.limited > 0 && group.gate(self.change.now_ms) == Gate::Open {
                    self.load_limited(&key).await?;
                }
                self.groups.insert(key, group);
            }
        }
        let heads = heads.into_iter().map(|(entry, place, group)| Head { entry, place, group });
        self.lines[rank].loaded.extend(heads);
        Ok(())
    }

    /// Loads the limited jobs of an open group, of each priority as many as may be wanted.
    async fn load_limited(&mut self, key: &str) -> Result<()> {
        for (rank, line) in self.lines.iter_mut().enumerate() {
            let sql = "SELECT json_group_array(json_array(entry, place)) FROM \
                       (SELECT entry, place FROM jobs WHERE limited = 1 AND queue = ?1 AND group_key = ?2 AND priority = ?3 \
                        ORDER BY place LIMIT (SELECT ?4))";
            let Json(heads): Json<Vec<(i64, i64)>> = sqlx::query_scalar(sql)
                .bind(self.queue.as_str())
                .bind(key)
                .bind(rank as i64)
                .bind(self.wanted as i64)
                .fetch_one(&mut *self.change.tx)
                .await?;
            let head = |(entry, place)| (place, Head { entry, place, group: Some(key.to_owned()) });
            line.limited.extend(heads.into_iter().map(head));
        }
        Ok(())
    }
}
