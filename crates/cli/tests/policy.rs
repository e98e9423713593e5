//! Policies beside the gateway: the sample's expectations hold as a real server's catalog lets them be read.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::{DATA_MAP, POLICY, clinic, guarded};
use vestibule_e2e::gateway::Gateway;

/// The expectations that `vestibule init` writes beside the policies.
const EXPECTATIONS: &str = include_str!("../../policy/samples/clinic.test.toml");

fn told(gateway: &Gateway, words: &[&str]) -> (Option<i32>, String) {
    let ended = gateway.cli("", words).unwrap();
    (ended.status.and_then(|status| status.code()), format!("{}{}", ended.stdout, ended.stderr))
}

#[test]
fn the_samples_expectations_hold_with_a_real_catalog() {
    let server = clinic(5);
    let gateway = guarded(&server);
    gateway.write("policies/clinic.test.toml", EXPECTATIONS, 0o644).unwrap();
    let (code, said) = told(&gateway, &["policy", "test"]);
    assert_eq!(code, Some(0), "{said}");
    let count = EXPECTATIONS.matches("[[test]]").count();
    assert!(said.contains(&format!("{count} expectations, 0 not met")), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), count, "{said}");
    assert!(!said.contains("without its catalog"), "{said}");
}

#[test]
fn an_expectation_that_is_not_met_is_an_error_of_its_own_code() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let wrong = "[[test]]\nname = \"analysts see it all\"\ngroups = [\"analysts\"]\ntarget = \"clinic\"\n\
                 statement = \"SELECT ssn FROM patient\"\nexpect = \"permit\"\nreveal = [\"ssn\"]\n";
    gateway.write("policies/wrong.test.toml", wrong, 0o644).unwrap();
    let (code, said) = told(&gateway, &["policy", "test"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("NOT OK") && said.contains("1 expectations, 1 not met"), "{said}");
}

#[test]
fn what_would_happen_is_explained() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let statements = [
        ("analysts", "SELECT ssn AS favourite_colour, state FROM patient WHERE last_name = 'Costa'"),
        ("dba", "UPDATE patient SET city = 'Salem' WHERE id = 7"),
        ("dba", "DROP TABLE patient"),
    ];
    let mut page = String::new();
    for (groups, statement) in statements {
        let words = ["policy", "explain", "--target", "clinic", "--identity", "staff|somebody", "--groups", groups];
        let (code, said) = told(&gateway, &[&words[..], &["--statement", statement]].concat());
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("Costa") && !said.contains("Salem"), "a literal is repeated: {said}");
        let said = said.replace(&format!("{}/", gateway.dir().display()), "");
        page += &format!("## {groups}: {statement}\n{said}\n");
    }
    let version =
        page.lines().find_map(|line| line.split_once("version ")).map(|(_, version)| version.trim().to_owned());
    let page = version.map_or(page.clone(), |version| page.replace(&version, "(version)"));
    insta::assert_snapshot!("explained", page);
    let words = ["policy", "explain", "--target", "clinik", "--statement", "SELECT 1"];
    let (code, said) = told(&gateway, &words);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is no target `clinik`") && said.contains("clinic"), "{said}");
}

#[test]
fn the_schema_that_is_printed_is_the_one_policies_are_checked_against() {
    let server = clinic(5);
    let gateway = guarded(&server);
    let (code, said) = told(&gateway, &["policy", "schema"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.trim_end(), include_str!("../../policy/src/vestibule.cedarschema").trim_end());
    assert!(POLICY.contains("Trait::\"no-where\"") && said.contains("Trait"), "{said}");
    let _ = DATA_MAP;
}
