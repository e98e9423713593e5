//! The specification is true: its example is accepted, its test vectors are what the code gives.

#![cfg(test)]

use std::sync::Arc;
use vestibule_core::{ClassSet, ColumnRef, Field, Masked, Origin, Treatment, Value, ValueKind};
use vestibule_phi::{DataMap, Day, MaskKeys};

const SPEC: &str = include_str!("../../../docs/spec/data-map.md");

#[test]
fn the_example_is_a_data_map() {
    let example = SPEC.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let map = DataMap::parse("spec", example).unwrap();
    assert!(map.profile("helpdesk").is_some());
    assert!(map.is_phi("clinic", "public.patient", "mrn") && !map.is_phi("clinic", "public.staff", "mrn"));
}

#[test]
fn every_class_and_method_is_named() {
    for class in vestibule_core::PhiClass::ALL {
        assert!(SPEC.contains(class.name()), "{class}");
    }
    for method in ["redact", "null", "replace", "partial", "token", "year", "age-90", "age-band", "zip3", "keep"] {
        assert!(SPEC.contains(&format!("\n| `{method}` |")), "{method}");
    }
}

/// What the method gives, through a map and a plan made for the purpose.
fn result(method: &str, class: &str, kind: &str, value: &str) -> String {
    let method = if method.starts_with('{') { method.to_owned() } else { format!("\"{method}\"") };
    let map =
        format!("[profile.p]\nbase = \"safe-harbor\"\n{class} = {method}\n[target.t.relation.r]\nc = \"{class}\"");
    let map = DataMap::parse("vector", &map).unwrap();
    let keys = MaskKeys::derive(&[7; 32], "clinic");
    let mask = map.mask("t", ClassSet::EMPTY, Some("p"), &keys, Day { year: 2026, month: 11, day: 24 });
    let column = ColumnRef { relation: Arc::from("r"), column: Arc::from("c") };
    let kind = match kind {
        "text" => ValueKind::Text,
        "int4" => ValueKind::Integer(4),
        "int8" => ValueKind::Integer(8),
        other => panic!("{other}"),
    };
    let plan = mask.plan(&[Field { name: "c", origin: Origin::Column(&column), kind }]);
    let Treatment::Apply(_, transform) = &plan.0[0] else { panic!("{method} {class} is not applied") };
    let value = if kind == ValueKind::Text { Value::Text(value) } else { Value::Integer(value.parse().unwrap()) };
    let mut text = String::new();
    match transform.apply(value, &mut text).unwrap() {
        Masked::Text => text,
        Masked::Integer(number) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_vectors_hold() {
    let table = SPEC.split("## Test vectors").nth(1).unwrap();
    let rows: Vec<_> = table.lines().filter(|l| l.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 15, "the vectors are missing");
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(|c| c.trim().trim_matches('`')).collect();
        let [method, class, kind, value, want] = cells[..] else { panic!("{row}") };
        assert_eq!(result(method, class, kind, value), want, "{row}");
    }
}
