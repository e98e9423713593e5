//! Rows of answers, put together.

use super::questions::Topic;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use vestibule_sql::{Catalog, Column, Function, FunctionKind, Relation, RelationKind, Volatility};

/// Most domains upon domains, and parents upon parents, that are followed.
const MOST_STEPS: usize = 64;

/// What was read so far.
#[derive(Default)]
pub(super) struct Collected {
    relations: Vec<Relation>,
    by_oid: HashMap<u32, usize>,
    domains: HashMap<u32, u32>,
    functions: Vec<Function>,
    operators: Vec<Arc<str>>,
    /// Names repeat: each is kept once.
    names: HashSet<Arc<str>>,
}

impl Collected {
    /// Takes a row; `None` if it is not what was asked for.
    pub(super) fn take(&mut self, topic: Topic, row: &[Option<&str>]) -> Option<()> {
        match (topic, row) {
            (Topic::Nothing, _) => {}
            (Topic::Relations, [Some(oid), Some(schema), Some(name), Some(kind), Some(runs_code)]) => {
                let relation = Relation {
                    oid: oid.parse().ok()?,
                    schema: self.name(schema),
                    name: self.name(name),
                    kind: relation_kind(kind),
                    columns: Vec::new(),
                    definition: None,
                    parents: Vec::new(),
                    runs_code: truth(runs_code)?,
                };
                self.by_oid.insert(relation.oid, self.relations.len());
                self.relations.push(relation);
            }
            (Topic::Domains, [Some(domain), Some(base)]) => {
                self.domains.insert(domain.parse().ok()?, base.parse().ok()?);
            }
            (Topic::Columns, [Some(oid), Some(number), Some(name), Some(kind)]) => {
                let type_oid = self.base(kind.parse().ok()?);
                let column = Column { number: number.parse().ok()?, name: self.name(name), type_oid };
                self.relation(oid)?.columns.push(column);
            }
            // No definition: the view was dropped just now. Nothing is known of it then.
            (Topic::Definitions, [Some(oid), definition]) => {
                self.relation(oid)?.definition = definition.map(Arc::from);
            }
            (Topic::Parents, [Some(child), Some(parent)]) => {
                let parent: u32 = parent.parse().ok()?;
                // Indexes inherit too, and are not here.
                if let Some(child) = self.relation(child) {
                    child.parents.push(parent);
                }
            }
            (Topic::Functions, _) => {
                let function = self.function(row)?;
                self.functions.push(function);
            }
            (Topic::Operators, [Some(name)]) => {
                let name = self.name(name);
                self.operators.push(name);
            }
            _ => return None,
        }
        Some(())
    }

    fn function(&mut self, row: &[Option<&str>]) -> Option<Function> {
        let [
            Some(schema),
            Some(name),
            Some(kind),
            Some(volatility),
            Some(language),
            Some(definer),
            Some(set),
            extension,
            body,
        ] = row
        else {
            return None;
        };
        Some(Function {
            schema: self.name(schema),
            name: self.name(name),
            kind: match *kind {
                "f" => FunctionKind::Function,
                "p" => FunctionKind::Procedure,
                "a" => FunctionKind::Aggregate,
                "w" => FunctionKind::Window,
                _ => return None,
            },
            volatility: match *volatility {
                "i" => Volatility::Immutable,
                "s" => Volatility::Stable,
                "v" => Volatility::Volatile,
                _ => return None,
            },
            language: self.name(language),
            security_definer: truth(definer)?,
            returns_set: truth(set)?,
            extension: extension.map(|name| self.name(name)),
            // A body in the newer form (BEGIN ATOMIC) is no text.
            body: body.filter(|body| !body.is_empty()).map(Arc::from),
        })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(have) = self.names.get(name) {
            return Arc::clone(have);
        }
        let name: Arc<str> = Arc::from(name);
        self.names.insert(Arc::clone(&name));
        name
    }

    fn relation(&mut self, oid: &str) -> Option<&mut Relation> {
        let at = *self.by_oid.get(&oid.parse().ok()?)?;
        self.relations.get_mut(at)
    }

    /// The type that values of a domain travel as.
    fn base(&self, mut kind: u32) -> u32 {
        for _ in 0..MOST_STEPS {
            match self.domains.get(&kind) {
                Some(base) => kind = *base,
                None => break,
            }
        }
        kind
    }

    pub(super) fn finish(mut self) -> Catalog {
        self.raise();
        Catalog::with_operators(self.relations, self.functions, self.operators)
    }

    /// Who writes to a parent writes to its children: their code runs, too.
    fn raise(&mut self) {
        let mut rising: Vec<u32> = self.relations.iter().filter(|r| r.runs_code).map(|r| r.oid).collect();
        while let Some(oid) = rising.pop() {
            let at = self.by_oid.get(&oid).copied();
            let parents = at.and_then(|at| self.relations.get(at)).map(|r| r.parents.clone()).unwrap_or_default();
            for parent in parents {
                let at = self.by_oid.get(&parent).copied();
                // Each relation rises once, so that a circle ends.
                if let Some(relation) = at.and_then(|at| self.relations.get_mut(at)).filter(|r| !r.runs_code) {
                    relation.runs_code = true;
                    rising.push(parent);
                }
            }
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "t" => Some(true),
        "f" => Some(false),
        _ => None,
    }
}

fn relation_kind(kind: &str) -> RelationKind {
    match kind {
        "r" => RelationKind::Table,
        "p" => RelationKind::Partitioned,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::Foreign,
        "S" => RelationKind::Sequence,
        "c" => RelationKind::Composite,
        _ => RelationKind::Other,
    }
}
