//! What happens with each field of a result, through the front door.

#![cfg(test)]

use std::sync::Arc;
use vestibule_core::{ClassSet, ColumnRef, Field, Masked, Origin, PhiClass, Treatment, Value, ValueKind};
use vestibule_phi::{DataMap, Day, MaskKeys};

const MAP: &str = r#"
[profile.partly]
base = "safe-harbor"
ssn = { partial = { last = 4 } }

[target.clinic.relation."public.patient"]
id = "clear"
first_name = "name"
ssn = "ssn"
dob = "birth-date"
zip = "zip"
city = { class = "address", methods = { limited-data-set = "keep", partly = { replace = "Anytown" } } }
street = "address"
photo = "photo"

[target.clinic.relation]
"public.staff" = "clear"
"public.remarks" = "free-text"
"#;

const TODAY: Day = Day { year: 2026, month: 11, day: 24 };

fn set(classes: &[PhiClass]) -> ClassSet {
    classes.iter().copied().collect()
}

fn columns(names: &[&str]) -> Vec<ColumnRef> {
    let of = |name: &&str| {
        let (relation, column) = name.rsplit_once('.').unwrap_or(("", name));
        ColumnRef { relation: Arc::from(format!("public.{relation}").trim_end_matches('.')), column: Arc::from(column) }
    };
    names.iter().map(of).collect()
}

/// One field of `kind` from these columns: unchanged if `direct`, else computed.
fn plan(reveal: &[PhiClass], profile: Option<&str>, names: &[&str], direct: bool, kind: ValueKind) -> Treatment {
    let map = DataMap::parse("map", MAP).unwrap();
    let mask = map.mask("clinic", set(reveal), profile, &MaskKeys::derive(&[7; 32], "t"), TODAY);
    let columns = columns(names);
    let origin = if direct { Origin::Column(&columns[0]) } else { Origin::Derived(&columns) };
    let mut plan = mask.plan(&[Field { name: "ssn", origin, kind }]);
    plan.0.pop().unwrap()
}

fn said(treatment: &Treatment) -> String {
    match treatment {
        Treatment::Pass(class) => format!("pass {}", class.map_or("-", PhiClass::name)),
        Treatment::Apply(class, _) => format!("apply {class}"),
        Treatment::Withhold(class) => format!("withhold {class}"),
    }
}

#[test]
fn the_plan_of_every_origin() {
    use PhiClass::{Name, Ssn, Unclassified};
    type Row = (&'static [PhiClass], Option<&'static str>, &'static [&'static str], bool, &'static str);
    #[rustfmt::skip]
    let table: &[Row] = &[
        // columns, unchanged
        (&[], None, &["patient.id"], true, "pass -"),
        (&[], None, &["patient.ssn"], true, "apply ssn"),
        (&[Name], None, &["patient.ssn"], true, "apply ssn"),
        (&[Ssn], None, &["patient.ssn"], true, "pass ssn"),
        (&[], None, &["patient.added_later"], true, "apply unclassified"),
        (&[Ssn, Name], None, &["patient.added_later"], true, "apply unclassified"),
        (&[Unclassified], None, &["patient.added_later"], true, "pass unclassified"),
        (&[], None, &["nowhere.x"], true, "apply unclassified"),
        (&[], None, &["staff.name"], true, "pass -"),
        (&[], None, &["remarks.x"], true, "apply free-text"),
        // kept by the profile, or by the column's own method
        (&[], Some("limited-data-set"), &["patient.dob"], true, "pass birth-date"),
        (&[], Some("limited-data-set"), &["patient.city"], true, "pass address"),
        (&[], Some("limited-data-set"), &["patient.street"], true, "apply address"),
        (&[], Some("safe-harbor"), &["patient.city"], true, "apply address"),
        (&[], Some("nowhere"), &["patient.dob"], true, "apply birth-date"),
        // computed: never transformed
        (&[], None, &[], false, "pass -"),
        (&[], None, &["patient.id", "staff.name"], false, "pass -"),
        (&[], None, &["patient.ssn"], false, "withhold ssn"),
        (&[], None, &["patient.id", "patient.ssn"], false, "withhold ssn"),
        (&[Ssn], None, &["patient.id", "patient.ssn"], false, "pass ssn"),
        (&[Ssn], None, &["patient.ssn", "patient.first_name"], false, "withhold name"),
        (&[], Some("partly"), &["patient.city"], false, "withhold address"),
        (&[], Some("limited-data-set"), &["patient.city", "patient.dob"], false, "pass address"),
        (&[], Some("limited-data-set"), &["patient.city", "patient.street"], false, "withhold address"),
        // whole rows in one field
        (&[], None, &["patient.*"], true, "withhold name"),
        (&[], None, &["patient.*"], false, "withhold name"),
        (&[], None, &["staff.*"], true, "pass -"),
        (&[Name, Ssn], Some("limited-data-set"), &["patient.*"], true, "withhold address"),
    ];
    for (reveal, profile, names, direct, want) in table {
        let got = said(&plan(reveal, *profile, names, *direct, ValueKind::Text));
        assert_eq!(got, *want, "{reveal:?} {profile:?} {names:?} direct: {direct}");
    }
}

#[test]
fn what_is_unknown_passes_only_for_those_who_may_see_everything() {
    let map = DataMap::parse("map", MAP).unwrap();
    let unknown = Field { name: "id", origin: Origin::Unknown, kind: ValueKind::Text };
    let with = |reveal| {
        let mask = map.mask("clinic", reveal, None, &MaskKeys::derive(&[7; 32], "t"), TODAY);
        said(&mask.plan(std::slice::from_ref(&unknown)).0[0])
    };
    assert_eq!(with(ClassSet::EMPTY), "withhold unclassified");
    assert_eq!(with(set(&[PhiClass::Unclassified, PhiClass::Ssn])), "withhold unclassified");
    assert_eq!(with(set(PhiClass::ALL).minus(set(&[PhiClass::Unclassified]))), "withhold unclassified");
    assert_eq!(with(set(PhiClass::ALL)), "pass unclassified");
}

#[test]
fn kinds_without_a_mask_are_withheld() {
    assert_eq!(said(&plan(&[], None, &["patient.ssn"], true, ValueKind::Other)), "withhold ssn");
    assert_eq!(said(&plan(&[PhiClass::Ssn], None, &["patient.ssn"], true, ValueKind::Other)), "pass ssn");
    assert_eq!(said(&plan(&[], None, &["patient.photo"], true, ValueKind::Bytes)), "apply photo");
    assert_eq!(said(&plan(&[], None, &["patient.ssn"], true, ValueKind::Integer(16))), "apply ssn");
}

fn shown(profile: Option<&str>, name: &str, kind: ValueKind, value: Value<'_>) -> (Masked, String) {
    let Treatment::Apply(_, transform) = plan(&[], profile, &[name], true, kind) else { panic!("{name} passes") };
    let mut text = String::new();
    let masked = transform.apply(value, &mut text).unwrap();
    (masked, text)
}

#[test]
fn the_profile_decides_how() {
    let text = |profile, name, value| shown(profile, name, ValueKind::Text, Value::Text(value)).1;
    assert_eq!(text(None, "patient.ssn", "078-05-1120"), "[ssn]");
    assert_eq!(text(Some("partly"), "patient.ssn", "078-05-1120"), "***-**-1120");
    assert!(text(Some("pseudonymised"), "patient.ssn", "078-05-1120").starts_with("ssn_"));
    assert_eq!(text(Some("partly"), "patient.city", "Boston"), "Anytown");
    assert_eq!(text(Some("partly"), "patient.street", "1 Main St"), "[address]");
    assert_eq!(text(None, "patient.zip", "02138"), "021");
    assert_eq!(text(Some("nowhere"), "patient.zip", "02138"), "[zip]");
    let (masked, _) = shown(None, "patient.dob", ValueKind::Date, Value::Date(-14_000));
    assert_eq!(masked, Masked::Date(-25_567), "born in 1931");
}

#[test]
fn the_name_a_client_gives_a_field_decides_nothing_and_plans_are_in_order() {
    let map = DataMap::parse("map", MAP).unwrap();
    let mask = map.mask("clinic", ClassSet::EMPTY, None, &MaskKeys::derive(&[7; 32], "t"), TODAY);
    let columns = columns(&["patient.ssn", "patient.id", "patient.dob"]);
    let fields: Vec<_> =
        columns.iter().map(|c| Field { name: "id", origin: Origin::Column(c), kind: ValueKind::Date }).collect();
    let plan = mask.plan(&fields);
    assert_eq!(plan.0.iter().map(said).collect::<Vec<_>>(), ["apply ssn", "pass -", "apply birth-date"]);
    assert!(!plan.is_pass());
    // The same transform for the same class and kind: planning is cheap.
    let again = mask.plan(&fields);
    let (Treatment::Apply(_, a), Treatment::Apply(_, b)) = (&plan.0[0], &again.0[0]) else { panic!() };
    assert!(Arc::ptr_eq(a, b));
}

#[test]
fn targets_without_phi_pass_and_targets_nobody_mapped_do_not() {
    let map = DataMap::parse("map", MAP).unwrap().without_phi(["metrics".to_owned()]);
    let column = ColumnRef { relation: "public.patient".into(), column: "ssn".into() };
    let fields = [Origin::Column(&column), Origin::Unknown, Origin::Derived(std::slice::from_ref(&column))]
        .map(|origin| Field { name: "x", origin, kind: ValueKind::Text });
    let on = |target| {
        let mask = map.mask(target, ClassSet::EMPTY, None, &MaskKeys::derive(&[7; 32], "t"), TODAY);
        mask.plan(&fields).0.iter().map(said).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(on("metrics"), "pass -, pass -, pass -");
    assert_eq!(on("forgotten"), "apply unclassified, withhold unclassified, withhold unclassified");
}
