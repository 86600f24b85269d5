//! Where lines go: standard error, and files for the areas that have one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Error, Result};

/// Loggers by the names under which operators know them. To add one: its line here, and one in `docs/telemetry.md`.
const LOGGERS: [(&str, &str); 1] = [("work_order", "deskhand::work_orders")];

/// All places where lines go; clones share them.
#[derive(Clone)]
pub(super) struct Sinks {
    main: Arc<Mutex<Box<dyn Write + Send>>>,
    files: Arc<[Area]>,
}

/// A file that also has the lines of an area.
struct Area {
    target: String,
    path: PathBuf,
    file: Mutex<File>,
}

impl Sinks {
    /// Sends all lines to one place.
    pub(super) fn to(main: Box<dyn Write + Send>) -> Self {
        Self { main: Arc::new(Mutex::new(main)), files: Arc::from([]) }
    }

    /// Also appends the lines of areas to files, each given as logger or target and path.
    ///
    /// # Errors
    /// [`Error::Invalid`] names a file that cannot be opened.
    pub(super) fn and_files<'a>(self, files: impl IntoIterator<Item = (&'a str, PathBuf)>) -> Result<Self> {
        let open = |(logger, path): (&str, PathBuf)| {
            let target = LOGGERS.iter().find(|(name, _)| *name == logger).map_or(logger, |(_, target)| target);
            let file = opened(&path).map_err(|error| {
                let cure = "name a file in a place that this user may write to";
                Error::field(format!("/log/files/{logger}"), format!("cannot open {}: {error}; {cure}", path.display()))
            })?;
            Ok(Area { target: target.to_owned(), path, file: Mutex::new(file) })
        };
        let files: Vec<Area> = files.into_iter().map(open).collect::<Result<_>>()?;
        Ok(Self { files: files.into(), ..self })
    }

    /// Writes a line of a target. A place that takes nothing, such as a closed pipe, is passed over: a log must not end what it
    /// tells about.
    pub(super) fn write(&self, target: &str, colours: bool, line: impl Fn(bool) -> String) {
        let text = line(colours);
        let mut main = self.main.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = main.write_all(text.as_bytes());
        drop(main);
        for area in self.files.iter().filter(|area| is_within(target, &area.target)) {
            let plain = if colours { line(false) } else { text.clone() };
            let mut file = area.file.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = file.write_all(plain.as_bytes());
        }
    }

    /// Says whether lines go to files.
    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Opens every file anew: who rotates logs has moved the old one away. A file that cannot be opened goes on as it was.
    pub(super) fn reopen(&self) {
        for area in self.files.iter() {
            match opened(&area.path) {
                Ok(file) => *area.file.lock().unwrap_or_else(PoisonError::into_inner) = file,
                Err(error) => {
                    let path = area.path.display();
                    tracing::warn!(%path, %error, "cannot open the log file {path} anew: its lines go on to the old one");
                }
            }
        }
    }
}

fn opened(path: &Path) -> std::io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

/// Says whether a target is an area or lies in it: `a::b` has `a::b` and `a::b::c`, and not `a::bc`.
fn is_within(target: &str, area: &str) -> bool {
    target.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a pipe whose reader has gone.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn an_area_has_a_file_that_can_be_moved_away() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("logs/work_order_sync.log");
        let sinks = Sinks::to(Box::new(Closed)).and_files([("work_order", path.clone())]).expect("opens");
        let read = |path: &Path| std::fs::read_to_string(path).expect("there");
        sinks.write("deskhand::work_orders::service", true, |colours| format!("one {colours}\n"));
        sinks.write("deskhand::work_orders_too", false, |_| "not of the area\n".to_owned());
        assert_eq!(read(&path), "one false\n");
        let moved = path.with_extension("1");
        std::fs::rename(&path, &moved).expect("moves");
        sinks.reopen();
        sinks.write("deskhand::work_orders", false, |_| "two\n".to_owned());
        assert_eq!((read(&moved), read(&path)), ("one false\n".to_owned(), "two\n".to_owned()));
    }

    #[test]
    fn a_file_that_cannot_be_opened_stops_the_start() {
        let sinks = Sinks::to(Box::new(Closed)).and_files([("work_order", PathBuf::from("/proc/none/x.log"))]);
        let text = sinks.err().expect("refused").to_string();
        assert!(text.contains("/log/files/work_order") && text.contains("/proc/none/x.log"), "{text}");
    }
}
