//! What a unit asks, and what becomes of it when it is settled.

use super::Session;
use super::front::Phase;
use super::ops::Reach;
use super::refuse::No;
use super::rows::Source;
use super::text::Meant;
use std::sync::Arc;
use vestibule_core::{Effect, OpId, Operation, Reading, Refusal, Step, Steps, traits};
use vestibule_sql::Output;

impl Session {
    /// Asks for the unit, or goes on at once where there is nothing to ask.
    pub(super) fn ask_unit(&mut self, out: &mut Steps) {
        self.finish_ended(out);
        let Some(meant) = self.unit.meant(self.unit.asked).map(Arc::clone) else {
            self.phase = Phase::Ruled;
            return;
        };
        if meant.is_nothing() {
            self.phase = Phase::Ruled;
            return;
        }
        let (mut operation, source) = self.operation(&meant);
        let only_prepares = self.unit.extended && !self.unit.runs;
        let reach = if only_prepares { Reach::default() } else { self.reach(&meant, &source) };
        if only_prepares {
            prepare_only(&mut operation);
        }
        let place = match (&self.unit.said, &self.unit.subject) {
            (Some(said), _) => (Arc::clone(said), self.unit.asked),
            (None, Some(subject)) => (Arc::clone(&subject.said), subject.index),
            (None, None) => return,
        };
        let id = self.ops.open(meant, place, source, reach);
        self.unit.first = self.unit.first.or(Some(id));
        self.unit.last = Some(id);
        self.unit.asked = self.unit.asked.saturating_add(1);
        self.phase = Phase::Asking;
        out.push(Step::Ask(id, Box::new(operation)));
    }

    /// What a statement can change, and what it runs can.
    fn reach(&self, meant: &Arc<Meant>, source: &Source) -> Reach {
        let own = Reach::of(meant, self.names.touched);
        match source.meant() {
            Some(runs) if !Arc::ptr_eq(runs, meant) => own.or(Reach::of(runs, self.names.touched)),
            _ => own,
        }
    }

    /// What is asked for a statement, and where its rows come from. What runs a prepared statement or a cursor is
    /// judged as what it runs.
    fn operation(&self, meant: &Arc<Meant>) -> (Operation, Source) {
        let statement = &meant.statement;
        match &statement.output {
            Output::OfPrepared(name) => match self.registry.statement(name.as_bytes()) {
                Some(prepared) => {
                    let inner = &prepared.meant.statement.operation;
                    (merged(&statement.operation, inner, inner.effect), Source::Statement(Arc::clone(&prepared.meant)))
                }
                None => {
                    (obscured(&statement.operation, "it runs a prepared statement that is not known"), Source::Unknown)
                }
            },
            Output::OfCursor(name) => match self.registry.cursor(name) {
                Some(declared) => {
                    let inner = &declared.statement.operation;
                    (merged(&statement.operation, inner, Effect::Read), Source::Cursor(Arc::clone(declared)))
                }
                None => (obscured(&statement.operation, "it reads a cursor that is not known"), Source::Unknown),
            },
            _ => (statement.operation.clone(), Source::Statement(Arc::clone(meant.like.as_ref().unwrap_or(meant)))),
        }
    }

    /// The unit's operation may run. Its bytes are relayed when they are handed in again.
    pub(super) fn permitted(&mut self, id: OpId, out: &mut Steps) {
        if self.phase != Phase::Asking || self.unit.last != Some(id) {
            return;
        }
        let all = self.unit.said.as_ref().map_or(1, |said| said.meant.len());
        if self.unit.asked < all {
            self.ask_unit(out);
        } else {
            self.phase = Phase::Ruled;
        }
    }

    /// It may not. None of the unit is sent.
    pub(super) fn refused(&mut self, id: OpId, refusal: &Refusal, out: &mut Steps) {
        let Some(op) = self.ops.get(id) else { return };
        let text = op.meant.statement.operation.text.as_deref().unwrap_or_default();
        let no = No::refusal(refusal, id, op.meant.unread.as_ref(), text);
        self.ops.forget(id);
        if self.phase != Phase::Asking || self.unit.last != Some(id) {
            return;
        }
        // Those of the same text that were permitted before are over without having run.
        let mut before = self.unit.first;
        while let Some(earlier) = before.filter(|e| *e < id) {
            if let Some(op) = self.ops.get_mut(earlier) {
                op.seen.tag = Some("not run".to_owned());
            }
            self.ops.done(earlier, out);
            before = earlier.0.checked_add(1).map(OpId);
        }
        self.unit.no = Some(no);
        self.phase = Phase::Ruled;
    }
}

/// `outer` runs `inner`.
fn merged(outer: &Operation, inner: &Operation, effect: Effect) -> Operation {
    let mut all = (*outer.traits).clone();
    for name in [
        traits::NO_WHERE,
        traits::BULK_EXPORT,
        traits::BULK_IMPORT,
        traits::DYNAMIC_CODE,
        traits::SERVER_FILE,
        traits::SERVER_PROGRAM,
        traits::DANGEROUS_FUNCTION,
        traits::UNKNOWN_FUNCTION,
        traits::DESTRUCTIVE,
        traits::RIGHTS,
        traits::SETTING,
        traits::CATALOG,
        traits::HIDDEN_WRITE,
        traits::LOCK,
        traits::LAUNDERS,
        traits::RENAMES,
    ] {
        if inner.traits.has(name) {
            all.insert(name);
        }
    }
    let reading = if inner.reading == Reading::Exact { outer.reading.clone() } else { inner.reading.clone() };
    Operation {
        effect: outer.effect.max(effect),
        resources: outer.resources.iter().chain(inner.resources.iter()).cloned().collect(),
        reading,
        traits: Arc::new(all),
        shape: None,
        ..outer.clone()
    }
}

/// What runs is not known.
fn obscured(outer: &Operation, why: &'static str) -> Operation {
    let mut all = (*outer.traits).clone();
    all.insert(traits::DYNAMIC_CODE);
    Operation {
        effect: outer.effect.max(Effect::Execute),
        reading: Reading::Partial(why.into()),
        traits: Arc::new(all),
        shape: None,
        ..outer.clone()
    }
}

/// Nothing runs yet. Judged by itself: a rule may let a statement be prepared and hold its run.
fn prepare_only(operation: &mut Operation) {
    let mut all = (*operation.traits).clone();
    all.insert(traits::PREPARE_ONLY);
    operation.traits = Arc::new(all);
    operation.shape = operation.shape.map(|mut shape| {
        for byte in &mut shape {
            *byte ^= 0x5a;
        }
        shape
    });
}
