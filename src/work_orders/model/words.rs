//! Enums that are a word on the wire and in the database.

/// Defines an enum that is a word on the wire and in the database.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize,
            ::utoipa::ToSchema,
        )]
        #[serde(rename_all = "snake_case")]
        $(#[$doc])*
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::base::BadId;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                let rule = concat!("it is one of: ", $($word, " "),+);
                let wrong = || $crate::base::BadId { what: $what, given: text.chars().take(64).collect(), rule: rule.trim_end() };
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(wrong)
            }
        }

        $crate::sql_text!($name);
    };
}
pub(crate) use words;
