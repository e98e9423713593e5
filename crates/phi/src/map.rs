//! The data map: for every column of every target, what it holds.
//!
//! What is not in the map is masked. The order in which a column is looked up: the column as listed; the row's own
//! administration; the relation's `"*"`; what is known of the server's own catalogs; and, for a relation that is not
//! listed at all, the default of its schema, then of its target. Names are compared exactly, letter case included.
//!
//! Not here: how the file is written (see `parse`), how a result is treated (see `plan`).

use crate::builtin;
use crate::plan::Planner;
use crate::profile::{BUILT_IN_PROFILES, Method, Profile, SAFE_HARBOR};
use crate::{Day, MaskKeys, parse};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use vestibule_core::{Access, ClassSet, Mask, PhiClass, Problem, Resource};

/// Kinds of resource that are no relations: what they give out is judged by effect and traits.
const NO_RELATIONS: &[&str] = &[
    "function",
    "procedure",
    "schema",
    "database",
    "role",
    "setting",
    "extension",
    "type",
    "language",
    "tablespace",
    "channel",
];

/// What one column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// The class; `None`: declared to hold no PHI.
    pub class: Option<PhiClass>,
    /// Methods that differ from those of the profile of that name.
    pub methods: Arc<BTreeMap<String, Method>>,
}

impl Column {
    pub(crate) fn of(class: Option<PhiClass>) -> Self {
        Self { class, methods: Arc::default() }
    }
}

/// What one relation holds.
#[derive(Debug, Default)]
pub(crate) struct Relation {
    /// The columns listed.
    pub columns: HashMap<Box<str>, Column>,
    /// What columns hold that are not listed, where the map says so (`"*"`, or the relation as a whole).
    pub rest: Option<Column>,
}

/// What one target holds.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// Where the map speaks of it.
    pub line: u32,
    /// By qualified name.
    pub relations: HashMap<Box<str>, Relation>,
    /// Schemas, and whether relations that are not listed are clear there.
    pub schemas: HashMap<Box<str>, bool>,
    /// Whether relations that are not listed are clear.
    pub clear: bool,
}

impl Target {
    /// What a column holds. Total: what nobody said is unclassified.
    pub(crate) fn column(&self, relation: &str, column: &str) -> Column {
        let listed = self.relations.get(relation);
        if let Some(found) = listed.and_then(|r| r.columns.get(column)) {
            return found.clone();
        }
        if builtin::is_row_administration(column) {
            return Column::of(None);
        }
        if let Some(rest) = listed.and_then(|r| r.rest.as_ref()) {
            return rest.clone();
        }
        if let Some(class) = builtin::known(relation).class_of(column) {
            return Column::of(class);
        }
        Column::of((listed.is_some() || !self.is_clear_by_default(relation)).then_some(PhiClass::Unclassified))
    }

    /// The classes of a whole row, columns that nobody listed included.
    pub(crate) fn row(&self, relation: &str) -> ClassSet {
        let listed = self.relations.get(relation).into_iter().flat_map(|r| r.columns.values());
        // The empty name is no column's: it finds what holds for those not listed.
        listed.filter_map(|c| c.class).chain(self.column(relation, "").class).collect()
    }

    fn is_clear_by_default(&self, relation: &str) -> bool {
        // A relation may have a dot in its name. Where any reading of the name is in a schema that is masked, it is.
        let mut readings = relation.match_indices('.').filter_map(|(dot, _)| relation.get(..dot));
        if readings.any(|schema| self.schemas.get(schema) == Some(&false)) {
            return false;
        }
        let schema = relation.rsplit_once('.').map(|(schema, _)| schema);
        schema.and_then(|s| self.schemas.get(s)).copied().unwrap_or(self.clear)
    }
}

/// Whether a name stands for all columns of its relation.
pub(crate) fn is_whole_row(column: &str) -> bool {
    column == "*" || column.is_empty()
}

#[derive(Debug, Default)]
pub(crate) struct Content {
    pub targets: BTreeMap<String, Arc<Target>>,
    pub profiles: BTreeMap<String, Arc<Profile>>,
    pub digest: String,
}

/// Which column holds which class of PHI, and the profiles by which they are masked. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct DataMap {
    content: Arc<Content>,
    without_phi: Arc<[String]>,
}

impl DataMap {
    /// Reads a data map. `file` is only named in problems.
    ///
    /// # Errors
    /// Everything that is wrong in it, in the order of the lines.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let content = parse::parse(file, text)?;
        Ok(Self { content: Arc::new(content), without_phi: Arc::default() })
    }

    /// The same map where these targets are declared to hold no PHI at all: there nothing is masked, counted or
    /// taken out. A target that is neither named here nor listed in the map is masked whole.
    #[must_use]
    pub fn without_phi(&self, targets: impl IntoIterator<Item = String>) -> Self {
        Self { content: Arc::clone(&self.content), without_phi: targets.into_iter().collect() }
    }

    /// The targets that the map speaks of, and on which line.
    pub fn targets(&self) -> impl Iterator<Item = (&str, u32)> {
        self.content.targets.iter().map(|(name, target)| (name.as_str(), target.line))
    }

    /// Every profile that can be named: built in, then the map's own.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        BUILT_IN_PROFILES.into_iter().chain(self.content.profiles.keys().map(String::as_str))
    }

    /// The profile of this name.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<Arc<Profile>> {
        let own = self.content.profiles.get(name).cloned();
        own.or_else(|| Profile::built_in(name).map(Arc::new))
    }

    /// Of two profiles, the one that lets less through; an unknown one is stricter than any.
    #[must_use]
    pub fn stricter<'a>(&self, a: &'a str, b: &'a str) -> &'a str {
        let looseness = |name: &str| self.profile(name).map(|p| p.looseness());
        if looseness(b) < looseness(a) { b } else { a }
    }

    /// SHA-256 of the map's text, in hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.content.digest
    }

    /// The classes of PHI that an operation on `target` touches. Resources without columns, or with `*`, touch
    /// every class of their relation; functions and other things that are no relations touch none by themselves.
    #[must_use]
    pub fn classes(&self, target: &str, resources: &[Resource]) -> ClassSet {
        if self.is_without_phi(target) {
            return ClassSet::EMPTY;
        }
        let target = self.target(target);
        let relations =
            resources.iter().filter(|r| r.access != Access::Execute && !NO_RELATIONS.contains(&r.kind.as_ref()));
        relations.fold(ClassSet::EMPTY, |set, resource| {
            if resource.columns.is_empty() || resource.columns.iter().any(|c| is_whole_row(c)) {
                return set.union(target.row(&resource.name));
            }
            let of_columns = resource.columns.iter().filter_map(|c| target.column(&resource.name, c).class);
            set.union(of_columns.collect())
        })
    }

    /// Whether values of this column may be PHI.
    #[must_use]
    pub fn is_phi(&self, target: &str, relation: &str, column: &str) -> bool {
        if self.is_without_phi(target) {
            return false;
        }
        let target = self.target(target);
        if is_whole_row(column) {
            return !target.row(relation).is_empty();
        }
        target.column(relation, column).class.is_some()
    }

    /// The mask of results of `target` for somebody to whom `reveal` is revealed, by `profile` (`safe-harbor` where
    /// none is named). A profile that does not exist redacts everything: whoever names one checks it when loading.
    #[must_use]
    pub fn mask(
        &self,
        target: &str,
        reveal: ClassSet,
        profile: Option<&str>,
        keys: &MaskKeys,
        today: Day,
    ) -> Arc<dyn Mask> {
        if self.is_without_phi(target) {
            return Arc::new(crate::plan::Open);
        }
        let name = profile.unwrap_or(SAFE_HARBOR);
        let found = self.profile(name).map(|profile| (name.to_owned(), profile));
        let (name, profile) = found.unwrap_or_else(|| (String::new(), Arc::new(Profile::redact_all())));
        Arc::new(Planner::new(self.target(target), reveal, name, profile, keys.clone(), today))
    }

    /// The map in plain words, for a person who checks what is in force.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        for (name, target) in &self.content.targets {
            describe_target(&mut out, name, target);
        }
        for (name, profile) in &self.content.profiles {
            // Writing into a String cannot fail.
            let _ = write!(out, "profile {name}:");
            for class in PhiClass::ALL {
                let _ = write!(out, " {class}={}", profile.method(*class));
            }
            out.push('\n');
        }
        out
    }

    fn is_without_phi(&self, target: &str) -> bool {
        self.without_phi.iter().any(|t| t == target)
    }

    fn target(&self, name: &str) -> Arc<Target> {
        self.content.targets.get(name).cloned().unwrap_or_default()
    }
}

fn describe_target(out: &mut String, name: &str, target: &Target) {
    let columns = || target.relations.values().flat_map(|r| r.columns.values().chain(r.rest.as_ref()));
    let phi = columns().filter(|c| c.class.is_some()).count();
    let clear = columns().count() - phi;
    let rest = if target.clear { "clear" } else { "masked" };
    let _ = writeln!(
        out,
        "target {name}: {} relations listed, {phi} columns of PHI, {clear} clear; relations not listed are {rest}",
        target.relations.len()
    );
    let mut schemas: Vec<_> = target.schemas.iter().collect();
    schemas.sort();
    for (schema, clear) in schemas {
        let _ =
            writeln!(out, "  schema {schema}: relations not listed are {}", if *clear { "clear" } else { "masked" });
    }
    for class in PhiClass::ALL {
        let mut held: Vec<String> = Vec::new();
        for (relation, content) in &target.relations {
            let named = content.columns.iter().map(|(name, column)| (&**name, column));
            let all = named.chain(content.rest.as_ref().map(|rest| ("*", rest)));
            held.extend(all.filter(|(_, c)| c.class == Some(*class)).map(|(name, _)| format!("{relation}.{name}")));
        }
        if !held.is_empty() {
            held.sort();
            let _ = writeln!(out, "  {class}: {}", held.join(", "));
        }
    }
}
