//! A small clinic, as a crawl would find it. Included by the suites, not a suite itself.

#![cfg(test)]

use std::sync::Arc;
use vestibule_sql::{Catalog, Column, Function, FunctionKind, Relation, RelationKind, Scope, Volatility};

fn relation(oid: u32, schema: &str, name: &str, kind: RelationKind, columns: &[&str]) -> Relation {
    let columns = columns.iter().enumerate();
    let columns = columns.map(|(at, name)| Column { number: at as i16 + 1, name: Arc::from(*name), type_oid: 25 });
    Relation {
        oid,
        schema: Arc::from(schema),
        name: Arc::from(name),
        kind,
        columns: columns.collect(),
        definition: None,
        parents: Vec::new(),
        runs_code: false,
    }
}

fn view(oid: u32, name: &str, columns: &[&str], definition: &str) -> Relation {
    let definition = Some(Arc::from(definition));
    Relation { definition, ..relation(oid, "public", name, RelationKind::View, columns) }
}

fn function(schema: &str, name: &str, language: &str, volatility: Volatility, body: Option<&str>) -> Function {
    Function {
        schema: Arc::from(schema),
        name: Arc::from(name),
        kind: FunctionKind::Function,
        volatility,
        language: Arc::from(language),
        security_definer: false,
        returns_set: false,
        extension: None,
        body: body.map(Arc::from),
    }
}

fn relations() -> Vec<Relation> {
    use RelationKind::{MaterializedView, Partitioned, Sequence, Table};
    let patient = ["id", "name", "ssn", "city", "born", "note"];
    let mut all = vec![
        relation(1, "public", "patient", Table, &patient),
        relation(2, "public", "visit", Table, &["id", "patient_id", "day", "reason"]),
        relation(3, "public", "city", Table, &["id", "city", "zip"]),
        relation(4, "audit", "patient", Table, &["id", "who", "ssn"]),
        relation(5, "public", "Odd Name", Table, &["Id", "SSN"]),
        relation(6, "public", "lab", Partitioned, &["id", "patient_id", "result"]),
        Relation { parents: vec![6], ..relation(7, "public", "lab_2024", Table, &["id", "patient_id", "result"]) },
        relation(8, "public", "patient_id_seq", Sequence, &["last_value", "log_cnt", "is_called"]),
        Relation { runs_code: true, ..relation(9, "public", "logged", Table, &["id", "what"]) },
        view(20, "v_patient", &["id", "label", "who"], "SELECT p.id, p.ssn AS label, p.name FROM public.patient p"),
        view(21, "v_over", &["a", "b"], " SELECT v.label AS a, (v.who || '!'::text) AS b FROM public.v_patient v;"),
        view(22, "v_late", &["x"], "SELECT later.y FROM public.v_later later"),
        view(23, "v_later", &["y"], "SELECT patient.note FROM public.patient"),
        view(24, "v_loop", &["z"], "SELECT z FROM public.v_loop"),
        view(25, "v_code", &["z"], "SELECT public.f_plpgsql(p.id) FROM public.patient p"),
        view(26, "v_filter", &["id"], "SELECT p.id FROM public.patient p WHERE (p.ssn ~~ '1%'::text)"),
        Relation {
            kind: MaterializedView,
            ..view(27, "m_patient", &["id", "ssn"], "SELECT p.id, p.ssn FROM public.patient p")
        },
        relation(1259, "pg_catalog", "pg_class", Table, &["oid", "relname", "relnamespace", "relkind", "relpartbound"]),
        relation(1249, "pg_catalog", "pg_attribute", Table, &["attrelid", "attname", "attnum", "attmissingval"]),
        relation(2615, "pg_catalog", "pg_namespace", Table, &["oid", "nspname"]),
        relation(3000, "pg_catalog", "pg_stats", RelationKind::View, &["tablename", "attname", "most_common_vals"]),
        relation(3001, "pg_catalog", "pg_stat_activity", RelationKind::View, &["pid", "query", "state"]),
        relation(3003, "pg_catalog", "pg_settings", RelationKind::View, &["name", "setting"]),
        relation(3002, "information_schema", "columns", RelationKind::View, &["table_name", "column_name"]),
    ];
    for column in [("ctid", -1_i16), ("xmin", -2)] {
        all[0].columns.push(Column { number: column.1, name: Arc::from(column.0), type_oid: 27 });
    }
    all
}

fn functions() -> Vec<Function> {
    use Volatility::{Immutable, Stable, Volatile};
    let trigram =
        Function { extension: Some(Arc::from("pg_trgm")), ..function("public", "similarity", "c", Immutable, None) };
    let dblink = Function { extension: Some(Arc::from("dblink")), ..function("public", "dblink", "c", Volatile, None) };
    let deep = format!("SELECT {}public.f_deep($1){}", "pg_catalog.abs(".repeat(40), ")".repeat(40));
    vec![
        function("public", "f_deep", "sql", Stable, Some(&deep)),
        function("public", "f_plpgsql", "plpgsql", Volatile, None),
        function("public", "f_sql", "sql", Stable, Some("SELECT max(p.ssn) FROM public.patient p WHERE p.id = $1")),
        function("public", "f_pure", "sql", Immutable, Some("SELECT pg_catalog.upper($1) || named")),
        function("public", "f_bare", "sql", Stable, Some("SELECT ssn FROM patient")),
        function("public", "f_write", "sql", Volatile, Some("DELETE FROM public.patient")),
        function("public", "lower", "plpgsql", Immutable, None),
        function("other", "upper", "plpgsql", Immutable, None),
        trigram,
        dblink,
    ]
}

/// The catalog of the clinic.
pub fn catalog() -> Catalog {
    Catalog::with_operators(relations(), functions(), vec![Arc::from("<~>")])
}

/// A scope over it with the usual path.
pub fn scope<'a>(catalog: &'a Catalog, path: &'a [String]) -> Scope<'a> {
    Scope { catalog: Some(catalog), search_path: path, standard_strings: true }
}
