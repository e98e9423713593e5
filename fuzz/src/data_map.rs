//! A data map as text.
//!
//! Bytes: the text of a data map.
//!
//! Rules: what the map says of a column is what it says of an operation that touches the column; and a mask is planned
//! for every field, and can be applied to whatever stands in it.

use crate::clinic::{catalog, operations};
use std::sync::LazyLock;
use vestibule_core::{ClassSet, ColumnRef, Field, Origin, Treatment, Value, ValueKind};
use vestibule_phi::{DataMap, Day, MaskKeys};
use vestibule_sql::Catalog;

static CATALOG: LazyLock<Catalog> = LazyLock::new(catalog);
const TODAY: Day = Day { year: 2026, month: 11, day: 25 };
static KEYS: LazyLock<MaskKeys> = LazyLock::new(|| MaskKeys::derive(&[7; 32], "fuzz"));

/// Reads one map.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let map = match DataMap::parse("data-map.toml", text) {
        Ok(map) => map,
        Err(problems) => return assert!(!problems.is_empty(), "refused without a reason"),
    };
    assert!(!map.describe().is_empty() || map.targets().next().is_none(), "a map that says nothing of its targets");
    let mut targets: Vec<String> = map.targets().map(|(name, _)| name.to_owned()).collect();
    targets.push("another".to_owned());
    for target in &targets {
        columns(&map, target);
        for operation in operations() {
            let _ = map.classes(target, &operation.resources);
        }
    }
    let open = map.without_phi(targets.clone());
    assert!(targets.iter().all(|target| !open.is_phi(target, "public.patient", "ssn")), "PHI where there is none");
}

fn columns(map: &DataMap, target: &str) {
    let profiles: Vec<String> = map.profiles().map(str::to_owned).collect();
    for relation in ["patient", "ward"] {
        let Some(relation) = CATALOG.relation("public", relation) else { continue };
        let name = format!("public.{}", relation.name);
        for column in &relation.columns {
            let _ = map.is_phi(target, &name, &column.name);
            let column = ColumnRef { relation: name.as_str().into(), column: column.name.clone() };
            for profile in profiles.iter().take(8) {
                let mask = map.mask(target, ClassSet::EMPTY, Some(profile), &KEYS, TODAY);
                for (kind, values) in VALUES {
                    let field = |origin| Field { name: "x", origin, kind };
                    let fields = [field(Origin::Column(&column)), field(Origin::Unknown)];
                    let plan = mask.plan(&fields).0;
                    assert_eq!(plan.len(), fields.len(), "a field without a plan");
                    apply(&plan, values);
                }
            }
        }
    }
}

/// Values at the edges of what they can be.
const VALUES: [(ValueKind, &[Value<'static>]); 6] = [
    (ValueKind::Text, &[Value::Text(""), Value::Text("078-05-1120"), Value::Text("\u{1f600}\u{301} \0 x@")]),
    (ValueKind::Integer(8), &[Value::Integer(i64::MIN), Value::Integer(i64::MAX), Value::Integer(0)]),
    (ValueKind::Float(8), &[Value::Float(f64::NAN), Value::Float(f64::INFINITY), Value::Float(-0.0)]),
    (ValueKind::Date, &[Value::Date(i32::MIN), Value::Date(i32::MAX), Value::Date(-25_567)]),
    (ValueKind::Timestamp, &[Value::Timestamp(i64::MIN), Value::Timestamp(i64::MAX), Value::Timestamp(0)]),
    (ValueKind::Inet, &[Value::Text("10.0.0.1/8"), Value::Text("::ffff:1.2.3.4/129"), Value::Text("")]),
];

fn apply(plan: &[Treatment], values: &[Value<'_>]) {
    for treatment in plan {
        if let Treatment::Apply(_, transform) = treatment {
            for value in values {
                let _ = transform.apply(*value, &mut String::new());
            }
        }
    }
}
