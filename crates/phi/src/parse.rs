//! Reads a data map: strict TOML, every problem at once, each with its line and mend.
//!
//! Not here: what the map means (see `map`), and whether its targets exist (the configuration knows them).

mod methods;

use crate::map::{Column, Content, Relation, Target};
use crate::profile::Profile;
use crate::suggest::nearest;
use aws_lc_rs::digest::{SHA256, digest};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vestibule_core::{PhiClass, Problem};

/// The word for a column, relation, schema or target that holds no PHI.
const CLEAR: &str = "clear";
/// The word for relations that are masked until listed.
const UNCLASSIFIED: &str = "unclassified";
/// The key for columns that are not listed.
const REST: &str = "*";

/// Words people use for a class or for no class.
#[rustfmt::skip]
const SYNONYMS: &[(&str, &str)] = &[
    ("dob", "birth-date"), ("birthdate", "birth-date"), ("date-of-birth", "birth-date"), ("date_of_birth", "birth-date"),
    ("birth_date", "birth-date"), ("timestamp", "date"), ("street", "address"), ("city", "address"),
    ("county", "address"), ("postal-code", "zip"), ("postcode", "zip"), ("zip-code", "zip"), ("mobile", "phone"),
    ("telephone", "phone"), ("mail", "email"), ("e-mail", "email"), ("social-security-number", "ssn"),
    ("medical-record-number", "mrn"), ("member-id", "beneficiary"), ("insurance", "beneficiary"),
    ("diagnosis", "clinical"), ("result", "clinical"), ("medication", "clinical"), ("note", "free-text"),
    ("notes", "free-text"), ("text", "free-text"), ("freetext", "free-text"), ("free_text", "free-text"),
    ("id", "unique"), ("identifier", "unique"), ("uuid", "unique"), ("none", CLEAR), ("public", CLEAR),
    ("no-phi", CLEAR), ("safe", CLEAR), ("license-plate", "vehicle"), ("licence", "license"),
];

/// A table of the document, in the order of its lines.
type Entries<'a> = Vec<(&'a str, u32, &'a DeValue<'a>)>;

/// The file being read, and what is wrong with it so far.
struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

/// Reads the text.
pub(crate) fn parse(file: &str, text: &str) -> Result<Content, Vec<Problem>> {
    let reader = Reader { file, text, problems: RefCell::default() };
    let content = reader.content();
    let mut problems = reader.problems.into_inner();
    problems.sort_by_key(|p| p.line);
    if problems.is_empty() { Ok(content) } else { Err(problems) }
}

impl Reader<'_> {
    fn problem(&self, line: u32, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::new(self.file, line, what, mend));
    }

    fn line(&self, span: &Range<usize>) -> u32 {
        Problem::line_of(self.text, span.start)
    }

    fn content(&self) -> Content {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let line = error.span().map_or(0, |span| self.line(&span));
            let mend =
                "texts stand in quotes, a heading is `[target.clinic.relation.patient]`, and a key is written once";
            self.problem(line, format!("not TOML: {}", error.message()), mend);
        }
        if !errors.is_empty() {
            return Content::default();
        }
        let top = self.entries(table.get_ref());
        let profiles = self.profiles(&top);
        let mut targets = BTreeMap::new();
        for (name, line, value) in top {
            match (name, value) {
                ("profile", _) => {}
                ("target", DeValue::Table(table)) => self.targets(table, &profiles, &mut targets),
                ("target", _) => self.problem(
                    line,
                    "`target` is not written as a section",
                    "write `[target.NAME.relation.RELATION]` and the columns below it",
                ),
                _ => self.unknown(line, "section", name, &["target", "profile"]),
            }
        }
        let digest = digest(&SHA256, self.text.as_bytes());
        let hex = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        Content { targets, profiles, digest: hex }
    }

    fn entries<'a>(&self, table: &'a DeTable<'_>) -> Entries<'a> {
        let entry = |(key, value): (&'a Spanned<std::borrow::Cow<'_, str>>, &'a Spanned<DeValue<'_>>)| {
            (key.get_ref().as_ref(), self.line(&key.span()), value.get_ref())
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        entries.sort_by_key(|(_, line, _)| *line);
        entries
    }

    /// An unknown word where only these are known.
    fn unknown(&self, line: u32, what: &str, word: &str, known: &[&str]) {
        let mend = match nearest(word, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of {}", listed(known)),
        };
        self.problem(line, format!("there is no {what} `{}`", shown(word)), mend);
    }

    fn targets(
        &self,
        table: &DeTable<'_>,
        profiles: &BTreeMap<String, Arc<Profile>>,
        into: &mut BTreeMap<String, Arc<Target>>,
    ) {
        for (name, line, value) in self.entries(table) {
            let DeValue::Table(table) = value else {
                let mend = format!("write `[target.{name}]` and its keys below it");
                self.problem(line, format!("target `{}` is not written as a section", shown(name)), mend);
                continue;
            };
            into.insert(name.to_owned(), Arc::new(self.target(line, table, profiles)));
        }
    }

    fn target(&self, line: u32, table: &DeTable<'_>, profiles: &BTreeMap<String, Arc<Profile>>) -> Target {
        let mut target = Target { line, ..Target::default() };
        let entries = self.entries(table);
        let schema = entries.iter().find(|(key, ..)| *key == "schema").and_then(|(_, line, value)| match value {
            DeValue::String(schema) if !schema.is_empty() => Some(schema.as_ref()),
            _ => {
                let mend = "write the schema of the relations that are named without one: `schema = \"public\"`";
                self.problem(*line, "`schema` is no name", mend);
                None
            }
        });
        for (key, line, value) in &entries {
            match (*key, value) {
                ("schema", _) => {}
                ("default", value) => target.clear = self.default(*line, value),
                ("schemas", DeValue::Table(table)) => {
                    for (schema, line, value) in self.entries(table) {
                        target.schemas.insert(schema.into(), self.default(line, value));
                    }
                }
                ("schemas", _) => {
                    self.problem(*line, "`schemas` is no table", "write `schemas = { reference = \"clear\" }`");
                }
                ("relation", DeValue::Table(table)) => self.relations(table, schema, profiles, &mut target),
                ("relation", _) => self.problem(
                    *line,
                    "`relation` is not written as a section",
                    "write `[target.NAME.relation.RELATION]` and the columns below it",
                ),
                (key, DeValue::Table(_)) if nearest(key, ["schemas", "relation"]).is_none() => self.problem(
                    *line,
                    format!("there is no key `{}`", shown(key)),
                    format!("if it is a relation, write `[target.NAME.relation.{}]`", shown(key)),
                ),
                (key, _) => self.unknown(*line, "key", key, &["schema", "default", "schemas", "relation"]),
            }
        }
        target
    }

    /// Whether relations that are not listed are clear.
    fn default(&self, line: u32, value: &DeValue<'_>) -> bool {
        match value {
            DeValue::String(word) if word == CLEAR => return true,
            DeValue::String(word) if word == UNCLASSIFIED => {}
            DeValue::String(word) => self.unknown(line, "default", word, &[UNCLASSIFIED, CLEAR]),
            _ => self.problem(
                line,
                "a default is a word",
                "write \"unclassified\" (masked until listed) or \"clear\" (shown until listed)",
            ),
        }
        false
    }

    fn relations(
        &self,
        table: &DeTable<'_>,
        schema: Option<&str>,
        profiles: &BTreeMap<String, Arc<Profile>>,
        target: &mut Target,
    ) {
        for (name, line, value) in self.entries(table) {
            let qualified = match schema {
                Some(schema) if !name.contains('.') => format!("{schema}.{name}"),
                _ => name.to_owned(),
            };
            if name.is_empty() {
                self.problem(line, "a relation has no name", "write its name, with its schema");
                continue;
            }
            let relation = match value {
                DeValue::Table(table) if is_column(table) => self.whole(line, &qualified, value, profiles),
                DeValue::Table(table) => self.columns(line, &qualified, table, profiles),
                value => self.whole(line, &qualified, value, profiles),
            };
            if target.relations.insert(qualified.clone().into(), relation).is_some() {
                let what = format!("the relation `{}` is listed twice", shown(&qualified));
                self.problem(line, what, "list it once, with or without its schema");
            }
        }
    }

    /// A relation that holds one class in every column.
    fn whole(
        &self,
        line: u32,
        relation: &str,
        value: &DeValue<'_>,
        profiles: &BTreeMap<String, Arc<Profile>>,
    ) -> Relation {
        let rest = self.column(line, relation, REST, value, profiles);
        Relation { rest, ..Relation::default() }
    }

    fn columns(
        &self,
        line: u32,
        relation: &str,
        table: &DeTable<'_>,
        profiles: &BTreeMap<String, Arc<Profile>>,
    ) -> Relation {
        let mut read = Relation::default();
        let entries = self.entries(table);
        if entries.is_empty() {
            let what = format!("`{}` lists no column", shown(relation));
            self.problem(line, what, "list its columns, or leave the relation out: then it is masked whole");
        }
        for (name, line, value) in entries {
            let column = self.column(line, relation, name, value, profiles);
            match (name, column) {
                (_, None) => {}
                (REST, rest) => read.rest = rest,
                ("", _) => {
                    self.problem(line, "a column has no name", "write its name, or `\"*\"` for those not listed")
                }
                (name, Some(column)) => {
                    read.columns.insert(name.into(), column);
                }
            }
        }
        read
    }

    fn column(
        &self,
        line: u32,
        relation: &str,
        name: &str,
        value: &DeValue<'_>,
        profiles: &BTreeMap<String, Arc<Profile>>,
    ) -> Option<Column> {
        match value {
            DeValue::String(word) => self.class(line, word).map(Column::of),
            DeValue::Table(table) => self.detailed(line, relation, name, table, profiles),
            _ => {
                let what = format!("what `{}.{}` holds is not said in a word", shown(relation), shown(name));
                self.problem(line, what, "write its class in quotes, for example \"mrn\", or \"clear\"");
                None
            }
        }
    }

    /// `{ class = "…", methods = { … } }`.
    fn detailed(
        &self,
        line: u32,
        relation: &str,
        name: &str,
        table: &DeTable<'_>,
        profiles: &BTreeMap<String, Arc<Profile>>,
    ) -> Option<Column> {
        let entries = self.entries(table);
        let mut class = None;
        for (key, line, value) in &entries {
            match (*key, value) {
                ("class", DeValue::String(word)) => class = Some(self.class(*line, word)?),
                ("class", _) => self.problem(*line, "a class is a word", "write `class = \"address\"`"),
                ("methods", _) => {}
                (key, _) => self.unknown(*line, "key", key, &["class", "methods"]),
            }
        }
        let Some(class) = class else {
            let what = format!("`{}.{}` has no class", shown(relation), shown(name));
            self.problem(line, what, "write `{ class = \"address\", methods = { limited-data-set = \"keep\" } }`");
            return None;
        };
        let methods = entries.iter().find(|(key, ..)| *key == "methods");
        let methods = methods.map(|(_, line, value)| self.methods(*line, class, value, profiles));
        Some(Column { class, methods: Arc::new(methods.unwrap_or_default()) })
    }

    /// A class, `None` for clear; nothing if it is neither.
    #[expect(clippy::option_option, reason = "\"no such word\" and \"holds no PHI\" must not be mistaken for another")]
    fn class(&self, line: u32, word: &str) -> Option<Option<PhiClass>> {
        if word == CLEAR {
            return Some(None);
        }
        if let Ok(class) = word.parse() {
            return Some(Some(class));
        }
        let lower = word.to_ascii_lowercase();
        let synonym = SYNONYMS.iter().find(|(synonym, _)| *synonym == lower).map(|(_, class)| *class);
        let names: Vec<_> = PhiClass::ALL.iter().map(|c| c.name()).chain([CLEAR]).collect();
        match synonym.or_else(|| names.iter().find(|n| **n == lower).copied()) {
            Some(near) => {
                let what = format!("there is no class `{}`", shown(word));
                self.problem(line, what, format!("did you mean `{near}`?"));
            }
            None => self.unknown(line, "class", word, &names),
        }
        None
    }
}

/// Whether a table describes one column (or a relation as a whole) rather than listing columns by name: a relation
/// may have a column called `class`, but no column's class is a table of methods.
fn is_column(table: &DeTable<'_>) -> bool {
    table.get("methods").is_some_and(|m| m.get_ref().is_table()) && table.get("class").is_some()
}

/// Names in a sentence.
fn listed(names: &[&str]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// A name from the file as it may stand in a message: on one line, and not for ever.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    if name.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}
