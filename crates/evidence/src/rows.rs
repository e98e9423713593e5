//! Entries as rows: one cell a column of `tables`.

use crate::body::Body;
use crate::cell::Cell;
use crate::follow::Item;
use crate::session::Session;
use vestibule_core::Timestamp;

pub(crate) fn named(session: &Session) -> String {
    if session.who.name.is_empty() {
        session.who.id.clone()
    } else {
        format!("{} ({})", session.who.name, session.who.id)
    }
}

/// The cells of an access up to the approvers.
pub(crate) fn ruled(session: &Session, item: &Item<'_>) -> Vec<Cell> {
    let body = item.body;
    let reading = match body.at("why").text() {
        why if why.is_empty() => body.at("reading").text(),
        why => format!("{}: {why}", body.at("reading").text()),
    };
    let approvers: Vec<String> = body.at("approval").at("approvers").parts().map(approver).collect();
    let mut cells = beginning(session, body.at("op").number(), item.at);
    cells.extend([
        Cell::text(body.at("effect").text()),
        Cell::text(body.at("action").text()),
        Cell::text(body.at("statement").text()),
        Cell::list(&body.at("resources").parts().map(resource).collect::<Vec<_>>()),
        Cell::list(&body.at("classes").list()),
        Cell::list(&body.at("traits").list()),
        Cell::text(reading),
        Cell::text(body.at("decision").text()),
        Cell::text(body.at("refusal").text()),
        Cell::list(&body.at("policies").list()),
        Cell::text(body.at("policy_version").text()),
        Cell::list(&body.at("reveal").list()),
        Cell::number(body.at("row_limit").number()),
        Cell::text(request_number(body.at("approval").at("number"))),
        Cell::list(&approvers),
    ]);
    cells
}

/// The same for an end without a ruling, which only a ledger that does not verify has.
pub(crate) fn unruled(session: &Session, op: u64, at: Timestamp) -> Vec<Cell> {
    let mut cells = beginning(session, Some(op), at);
    cells.resize(21, Cell::Empty);
    cells
}

fn beginning(session: &Session, op: Option<u64>, at: Timestamp) -> Vec<Cell> {
    vec![
        Cell::Time(at),
        Cell::text(&session.sid),
        Cell::number(op),
        Cell::text(&session.who.id),
        Cell::text(&session.who.name),
        Cell::text(&session.target),
    ]
}

pub(crate) fn denial(session: &Session, item: &Item<'_>) -> Vec<Cell> {
    let body = item.body;
    vec![
        Cell::Time(item.at),
        Cell::text("operation"),
        Cell::text(&session.sid),
        Cell::number(body.at("op").number()),
        Cell::text(&session.who.id),
        Cell::text(&session.who.name),
        Cell::text(&session.target),
        Cell::text(&session.source),
        Cell::text(body.at("effect").text()),
        Cell::text(body.at("statement").text()),
        Cell::text(body.at("refusal").text()),
        Cell::list(&body.at("policies").list()),
        Cell::Number(item.index),
    ]
}

pub(crate) fn approval(event: &str, item: &Item<'_>) -> Vec<Cell> {
    let body = item.body;
    vec![
        Cell::Time(item.at),
        Cell::text(request_number(body.at("number"))),
        Cell::text(event),
        Cell::text(body.at("sid").text()),
        Cell::number(body.at("op").number()),
        Cell::text(body.at("requester").at("id").text()),
        Cell::text(body.at("requester").at("name").text()),
        Cell::text(body.at("approver").at("id").text()),
        Cell::text(body.at("approver").at("name").text()),
        Cell::text(body.at("reason").text()),
        Cell::text(body.at("target").text()),
        Cell::text(body.at("effect").text()),
        Cell::text(body.at("statement").text()),
        Cell::text(body.at("digest").text()),
        Cell::number(body.at("yes").number()),
        Cell::number(body.at("quorum").number()),
        Cell::text(body.at("state").text()),
        Cell::Number(item.index),
    ]
}

/// `R-7`, whether the entry has it as a number or as people write it.
fn request_number(number: Body<'_>) -> String {
    match number.number() {
        Some(number) => format!("R-{number}"),
        None => number.text(),
    }
}

fn approver(body: Body<'_>) -> String {
    format!("{} ({})", body.at("name").text(), body.at("id").text())
}

/// `public.patient (read) name, ssn`
fn resource(body: Body<'_>) -> String {
    let columns = body.at("columns").list().join(", ");
    format!("{} ({}) {columns}", body.at("name").text(), body.at("access").text()).trim_end().to_owned()
}
