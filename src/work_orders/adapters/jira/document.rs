//! Descriptions: plain text on Data Center, an Atlassian Document Format tree on Cloud.

use serde_json::{Value, json};

/// Returns the text of a description, without mark-up; empty for null.
pub(super) fn to_text(description: &Value) -> String {
    let mut out = String::new();
    match description {
        Value::String(text) => out.push_str(text),
        Value::Object(_) => write(description, &mut out),
        _ => {}
    }
    out.trim().to_owned()
}

/// Returns a document that says this text and reads back as the same: one paragraph, its lines kept.
pub(super) fn from_text(text: &str) -> Value {
    let text = text.replace("\r\n", "\n");
    let mut nodes = Vec::new();
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            nodes.push(json!({"type": "hardBreak"}));
        }
        // A text node without text is refused.
        if !line.is_empty() {
            nodes.push(json!({"type": "text", "text": line}));
        }
    }
    let content = if text.is_empty() { json!([]) } else { json!([{"type": "paragraph", "content": nodes}]) };
    json!({"type": "doc", "version": 1, "content": content})
}

/// JSON that nests deeper than 128 levels is not decoded, so this does not recurse deeper either.
fn write(node: &Value, out: &mut String) {
    let attribute =
        |name: &str| node.get("attrs").and_then(|attrs| attrs.get(name)).and_then(Value::as_str).unwrap_or_default();
    let kind = node.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "text" => out.push_str(node.get("text").and_then(Value::as_str).unwrap_or_default()),
        "hardBreak" => out.push('\n'),
        "mention" | "status" => out.push_str(attribute("text")),
        "emoji" => out.push_str(if attribute("text").is_empty() { attribute("shortName") } else { attribute("text") }),
        "inlineCard" | "blockCard" => out.push_str(attribute("url")),
        "rule" => out.push_str("---"),
        "listItem" | "taskItem" => out.push_str("- "),
        _ => {}
    }
    for child in node.get("content").and_then(Value::as_array).into_iter().flatten() {
        write(child, out);
    }
    match kind {
        "paragraph" | "heading" | "codeBlock" | "listItem" | "taskItem" | "tableRow" | "rule" | "blockCard" => {
            end_line(out);
        }
        "tableCell" | "tableHeader" => {
            out.truncate(out.trim_end_matches('\n').len());
            out.push('\t');
        }
        _ => {}
    }
}

fn end_line(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_become_text() {
        let paragraph = |text: &str| json!({"type": "paragraph", "content": [{"type": "text", "text": text}]});
        for (description, expected) in [
            (json!(null), ""),
            (json!("h1. plain\r\ntext "), "h1. plain\r\ntext"),
            (json!({"type": "doc", "version": 1, "content": []}), ""),
            (json!({"type": "doc", "content": [paragraph("one"), paragraph("two")]}), "one\ntwo"),
            (
                json!({"type": "doc", "content": [{"type": "bulletList", "content": [
                    {"type": "listItem", "content": [paragraph("a")]}, {"type": "listItem", "content": [paragraph("b")]},
                ]}]}),
                "- a\n- b",
            ),
            (
                json!({"type": "doc", "content": [{"type": "paragraph", "content": [
                    {"type": "text", "text": "ask "}, {"type": "mention", "attrs": {"text": "@Li Wei"}},
                    {"type": "hardBreak"}, {"type": "inlineCard", "attrs": {"url": "https://example.com"}},
                ]}]}),
                "ask @Li Wei\nhttps://example.com",
            ),
            (
                json!({"type": "doc", "content": [{"type": "table", "content": [{"type": "tableRow", "content": [
                    {"type": "tableCell", "content": [paragraph("x")]}, {"type": "tableCell", "content": [paragraph("y")]},
                ]}]}]}),
                "x\ty",
            ),
            (json!({"type": "doc", "content": [{"type": "unheard-of", "content": [paragraph("kept")]}]}), "kept"),
        ] {
            assert_eq!(to_text(&description), expected, "{description}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_is_written_reads_back(text in "[a-z* \n\r]{0,60}") {
            prop_assert_eq!(to_text(&from_text(&text)), text.replace("\r\n", "\n").trim().to_owned());
        }
    }
}
