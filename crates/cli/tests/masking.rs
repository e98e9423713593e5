//! What people see, what they are refused, and what is on the record: real psql, real PostgreSQL, the program as shipped.
#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test fails where it cannot go on")]

mod common;

use common::{POLICY, ask, clinic, entries, guarded, json, of_kind, setup, token};
use std::collections::BTreeSet;
use vestibule_e2e::gateway::{Gateway, Setup};
use vestibule_e2e::postgres::{DATABASE, Server};

/// Every value of the columns that are PHI, as text.
fn secrets(server: &Server) -> BTreeSet<String> {
    let sql = "SELECT unnest(ARRAY[mrn, last_name, ssn, phone, email, street, insurance_member_id, dob::text]) FROM patient WHERE id <= 40";
    let told = server.admin(DATABASE, sql).unwrap();
    told.lines().filter(|line| line.len() > 4).map(str::to_owned).collect()
}

fn leaks(secrets: &BTreeSet<String>, said: &str) -> Vec<String> {
    let digits: String = said.chars().filter(char::is_ascii_digit).collect();
    let found = |secret: &&String| {
        let ssn = secret.len() == 11 && secret.bytes().filter(|b| *b == b'-').count() == 2;
        said.contains(secret.as_str()) || (ssn && digits.contains(&secret.replace('-', "")))
    };
    secrets.iter().filter(found).cloned().collect()
}

/// Ways an analyst who sees no PHI could try to see some. Each tells something without the gateway.
const TRICKS: &[&str] = &[
    "SELECT * FROM patient WHERE id <= 40",
    "TABLE patient",
    "SELECT ssn AS favourite_colour FROM patient WHERE id <= 40",
    "SELECT p FROM patient p WHERE id <= 40",
    "SELECT p.* FROM patient AS p (a, b, c, d, e, f) WHERE a <= 40",
    "SELECT row_to_json(p) FROM patient p WHERE id <= 40",
    "SELECT to_jsonb(p) -> 'ssn' FROM patient p WHERE id <= 40",
    "SELECT p::text FROM patient p WHERE id <= 40",
    "SELECT ROW(p.*) FROM patient p WHERE id <= 40",
    "SELECT upper(last_name), lower(last_name), reverse(last_name) FROM patient WHERE id <= 40",
    "SELECT 'x' || ssn || 'x' FROM patient WHERE id <= 40",
    "SELECT format('%s', ssn) FROM patient WHERE id <= 40",
    "SELECT replace(ssn, '-', '') FROM patient WHERE id <= 40",
    "SELECT encode(convert_to(ssn, 'UTF8'), 'escape') FROM patient WHERE id <= 40",
    "SELECT string_agg(ssn, ',') FROM patient WHERE id <= 40",
    "SELECT array_agg(ssn) FROM patient WHERE id <= 40",
    "SELECT json_agg(p) FROM patient p WHERE id <= 40",
    "SELECT max(ssn), min(ssn) FROM patient WHERE id <= 40 GROUP BY id",
    "SELECT (SELECT ssn FROM patient q WHERE q.id = p.id) FROM patient p WHERE id <= 40",
    "SELECT CASE WHEN true THEN ssn END FROM patient WHERE id <= 40",
    "SELECT coalesce(ssn, 'x'), nullif(ssn, 'x'), greatest(ssn, '0') FROM patient WHERE id <= 40",
    "WITH t (harmless) AS (SELECT ssn FROM patient WHERE id <= 40) SELECT harmless FROM t",
    "WITH staff AS (SELECT ssn AS name FROM patient WHERE id <= 40) SELECT name FROM staff",
    "SELECT name FROM staff UNION ALL SELECT ssn FROM patient WHERE id <= 40",
    "SELECT x FROM (SELECT ssn FROM patient WHERE id <= 40) AS s (x)",
    "SELECT x FROM patient p, LATERAL (SELECT p.ssn) AS l (x) WHERE p.id <= 40",
    "SELECT unnest(ARRAY[ssn, last_name]) FROM patient WHERE id <= 40",
    "SELECT first_value(ssn) OVER (ORDER BY id) FROM patient WHERE id <= 40",
    "SELECT lag(ssn) OVER (ORDER BY id) FROM patient WHERE id <= 40",
    "SELECT s.role, p.ssn FROM staff s JOIN patient p USING (id)",
    "SELECT role, ssn FROM staff NATURAL JOIN (SELECT id, ssn FROM patient) AS q",
    "SELECT who, phone, email FROM patient_contact WHERE id <= 40",
    "SELECT notes FROM encounter WHERE id <= 40",
    "SELECT substring(ssn from 1 for 11) FROM patient WHERE id <= 40",
    "SELECT regexp_replace(ssn, '^', '') FROM patient WHERE id <= 40",
    "SELECT dob::text, to_char(dob, 'YYYY-MM-DD'), dob + 0 FROM patient WHERE id <= 40",
    "SELECT xmlforest(ssn AS a) FROM patient WHERE id <= 40",
    "SELECT query_to_xml('SELECT ssn FROM patient WHERE id <= 40', true, false, '')",
    "SELECT table_to_xml('patient', true, false, '')",
    "DO $$ DECLARE s text; BEGIN SELECT string_agg(ssn, ',') INTO s FROM patient WHERE id <= 40; RAISE EXCEPTION '%', s; END $$",
    "SELECT ssn::integer FROM patient WHERE id = 1",
    "SELECT 1 / length(ssn) - 1 / (length(ssn) - 11), ssn::date FROM patient WHERE id = 1",
    "COPY patient TO STDOUT",
    "COPY (SELECT ssn FROM patient WHERE id <= 40) TO STDOUT",
    "EXPLAIN ANALYZE SELECT * FROM patient WHERE ssn = (SELECT ssn FROM patient WHERE id = 1)",
    "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'patient'",
    "PREPARE q AS SELECT ssn FROM patient WHERE id <= 40; EXECUTE q",
    "BEGIN; DECLARE c CURSOR FOR SELECT ssn FROM patient WHERE id <= 40; FETCH ALL FROM c; COMMIT",
    "CREATE TEMP TABLE mine AS SELECT ssn AS name FROM patient; SELECT name FROM mine",
    "SELECT ssn INTO TEMP mine FROM patient; SELECT ssn FROM mine",
    "SELECT pg_catalog.concat(ssn, last_name) FROM patient WHERE id <= 40",
    "SELECT U&\"\\0073sn\" FROM \"public\".\"patient\" WHERE id <= 40",
    "WITH RECURSIVE r (n, s) AS (SELECT 1, ssn FROM patient WHERE id = 1 UNION ALL SELECT n + 1, ssn FROM r JOIN patient p ON p.id = n + 1 WHERE n < 40) SELECT s FROM r",
    "SELECT DISTINCT ON (ssn) ssn FROM patient WHERE id <= 40",
    "VALUES ((SELECT ssn FROM patient WHERE id = 1)), ((SELECT ssn FROM patient WHERE id = 2))",
    "SELECT set_config('application_name', ssn, false) FROM patient WHERE id = 1",
    "SELECT pg_notify('x', ssn) FROM patient WHERE id = 1",
    "UPDATE staff SET name = (SELECT ssn FROM patient WHERE id = 1) WHERE id = 1 RETURNING name",
];

#[test]
fn an_analyst_gets_no_value_by_any_of_these_statements() {
    let server = clinic(60);
    let gateway = exporting(&server);
    let analyst = token(&gateway, "dana", &["analysts"]);
    let secrets = secrets(&server);
    let mut leaking = Vec::new();
    for trick in TRICKS {
        let said = ask(&gateway, &analyst, trick);
        let leaked = leaks(&secrets, &said);
        if !leaked.is_empty() {
            leaking.push(format!("{trick}\n    told {:?}", leaked.first()));
        }
    }
    assert!(leaking.is_empty(), "{} of {} tell:\n{}", leaking.len(), TRICKS.len(), leaking.join("\n"));
    assert!(!gateway.log().contains("555-"), "the gateway's log tells a phone number");
    server_is_untouched(&server);
}

/// A gateway whose policies do not hold exports for a human: what leaves then must be masked.
fn exporting(server: &Server) -> Gateway {
    let at = POLICY.find("@id(\"export-approved\")").unwrap();
    let end = at + POLICY[at..].find("};").unwrap() + 2;
    let policy = POLICY[..at].to_owned() + &POLICY[end..];
    Gateway::start(server, &Setup { policy, ..setup() }).unwrap()
}

fn server_is_untouched(server: &Server) {
    assert_eq!(server.admin(DATABASE, "SELECT count(*) FROM patient").unwrap().trim(), "60");
    let changed = server.admin(DATABASE, "SELECT count(*) FROM staff WHERE name LIKE '%-%'").unwrap();
    assert_eq!(changed.trim(), "0");
}

#[test]
fn the_same_statements_do_tell_without_the_gateway() {
    let server = clinic(60);
    let secrets = secrets(&server);
    let telling = TRICKS.iter().filter(|trick| {
        let told = server.admin(DATABASE, trick).unwrap_or_else(|error| error.0);
        !leaks(&secrets, &told).is_empty()
    });
    let count = telling.count();
    // The rest tell by side effects that psql does not print, or fail for another reason.
    assert!(count >= TRICKS.len() - 6, "only {count} of {} tell anything", TRICKS.len());
}

#[test]
fn classes_are_revealed_to_those_whom_a_policy_names_and_to_nobody_else() {
    let server = clinic(30);
    let gateway = guarded(&server);
    let sql = "SELECT last_name, mrn, dob, ssn, phone, zip, state FROM patient WHERE id = 1";
    let truth = server.admin(DATABASE, sql).unwrap();
    let truth: Vec<&str> = truth.trim().split('|').collect();
    let seen = |name: &str, groups: &[&str]| -> Vec<String> {
        ask(&gateway, &token(&gateway, name, groups), sql).trim().split('|').map(str::to_owned).collect()
    };
    let clinician = seen("omar", &["clinicians"]);
    assert_eq!(clinician.len(), 7, "{clinician:?}");
    assert_eq!(clinician[..3], truth[..3]);
    assert!(clinician[3] != truth[3] && clinician[4] != truth[4] && clinician[5] != truth[5]);
    assert_eq!(clinician[6], truth[6]);
    let analyst = seen("dana", &["analysts"]);
    assert!((0..6).all(|column| analyst[column] != truth[column]), "{analyst:?}");
    assert_eq!(analyst[6], truth[6]);
    let nobody = ask(&gateway, &token(&gateway, "eve", &["visitors"]), sql);
    assert!(nobody.contains("refused") || nobody.contains("not permitted") || nobody.contains("permits"), "{nobody}");
}

#[test]
fn tokens_join_and_ages_and_places_are_generalised() {
    let server = clinic(40);
    let gateway = guarded(&server);
    let analyst = token(&gateway, "dana", &["analysts"]);
    let one = ask(&gateway, &analyst, "SELECT ssn FROM patient WHERE id = 3");
    let again = ask(&gateway, &analyst, "SELECT ssn FROM patient WHERE id = 3");
    assert_eq!(one, again);
    assert!(one.trim().len() > 8, "{one}");
    let zips = ask(&gateway, &analyst, "SELECT DISTINCT zip FROM patient WHERE id <= 40");
    for zip in zips.lines() {
        assert!(zip.trim_end_matches('0').len() <= 3, "{zips}");
    }
    assert_eq!(ask(&gateway, &analyst, "SELECT count(*) FROM patient").trim(), "40");
    let joined = "SELECT count(*) FROM patient p JOIN encounter e ON e.patient_id = p.id";
    assert_eq!(ask(&gateway, &analyst, joined).trim(), "80");
}

/// Statements that must not be run for anybody, and a word of the reason.
const REFUSED: &[(&str, &str)] = &[
    ("DROP TABLE patient", "dropping or truncating"),
    ("dRoP/**/table if exists patient cascade", "dropping or truncating"),
    ("TRUNCATE patient CASCADE", "dropping or truncating"),
    ("DELETE FROM patient", "without WHERE"),
    ("UPDATE patient SET ssn = '0'", "without WHERE"),
    ("DELETE FROM patient WHERE true", "without WHERE"),
    ("WITH gone AS (DELETE FROM patient RETURNING *) SELECT count(*) FROM gone", "without WHERE"),
    ("EXPLAIN ANALYZE DELETE FROM patient", "without WHERE"),
    ("SELECT 1; DELETE FROM patient; SELECT 2", "without WHERE"),
    ("COPY patient TO PROGRAM 'cat > /tmp/stolen'", "out of the database"),
    ("COPY patient TO '/tmp/stolen'", "out of the database"),
    ("SELECT pg_read_file('/etc/passwd')", "out of the database"),
    ("SELECT pg_ls_dir('/')", "out of the database"),
    ("SELECT lo_import('/etc/passwd')", "out of the database"),
];

#[test]
fn what_nobody_may_do_is_not_done_and_the_session_goes_on() {
    let server = clinic(20);
    let gateway = guarded(&server);
    let dba = token(&gateway, "kim", &["dba"]);
    for (statement, reason) in REFUSED {
        let words = ["-c", statement, "-c", "SELECT 'still here'"];
        let ended =
            vestibule_e2e::run::run(&mut gateway.psql(&dba, &words), std::time::Duration::from_secs(30)).unwrap();
        assert!(ended.stderr.contains(reason), "{statement}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains("still here"), "{statement}: the session ended: {}", ended.stderr);
    }
    assert_eq!(server.admin(DATABASE, "SELECT count(*) FROM patient").unwrap().trim(), "20");
    assert!(!std::path::Path::new("/tmp/stolen").exists());
}

#[test]
fn everything_is_on_the_record_and_nothing_on_it_is_phi() {
    let server = clinic(60);
    let mut gateway = guarded(&server);
    let secrets = secrets(&server);
    let one = secrets.iter().find(|secret| secret.len() == 11 && secret.as_bytes()[3] == b'-').unwrap().clone();
    let analyst = token(&gateway, "dana", &["analysts"]);
    ask(&gateway, &analyst, "SELECT mrn, ssn FROM patient WHERE id <= 5");
    ask(&gateway, &analyst, &format!("SELECT id FROM patient WHERE ssn = '{one}' -- it is {one}"));
    ask(&gateway, &token(&gateway, "kim", &["dba"]), "DROP TABLE patient");
    let compliance = token(&gateway, "carla", &["auditors"]);
    let sessions = json(&gateway, &compliance, &["sessions"]);
    let sessions = sessions.as_array().unwrap();
    assert_eq!(sessions.len(), 3, "{sessions:#?}");
    let dana = sessions.iter().find(|session| session["rows"] == 5).unwrap();
    assert_eq!(dana["masked"]["ssn"], 5);
    assert_eq!(dana["masked"]["mrn"], 5);
    let sid = dana["sid"].as_str().unwrap().to_owned();
    let replay = gateway.cli(&compliance, &["replay", &sid]).unwrap();
    assert!(replay.success() && replay.stdout.contains("closed and whole"), "{}{}", replay.stdout, replay.stderr);
    assert!(replay.stdout.contains("FROM patient"), "{}", replay.stdout);
    assert!(leaks(&secrets, &replay.stdout).is_empty());
    let others = gateway.cli(&token(&gateway, "eve", &["analysts"]), &["replay", &sid]).unwrap();
    assert_eq!(others.status.and_then(|status| status.code()), Some(4), "{}", others.stderr);
    gateway.stop("TERM").unwrap();
    gateway.verify().unwrap();
    let entries = entries(&gateway);
    let text: String = entries.iter().map(ToString::to_string).collect();
    assert!(leaks(&secrets, &text).is_empty(), "the ledger holds {:?}", leaks(&secrets, &text));
    assert_eq!(of_kind(&entries, "record.read").len(), 1);
    assert_eq!(of_kind(&entries, "session.open").len(), 3);
    assert_eq!(of_kind(&entries, "session.closed").len(), 3);
    assert_eq!(of_kind(&entries, "gateway.shutdown").len(), 1);
    let denied: Vec<_> =
        of_kind(&entries, "op.ruling").into_iter().filter(|e| e["body"]["decision"] == "deny").collect();
    assert_eq!(denied.len(), 1);
    plain_on_disk(&gateway, &secrets);
}

/// Nothing of the gateway's files holds a value in clear.
fn plain_on_disk(gateway: &Gateway, secrets: &BTreeSet<String>) {
    let mut folders = vec![gateway.dir().join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let leaked = leaks(secrets, &text);
            let long: Vec<_> = leaked.iter().filter(|secret| text.contains(secret.as_str())).collect();
            assert!(long.is_empty(), "{} holds {long:?}", entry.path().display());
        }
    }
}
