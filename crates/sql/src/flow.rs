//! Where a value comes from, while a statement is being read.

use crate::Lineage;
use std::sync::Arc;
use vestibule_core::ColumnRef;

/// Columns, sorted and without repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Columns(Vec<ColumnRef>);

impl Columns {
    pub(crate) fn insert(&mut self, column: &ColumnRef) {
        if let Err(at) = self.0.binary_search(column) {
            self.0.insert(at, column.clone());
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for column in &other.0 {
            self.insert(column);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ColumnRef> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn share(&self) -> Arc<[ColumnRef]> {
        Arc::from(self.0.as_slice())
    }
}

/// Where one value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flow {
    /// This column, unchanged.
    Column(ColumnRef),
    /// Computed from these at most.
    Derived(Columns),
    /// It cannot be told.
    Unknown,
}

impl Flow {
    /// Free of data.
    pub(crate) const FREE: Self = Self::Derived(Columns(Vec::new()));

    /// This value went through something: no longer the column itself.
    pub(crate) fn derived(self) -> Self {
        match self {
            Self::Column(column) => Self::Derived(Columns(vec![column])),
            other => other,
        }
    }

    /// A value that depends on both.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self.derived(), other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Derived(mut left), Self::Column(right)) => {
                left.insert(&right);
                Self::Derived(left)
            }
            (Self::Derived(mut left), Self::Derived(right)) => {
                left.merge(&right);
                Self::Derived(left)
            }
            // `derived` leaves no column.
            (Self::Column(_), other) => other,
        }
    }

    /// A value that is one or the other: a set operation, for example. The same column on both sides stays itself.
    pub(crate) fn or(self, other: Self) -> Self {
        if self == other { self } else { self.and(other) }
    }

    /// Adds to what may be there already.
    pub(crate) fn gather(into: &mut Option<Self>, more: &Self) {
        *into = Some(match into.take() {
            Some(before) => before.and(more.clone()),
            None => more.clone(),
        });
    }

    /// The columns, `None` if unknown.
    pub(crate) fn columns(&self) -> Option<Columns> {
        match self {
            Self::Column(column) => Some(Columns(vec![column.clone()])),
            Self::Derived(columns) => Some(columns.clone()),
            Self::Unknown => None,
        }
    }

    pub(crate) fn is_free(&self) -> bool {
        matches!(self, Self::Derived(columns) if columns.is_empty())
    }

    pub(crate) fn lineage(&self) -> Lineage {
        match self {
            Self::Column(column) => Lineage::Column(column.clone()),
            Self::Derived(columns) => Lineage::Derived(columns.share()),
            Self::Unknown => Lineage::Unknown,
        }
    }
}

impl From<&Lineage> for Flow {
    fn from(lineage: &Lineage) -> Self {
        match lineage {
            Lineage::Column(column) => Self::Column(column.clone()),
            Lineage::Derived(columns) => {
                let mut all = Columns::default();
                columns.iter().for_each(|column| all.insert(column));
                Self::Derived(all)
            }
            Lineage::Unknown => Self::Unknown,
        }
    }
}

/// One column of a row set: its name, and where its values come from.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    pub(crate) flow: Flow,
    /// The view or child table through which it was named, where that is not the flow's own relation.
    pub(crate) through: Option<Arc<str>>,
}

impl Named {
    pub(crate) fn new(name: impl Into<Arc<str>>, flow: Flow) -> Self {
        Self { name: name.into(), flow, through: None }
    }
}

/// The rows of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Named>,
    /// There may be further columns, of whatever name, that come from this.
    pub(crate) open: Option<Flow>,
}

impl Rows {
    pub(crate) fn unknown() -> Self {
        Self { columns: Vec::new(), open: Some(Flow::Unknown) }
    }

    /// Everything in a row, as one value.
    pub(crate) fn whole(&self) -> Flow {
        let all = self.columns.iter().fold(Flow::FREE, |all, column| all.and(column.flow.clone()));
        match &self.open {
            Some(open) => all.and(open.clone()),
            None => all,
        }
    }

    /// The rows of either: a set operation.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.open.is_some() || other.open.is_some() || self.columns.len() != other.columns.len() {
            let whole = self.whole().and(other.whole());
            let columns = self.columns.into_iter().map(|c| Named::new(c.name, whole.clone())).collect();
            return Self { columns, open: Some(whole) };
        }
        let columns = self.columns.into_iter().zip(other.columns);
        let columns = columns.map(|(l, r)| Named::new(l.name, l.flow.or(r.flow))).collect();
        Self { columns, open: None }
    }

    /// Gives the first columns these names.
    pub(crate) fn rename(&mut self, names: &[Arc<str>]) {
        let known = self.columns.len();
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.name = Arc::clone(name);
        }
        if let Some(open) = &self.open {
            let more = names.iter().skip(known).map(|name| Named::new(Arc::clone(name), open.clone()));
            self.columns.extend(more);
        }
    }
}

/// A column of a relation, as a value.
pub(crate) fn column(relation: &Arc<str>, column: &str) -> Flow {
    Flow::Column(ColumnRef { relation: Arc::clone(relation), column: Arc::from(column) })
}
