//! Enums that are one word in the database and on the wire.

/// A text that is not one of the words it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not one of {words}")]
pub struct NoWord {
    given: String,
    words: &'static str,
}

impl NoWord {
    /// Says that a text is none of the words, which are divided by spaces.
    pub(crate) fn new(given: &str, words: &'static str) -> Self {
        Self { given: given.chars().take(64).collect(), words: words.trim_end() }
    }
}

/// Defines an enum that is one word in the database and on the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::dispatch::NoWord;

            fn from_str(text: &str) -> Result<Self, $crate::dispatch::NoWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::dispatch::NoWord::new(text, concat!($($word, " "),+))),
                }
            }
        }

        crate::sql_text!($name);
    };
}
pub(crate) use words;
