//! The properties. Each takes a way to open a fresh interpreter and says what is wrong, if anything is.

use crate::{Asked, Closed, Judge, Line, Referee, Talk};
use vestibule_core::{Interpreter, OpId, Refusal, RefusalKind, Ruling, Side, Terms};

/// Opens a fresh interpreter.
pub type Open<'a> = &'a dyn Fn() -> Box<dyn Interpreter>;

/// What came of one run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What the client received.
    pub client: Vec<u8>,
    /// What the target received.
    pub target: Vec<u8>,
    /// What was asked.
    pub asked: Vec<Asked>,
    /// What was closed.
    pub closed: Vec<Closed>,
    /// What was written, to whom, on whose behalf.
    pub written: Vec<(Side, Option<OpId>, usize)>,
    /// What went wrong.
    pub faults: Vec<String>,
    /// Whether the session ended with an error.
    pub failed: bool,
}

/// The refusal with which every run is closed.
#[must_use]
pub fn ended() -> Refusal {
    Refusal::new(RefusalKind::Expired, "the test is over", "")
}

/// A judge who permits everything under these terms.
#[must_use]
pub fn permit(terms: Terms) -> Judge {
    Box::new(move |_, _| Ruling::Permit(terms.clone()))
}

/// Runs a conversation; each line arrives in pieces of at most `piece` bytes.
#[must_use]
pub fn run(open: Open<'_>, judge: Judge, talk: &Talk, piece: usize) -> Run {
    let mut referee = Referee::new(open(), judge);
    for line in &talk.lines {
        let (side, bytes) = match line {
            Line::Client(bytes) => (Side::Client, bytes),
            Line::Target(bytes) => (Side::Target, bytes),
        };
        for piece in bytes.chunks(piece.max(1)) {
            referee.feed(side, piece);
        }
    }
    let (client, target) = (std::mem::take(&mut referee.client), std::mem::take(&mut referee.target));
    let written = std::mem::take(&mut referee.written);
    referee.close(&ended());
    Run {
        client,
        target,
        asked: referee.asked,
        closed: referee.closed,
        written,
        faults: referee.faults,
        failed: referee.error.is_some(),
    }
}

/// Identity: where nothing is masked, each side receives what the other sent.
///
/// # Errors
/// Says which side received something else.
pub fn identity(open: Open<'_>, terms: &Terms, talk: &Talk) -> Result<(), String> {
    let run = run(open, permit(terms.clone()), talk, usize::MAX);
    sound(&talk.name, &run)?;
    if run.failed {
        return Err(format!("{}: the session ended with an error", talk.name));
    }
    same(&talk.name, "target", &run.target, &talk.said_by_client())?;
    same(&talk.name, "client", &run.client, &talk.said_by_target())
}

/// Chop: however the bytes arrive, the outcome is the same.
///
/// # Errors
/// Says for which size of piece it is not.
pub fn chop(open: Open<'_>, terms: &Terms, talk: &Talk, sizes: &[usize]) -> Result<(), String> {
    let whole = run(open, permit(terms.clone()), talk, usize::MAX);
    sound(&talk.name, &whole)?;
    for size in sizes {
        let cut = run(open, permit(terms.clone()), talk, *size);
        let name = format!("{} in pieces of {size}", talk.name);
        sound(&name, &cut)?;
        same(&name, "target", &cut.target, &whole.target)?;
        same(&name, "client", &cut.client, &whole.client)?;
        if cut.written != whole.written {
            return Err(format!("{name}: written on behalf of others:\n{:?}\n{:?}", cut.written, whole.written));
        }
        if cut.closed != whole.closed || cut.failed != whole.failed {
            return Err(format!("{name}: closed otherwise:\n{:?}\n{:?}", cut.closed, whole.closed));
        }
    }
    Ok(())
}

/// The rules that hold in every run.
///
/// # Errors
/// Says which was broken.
pub fn sound(name: &str, run: &Run) -> Result<(), String> {
    if run.faults.is_empty() { Ok(()) } else { Err(format!("{name}: {}", run.faults.join("; "))) }
}

fn same(name: &str, side: &str, got: &[u8], want: &[u8]) -> Result<(), String> {
    if got == want {
        return Ok(());
    }
    let at = got.iter().zip(want).position(|(a, b)| a != b).unwrap_or_else(|| got.len().min(want.len()));
    let show = |bytes: &[u8]| {
        let part = bytes.get(at.saturating_sub(20)..at.saturating_add(60).min(bytes.len())).unwrap_or_default();
        part.escape_ascii().to_string()
    };
    Err(format!(
        "{name}: the {side} received {} bytes and should have received {}; from byte {at}:\n  got  {}\n  want {}",
        got.len(),
        want.len(),
        show(got),
        show(want)
    ))
}

/// A source of numbers for mutations that can be run again.
#[derive(Debug, Clone, Copy)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number below `below`.
    pub const fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let below = if below == 0 { 1 } else { below as u64 };
        (z % below) as usize
    }
}

/// Mutation: the conversations, damaged in `count` ways, with a judge who decides by lot. Nothing may panic, and no rule
/// be broken. `watch` looks at each run for more.
///
/// # Errors
/// Says which seed to run again and what was broken.
pub fn mutation(
    open: Open<'_>,
    talks: &[Talk],
    terms: &Terms,
    seed: u64,
    count: u64,
    watch: &dyn Fn(&Run) -> Result<(), String>,
) -> Result<(), String> {
    for n in 0..count {
        let seed = seed.wrapping_add(n);
        let mut dice = Dice(seed);
        let talk = damaged(talks, &mut dice);
        let mut lots = Dice(seed ^ 0x5555);
        let terms = terms.clone();
        let judge: Judge = Box::new(move |_, _| match lots.roll(8) {
            0 => Ruling::Refuse(Refusal::new(RefusalKind::Policy, "refused by lot", "")),
            1 => Ruling::Waiting("waits".to_owned()),
            _ => Ruling::Permit(terms.clone()),
        });
        let piece = [1, 7, 64, usize::MAX].get(dice.roll(4)).copied().unwrap_or(1);
        let outcome = run(open, judge, &talk, piece);
        sound(&talk.name, &outcome).and_then(|()| watch(&outcome)).map_err(|e| format!("seed {seed}: {e}"))?;
    }
    Ok(())
}

/// One conversation, or two crossed, with bytes changed, lost, doubled, swapped.
fn damaged(talks: &[Talk], dice: &mut Dice) -> Talk {
    let pick = |dice: &mut Dice| talks.get(dice.roll(talks.len())).cloned().unwrap_or_default();
    let mut talk = pick(dice);
    if dice.roll(3) == 0 {
        let other = pick(dice);
        let at = dice.roll(talk.lines.len().saturating_add(1));
        let from = dice.roll(other.lines.len().saturating_add(1));
        talk.lines.truncate(at);
        talk.lines.extend(other.lines.into_iter().skip(from));
    }
    for _ in 0..dice.roll(4) {
        let lines = talk.lines.len();
        match dice.roll(6) {
            0 if lines > 1 => {
                let at = dice.roll(lines);
                talk.lines.remove(at);
            }
            1 if lines > 0 => {
                let line = talk.lines.get(dice.roll(lines)).cloned();
                talk.lines.extend(line);
            }
            2 if lines > 1 => talk.lines.swap(dice.roll(lines), dice.roll(lines)),
            _ => damage_bytes(&mut talk, dice),
        }
    }
    talk
}

fn damage_bytes(talk: &mut Talk, dice: &mut Dice) {
    let lines = talk.lines.len();
    let Some(Line::Client(bytes) | Line::Target(bytes)) = talk.lines.get_mut(dice.roll(lines)) else { return };
    let at = dice.roll(bytes.len());
    match dice.roll(4) {
        0 => bytes.truncate(at),
        1 => {
            let tail: Vec<u8> = bytes.iter().skip(at).copied().collect();
            bytes.extend(tail);
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = [0, 1, 0xff, b'S', b'\'', 0x7f].get(dice.roll(6)).copied().unwrap_or(0);
            }
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.roll(8);
            }
        }
    }
}
