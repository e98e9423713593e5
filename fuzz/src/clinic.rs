//! The database, the people and the operations that the targets share.

use std::collections::BTreeMap;
use std::sync::Arc;
use vestibule_core::{
    Access, Assurance, ClassSet, Effect, Identity, IdentityKind, OpTraits, Operation, PhiClass, Reading, Resource,
    Timestamp, traits,
};
use vestibule_sql::{Catalog, Column, Function, FunctionKind, Relation, RelationKind, Volatility};

/// The time of every run.
pub const NOW: Timestamp = Timestamp::from_seconds(1_795_535_742);

fn relation(oid: u32, name: &str, columns: &[(&str, u32)], view: Option<&str>) -> Relation {
    let numbered = columns.iter().zip(1..);
    Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        kind: if view.is_some() { RelationKind::View } else { RelationKind::Table },
        columns: numbered
            .map(|((name, of), number)| Column { number, name: Arc::from(*name), type_oid: *of })
            .collect(),
        definition: view.map(Arc::from),
        parents: Vec::new(),
        runs_code: false,
    }
}

fn function(name: &str, language: &str, body: Option<&str>) -> Function {
    Function {
        schema: "public".into(),
        name: name.into(),
        kind: FunctionKind::Function,
        volatility: Volatility::Stable,
        language: language.into(),
        security_definer: false,
        returns_set: true,
        extension: None,
        body: body.map(Arc::from),
    }
}

/// Two tables, a view, a child table, two functions.
#[must_use]
pub fn catalog() -> Catalog {
    let patient = [("id", 23), ("ssn", 25), ("name", 25), ("born", 1082)];
    let mut archived = relation(16_387, "patient_2019", &patient, None);
    archived.parents = vec![16_384];
    let view = "SELECT p.id, upper(p.name) AS name, p.ssn FROM patient p WHERE p.id > 0;";
    Catalog::new(
        vec![
            relation(16_384, "patient", &patient, None),
            relation(16_385, "ward", &[("id", 23), ("beds", 23), ("name", 25)], None),
            relation(16_386, "people", &[("id", 23), ("name", 25), ("ssn", 25)], Some(view)),
            archived,
        ],
        vec![
            function("secrets", "sql", Some("SELECT ssn FROM patient WHERE id = $1")),
            function("opaque", "plpgsql", None),
        ],
    )
}

/// Somebody in these groups.
#[must_use]
pub fn somebody(kind: IdentityKind, groups: &[&str]) -> Identity {
    Identity {
        issuer: "staff".into(),
        subject: groups.join("-"),
        name: "Ana".into(),
        kind,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        assurance: Assurance::default(),
        acting_for: Vec::new(),
        claims: BTreeMap::new(),
        token_id: groups.join("-"),
        only_target: None,
        expires: Timestamp(i64::MAX),
    }
}

/// Operations of every effect and reading.
#[must_use]
pub fn operations() -> Vec<Operation> {
    let table = |access, columns: &[&str]| Resource {
        kind: "table".into(),
        name: "public.patient".into(),
        access,
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
    };
    let make = |effect, action: &'static str, resources: Vec<Resource>, facts: &[&'static str], reading| {
        let mut list = OpTraits::default();
        facts.iter().for_each(|fact| list.insert(fact));
        Operation { resources: resources.into(), traits: Arc::new(list), reading, ..Operation::bare(effect, action) }
    };
    let exact = Reading::Exact;
    let rewritten = vec![table(Access::Read, &["ssn"]), table(Access::Write, &["ssn"])];
    vec![
        Operation::bare(Effect::Open, "session"),
        make(Effect::Read, "SELECT", vec![table(Access::Read, &["id"])], &[], exact.clone()),
        make(Effect::Read, "COPY", vec![table(Access::Read, &["*"])], &[traits::BULK_EXPORT], exact.clone()),
        make(Effect::Write, "UPDATE", rewritten, &[traits::NO_WHERE], exact.clone()),
        make(Effect::Define, "DROP TABLE", vec![table(Access::Define, &[])], &[traits::DESTRUCTIVE], exact.clone()),
        make(Effect::Execute, "DO", Vec::new(), &[traits::DYNAMIC_CODE], Reading::Partial("code".into())),
        make(Effect::Administer, "COPY", Vec::new(), &[traits::SERVER_PROGRAM], exact),
        make(Effect::Administer, "?", Vec::new(), &[], Reading::Opaque),
    ]
}

/// Some classes.
#[must_use]
pub fn classes() -> ClassSet {
    [PhiClass::Ssn, PhiClass::Name].into_iter().collect()
}
