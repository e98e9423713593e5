//! The operations under way, and what each changes of the session.

use super::copy::CopyOut;
use super::rows::{RowPlan, Source, fold};
use super::text::{Meant, Said};
use std::collections::VecDeque;
use std::sync::Arc;
use vestibule_core::{Disclosure, Effect, OpId, Reading, Step, Steps, Terms, traits};
use vestibule_sql::SessionChange;

/// What an operation can change of the session, so that what follows waits for its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// What follows is read only once it has been answered.
    pub waits: bool,
    /// The settings that reading needs must be asked again.
    pub path: bool,
    /// The structure of the database may have changed.
    pub structure: bool,
    /// Cursors may have come to be that nobody saw declared.
    pub cursors: bool,
    /// Temporary relations may have come to be.
    pub shadows: bool,
}

impl Reach {
    /// Both together.
    pub const fn or(self, other: Self) -> Self {
        Self {
            waits: self.waits || other.waits,
            path: self.path || other.path,
            structure: self.structure || other.structure,
            cursors: self.cursors || other.cursors,
            shadows: self.shadows || other.shadows,
        }
    }

    /// The reach of a statement. `touched`: settings changed in the transaction under way.
    pub fn of(meant: &Meant, touched: bool) -> Self {
        let statement = &meant.statement;
        let operation = &statement.operation;
        let has = |name| operation.traits.has(name);
        let obscure = operation.reading != Reading::Exact
            || operation.effect >= Effect::Execute
            || has(traits::DYNAMIC_CODE)
            || has(traits::UNKNOWN_FUNCTION)
            || has(traits::DANGEROUS_FUNCTION);
        let mut reach = Self { path: obscure || has(traits::SETTING), cursors: obscure, ..Self::default() };
        match &statement.session {
            SessionChange::None => {}
            SessionChange::SearchPath(_)
            | SessionChange::StandardStrings(_)
            | SessionChange::Reset
            | SessionChange::Role => reach.path = true,
            SessionChange::Rollback => reach.path |= touched,
            SessionChange::Structure => {
                reach.structure = true;
                reach.path = true;
            }
            SessionChange::Prepare(..)
            | SessionChange::Deallocate(_)
            | SessionChange::Declare(..)
            | SessionChange::CloseCursor(_) => reach.waits = true,
        }
        reach.shadows = (reach.structure || obscure) && (has(traits::DYNAMIC_CODE) || says_temporary(meant));
        reach.structure |= obscure && operation.effect >= Effect::Execute;
        reach.waits |= reach.path || reach.structure || reach.cursors;
        reach
    }
}

/// Whether a text may speak of temporary relations: `TEMP`, `TEMPORARY`, `pg_temp`, or a name in escapes.
fn says_temporary(meant: &Meant) -> bool {
    let Some(text) = &meant.statement.operation.text else { return true };
    let text = text.as_bytes();
    let has = |word: &[u8]| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    has(b"temp") || has(b"u&")
}

/// An operation under way.
#[derive(Debug)]
pub(super) struct Op {
    pub id: OpId,
    /// What it says, for what it changes once it has succeeded.
    pub meant: Arc<Meant>,
    /// The text it stands in, and which statement of it it is.
    pub said: Arc<Said>,
    pub index: usize,
    pub source: Source,
    pub terms: Option<Terms>,
    pub seen: Disclosure,
    pub plan: Option<Arc<RowPlan>>,
    /// Per column of the plan: how many values were masked or revealed.
    pub tally: Vec<u64>,
    /// Whether the terms' notice was shown, or there is none.
    pub noticed: bool,
    pub reach: Reach,
    /// Whether it was sent, so that its reach counts.
    pub sent: bool,
    pub copy: Option<CopyOut>,
}

/// All of them, in order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Ops {
    list: VecDeque<Op>,
    last: u64,
    /// How many sent operations must be answered before anything else is read.
    pub waiting_for: usize,
}

impl Ops {
    /// A new operation, not yet judged.
    pub fn open(&mut self, meant: Arc<Meant>, place: (Arc<Said>, usize), source: Source, reach: Reach) -> OpId {
        self.last = self.last.saturating_add(1);
        let id = OpId(self.last);
        self.list.push_back(Op {
            id,
            meant,
            said: place.0,
            index: place.1,
            source,
            terms: None,
            seen: Disclosure::default(),
            plan: None,
            tally: Vec::new(),
            noticed: false,
            reach,
            sent: false,
            copy: None,
        });
        id
    }

    fn place(&self, id: OpId) -> Option<usize> {
        match self.list.front() {
            Some(first) if first.id == id => Some(0),
            Some(_) => self.list.binary_search_by_key(&id, |op| op.id).ok(),
            None => None,
        }
    }

    pub fn get(&self, id: OpId) -> Option<&Op> {
        self.list.get(self.place(id)?)
    }

    pub fn get_mut(&mut self, id: OpId) -> Option<&mut Op> {
        let at = self.place(id)?;
        self.list.get_mut(at)
    }

    /// The operation was sent.
    pub fn sent(&mut self, id: OpId) {
        if let Some(op) = self.get_mut(id)
            && !op.sent
        {
            op.sent = true;
            if op.reach.waits {
                self.waiting_for = self.waiting_for.saturating_add(1);
            }
        }
    }

    /// The operation was answered: nothing waits for it any more, whether or not it is closed yet.
    pub fn answered(&mut self, id: OpId) {
        if let Some(op) = self.get_mut(id)
            && std::mem::take(&mut op.sent)
            && op.reach.waits
        {
            self.waiting_for = self.waiting_for.saturating_sub(1);
        }
    }

    /// Forgets a refused operation: it never was one.
    pub fn forget(&mut self, id: OpId) {
        if let Some(at) = self.place(id) {
            self.list.remove(at);
        }
    }

    /// The operation is over.
    pub fn done(&mut self, id: OpId, out: &mut Steps) -> Option<Op> {
        self.answered(id);
        let at = self.place(id)?;
        let mut op = self.list.remove(at)?;
        if let Some(plan) = op.plan.take() {
            fold(&plan, &mut op.tally, &mut op.seen);
        }
        out.push(Step::Done { id, disclosed: std::mem::take(&mut op.seen) });
        Some(op)
    }

    /// The first operation, if any is open.
    pub fn first(&self) -> Option<OpId> {
        self.list.front().map(|op| op.id)
    }
}
