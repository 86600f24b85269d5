//! The vault, by the settings.

use crate::base::{Error, FieldError, Key, Result, Vault};
use crate::config::Secrets;

/// Makes the vault of the settings: the key is in the text, else in the file, which is made if there is none.
///
/// # Errors
/// [`Error::Invalid`] names the setting whose key is none, [`Error::Internal`] says that the file cannot be made.
pub fn open_vault(settings: &Secrets) -> Result<Vault> {
    let current = if settings.key.is_empty() {
        named("key_file", Key::load_or_create(&settings.key_file))
    } else {
        named("key", Key::from_text(&settings.key))
    }?;
    let texts = settings.previous_keys.iter().map(|text| named("previous_keys", Key::from_text(text)));
    let files = settings.previous_key_files.iter().map(|path| named("previous_key_files", Key::read(path)));
    let previous = texts.chain(files).collect::<Result<Vec<_>>>()?;
    Ok(Vault::new(&current, &previous))
}

/// Says which setting is wrong.
fn named(setting: &str, key: Result<Key>) -> Result<Key> {
    let point = |field: FieldError| FieldError {
        pointer: format!("/secrets/{setting}"),
        message: format!("secrets.{setting}: {}", field.message),
    };
    key.map_err(|error| match error {
        Error::Invalid(fields) => Error::Invalid(fields.into_iter().map(point).collect()),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use crate::base::Secret;

    use super::*;

    #[test]
    fn the_text_comes_before_the_file_and_older_keys_open() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let keys = [1, 2, 3].map(|byte| Key::from_bytes([byte; 32]));
        let file = directory.path().join("old.key");
        std::fs::write(&file, keys[2].to_text().expose()).expect("written");
        let settings = Secrets {
            key: keys[0].to_text().expose().to_owned(),
            key_file: directory.path().join("secret.key"),
            previous_keys: vec![keys[1].to_text().expose().to_owned()],
            previous_key_files: vec![file],
        };
        let vault = open_vault(&settings).expect("opens");
        assert_eq!(*vault.key_id(), keys[0].id());
        for key in &keys {
            let sealed = Vault::new(key, &[]).seal(&Secret::new("x"), "p");
            assert_eq!(vault.open(&sealed, "p").expect("opens").expose(), "x");
        }
        assert!(!settings.key_file.exists(), "a file that nobody needs is not made");

        let wrong = Secrets { previous_keys: vec!["hunter2".to_owned()], ..settings };
        let error = open_vault(&wrong).expect_err("no key").to_string();
        assert!(error.contains("secrets.previous_keys") && !error.contains("hunter2"), "{error}");
    }
}
