//! The reading held against a real server: if changing one column of the data changes an output column, the lineage
//! of that output must name the column or say that it is not known.

#![cfg(test)]

mod common;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/spell.rs"]
mod spell;

use common::{catalog, scope};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use vestibule_core::ColumnRef;
use vestibule_e2e::postgres::{DATABASE, Server, installation};
use vestibule_sql::{Lineage, Output, Scope, read};

const FIELD: char = '\u{1f}';
const RECORD: char = '\u{1e}';

/// The columns whose content is changed, one at a time.
const CHANGED: &[(&str, &str)] = &[
    ("patient", "name"),
    ("patient", "ssn"),
    ("patient", "city"),
    ("patient", "note"),
    ("visit", "reason"),
    ("visit", "day"),
    ("city", "city"),
    ("city", "zip"),
];

/// The clinic of the fixture, with other content in `changed`.
fn clinic(changed: Option<(&str, &str)>) -> String {
    let value = |table: &str, column: &str, row: usize| {
        let sort = if changed == Some((table, column)) { "other" } else { "plain" };
        match (column, changed == Some((table, column))) {
            ("note", other) => format!("'{{\"a\": \"{table}{row}\", \"b\": {}}}'", usize::from(other) + row),
            _ => format!("'{table} {column} {sort} {row}'"),
        }
    };
    let mut sql = String::from(
        "SET client_min_messages = error; DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS audit CASCADE; CREATE SCHEMA public;
         CREATE SCHEMA audit; SET search_path = public;
         CREATE TABLE patient (id int, name text, ssn text, city text, born date DEFAULT '2000-01-01', note text);
         CREATE TABLE visit (id int, patient_id int, day text, reason text);
         CREATE TABLE city (id int PRIMARY KEY, city text, zip text);
         CREATE TABLE audit.patient (id int, who text, ssn text);
         CREATE TABLE \"Odd Name\" (\"Id\" int, \"SSN\" text);
         CREATE TABLE lab (id int, patient_id int, result text) PARTITION BY LIST (id);
         CREATE TABLE lab_2024 PARTITION OF lab DEFAULT;
         CREATE SEQUENCE patient_id_seq;\n",
    );
    for row in 1..=3 {
        let p = |column| value("patient", column, row);
        sql += &format!(
            "INSERT INTO patient (id, name, ssn, city, note) VALUES ({row}, {}, {}, {}, {});\n",
            p("name"),
            p("ssn"),
            p("city"),
            p("note")
        );
        sql += &format!(
            "INSERT INTO visit VALUES ({row}, {row}, {}, {});\n",
            value("visit", "day", row),
            value("visit", "reason", row)
        );
        sql += &format!(
            "INSERT INTO city VALUES ({row}, {}, {});\n",
            value("city", "city", row),
            value("city", "zip", row)
        );
    }
    sql + "CREATE VIEW v_patient AS SELECT p.id, p.ssn AS label, p.name AS who FROM public.patient p;
         CREATE VIEW v_over AS SELECT v.label AS a, v.who || '!' AS b FROM public.v_patient v;
         CREATE VIEW v_later AS SELECT note AS y FROM public.patient;
         CREATE VIEW v_late AS SELECT y AS x FROM public.v_later;
         CREATE VIEW v_filter AS SELECT id FROM public.patient WHERE ssn LIKE '1%';
         CREATE MATERIALIZED VIEW m_patient AS SELECT p.id, p.ssn FROM public.patient p;
         CREATE FUNCTION f_plpgsql(int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(ssn) FROM public.patient); END';
         CREATE FUNCTION f_sql(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT max(p.ssn) FROM public.patient p WHERE p.id = $1';
         CREATE FUNCTION f_pure(named text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.upper($1) || named';
         CREATE FUNCTION f_bare() RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM patient';\n"
}

/// What every statement returns: rows of fields, or nothing where it failed.
fn run(server: &Server, setup: &str, statements: &[String]) -> BTreeMap<usize, Vec<Vec<String>>> {
    let mut script =
        format!("{setup}\nSET search_path = public; SET statement_timeout = 150; SET jit = off;\n\\echo @@ready\n");
    for (at, text) in statements.iter().enumerate() {
        script += &format!("BEGIN;\n\\echo @@{at}\n{text};\n\\echo @@end\nROLLBACK;\n");
    }
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-U", "postgres", "-d", DATABASE, "-p", &server.port().to_string()]);
    psql.arg("-h").arg(server.socket()).args(["-F", &FIELD.to_string(), "-R", &RECORD.to_string(), "-f", "-"]);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).env_remove("PGOPTIONS");
    let mut child = psql.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
    let ended = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    let parts = text.split("@@ready\n").nth(1).expect("the clinic is set up").split("@@");
    let mut found = BTreeMap::new();
    for part in parts {
        let Some((number, rest)) = part.split_once('\n') else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        let rest = rest.trim_end_matches('\n');
        if !rest.is_empty() {
            let rows = rest.split(RECORD).map(|row| row.split(FIELD).map(str::to_owned).collect());
            found.insert(number, rows.collect());
        }
    }
    found
}

/// Whether the output's lineage allows it to depend on the column.
fn admits(output: &Output, at: usize, column: &ColumnRef) -> bool {
    match output {
        Output::Columns(columns) => match columns.get(at) {
            Some(Lineage::Column(c)) => c == column,
            Some(Lineage::Derived(columns)) => columns.contains(column),
            Some(Lineage::Unknown) => true,
            None => false,
        },
        Output::Within(columns) => columns.contains(column),
        _ => true,
    }
}

fn column_of(rows: &[Vec<String>], at: usize) -> Vec<&str> {
    let mut values: Vec<&str> = rows.iter().filter_map(|row| row.get(at)).map(String::as_str).collect();
    values.sort_unstable();
    values
}

/// Runs every statement over the plain data and over each changed data; says where the lineage is wrong, and how many
/// outputs were seen to change.
fn compare(server: &Server, scope: &Scope<'_>, statements: &[String]) -> (Vec<String>, usize, usize) {
    let readings: Vec<Option<Output>> = statements
        .iter()
        .map(|text| read(text, scope).ok().map(|script| script.statements[0].output.clone()))
        .collect();
    let plain = run(server, &clinic(None), statements);
    let (mut wrong, mut changes) = (Vec::new(), 0);
    for (number, rows) in &plain {
        if let (Some(Some(Output::Columns(columns))), Some(row)) = (readings.get(*number), rows.first())
            && columns.len() != row.len()
        {
            wrong.push(format!(
                "{}\n    {} columns, the server says {}",
                statements[*number],
                columns.len(),
                row.len()
            ));
        }
    }
    for (table, name) in CHANGED {
        let column = ColumnRef { relation: format!("public.{table}").into(), column: (*name).into() };
        let changed = run(server, &clinic(Some((*table, *name))), statements);
        for (number, rows) in &plain {
            let (Some(others), Some(Some(output))) = (changed.get(number), readings.get(*number)) else { continue };
            if rows.len() != others.len() {
                continue;
            }
            for at in 0..rows.first().map_or(0, Vec::len) {
                if column_of(rows, at) != column_of(others, at) {
                    changes += 1;
                    if !admits(output, at, &column) {
                        let text = &statements[*number];
                        wrong.push(format!(
                            "{text}\n    column {at} shows {table}.{name}; told: {}",
                            spell::short(&spell::output(output))
                        ));
                    }
                }
            }
        }
    }
    (wrong, plain.len(), changes)
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

/// What can be named where an expression stands: alias and columns.
type View = Vec<(String, Vec<String>)>;

/// Names that invite confusion.
const NAMES: &[&str] = &["ssn", "name", "city", "note", "reason", "x", "y"];
const ALIASES: &[&str] = &["patient", "visit", "city", "p", "q", "r"];

fn value(dice: &mut Dice, view: &View, depth: usize) -> String {
    let (alias, columns) = view[dice.roll(view.len())].clone();
    let column = columns[dice.roll(columns.len())].clone();
    let own = format!("{alias}.{column}::text");
    if depth == 0 {
        return own;
    }
    match dice.roll(13) {
        0 => format!("upper({})", value(dice, view, depth - 1)),
        1 => format!("({} || {})", value(dice, view, depth - 1), value(dice, view, depth - 1)),
        2 => format!("CASE WHEN {} LIKE '%other%' THEN 'a' ELSE 'b' END", value(dice, view, depth - 1)),
        3 => format!("{alias}::text"),
        4 => format!("row_to_json({alias})::text"),
        5 => format!("coalesce(nullif({}, 'z'), {})", value(dice, view, depth - 1), value(dice, view, depth - 1)),
        6 => format!("(ARRAY[{}, 'c'])[1]", value(dice, view, depth - 1)),
        7 => format!("json_build_object('k', {})::text", value(dice, view, depth - 1)),
        8 => {
            let (inner, names) = query(dice, depth - 1, view, &[]);
            format!("(SELECT max(s.{}::text) FROM ({inner}) s)", names[0])
        }
        9 => format!("(({alias}).{column})::text"),
        10 => format!("max({}) OVER ()", value(dice, view, 0)),
        11 => {
            let (inner, names) = query(dice, depth - 1, view, &[]);
            format!("EXISTS (SELECT 1 FROM ({inner}) s WHERE s.{} LIKE '%other%')::text", names[0])
        }
        _ => own,
    }
}

fn source(
    dice: &mut Dice,
    alias: &str,
    depth: usize,
    outer: &View,
    ctes: &[(String, Vec<String>)],
) -> (String, Vec<String>) {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    if !ctes.is_empty() && dice.roll(2) == 0 {
        let (name, columns) = ctes[dice.roll(ctes.len())].clone();
        return (format!("{name} AS {alias}"), columns);
    }
    match dice.roll(if depth == 0 { 4 } else { 7 }) {
        0 => (format!("public.patient AS {alias}"), strings(&["name", "ssn", "city", "note"])),
        1 => (format!("public.visit AS {alias}"), strings(&["day", "reason"])),
        2 => (format!("public.city AS {alias}"), strings(&["city", "zip"])),
        3 => (format!("public.v_over AS {alias}"), strings(&["a", "b"])),
        4 => {
            let (inner, columns) = query(dice, depth - 1, outer, ctes);
            let renamed: Vec<String> = (0..columns.len()).map(|at| format!("{}{at}", dice.pick(NAMES))).collect();
            (format!("({inner}) AS {alias} ({})", renamed.join(", ")), renamed)
        }
        _ => {
            let (inner, columns) = query(dice, depth - 1, outer, ctes);
            (format!("({inner}) AS {alias}"), columns)
        }
    }
}

/// A query over sources with confusing names; `outer` is what it may name besides.
fn query(dice: &mut Dice, depth: usize, outer: &View, ctes: &[(String, Vec<String>)]) -> (String, Vec<String>) {
    let mut own = ctes.to_vec();
    let mut with = String::new();
    if depth > 0 && dice.roll(3) == 0 {
        let (inner, columns) = query(dice, depth - 1, outer, ctes);
        let name = dice.pick(ALIASES).to_owned();
        with = format!("WITH {name} AS ({inner}) ");
        own.retain(|(known, _)| *known != name);
        own.push((name, columns));
    }
    let count = 1 + dice.roll(2);
    let names: Vec<String> = (0..count).map(|at| format!("{}{}", dice.pick(NAMES), ["", "_"][at])).collect();
    let first = arm(dice, depth, outer, &own, &names);
    if dice.roll(4) == 0 {
        let second = arm(dice, depth, outer, &own, &names);
        return (format!("{with}({first}) UNION ALL ({second})"), names);
    }
    (format!("{with}{first}"), names)
}

fn arm(dice: &mut Dice, depth: usize, outer: &View, ctes: &[(String, Vec<String>)], names: &[String]) -> String {
    let mut view: View = Vec::new();
    let mut from = Vec::new();
    for alias in ALIASES.iter().skip(dice.roll(4)).take(1 + dice.roll(2)) {
        let lateral = !view.is_empty() && dice.roll(2) == 0;
        let inside: View = if lateral { view.iter().chain(outer).cloned().collect() } else { outer.clone() };
        let (text, columns) = source(dice, alias, depth, &inside, ctes);
        from.push(if lateral && text.starts_with('(') { format!("LATERAL {text}") } else { text });
        view.push(((*alias).to_owned(), columns));
    }
    let near = view.clone();
    view.extend(outer.iter().filter(|(alias, _)| near.iter().all(|(own, _)| own != alias)).cloned().collect::<View>());
    let targets = names.iter().map(|name| format!("{} AS {name}", value(dice, &view, depth.min(2))));
    let targets: Vec<String> = targets.collect();
    format!("SELECT {} FROM {} LIMIT 6", targets.join(", "), from.join(", "))
}

#[test]
fn no_output_shows_a_column_that_its_lineage_does_not_name() {
    let server = Server::start(&installation(18).unwrap()).unwrap();
    let catalog = catalog();
    let path = ["public".to_owned()];
    let scope = scope(&catalog, &path);

    let prefixes = [
        "COPY",
        "EXPLAIN",
        "SHOW",
        "EXECUTE",
        "FETCH",
        "MOVE",
        "CALL",
        "DO",
        "SELECT ctid",
        "SELECT relname",
        "SELECT pid",
    ];
    let fixed = rows::ROWS.iter().map(|(text, _)| (*text).to_owned());
    let fixed: Vec<String> = fixed.filter(|text| !prefixes.iter().any(|prefix| text.starts_with(prefix))).collect();
    let (wrong, ran, changes) = compare(&server, &scope, &fixed);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 130 && changes > 200, "{ran} ran, {changes} outputs changed");

    let mut dice = Dice(7);
    let made: Vec<String> = (0..120).map(|_| query(&mut dice, 2, &Vec::new(), &[]).0).collect();
    let (wrong, ran, changes) = compare(&server, &scope, &made);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 60 && changes > 100, "{ran} ran, {changes} outputs changed");
}
