//! How several policies combine: the table of docs/spec/policy.md, line by line.

use crate::common::{MONDAY, ask, classes, known, load, op, person, said, select, set, source, table, target};
use std::fmt::Write as _;
use std::net::IpAddr;
use vestibule_core::{Access, Decision, Effect, IdentityKind, Operation, PhiClass, Reading, Timestamp, traits};
use vestibule_policy::{PolicySet, Request};

const ALL: &str = "(principal, action, resource);";

/// Policies on one line each: `permit` or `forbid`, annotations before; ids are given in order.
#[rustfmt::skip]
const TABLE: &[(&str, &[&str])] = &[
    ("no policy applies", &["permit (principal in Group::\"others\", action, resource);"]),
    ("one permit", &["permit @"]),
    ("forbid wins over permit", &["permit @", "forbid @"]),
    ("forbid without permit", &["forbid @"]),
    ("forbid in its own words", &["permit @", "@message(\"not on Mondays\") @remedy(\"come back tomorrow\") forbid @"]),
    ("two forbids", &["@message(\"no\") forbid @", "@message(\"never\") @remedy(\"go\") forbid @", "@message(\"no\") forbid @"]),
    ("reveals add up", &["@reveal(\"name,mrn\") permit @", "@reveal(\"mrn,ssn\") permit @", "permit @"]),
    ("the smallest limit of rows", &["@rows(\"50\") permit @", "permit @", "@rows(\"5\") permit @"]),
    ("one profile and no opinion", &["@mask(\"limited-data-set\") permit @", "permit @"]),
    ("the strictest profile", &["@mask(\"limited-data-set\") permit @", "@mask(\"safe-harbor\") permit @", "@mask(\"pseudonymised\") permit @"]),
    ("messages, each once", &["@message(\"b\") permit @", "@message(\"a\") permit @", "@message(\"b\") permit @"]),
    ("a hold", &["@hold(\"dba\") permit @"]),
    ("a hold with all its words", &["@hold(\"dba, lead\") @quorum(\"2\") @expires(\"1h\") @reason(\"it is dear\") @reveal(\"ssn\") permit @"]),
    ("a permit without hold does not go round a hold", &["@hold(\"dba\") permit @", "permit @"]),
    ("holds meet in the groups of both, the greater quorum, the shorter wait",
        &["@hold(\"dba,lead\") @quorum(\"2\") @expires(\"1h\") @reason(\"x\") permit @", "@hold(\"lead,privacy\") @expires(\"5m\") @reason(\"y\") permit @"]),
    ("holds that do not meet", &["@hold(\"dba\") permit @", "@hold(\"privacy\") permit @"]),
    ("a forbid that can be lifted", &["permit @", "@hold(\"privacy\") @reason(\"exports\") forbid @"]),
    ("it gives nothing by itself", &["@hold(\"privacy\") forbid @"]),
    ("a forbid that cannot be lifted wins over one that can", &["permit @", "@hold(\"privacy\") forbid @", "forbid @"]),
    ("what the approver says yes to is what then is", &["@hold(\"dba\") permit @", "@reveal(\"ssn\") permit (principal, action, resource) when { context.approved };"]),
    ("an approval that would be in vain", &["@hold(\"dba\") permit @", "@message(\"not even then\") forbid (principal, action, resource) when { context.approved };"]),
    ("a forbid that cannot be evaluated", &["permit @", "forbid (principal, action, resource) when { context.time.hour * 9223372036854775807 > 1 };"]),
    ("a permit that cannot be evaluated", &["permit @", "permit (principal, action, resource) when { context.time.hour * 9223372036854775807 > 1 };"]),
];

fn policies(lines: &[&str]) -> PolicySet {
    let text: String = lines
        .iter()
        .enumerate()
        .map(|(at, line)| format!("@id(\"p{at}\") {}\n", line.replace(" @", &format!(" {ALL}")).replace(&format!(" {ALL}hold"), " @hold")))
        .collect();
    set(&unshorten(lines, text))
}

/// `permit @` and `forbid @` stand for policies about everything.
fn unshorten(lines: &[&str], _: String) -> String {
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        let whole = line.replace("permit @", &format!("permit {ALL}")).replace("forbid @", &format!("forbid {ALL}"));
        writeln!(out, "@id(\"p{at}\") {whole}").unwrap();
    }
    out
}

#[test]
fn several_policies_combine_as_the_specification_says() {
    let (who, clinic, operation) = (person(&["staff"]), target("clinic", true), select(&["ssn"]));
    let mut out = String::new();
    for (name, lines) in TABLE {
        let set = policies(lines);
        let request = ask(&who, &clinic, &operation);
        let first = set.decide(&request);
        writeln!(out, "# {name}\n{}", said(&first)).unwrap();
        if matches!(first, Decision::Hold(_)) {
            writeln!(out, "approved: {}", said(&set.decide(&Request { approved: true, ..request }))).unwrap();
        }
    }
    insta::assert_snapshot!("table", out);
}
