//! SET, RESET, SHOW and what they change of the session.

use crate::SessionChange;
use crate::call::constant_text;
use crate::names::{Configured, Reader, strings};
use pg_query::NodeEnum;
use pg_query::protobuf::{AExprKind, Node, SelectStmt, VariableSetKind, VariableSetStmt, a_const};
use std::sync::Arc;
use vestibule_core::{Access, Effect, traits};

/// Settings with which a session escapes triggers, audit, or the server's own code.
const DANGEROUS: [&str; 11] = [
    "session_replication_role",
    "session_preload_libraries",
    "local_preload_libraries",
    "dynamic_library_path",
    "jit_provider",
    "allow_system_table_mods",
    "zero_damaged_pages",
    "ignore_checksum_failure",
    "ignore_system_indexes",
    "event_triggers",
    "lo_compat_privileges",
];

/// Settings that decide as whom the session acts.
const ROLES: [&str; 2] = ["role", "session_authorization"];

impl Reader<'_> {
    /// What changing this setting can do; `None`: which one is not known.
    pub(crate) fn judge_setting(&mut self, name: Option<&str>) {
        self.facts.traits.insert(traits::SETTING);
        let Some(name) = name.map(str::to_ascii_lowercase) else {
            self.facts.at_least(Effect::Administer);
            self.facts.traits.insert(traits::RIGHTS);
            self.facts.partial("which setting is changed is not in the statement");
            return;
        };
        self.facts.resource("setting", &Arc::from(name.as_str()), Access::Write);
        if DANGEROUS.contains(&name.as_str()) || ROLES.contains(&name.as_str()) || name.starts_with("log_") {
            self.facts.at_least(Effect::Administer);
            self.facts.traits.insert(traits::RIGHTS);
        }
    }

    /// `… FROM pg_settings WHERE name = 'x'`: the setting that a row stands for.
    pub(crate) fn setting_in_view(&self, select: &SelectStmt) -> Option<String> {
        let [Node { node: Some(NodeEnum::RangeVar(range)) }] = select.from_clause.as_slice() else { return None };
        let relation = self.relation(range)?;
        if &*relation.schema != "pg_catalog" || &*relation.name != "pg_settings" || self.cte(&range.relname).is_some() {
            return None;
        }
        let Some(NodeEnum::AExpr(condition)) = &select.where_clause.as_deref()?.node else { return None };
        let named = condition.lexpr.as_deref().is_some_and(is_name) && strings(&condition.name) == ["="];
        let value = constant_text(condition.rexpr.as_deref()?)?;
        (named && condition.kind == AExprKind::AexprOp as i32).then(|| value.to_owned())
    }

    pub(crate) fn set(&mut self, set: &VariableSetStmt) -> SessionChange {
        let kind = VariableSetKind::try_from(set.kind).unwrap_or(VariableSetKind::Undefined);
        match kind {
            VariableSetKind::VarResetAll => {
                self.facts.traits.insert(traits::SETTING);
                return SessionChange::Reset;
            }
            // SET TRANSACTION, SET SESSION CHARACTERISTICS: how, not what, is read.
            VariableSetKind::VarSetMulti => {
                self.facts.traits.insert(traits::SETTING);
                self.facts.traits.insert(traits::TRANSACTION);
                return SessionChange::None;
            }
            _ => {}
        }
        let name = set.name.to_ascii_lowercase();
        let values: Vec<String> = set.args.iter().filter_map(value).collect();
        self.judge_setting(Some(&name));
        match kind {
            VariableSetKind::VarSetValue => change(&name, Some(values), set.is_local),
            VariableSetKind::VarSetDefault | VariableSetKind::VarReset => change(&name, None, set.is_local),
            VariableSetKind::VarSetCurrent => SessionChange::None,
            _ => change(&name, None, true),
        }
    }

    /// What the calls of `set_config` change.
    pub(crate) fn configured(&self) -> SessionChange {
        match self.settings.as_slice() {
            [] => SessionChange::None,
            [Configured { name: Some(name), value: Some(value), local }] => {
                let name = name.to_ascii_lowercase();
                let values = if name == "search_path" { split_names(value) } else { vec![value.clone()] };
                change(&name, Some(values), *local)
            }
            several => {
                let matters = |one: &Configured| {
                    one.name.as_deref().is_none_or(|name| change(name, None, true) != SessionChange::None)
                };
                if several.iter().any(matters) { SessionChange::Role } else { SessionChange::None }
            }
        }
    }
}

/// Whether it is the column `name`.
pub(crate) fn is_name(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::ColumnRef(name)) if strings(&name.fields).last() == Some(&"name"))
}

/// What setting this to that (`None`: to its default) changes.
fn change(name: &str, values: Option<Vec<String>>, local: bool) -> SessionChange {
    match (name, values) {
        // After the transaction it is what it was before, which nobody here can know.
        ("search_path" | "standard_conforming_strings", _) if local => SessionChange::Role,
        ("search_path", values) => SessionChange::SearchPath(values),
        ("standard_conforming_strings", Some(values)) => match values.first().and_then(|word| truth(word)) {
            Some(on) => SessionChange::StandardStrings(on),
            None => SessionChange::Role,
        },
        ("standard_conforming_strings", None) => SessionChange::Role,
        ("role" | "session_authorization", _) => SessionChange::Role,
        _ => SessionChange::None,
    }
}

/// A boolean as PostgreSQL reads it.
pub(crate) fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" => Some(true),
        "off" | "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// The text of an option's or setting's value.
pub(crate) fn value(node: &Node) -> Option<String> {
    if let Some(text) = constant_text(node) {
        return Some(text.to_owned());
    }
    match node.node.as_ref()? {
        NodeEnum::String(text) => Some(text.sval.clone()),
        NodeEnum::Integer(number) => Some(number.ival.to_string()),
        NodeEnum::Boolean(truth) => Some(truth.boolval.to_string()),
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            a_const::Val::Ival(number) => Some(number.ival.to_string()),
            a_const::Val::Boolval(truth) => Some(truth.boolval.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// `a, "B c"` as a list of names.
fn split_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    let mut quoted = false;
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if quoted => name.push(c),
            c if c.is_whitespace() => {}
            c => name.extend(c.to_lowercase()),
        }
    }
    if !names.is_empty() || !name.is_empty() {
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::split_names;

    #[test]
    fn splits_lists_of_names() {
        assert_eq!(split_names(""), Vec::<String>::new());
        assert_eq!(split_names("Public, \"My, \"\"x\"\"\" ,b"), ["public", "My, \"x\"", "b"]);
    }
}
