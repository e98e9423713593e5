//! The wires of one session: what was received, what is to be sent, which operations are under way.
//!
//! Here is what the interpreter is trusted with least: towards the target nothing is written under an operation without
//! its [`Permit`]; towards the client nothing is written under an operation before its entry is durable.
//! Not here: whether an operation may run (the guard), and in which order things are done (`stream`).

use crate::half::Half;
use crate::log::{SessionLog, no_longer_recorded, unrecordable};
use crate::stream::End;
use crate::{LiveSession, Permit, Place, Seen, Totals, cancel};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use vestibule_core::{
    Disclosure, Established, Interpreter, OpId, Operation, Piece, Refusal, RefusalKind, Ruling, Side, Snapshot, Step,
    Steps,
};
use vestibule_ledger::Receipt;
use vestibule_record::{Event, Recorder};

/// How long the client may take to read the last words.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a client waits for a catalog that knows the structure it has just changed.
const CATALOG_PATIENCE: Duration = Duration::from_secs(2);

/// What woke the driver.
pub(crate) enum Wake {
    Read(Side),
    Lost(Side, std::io::Error),
    Cut(Refusal),
    Cancel,
    Catalog(Snapshot),
    Tick,
}

/// An operation under way.
pub(crate) struct Running {
    pub id: OpId,
    pub permit: Permit,
    pub since: Instant,
}

/// Everything of a session but its guard, so that the guard can be busy while the wires go on.
pub(crate) struct Wires {
    client: Half,
    target: Half,
    interpreter: Box<dyn Interpreter>,
    steps: Steps,
    pub asked: VecDeque<(OpId, Box<Operation>)>,
    pub running: Vec<Running>,
    barrier: Option<Receipt>,
    place: Arc<Place>,
    established: Arc<Established>,
    pub live: Arc<LiveSession>,
    log: Arc<SessionLog>,
    pub recorder: Option<Recorder>,
    observer: Arc<dyn crate::Observer>,
    cuts: watch::Receiver<Option<Refusal>>,
    catalogs: watch::Receiver<Option<Snapshot>>,
    tick: Interval,
    started: Instant,
    last_traffic: Instant,
    most_pending: usize,
    stale: Option<Instant>,
    pub goodbye: bool,
    /// The client is gone: what is still to be closed is not told to it.
    quiet: bool,
    pub totals: Totals,
}

/// What a session is driven with.
pub(crate) struct Parts {
    pub client: Half,
    pub target: Half,
    pub interpreter: Box<dyn Interpreter>,
    pub place: Arc<Place>,
    pub established: Arc<Established>,
    pub live: Arc<LiveSession>,
    pub log: Arc<SessionLog>,
    pub recorder: Option<Recorder>,
    pub observer: Arc<dyn crate::Observer>,
    pub max_message_bytes: usize,
}

impl Wires {
    pub fn new(parts: Parts) -> Self {
        let now = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut catalogs = parts.place.catalogs.watch();
        catalogs.mark_unchanged();
        Self {
            client: parts.client,
            target: parts.target,
            interpreter: parts.interpreter,
            steps: Steps::default(),
            asked: VecDeque::new(),
            running: Vec::new(),
            barrier: None,
            cuts: parts.live.cuts(),
            place: parts.place,
            established: parts.established,
            live: parts.live,
            log: parts.log,
            recorder: parts.recorder,
            observer: parts.observer,
            catalogs,
            tick,
            started: now,
            last_traffic: now,
            most_pending: parts.max_message_bytes.saturating_add(64 << 10),
            stale: None,
            goodbye: false,
            quiet: false,
            totals: Totals::default(),
        }
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.client,
            Side::Target => &mut self.target,
        }
    }

    /// Waits for the next thing to happen. Unsent bytes go out meanwhile.
    pub async fn wake(&mut self) -> Wake {
        let (client, target, most) = (&mut self.client, &mut self.target, self.most_pending);
        let io = poll_fn(|cx| {
            if client.has_unsent()
                && let Poll::Ready(Err(error)) = client.poll_send(cx)
            {
                return Poll::Ready(Wake::Lost(Side::Client, error));
            }
            if target.has_unsent()
                && let Poll::Ready(Err(error)) = target.poll_send(cx)
            {
                return Poll::Ready(Wake::Lost(Side::Target, error));
            }
            if client.has_room()
                && let Poll::Ready(read) = target.poll_read(cx, most)
            {
                return Poll::Ready(read.map_or_else(|e| Wake::Lost(Side::Target, e), |_| Wake::Read(Side::Target)));
            }
            // While an operation is held the client is still heard, to notice that it left; its bytes wait.
            if target.has_room()
                && let Poll::Ready(read) = client.poll_read(cx, most)
            {
                return Poll::Ready(read.map_or_else(|e| Wake::Lost(Side::Client, e), |_| Wake::Read(Side::Client)));
            }
            Poll::Pending
        });
        tokio::select! {
            biased;
            Ok(cut) = self.cuts.wait_for(Option::is_some) => {
                let refusal = cut.clone();
                refusal.map_or(Wake::Tick, Wake::Cut)
            }
            wake = io => wake,
            () = self.live.cancelled() => Wake::Cancel,
            Ok(()) = self.catalogs.changed() => {
                let newest = self.catalogs.borrow_and_update().clone();
                newest.map_or(Wake::Tick, Wake::Catalog)
            }
            _ = self.tick.tick() => Wake::Tick,
        }
    }

    /// Hands received bytes of a side to the interpreter, and does what it says.
    pub async fn feed(&mut self, side: Side) -> Result<(), End> {
        loop {
            if side == Side::Client && (!self.asked.is_empty() || self.stale.is_some()) {
                return Ok(());
            }
            self.steps.clear();
            let half = match side {
                Side::Client => &self.client,
                Side::Target => &self.target,
            };
            if half.pending().is_empty() {
                return Ok(());
            }
            let outcome = self.interpreter.receive(side, half.pending(), &mut self.steps);
            let consumed = *outcome.as_ref().unwrap_or(&0);
            let made_progress = consumed > 0 || !self.steps.list().is_empty();
            self.apply(Some(side)).await?;
            self.half(side).consume(consumed);
            outcome.map_err(End::Wire)?;
            if !made_progress {
                return Ok(());
            }
        }
    }

    /// Does the steps of one call, then sends what came of them in one go.
    async fn apply(&mut self, from: Option<Side>) -> Result<(), End> {
        let steps = std::mem::take(&mut self.steps);
        let outcome = self.apply_all(&steps, from).await;
        self.steps = steps;
        outcome?;
        if let Some(receipt) = self.barrier.take() {
            // INVARIANT (promise 2): no byte of a response is released before the operation's entry is durable.
            self.log.safe(receipt).await.map_err(|_| End::Cut(no_longer_recorded()))?;
        }
        if self.client.has_unsent() {
            self.client.send_now().map_err(|_| End::Client("connection lost"))?;
        }
        if self.target.has_unsent() {
            self.target.send_now().map_err(|e| End::Target(e.to_string()))?;
        }
        let Some(recorder) = &mut self.recorder else { return Ok(()) };
        if recorder.is_full() {
            recorder.room().await.map_err(|e| End::Cut(unrecordable(&e)))?;
        }
        self.log.chunks(recorder).await.map_err(|_| End::Cut(no_longer_recorded()))
    }

    async fn apply_all(&mut self, steps: &Steps, from: Option<Side>) -> Result<(), End> {
        for step in steps.list() {
            match step {
                Step::Write { to, piece, under } => self.write(steps, from, *to, piece, *under)?,
                Step::Ask(id, operation) => self.ask(*id, operation)?,
                Step::Done { id, disclosed } => self.done(*id, disclosed).await?,
                Step::Stale => {
                    self.place.catalogs.ring();
                    self.stale = Some(Instant::now());
                }
                Step::Goodbye => self.goodbye = true,
            }
        }
        Ok(())
    }

    fn ask(&mut self, id: OpId, operation: &Operation) -> Result<(), End> {
        self.totals.operations = self.totals.operations.saturating_add(1);
        self.asked.push_back((id, Box::new(operation.clone())));
        Ok(())
    }

    fn write(
        &mut self,
        steps: &Steps,
        from: Option<Side>,
        to: Side,
        piece: &Piece,
        under: Option<OpId>,
    ) -> Result<(), End> {
        if self.quiet && to == Side::Client {
            return Ok(());
        }
        let permit = under.map(|id| self.running.iter().find(|r| r.id == id).map(|r| &r.permit));
        let receipt = match permit {
            // INVARIANT (promise 1): no permit, no byte.
            Some(None) if to == Side::Target => {
                tracing::error!(sid = %self.live.facts.sid, "an interpreter wrote under an operation without a permit");
                return Err(End::Cut(Refusal::new(
                    RefusalKind::NotUnderstood,
                    "the gateway ended this session: it could not tell what an operation was permitted to do",
                    "tell the operators of the gateway",
                )));
            }
            Some(Some(permit)) => Some(permit.receipt()),
            Some(None) | None => None,
        };
        let direct = to == Side::Target || (self.barrier.is_none() && receipt.is_none_or(|r| self.log.is_safe(r)));
        let direct = direct && !(to == Side::Client && self.place.durable_disclosure);
        let (client, target) = (&mut self.client, &mut self.target);
        let (bytes, into) = match (piece, from, to) {
            (Piece::Made(span), _, Side::Client) => (steps.made.get(span.clone()), client),
            (Piece::Made(span), _, Side::Target) => (steps.made.get(span.clone()), target),
            (Piece::Received(span), Some(Side::Client), Side::Target) => (client.pending().get(span.clone()), target),
            (Piece::Received(span), Some(Side::Target), Side::Client) => (target.pending().get(span.clone()), client),
            (Piece::Received(_), ..) => (None, client),
        };
        let Some(bytes) = bytes else {
            tracing::error!(sid = %self.live.facts.sid, "an interpreter wrote bytes that do not exist");
            return Err(End::Cut(Refusal::new(
                RefusalKind::NotUnderstood,
                "the gateway lost its place in the protocol",
                "",
            )));
        };
        if to == Side::Client {
            if let Some(receipt) = receipt.filter(|r| !self.log.is_safe(*r)) {
                self.barrier = Some(self.barrier.map_or(receipt, |b| b.later(receipt)));
            }
            if let Some(recorder) = &mut self.recorder {
                let at = micros(self.started.elapsed());
                recorder
                    .event(at, Event::Frames { side: Side::Client, op: under, bytes })
                    .map_err(|e| End::Cut(unrecordable(&e)))?;
            }
        }
        into.push(bytes, direct).map_err(|error| match to {
            Side::Client => End::Client("connection lost"),
            Side::Target => End::Target(error.to_string()),
        })
    }

    async fn done(&mut self, id: OpId, disclosed: &Disclosure) -> Result<(), End> {
        let Some(at) = self.running.iter().position(|r| r.id == id) else { return Ok(()) };
        let running = self.running.swap_remove(at);
        let took = running.since.elapsed();
        let receipt = self.log.done(id, disclosed, micros(took)).await.map_err(|_| End::Cut(no_longer_recorded()))?;
        if self.place.durable_disclosure {
            self.barrier = Some(self.barrier.map_or(receipt, |b| b.later(receipt)));
        } else if !self.log.is_safe(running.permit.receipt()) {
            let first = running.permit.receipt();
            self.barrier = Some(self.barrier.map_or(first, |b| b.later(first)));
        }
        self.totals.add(disclosed);
        self.observer.saw(Seen::Done { sid: &self.live.facts.sid, target: &self.place.facts.name, disclosed, took });
        self.record(&Event::Done { op: id, disclosure: disclosed })
    }

    pub fn record(&mut self, event: &Event<'_>) -> Result<(), End> {
        let at = micros(self.started.elapsed());
        match &mut self.recorder {
            Some(recorder) => recorder.event(at, event.clone()).map_err(|e| End::Cut(unrecordable(&e))),
            None => Ok(()),
        }
    }

    /// What happens whether or not an operation is being cleared. `Ok(true)`: the client asked to cancel.
    pub async fn handle(&mut self, wake: Wake) -> Result<bool, End> {
        match wake {
            Wake::Read(Side::Client) if self.client.ended() => return Err(End::Client("the client hung up")),
            Wake::Read(Side::Target) if self.target.ended() => {
                self.feed(Side::Target).await?;
                return Err(End::Target("the target closed the connection".to_owned()));
            }
            Wake::Read(side) => {
                self.last_traffic = Instant::now();
                self.feed(side).await?;
                if side == Side::Target {
                    // The interpreter may have left the client's bytes until it had this answer.
                    self.feed(Side::Client).await?;
                }
            }
            Wake::Lost(Side::Client, _) => return Err(End::Client("the connection to the client was lost")),
            Wake::Lost(Side::Target, error) => return Err(End::Target(error.to_string())),
            Wake::Cut(refusal) => return Err(End::Cut(refusal)),
            Wake::Cancel => return Ok(true),
            Wake::Catalog(snapshot) => {
                self.interpreter.refresh(snapshot);
                self.stale = None;
            }
            Wake::Tick => self.on_tick().await?,
        }
        Ok(false)
    }

    async fn on_tick(&mut self) -> Result<(), End> {
        if self.stale.is_some_and(|since| since.elapsed() > CATALOG_PATIENCE) {
            self.stale = None;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.flush().await.map_err(|e| End::Cut(unrecordable(&e)))?;
            self.log.chunks(recorder).await.map_err(|_| End::Cut(no_longer_recorded()))?;
        }
        let over = |limit: Option<Duration>, since: Instant| limit.is_some_and(|limit| since.elapsed() > limit);
        if over(self.place.idle_timeout, self.last_traffic) && self.running.is_empty() && self.asked.is_empty() {
            return Err(End::Cut(Refusal::new(
                RefusalKind::Expired,
                "the gateway ended this session: it was idle for longer than the target allows",
                "connect again",
            )));
        }
        if over(self.place.max_session, self.started) {
            return Err(End::Cut(Refusal::new(
                RefusalKind::Expired,
                "the gateway ended this session: it reached the longest time the target allows",
                "connect again",
            )));
        }
        Ok(())
    }

    pub fn pass_cancel_on(&self) {
        if !self.running.is_empty() {
            cancel::at_target(Arc::clone(&self.place), Arc::clone(&self.established));
        }
    }

    pub async fn settle(&mut self, id: OpId, ruling: Ruling) -> Result<(), End> {
        self.steps.clear();
        self.interpreter.settle(id, ruling, &mut self.steps);
        self.apply(None).await
    }

    /// Tells the client why, closes what is open, and hangs up.
    pub async fn last_words(&mut self, end: &End) {
        let refusal = match end {
            End::Cut(refusal) => refusal.clone(),
            End::Wire(error) => {
                Refusal::new(RefusalKind::NotUnderstood, format!("the gateway ended this session: {error}"), "")
            }
            End::Target(_) => Refusal::new(RefusalKind::Target, "the target closed the connection", "connect again"),
            End::Client(_) => Refusal::new(RefusalKind::Cancelled, "the client left", ""),
        };
        self.quiet = matches!(end, End::Client(_));
        self.asked.clear();
        self.steps.clear();
        self.interpreter.close(&refusal, &mut self.steps);
        // A recording that failed takes no last words; the client is told them all the same.
        let failed = self.recorder.take_if(|recorder| recorder.has_failed());
        let told = self.apply(None).await.is_ok();
        self.recorder = failed.or(self.recorder.take());
        if told {
            let _ = tokio::time::timeout(LAST_WORDS, self.client.finish()).await;
        }
        let _ = tokio::time::timeout(LAST_WORDS, self.target.finish()).await;
    }

    pub fn take_recorder(&mut self) -> Option<Recorder> {
        self.recorder.take()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
