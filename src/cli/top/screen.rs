//! The terminal and its keys. Whatever ends the view (a key, a signal, a panic, an error), the terminal is as it was.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::look::{Look, look};
use super::model::{Model, Screen};
use super::view::draw;
use crate::app::{App, stop_signal};

/// How long the thread of the keys waits before it sees whether somebody still listens.
const KEY_WAIT: Duration = Duration::from_millis(200);

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    End,
    Switch,
    Up,
    Down,
    Slower,
    Help,
    Redraw,
}

/// Puts the terminal back when it goes; a panic is met by the hook that the library sets.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows everything until somebody ends it.
pub(super) async fn watch(app: &App, every: Duration) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let mut last = look(app).await?;
    let mut screen = Screen::new(Model::of(&last, None), every);
    let mut terminal = ratatui::try_init()?;
    let _restore = Restore;
    let mut keys = keys();
    loop {
        terminal.draw(|frame| draw(frame, &screen))?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            wish = keys.recv() => match wish {
                None | Some(Wish::End) => return Ok(()),
                Some(Wish::Switch) => {
                    screen.note = Some(switch(app, &screen).await);
                    see(app, &mut last, &mut screen).await;
                }
                Some(Wish::Up) => screen.step(false),
                Some(Wish::Down) => screen.step(true),
                Some(Wish::Slower) => screen.slower(),
                Some(Wish::Help) => screen.help = !screen.help,
                Some(Wish::Redraw) => terminal.clear()?,
            },
            () = tokio::time::sleep(screen.every) => {
                screen.note = None;
                see(app, &mut last, &mut screen).await;
            }
        }
    }
}

/// Looks again. A store that does not answer leaves the old picture, and says so.
async fn see(app: &App, last: &mut Look, screen: &mut Screen) {
    match look(app).await {
        Ok(new) => {
            screen.show(Model::of(&new, Some(last)));
            *last = new;
        }
        Err(error) => {
            let since = last.at.format("%H:%M:%SZ");
            screen.note = Some(format!("shown is {since}: {}", deskhand_jobs::outcome::chain(&error)));
        }
    }
}

/// Pauses the selected queue, or lets it go on; returns what to say.
async fn switch(app: &App, screen: &Screen) -> String {
    let Some(queue) = screen.queue() else { return "there is no queue yet".to_owned() };
    let name = &queue.name;
    let actor = app.actor();
    let switched =
        if queue.paused { app.jobs.resume_queue(&actor, name).await } else { app.jobs.pause_queue(&actor, name).await };
    match switched {
        Ok(()) if queue.paused => format!("queue {name} hands out jobs"),
        Ok(()) => format!("queue {name} is paused"),
        Err(error) => deskhand_jobs::outcome::chain(&error),
    }
}

/// Reads keys on a thread of its own, because reading blocks; it ends when nobody listens any more.
fn keys() -> UnboundedReceiver<Wish> {
    let (sender, keys) = unbounded_channel();
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let read = event::poll(KEY_WAIT).and_then(|there| if there { event::read().map(Some) } else { Ok(None) });
            match read {
                Ok(event) => {
                    if let Some(wish) = event.as_ref().and_then(wish)
                        && sender.send(wish).is_err()
                    {
                        return;
                    }
                }
                // A terminal that has gone: the closed channel ends the view.
                Err(_) => return,
            }
        }
    });
    keys
}

fn wish(event: &Event) -> Option<Wish> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => wish_of(*key),
        Event::Resize(..) => Some(Wish::Redraw),
        _ => None,
    }
}

fn wish_of(key: KeyEvent) -> Option<Wish> {
    match key.code {
        // In raw mode it is a key and no signal.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::End),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::End),
        KeyCode::Char('p') => Some(Wish::Switch),
        KeyCode::Char('r') => Some(Wish::Slower),
        KeyCode::Char('?' | 'h') => Some(Wish::Help),
        KeyCode::Up | KeyCode::Char('k') => Some(Wish::Up),
        KeyCode::Down | KeyCode::Char('j') => Some(Wish::Down),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        for (code, modifiers, expected) in [
            (KeyCode::Char('q'), KeyModifiers::NONE, Some(Wish::End)),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Wish::End)),
            (KeyCode::Char('c'), KeyModifiers::NONE, None),
            (KeyCode::Char('p'), KeyModifiers::NONE, Some(Wish::Switch)),
            (KeyCode::Char('r'), KeyModifiers::NONE, Some(Wish::Slower)),
            (KeyCode::Char('?'), KeyModifiers::SHIFT, Some(Wish::Help)),
            (KeyCode::Up, KeyModifiers::NONE, Some(Wish::Up)),
            (KeyCode::Down, KeyModifiers::NONE, Some(Wish::Down)),
        ] {
            assert_eq!(wish(&Event::Key(KeyEvent::new(code, modifiers))), expected, "{code:?}");
        }
        assert_eq!(wish(&Event::Resize(1, 1)), Some(Wish::Redraw));
    }
}
