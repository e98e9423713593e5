//! What a statement is found to do, while it is being read.

use crate::flow::{Columns, Flow};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vestibule_core::{Access, Effect, OpTraits, Reading, Resource};

/// Everything that is found, however deep in the statement.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) effect: Effect,
    pub(crate) traits: BTreeSet<&'static str>,
    resources: BTreeMap<(Arc<str>, Access), Touched>,
    partial: Option<Cow<'static, str>>,
    /// Columns that were named anywhere.
    pub(crate) touched: Columns,
    /// Whether something was named that is not known.
    pub(crate) touched_unknown: bool,
}

#[derive(Debug, Clone)]
struct Touched {
    kind: &'static str,
    columns: BTreeSet<Arc<str>>,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self {
            effect: Effect::Open,
            traits: BTreeSet::new(),
            resources: BTreeMap::new(),
            partial: None,
            touched: Columns::default(),
            touched_unknown: false,
        }
    }

    /// It can do at least this.
    pub(crate) fn at_least(&mut self, effect: Effect) {
        self.effect = self.effect.max(effect);
    }

    /// Something in it is beyond what can be read here. The first reason stands.
    pub(crate) fn partial(&mut self, why: impl Into<Cow<'static, str>>) {
        self.partial.get_or_insert_with(|| why.into());
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.partial.is_none()
    }

    pub(crate) fn reading(&self) -> Reading {
        self.partial.clone().map_or(Reading::Exact, Reading::Partial)
    }

    /// It touches this as a whole, no columns named yet.
    pub(crate) fn resource(&mut self, kind: &'static str, name: &Arc<str>, access: Access) {
        let entry = self.resources.entry((Arc::clone(name), access));
        entry.or_insert_with(|| Touched { kind, columns: BTreeSet::new() });
    }

    /// It touches this column of it.
    pub(crate) fn column(&mut self, kind: &'static str, name: &Arc<str>, access: Access, column: &Arc<str>) {
        let entry = self.resources.entry((Arc::clone(name), access));
        let touched = entry.or_insert_with(|| Touched { kind, columns: BTreeSet::new() });
        if !touched.columns.contains(column) {
            touched.columns.insert(Arc::clone(column));
        }
    }

    /// The value is used, for output or to decide something.
    pub(crate) fn touch(&mut self, flow: &Flow) {
        match flow {
            Flow::Unknown => self.touched_unknown = true,
            Flow::Column(column) => self.touch_column(column),
            Flow::Derived(columns) => columns.iter().for_each(|column| self.touch_column(column)),
        }
    }

    fn touch_column(&mut self, column: &vestibule_core::ColumnRef) {
        self.touched.insert(column);
        self.column("table", &column.relation, Access::Read, &column.column);
    }

    /// Everything that was touched, as one value.
    pub(crate) fn touched_flow(&self) -> Flow {
        if self.touched_unknown { Flow::Unknown } else { Flow::Derived(self.touched.clone()) }
    }

    /// What another reading found is found here too.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.at_least(other.effect);
        self.traits.extend(&other.traits);
        for ((name, access), touched) in &other.resources {
            self.resource(touched.kind, name, *access);
            touched.columns.iter().for_each(|column| self.column(touched.kind, name, *access, column));
        }
        if let Some(why) = &other.partial {
            self.partial(why.clone());
        }
        self.touched.merge(&other.touched);
        self.touched_unknown |= other.touched_unknown;
    }

    pub(crate) fn op_traits(&self) -> OpTraits {
        let mut traits = OpTraits::default();
        self.traits.iter().for_each(|name| traits.insert(name));
        traits
    }

    pub(crate) fn resources(&self) -> Arc<[Resource]> {
        let resources = self.resources.iter().map(|((name, access), touched)| Resource {
            kind: Cow::Borrowed(touched.kind),
            name: name.to_string(),
            access: *access,
            columns: touched.columns.iter().map(ToString::to_string).collect(),
        });
        resources.collect()
    }
}
