//! The testkit's properties over hand-built conversations, and the cases that need more than a property.

mod build;
mod talks;

use self::build::*;
use super::open;
use crate::wire::read::{Reader, error_field};
use std::collections::BTreeMap;
use std::sync::Arc;
use vestibule_core::{
    Chosen, Established, Interpreter, Limits, OpenSession, Refusal, RefusalKind, Ruling, Side, Snapshot, Terms, traits,
};
use vestibule_testkit::properties::{self, Run, chop, identity, permit, run};
use vestibule_testkit::{Judge, Referee, Talk, pass_terms, terms};

const SIZES: [usize; 8] = [1, 2, 3, 5, 7, 13, 64, 1_000];
const SECRET: &str = "078-05-1120";

fn session(phi: bool) -> OpenSession {
    let parameters = [
        ("search_path", "public"),
        ("standard_conforming_strings", "on"),
        ("client_encoding", "UTF8"),
        ("session_authorization", "app"),
    ];
    let parameters: BTreeMap<_, _> = parameters.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let established = Established { parameters, ..Established::default() };
    OpenSession {
        chosen: Chosen::default(),
        established: Arc::new(established),
        catalog: Some(Snapshot { version: 1, digest: "d".into(), content: Arc::new(catalog()) }),
        limits: Limits::default(),
        phi,
    }
}

fn with_phi() -> Box<dyn Interpreter> {
    open(session(true))
}

fn without_phi() -> Box<dyn Interpreter> {
    open(session(false))
}

fn secret_terms() -> Terms {
    terms(&["patient.ssn"], true)
}

fn refusing(action: &'static str, terms: Terms) -> Judge {
    Box::new(move |_, operation| {
        if operation.action == action {
            Ruling::Refuse(Refusal::new(RefusalKind::Policy, "refused by the rule", "ask the owner"))
        } else {
            Ruling::Permit(terms.clone())
        }
    })
}

fn frames(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while rest.len() >= 5 {
        let len = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize + 1;
        found.push((rest[0], &rest[5..len]));
        rest = &rest[len..];
    }
    assert!(rest.is_empty(), "half a frame: {}", rest.escape_ascii());
    found
}

fn kinds(bytes: &[u8]) -> String {
    frames(bytes).iter().map(|(kind, _)| char::from(*kind)).collect()
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|w| w == what.as_bytes())
}

#[test]
fn where_nothing_is_masked_each_side_receives_what_the_other_sent() {
    for talk in talks::all() {
        identity(&without_phi, &pass_terms(), &talk).unwrap();
    }
}

#[test]
fn the_pieces_make_no_difference() {
    for talk in talks::all() {
        chop(&with_phi, &pass_terms(), &talk, &SIZES).unwrap();
        chop(&without_phi, &secret_terms(), &talk, &SIZES).unwrap();
        let limited = Terms { row_limit: Some(1), notice: Some("words".into()), ..secret_terms() };
        chop(&with_phi, &limited, &talk, &SIZES).unwrap();
    }
}

/// What is sent to the target on nobody's behalf carries nothing of any operation.
fn only_housekeeping(run: &Run) -> Result<(), String> {
    let mut at = 0;
    for (side, under, len) in &run.written {
        if *side != Side::Target {
            continue;
        }
        let bytes = &run.target[at..at + len];
        at += len;
        if under.is_some() {
            continue;
        }
        for (kind, body) in frames(bytes) {
            let mut reader = Reader::new(body, "test");
            let (first, second) = (reader.string().unwrap_or_default(), reader.string().unwrap_or_default());
            let fine = match kind {
                b'S' | b'H' | b'X' | b'C' | b'D' => true,
                b'Q' => first.is_empty() || first == b"refused by vestibule",
                b'P' => second.is_empty() || first.starts_with(b"_vestibule_"),
                b'B' | b'E' => first == b"_vestibule_scope" || body.len() < 24,
                _ => false,
            };
            if !fine {
                return Err(format!("sent without a permit: {} {}", char::from(kind), body.escape_ascii()));
            }
        }
    }
    Ok(())
}

/// The figure is a million; the suite runs fewer, `MUTATIONS=1000000` all of them.
#[test]
fn damaged_conversations_break_nothing() {
    let count = std::env::var("MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let seed = std::env::var("SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let watch = |run: &Run| only_housekeeping(run);
    let (half, talks) = (count / 2, talks::all());
    properties::mutation(&with_phi, &talks, &secret_terms(), seed, half, &watch).unwrap();
    properties::mutation(&without_phi, &talks, &pass_terms(), seed + half, half, &watch).unwrap();
}

#[test]
fn a_masked_column_shows_no_secret_in_any_format() {
    for binary in [false, true] {
        let columns = [("id", 16_384, 1, 23, binary), ("x", 16_384, 2, 25, binary), ("n", 16_384, 3, 25, binary)];
        let row: [Option<&[u8]>; 3] = [Some(b"\0\0\0\x01"), Some(SECRET.as_bytes()), None];
        let answer = join(&[description(&columns), data_row(&row), data_row(&row), complete("SELECT 2"), ready(b'I')]);
        let talk = Talk::new("masked").client(query("SELECT id, ssn AS x, name FROM patient")).target(answer);
        let run = run(&with_phi, permit(secret_terms()), &talk, usize::MAX);
        assert!(run.faults.is_empty() && !run.failed, "{run:?}");
        assert!(!holds(&run.client, SECRET));
        let all = frames(&run.client);
        let mut reader = Reader::new(all[1].1, "row");
        assert_eq!(reader.count().unwrap(), 3);
        assert_eq!(reader.value().unwrap(), Some(&b"\0\0\0\x01"[..]));
        assert_eq!(reader.value().unwrap(), Some(&b"xxx"[..]));
        assert_eq!(reader.value().unwrap(), None);
        reader.end().unwrap();
        assert_eq!(run.closed[0].disclosed.rows, 2);
        assert_eq!(run.closed[0].disclosed.masked.values().sum::<u64>(), 2);
        assert_eq!(run.closed[0].disclosed.tag.as_deref(), Some("SELECT 2"));
    }
}

/// What the server says of a column counts, not what the text seems to say; and a table nobody knows hides everything.
#[test]
fn the_server_names_the_column() {
    let cases = [
        // The text reads a harmless column, the server names the secret one.
        ("SELECT beds FROM ward", ("beds", 16_384, 2, 25, false), false),
        // A table that the catalog does not know: a temporary one, perhaps.
        ("SELECT name FROM ward", ("name", 99_999, 1, 25, false), false),
        ("SELECT upper(ssn) FROM patient", ("upper", 0, 0, 25, false), false),
        ("SELECT name FROM ward", ("name", 16_385, 3, 25, false), true),
        ("SELECT 'x'", ("x", 0, 0, 25, false), true),
    ];
    for (text, column, shown) in cases {
        let answer =
            join(&[description(&[column]), data_row(&[Some(SECRET.as_bytes())]), complete("SELECT 1"), ready(b'I')]);
        let talk = Talk::new(text).client(query(text)).target(answer);
        let run = run(&with_phi, permit(secret_terms()), &talk, usize::MAX);
        assert_eq!(holds(&run.client, SECRET), shown, "{text}");
    }
}

#[test]
fn rows_that_nobody_described_are_not_shown() {
    let rows = join(&[data_row(&[Some(SECRET.as_bytes())]), complete("SELECT 1"), ready(b'I')]);
    let talk = Talk::new("undescribed").client(query("SELECT ssn FROM patient")).target(rows.clone());
    let run1 = run(&with_phi, permit(secret_terms()), &talk, usize::MAX);
    assert!(run1.failed && !holds(&run1.client, SECRET));
    let unasked = Talk::new("unasked").target(rows);
    let run2 = run(&without_phi, permit(pass_terms()), &unasked, usize::MAX);
    assert!(run2.failed && !holds(&run2.client, SECRET));
}

/// Execute without Describe: the gateway asks for the description itself and keeps the answer to itself.
#[test]
fn a_description_is_asked_for_where_the_client_does_not() {
    let client = join(&[parse("", "SELECT ssn FROM patient"), bind("", ""), execute("", 0), sync()]);
    let answer = join(&[
        bare(b'1'),
        bare(b'2'),
        description(&[("ssn", 16_384, 2, 25, false)]),
        data_row(&[Some(SECRET.as_bytes())]),
        complete("SELECT 1"),
        ready(b'I'),
    ]);
    let talk = Talk::new("no describe").client(client).target(answer);
    let run = run(&with_phi, permit(secret_terms()), &talk, usize::MAX);
    assert_eq!(kinds(&run.target), "PBDES");
    assert_eq!(kinds(&run.client), "12DCZ");
    assert!(holds(&run.client, "xxx") && !holds(&run.client, SECRET));
}

#[test]
fn one_entry_for_the_messages_of_one_statement() {
    let once = join(&[parse("s", "SELECT 1"), bind("", "s"), describe(b'P', ""), execute("", 0), sync()]);
    let first = run(&with_phi, permit(pass_terms()), &Talk::new("once").client(once), usize::MAX);
    assert_eq!(first.asked.len(), 1);
    assert!(!first.asked[0].operation.traits.has(traits::PREPARE_ONLY));
    let answers = join(&[bare(b'1'), join(&[parameters(&[]), description(&[("a", 0, 0, 23, false)])]), ready(b'I')]);
    let talk = Talk::new("twice")
        .client(join(&[parse("s", "SELECT 1"), describe(b'S', "s"), sync()]))
        .target(answers)
        .client(join(&[bind("", "s"), execute("", 0), sync()]));
    let second = run(&with_phi, permit(pass_terms()), &talk, usize::MAX);
    let only: Vec<bool> = second.asked.iter().map(|a| a.operation.traits.has(traits::PREPARE_ONLY)).collect();
    assert_eq!(only, [true, false]);
    assert_ne!(second.asked[0].operation.shape, second.asked[1].operation.shape);
}

#[test]
fn none_of_a_text_is_sent_if_one_statement_is_refused() {
    let talk = Talk::new("script").client(query("SELECT 1; DELETE FROM ward; SELECT 2"));
    let run = run(&with_phi, refusing("DELETE", pass_terms()), &talk, usize::MAX);
    assert!(run.target.is_empty());
    assert_eq!(kinds(&run.client), "EZ");
    let all = frames(&run.client);
    assert_eq!(error_field(all[0].1, b'M'), Some(&b"refused by the rule"[..]));
    assert_eq!(error_field(all[0].1, b'H'), Some(&b"ask the owner"[..]));
    assert_eq!(error_field(all[0].1, b'C'), Some(&b"42501"[..]));
    assert_eq!(all[1].1, b"I");
    assert_eq!(run.asked.len(), 2, "what follows a refusal is not asked");
    assert_eq!(run.closed.len(), 1);
    assert_eq!(run.closed[0].disclosed.tag.as_deref(), Some("not run"));
}

/// Inside a transaction the refusal is made a real failure, so that COMMIT does not keep half of the work.
#[test]
fn a_refusal_aborts_the_transaction_it_is_in() {
    let talk = Talk::new("transaction")
        .client(query("BEGIN"))
        .target(join(&[complete("BEGIN"), ready(b'T')]))
        .client(query("DELETE FROM ward"))
        .target(join(&[error("42601", "syntax error at or near \"refused\""), ready(b'E')]));
    let run = run(&with_phi, refusing("DELETE", pass_terms()), &talk, usize::MAX);
    assert!(!holds(&run.target, "DELETE") && holds(&run.target, "refused by vestibule"));
    assert_eq!(kinds(&run.client), "CZEZ");
    assert!(holds(&run.client, "refused by the rule") && !holds(&run.client, "syntax error"));
    assert_eq!(frames(&run.client)[3].1, b"E");
}

/// The answer to a refused message stands where its own answer would have stood.
#[test]
fn a_refusal_in_a_pipeline_keeps_the_order_and_skips_to_sync() {
    let unit = |text: &str| join(&[parse("", text), bind("", ""), describe(b'P', ""), execute("", 0)]);
    let client = join(&[unit("SELECT 1"), unit("DELETE FROM ward"), unit("SELECT 2"), sync(), query("SELECT 3")]);
    let one = [("a", 0, 0, 23, false)];
    let selected = join(&[bare(b'1'), bare(b'2'), description(&one), data_row(&[Some(b"1")]), complete("SELECT 1")]);
    let talk = Talk::new("pipeline")
        .client(client)
        .target(join(&[selected, error("42601", "syntax error"), ready(b'I')]))
        .target(join(&[description(&one), data_row(&[Some(b"3")]), complete("SELECT 1"), ready(b'I')]));
    for size in SIZES {
        let run = run(&with_phi, refusing("DELETE", pass_terms()), &talk, size);
        assert!(run.faults.is_empty(), "{:?}", run.faults);
        assert!(!holds(&run.target, "DELETE") && !holds(&run.target, "SELECT 2"), "{}", run.target.escape_ascii());
        assert_eq!(kinds(&run.client), "12TDCEZTDCZ");
        assert!(holds(&run.client, "refused by the rule"));
    }
}

/// With nothing open the error is simply written; the Sync is the server's to answer.
#[test]
fn a_refusal_alone_needs_no_target() {
    let client = join(&[parse("", "DELETE FROM ward"), bind("", ""), execute("", 0), sync()]);
    let talk = Talk::new("alone").client(client).target(ready(b'I'));
    let run = run(&with_phi, refusing("DELETE", pass_terms()), &talk, usize::MAX);
    assert_eq!(kinds(&run.target), "S");
    assert_eq!(kinds(&run.client), "EZ");
}

/// The server skips a Parse behind an error; a statement of the same name from before is then still there, and what
/// follows the Sync must be judged as that statement.
#[test]
fn a_skipped_parse_does_not_hide_the_statement_before_it() {
    let talk = Talk::new("hidden")
        .client(join(&[parse("", "DELETE FROM ward"), sync()]))
        .target(join(&[bare(b'1'), ready(b'I')]))
        .client(join(&[
            parse("broken", "SELECT nothing_there"),
            parse("", "SELECT 1"),
            sync(),
            bind("", ""),
            execute("", 0),
            sync(),
        ]))
        .target(join(&[error("42703", "column does not exist"), ready(b'I')]));
    let run = run(&with_phi, permit(pass_terms()), &talk, usize::MAX);
    let asked: Vec<(String, bool)> = run
        .asked
        .iter()
        .map(|a| (a.operation.action.to_string(), a.operation.traits.has(traits::PREPARE_ONLY)))
        .collect();
    let wanted = [("DELETE", true), ("SELECT", true), ("SELECT", true), ("DELETE", false)];
    assert_eq!(asked, wanted.map(|(a, p)| (a.to_owned(), p)));
}

#[test]
fn what_runs_a_prepared_statement_is_judged_as_that_statement() {
    let talk = Talk::new("execute")
        .client(query("PREPARE p AS DELETE FROM ward"))
        .target(join(&[complete("PREPARE"), ready(b'I')]))
        .client(query("EXECUTE p"))
        .client(query("EXECUTE q"));
    let run = run(&with_phi, permit(pass_terms()), &talk, usize::MAX);
    let second = &run.asked[1].operation;
    assert!(second.resources.iter().any(|r| r.name.ends_with("ward")), "{second:?}");
    assert!(second.effect >= vestibule_core::Effect::Write && second.traits.has(traits::NO_WHERE));
}

/// The search path is asked again after whatever may have changed it, and nothing is read before it is known.
#[test]
fn names_are_read_in_the_path_in_force() {
    let mut referee = Referee::new(with_phi(), permit(pass_terms()));
    referee.feed(Side::Client, &join(&[query("SET search_path = other"), query("SELECT * FROM ward")]));
    assert_eq!(referee.asked.len(), 1);
    referee.feed(Side::Target, &join(&[complete("SET"), ready(b'I')]));
    assert!(holds(&referee.target, "SHOW search_path"));
    assert_eq!(referee.asked.len(), 1);
    referee.feed(Side::Target, &scope_answer("other", b'I'));
    assert_eq!(referee.asked.len(), 2);
    assert!(!referee.asked[1].operation.resources.iter().any(|r| r.name == "public.ward"));
    assert_eq!(kinds(&referee.client), "CZ");
    assert!(referee.faults.is_empty());
}

/// What a prepared statement changes counts when it is run.
#[test]
fn what_is_run_by_name_changes_names_too() {
    let mut referee = Referee::new(with_phi(), permit(pass_terms()));
    referee.feed(Side::Client, &query("PREPARE p AS SELECT set_config('search_path', 'other', false)"));
    referee.feed(Side::Target, &join(&[complete("PREPARE"), ready(b'I')]));
    if holds(&referee.target, "SHOW search_path") {
        referee.feed(Side::Target, &scope_answer("public", b'I'));
    }
    referee.feed(Side::Client, &join(&[query("EXECUTE p"), query("SELECT * FROM ward")]));
    let asked = referee.asked.len();
    assert_eq!(referee.asked[asked - 1].operation.action, "EXECUTE");
    let answer = [description(&[("set_config", 0, 0, 25, false)]), complete("SELECT 1"), ready(b'I')];
    referee.feed(Side::Target, &join(&answer));
    referee.feed(Side::Target, &scope_answer("other", b'I'));
    assert_eq!(referee.asked.len(), asked + 1, "{:?}", referee.error);
    assert!(!referee.asked[asked].operation.resources.iter().any(|r| r.name == "public.ward"));
}

/// In a pipeline the question waits for a Flush of ours, and must not commit what the client has not finished.
#[test]
fn the_path_is_asked_inside_a_pipeline_without_a_sync() {
    let unit = |text: &str| join(&[parse("", text), bind("", ""), describe(b'P', ""), execute("", 0)]);
    let mut referee = Referee::new(with_phi(), permit(pass_terms()));
    referee.feed(Side::Client, &join(&[unit("SET search_path = other"), unit("SELECT * FROM ward"), sync()]));
    assert_eq!(kinds(&referee.target), "PBDEH");
    referee.target.clear();
    referee.feed(Side::Target, &join(&[bare(b'1'), bare(b'2'), bare(b'n'), complete("SET")]));
    assert_eq!(kinds(&referee.target), "PBECCPBECCPBECCPBECCH");
    referee.target.clear();
    let answer = scope_answer("other", b'I');
    referee.feed(Side::Target, &answer[..answer.len() - 6]);
    assert_eq!(kinds(&referee.target), "PBDES");
    assert_eq!(kinds(&referee.client), "12nC");
    assert!(referee.faults.is_empty());
}

#[test]
fn errors_notices_and_notifications_are_scrubbed() {
    let words = format!("invalid input syntax for type integer: \"{SECRET}\"");
    let mut told = error("22P02", &words);
    told.extend(notification("here", SECRET));
    told.extend(notice(&words));
    told.extend(ready(b'I'));
    let talk = Talk::new("scrub").client(query("SELECT ssn::int FROM patient")).target(told);
    let masked = run(&with_phi, permit(secret_terms()), &talk, usize::MAX);
    assert!(!holds(&masked.client, SECRET));
    assert_eq!(kinds(&masked.client), "EANZ");
    assert_eq!(masked.closed[0].disclosed.error.as_deref(), Some("22P02"));
    let plain = run(&without_phi, permit(pass_terms()), &talk, usize::MAX);
    assert_eq!(plain.client.windows(SECRET.len()).filter(|w| *w == SECRET.as_bytes()).count(), 3);
}

#[test]
fn copied_rows_are_masked_in_every_format() {
    let cases: [(&str, &[u8], &[u8]); 4] = [
        (
            "COPY (SELECT id, ssn, name FROM patient) TO STDOUT",
            b"1\t078-05-1120\ta\\tb\n2\t\\N\tc\n",
            b"1\txxx\ta\\tb\n2\t\\N\tc\n",
        ),
        (
            "COPY (SELECT id, ssn, name FROM patient) TO STDOUT (FORMAT csv, HEADER)",
            b"id,ssn,name\n1,\"078-05-1120,\n\"\"x\",\"a\"\"b\"\n2,,c\n",
            b"id,ssn,name\n1,xxx,\"a\"\"b\"\n2,,c\n",
        ),
        (
            "COPY (SELECT id, ssn, name FROM patient) TO STDOUT (DELIMITER '|', NULL 'nil')",
            b"1|078-05-1120|nil\n2|nil|c\\|d\n",
            b"1|xxx|nil\n2|nil|c\\|d\n",
        ),
        (
            "COPY (SELECT id, ssn FROM patient) TO STDOUT (FORMAT binary)",
            b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x0b078-05-1120\xff\xff",
            b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x03xxx\xff\xff",
        ),
    ];
    for (text, data, wanted) in cases {
        let columns = if text.contains("binary") { 2 } else { 3 };
        for size in [1, 3, data.len()] {
            let mut answer = copy_out(text.contains("binary"), columns);
            for piece in data.chunks(size) {
                answer.extend(message(b'd', piece));
            }
            answer.extend(join(&[bare(b'c'), complete("COPY 2"), ready(b'I')]));
            let talk = Talk::new(text).client(query(text)).target(answer);
            let run = run(&with_phi, permit(secret_terms()), &talk, usize::MAX);
            assert!(run.faults.is_empty() && !run.failed, "{text}: {:?}", run.faults);
            let copied: Vec<u8> =
                frames(&run.client).iter().filter(|(k, _)| *k == b'd').flat_map(|(_, b)| b.to_vec()).collect();
            assert_eq!(copied.escape_ascii().to_string(), wanted.escape_ascii().to_string(), "{text} in {size}");
        }
    }
}

#[test]
fn replication_and_function_calls_do_not_pass() {
    let talk = Talk::new("both").client(query("SELECT 1")).target(message(b'W', b"\0\0\0"));
    assert!(run(&with_phi, permit(pass_terms()), &talk, usize::MAX).failed);
    let call = Talk::new("call").client(message(b'F', b"\0\0\0\x01\0\0\0\0\0\0"));
    let run = run(&with_phi, permit(pass_terms()), &call, usize::MAX);
    assert!(run.target.is_empty() && !run.failed);
    assert_eq!(kinds(&run.client), "EZ");
}

#[test]
fn an_encoding_that_hides_quotes_is_not_read() {
    let mut referee = Referee::new(with_phi(), permit(pass_terms()));
    referee.feed(Side::Target, &parameter("client_encoding", "SJIS"));
    referee.feed(Side::Client, &query("SELECT E'\u{c1}\\'; SELECT 1 --'"));
    assert_eq!(referee.asked[0].operation.reading, vestibule_core::Reading::Opaque);
}

/// The server cuts long names off and converts others: two names of ours could be one of its.
#[test]
fn names_that_could_be_another_are_refused() {
    let long = "x".repeat(64);
    for name in [long.as_str(), "\u{e9}"] {
        for message in [parse(name, "SELECT 1"), bind("", name), bind(name, ""), close(b'S', name), close(b'P', name)] {
            let talk = Talk::new(name).client(join(&[message, sync()])).target(ready(b'I'));
            let run = run(&with_phi, permit(pass_terms()), &talk, usize::MAX);
            assert_eq!((kinds(&run.target).as_str(), kinds(&run.client).as_str()), ("S", "EZ"));
        }
    }
}

/// A text that is like another but for its numbers means what it would mean if it were read by itself.
#[test]
fn texts_that_differ_in_numbers_mean_the_same() {
    let texts = [
        "SELECT ssn FROM patient WHERE id = 7",
        "  SELECT ssn FROM patient WHERE id = 123456  ;  ",
        "SELECT name, ssn FROM patient WHERE id < 5 AND id > 1000 LIMIT 3",
        "DELETE FROM ward WHERE id = 1",
        "SELECT 1",
        "SELECT id, upper(ssn) FROM patient ORDER BY 2 LIMIT 10",
    ];
    for text in texts {
        let other: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect::<String>();
        let other = other.replace('9', "42");
        let talk = Talk::new(text).client(join(&[query(text), query(&other), query(text)]));
        let both = run(&with_phi, permit(secret_terms()), &talk, usize::MAX);
        let alone = run(&with_phi, permit(secret_terms()), &Talk::new("").client(query(&other)), usize::MAX);
        let (second, only) = (&both.asked[1].operation, &alone.asked[0].operation);
        assert_eq!((&second.text, &second.literals), (&only.text, &only.literals), "{text}");
        assert_eq!((&second.resources, second.effect, &second.traits), (&only.resources, only.effect, &only.traits));
        assert_eq!(second.redacted(true, |_, _| true), only.redacted(true, |_, _| true));
    }
    let column = [("ssn", 0, 0, 25, false)];
    let answer = join(&[description(&column), data_row(&[Some(SECRET.as_bytes())]), complete("SELECT 1"), ready(b'I')]);
    let mut referee = Referee::new(with_phi(), permit(secret_terms()));
    for n in [1, 22, 333] {
        referee.feed(Side::Client, &query(&format!("SELECT upper(ssn) FROM patient WHERE id = {n}")));
        referee.feed(Side::Target, &answer);
    }
    assert_eq!(kinds(&referee.client), "TDCZTDCZTDCZ");
    assert!(!holds(&referee.client, SECRET));
}

#[test]
fn the_end_is_told_and_everything_closed() {
    let mut referee = Referee::new(with_phi(), permit(pass_terms()));
    referee.feed(Side::Client, &query("SELECT pg_sleep(100)"));
    referee.close(&Refusal::new(RefusalKind::Identity, "the token has expired", "get a new one"));
    assert!(referee.faults.is_empty(), "{:?}", referee.faults);
    assert_eq!(referee.closed.len(), 1);
    let told = frames(&referee.client);
    assert_eq!(error_field(told[0].1, b'S'), Some(&b"FATAL"[..]));
    assert_eq!(error_field(told[0].1, b'C'), Some(&b"28000"[..]));
}

#[test]
fn structure_changes_ask_for_a_new_catalog() {
    let mut referee = Referee::new(with_phi(), permit(pass_terms()));
    referee.feed(Side::Client, &query("CREATE TABLE x (a int)"));
    referee.feed(Side::Target, &join(&[complete("CREATE TABLE"), ready(b'I')]));
    assert_eq!(referee.stale, 1);
    let strange = join(&[description(&[("a", 77_777, 1, 23, false)]), complete("SELECT 0"), ready(b'I')]);
    for _ in 0..2 {
        referee.feed(Side::Client, &query("SELECT 1"));
        referee.feed(Side::Target, &scope_answer("public", b'I'));
        referee.feed(Side::Target, &strange);
        referee.client.clear();
    }
    assert_eq!(referee.stale, 2, "once for each table that is not known");
}
