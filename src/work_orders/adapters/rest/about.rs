//! The settings.

use crate::work_orders::adapters::{About, Field, FieldKind};

const fn field(key: &'static str, label: &'static str, required: bool, hint: &'static str) -> Field {
    Field { key, label, hint, kind: FieldKind::Text, required }
}

const fn choice(
    key: &'static str,
    label: &'static str,
    required: bool,
    words: &'static [&'static str],
    hint: &'static str,
) -> Field {
    Field { key, label, hint, kind: FieldKind::Choice(words), required }
}

const fn secret(key: &'static str, label: &'static str, hint: &'static str) -> Field {
    Field { key, label, hint, kind: FieldKind::Secret, required: false }
}

pub(super) static ABOUT: About = About {
    id: "rest",
    name: "Any REST API",
    fields: &[
        Field {
            key: "api_url",
            label: "Address",
            hint: "the address below which all others are, such as https://desk.example.com/api/v1",
            kind: FieldKind::Url,
            required: true,
        },
        choice(
            "auth",
            "Authentication",
            true,
            &["none", "basic", "bearer", "header"],
            "how we say who we are: none, basic (username, password), bearer (api_key), header (api_key in auth_header)",
        ),
        field("auth_header", "Header of the key", false, "with auth header: its name, such as X-Api-Key"),
        field("username", "User name", false, "with auth basic: the name of the account"),
        secret("api_key", "API key", "with auth bearer or header: the key, as it is sent"),
        secret("password", "Password", "with auth basic: the password of the account"),
        field(
            "account_url",
            "Address of the account",
            false,
            "what tells who we are, such as me; without it a list is read",
        ),
        field("account_path", "Name of the account", false, "where the name is in that answer, such as /user/name"),
        field(
            "list_url",
            "Address of the list",
            true,
            "such as tickets?sort=updated&from={since}&page={page}&size={limit}; sorted by the last change, the earliest first; {until}, if it knows an end",
        ),
        field(
            "items_path",
            "Place of the tickets",
            false,
            "where they are in the answer, such as /data; left out, it is the list",
        ),
        field("total_path", "Place of the total", false, "where the answer tells how many there are on all pages"),
        choice(
            "paging",
            "Paging",
            true,
            &["none", "page", "offset", "cursor", "link"],
            "none, page ({page}), offset ({offset}), cursor ({cursor}, with cursor_path), link (next_path or a Link header)",
        ),
        field("page_size", "Tickets on a page", false, "how many are asked for as {limit}, 1 to 1000; left out, 100"),
        field("first_page", "First page", false, "the number of the first page, 0 or 1; left out, 1"),
        field(
            "cursor_path",
            "Place of the cursor",
            false,
            "where the answer has that of the next page, such as /meta/next",
        ),
        field(
            "next_path",
            "Place of the next address",
            false,
            "where the answer has it; left out, the Link header has it",
        ),
        choice(
            "since_format",
            "Form of times",
            false,
            &["rfc3339", "epoch_s", "epoch_ms", "date"],
            "how {since} is written: rfc3339 (left out), epoch_s, epoch_ms (numbers since 1970), date (2026-01-31)",
        ),
        field("detail_url", "Address of a ticket", true, "such as tickets/{id}"),
        field(
            "detail_path",
            "Place of the ticket",
            false,
            "where it is in that answer, such as /ticket; left out, it is the answer",
        ),
        field("update_url", "Address for changes", false, "such as tickets/{id}; left out, tickets are only read"),
        choice(
            "update_method",
            "Method of changes",
            false,
            &["PUT", "PATCH", "POST"],
            "how a change is sent: PUT (left out), PATCH or POST",
        ),
        field(
            "update_path",
            "Place of a change",
            false,
            "where the fields go in what is sent, such as /ticket; left out, at the top",
        ),
        field("id_path", "Id", true, "where a ticket has what names it for ever, such as /id"),
        field("key_path", "Key", false, "where it has what people call it; left out, its id"),
        field("title_path", "Title", true, "where it has its title, such as /subject"),
        field("description_path", "Text", false, "where it has its text"),
        field("status_path", "Status", true, "where it has the word for its status, such as /status or /status/name"),
        field(
            "status_values",
            "Words for the status",
            false,
            "all the words that it takes, such as New, Open, Done; for changes",
        ),
        field("priority_path", "Priority", false, "where it has the word for its priority"),
        field(
            "priority_values",
            "Words for the priority",
            false,
            "all the words that it takes, such as low, high; for changes",
        ),
        field("assignee_path", "Assignee", false, "where it has the name of who works on it"),
        field(
            "assignee_email_path",
            "Address of the assignee",
            false,
            "where it has their e-mail address; changes go there",
        ),
        field("reporter_path", "Reporter", false, "where it has the name of who reported it"),
        field("reporter_email_path", "Address of the reporter", false, "where it has their e-mail address"),
        field("created_path", "Created", false, "where it has when it was made: a date, or a number since 1970"),
        field(
            "updated_path",
            "Changed",
            true,
            "where it has when it last changed: a date with an offset, or a number since 1970",
        ),
        field("due_path", "Due", false, "where it has when it is due"),
        choice(
            "due_format",
            "Form of due dates",
            false,
            &["rfc3339", "date"],
            "how a due date is sent: rfc3339 (left out) or date",
        ),
        field("category_path", "Category", false, "where it has the word for what it is about"),
        field("tags_path", "Labels", false, "where it has the list of its labels"),
        field("url_path", "Address for people", false, "where it has the address at which a person reads it"),
        field("deleted_path", "Deleted", false, "where a deleted ticket has true, or when that was"),
    ],
};
