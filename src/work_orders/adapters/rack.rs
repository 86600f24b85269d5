//! The list of adapters.

use super::Adapter;
use super::jira::Jira;
use super::redmine::Redmine;
use super::rest::Rest;
use super::zendesk::Zendesk;

/// Returns all adapters.
pub fn all() -> &'static [&'static dyn Adapter] {
    &[&Jira, &Zendesk, &Redmine, &Rest]
}

/// Finds an adapter by the value of `system_type`.
pub fn find(system_type: &str) -> Option<&'static dyn Adapter> {
    all().iter().copied().find(|adapter| adapter.about().id == system_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work_orders::adapters::FieldKind;

    #[test]
    fn adapters_describe_themselves_fully() {
        for adapter in all() {
            let about = adapter.about();
            assert!(std::ptr::eq(find(about.id).expect("listed").about(), about), "{} is there twice", about.id);
            for field in about.fields {
                assert!(!field.label.is_empty() && !field.hint.is_empty(), "{}.{}", about.id, field.key);
                let secret = matches!(field.key, "api_key" | "password");
                assert_eq!(field.kind == FieldKind::Secret, secret, "{}.{}", about.id, field.key);
            }
        }
        assert!(find("nothing").is_none());
    }
}
