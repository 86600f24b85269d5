//! The layer of the environment.
//!
//! Figment's own reads `DESKHAND_ADMIN_TOKEN=1234` as a number, which a text field then refuses. Here the default value of a
//! key says what its text means, so a text stays a text and a list is divided by commas.

use figment::value::{Dict, Empty, Map, Tag, Value};
use figment::{Error, Metadata, Profile, Provider};

const PREFIX: &str = "DESKHAND_";

/// What the tests of Deskhand read; no setting.
const TEST_PREFIX: &str = "DESKHAND_TEST_";

pub(super) struct Environment {
    variables: Vec<(String, String)>,
    shape: Dict,
}

impl Environment {
    /// Takes the variables that are settings; `shape` holds the default of every key.
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>, shape: Dict) -> Self {
        let ours = |(name, _): &(String, String)| name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX);
        Self { variables: variables.into_iter().filter(ours).collect(), shape }
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("the environment")
            .interpolater(|_, keys| format!("{PREFIX}{}", keys.join("__").to_ascii_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut layer = Dict::new();
        for (name, text) in &self.variables {
            let path = name[PREFIX.len()..].to_ascii_lowercase();
            // The short name of what is changed most often.
            let path = if path == "log" { "log__filter" } else { &path };
            let keys: Vec<&str> = path.split("__").collect();
            let value = read(text, default_of(&self.shape, &keys));
            insert(&mut layer, &keys, value);
        }
        Ok(Profile::Default.collect(layer))
    }
}

fn default_of<'a>(shape: &'a Dict, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let value = shape.get(*first)?;
    if rest.is_empty() { Some(value) } else { default_of(value.as_dict()?, rest) }
}

fn read(text: &str, default: Option<&Value>) -> Value {
    let tag = Tag::Default;
    match default {
        Some(Value::Array(..)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(tag, items.map(|item| Value::String(tag, item.to_owned())).collect())
        }
        Some(Value::Bool(..)) => {
            text.parse().map_or_else(|_| Value::String(tag, text.to_owned()), |flag| Value::Bool(tag, flag))
        }
        Some(Value::Num(..)) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => Value::from(whole),
            (_, Ok(number)) => Value::from(number),
            _ => Value::String(tag, text.to_owned()),
        },
        _ => Value::String(tag, text.to_owned()),
    }
}

fn insert(layer: &mut Dict, keys: &[&str], value: Value) {
    let Some((first, rest)) = keys.split_first() else { return };
    if rest.is_empty() {
        layer.insert((*first).to_owned(), value);
        return;
    }
    let section = layer.entry((*first).to_owned()).or_insert_with(|| Value::from(Dict::new()));
    match section {
        Value::Dict(_, inner) => insert(inner, rest, value),
        // DESKHAND_SERVER=x beside DESKHAND_SERVER__LISTEN=y: the section's own value is refused by its type later.
        other => *other = Value::Empty(Tag::Default, Empty::None),
    }
}
