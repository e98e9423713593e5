//! From the fields of a result to what happens with each of them.
//!
//! A field that is a column, unchanged, is transformed by its class. A field computed from masked columns is withheld
//! whole: a transform is made for the column's values, and what was computed from them may be anything. Not here:
//! where a field comes from.

use crate::map::{Column, Target, is_whole_row};
use crate::profile::{Method, Profile};
use crate::{Day, MaskKeys, transform};
use std::sync::{Arc, OnceLock};
use vestibule_core::{ClassSet, ColumnRef, Field, Mask, Origin, PhiClass, Plan, Transform, Treatment, ValueKind};

/// A mask that lets everything pass: for targets that hold no PHI.
pub(crate) struct Open;

impl Mask for Open {
    fn plan(&self, fields: &[Field<'_>]) -> Plan {
        Plan(fields.iter().map(|_| Treatment::Pass(None)).collect())
    }
}

/// What a transform made for a class and a kind; `None`: the kind can only be withheld.
type Made = Option<Arc<dyn Transform>>;

/// Plans for one target, one profile, one set of revealed classes.
pub(crate) struct Planner {
    target: Arc<Target>,
    reveal: ClassSet,
    name: String,
    profile: Arc<Profile>,
    keys: MaskKeys,
    today: Day,
    /// One slot for each class and kind, filled when first needed.
    made: Vec<OnceLock<Made>>,
}

/// What becomes of a column.
enum Fate {
    /// Shown; with its class, if it is PHI.
    Shown(Option<PhiClass>),
    /// Changed by the profile's method for the class.
    Masked(PhiClass),
    /// Changed by a method of its own.
    Own(PhiClass, Method),
    /// A whole row in one field, with this class in it that is not shown.
    Row(PhiClass),
}

impl Planner {
    pub(crate) fn new(
        target: Arc<Target>,
        reveal: ClassSet,
        name: String,
        profile: Arc<Profile>,
        keys: MaskKeys,
        today: Day,
    ) -> Self {
        let made = std::iter::repeat_with(OnceLock::new).take(PhiClass::ALL.len() * KINDS).collect();
        Self { target, reveal, name, profile, keys, today, made }
    }

    fn fate(&self, column: &ColumnRef) -> Fate {
        if is_whole_row(&column.column) {
            let classes = self.target.row(&column.relation);
            return match classes.minus(self.reveal).iter().next() {
                Some(masked) => Fate::Row(masked),
                None => Fate::Shown(classes.iter().next()),
            };
        }
        let Column { class, methods } = self.target.column(&column.relation, &column.column);
        match class {
            None => Fate::Shown(None),
            Some(class) if self.reveal.contains(class) => Fate::Shown(Some(class)),
            Some(class) => match methods.get(&self.name) {
                Some(Method::Keep) => Fate::Shown(Some(class)),
                Some(method) => Fate::Own(class, method.clone()),
                None if *self.profile.method(class) == Method::Keep => Fate::Shown(Some(class)),
                None => Fate::Masked(class),
            },
        }
    }

    fn of_column(&self, column: &ColumnRef, kind: ValueKind) -> Treatment {
        let (class, made) = match self.fate(column) {
            Fate::Shown(class) => return Treatment::Pass(class),
            Fate::Row(class) => return Treatment::Withhold(class),
            Fate::Masked(class) => (class, self.made(class, kind)),
            Fate::Own(class, method) => (class, transform::build(&method, class, kind, &self.keys, self.today)),
        };
        made.map_or(Treatment::Withhold(class), |transform| Treatment::Apply(class, transform))
    }

    fn of_derived(&self, columns: &[ColumnRef]) -> Treatment {
        let mut shown = None;
        for column in columns {
            match self.fate(column) {
                Fate::Shown(class) => shown = shown.or(class),
                Fate::Masked(class) | Fate::Own(class, _) | Fate::Row(class) => return Treatment::Withhold(class),
            }
        }
        Treatment::Pass(shown)
    }

    fn made(&self, class: PhiClass, kind: ValueKind) -> Made {
        let build = || transform::build(self.profile.method(class), class, kind, &self.keys, self.today);
        let slot = slot(kind).and_then(|kind| self.made.get(class as usize * KINDS + kind));
        slot.map_or_else(build, |slot| slot.get_or_init(build).clone())
    }
}

impl Mask for Planner {
    fn plan(&self, fields: &[Field<'_>]) -> Plan {
        let treat = |field: &Field<'_>| match field.origin {
            Origin::Column(column) => self.of_column(column, field.kind),
            Origin::Derived(columns) => self.of_derived(columns),
            // Whoever may see what nobody classified may see what nobody can name.
            Origin::Unknown if self.reveal.contains(PhiClass::Unclassified) => self.unknown_revealed(),
            Origin::Unknown => Treatment::Withhold(PhiClass::Unclassified),
        };
        Plan(fields.iter().map(treat).collect())
    }
}

impl Planner {
    /// A field of unknown origin may hold any class, so that revealing one class does not reveal it.
    fn unknown_revealed(&self) -> Treatment {
        let every: ClassSet = PhiClass::ALL.iter().copied().collect();
        if every.minus(self.reveal).is_empty() {
            Treatment::Pass(Some(PhiClass::Unclassified))
        } else {
            Treatment::Withhold(PhiClass::Unclassified)
        }
    }
}

/// How many kinds have a slot.
const KINDS: usize = 15;

/// The slot of a kind; `None` for widths that no server has.
const fn slot(kind: ValueKind) -> Option<usize> {
    Some(match kind {
        ValueKind::Text => 0,
        ValueKind::Integer(2) => 1,
        ValueKind::Integer(4) => 2,
        ValueKind::Integer(8) => 3,
        ValueKind::Numeric => 4,
        ValueKind::Float(4) => 5,
        ValueKind::Float(8) => 6,
        ValueKind::Boolean => 7,
        ValueKind::Date => 8,
        ValueKind::Timestamp => 9,
        ValueKind::Uuid => 10,
        ValueKind::Json => 11,
        ValueKind::Bytes => 12,
        ValueKind::Inet => 13,
        ValueKind::Other => 14,
        ValueKind::Integer(_) | ValueKind::Float(_) => return None,
    })
}
