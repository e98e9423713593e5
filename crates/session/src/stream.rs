//! The driver of stream protocols: moves bytes between a client, an interpreter and a target.
//!
//! It enforces what the interpreter is trusted with least: towards the target nothing is written under an operation
//! without its [`crate::Permit`]; towards the client nothing is written under an operation before its entry is durable.

use crate::Guard;
use crate::wires::{Running, Wake, Wires};
use tokio::sync::mpsc;
use tokio::time::Instant;
use vestibule_core::{OpId, Operation, Refusal, RefusalKind, Ruling, Side, WireError};
use vestibule_record::Event;

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The client said goodbye or hung up.
    Client(&'static str),
    /// The target hung up.
    Target(String),
    /// A peer broke the protocol.
    Wire(WireError),
    /// We ended it.
    Cut(Refusal),
}

impl End {
    pub fn reason(&self) -> String {
        match self {
            Self::Client(how) => (*how).to_owned(),
            Self::Target(why) => format!("target: {why}"),
            Self::Wire(error) => format!("protocol error: {error}"),
            Self::Cut(refusal) => refusal.message.clone(),
        }
    }
}

/// A session of a stream protocol.
pub(crate) struct Stream {
    guard: Guard,
    pub wires: Wires,
    /// Lines for a client that waits; one channel a session, not one an operation.
    tell: mpsc::Sender<String>,
    told: mpsc::Receiver<String>,
}

impl Stream {
    pub fn new(guard: Guard, wires: Wires) -> Self {
        let (tell, told) = mpsc::channel(4);
        Self { guard, wires, tell, told }
    }

    /// Runs the session to its end.
    pub async fn run(&mut self) -> End {
        let end = match self.drive().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        if matches!(end, End::Cut(_)) {
            // What we no longer permit must not go on at the target either.
            self.wires.pass_cancel_on();
        }
        self.wires.last_words(&end).await;
        end
    }

    async fn drive(&mut self) -> Result<std::convert::Infallible, End> {
        self.wires.feed(Side::Target).await?;
        self.wires.feed(Side::Client).await?;
        loop {
            self.clear_asked().await?;
            if self.wires.goodbye {
                return Err(End::Client("the client said goodbye"));
            }
            let wake = self.wires.wake().await;
            let ticked = matches!(wake, Wake::Tick | Wake::Catalog(_));
            if self.wires.handle(wake).await? {
                self.wires.pass_cancel_on();
            }
            if ticked {
                self.still_proven()?;
                self.wires.feed(Side::Client).await?;
            }
        }
    }

    fn still_proven(&self) -> Result<(), End> {
        let Some((why, next)) = self.guard.unproven() else { return Ok(()) };
        Err(End::Cut(Refusal::new(RefusalKind::Identity, format!("the gateway ended this session: {why}"), next)))
    }

    /// Clears what the interpreter asked, one after the other, while the wires go on.
    async fn clear_asked(&mut self) -> Result<(), End> {
        while let Some((id, operation)) = self.wires.asked.front().map(|(id, op)| (*id, op.clone())) {
            self.record_asked(id, &operation)?;
            let ruling = self.clear(id, &operation).await?;
            self.wires.asked.pop_front();
            self.wires.settle(id, ruling).await?;
            if self.wires.asked.is_empty() {
                self.wires.feed(Side::Client).await?;
            }
        }
        Ok(())
    }

    fn record_asked(&mut self, id: OpId, operation: &Operation) -> Result<(), End> {
        if self.wires.recorder.is_none() {
            return Ok(());
        }
        let text = self.guard.redacted(operation).unwrap_or_default();
        self.wires.record(&Event::Asked { op: id, action: &operation.action, text: &text })
    }

    async fn clear(&mut self, id: OpId, operation: &Operation) -> Result<Ruling, End> {
        let since = Instant::now();
        let Self { guard, wires, tell, told } = self;
        // What an operation before this one did not get to show is not shown under this one.
        while told.try_recv().is_ok() {}
        let cleared = {
            let clearing = std::pin::pin!(guard.clear(id, operation, tell));
            let mut clearing = clearing;
            loop {
                tokio::select! {
                    biased;
                    done = &mut clearing => break Some(done),
                    Some(line) = told.recv() => {
                        wires.record(&Event::Notice { text: &line })?;
                        wires.settle(id, Ruling::Waiting(line)).await?;
                    }
                    wake = wires.wake() => {
                        if wires.handle(wake).await? {
                            break None;
                        }
                    }
                }
            }
        };
        let result = match cleared {
            Some(result) => result,
            None => Err(guard.cancelled(id, operation).await),
        };
        Ok(match result {
            Ok(permit) => {
                wires.record(&Event::Ruled { op: id, ruling: "permit", detail: "" })?;
                let terms = permit.terms().clone();
                wires.running.push(Running { id, permit, since });
                Ruling::Permit(terms)
            }
            Err(refusal) => {
                wires.totals.refused = wires.totals.refused.saturating_add(1);
                wires.record(&Event::Ruled { op: id, ruling: refusal.kind.name(), detail: &refusal.message })?;
                Ruling::Refuse(refusal)
            }
        })
    }
}
