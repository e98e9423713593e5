//! Drives an interpreter as the real driver does, and keeps count.

use std::collections::{BTreeMap, VecDeque};
use vestibule_core::{
    Disclosure, Interpreter, OpId, Operation, Piece, Refusal, Ruling, Side, Snapshot, Step, Steps, WireError,
};

/// Decides in the guard's place.
pub type Judge = Box<dyn FnMut(OpId, &Operation) -> Ruling + Send>;

/// An operation that was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its number.
    pub id: OpId,
    /// What it was.
    pub operation: Operation,
    /// Whether it was permitted.
    pub permitted: bool,
}

/// An operation that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its number.
    pub id: OpId,
    /// What was disclosed.
    pub disclosed: Disclosure,
}

/// Drives one interpreter.
pub struct Referee {
    interpreter: Box<dyn Interpreter>,
    judge: Judge,
    steps: Steps,
    pending: [Vec<u8>; 2],
    queue: VecDeque<(OpId, Box<Operation>)>,
    permitted: BTreeMap<OpId, bool>,
    /// Bytes written to the client, and not taken yet.
    pub client: Vec<u8>,
    /// Bytes written to the target, and not taken yet.
    pub target: Vec<u8>,
    /// For each run of bytes written to a side: how many, and on whose behalf. Adjoining runs of one operation are one.
    pub written: Vec<(Side, Option<OpId>, usize)>,
    /// Every operation asked for.
    pub asked: Vec<Asked>,
    /// Every operation closed.
    pub closed: Vec<Closed>,
    /// How often a newer catalog was asked for.
    pub stale: usize,
    /// The client said goodbye.
    pub goodbye: bool,
    /// Rules that were broken.
    pub faults: Vec<String>,
    /// How the session ended, if by an error.
    pub error: Option<WireError>,
}

impl Referee {
    /// A referee for `interpreter`, in which `judge` decides.
    #[must_use]
    pub fn new(interpreter: Box<dyn Interpreter>, judge: Judge) -> Self {
        Self {
            interpreter,
            judge,
            steps: Steps::default(),
            pending: [Vec::new(), Vec::new()],
            queue: VecDeque::new(),
            permitted: BTreeMap::new(),
            client: Vec::new(),
            target: Vec::new(),
            written: Vec::new(),
            asked: Vec::new(),
            closed: Vec::new(),
            stale: 0,
            goodbye: false,
            faults: Vec::new(),
            error: None,
        }
    }

    const fn place(side: Side) -> usize {
        match side {
            Side::Client => 0,
            Side::Target => 1,
        }
    }

    /// How many bytes of a side wait to be consumed.
    #[must_use]
    pub fn waiting(&self, side: Side) -> usize {
        self.pending.get(Self::place(side)).map_or(0, Vec::len)
    }

    /// Bytes arrive from a side.
    pub fn feed(&mut self, side: Side, bytes: &[u8]) {
        if let Some(pending) = self.pending.get_mut(Self::place(side)) {
            pending.extend_from_slice(bytes);
        }
        self.run(side);
        if side == Side::Target {
            self.run(Side::Client);
        }
    }

    /// A newer catalog arrives.
    pub fn refresh(&mut self, snapshot: Snapshot) {
        self.interpreter.refresh(snapshot);
        self.run(Side::Client);
    }

    /// The session is ended from our side; afterwards every permitted operation must have been closed.
    pub fn close(&mut self, why: &Refusal) {
        self.queue.clear();
        self.steps.clear();
        self.interpreter.close(why, &mut self.steps);
        self.apply(None, 0);
        for (id, open) in &self.permitted {
            if *open {
                self.faults.push(format!("operation {} was never closed", id.0));
            }
        }
    }

    fn run(&mut self, side: Side) {
        while self.error.is_none() && !(side == Side::Client && self.goodbye) {
            let Some(pending) = self.pending.get(Self::place(side)) else { return };
            if pending.is_empty() {
                return;
            }
            self.steps.clear();
            let outcome = self.interpreter.receive(side, pending, &mut self.steps);
            let (consumed, error) = match outcome {
                Ok(consumed) => (consumed, None),
                Err(error) => (0, Some(error)),
            };
            let moved = consumed > 0 || !self.steps.list().is_empty();
            // Spans of a call that failed may lie anywhere in what it was given.
            let within = if error.is_some() { self.waiting(side) } else { consumed };
            self.apply(Some(side), within);
            self.error = error;
            self.consume(side, consumed);
            self.settle();
            if !moved {
                return;
            }
        }
    }

    fn consume(&mut self, side: Side, consumed: usize) {
        let Some(pending) = self.pending.get_mut(Self::place(side)) else { return };
        if consumed > pending.len() {
            self.faults.push("more was consumed than was there".to_owned());
        }
        pending.drain(..consumed.min(pending.len()));
    }

    /// Rules on what was asked, in order, as the driver does.
    fn settle(&mut self) {
        while let Some((id, operation)) = self.queue.pop_front() {
            if self.error.is_some() {
                return;
            }
            let ruling = (self.judge)(id, &operation);
            let permitted = matches!(ruling, Ruling::Permit(_));
            let waiting = matches!(ruling, Ruling::Waiting(_));
            if permitted {
                self.permitted.insert(id, true);
            }
            if !waiting {
                self.asked.push(Asked { id, operation: (*operation).clone(), permitted });
            }
            self.steps.clear();
            self.interpreter.settle(id, ruling, &mut self.steps);
            self.apply(None, 0);
            if waiting {
                self.queue.push_front((id, operation));
            } else if self.queue.is_empty() {
                self.run(Side::Client);
            }
        }
    }

    fn apply(&mut self, from: Option<Side>, consumed: usize) {
        let mut steps = std::mem::take(&mut self.steps);
        let list: Vec<Step> = steps.drain().collect();
        for step in list {
            match step {
                Step::Write { to, piece, under } => self.write(&steps, from, consumed, to, &piece, under),
                Step::Ask(id, operation) => {
                    if from == Some(Side::Target) {
                        self.faults.push(format!("operation {} was asked for while the target was read", id.0));
                    }
                    self.queue.push_back((id, operation));
                }
                Step::Done { id, disclosed } => {
                    match self.permitted.get_mut(&id) {
                        Some(open @ true) => *open = false,
                        Some(false) => self.faults.push(format!("operation {} was closed twice", id.0)),
                        None => self.faults.push(format!("operation {} was closed without a permit", id.0)),
                    }
                    self.closed.push(Closed { id, disclosed });
                }
                Step::Stale => self.stale = self.stale.saturating_add(1),
                Step::Goodbye => self.goodbye = true,
            }
        }
        self.steps = steps;
    }

    fn write(
        &mut self,
        steps: &Steps,
        from: Option<Side>,
        consumed: usize,
        to: Side,
        piece: &Piece,
        under: Option<OpId>,
    ) {
        if to == Side::Target
            && let Some(id) = under
            && self.permitted.get(&id) != Some(&true)
        {
            self.faults.push(format!("bytes were sent to the target under operation {} without a permit", id.0));
            return;
        }
        let bytes = match (piece, from) {
            (Piece::Made(span), _) => steps.made.get(span.clone()),
            (Piece::Received(span), Some(from)) if from != to && span.end <= consumed => {
                self.pending.get(Self::place(from)).and_then(|pending| pending.get(span.clone()))
            }
            (Piece::Received(_), _) => None,
        };
        let Some(bytes) = bytes else {
            self.faults.push("a span lies outside of what was consumed, or goes back where it came from".to_owned());
            return;
        };
        let len = bytes.len();
        match to {
            Side::Client => self.client.extend_from_slice(bytes),
            Side::Target => self.target.extend_from_slice(bytes),
        }
        match self.written.last_mut() {
            Some((side, of, have)) if *side == to && *of == under => *have = have.saturating_add(len),
            _ => self.written.push((to, under, len)),
        }
    }
}
