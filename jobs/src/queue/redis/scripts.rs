//! The scripts: each is the shared part followed by its own text, called by its digest.

#![allow(non_upper_case_globals, reason = "a script has the name of its file")]

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($head:literal $(first $first:literal)* $($part:literal)*: $($name:ident),*) => {
        scripts!(@ concat!($(include_str!(concat!("lua/", $first, ".lua"))),*), concat!($(include_str!(concat!("lua/", $part, ".lua"))),*), $head: $($name),*);
    };
    (@ $first:expr, $parts:expr, $head:literal: $($name:ident),*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            let text = include_str!(concat!("lua/", stringify!($name), ".lua"));
            let shared = [
                include_str!("lua/prelude.lua"),
                $first,
                include_str!("lua/groups.lua"),
                include_str!("lua/batches.lua"),
                include_str!("lua/ends.lua"),
            ];
            Script::new(&[$head, &shared.concat(), $parts, text].concat())
        });)*
    };
}

// Nor are reports worth memory that others need.
scripts!("" first "push_plain" first "push_lean": push);
scripts!("": open_batch, report);

// A server whose memory is full must refuse new jobs, but not the beats and ends by which it becomes empty again.
scripts!("#!lua flags=allow-oom\nlocal function ask(KEYS, ARGV)\n" first "claim_plain" "choose": claim);
scripts!("#!lua flags=allow-oom\n": settle, beat, stops, rescue, cancel, retry, pause, limit, limit_group, groups_of, seal_batch, cancel_batch, batches_of, read, workers, forget, audit);

// These pages and walks have some text in common.
scripts!("#!lua flags=allow-oom\n" "keyset": list);
scripts!("#!lua flags=allow-oom\n" "keyset" "graves": redrive, redrive_like, discard, discard_like, list_dead, dead_groups, swap);
