//! Errors of the client: what follows from them, and what a person is told.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::queue::Error;

/// Where the failed command should go next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It was refused because another server is meant: there, at once.
    Elsewhere,
    /// The server is gone or no longer what it was; whoever comes next should look for its successor.
    Lost,
    /// The server is the right one.
    Here,
}

/// Says what an error tells about the server that gave it.
pub(super) fn way(error: &RedisError) -> Way {
    match (error.kind(), error.code()) {
        (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::ReadOnly), _) => Way::Elsewhere,
        (ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown), _) | (_, Some("UNBLOCKED")) => {
            Way::Lost
        }
        _ if is_silence(error) => Way::Lost,
        _ => Way::Here,
    }
}

/// Says whether nobody answered.
pub(super) fn is_silence(error: &RedisError) -> bool {
    error.is_timeout() || error.is_io_error() || error.is_connection_dropped() || error.is_connection_refusal()
}

/// Sorts errors: what passes by itself, and what a person must mend.
pub(super) fn classify(store: &str, error: RedisError) -> Error {
    let cure = match (error.kind(), error.code()) {
        (_, Some("OOM")) => "its memory is full; raise maxmemory or let the workers drain the queues",
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            "it wants another user or password; check queue.url"
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) | (_, Some("NOPERM")) => {
            "the user may not do this; jobs/README.md lists the commands and keys to allow"
        }
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) if error.to_string().contains("DB index") => {
            "it has no database of that number; check the number at the end of queue.url"
        }
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) if error.to_string().contains("cluster support") => {
            "it is no node of a cluster; write redis:// instead of redis+cluster://"
        }
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) => "a script failed; the text says where",
        _ => return Error::Unavailable { store: store.to_owned(), source: Box::new(error) },
    };
    Error::Refused { store: store.to_owned(), message: format!("{cure} ({error})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(kind: ServerErrorKind, detail: &str) -> RedisError {
        RedisError::from((ErrorKind::Server(kind), "refused", detail.to_owned()))
    }

    #[test]
    fn a_database_number_that_does_not_exist_is_named() {
        let error = server(ServerErrorKind::ResponseError, "DB index is out of range");
        assert!(classify("redis://h", error).to_string().contains("the end of queue.url"));
    }

    #[test]
    fn only_what_was_certainly_not_done_goes_elsewhere_at_once() {
        assert_eq!(way(&server(ServerErrorKind::Moved, "5 h:1")), Way::Elsewhere);
        assert_eq!(way(&server(ServerErrorKind::ReadOnly, "")), Way::Elsewhere);
        assert_eq!(way(&server(ServerErrorKind::ClusterDown, "")), Way::Lost);
        assert_eq!(way(&std::io::Error::from(std::io::ErrorKind::TimedOut).into()), Way::Lost);
        assert_eq!(way(&std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()), Way::Lost);
        // While a slot moves, its queues wait: where ASK points to there is only a part of them.
        assert_eq!(way(&server(ServerErrorKind::TryAgain, "")), Way::Here);
        assert_eq!(way(&server(ServerErrorKind::Ask, "5 h:1")), Way::Here);
    }
}
