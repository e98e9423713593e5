//! Every way in which a data map can be wrong, and what is then said. The snapshot is what users read.

#![cfg(test)]

use proptest::prelude::{any, prop, proptest};
use std::fmt::Write as _;
use vestibule_core::{Access, ClassSet, PhiClass, Resource};
use vestibule_phi::{BUILT_IN_PROFILES, DataMap};

const SAMPLE: &str = include_str!("../samples/clinic.data-map.toml");

const GOOD: &str = r#"[profile.research]
base = "pseudonymised"
name = "redact"

[target.clinic]
schema = "public"
default = "unclassified"
schemas = { reference = "clear" }

[target.clinic.relation]
staff = "clear"
remarks = "free-text"

[target.clinic.relation.patient]
mrn = "mrn"
ssn = { class = "ssn", methods = { research = { partial = { last = 4 } } } }
city = { class = "address", methods = { limited-data-set = "keep" } }
state = "clear"

[target.clinic.relation."billing.invoice"]
member = { class = "beneficiary", methods = { safe-harbor = { replace = "M0" } } }
"*" = "clinical"
"#;

/// What is changed in the good map: the first by the second.
type Case = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // syntax
    ("not TOML: no quotes", "mrn = \"mrn\"", "mrn = mrn"),
    ("not TOML: open heading", "[target.clinic]\n", "[target.clinic\n"),
    ("the same column twice", "mrn = \"mrn\"", "mrn = \"mrn\"\nmrn = \"clear\""),
    ("the same relation twice", "[target.clinic.relation.\"billing.invoice\"]", "[target.clinic.relation.patient]"),
    // sections and keys
    ("misspelt section", "[target.clinic.relation.patient]", "[targets.clinic.relation.patient]"),
    ("section nobody knows", "[profile.research]", "[colours]\nx = \"y\"\n[profile.research]"),
    ("target that is a word", GOOD, "target = \"clinic\""),
    ("target without section", GOOD, "[target]\nclinic = \"clear\""),
    ("misspelt key of a target", "default = ", "defualt = "),
    ("columns without `relation`", "[target.clinic.relation.patient]", "[target.clinic.patient]"),
    ("relation that is a word", GOOD, "[target.clinic]\nrelation = \"patient\""),
    ("schema that is no name", "schema = \"public\"", "schema = true"),
    ("schema without name", "schema = \"public\"", "schema = \"\""),
    ("default nobody knows", "default = \"unclassified\"", "default = \"claer\""),
    ("default that is no word", "default = \"unclassified\"", "default = false"),
    ("default that is a class", "default = \"unclassified\"", "default = \"name\""),
    ("schemas that are no table", "schemas = { reference = \"clear\" }", "schemas = [\"reference\"]"),
    ("schema default nobody knows", "reference = \"clear\"", "reference = \"shown\""),
    ("relation listed with and without its schema", "\"billing.invoice\"", "\"public.patient\""),
    ("relation without columns", "member = { class = \"beneficiary\", methods = { safe-harbor = { replace = \"M0\" } } }\n\"*\" = \"clinical\"\n", ""),
    ("relation without name", "staff = \"clear\"", "\"\" = \"clear\""),
    ("column without name", "state = \"clear\"", "\"\" = \"clear\""),
    // classes
    ("misspelt class", "mrn = \"mrn\"", "mrn = \"mnr\""),
    ("class in capitals", "mrn = \"mrn\"", "mrn = \"MRN\""),
    ("class by another name", "mrn = \"mrn\"", "mrn = \"date_of_birth\""),
    ("class nobody knows", "mrn = \"mrn\"", "mrn = \"colour\""),
    ("class that is no word", "mrn = \"mrn\"", "mrn = true"),
    ("list of classes", "mrn = \"mrn\"", "mrn = [\"mrn\", \"name\"]"),
    ("misspelt `clear`", "state = \"clear\"", "state = \"cleer\""),
    ("class of a whole relation nobody knows", "remarks = \"free-text\"", "remarks = \"notes\""),
    ("methods without class", "class = \"address\", ", ""),
    ("class in a table that is no word", "class = \"address\"", "class = 7"),
    ("misspelt key of a column", "methods = { limited", "method = { limited"),
    ("key of a column nobody knows", "methods = { limited-data-set = \"keep\" }", "note = \"x\""),
    // methods
    ("methods that are no table", "methods = { limited-data-set = \"keep\" }", "methods = \"keep\""),
    ("methods of a clear column", "class = \"address\"", "class = \"clear\""),
    ("misspelt profile", "limited-data-set = \"keep\"", "limited-dataset = \"keep\""),
    ("profile nobody knows", "limited-data-set = \"keep\"", "strict = \"keep\""),
    ("misspelt method", "limited-data-set = \"keep\"", "limited-data-set = \"kepe\""),
    ("method nobody knows", "limited-data-set = \"keep\"", "limited-data-set = \"encrypt\""),
    ("method that is no word", "limited-data-set = \"keep\"", "limited-data-set = 1"),
    ("keeping a direct identifier", "mrn = \"mrn\"", "mrn = { class = \"mrn\", methods = { limited-data-set = \"keep\" } }"),
    ("the year of something that is no date", "limited-data-set = \"keep\"", "limited-data-set = \"year\""),
    ("the age of something that is no age", "limited-data-set = \"keep\"", "limited-data-set = \"age-90\""),
    ("the ZIP of something that is no ZIP", "limited-data-set = \"keep\"", "limited-data-set = \"zip3\""),
    ("replace without value", "{ replace = \"M0\" }", "\"replace\""),
    ("replace by a number", "replace = \"M0\"", "replace = 0"),
    ("partial without numbers", "{ partial = { last = 4 } }", "\"partial\""),
    ("partial that leaves nothing", "last = 4", "last = 0"),
    ("partial that leaves too much", "last = 4", "last = 17"),
    ("partial of words", "last = 4", "last = \"four\""),
    ("misspelt key of partial", "last = 4", "lats = 4"),
    ("partial that is a number", "partial = { last = 4 }", "partial = 4"),
    ("plain method with values", "replace = \"M0\"", "redact = true"),
    ("two methods at once", "replace = \"M0\"", "replace = \"M0\", partial = { last = 1 }"),
    // profiles
    ("profile that is a word", GOOD, "profile = \"strict\""),
    ("profile without section", GOOD, "[profile]\nresearch = \"redact\""),
    ("profile without base", "base = \"pseudonymised\"\n", ""),
    ("base that is no word", "base = \"pseudonymised\"", "base = 1"),
    ("misspelt base", "base = \"pseudonymised\"", "base = \"pseudonymized\""),
    ("base that is the map's own", "base = \"pseudonymised\"", "base = \"research\""),
    ("built-in profile changed", "[profile.research]", "[profile.safe-harbor]"),
    ("profile without name", "[profile.research]", "[profile.\"\"]"),
    ("misspelt class in a profile", "name = \"redact\"", "nmae = \"redact\""),
    ("token of free text", "name = \"redact\"", "free-text = \"token\""),
    ("part of a birth date", "name = \"redact\"", "birth-date = { partial = { first = 2 } }"),
    ("a profile that reveals", "name = \"redact\"", "ssn = \"keep\""),
];

#[test]
fn every_error_says_where_what_and_how_to_mend_it() {
    DataMap::parse("map", GOOD).unwrap();
    let mut page = String::new();
    for (title, from, to) in CASES {
        assert!(GOOD.contains(from), "{title}: nothing to change");
        let Err(problems) = DataMap::parse("data-map.toml", &GOOD.replacen(from, to, 1)) else {
            panic!("{title}: accepted");
        };
        assert!(problems.is_sorted_by_key(|p| p.line), "{title}");
        let _ = writeln!(page, "## {title}");
        for problem in problems {
            assert!(problem.line > 0 && !problem.mend.is_empty(), "{title}");
            assert!(!problem.what.ends_with('.') && !problem.mend.ends_with('.'), "{title}: {problem}");
            let _ = writeln!(page, "{problem}");
        }
        page.push('\n');
    }
    insta::assert_snapshot!("problems", page);
}

#[test]
fn all_errors_are_reported_at_once() {
    let text = GOOD.replace("\"mrn\"", "\"mnr\"").replace("keep", "kepe").replace("default", "defualt");
    let lines: Vec<_> = DataMap::parse("map", &text).unwrap_err().iter().map(|p| p.line).collect();
    assert_eq!(lines, [7, 15, 17]);
}

#[test]
fn names_from_the_file_cannot_forge_messages() {
    let text =
        format!("[target.clinic.relation.patient]\nmrn = \"x\\n\\u001b[2Jdata-map.toml:1: fine{}\"", "a".repeat(500));
    let problems = DataMap::parse("map", &text).unwrap_err();
    assert!(problems[0].what.len() < 200 && !problems[0].what.contains(['\n', '\u{1b}']), "{}", problems[0]);
}

#[test]
fn the_sample_is_accepted_and_described() {
    let map = DataMap::parse("data-map.toml", SAMPLE).unwrap();
    assert_eq!(map.targets().map(|(name, _)| name).collect::<Vec<_>>(), ["clinic"]);
    assert_eq!(map.profiles().count(), BUILT_IN_PROFILES.len() + 1);
    assert_eq!(map.digest().len(), 64);
    assert_ne!(map.digest(), DataMap::parse("m", &format!("{SAMPLE}#")).unwrap().digest());
    insta::assert_snapshot!("described", map.describe());
}

fn classes(map: &DataMap, name: &str, columns: &[&str]) -> String {
    resource(map, "table", Access::Read, name, columns)
}

fn resource(map: &DataMap, kind: &'static str, access: Access, name: &str, columns: &[&str]) -> String {
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    let resource = Resource { kind: kind.into(), name: name.to_owned(), access, columns };
    map.classes("clinic", &[resource]).iter().map(PhiClass::name).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_nobody_listed_is_unclassified() {
    let map = DataMap::parse("map", GOOD).unwrap();
    assert_eq!(classes(&map, "public.patient", &["mrn", "state"]), "mrn");
    assert_eq!(classes(&map, "public.patient", &["added_later"]), "unclassified");
    assert_eq!(classes(&map, "public.patient", &["MRN"]), "unclassified");
    assert_eq!(classes(&map, "public.Patient", &["state"]), "unclassified");
    assert_eq!(classes(&map, "patient", &["state"]), "unclassified");
    assert_eq!(classes(&map, "public.nowhere", &["state"]), "unclassified");
    assert_eq!(classes(&map, "reference.icd10", &["code"]), "");
    assert_eq!(classes(&map, "reference2.icd10", &["code"]), "unclassified");
    assert_eq!(classes(&map, "public.staff", &["name"]), "");
    assert_eq!(classes(&map, "public.remarks", &["x"]), "free-text");
    assert_eq!(classes(&map, "billing.invoice", &["member", "amount"]), "beneficiary clinical");
    // The row's own administration, and the server's catalogs.
    assert_eq!(classes(&map, "public.patient", &["ctid", "tableoid"]), "");
    assert_eq!(classes(&map, "pg_catalog.pg_class", &["relname"]), "");
    assert_eq!(classes(&map, "pg_catalog.pg_stats", &["most_common_vals"]), "unclassified");
    assert_eq!(classes(&map, "pg_temp_3.copy", &["x"]), "unclassified");
}

#[test]
fn whole_rows_are_every_class_and_what_is_not_listed() {
    let map = DataMap::parse("map", GOOD).unwrap();
    for columns in [&[][..], &["*"], &["state", "*"]] {
        assert_eq!(classes(&map, "public.patient", columns), "address ssn mrn unclassified");
        assert_eq!(classes(&map, "billing.invoice", columns), "beneficiary clinical");
        assert_eq!(classes(&map, "public.staff", columns), "");
    }
    assert_eq!(classes(&map, "public.nowhere", &[]), "unclassified");
    assert_eq!(resource(&map, "function", Access::Execute, "pg_catalog.lower", &[]), "");
    assert_eq!(resource(&map, "schema", Access::Define, "public", &[]), "");
    assert_eq!(resource(&map, "table", Access::Define, "public.patient", &["mrn"]), "mrn");
    assert!(map.is_phi("clinic", "public.patient", "*") && map.is_phi("clinic", "public.patient", "mrn"));
    assert!(!map.is_phi("clinic", "public.patient", "state") && map.is_phi("clinic", "public.x", "state"));
}

#[test]
fn a_default_of_clear_is_for_relations_that_are_not_listed() {
    let map = DataMap::parse("map", &GOOD.replace("\"unclassified\"", "\"clear\"")).unwrap();
    assert_eq!(classes(&map, "public.nowhere", &["x"]), "");
    assert_eq!(classes(&map, "public.patient", &["added_later"]), "unclassified");
    assert_eq!(classes(&map, "pg_toast.pg_toast_1", &["chunk_data"]), "unclassified");
    assert_eq!(classes(&map, "pg_catalog.pg_authid", &["rolpassword"]), "unclassified");
    let closed = GOOD.replace("default = \"unclassified\"", "default = \"clear\"");
    let map = DataMap::parse("map", &closed.replace("reference = \"clear\"", "secret = \"unclassified\"")).unwrap();
    assert_eq!(classes(&map, "secret.x", &["x"]), "unclassified");
    assert_eq!(classes(&map, "other.x", &["x"]), "");
    // A dot in a relation's name does not lead out of its schema.
    assert_eq!(classes(&map, "secret.a.b", &["x"]), "unclassified");
    // An extension's view, wherever it is, holds statements.
    assert_eq!(classes(&map, "other.pg_stat_statements", &["query"]), "unclassified");
    assert_eq!(classes(&map, "other.pg_stat_statements", &["*"]), "unclassified");
    assert_eq!(classes(&map, "other.pg_stat_statements", &["calls"]), "");
}

#[test]
fn targets_without_phi_are_named_by_the_configuration_only() {
    let map = DataMap::parse("map", GOOD).unwrap();
    let one = [Resource { kind: "table".into(), name: "a.b".into(), access: Access::Read, columns: Vec::new() }];
    assert!(map.classes("metrics", &one).contains(PhiClass::Unclassified) && map.is_phi("metrics", "a.b", "c"));
    let map = map.without_phi(["metrics".to_owned()]);
    assert_eq!(map.classes("metrics", &one), ClassSet::EMPTY);
    assert!(!map.is_phi("metrics", "a.b", "c") && map.is_phi("metrics2", "a.b", "c"));
    assert_eq!(classes(&map, "public.patient", &["mrn"]), "mrn");
}

#[test]
fn stricter_profiles_come_first_and_unknown_ones_are_strictest() {
    let map = DataMap::parse("map", GOOD).unwrap();
    for pair in ["nowhere", "safe-harbor", "research", "pseudonymised", "limited-data-set"].windows(2) {
        assert_eq!(map.stricter(pair[0], pair[1]), pair[0]);
        assert_eq!(map.stricter(pair[1], pair[0]), pair[0]);
    }
}

#[test]
fn deep_nesting_is_a_problem_and_no_overflow() {
    for (open, close) in [("[", "]"), ("{ a = ", " }"), ("a.", "")] {
        let head = if open == "a." { "" } else { "x = " };
        let text = format!("{head}{}b = 1{}\n", open.repeat(50_000), close.repeat(50_000));
        assert!(!DataMap::parse("map", &text).unwrap_err().is_empty());
    }
}

proptest! {
    #[test]
    fn mutated_maps_never_panic(cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..12_usize), 1..6)) {
        for good in [GOOD, SAMPLE] {
            let mut bytes = good.as_bytes().to_vec();
            for (at, byte, cut) in &cuts {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
                bytes.drain(at..(at + cut).min(bytes.len() - 1).max(at));
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Err(problems) = DataMap::parse("map", &text) {
                assert!(!problems.is_empty());
            }
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[\\[\\]{}=\".,#\na-z0-9*-]{0,200}") {
        let _ = DataMap::parse("map", &text);
    }
}
