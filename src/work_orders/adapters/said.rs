//! What a system says when it refuses: every kind has its own form, and a person wants only the sentences.

use serde_json::Value;

const MAX_MESSAGES: usize = 10;
const MAX_MESSAGE_CHARS: usize = 300;

/// The words under which systems tell what is wrong: lists and objects of messages, then single ones.
const PLACES: [&str; 8] =
    ["/errorMessages", "/errors", "/details", "/error/errors", "/error/message", "/description", "/message", "/error"];

/// Returns the sentences of an answer, each with the field that it is about; none if it says nothing in a form that is known.
pub(super) fn messages(body: &[u8]) -> Vec<String> {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let mut found = Vec::new();
    for place in PLACES {
        if let Some(value) = answer.pointer(place) {
            collect(value, None, &mut found);
        }
        // Lists say it best, but Jira divides what it has to say between two of them.
        if !found.is_empty() && place != "/errorMessages" {
            break;
        }
    }
    found.truncate(MAX_MESSAGES);
    found
}

/// JSON that nests deeper than 128 levels is not decoded, so this does not recurse deeper either.
fn collect(value: &Value, field: Option<&str>, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.trim().is_empty() => {
            let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let text: String = text.chars().take(MAX_MESSAGE_CHARS).collect();
            found.push(field.map_or(text.clone(), |field| format!("{field}: {text}")));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, field, found)),
        Value::Object(fields) => {
            let sentence = ["description", "message", "detail", "title"].iter().find_map(|name| fields.get(*name));
            match sentence.filter(|sentence| sentence.is_string()) {
                Some(sentence) => collect(sentence, field, found),
                None => fields.iter().for_each(|(name, value)| collect(value, Some(name), found)),
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_understood() {
        for (body, expected) in [
            (
                r#"{"errorMessages":["no."],"errors":{"summary":"You must specify a summary"}}"#,
                &["no.", "summary: You must specify a summary"][..],
            ),
            (
                r#"{"errors":["Subject cannot be blank","Due date is invalid"]}"#,
                &["Subject cannot be blank", "Due date is invalid"],
            ),
            (
                r#"{"error":"RecordInvalid","description":"Record validation errors","details":
                    {"status":[{"description":"Status: closed prevents ticket update","error":"X"}]}}"#,
                &["status: Status: closed prevents ticket update"],
            ),
            (r#"{"error":{"title":"Forbidden","message":"not yours"}}"#, &["not yours"]),
            (r#"{"error":"InvalidValue"}"#, &["InvalidValue"]),
            (r#"{"message":"nothing"}"#, &["nothing"]),
            (r#"{"errors":[{"message":"a"},{"message":"b"}]}"#, &["a", "b"]),
            ("<html>", &[]),
            ("{}", &[]),
            ("[1]", &[]),
        ] {
            assert_eq!(messages(body.as_bytes()), expected, "{body}");
        }
        let endless = serde_json::json!({"errors": vec!["x".repeat(1_000); 50]}).to_string();
        let said = messages(endless.as_bytes());
        assert_eq!((said.len(), said[0].len()), (MAX_MESSAGES, MAX_MESSAGE_CHARS));
    }
}
