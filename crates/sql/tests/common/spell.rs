//! Outputs in few letters.

#![cfg(test)]

use std::sync::Arc;
use vestibule_sql::{Lineage, Output};

/// The names of the suites' tables made short.
pub fn short(text: &str) -> String {
    let all = "public.patient.born+public.patient.city+public.patient.id+public.patient.name+public.patient.note+public.patient.ssn";
    text.replace(all, "P*")
        .replace("public.patient.", "P.")
        .replace("public.visit.", "V.")
        .replace("public.city.", "C.")
}

/// `=public.patient.ssn` for a column itself, `public.a.x+public.b.y` for what is derived, `-` for what is free of
/// data, `?` for what is unknown.
pub fn spelled(lineage: &Lineage) -> String {
    match lineage {
        Lineage::Column(c) => format!("={}.{}", c.relation, c.column),
        Lineage::Derived(columns) if columns.is_empty() => "-".to_owned(),
        Lineage::Derived(columns) => {
            columns.iter().map(|c| format!("{}.{}", c.relation, c.column)).collect::<Vec<_>>().join("+")
        }
        Lineage::Unknown => "?".to_owned(),
    }
}

/// The whole output, with ` | ` between columns.
pub fn output(output: &Output) -> String {
    match output {
        Output::None => "none".to_owned(),
        Output::Unknown => "unknown".to_owned(),
        Output::Columns(columns) => columns.iter().map(spelled).collect::<Vec<_>>().join(" | "),
        Output::Within(columns) => format!("within {}", spelled(&Lineage::Derived(Arc::clone(columns)))),
        Output::OfPrepared(name) => format!("prepared {name}"),
        Output::OfCursor(name) => format!("cursor {name}"),
    }
}
