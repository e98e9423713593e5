//! The interpreter of PostgreSQL between a client and a target that both send anything.
//!
//! Bytes: flags, size of the pieces that the lines arrive in (0: whole), eight bytes of rulings (two bits each), then
//! records. Bit 7 of a record's kind: the target says it; bit 6: it is framed here.
//!
//! Rules, most of them the referee's: no byte to the target under an operation without a permit, spans within what was
//! consumed, no more consumed than given, every permitted operation closed once; what reaches the target on
//! nobody's behalf carries nothing of anybody's; and it makes no difference how the streams are cut.

use crate::clinic::catalog;
use crate::input::{Input, tagged};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use vestibule_core::{
    Chosen, Established, Limits, OpenSession, Protocol, Refusal, RefusalKind, Ruling, Side, Snapshot, Terms,
};
use vestibule_testkit::{Judge, Referee, pass_terms, terms};

/// PostgreSQL, as everybody else gets it.
pub(crate) fn postgres() -> &'static dyn Protocol {
    let found = vestibule_protocols::all().iter().find(|protocol| protocol.manifest().id == "postgres");
    *found.expect("PostgreSQL is in the list of protocols")
}

static CATALOG: LazyLock<Snapshot> =
    LazyLock::new(|| Snapshot { version: 1, digest: "one".into(), content: Arc::new(catalog()) });

fn session(flags: u8) -> OpenSession {
    let parameters = [
        ("search_path", "public"),
        ("standard_conforming_strings", "on"),
        ("client_encoding", "UTF8"),
        ("session_authorization", "app"),
    ];
    let parameters: BTreeMap<_, _> = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    OpenSession {
        chosen: Chosen::default(),
        established: Arc::new(Established { parameters, ..Established::default() }),
        catalog: (flags & 16 == 0).then(|| CATALOG.clone()),
        limits: Limits { max_message_bytes: 1 << 20, ..Limits::default() },
        phi: flags & 1 != 0,
    }
}

fn judge(flags: u8, mut lots: u64) -> Judge {
    let masks = if flags & 2 != 0 { terms(&["patient.ssn", "people.ssn"], true) } else { pass_terms() };
    let terms = Terms {
        row_limit: (flags & 4 != 0).then_some(1),
        notice: (flags & 8 != 0).then(|| Arc::from("words for the user")),
        ..masks
    };
    let mut waited = false;
    Box::new(move |_, _| {
        let lot = lots & 3;
        lots = lots.rotate_right(2);
        waited = lot == 1 && !waited;
        match lot {
            1 if waited => Ruling::Waiting("waits for somebody".to_owned()),
            2 => Ruling::Refuse(Refusal::new(RefusalKind::Policy, "refused by lot", "ask again")),
            _ => Ruling::Permit(terms.clone()),
        }
    })
}

/// What came of a conversation.
struct Outcome {
    client: Vec<u8>,
    target: Vec<u8>,
    failed: bool,
}

/// Runs one conversation: as it comes, and in pieces.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (flags, piece, lots) = (input.byte(), usize::from(input.byte()), input.u64());
    let whole = converse(flags, lots, input, usize::MAX);
    replay(&whole.client, piece);
    if piece != 0 {
        let cut = converse(flags, lots, input, piece);
        same("client", &cut.client, &whole.client);
        same("target", &cut.target, &whole.target);
        assert_eq!(cut.failed, whole.failed, "how the bytes are cut decides whether the session fails");
    }
}

fn same(side: &str, cut: &[u8], whole: &[u8]) {
    let (cut, whole) = (cut.escape_ascii(), whole.escape_ascii());
    assert!(cut.clone().eq(whole.clone()), "how the bytes are cut decides what the {side} receives:\n{cut}\n{whole}");
}

fn converse(flags: u8, lots: u64, mut input: Input<'_>, piece: usize) -> Outcome {
    let mut referee = Referee::new(postgres().open(session(flags)), judge(flags, lots));
    let mut stale = 0;
    while let Some((kind, content)) = input.record() {
        let side = if kind & 128 != 0 { Side::Target } else { Side::Client };
        let bytes = if kind & 64 != 0 { tagged(content) } else { content.to_vec() };
        for part in bytes.chunks(piece) {
            referee.feed(side, part);
        }
        if referee.stale > stale && referee.error.is_none() {
            stale = referee.stale;
            referee.refresh(Snapshot { version: 2, digest: "two".into(), ..CATALOG.clone() });
        }
    }
    let (client, target) = (std::mem::take(&mut referee.client), std::mem::take(&mut referee.target));
    housekeeping(&referee, &target);
    let failed = referee.error.is_some();
    referee.close(&Refusal::new(RefusalKind::Expired, "the session is over", ""));
    assert!(referee.faults.is_empty(), "{}", referee.faults.join("; "));
    Outcome { client, target, failed }
}

/// What is recorded must be shown, whatever it is.
fn replay(client: &[u8], piece: usize) {
    let (mut transcript, mut lines) = (postgres().transcript(), Vec::new());
    for part in client.chunks(piece.max(1)) {
        transcript.read(Side::Client, part, &mut lines);
    }
    for line in lines {
        assert!(!line.text.contains(['\n', '\r']), "a line of the replay has a line end in it: {:?}", line.text);
    }
}

/// What is sent to the target on nobody's behalf: the end of something, or the gateway's own questions.
fn housekeeping(referee: &Referee, target: &[u8]) {
    let mut rest = target;
    for (side, under, length) in &referee.written {
        if *side != Side::Target {
            continue;
        }
        let (bytes, after) = rest.split_at(*length);
        rest = after;
        if under.is_none() {
            for (kind, body) in frames(bytes) {
                let (what, shown) = (char::from(kind), body.escape_ascii());
                assert!(harmless(kind, body), "sent to the target without a permit: {what} {shown}");
            }
        }
    }
}

fn harmless(kind: u8, body: &[u8]) -> bool {
    let mut strings = body.split(|byte| *byte == 0);
    let (first, second) = (strings.next().unwrap_or_default(), strings.next().unwrap_or_default());
    match kind {
        b'S' | b'H' | b'X' | b'C' | b'D' => true,
        b'Q' => first.is_empty() || first == b"refused by vestibule",
        b'P' => match first {
            b"_vestibule_scope" => second.starts_with(b"SHOW "),
            b"_vestibule_refused" => second == b"refused by vestibule",
            _ => second.is_empty(),
        },
        b'B' | b'E' => first == b"_vestibule_scope" || body.len() < 24,
        _ => false,
    }
}

fn frames(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while let Some((kind, after)) = rest.split_first() {
        let (head, body) = after.split_first_chunk::<4>().expect("the gateway writes whole frames");
        let (body, after) = body.split_at(u32::from_be_bytes(*head) as usize - 4);
        found.push((*kind, body));
        rest = after;
    }
    found
}
