//! Random schedules against a model small enough to be read in one go.
//!
//! The model knows people by hand-written sets, not by the rules under test: who is independent of whom is
//! stated here a second time, in another form.

#![cfg(test)]

mod common;

use common::{Book, Hand, identity, new_request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use vestibule_approval::{Approvals, Number, Outcome, RequestState, RuleError, Ticket};
use vestibule_core::{Identity, IdentityKind};
use vestibule_store::Store;

const SCHEDULES: u32 = 10_000;

/// Everybody in the schedules: subject, kind, groups, acting for.
const CAST: &[(&str, IdentityKind, &[&str], &[&str])] = &[
    ("ada", IdentityKind::Person, &["dba"], &[]),
    ("bob", IdentityKind::Person, &["dba"], &[]),
    ("cyd", IdentityKind::Person, &["privacy", "nurses"], &[]),
    ("dan", IdentityKind::Person, &["nurses"], &[]),
    ("eve", IdentityKind::Person, &["dba"], &["okta|ada"]),
    ("bot", IdentityKind::Agent, &["dba"], &["okta|bob"]),
    ("job", IdentityKind::Service, &["dba", "privacy"], &[]),
    ("fay", IdentityKind::Person, &["dba", "privacy"], &[]),
];

/// For each requester (by place in the cast), the approvers that count. Written out by hand.
const COUNTS: &[&[usize]] = &[
    &[1, 2, 7],    // ada asks: bob, cyd, fay; eve acts for ada
    &[0, 2, 7],    // bob asks
    &[0, 1, 7],    // cyd asks
    &[0, 1, 2, 7], // dan, who may not approve, may ask
    &[1, 2, 7],    // eve acts for ada: neither of them
    &[0, 2, 7],    // the bot acts for bob
    &[0, 1, 2, 7], // the job
    &[0, 1, 2],    // fay
];

#[derive(Debug, Clone)]
enum Act {
    Ask {
        who: usize,
        quorum: u32,
    },
    Rule {
        request: usize,
        who: usize,
        yes: bool,
    },
    /// Two at once.
    Race {
        request: usize,
        who: [usize; 2],
        yes: [bool; 2],
    },
    /// A ruling and a withdrawal at once.
    Cancel {
        request: usize,
        who: usize,
    },
    Withdraw {
        request: usize,
    },
    Tick(i64),
    Sweep,
    Restart,
    Ledger {
        fails: bool,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..CAST.len();
    let request = 0..3_usize;
    // Mostly yes, or every request would end with the first ruling.
    let yes = prop::bool::weighted(0.9);
    prop_oneof![
        4 => (who.clone(), 1..=3_u32).prop_map(|(who, quorum)| Act::Ask { who, quorum }),
        12 => (request.clone(), who.clone(), yes).prop_map(|(request, who, yes)| Act::Rule { request, who, yes }),
        4 => (request.clone(), [who.clone(), who.clone()], [yes, yes])
            .prop_map(|(request, who, yes)| Act::Race { request, who, yes }),
        1 => (request.clone(), who).prop_map(|(request, who)| Act::Cancel { request, who }),
        1 => request.prop_map(|request| Act::Withdraw { request }),
        2 => (1..400_i64).prop_map(Act::Tick),
        1 => Just(Act::Sweep),
        1 => Just(Act::Restart),
        1 => any::<bool>().prop_map(|fails| Act::Ledger { fails }),
    ]
}

/// What the model knows of a request.
#[derive(Debug)]
struct Model {
    who: usize,
    quorum: usize,
    expires: i64,
    yes: BTreeSet<usize>,
    state: RequestState,
}

impl Model {
    /// The model's own rule. Whether the ruling counts.
    fn rule(&mut self, who: usize, yes: bool, now: i64, ledger: bool) -> bool {
        if !COUNTS[self.who].contains(&who) || self.state != RequestState::Pending || !ledger {
            return false;
        }
        if now >= self.expires {
            self.state = RequestState::Expired;
            return false;
        }
        if self.yes.contains(&who) {
            return false;
        }
        if !yes {
            self.state = RequestState::Denied;
            return true;
        }
        self.yes.insert(who);
        if self.yes.len() >= self.quorum {
            self.state = RequestState::Approved;
        }
        true
    }
}

struct World {
    approvals: Approvals,
    store: Store,
    book: Book,
    hand: Hand,
    requests: Vec<(Ticket, Model)>,
}

fn cast(n: usize) -> Identity {
    let (subject, kind, groups, acting_for) = CAST[n];
    identity(subject, kind, groups, acting_for)
}

impl World {
    fn new(store: Store) -> Self {
        let (book, hand) = (Book::default(), Hand::default());
        let approvals = Approvals::new(store.clone(), book.clone(), hand.clock());
        Self { approvals, store, book, hand, requests: Vec::new() }
    }

    fn ledger(&self) -> bool {
        !self.book.failing.load(Ordering::SeqCst)
    }

    async fn rule(&self, request: usize, who: usize, yes: bool) -> Result<(), RuleError> {
        let number = self.requests[request].0.number;
        self.approvals.rule(number, &cast(who), yes, "because", self.hand.now()).await.map(|_| ())
    }

    async fn step(&mut self, act: &Act) {
        let (now, ledger) = (self.hand.now().seconds(), self.ledger());
        match *act {
            Act::Ask { who, quorum } => {
                if self.requests.len() == 3 {
                    return;
                }
                let asked = self.approvals.ask(new_request(cast(who), quorum, self.hand.now())).await;
                assert_eq!(asked.is_ok(), ledger);
                if let Ok(ticket) = asked {
                    let (quorum, expires, state) = (quorum as usize, now + 300, RequestState::Pending);
                    self.requests.push((ticket, Model { who, quorum, expires, yes: BTreeSet::new(), state }));
                }
            }
            Act::Rule { request, who, yes } if request < self.requests.len() => {
                let did = self.rule(request, who, yes).await.is_ok();
                assert_eq!(did, self.requests[request].1.rule(who, yes, now, ledger));
            }
            Act::Race { request, who, yes } if request < self.requests.len() => {
                let (a, b) = tokio::join!(self.rule(request, who[0], yes[0]), self.rule(request, who[1], yes[1]));
                self.either_order(request, [(who[0], yes[0], a.is_ok()), (who[1], yes[1], b.is_ok())]).await;
            }
            Act::Cancel { request, who } if request < self.requests.len() && ledger => {
                let ticket = self.requests[request].0.clone();
                let (ruled, _) =
                    tokio::join!(self.rule(request, who, true), self.approvals.withdraw(&ticket, "cancelled"));
                let state = self.state(ticket.number).await;
                let model = &mut self.requests[request].1;
                if ruled.is_ok() {
                    assert!(model.rule(who, true, now, ledger), "a ruling counted that may not");
                } else if now >= model.expires && model.state == RequestState::Pending {
                    // The ruling came first and found it expired, or the withdrawal did and took it back.
                    model.state = state;
                    assert!(matches!(model.state, RequestState::Expired | RequestState::Withdrawn));
                }
                if model.state == RequestState::Pending {
                    model.state = RequestState::Withdrawn;
                }
            }
            Act::Withdraw { request } if request < self.requests.len() => {
                let (ticket, model) = &mut self.requests[request];
                let pending = model.state == RequestState::Pending;
                let done = self.approvals.withdraw(ticket, "cancelled").await;
                assert_eq!(done.is_ok(), ledger || !pending);
                if pending {
                    model.state = RequestState::Withdrawn;
                }
            }
            Act::Tick(seconds) => self.hand.tick(seconds),
            Act::Sweep => {
                let swept = self.approvals.sweep().await;
                self.end(now, ledger, RequestState::Pending);
                assert!(swept.is_ok() || !ledger);
            }
            Act::Restart if ledger => {
                self.approvals = Approvals::new(self.store.clone(), self.book.clone(), self.hand.clock());
                self.approvals.recover(self.hand.now()).await.unwrap();
                self.end(now, true, RequestState::Withdrawn);
            }
            Act::Ledger { fails } => self.book.failing.store(fails, Ordering::SeqCst),
            _ => {}
        }
    }

    /// What is overdue expires; the rest becomes `otherwise`.
    fn end(&mut self, now: i64, ledger: bool, otherwise: RequestState) {
        for (_, model) in &mut self.requests {
            if model.state == RequestState::Pending && ledger {
                model.state = if now >= model.expires { RequestState::Expired } else { otherwise };
            }
        }
    }

    /// Two rulings at once must come out as one of the two orders would.
    async fn either_order(&mut self, request: usize, rulings: [(usize, bool, bool); 2]) {
        let (now, ledger) = (self.hand.now().seconds(), self.ledger());
        let state = self.state(self.requests[request].0.number).await;
        let model = &self.requests[request].1;
        let run = |order: [(usize, bool, bool); 2]| {
            let mut copy = Model { yes: model.yes.clone(), ..*model };
            let fits = order.iter().all(|(who, yes, ok)| copy.rule(*who, *yes, now, ledger) == *ok);
            (fits && copy.state == state).then_some(copy)
        };
        let found = run(rulings).or_else(|| run([rulings[1], rulings[0]]));
        self.requests[request].1 = found.expect("two rulings at once came out as neither order would");
    }

    async fn state(&self, number: Number) -> RequestState {
        self.approvals.get(number).await.unwrap().unwrap().state
    }

    /// The real thing stands as the model says, and nothing is approved that may not be.
    async fn agree(&self) {
        for (ticket, model) in &self.requests {
            let real = self.approvals.get(ticket.number).await.unwrap().unwrap();
            assert_eq!(real.state, model.state, "{ticket:?}");
            let yes: BTreeSet<_> = real.rulings.iter().filter(|r| r.yes).map(|r| r.approver_id.clone()).collect();
            let counted: BTreeSet<_> = model.yes.iter().map(|n| cast(*n).id()).collect();
            assert_eq!(yes, counted);
            if real.state == RequestState::Approved {
                assert!(yes.len() >= model.quorum && real.rulings.iter().all(|r| r.yes));
            }
        }
    }

    /// At the end of all time everybody who waits gets the model's answer, and the ledger tells the same story.
    async fn finish(mut self) {
        self.agree().await;
        self.book.failing.store(false, Ordering::SeqCst);
        self.hand.tick(1_000);
        let requests = std::mem::take(&mut self.requests);
        for (ticket, model) in &requests {
            let expected = if model.state == RequestState::Pending { RequestState::Expired } else { model.state };
            let (state, by) = match self.approvals.wait(ticket).await {
                Outcome::Approved { by } => (RequestState::Approved, by.len()),
                Outcome::Denied { .. } => (RequestState::Denied, 0),
                Outcome::Expired => (RequestState::Expired, 0),
                Outcome::Withdrawn => (RequestState::Withdrawn, 0),
            };
            assert_eq!(state, expected);
            assert!(state != RequestState::Approved || by >= model.quorum);
            self.told(ticket, model, state);
        }
    }

    fn told(&self, ticket: &Ticket, model: &Model, state: RequestState) {
        let entries = self.book.entries.lock().unwrap();
        let mine: Vec<_> = entries.iter().filter(|(_, b)| b["number"] == ticket.number.to_string()).collect();
        assert_eq!(mine[0].0, "approval.requested");
        let count = |kind| mine.iter().filter(|(k, _)| *k == kind).count();
        assert_eq!(count("approval.granted"), model.yes.len());
        assert_eq!(count("approval.denied"), usize::from(state == RequestState::Denied));
        assert_eq!(count("approval.expired"), usize::from(state == RequestState::Expired));
        // Withdrawn while the ledger failed: withdrawn all the same.
        assert!(count("approval.withdrawn") <= usize::from(state == RequestState::Withdrawn));
    }
}

/// Runs a share of the schedules on a database of its own. Returns how many requests were approved.
fn run_share(schedules: u32) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(Store::in_memory()).unwrap();
    let approved = std::cell::Cell::new(0_u32);
    let config = Config { cases: schedules, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(act(), 3..16), |acts| {
            runtime.block_on(async {
                let mut world = World::new(store.clone());
                // Something to rule on from the start.
                world.step(&Act::Ask { who: acts.len() % CAST.len(), quorum: 1 + acts.len() as u32 % 3 }).await;
                for act in &acts {
                    world.step(act).await;
                }
                let n = world.requests.iter().filter(|(_, m)| m.state == RequestState::Approved).count();
                approved.set(approved.get() + n as u32);
                world.finish().await;
            });
            Ok(())
        })
        .unwrap();
    approved.get()
}

#[test]
fn no_schedule_approves_without_a_quorum_of_distinct_eligible_people() {
    const SHARES: u32 = 4;
    let approved: u32 = std::thread::scope(|scope| {
        let shares: Vec<_> = (0..SHARES).map(|_| scope.spawn(|| run_share(SCHEDULES / SHARES))).collect();
        shares.into_iter().map(|share| share.join().unwrap()).sum()
    });
    // A model test that never gets to a yes would prove nothing.
    assert!(approved > SCHEDULES / 20, "only {approved} approvals in all schedules");
    println!("{approved} approvals in {SCHEDULES} schedules");
}
