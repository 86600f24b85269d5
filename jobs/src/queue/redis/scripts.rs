//! The scripts: each is the prelude followed by its own text, called by its digest.

#![allow(non_upper_case_globals, reason = "a script has the name of its file")]

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($($name:ident),*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(include_str!("lua/prelude.lua"), include_str!(concat!("lua/", stringify!($name), ".lua"))))
        });)*
    };
}

scripts!(push, claim, settle, beat, rescue, cancel, retry, redrive, discard, read, workers, forget);
