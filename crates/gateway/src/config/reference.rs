//! The reference page and the JSON schema of `vestibule.toml`, written from the table of keys.

use super::keys::{Form, Key, Kind, Presence, Section};
use super::schema::SECTIONS;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// `docs/spec/config.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    for section in SECTIONS {
        write_section(&mut page, section, "##");
    }
    page.push_str("\n## Settings of protocols\n\nThe keys of `settings` in a `[[target]]`, by protocol.\n");
    for protocol in super::resolve::protocols() {
        let manifest = protocol.manifest();
        let _ =
            write!(page, "\n### {} (`protocol = \"{}\"`)\n\n{}\n", manifest.title, manifest.id, manifest.target_hint);
        if !manifest.target_settings.is_empty() {
            page.push_str("\n| key | required | meaning |\n|---|---|---|\n");
        }
        for setting in manifest.target_settings {
            let required = if setting.required { "yes" } else { "no" };
            let _ = writeln!(page, "| `{}` | {required} | {} |", setting.key, setting.help);
        }
    }
    page
}

const INTRODUCTION: &str = "\
# `vestibule.toml`

<!-- Written from the table of keys in crates/gateway/src/config; do not edit. `UPDATE_REFERENCE=1 cargo test -p vestibule-gateway` writes it anew. -->

One TOML file (UTF-8, at most 1 MiB). The gateway MUST refuse a file with an unknown key, a value of the wrong type or
out of range, a missing key, a name that leads nowhere, a file that is not there, or a secret open to others, and MUST
name every such problem with its line and mend. `vestibule check` does the same without starting.

Paths are relative to the file's directory. Lengths of time are text: `\"90s\"`, `\"15m\"`, `\"8h\"`, `\"7d\"`. Secrets never
stand in the file: a key that ends in `_file` names a file of mode 0600, one that ends in `_env` an environment
variable.
";

fn write_section(page: &mut String, section: &Section, level: &str) {
    let times = match section.form {
        Form::Once { required: true } => "required",
        Form::Once { required: false } => "optional",
        Form::Many { min: 0 } => "any number of times",
        Form::Many { .. } => "at least once",
        Form::Inline => "inside the section above",
    };
    let _ = write!(page, "\n{level} `{}`\n\n{}; {times}.\n\n", section.heading(), capital(section.help));
    page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for key in section.keys {
        let default = match key.presence {
            Presence::Required => "required".to_owned(),
            Presence::Optional => "none".to_owned(),
            Presence::Default(text) => format!("`{}`", written(key, text)),
        };
        let kind = match key.kind {
            Kind::Table(_) => "a table, see below".to_owned(),
            kind => kind.words(),
        };
        let _ = writeln!(page, "| `{}` | {} | {default} | {} |", key.name, kind.replace('|', "\\|"), key.help);
    }
    for key in section.keys {
        if let Kind::Table(inner) = key.kind {
            let _ =
                write!(page, "\n{level}# `{}` of `{}`\n\n{}.\n\n", key.name, section.heading(), capital(inner.help));
            page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
            for key in inner.keys {
                let default = match key.presence {
                    Presence::Required => "required".to_owned(),
                    Presence::Optional => "none".to_owned(),
                    Presence::Default(text) => format!("`{}`", written(key, text)),
                };
                let _ = writeln!(page, "| `{}` | {} | {default} | {} |", key.name, key.kind.words(), key.help);
            }
        }
    }
}

/// A default as it would stand in the file.
fn written(key: &Key, text: &str) -> String {
    match key.kind {
        Kind::Boolean | Kind::Integer(..) | Kind::Texts => text.to_owned(),
        _ => format!("\"{text}\""),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// `docs/spec/config.schema.json`: JSON Schema 2020-12, for editors.
#[must_use]
pub fn json_schema() -> String {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for section in SECTIONS {
        let object = object(section);
        let value = match section.form {
            Form::Many { min } => json!({ "type": "array", "minItems": min, "items": object }),
            Form::Once { .. } | Form::Inline => object,
        };
        if matches!(section.form, Form::Once { required: true } | Form::Many { min: 1.. }) {
            required.push(Value::from(section.name));
        }
        properties.insert(section.name.to_owned(), value);
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vestibule.toml",
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    });
    // Values built from literals always have a text.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

fn object(section: &Section) -> Value {
    let required: Vec<_> =
        section.keys.iter().filter(|k| k.presence == Presence::Required).map(|k| Value::from(k.name)).collect();
    let properties: Map<String, Value> = section.keys.iter().map(|k| (k.name.to_owned(), property(k))).collect();
    json!({
        "type": "object",
        "description": capital(section.help),
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn property(key: &Key) -> Value {
    let mut value = match key.kind {
        Kind::Text | Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Name => json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$" }),
        Kind::Address => json!({ "type": "string", "pattern": "^.+:[0-9]{1,5}$" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Duration(..) => json!({ "type": "string", "pattern": "^[0-9]+[smhd]$" }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Map => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Table(section) => object(section),
    };
    if let Value::Object(map) = &mut value {
        map.insert("description".into(), key.help.into());
        if let Presence::Default(text) = key.presence {
            let default = match key.kind {
                Kind::Boolean | Kind::Integer(..) | Kind::Texts => serde_json::from_str(text).unwrap_or(Value::Null),
                _ => text.into(),
            };
            map.insert("default".into(), default);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The pages in the tree are those this table of keys makes.
    #[test]
    fn pages_in_the_tree_are_up_to_date() {
        let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec");
        for (name, made) in [("config.md", super::reference()), ("config.schema.json", super::json_schema())] {
            let path = spec.join(name);
            if std::env::var_os("UPDATE_REFERENCE").is_some() {
                std::fs::write(&path, &made).unwrap();
            }
            let have = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(have == made, "{name} is out of date: run UPDATE_REFERENCE=1 cargo test -p vestibule-gateway");
        }
    }

    #[test]
    fn defaults_obey_their_own_kind() {
        use super::{Kind, Presence, SECTIONS};
        for key in SECTIONS.iter().flat_map(|s| s.keys) {
            let Presence::Default(text) = key.presence else { continue };
            let good = match key.kind {
                Kind::Boolean => text == "true" || text == "false",
                Kind::Integer(min, max) => text.parse::<i64>().is_ok_and(|n| (min..=max).contains(&n)),
                Kind::Duration(min, max) => super::super::parse_seconds(text).is_some_and(|n| (min..=max).contains(&n)),
                Kind::Choice(words) => words.contains(&text),
                _ => !text.is_empty(),
            };
            assert!(good, "{}", key.name);
        }
    }
}
