//! Profiles, and methods for single columns.

use super::{Entries, Reader, listed, shown};
use crate::profile::{BUILT_IN_PROFILES, Method, Profile};
use crate::suggest::nearest;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};
use vestibule_core::PhiClass;

impl Reader<'_> {
    /// `[profile.NAME]`: a built-in profile with some methods changed.
    pub(super) fn profiles(&self, top: &Entries<'_>) -> BTreeMap<String, Arc<Profile>> {
        let mut profiles = BTreeMap::new();
        let Some((_, line, value)) = top.iter().find(|(key, ..)| *key == "profile") else { return profiles };
        let heading = "write `[profile.NAME]`, then `base = \"safe-harbor\"` and the classes that differ";
        let DeValue::Table(table) = value else {
            self.problem(*line, "`profile` is not written as a section", heading);
            return profiles;
        };
        for (name, line, value) in self.entries(table) {
            let DeValue::Table(table) = value else {
                self.problem(line, format!("profile `{}` is not written as a section", shown(name)), heading);
                continue;
            };
            if name.is_empty() {
                self.problem(line, "a profile has no name", heading);
                continue;
            }
            if BUILT_IN_PROFILES.contains(&name) {
                let mend = format!("give it a name of its own, and write `base = \"{name}\"` in it");
                self.problem(line, format!("the profile `{name}` is built in and cannot be changed"), mend);
                continue;
            }
            let profile = self.profile(line, name, table);
            profiles.insert(name.to_owned(), Arc::new(profile));
        }
        profiles
    }

    fn profile(&self, line: u32, name: &str, table: &DeTable<'_>) -> Profile {
        let entries = self.entries(table);
        let base = entries.iter().find(|(key, ..)| *key == "base");
        let mut profile = match base {
            Some((_, line, DeValue::String(base))) => Profile::built_in(base).or_else(|| {
                self.unknown(*line, "built-in profile", base, &BUILT_IN_PROFILES);
                None
            }),
            _ => {
                let what = format!("the profile `{}` does not say what it is derived from", shown(name));
                let line = base.map_or(line, |(_, line, _)| *line);
                self.problem(line, what, format!("write `base = ` and one of {}", listed(&BUILT_IN_PROFILES)));
                None
            }
        }
        .unwrap_or_else(Profile::redact_all);
        for (key, line, value) in entries.iter().filter(|(key, ..)| *key != "base") {
            let Ok(class) = key.parse::<PhiClass>() else {
                let names: Vec<_> = PhiClass::ALL.iter().map(|c| c.name()).chain(["base"]).collect();
                self.unknown(*line, "class", key, &names);
                continue;
            };
            if let Some(method) = self.method(*line, class, value) {
                profile.set(class, method);
            }
        }
        profile
    }

    /// `methods = { PROFILE = METHOD }` of a column.
    pub(super) fn methods(
        &self,
        line: u32,
        class: Option<PhiClass>,
        value: &DeValue<'_>,
        profiles: &BTreeMap<String, Arc<Profile>>,
    ) -> BTreeMap<String, Method> {
        let mut methods = BTreeMap::new();
        let (DeValue::Table(table), Some(class)) = (value, class) else {
            let (what, mend) = match class {
                Some(_) => ("`methods` is no table", "write `methods = { limited-data-set = \"keep\" }`"),
                None => {
                    ("a clear column is not masked, so that it has no methods", "remove `methods`, or name a class")
                }
            };
            self.problem(line, what, mend);
            return methods;
        };
        for (name, line, value) in self.entries(table) {
            let known: Vec<_> = BUILT_IN_PROFILES.into_iter().chain(profiles.keys().map(String::as_str)).collect();
            if !known.contains(&name) {
                self.unknown(line, "profile", name, &known);
            } else if let Some(method) = self.method(line, class, value) {
                methods.insert(name.to_owned(), method);
            }
        }
        methods
    }

    fn method(&self, line: u32, class: PhiClass, value: &DeValue<'_>) -> Option<Method> {
        let method = match value {
            DeValue::String(name) => self.plain_method(line, name),
            DeValue::Table(table) => self.method_with_values(line, table),
            _ => {
                self.problem(line, "a method is a word", format!("write one of {}", listed(&Method::NAMES)));
                None
            }
        }?;
        match method.misfit(class) {
            None => Some(method),
            Some(mend) => {
                self.problem(line, format!("the class `{class}` cannot be masked by `{method}`"), mend);
                None
            }
        }
    }

    fn plain_method(&self, line: u32, name: &str) -> Option<Method> {
        Some(match name {
            "redact" => Method::Redact,
            "null" => Method::Null,
            "token" => Method::Token,
            "year" => Method::Year,
            "age-90" => Method::Age90,
            "age-band" => Method::AgeBand,
            "zip3" => Method::Zip3,
            "keep" => Method::Keep,
            "replace" => {
                self.problem(line, "`replace` does not say by what", "write `{ replace = \"…\" }`");
                return None;
            }
            "partial" => {
                self.problem(line, "`partial` does not say how much stays", "write `{ partial = { last = 4 } }`");
                return None;
            }
            _ => {
                self.unknown(line, "method", name, &Method::NAMES);
                return None;
            }
        })
    }

    /// `{ replace = "…" }` or `{ partial = { first = 1, last = 4 } }`.
    fn method_with_values(&self, line: u32, table: &DeTable<'_>) -> Option<Method> {
        let entries = self.entries(table);
        match entries.as_slice() {
            [("replace", _, DeValue::String(by))] => Some(Method::Replace(by.as_ref().into())),
            [("partial", line, DeValue::Table(table))] => self.partial(*line, table),
            [(name, line, _)] if nearest(name, ["replace", "partial"]).is_none() => {
                let mend = "only `replace` and `partial` have values; write the other methods as a word, \"redact\"";
                self.problem(*line, format!("`{}` is no method with values", shown(name)), mend);
                None
            }
            _ => {
                let mend = "write `{ replace = \"…\" }` or `{ partial = { first = 1, last = 4 } }`";
                self.problem(line, "the method cannot be read", mend);
                None
            }
        }
    }

    fn partial(&self, line: u32, table: &DeTable<'_>) -> Option<Method> {
        let (mut first, mut last, mut sound) = (0, 0, true);
        for (key, line, value) in self.entries(table) {
            let count = match value {
                DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok(),
                _ => None,
            };
            let count = count.and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= 16);
            match (key, count) {
                ("first", Some(count)) => first = count,
                ("last", Some(count)) => last = count,
                ("first" | "last", None) => {
                    self.problem(line, format!("`{key}` is no number from 0 to 16"), "write how many characters stay");
                    sound = false;
                }
                (key, _) => {
                    self.unknown(line, "key", key, &["first", "last"]);
                    sound = false;
                }
            }
        }
        if sound && first == 0 && last == 0 {
            self.problem(line, "`partial` leaves nothing", "say how much stays, or write \"redact\"");
            return None;
        }
        sound.then_some(Method::Partial { first, last })
    }
}
