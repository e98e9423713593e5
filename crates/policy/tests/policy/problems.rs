//! Every way in which a policy file can be wrong, and what is then said. The snapshot is what users read.

use crate::common::{known, load, source};
use std::fmt::Write as _;
use vestibule_core::Capability;
use vestibule_policy::{Known, PolicySet, Request, Source};

#[rustfmt::skip]
const CASES: &[(&str, &str)] = &[
    ("nothing in it", "// only words\n"),
    ("not Cedar", "select * from policies;\n"),
    ("no semicolon", "@id(\"a\")\npermit (principal, action, resource)\n"),
    ("text that does not end", "@id(\"a\")\n@message(\"hello)\nforbid (principal, action, resource);\n"),
    ("two errors, two policies", "@id(\"a\") permit (principal, action);\n\n@id(\"b\")\npermit (principal, action, resource) when { context.nothing };\n"),
    ("a template", "@id(\"a\") permit (principal == ?principal, action, resource);"),
    ("nested too deep", "@id(\"deep\") permit (principal, action, resource) when { {DEEP} };"),
    ("too many operators", "@id(\"long\") permit (principal, action, resource) when { {LONG} };"),
    ("too long", "@id(\"wide\") permit (principal, action, resource) when { {WIDE} };"),
    // annotations
    ("no id", "\npermit (principal, action, resource);"),
    ("bad id", "@id(\"a policy\") permit (principal, action, resource);"),
    ("empty id", "@id(\"\") permit (principal, action, resource);"),
    ("id twice", "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);"),
    ("annotation twice", "@id(\"a\")\n@id(\"b\")\npermit (principal, action, resource);"),
    ("misspelt annotation", "@id(\"a\")\n@revael(\"ssn\")\npermit (principal, action, resource);"),
    ("annotation nobody knows", "@id(\"a\")\n@colour(\"red\")\npermit (principal, action, resource);"),
    ("annotation in capitals", "@id(\"a\")\n@Hold(\"dba\")\npermit (principal, action, resource);"),
    ("empty message", "@id(\"a\")\n@message(\"\")\nforbid (principal, action, resource);"),
    ("message with an escape", "@id(\"a\")\n@message(\"red \\u{1b}[31m\")\nforbid (principal, action, resource);"),
    ("message too long", "@id(\"a\")\n@message(\"{600}\")\nforbid (principal, action, resource);"),
    // obligations
    ("class that is none", "@id(\"a\")\n@reveal(\"name,snn\")\npermit (principal, action, resource);"),
    ("every class at once", "@id(\"a\")\n@reveal(\"*\")\npermit (principal, action, resource);"),
    ("class twice", "@id(\"a\")\n@reveal(\"name, name\")\npermit (principal, action, resource);"),
    ("no class", "@id(\"a\")\n@reveal(\"\")\npermit (principal, action, resource);"),
    ("hold for nobody", "@id(\"a\")\n@hold(\"\")\npermit (principal, action, resource);"),
    ("hold with a comma too many", "@id(\"a\")\n@hold(\"dba,\")\npermit (principal, action, resource);"),
    ("quorum 0", "@id(\"a\")\n@hold(\"dba\")\n@quorum(\"0\")\npermit (principal, action, resource);"),
    ("quorum of too many", "@id(\"a\")\n@hold(\"dba\")\n@quorum(\"11\")\npermit (principal, action, resource);"),
    ("quorum without hold", "@id(\"a\")\n@quorum(\"2\")\npermit (principal, action, resource);"),
    ("duration without unit", "@id(\"a\")\n@hold(\"dba\")\n@expires(\"15\")\npermit (principal, action, resource);"),
    ("duration too long", "@id(\"a\")\n@hold(\"dba\")\n@expires(\"2d\")\npermit (principal, action, resource);"),
    ("duration beyond numbers", "@id(\"a\")\n@hold(\"dba\")\n@expires(\"99999999999d\")\npermit (principal, action, resource);"),
    ("expiry and reason without hold", "@id(\"a\")\n@expires(\"5m\")\n@reason(\"x\")\npermit (principal, action, resource);"),
    ("rows 0", "@id(\"a\")\n@rows(\"0\")\npermit (principal, action, resource);"),
    ("rows with a sign", "@id(\"a\")\n@rows(\"+5\")\npermit (principal, action, resource);"),
    ("opaque", "@id(\"a\")\n@opaque(\"yes\")\npermit (principal, action, resource);"),
    ("forbid that reveals", "@id(\"a\")\n@reveal(\"ssn\")\n@rows(\"5\")\n@mask(\"safe-harbor\")\n@opaque(\"allow\")\nforbid (principal, action, resource);"),
    ("remedy on a permit", "@id(\"a\")\n@remedy(\"ask\")\npermit (principal, action, resource);"),
    ("remedy on a forbid that holds", "@id(\"a\")\n@hold(\"dba\")\n@remedy(\"ask\")\nforbid (principal, action, resource);"),
    // the schema
    ("action nobody knows", "@id(\"a\") permit (principal, action == Action::\"delete\", resource);"),
    ("type nobody knows", "@id(\"a\") permit (principal is Human, action, resource);"),
    ("trait nobody knows", "@id(\"a\")\nforbid (principal, action, resource)\nwhen { context.traits.contains(Trait::\"destructiv\") };"),
    ("class nobody knows", "@id(\"a\")\nforbid (principal, action, resource)\nwhen { context.classes.contains(Class::\"SSN\") };"),
    ("attribute nobody knows", "@id(\"a\")\npermit (principal, action, resource)\nwhen { principal.name == \"ana\" };"),
    ("optional attribute without has", "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.source.isLoopback() };"),
    ("label without hasTag", "@id(\"a\")\npermit (principal, action, resource)\nwhen { resource.getTag(\"env\") == \"staging\" };"),
    ("text for a number", "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.time.hour > \"9\" };"),
    ("address that is none", "@id(\"a\")\npermit (principal, action, resource)\nwhen { context has source && context.source.isInRange(ip(\"10.0.0.0/33\")) };"),
    ("group instead of principal", "@id(\"a\") permit (principal == Group::\"dba\", action, resource);"),
    ("never", "@id(\"a\")\nforbid (principal, action, resource)\nwhen { principal is Service && principal is Agent };"),
    ("no such resource", "@id(\"a\")\nforbid (principal, action, resource is Group);"),
    ("letters of two alphabets", "@id(\"a\")\npermit (principal in Group::\"c\u{43b}inicians\", action, resource);"),
    ("text that runs backwards", "@id(\"a\")\npermit (principal in Group::\"dba\u{202e}abd\", action, resource);"),
    // permits that ask the wrong question
    ("permit by one table among others", "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.reads.contains(\"public.visit\") };"),
    ("the same, hidden", "@id(\"a\")\npermit (principal, action, resource)\nunless { !([\"x\"].containsAny(context.columns)) };"),
    ("bounded on one side only", "@id(\"a\")\npermit (principal, action, resource)\nwhen { [\"x\"].containsAll(context.reads) || context.reads.contains(\"y\") };"),
    ("permit by kind", "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.kinds.contains(\"table\") };"),
    ("forbid lifted by one table among others", "@id(\"a\")\nforbid (principal, action, resource)\nwhen { resource.phi }\nunless { context.writes.contains(\"public.log\") };"),
    ("forbid of one table alone", "@id(\"a\")\nforbid (principal, action, resource)\nwhen { [\"secret\"].containsAll(context.reads) };"),
    // targets and profiles
    ("target that is none", "@id(\"a\")\npermit (principal, action,\n  resource == Target::\"clinik\");"),
    ("target that is none, in a condition", "@id(\"a\")\nforbid (principal, action, resource)\nunless { resource == Target::\"warehouse\" };"),
    ("profile that is none", "@id(\"a\")\n@mask(\"safe_harbor\")\npermit (principal, action, resource);"),
    ("protocol that nobody speaks", "@id(\"a\")\npermit (principal, action, resource)\nwhen { resource.protocol == \"postgresql\" };"),
];

fn said(problems: &[vestibule_core::Problem]) -> String {
    problems.iter().fold(String::new(), |out, problem| out + &problem.to_string() + "\n")
}

#[test]
fn every_problem_says_where_what_and_how_to_mend_it() {
    let deep = format!("{}true{}", "(".repeat(40), ")".repeat(40));
    let long = vec!["true"; 450].join(" && ");
    let wide = format!("[{}].containsAll(context.reads)", vec!["\"public.patient\""; 3_000].join(","));
    let mut out = String::new();
    for (name, text) in CASES {
        let text = text.replace("{DEEP}", &deep).replace("{LONG}", &long).replace("{WIDE}", &wide);
        let text = text.replace("{600}", &"word ".repeat(120));
        let problems = load(&text).err().unwrap_or_else(|| panic!("accepted: {name}"));
        write!(out, "# {name}\n{}\n", said(&problems)).unwrap();
    }
    insta::assert_snapshot!("problems", out);
}

#[test]
fn what_is_right_is_accepted() {
    for text in [
        "@id(\"a\") permit (principal, action, resource) when { context.reads == [\"x\"] };",
        "@id(\"a\") permit (principal, action, resource) unless { context.reads.contains(\"x\") };",
        "@id(\"a\") permit (principal, action, resource) when { [\"x\",\"y\"].containsAll(context.reads) && context.reads.contains(\"x\") };",
        "@id(\"a\") forbid (principal, action, resource) when { context.reads.contains(\"x\") };",
        "@id(\"a\") forbid (principal, action, resource) unless { [\"x\"].containsAll(context.writes) };",
        "@id(\"a\") forbid (principal, action, resource) when { context.kinds.contains(\"function\") && principal is Agent };",
        "@id(\"a\") permit (principal, action, resource) when { principal has auth_time && context.now.durationSince(principal.auth_time) < duration(\"1h\") };",
        "@id(\"a\") permit (principal, action, resource) when { principal.hasTag(\"site\") && principal.getTag(\"site\") == \"north\" };",
        "@id(\"a\") permit (principal, action, resource) when { context has source && context.source.isInRange(ip(\"10.0.0.0/8\")) };",
        "@id(\"a\") @message(\"a;b \\\"c\\\" // d\") forbid (principal, action in [Action::\"change\"], resource); // end",
    ] {
        assert_eq!(load(text).err(), None, "{text}");
    }
}

/// What is just within the limits is read, checked, decided and dropped on the small stack of a worker thread.
#[test]
fn the_largest_policies_fit_on_a_stack() {
    let long = vec!["context.approved"; 190].join(" && ") + " || " + &["context.approved"; 10].join(" || ");
    let deep = format!("{}context.approved{}", "(".repeat(30), ")".repeat(30));
    let chosen = format!("{}context.approved{}", "if context.approved then (".repeat(15), ") else true".repeat(15));
    let wide = format!("[{}].containsAll(context.reads)", vec!["\"public.t\""; 2_500].join(","));
    let flat = vec!["true"; 395].join(" && ");
    for condition in [long, flat, deep, chosen, wide] {
        let text = format!("@id(\"a\") permit (principal, action, resource) when {{ {condition} }};");
        let worker = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
            let set = load(&text).unwrap();
            let (who, lab) = (crate::common::person(&[]), crate::common::target("lab", false));
            let operation = crate::common::select(&["mrn"]);
            let request = crate::common::ask(&who, &lab, &operation);
            set.decide(&Request { approved: true, ..request })
        });
        let decision = worker.unwrap().join().unwrap();
        let said = crate::common::said(&decision);
        assert!(said.starts_with("permit") || said.contains("no policy permits"), "{said}");
    }
}

#[test]
fn a_protocol_is_not_asked_for_what_it_cannot() {
    let mut known = known();
    let targets = known.targets.as_mut().unwrap();
    targets[1].facts.protocol = "carrier-pigeon".into();
    targets[1].title = "Carrier pigeon".into();
    targets[1].capabilities = vec![Capability::Message];
    let on = |scope: &str, condition: &str| {
        let text = ["hold(\"dba\")", "reveal(\"ssn\")", "mask(\"safe-harbor\")", "rows(\"5\")", "message(\"hello\")"]
            .iter()
            .enumerate()
            .map(|(at, duty)| format!("@id(\"p{at}\")\n@{duty}\npermit (principal, action, {scope}) {condition};\n"))
            .collect::<String>();
        PolicySet::from_sources(&[source(&text)], &known).map_or_else(|p| said(&p), |_| "(accepted)\n".into())
    };
    insta::assert_snapshot!(
        "capabilities",
        format!(
            "# anywhere\n{}\n# where it can\n{}\n# only the protocol that can\n{}",
            on("resource", ""),
            on("resource == Target::\"clinic\"", ""),
            on("resource", "when { resource.phi && resource.protocol == \"postgres\" }"),
        )
    );
    let notice = "@id(\"p\") @message(\"x\") permit (principal, action, resource);";
    targets_without(&mut known, Capability::Message);
    assert!(PolicySet::from_sources(&[source(notice)], &known).is_err());
    let refusal = "@id(\"p\") @message(\"x\") forbid (principal, action, resource);";
    assert!(PolicySet::from_sources(&[source(refusal)], &known).is_ok());
}

fn targets_without(known: &mut Known, capability: Capability) {
    for target in known.targets.iter_mut().flatten() {
        target.capabilities.retain(|c| *c != capability);
    }
}

#[test]
fn directories_are_read_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(dir.path().join(name), text).unwrap();
    let load = || {
        PolicySet::load(dir.path(), &known())
            .map_err(|problems| said(&problems).replace(&dir.path().display().to_string(), "policies"))
    };
    let empty = load().unwrap_err();
    write("b.cedar", b"@id(\"b\") permit (principal, action, resource);\n");
    write("a.cedar", b"@id(\"a\") permit (principal, action, resource);\n");
    write("notes.txt", b"not a policy");
    write(".#a.cedar", b"left by an editor");
    let good = load().unwrap();
    assert_eq!(good.ids().collect::<Vec<_>>(), ["a", "b"]);
    write("b.cedar", b"// one\n@id(\"a\") permit (principal, action, resource);\n");
    let twice = load().unwrap_err();
    write("c.cedar", b"// \xff\n");
    let latin = load().unwrap_err();
    std::fs::remove_file(dir.path().join("c.cedar")).unwrap();
    write("d.cedar", &vec![b' '; (1 << 20) + 1]);
    let large = load().unwrap_err();
    let none = PolicySet::load(&dir.path().join("nowhere"), &known()).unwrap_err();
    let none = said(&none).replace(&dir.path().display().to_string(), "policies");
    insta::assert_snapshot!("directories", [empty, twice, latin, large, none].join("\n"));
}

#[test]
fn the_version_names_the_text_and_nothing_else() {
    let version = |files: &[(&str, &str)]| {
        let sources: Vec<Source> =
            files.iter().map(|(file, text)| Source { file: (*file).into(), text: (*text).into() }).collect();
        PolicySet::from_sources(&sources, &known()).unwrap().version().to_string()
    };
    let (a, b) =
        ("@id(\"a\") permit (principal, action, resource);", "@id(\"b\") permit (principal, action, resource);");
    let here = version(&[("here/x.cedar", a), ("here/y.cedar", b)]);
    assert_eq!(here.len(), 64);
    assert_eq!(here, version(&[("there/y.cedar", b), ("there/x.cedar", a)]));
    assert_ne!(here, version(&[("x.cedar", b), ("y.cedar", a)]));
    assert_ne!(here, version(&[("x.cedar", a), ("y.cedar", &format!("{b} "))]));
    assert_ne!(version(&[("x.cedar", a)]), version(&[("y.cedar", a)]));
}
