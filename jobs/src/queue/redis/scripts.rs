//! The scripts: each is the prelude followed by its own text, called by its digest.

#![allow(non_upper_case_globals, reason = "a script has the name of its file")]

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($head:literal: $($name:ident),*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            let text = include_str!(concat!("lua/", stringify!($name), ".lua"));
            Script::new(&[$head, include_str!("lua/prelude.lua"), text].concat())
        });)*
    };
}

scripts!("": push);

// A server whose memory is full must refuse new jobs, but not the beats and ends by which it becomes empty again.
scripts!("#!lua flags=allow-oom\n": claim, settle, beat, stops, rescue, cancel, retry, redrive, discard, pause, read, workers, forget, audit);
