//! Reads the file against the table of keys and collects every problem of form: syntax, unknown keys, wrong types,
//! values out of range, missing keys. Typed getters then hand out what is well formed; what is not was reported.
//!
//! Not here: what values mean together, and whether files exist.

use super::keys::{Form, Key, Kind, Presence, Section, nearest, parse_seconds};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vestibule_core::Problem;

/// A value and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub value: T,
    pub line: u32,
}

/// The file being read, and what is wrong with it so far.
pub(super) struct Reading<'t> {
    file: String,
    text: &'t str,
    /// Relative paths start here.
    base: PathBuf,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Reading<'t> {
    pub(super) fn new(file: &Path, text: &'t str, base: PathBuf) -> Self {
        Self { file: file.display().to_string(), text, base, problems: RefCell::default() }
    }

    /// Notes a problem at a line.
    pub(super) fn problem(&self, line: u32, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::new(self.file.clone(), line, what, mend));
    }

    /// Notes problems found in other files (policies, the data map).
    pub(super) fn extend(&self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.borrow_mut().extend(problems);
    }

    /// Everything that is wrong, in the order of the lines; problems of other files last.
    pub(super) fn finish(self) -> Vec<Problem> {
        let file = self.file;
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|p| (p.file != file, p.file.clone(), p.line));
        problems.dedup();
        problems
    }

    pub(super) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    pub(super) fn line(&self, span: &Range<usize>) -> u32 {
        Problem::line_of(self.text, span.start)
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Parses the document and checks it against the sections. What cannot be parsed at all is left out.
    pub(super) fn document(&self, sections: &'static [&'static Section]) -> Document<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let line = error.span().map_or(0, |span| self.line(&span));
            let what = format!("not TOML: {}", error.message());
            self.problem(line, what, syntax_mend(error.message()));
        }
        let table = table.into_inner();
        if errors.is_empty() {
            self.check_sections(&table, sections);
        }
        Document { table, parsed: errors.is_empty() }
    }

    fn check_sections(&self, table: &DeTable<'_>, sections: &'static [&'static Section]) {
        for (name, value) in table {
            let line = self.line(&name.span());
            let Some(section) = sections.iter().find(|s| s.name == name.get_ref().as_ref()) else {
                self.unknown_section(name.get_ref(), line, sections);
                continue;
            };
            match (section.form, value.get_ref()) {
                (Form::Once { .. } | Form::Inline, DeValue::Table(inner)) => self.check_table(inner, section, line),
                (Form::Many { .. }, DeValue::Array(list)) => {
                    for item in list.iter() {
                        let line = self.line(&item.span());
                        match item.get_ref() {
                            DeValue::Table(inner) => self.check_table(inner, section, line),
                            _ => self.wrong_form(section, line),
                        }
                    }
                }
                _ => self.wrong_form(section, line),
            }
        }
        for section in sections {
            self.check_presence(table, section);
        }
    }

    fn unknown_section(&self, name: &str, line: u32, sections: &'static [&'static Section]) {
        let holder = sections.iter().find(|s| s.key(name).is_some());
        let mend = match (nearest(name, sections.iter().map(|s| s.name)), holder) {
            (_, Some(section)) => {
                format!("`{name}` is a key of `{}`: write it below that heading", section.heading())
            }
            (Some(near), None) => {
                let heading = sections.iter().find(|s| s.name == near).map_or(String::new(), |s| s.heading());
                format!("write `{heading}`")
            }
            (None, None) => {
                let known: Vec<_> = sections.iter().map(|s| s.heading()).collect();
                format!("remove it; the sections are {}", known.join(", "))
            }
        };
        self.problem(line, format!("there is no section `{name}`"), mend);
    }

    fn wrong_form(&self, section: &Section, line: u32) {
        self.problem(
            line,
            format!("`{}` is not written as a section", section.name),
            format!("write `{}` on a line of its own, and its keys below it", section.heading()),
        );
    }

    fn check_presence(&self, table: &DeTable<'_>, section: &Section) {
        let have = match table.get(section.name).map(Spanned::get_ref) {
            None => 0,
            Some(DeValue::Array(list)) => list.len(),
            Some(_) => 1,
        };
        let need = match section.form {
            Form::Once { required } => usize::from(required),
            Form::Many { min } => min,
            Form::Inline => 0,
        };
        if have < need {
            let mut keys = section.keys.iter().filter(|k| k.presence == Presence::Required).map(|k| k.name);
            self.problem(
                0,
                format!("the section `{}` is missing: {}", section.heading(), in_a_line(section.help)),
                match keys.next() {
                    None => format!("add `{}`", section.heading()),
                    Some(first) => keys
                        .fold(format!("add `{}`; it needs `{first}`", section.heading()), |s, k| format!("{s}, `{k}`")),
                },
            );
        }
    }

    fn check_table(&self, table: &DeTable<'_>, section: &'static Section, line: u32) {
        for (name, value) in table {
            match section.key(name.get_ref()) {
                Some(key) => self.check_value(key, value, section),
                None => self.unknown_key(name.get_ref(), self.line(&name.span()), section),
            }
        }
        for key in section.keys.iter().filter(|k| k.presence == Presence::Required) {
            if !table.contains_key(key.name) {
                self.problem(
                    line,
                    format!("`{}` of `{}` is missing: {}", key.name, section.heading(), in_a_line(key.help)),
                    format!("add `{} = …`, {}", key.name, key.kind.words()),
                );
            }
        }
    }

    fn unknown_key(&self, name: &str, line: u32, section: &Section) {
        let mend = match nearest(name, section.keys.iter().map(|k| k.name)) {
            Some(near) => format!("write `{near}`"),
            None => {
                let known: Vec<_> = section.keys.iter().map(|k| k.name).collect();
                format!("remove it; the keys here are {}", known.join(", "))
            }
        };
        let inline_secret = ["password", "secret", "token", "client_secret"].contains(&name);
        if inline_secret {
            self.problem(
                line,
                format!("`{name}` is not a key of `{}`: secrets do not stand in this file", section.heading()),
                format!("put the secret into a file of mode 0600 and name it with `{name}_file`, or name a variable with `{name}_env`"),
            );
        } else {
            self.problem(line, format!("`{name}` is not a key of `{}`", section.heading()), mend);
        }
    }

    fn check_value(&self, key: &'static Key, value: &Spanned<DeValue<'_>>, section: &'static Section) {
        let line = self.line(&value.span());
        let wrong = |found: String| {
            self.problem(
                line,
                format!("`{}` of `{}` is {found}", key.name, section.heading()),
                format!("write {}", key.kind.words()),
            );
        };
        match (key.kind, value.get_ref()) {
            (Kind::Table(inner), DeValue::Table(table)) => self.check_table(table, inner, line),
            (Kind::Map, DeValue::Table(table)) => {
                for (name, item) in table {
                    if !matches!(item.get_ref(), DeValue::String(_)) {
                        wrong(format!("a table whose `{}` is {}", name.get_ref(), found(item.get_ref())));
                    }
                }
            }
            (Kind::Boolean, DeValue::Boolean(_)) => {}
            (Kind::Texts, DeValue::Array(list)) => {
                if let Some(item) = list.iter().find(|i| !matches!(i.get_ref(), DeValue::String(_))) {
                    wrong(format!("a list with {} in it", found(item.get_ref())));
                }
            }
            (Kind::Integer(min, max), DeValue::Integer(n)) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) if (min..=max).contains(&n) => {}
                _ => wrong(n.to_string()),
            },
            (kind, DeValue::String(text)) => {
                if let Some(found) = wrong_text(kind, text) {
                    wrong(found);
                }
            }
            (_, other) => wrong(found(other)),
        }
    }
}

/// What is wrong with a text where a key of `kind` is due; `None`: nothing.
fn wrong_text(kind: Kind, text: &str) -> Option<String> {
    let good = match kind {
        Kind::Text | Kind::Path => !text.is_empty(),
        Kind::Name => is_name(text),
        Kind::Address => split_address(text).is_some(),
        Kind::Duration(min, max) => parse_seconds(text).is_some_and(|s| (min..=max).contains(&s)),
        Kind::Choice(words) => words.contains(&text),
        Kind::Boolean | Kind::Integer(..) | Kind::Texts | Kind::Map | Kind::Table(_) => false,
    };
    if good {
        return None;
    }
    // A value that should not be text may be a secret put in the wrong place: never repeat it.
    match kind {
        Kind::Boolean | Kind::Integer(..) | Kind::Texts | Kind::Map | Kind::Table(_) => Some("text".into()),
        _ if text.is_empty() => Some("empty".into()),
        // An address written as a URL may carry a password.
        Kind::Address if text.contains('@') => Some("text with an `@` in it".into()),
        _ => Some(format!("`{}`", text.chars().take(80).collect::<String>().escape_debug())),
    }
}

/// The first sentence of a help text, as it stands within a message.
fn in_a_line(help: &str) -> String {
    let sentence = help.split_once(". ").map_or(help, |(first, _)| first).trim_end_matches('.');
    let mut chars = sentence.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => sentence.to_owned(),
    }
}

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// Host and port of `host:port`, `[::1]:port`.
pub(super) fn split_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    let plain = !host.is_empty() && !host.contains(char::is_whitespace) && !host.contains(['/', '[', ']', '@']);
    // A bare IPv6 address is ambiguous without brackets.
    let fits = plain && (bracketed.is_some() == host.contains(':'));
    fits.then_some(host).zip(port.parse().ok().filter(|p| *p != 0))
}

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
    .into()
}

fn syntax_mend(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "write each key, and each `[section]`, once; use `[[section]]` for lists"
    } else {
        "write `key = value`, text in double quotes, one key a line; see https://toml.io"
    }
}

/// The parsed file.
pub(super) struct Document<'t> {
    table: DeTable<'t>,
    /// Whether it is TOML at all; if not, nothing more is worth saying.
    pub(super) parsed: bool,
}

impl Document<'_> {
    /// The table of a `[section]`; an empty one if it is not there.
    pub(super) fn section<'d>(&'d self, reading: &'d Reading<'_>, section: &'static Section) -> Table<'d> {
        let found = self.table.get_key_value(section.name);
        let table = match found.map(|(_, v)| v.get_ref()) {
            Some(DeValue::Table(table)) => Some(table),
            _ => None,
        };
        let line = found.map_or(0, |(name, _)| reading.line(&name.span()));
        Table { reading, section, table, line }
    }

    /// The tables of a `[[section]]`.
    pub(super) fn sections<'d>(&'d self, reading: &'d Reading<'_>, section: &'static Section) -> Vec<Table<'d>> {
        let Some(DeValue::Array(list)) = self.table.get(section.name).map(Spanned::get_ref) else {
            return Vec::new();
        };
        let tables = list.iter().filter_map(|item| match item.get_ref() {
            DeValue::Table(table) => Some((table, reading.line(&item.span()))),
            _ => None,
        });
        tables.map(|(table, line)| Table { reading, section, table: Some(table), line }).collect()
    }
}

/// One table, with typed getters. A getter gives `None` (or the default) for what is absent or was reported.
pub(super) struct Table<'d> {
    reading: &'d Reading<'d>,
    section: &'static Section,
    table: Option<&'d DeTable<'d>>,
    /// Where it begins; 0 if it is not there.
    pub(super) line: u32,
}

impl<'d> Table<'d> {
    fn value(&self, key: &str) -> Option<At<&'d DeValue<'d>>> {
        debug_assert!(self.section.key(key).is_some(), "`{key}` is not in the table of keys");
        let value = self.table?.get(key)?;
        Some(At { value: value.get_ref(), line: self.reading.line(&value.span()) })
    }

    fn default(&self, key: &str) -> Option<&'static str> {
        match self.section.key(key)?.presence {
            Presence::Default(text) => Some(text),
            _ => None,
        }
    }

    /// The line of a key, or of the table if the key is not there.
    pub(super) fn line_of(&self, key: &str) -> u32 {
        self.value(key).map_or(self.line, |v| v.line)
    }

    /// Notes a problem with a key.
    pub(super) fn problem(&self, key: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.reading.problem(self.line_of(key), what, mend);
    }

    /// Notes a problem at a line of this table.
    pub(super) fn problem_at(&self, line: u32, what: impl Into<String>, mend: impl Into<String>) {
        self.reading.problem(line, what, mend);
    }

    /// Text as written or by default, if well formed.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let kind = self.section.key(key)?.kind;
        match self.value(key) {
            Some(At { value: DeValue::String(text), .. }) => wrong_text(kind, text).is_none().then(|| text.to_string()),
            Some(_) => None,
            None => self.default(key).map(str::to_owned),
        }
    }

    /// Like [`Table::text`], empty where it is missing or was reported: the load has failed by then.
    pub(super) fn text_or_empty(&self, key: &str) -> String {
        self.text(key).unwrap_or_default()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        match self.value(key) {
            Some(At { value: DeValue::Boolean(b), .. }) => Some(*b),
            Some(_) => None,
            None => self.default(key).map(|d| d == "true"),
        }
    }

    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        match self.value(key) {
            Some(At { value: DeValue::Integer(n), .. }) => i64::from_str_radix(n.as_str(), n.radix()).ok(),
            Some(_) => None,
            None => self.default(key)?.parse().ok(),
        }
    }

    /// A length of time in seconds.
    pub(super) fn seconds(&self, key: &str) -> Option<u64> {
        parse_seconds(&self.text(key)?)
    }

    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(At { value: DeValue::Array(list), .. }) => list
                .iter()
                .filter_map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Texts by name, each with its line.
    pub(super) fn map(&self, key: &str) -> BTreeMap<String, At<String>> {
        let Some(At { value: DeValue::Table(table), .. }) = self.value(key) else {
            return BTreeMap::new();
        };
        let mut texts = BTreeMap::new();
        for (name, item) in table {
            if let DeValue::String(text) = item.get_ref() {
                let line = self.reading.line(&name.span());
                texts.insert(name.get_ref().to_string(), At { value: text.to_string(), line });
            }
        }
        texts
    }

    /// An absolute path: as written, or below the configuration file's directory.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|text| self.reading.base().join(text))
    }

    /// A table inside this one, if it is there.
    pub(super) fn table(&self, key: &str) -> Option<Table<'d>> {
        let Kind::Table(section) = self.section.key(key)?.kind else { return None };
        match self.value(key)? {
            At { value: DeValue::Table(table), line } => {
                Some(Table { reading: self.reading, section, table: Some(table), line })
            }
            _ => None,
        }
    }
}
