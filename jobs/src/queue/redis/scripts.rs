//! The scripts: each is the parts that it needs, one after the other, called by its digest.

#![allow(non_upper_case_globals, reason = "a script has the name of its file")]

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($($head:ident $name:ident: $($part:ident)*;)*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&[$head, include_str!("lua/prelude.lua"), $(include_str!(concat!("lua/", stringify!($part), ".lua"))),*].concat())
        });)*
    };
}

/// Brings new jobs, or reports, which are not worth memory that others need.
const NEW: &str = "";

/// A server whose memory is full must refuse new jobs, but not the beats and ends by which it becomes empty again.
const OLD: &str = "#!lua flags=allow-oom\n";

/// The same for a script that is a function of a queue, which its last part ends.
const EACH: &str = "#!lua flags=allow-oom\nlocal function ask(KEYS, ARGV)\n";

scripts! {
    NEW push: push_plain push_lean clock options groups push_grouped batches ends push;
    NEW open_batch: clock open_batch;
    NEW report: clock options groups batches ends report;
    EACH claim: clock claim_plain options groups choose claim;
    OLD settle: clock settle_plain options groups batches ends settle;
    OLD beat: clock options groups batches ends beat;
    OLD stops: stops;
    OLD rescue: clock options groups batches ends rescue;
    OLD cancel: clock options groups batches ends cancel;
    OLD retry: clock options retry;
    OLD pause: pause;
    OLD limit: limit;
    OLD limit_group: clock options groups limit_group;
    OLD groups_of: clock options groups groups_of;
    OLD seal_batch: clock options groups batches ends seal_batch;
    OLD cancel_batch: clock options groups batches ends cancel_batch;
    OLD batches_of: batches_of;
    OLD read: clock options groups batches ends read;
    OLD workers: clock workers;
    OLD forget: forget;
    OLD audit: clock options groups batches ends audit;
    OLD list: clock options groups keyset list;
    OLD redrive: clock options groups batches ends keyset graves redrive;
    OLD redrive_like: clock options groups batches ends keyset graves redrive_like;
    OLD discard: clock options groups batches ends keyset graves discard;
    OLD discard_like: clock options groups batches ends keyset graves discard_like;
    OLD list_dead: clock options groups batches ends keyset graves list_dead;
    OLD dead_groups: dead_groups;
    OLD swap: clock options swap;
}
