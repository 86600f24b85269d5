//! The five fields of a crontab line: read strictly, because what a line silently means instead is found out at night.

use std::fmt::Write;

/// One of the five fields.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    names: &'static [&'static str],
}

/// All five, in their order.
pub(super) const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // 0 and 7 are both Sunday; as the end of a range, "sun" is 7.
    Field { name: "day of week", least: 0, most: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"] },
];

impl Field {
    /// Returns the field with names turned into numbers.
    ///
    /// # Errors
    /// A sentence that names the field, what is wrong and the cure.
    pub(super) fn read(&self, text: &str) -> Result<String, String> {
        let mut canonical = String::new();
        for part in text.split(',') {
            if !canonical.is_empty() {
                canonical.push(',');
            }
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (part, None),
            };
            self.read_range(range, step, text, &mut canonical)?;
            if let Some(step) = step {
                let step = self.read_step(step)?;
                write!(canonical, "/{step}").expect("a string takes everything");
            }
        }
        Ok(canonical)
    }

    fn read_range(&self, range: &str, step: Option<&str>, field: &str, canonical: &mut String) -> Result<(), String> {
        let name = self.name;
        if range == "*" {
            if step.is_none() && field != "*" {
                return Err(format!("the {name} {field:?} joins '*' with more: '*' is everything already"));
            }
            canonical.push('*');
            return Ok(());
        }
        let Some((first, last)) = range.split_once('-') else {
            let value = self.read_value(range, false)?;
            if let Some(step) = step {
                let most = self.most;
                return Err(format!("the {name} has a step after one value: write {value}-{most}/{step} or */{step}"));
            }
            write!(canonical, "{value}").expect("a string takes everything");
            return Ok(());
        };
        let (first, last) = (self.read_value(first, false)?, self.read_value(last, true)?);
        if first > last {
            let (least, most) = (self.least, self.most);
            return Err(format!("the {name} range {range} runs backwards: write {first}-{most},{least}-{last}"));
        }
        write!(canonical, "{first}-{last}").expect("a string takes everything");
        Ok(())
    }

    fn read_value(&self, text: &str, ends_range: bool) -> Result<u8, String> {
        let named = |name: &str| name.eq_ignore_ascii_case(text);
        let mut names = self.names.iter();
        let position =
            if ends_range { names.rposition(|name| named(name)) } else { names.position(|name| named(name)) };
        if let Some(position) = position {
            // Months count from 1, days of the week from 0.
            return Ok(position as u8 + self.least);
        }
        let Self { name, least, most, names } = self;
        let names = if names.is_empty() { String::new() } else { format!(" or a name such as {}", names[1]) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = digits.then(|| text.parse().ok()).flatten();
        value
            .filter(|value| (self.least..=self.most).contains(value))
            .ok_or_else(|| format!("the {name} {text:?} is not a number from {least} to {most}{names}"))
    }

    fn read_step(&self, text: &str) -> Result<u8, String> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let step = digits.then(|| text.parse().ok()).flatten();
        step.filter(|step| (1..=self.most).contains(step)).ok_or_else(|| {
            let Self { name, most, .. } = self;
            format!("the step {text:?} of the {name} is not a number from 1 to {most}")
        })
    }
}
