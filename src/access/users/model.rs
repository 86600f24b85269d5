//! A person, and what may be typed about one.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::access::text;
use crate::base::{Error, Result, Secret, TenantId, UserId};

const MIN_PASSWORD_CHARS: usize = 12;
/// Longer ones cost time and are no safer.
const MAX_PASSWORD_CHARS: usize = 256;

/// One person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct User {
    /// The person.
    pub id: UserId,
    /// The tenant in which it acts unless another is asked for.
    pub tenant_id: TenantId,
    /// What it signs in with, in lower case.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// Where mail reaches it.
    pub email: Option<String>,
    /// Where calls and short messages reach it.
    pub phone: Option<String>,
    /// Its time zone, such as `Asia/Shanghai`.
    pub zone: String,
    /// Its language, such as `zh-CN`.
    pub locale: String,
    /// Since when it may not come in; `None` while it may.
    pub disabled_at: Option<DateTime<Utc>>,
    /// Whether the next thing it does has to be choosing a password.
    pub must_change_password: bool,
    /// When it last signed in.
    pub last_login_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts its changes.
    pub version: i64,
}

/// A new person.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// What it signs in with.
    pub name: String,
    /// A password; without one it can only sign in with the company's own accounts.
    pub password: Option<Secret>,
    /// Whether it has to choose another password first; yes if left out.
    pub must_change_password: Option<bool>,
    /// The rest.
    pub change: Change,
}

/// What is to be different; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Its name for people.
    pub display_name: Option<String>,
    /// Where mail reaches it; an empty text removes it.
    pub email: Option<String>,
    /// Where calls and short messages reach it; an empty text removes it.
    pub phone: Option<String>,
    /// Its time zone.
    pub zone: Option<String>,
    /// Its language.
    pub locale: Option<String>,
}

impl User {
    /// Makes a person of whom nothing else is known yet.
    pub(super) fn blank(tenant: TenantId, name: String, now: DateTime<Utc>) -> Self {
        Self {
            id: UserId::new(),
            tenant_id: tenant,
            display_name: name.clone(),
            name,
            email: None,
            phone: None,
            zone: "UTC".to_owned(),
            locale: "en".to_owned(),
            disabled_at: None,
            must_change_password: false,
            last_login_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Takes over what is to be different.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every field that does not fit.
    pub(super) fn apply(&mut self, change: &Change) -> Result<()> {
        let mut wrong = Vec::new();
        let mut take = |given: Option<Result<()>>| {
            if let Some(Err(Error::Invalid(fields))) = given {
                wrong.extend(fields);
            }
        };
        take(
            change
                .display_name
                .as_ref()
                .map(|given| text::line("/display_name", given, 100).map(|name| self.display_name = name)),
        );
        take(change.email.as_ref().map(|given| email(given).map(|email| self.email = email)));
        take(change.phone.as_ref().map(|given| phone(given).map(|phone| self.phone = phone)));
        take(change.zone.as_ref().map(|given| zone(given).map(|zone| self.zone = zone)));
        take(change.locale.as_ref().map(|given| locale(given).map(|locale| self.locale = locale)));
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }
}

/// Makes a person who signs in elsewhere.
///
/// # Errors
/// [`Error::Invalid`] with every field that does not fit.
pub(in crate::access) fn blank(tenant: TenantId, name: String, now: DateTime<Utc>, change: &Change) -> Result<User> {
    let mut user = User::blank(tenant, name, now);
    user.apply(change)?;
    Ok(user)
}

/// Checks a name to sign in with, and writes it in lower case: nobody remembers how it was typed the first time.
pub(in crate::access) fn name(given: &str) -> Result<String> {
    let name = given.trim().to_lowercase();
    let plain = name.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c));
    if plain && (1..=100).contains(&name.chars().count()) {
        return Ok(name);
    }
    Err(Error::field("/name", "the name of a user has 1 to 100 letters, digits and '.', '_', '-', '@', '+'"))
}

/// Checks a password that somebody chose.
pub(in crate::access) fn password(pointer: &str, given: &Secret, name: &str) -> Result<()> {
    let chars = given.expose().chars().count();
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&chars) {
        let rule = format!("a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters");
        return Err(Error::field(pointer, rule));
    }
    if given.expose().to_lowercase().contains(name) && name.chars().count() > 3 {
        return Err(Error::field(pointer, "a password does not contain the name of its user: choose another one"));
    }
    Ok(())
}

/// Says whether those of one tenant may change the account of a person with these memberships: a person of several tenants is kept
/// by the first one only, or one tenant could take over what it may do in another.
pub(in crate::access) fn keeps(tenant: &TenantId, memberships: &[TenantId]) -> bool {
    *tenant == TenantId::default() || memberships.iter().all(|membership| membership == tenant)
}

fn email(given: &str) -> Result<Option<String>> {
    let given = given.trim();
    if given.is_empty() {
        return Ok(None);
    }
    let fits = given.len() <= 254
        && !given.chars().any(|c| c.is_whitespace() || c.is_control() || "<>(),;:\\\"".contains(c))
        && given.rsplit_once('@').is_some_and(|(who, place)| {
            !who.is_empty()
                && !who.contains('@')
                && !place.is_empty()
                && !place.starts_with('.')
                && !place.ends_with('.')
        });
    if fits {
        Ok(Some(given.to_owned()))
    } else {
        Err(Error::field("/email", "it is no mail address such as dana@example.com"))
    }
}

fn phone(given: &str) -> Result<Option<String>> {
    let digits: String = given.trim().chars().filter(|c| !" -()/.".contains(*c)).collect();
    if digits.is_empty() {
        return Ok(None);
    }
    let number = digits.strip_prefix('+').unwrap_or(&digits);
    let fits = (3..=15).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    if fits { Ok(Some(digits)) } else { Err(Error::field("/phone", "it is no phone number such as +86 10 5555 0100")) }
}

fn zone(given: &str) -> Result<String> {
    let unknown =
        |_| Error::field("/zone", format!("{given:?} is no time zone: give one such as Asia/Shanghai or UTC"));
    given.trim().parse::<chrono_tz::Tz>().map(|zone| zone.name().to_owned()).map_err(unknown)
}

fn locale(given: &str) -> Result<String> {
    let given = given.trim();
    let mut parts = given.split('-');
    let language =
        parts.next().is_some_and(|p| (2..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_lowercase()));
    let rest = parts.all(|p| (2..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()));
    if language && rest && given.len() <= 35 {
        return Ok(given.to_owned());
    }
    Err(Error::field("/locale", "it is no language such as en, de-AT or zh-CN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_lower_case() {
        for (given, expected) in [
            ("Dana", Some("dana")),
            (" 王芳 ", Some("王芳")),
            ("d.k+1@example.com", Some("d.k+1@example.com")),
            ("", None),
            ("a b", None),
            ("a/b", None),
        ] {
            assert_eq!(name(given).ok().as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_password_is_long_and_not_the_name() {
        for (given, fits) in
            [("correct horse", true), ("elevenchars", false), ("Dana-Dana-2026", false), (&"x".repeat(257), false)]
        {
            assert_eq!(password("/password", &Secret::new(given), "dana").is_ok(), fits, "{given}");
        }
        assert!(password("/password", &Secret::new("qqqqqqqqqqqq"), "q").is_ok(), "a short name is in everything");
    }

    #[test]
    fn every_field_that_does_not_fit_is_named() {
        let mut user = User::blank(TenantId::default(), "dana".to_owned(), DateTime::UNIX_EPOCH);
        let text = |text: &str| Some(text.to_owned());
        let change = Change {
            display_name: text("Dana K."),
            email: text("dana"),
            phone: text("call me"),
            zone: text("Mars/X"),
            locale: text("Deutsch"),
        };
        let Err(Error::Invalid(fields)) = user.apply(&change) else { panic!("refused") };
        let pointers: Vec<&str> = fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/email", "/phone", "/zone", "/locale"]);
        let change = Change {
            email: text("dana@example.com"),
            phone: text("+86 (10) 5555-0100"),
            zone: text("asia/shanghai"),
            locale: text("zh-CN"),
            ..Change::default()
        };
        // Zones are written as the database of zones writes them.
        assert!(user.apply(&change).is_err());
        user.apply(&Change { zone: text("Asia/Shanghai"), ..change }).expect("fits");
        assert_eq!((user.phone.as_deref(), user.zone.as_str()), (Some("+861055550100"), "Asia/Shanghai"));
        user.apply(&Change { email: text(""), ..Change::default() }).expect("removes");
        assert_eq!(user.email, None);
    }

    #[test]
    fn a_person_of_several_tenants_is_kept_by_the_first() {
        let tenant = |id: &str| TenantId::new(id).expect("valid");
        let (acme, zen, first) = (tenant("acme"), tenant("zen"), TenantId::default());
        for (who, memberships, expected) in [
            (&acme, vec![acme.clone()], true),
            (&acme, vec![acme.clone(), zen.clone()], false),
            (&acme, vec![acme.clone(), first.clone()], false),
            (&first, vec![acme.clone(), zen.clone()], true),
            (&zen, vec![acme.clone()], false),
        ] {
            assert_eq!(keeps(who, &memberships), expected, "{who} {memberships:?}");
        }
    }
}
