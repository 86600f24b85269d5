//! Drawing: from what is shown to a frame, and nothing else.

use chrono::TimeDelta;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Table};
use ratatui::{Frame, Terminal};

use super::model::{Model, Screen};

const HELP: [&str; 6] = [
    "up, down   select a queue",
    "p          pause the selected queue, or let it go on",
    "r          look less often; after 10 s as often as it can",
    "?          this page",
    "q          end",
    "Jobs: deskhand jobs list, dead groups, jobs explain ID",
];

const KEYS: &str = "q end  p pause/resume  r rate  ? help";

/// The rule and the heads of a table.
const FRAME_LINES: u16 = 2;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let model = &screen.model;
    let [head, queues, workers, failures, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(lines(model.queues.len())),
        Constraint::Length(lines(model.workers.len())),
        Constraint::Min(FRAME_LINES),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(header(model)), head);
    frame.render_widget(queue_table(screen), queues);
    frame.render_widget(worker_table(model), workers);
    frame.render_widget(failure_table(model), failures);
    let rate = format!("{KEYS}  every {} s", screen.every.as_secs());
    frame.render_widget(Paragraph::new(screen.note.clone().unwrap_or(rate)), foot);
    if screen.help {
        let area = middle(frame.area());
        frame.render_widget(Clear, area);
        let text: Vec<Line<'_>> = HELP.into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(text).block(Block::bordered().title(" Keys ")), area);
    }
}

/// Draws a picture as high as it has to be and returns it as text.
pub(super) fn text(screen: &Screen, width: u16) -> anyhow::Result<String> {
    let model = &screen.model;
    let rows = [model.queues.len(), model.workers.len(), model.failures.len()];
    let height = 2 + rows.into_iter().map(lines).sum::<u16>();
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| draw(frame, screen))?;
    let buffer = terminal.backend().buffer();
    let line = |y| {
        let text: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        text.trim_end().to_owned()
    };
    // The last line names keys, which a picture does not take.
    Ok((0..height - 1).map(line).collect::<Vec<_>>().join("\n"))
}

fn lines(rows: usize) -> u16 {
    FRAME_LINES + u16::try_from(rows.max(1)).unwrap_or(u16::MAX / 8)
}

fn header(model: &Model) -> Line<'static> {
    let late = model.overdue.map(|late| format!(", the first is due for {}", span(late))).unwrap_or_default();
    let line = format!(
        "deskhand  {}  {} workers  {} jobs wait in the database{late}",
        model.at.format("%Y-%m-%d %H:%M:%SZ"),
        model.workers.len(),
        model.pending
    );
    let alarm = model.overdue.is_some_and(|late| late > TimeDelta::minutes(1));
    Line::styled(line, if alarm { Style::new().fg(Color::Red) } else { Style::new() })
}

fn queue_table(screen: &Screen) -> Table<'static> {
    let rows = screen.model.queues.iter().enumerate().map(|(place, queue)| {
        let state = match (queue.paused, queue.limit) {
            (true, _) => "paused".to_owned(),
            (false, Some(most)) => format!("at most {most}"),
            (false, None) => "-".to_owned(),
        };
        let cells = [
            Cell::from(queue.name.to_string()),
            Cell::from(state).style(if queue.paused { Style::new().fg(Color::Yellow) } else { Style::new() }),
            Cell::from(queue.ready.to_string()),
            Cell::from(queue.scheduled.to_string()),
            Cell::from(queue.running.to_string()),
            Cell::from(queue.dead.to_string()).style(if queue.dead > 0 {
                Style::new().fg(Color::Red)
            } else {
                Style::new()
            }),
            Cell::from(queue.per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"))),
            Cell::from(queue.oldest.map_or_else(|| "-".to_owned(), span)),
        ];
        let chosen = place == screen.selected;
        Row::new(cells).style(if chosen { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() })
    });
    let widths = [24, 14, 10, 10, 10, 10, 10, 10].map(Constraint::Length);
    let heads = ["QUEUE", "STATE", "READY", "SCHEDULED", "RUNNING", "DEAD", "DONE/S", "OLDEST"];
    table(" Queues ", heads, rows.collect(), &widths)
}

fn worker_table(model: &Model) -> Table<'static> {
    let rows = model.workers.iter().map(|worker| {
        let busy = format!("{}/{}", worker.busy, worker.concurrency);
        Row::new([worker.name.clone(), worker.queues.clone(), busy, span(worker.age)])
    });
    let widths = [Constraint::Length(39), Constraint::Min(20), Constraint::Length(10), Constraint::Length(10)];
    table(" Workers ", ["WORKER", "QUEUES", "BUSY", "AGE"], rows.collect(), &widths)
}

fn failure_table(model: &Model) -> Table<'static> {
    let rows = model.failures.iter().map(|failure| {
        let at = failure.at.map_or_else(|| "-".to_owned(), |at| at.format("%m-%d %H:%M:%SZ").to_string());
        Row::new([at, failure.kind.clone(), failure.queue.clone(), failure.error.clone()])
    });
    let widths = [Constraint::Length(15), Constraint::Length(28), Constraint::Length(14), Constraint::Min(20)];
    table(" Latest dead ", ["DIED", "KIND", "QUEUE", "ERROR"], rows.collect(), &widths)
}

fn table<const N: usize>(
    title: &'static str,
    heads: [&'static str; N],
    rows: Vec<Row<'static>>,
    widths: &[Constraint],
) -> Table<'static> {
    let rows = if rows.is_empty() { vec![Row::new(["none"])] } else { rows };
    Table::new(rows, widths)
        .header(Row::new(heads).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::new().borders(Borders::TOP).title(title))
}

fn middle(area: Rect) -> Rect {
    let [_, row, _] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(HELP.len() as u16 + 2), Constraint::Fill(1)])
            .areas(area);
    let [_, cell, _] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(62), Constraint::Fill(1)]).areas(row);
    cell
}

/// Shows a span of time in its two largest units.
fn span(time: TimeDelta) -> String {
    let s = time.num_seconds();
    match s {
        ..60 => format!("{s} s"),
        60..3_600 => format!("{} m {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} m", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::super::model::{Failure, QueueRow, WorkerRow};
    use super::*;

    /// A desk on an ordinary bad day.
    pub(in crate::cli::top) fn screen() -> Screen {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("an instant");
        let queue = |name: &str| QueueRow {
            name: name.parse().expect("a name"),
            paused: false,
            limit: None,
            ready: 12,
            scheduled: 3,
            running: 4,
            dead: 0,
            per_second: Some(7.25),
            oldest: Some(TimeDelta::seconds(75)),
        };
        let mail = QueueRow { paused: true, dead: 2, per_second: None, oldest: None, ..queue("mail") };
        let worker = WorkerRow {
            name: "desk-1:4711".to_owned(),
            queues: "default,mail".to_owned(),
            busy: 4,
            concurrency: 16,
            age: TimeDelta::seconds(7_500),
        };
        let failure = Failure {
            at: Some(at - TimeDelta::seconds(90)),
            kind: "work_orders.sync_system".to_owned(),
            queue: "default".to_owned(),
            error: "cannot reach jira site http://127.0.0.1:9".to_owned(),
        };
        let model = Model {
            at,
            queues: vec![queue("default"), QueueRow { limit: Some(4), ..queue("imports") }, mail],
            workers: vec![worker],
            failures: vec![failure],
            pending: 5,
            overdue: Some(TimeDelta::seconds(130)),
        };
        Screen::new(model, Duration::from_secs(2))
    }

    #[test]
    fn a_picture_has_everything() {
        let picture = text(&screen(), 110).expect("draws");
        assert_eq!(picture, include_str!("picture.txt").trim_end(), "\n{picture}");
    }

    #[test]
    fn an_empty_desk_is_drawn_too() {
        let mut screen = screen();
        screen.model = Model { queues: vec![], workers: vec![], failures: vec![], ..screen.model };
        let picture = text(&screen, 80).expect("draws");
        assert_eq!(picture.matches("none").count(), 3, "{picture}");
    }

    #[test]
    fn help_and_notes_are_drawn_over_the_rest_on_any_size() {
        let mut screen = screen();
        (screen.help, screen.note) = (true, Some("queue mail is paused".to_owned()));
        for (width, height) in [(110, 20), (40, 8), (5, 2), (1, 1)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
            terminal.draw(|frame| draw(frame, &screen)).expect("draws");
            let all: String = terminal.backend().buffer().content().iter().map(ratatui::buffer::Cell::symbol).collect();
            assert_eq!(all.contains("select a queue") && all.contains("queue mail is paused"), width == 110, "{all}");
        }
    }

    #[test]
    fn a_span_has_two_units() {
        for (s, shown) in [(0, "0 s"), (61, "1 m 1 s"), (7_500, "2 h 5 m"), (200_000, "2 d 7 h")] {
            assert_eq!(span(TimeDelta::seconds(s)), shown);
        }
    }
}
