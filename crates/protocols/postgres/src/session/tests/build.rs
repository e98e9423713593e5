//! Messages by hand, so that what builds them in the crate is not what checks it.

use std::sync::Arc;
use vestibule_sql::{Catalog, Column, Relation, RelationKind};

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

pub fn bare(kind: u8) -> Vec<u8> {
    message(kind, b"")
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

pub fn bind_with(statement: &str, value: &str) -> Vec<u8> {
    let mut body = format!("\0{statement}\0\0\0\0\x01").into_bytes();
    body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
    body.extend_from_slice(value.as_bytes());
    body.extend_from_slice(b"\0\x01\0\x01");
    message(b'B', &body)
}

pub fn describe(what: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[what], name.as_bytes(), &[0]].concat())
}

pub fn execute(portal: &str, most: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), &[0], &most.to_be_bytes()].concat())
}

pub fn close(what: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[what], name.as_bytes(), &[0]].concat())
}

pub fn sync() -> Vec<u8> {
    bare(b'S')
}

pub fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

pub fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

pub fn error(code: &str, words: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{code}\0M{words}\0\0").as_bytes())
}

pub fn fatal(code: &str, words: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0VFATAL\0C{code}\0M{words}\0\0").as_bytes())
}

pub fn notice(words: &str) -> Vec<u8> {
    message(b'N', format!("SNOTICE\0VNOTICE\0C00000\0M{words}\0\0").as_bytes())
}

pub fn notification(channel: &str, payload: &str) -> Vec<u8> {
    message(b'A', format!("\0\0\0\x07{channel}\0{payload}\0").as_bytes())
}

pub fn parameter(name: &str, value: &str) -> Vec<u8> {
    message(b'S', format!("{name}\0{value}\0").as_bytes())
}

pub fn parameters(types: &[u32]) -> Vec<u8> {
    let mut body = u16::try_from(types.len()).unwrap().to_be_bytes().to_vec();
    body.extend(types.iter().flat_map(|t| t.to_be_bytes()));
    message(b't', &body)
}

/// Name, table, number, type, binary.
pub fn description(columns: &[(&str, u32, i16, u32, bool)]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for (name, table, number, oid, binary) in columns {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(&table.to_be_bytes());
        body.extend_from_slice(&number.to_be_bytes());
        body.extend_from_slice(&oid.to_be_bytes());
        body.extend_from_slice(&[0xff; 6]);
        body.extend_from_slice(&u16::from(*binary).to_be_bytes());
    }
    message(b'T', &body)
}

pub fn data_row(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        match value {
            None => body.extend_from_slice(&[0xff; 4]),
            Some(value) => {
                body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    message(b'D', &body)
}

fn copy_response(kind: u8, binary: bool, columns: u16) -> Vec<u8> {
    let mut body = vec![u8::from(binary)];
    body.extend_from_slice(&columns.to_be_bytes());
    for _ in 0..columns {
        body.extend_from_slice(&u16::from(binary).to_be_bytes());
    }
    message(kind, &body)
}

pub fn copy_out(binary: bool, columns: u16) -> Vec<u8> {
    copy_response(b'H', binary, columns)
}

pub fn copy_in(columns: u16) -> Vec<u8> {
    copy_response(b'G', false, columns)
}

/// The answers to the gateway's own questions, in their Sync form.
pub fn scope_answer(path: &str, status: u8) -> Vec<u8> {
    let answers: Vec<Vec<u8>> = [path, "none", "on", "UTF8"]
        .iter()
        .map(|value| {
            join(&[
                bare(b'1'),
                bare(b'2'),
                data_row(&[Some(value.as_bytes())]),
                complete("SHOW"),
                bare(b'3'),
                bare(b'3'),
            ])
        })
        .collect();
    join(&[join(&answers), ready(status)])
}

fn relation(oid: u32, name: &str, columns: &[(&str, u32)]) -> Relation {
    let columns = columns
        .iter()
        .zip(1..)
        .map(|((name, type_oid), number)| Column { number, name: Arc::from(*name), type_oid: *type_oid })
        .collect();
    Relation {
        oid,
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        columns,
        definition: None,
        parents: Vec::new(),
        runs_code: false,
    }
}

pub fn catalog() -> Catalog {
    Catalog::new(
        vec![
            relation(16_384, "patient", &[("id", 23), ("ssn", 25), ("name", 25)]),
            relation(16_385, "ward", &[("id", 23), ("beds", 23), ("name", 25)]),
        ],
        Vec::new(),
    )
}
