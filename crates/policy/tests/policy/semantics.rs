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

/// `permit @` and `forbid @` stand for policies about everything.
fn policies(lines: &[&str]) -> PolicySet {
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        let whole = line.replace("permit @", &format!("permit {ALL}")).replace("forbid @", &format!("forbid {ALL}"));
        writeln!(out, "@id(\"p{at}\") {whole}").unwrap();
    }
    set(&out)
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

fn permits(set: &PolicySet, request: &Request<'_>) -> bool {
    matches!(set.decide(request), Decision::Permit(_))
}

#[test]
fn what_is_not_understood_reaches_phi_only_where_a_policy_says_so() {
    let set = set("@id(\"plain\") @reveal(\"ssn\") permit (principal in Group::\"a\", action, resource);\n\
         @id(\"part\") @reveal(\"mrn\") @opaque(\"partial\") permit (principal in Group::\"b\", action, resource);\n\
         @id(\"all\") @opaque(\"allow\") @rows(\"9\") permit (principal in Group::\"c\", action, resource);\n");
    let mut out = String::new();
    for groups in [&["a"][..], &["a", "b"], &["c"]] {
        for (phi, reading) in [
            (true, Reading::Exact),
            (true, Reading::Partial("calls f()".into())),
            (true, Reading::Opaque),
            (false, Reading::Opaque),
        ] {
            let (who, place) = (person(groups), target("clinic", phi));
            let operation = Operation { reading: reading.clone(), ..select(&["ssn"]) };
            let decision = said(&set.decide(&ask(&who, &place, &operation)));
            writeln!(out, "{} / phi {phi} / {reading:?}: {decision}", groups.join("+")).unwrap();
        }
    }
    insta::assert_snapshot!("unread", out);
}

#[test]
fn a_list_of_what_may_be_touched_is_closed() {
    let set = set("@id(\"a\") permit (principal, action, resource) when { \
         [\"public.patient\", \"public.visit\"].containsAll(context.reads) && \
         [\"public.patient.mrn\", \"public.visit.id\"].containsAll(context.columns) };");
    let (who, lab) = (person(&[]), target("lab", false));
    let read = |name: &str, columns: &[&str]| op(Effect::Read, "SELECT", vec![table(name, Access::Read, columns)], &[]);
    let ok = |operation: &Operation| permits(&set, &ask(&who, &lab, operation));
    assert!(ok(&read("public.patient", &["mrn"])));
    assert!(!ok(&read("public.patient", &["mrn", "ssn"])));
    assert!(!ok(&read("public.patient", &["*"])), "all columns are more than one");
    assert!(!ok(&read("public.patient", &[])), "unknown columns may be any");
    assert!(!ok(&read("public.staff", &["mrn"])));
    let unread = Operation { reading: Reading::Partial("x".into()), ..read("public.patient", &["mrn"]) };
    assert!(!ok(&unread), "what was not read may touch more");
    let mut two = read("public.patient", &["mrn"]);
    two.resources =
        vec![table("public.patient", Access::Read, &["mrn"]), table("public.staff", Access::Read, &["id"])].into();
    assert!(!ok(&two));
}

#[test]
fn a_forbid_by_name_catches_what_may_be_meant() {
    let set = set("@id(\"p\") permit (principal, action, resource);\n\
         @id(\"column\") forbid (principal, action, resource) when { context.columns.contains(\"public.patient.ssn\") };\n\
         @id(\"table\") forbid (principal, action, resource) when { context.writes.contains(\"audit.log\") };");
    let (who, lab) = (person(&[]), target("lab", false));
    let touch = |access, name: &str, columns: &[&str]| op(Effect::Read, "X", vec![table(name, access, columns)], &[]);
    let ok = |operation: &Operation| permits(&set, &ask(&who, &lab, operation));
    assert!(ok(&touch(Access::Read, "public.patient", &["mrn"])));
    assert!(!ok(&touch(Access::Read, "public.patient", &["mrn", "ssn"])));
    assert!(!ok(&touch(Access::Read, "public.patient", &["*"])), "all columns contain it");
    assert!(!ok(&touch(Access::Read, "public.patient", &[])), "unknown columns may contain it");
    assert!(ok(&touch(Access::Read, "public.patient_archive", &["*"])), "another table whose name begins alike");
    assert!(ok(&touch(Access::Execute, "public.patient", &[])), "a function has no columns");
    assert!(ok(&touch(Access::Read, "audit.log", &["id"])));
    assert!(!ok(&touch(Access::Write, "audit.log", &["id"])));
    let unread = Operation { reading: Reading::Opaque, ..touch(Access::Read, "other", &["id"]) };
    assert!(!ok(&unread), "what was not read may touch it");
    let own = "@id(\"p\") permit (principal, action, resource);\n\
         @id(\"t\") forbid (principal, action, resource) when { resource.hasTag(\"secret\") && context.columns.contains(resource.getTag(\"secret\")) };";
    let (own, mut place) = (crate::common::set(own), target("lab", false));
    place.labels.insert("secret".into(), "public.patient.ssn".into());
    assert!(permits(&own, &ask(&who, &place, &touch(Access::Read, "public.patient", &["mrn"]))));
    let all = touch(Access::Read, "public.patient", &["*"]);
    assert!(!permits(&own, &ask(&who, &place, &all)), "a name that hangs on the target is a name, too");
}

#[test]
fn effects_and_the_group_of_those_that_change() {
    let set = set("@id(\"read\") permit (principal, action == Action::\"read\", resource);\n\
         @id(\"change\") permit (principal in Group::\"dba\", action in [Action::\"change\"], resource);\n\
         @id(\"below\") forbid (principal, action, resource) when { action in Action::\"change\" && context.action == \"SHUTDOWN\" };");
    let (user, dba, lab) = (person(&[]), person(&["dba"]), target("lab", false));
    let ok = |who, effect, action| permits(&set, &ask(who, &lab, &Operation::bare(effect, action)));
    for effect in [Effect::Write, Effect::Define, Effect::Execute, Effect::Administer] {
        assert!(ok(&dba, effect, "X") && !ok(&user, effect, "X") && !ok(&dba, effect, "SHUTDOWN"), "{effect:?}");
    }
    assert!(ok(&user, Effect::Read, "X") && !ok(&dba, Effect::Open, "X"));
}

#[test]
fn identities_are_what_was_proven_and_nothing_else() {
    let set = set("@id(\"ana\") permit (principal == Person::\"staff|ana\", action == Action::\"open\", resource);\n\
         @id(\"svc\") permit (principal is Service in Group::\"ci\", action == Action::\"read\", resource);\n\
         @id(\"proof\") permit (principal is Person, action == Action::\"write\", resource) when { \
            principal.amr.contains(\"mfa\") && principal has acr && principal.acr == \"high\" && principal has auth_time && \
            context.now.durationSince(principal.auth_time) < duration(\"10m\") };\n\
         @id(\"agent\") permit (principal is Agent, action == Action::\"define\", resource) when { \
            principal.acting_for.contains(\"staff|ana\") && principal.hasTag(\"model\") && principal.getTag(\"model\") == \"m1\" };");
    let lab = target("lab", false);
    let ok = |who: &_, effect| permits(&set, &ask(who, &lab, &Operation::bare(effect, "X")));
    let ana = person(&["ci"]);
    assert!(ok(&ana, Effect::Open) && !ok(&ana, Effect::Read) && !ok(&ana, Effect::Write));
    let mut other = ana.clone();
    other.issuer = "elsewhere".into();
    assert!(!ok(&other, Effect::Open), "the same subject of another issuer is somebody else");
    let mut named = person(&[]);
    (named.subject, named.name) = ("eve".into(), "ana".into());
    assert!(!ok(&named, Effect::Open), "a name decides nothing");
    let mut service = ana.clone();
    service.kind = IdentityKind::Service;
    assert!(ok(&service, Effect::Read) && !ok(&service, Effect::Open));
    let mut strong = ana.clone();
    strong.assurance.amr = vec!["pwd".into(), "mfa".into()];
    strong.assurance.acr = Some("high".into());
    strong.assurance.auth_time = Some(MONDAY.seconds() - 599);
    assert!(ok(&strong, Effect::Write));
    strong.assurance.auth_time = Some(MONDAY.seconds() - 600);
    assert!(!ok(&strong, Effect::Write), "the memory of an identity must not outlive a change behind its name");
    let mut agent = person(&[]);
    agent.kind = IdentityKind::Agent;
    agent.acting_for = vec!["staff|ana".into()];
    assert!(!ok(&agent, Effect::Define));
    agent.claims.insert("model".into(), "m1".into());
    assert!(ok(&agent, Effect::Define));
}

#[test]
fn a_token_for_one_target_is_good_for_no_other() {
    let set = set("@id(\"p\") permit (principal, action, resource);");
    let mut who = person(&[]);
    who.only_target = Some("lab".into());
    let operation = Operation::bare(Effect::Open, "connect");
    assert!(permits(&set, &ask(&who, &target("lab", false), &operation)));
    let elsewhere = said(&set.decide(&ask(&who, &target("clinic", false), &operation)));
    insta::assert_snapshot!(elsewhere, @"deny by []: refused: your token is good for target `lab` only, not for `clinic` | get a token for this target with `vestibule token`");
}

#[test]
fn places_and_times() {
    let set = set("@id(\"p\") permit (principal, action == Action::\"open\", resource) when { \
            context has source && context.source.isInRange(ip(\"10.0.0.0/8\")) };\n\
         @id(\"t\") permit (principal, action == Action::\"read\", resource) when { \
            context.time.weekday == 1 && context.time.hour == 10 && context.time.minute == 0 };\n\
         @id(\"z\") permit (principal, action == Action::\"write\", resource) when { \
            context.now.offset(duration(\"-5h\")).toTime() < duration(\"6h\") && context.now > datetime(\"2026-01-01\") };\n\
         @id(\"l\") permit (principal, action == Action::\"define\", resource) when { \
            resource.hasTag(\"env\") && resource.getTag(\"env\") == \"production\" && resource.risk == Risk::\"normal\" };");
    assert!(set.uses_time());
    let (who, lab) = (person(&[]), target("lab", false));
    let at = |effect, source: Option<&str>, now| {
        let operation = Operation::bare(effect, "X");
        let source = source.map(|s| s.parse::<IpAddr>().unwrap());
        permits(&set, &Request { source, now, ..ask(&who, &lab, &operation) })
    };
    assert!(at(Effect::Open, Some("10.1.2.3"), MONDAY) && !at(Effect::Open, Some("11.1.2.3"), MONDAY));
    assert!(at(Effect::Open, Some("::ffff:10.1.2.3"), MONDAY), "an IPv4 client of a dual-stack listener");
    assert!(!at(Effect::Open, None, MONDAY));
    assert!(at(Effect::Read, None, MONDAY) && !at(Effect::Read, None, MONDAY.plus_seconds(60)));
    assert!(!at(Effect::Read, None, MONDAY.plus_seconds(-1)) && !at(Effect::Read, None, MONDAY.plus_seconds(86_400)));
    assert!(at(Effect::Read, None, MONDAY.plus_seconds(7 * 86_400)));
    assert!(at(Effect::Write, None, MONDAY) && !at(Effect::Write, None, MONDAY.plus_seconds(3_600)));
    for edge in [i64::MIN, -1, 0, i64::MAX] {
        let _ = at(Effect::Read, None, Timestamp(edge));
        let _ = at(Effect::Write, None, Timestamp(edge));
    }
    assert!(at(Effect::Define, None, MONDAY));
}

#[test]
fn time_is_noticed_only_where_it_is_looked_at() {
    for (text, expected) in [
        ("permit (principal, action, resource);", false),
        ("permit (principal, action, resource) when { context.approved };", false),
        ("permit (principal, action, resource) when { context.now > datetime(\"2026-01-01\") };", true),
        (
            "permit (principal, action, resource) when { if context.approved then true else context.time.hour > 5 };",
            true,
        ),
        ("permit (principal, action, resource) when { context == context };", true),
    ] {
        assert_eq!(set(&format!("@id(\"p\") {text}")).uses_time(), expected, "{text}");
    }
}

#[test]
fn classes_and_traits_and_kinds() {
    let set = set("@id(\"p\") permit (principal, action, resource);\n\
         @id(\"c\") forbid (principal, action, resource) when { context.classes.contains(Class::\"ssn\") };\n\
         @id(\"t\") forbid (principal, action, resource) when { context.traits.containsAny([Trait::\"lock\", Trait::\"rights\"]) };\n\
         @id(\"k\") forbid (principal, action, resource) when { context.kinds.contains(\"function\") };");
    let (who, lab) = (person(&[]), target("lab", false));
    let base = op(Effect::Read, "X", vec![], &[]);
    assert!(permits(&set, &ask(&who, &lab, &base)));
    let ssn = Request { classes: classes(&[PhiClass::Mrn, PhiClass::Ssn]), ..ask(&who, &lab, &base) };
    assert!(!permits(&set, &ssn));
    assert!(!permits(&set, &ask(&who, &lab, &op(Effect::Read, "X", vec![], &[traits::CATALOG, traits::LOCK]))));
    let mut function = table("public.f", Access::Execute, &[]);
    function.kind = "function".into();
    assert!(!permits(&set, &ask(&who, &lab, &op(Effect::Read, "X", vec![function], &[]))));
    let strange = op(Effect::Read, "X", vec![], &["a-trait-of-tomorrow"]);
    assert!(permits(&set, &ask(&who, &lab, &strange)), "an unknown trait harms nothing");
}

#[test]
fn profiles_of_unknown_order_are_not_guessed() {
    let text = "@id(\"a\") @mask(\"x\") permit (principal, action, resource);\n@id(\"b\") @mask(\"y\") permit (principal, action, resource);";
    let known = vestibule_policy::Known { profiles: None, ..known() };
    let set = PolicySet::from_sources(&[source(text)], &known).unwrap();
    let (who, clinic, operation) = (person(&[]), target("clinic", true), select(&["ssn"]));
    let decision = said(&set.decide(&ask(&who, &clinic, &operation)));
    assert!(decision.starts_with("deny by [a b]") && decision.contains("which is stricter is not known"), "{decision}");
    assert!(load("@id(\"a\") @mask(\"x\") permit (principal, action, resource);").is_err());
}

#[test]
fn explanations_read_well() {
    let sample = include_str!("../../samples/clinic.cedar");
    let set = PolicySet::from_sources(
        &[vestibule_policy::Source { file: "policies/clinic.cedar".into(), text: sample.into() }],
        &known(),
    )
    .unwrap();
    let clinic = target("clinic", true);
    let mut out = String::new();
    let export = op(Effect::Read, "COPY", vec![table("public.patient", Access::Read, &["*"])], &[traits::BULK_EXPORT]);
    let drop =
        op(Effect::Define, "DROP TABLE", vec![table("public.patient", Access::Define, &[])], &[traits::DESTRUCTIVE]);
    let call = Operation { reading: Reading::Partial("calls f()".into()), ..select(&["mrn"]) };
    for (groups, operation) in [
        (&["billing", "clinicians"][..], &select(&["mrn", "ssn"])),
        (&["clinicians"], &export),
        (&["dba"], &drop),
        (&["analysts"], &call),
    ] {
        let who = person(groups);
        let request = Request { classes: classes(&[PhiClass::Mrn, PhiClass::Ssn]), ..ask(&who, &clinic, operation) };
        writeln!(out, "{}\n", set.explain(&request).to_string().replace(&**set.version(), "(version)")).unwrap();
    }
    insta::assert_snapshot!("explained", out);
    let who = person(&["billing"]);
    let operation = select(&["mrn"]);
    let json = serde_json::to_string_pretty(&set.explain(&ask(&who, &clinic, &operation))).unwrap();
    let short: Vec<&str> = json.lines().take(60).collect();
    insta::assert_snapshot!("explained_json", short.join("\n").replace(&**set.version(), "(version)"));
}

#[test]
fn the_schema_lists_what_the_vocabulary_has() {
    let named = |kind: &str| {
        let rest = vestibule_policy::SCHEMA.split_once(&format!("entity {kind} enum [")).unwrap().1;
        let list = rest.split_once(']').unwrap().0;
        list.split(',').map(|n| n.trim().trim_matches('"').to_owned()).collect::<Vec<_>>()
    };
    let classes: Vec<&str> = PhiClass::ALL.iter().map(|c| c.name()).collect();
    assert_eq!(named("Class"), classes);
    #[rustfmt::skip]
    let facts = [
        traits::NO_WHERE, traits::BULK_EXPORT, traits::BULK_IMPORT, traits::DYNAMIC_CODE, traits::SERVER_FILE,
        traits::SERVER_PROGRAM, traits::DANGEROUS_FUNCTION, traits::UNKNOWN_FUNCTION, traits::DESTRUCTIVE,
        traits::RIGHTS, traits::SETTING, traits::TRANSACTION, traits::PREPARE_ONLY, traits::CATALOG,
        traits::HIDDEN_WRITE, traits::LOCK, traits::LAUNDERS, traits::RENAMES,
    ];
    assert_eq!(named("Trait"), facts);
}
