//! The sample that a new gateway starts with: it loads, and does what the expectations beside it say.

use crate::common::{known, op, table, target};
use vestibule_core::{Access, ClassSet, Effect, PhiClass, traits};
use vestibule_policy::{Asked, Expectations, PolicySet, Source};

fn sample() -> PolicySet {
    let source = Source { file: "clinic.cedar".into(), text: include_str!("../../samples/clinic.cedar").into() };
    PolicySet::from_sources(&[source], &known()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn expectations(text: &str) -> Expectations {
    Expectations::parse(Source { file: "clinic.test.toml".into(), text: text.into() }).unwrap()
}

/// The statements of the sample as an interpreter would read them.
#[rustfmt::skip]
fn ask(name: &str, statement: &str) -> Result<Asked, String> {
    let patient = |access, columns: &[&str]| vec![table("public.patient", access, columns)];
    let operation = match statement {
        "SELECT mrn, last_name FROM patient" => op(Effect::Read, "SELECT", patient(Access::Read, &["mrn", "last_name"]), &[]),
        "SELECT last_name, phone FROM patient" => op(Effect::Read, "SELECT", patient(Access::Read, &["last_name", "phone"]), &[]),
        "SELECT last_name, rolname FROM patient, pg_catalog.pg_authid" => {
            let mut both = patient(Access::Read, &["last_name"]);
            both.push(table("pg_catalog.pg_authid", Access::Read, &["rolname"]));
            op(Effect::Read, "SELECT", both, &[traits::CATALOG])
        }
        "BEGIN" => op(Effect::Open, "BEGIN", vec![], &[traits::TRANSACTION]),
        "UPDATE patient SET phone = '1' WHERE id = 7" => op(Effect::Write, "UPDATE", patient(Access::Write, &["phone"]), &[]),
        "ALTER TABLE patient ADD COLUMN nickname text" => op(Effect::Define, "ALTER TABLE", patient(Access::Define, &[]), &[]),
        "DELETE FROM patient" => op(Effect::Write, "DELETE", patient(Access::Write, &["*"]), &[traits::NO_WHERE]),
        "DROP TABLE patient" => op(Effect::Define, "DROP TABLE", patient(Access::Define, &[]), &[traits::DESTRUCTIVE]),
        "TRUNCATE patient" => op(Effect::Write, "TRUNCATE", patient(Access::Write, &["*"]), &[traits::DESTRUCTIVE]),
        "COPY patient TO PROGRAM 'cat > /tmp/x'" => op(Effect::Administer, "COPY", patient(Access::Read, &["*"]), &[traits::SERVER_PROGRAM, traits::BULK_EXPORT]),
        "COPY patient TO STDOUT" => op(Effect::Read, "COPY", patient(Access::Read, &["*"]), &[traits::BULK_EXPORT]),
        "UPDATE patient SET state = ssn WHERE id = 7" => op(Effect::Write, "UPDATE", patient(Access::Write, &["state"]), &[traits::LAUNDERS]),
        "INSERT INTO staff (id, name, role) SELECT id, ssn, 'x' FROM patient" => {
            let mut both = patient(Access::Read, &["id", "ssn"]);
            both.push(table("public.staff", Access::Write, &["id", "name", "role"]));
            op(Effect::Write, "INSERT", both, &[traits::LAUNDERS])
        }
        "ALTER TABLE patient RENAME TO staff" => op(Effect::Define, "ALTER", patient(Access::Define, &[]), &[traits::RENAMES]),
        other => return Err(format!("`{other}` is not a statement of the sample")),
    };
    let classes: ClassSet = if operation.resources.is_empty() { ClassSet::EMPTY } else { crate::common::classes(&[PhiClass::Name, PhiClass::Mrn]) };
    Ok(Asked { target: target(name, true), operations: vec![(operation, classes)] })
}

#[test]
fn does_what_its_expectations_say() {
    let checked = expectations(include_str!("../../samples/clinic.test.toml")).run(&sample(), &mut ask);
    let failed: Vec<String> = checked.iter().filter(|c| !c.differences.is_empty()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(checked.len() > 20);
}

#[test]
fn every_policy_is_expected_by_name_at_least_once() {
    let text = include_str!("../../samples/clinic.test.toml");
    let covered_otherwise =
        ["care-team-read", "dba-read", "dba-define", "no-way-out-of-the-database", "ci-reads-staging"];
    for id in sample().ids() {
        assert!(text.contains(&format!("\"{id}\"")) || covered_otherwise.contains(&id), "no expectation names {id}");
    }
}

#[test]
fn an_expectation_that_is_not_met_says_how() {
    let text = r#"
[[test]]
name = "wrong about everything"
groups = ["clinicians"]
target = "clinic"
statement = "COPY patient TO STDOUT"
expect = "hold"
policies = ["clinicians-read"]
hold = ["dba"]
quorum = 2
reveal = ["ssn"]
mask = "pseudonymised"
rows = 5
message = "because"

[[test]]
name = "wrong about the decision"
target = "clinic"
statement = "DROP TABLE patient"
expect = "permit"

[[test]]
name = "not a statement"
target = "clinic"
statement = "SELEKT"
expect = "permit"
"#;
    let checked = expectations(text).run(&sample(), &mut ask);
    let shown: Vec<String> = checked.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("unmet_expectations", shown.join("\n"));
}

#[test]
fn of_several_statements_the_worst_is_what_happens() {
    let text = "[[test]]\nname = \"a\"\ngroups = [\"dba\"]\ntarget = \"clinic\"\nstatement = \"both\"\nexpect = \"deny\"\n\
                policies = [\"no-destruction\"]\n";
    let mut both = |target: &str, _: &str| {
        let mut asked = ask(target, "BEGIN")?;
        asked.operations.extend(ask(target, "DROP TABLE patient")?.operations);
        Ok(asked)
    };
    let checked = expectations(text).run(&sample(), &mut both);
    assert_eq!(checked[0].differences, Vec::<String>::new());
}

#[test]
fn expectations_that_are_wrong_are_refused() {
    let cases = [
        ("nothing in it", ""),
        (
            "unknown key",
            "[[test]]\nname = \"a\"\ntarget = \"t\"\nstatement = \"s\"\nexpect = \"deny\"\ngroup = [\"x\"]\n",
        ),
        ("no decision", "[[test]]\nname = \"a\"\ntarget = \"t\"\nstatement = \"s\"\nexpect = \"maybe\"\n"),
        (
            "class",
            "[[test]]\nname = \"a\"\ntarget = \"t\"\nstatement = \"s\"\nexpect = \"permit\"\nreveal = [\"SSN\"]\n",
        ),
        (
            "says nothing",
            "# one\n[[test]]\nname = \"a\"\nidentity = \"ana\"\ntarget = \"t\"\nstatement = \"s\"\nexpect = \"deny\"\n\
             rows = 5\nhold = [\"x\"]\nat = 2026-01-01\n",
        ),
    ];
    let shown: Vec<String> = cases
        .iter()
        .map(|(name, text)| {
            let source = Source { file: "policies/a.test.toml".into(), text: (*text).into() };
            let problems = Expectations::parse(source).unwrap_err();
            format!("# {name}\n{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })
        .collect();
    insta::assert_snapshot!("wrong_expectations", shown.join("\n\n"));
}
