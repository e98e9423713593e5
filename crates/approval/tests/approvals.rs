//! Approvals, one behaviour a test.

#![cfg(test)]

mod common;

use common::{Book, Hand, identity, new_request};
use std::sync::atomic::Ordering;
use std::time::Duration;
use vestibule_approval::{
    Approvals, AskError, Happened, MAX_STATEMENT_BYTES, MAX_WAITING, Number, Outcome, RequestFilter, RequestState,
    RuleError,
};
use vestibule_core::{Identity, IdentityKind, Timestamp};
use vestibule_store::Store;

struct Setup {
    approvals: Approvals,
    store: Store,
    book: Book,
    hand: Hand,
}

async fn setup() -> Setup {
    let (store, book, hand) = (Store::in_memory().await.unwrap(), Book::default(), Hand::default());
    let approvals = Approvals::new(store.clone(), book.clone(), hand.clock());
    Setup { approvals, store, book, hand }
}

fn person(subject: &str) -> Identity {
    identity(subject, IdentityKind::Person, &["dba"], &[])
}

fn poll_once_and_drop(future: impl Future) {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(Box::pin(future).as_mut().poll(&mut context).is_pending());
}

impl Setup {
    fn kinds(&self) -> Vec<&'static str> {
        self.book.entries.lock().unwrap().iter().map(|(kind, _)| *kind).collect()
    }
}

#[tokio::test]
async fn a_waiting_operation_is_woken_by_the_last_yes() {
    let s = setup().await;
    let mut events = s.approvals.subscribe();
    let ticket = s.approvals.ask(new_request(person("ada"), 2, s.hand.now())).await.unwrap();
    assert_eq!(
        (ticket.number.to_string().as_str(), ticket.who_may.as_str()),
        ("R-1", "2 different members of dba or privacy")
    );
    let waiter = tokio::spawn({
        let (a, t) = (s.approvals.clone(), ticket.clone());
        async move { a.wait(&t).await }
    });
    let first = s.approvals.rule(ticket.number, &person("bob"), true, " ticket 12 ", s.hand.now()).await.unwrap();
    assert_eq!((first.state, first.yes, first.quorum), (RequestState::Pending, 1, 2));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiter.is_finished(), "one of two is not enough");
    s.approvals.rule(ticket.number, &person("cyd"), true, "seen", s.hand.now()).await.unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(5), waiter).await.unwrap().unwrap();
    let Outcome::Approved { by } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        by.iter().map(|a| (a.id.as_str(), a.reason.as_str())).collect::<Vec<_>>(),
        [("okta|bob", "ticket 12"), ("okta|cyd", "seen")]
    );
    assert_eq!(s.kinds(), ["approval.requested", "approval.granted", "approval.granted"]);
    let happened: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).map(|e| e.what).collect();
    assert_eq!(happened, [Happened::Asked, Happened::Ruled, Happened::Settled(RequestState::Approved)]);
    let entries = s.book.entries.lock().unwrap();
    assert_eq!(entries[2].1["digest"], "ab".repeat(32), "a yes names exactly what it is a yes to");
    assert_eq!(entries[1].1["state"], "pending");
    assert_eq!(entries[2].1["state"], "approved");
}

#[tokio::test]
async fn who_may_not_rule() {
    let s = setup().await;
    let agent = identity("bot", IdentityKind::Agent, &["dba"], &["okta|ada"]);
    let t = s.approvals.ask(new_request(agent, 1, s.hand.now())).await.unwrap().number;
    let rule = |who, reason: &'static str| {
        let (a, now) = (s.approvals.clone(), s.hand.now());
        async move { a.rule(t, &who, true, reason, now).await.unwrap_err() }
    };
    let me = identity("bot", IdentityKind::Person, &["dba"], &[]);
    assert!(matches!(rule(me, "x").await, RuleError::OwnRequest));
    assert!(matches!(rule(person("ada"), "x").await, RuleError::OnBehalfOfRequester), "the agent's principal");
    let delegate = identity("dan", IdentityKind::Person, &["dba"], &["okta|bot"]);
    assert!(matches!(rule(delegate, "x").await, RuleError::OnBehalfOfRequester), "the requester's delegate");
    let sibling = identity("bot2", IdentityKind::Agent, &["dba"], &["okta|ada"]);
    assert!(matches!(rule(sibling, "x").await, RuleError::OnBehalfOfRequester), "another agent of the same principal");
    let service = identity("ci", IdentityKind::Service, &["dba"], &[]);
    assert!(matches!(rule(service, "x").await, RuleError::NotAPerson));
    let in_anothers_name = identity("dan", IdentityKind::Person, &["dba"], &["okta|eve"]);
    assert!(matches!(rule(in_anothers_name, "x").await, RuleError::NotAPerson));
    let outsider = identity("oz", IdentityKind::Person, &["nurses"], &[]);
    let error = rule(outsider, "x").await;
    assert!(matches!(&error, RuleError::NotEligible { groups } if groups == &["dba", "privacy"]));
    assert_eq!(error.to_string(), "only members of dba, privacy can rule on this request");
    let mut expired = person("bob");
    expired.expires = s.hand.now();
    assert!(matches!(rule(expired, "x").await, RuleError::ProofEnded));
    let mut elsewhere = person("bob");
    elsewhere.only_target = Some("lab".into());
    assert!(matches!(rule(elsewhere, "x").await, RuleError::ProofEnded));
    assert!(matches!(rule(person("bob"), "  \n").await, RuleError::ReasonRequired));
    let long = "x".repeat(1_001);
    assert!(matches!(
        s.approvals.rule(t, &person("bob"), true, &long, s.hand.now()).await,
        Err(RuleError::ReasonTooLong)
    ));
    let missing = s.approvals.rule(Number(77), &person("bob"), true, "x", s.hand.now()).await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no request R-77");
    assert_eq!(s.kinds(), ["approval.requested"], "a refused ruling left a trace of a ruling");
    assert_eq!(s.approvals.get(t).await.unwrap().unwrap().state, RequestState::Pending);
}

#[tokio::test]
async fn one_no_denies_with_its_words_and_settles_for_ever() {
    let s = setup().await;
    let t = s.approvals.ask(new_request(person("ada"), 2, s.hand.now())).await.unwrap();
    s.approvals.rule(t.number, &person("bob"), true, "fine", s.hand.now()).await.unwrap();
    let again = s.approvals.rule(t.number, &person("bob"), true, "fine", s.hand.now()).await;
    assert!(matches!(again, Err(RuleError::AlreadyVoted)));
    s.approvals.rule(t.number, &person("cyd"), false, "not on a Friday", s.hand.now()).await.unwrap();
    let late = s.approvals.rule(t.number, &person("dan"), true, "fine", s.hand.now()).await;
    assert!(matches!(late, Err(RuleError::AlreadySettled { state: RequestState::Denied })));
    let outcome = s.approvals.wait(&t).await;
    assert!(matches!(outcome, Outcome::Denied { by, reason } if by.id == "okta|cyd" && reason == "not on a Friday"));
}

#[tokio::test]
async fn what_the_ledger_does_not_take_does_not_happen() {
    let s = setup().await;
    s.book.failing.store(true, Ordering::SeqCst);
    assert!(matches!(s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await, Err(AskError::Ledger(_))));
    s.book.failing.store(false, Ordering::SeqCst);
    let t = s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await.unwrap();
    s.book.failing.store(true, Ordering::SeqCst);
    for yes in [true, false] {
        let error = s.approvals.rule(t.number, &person("bob"), yes, "x", s.hand.now()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the ruling could not be recorded, so it does not count: no space left on device"
        );
    }
    let kept = s.approvals.get(t.number).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.rulings.len()), (RequestState::Pending, 0));
    // An expiry that cannot be recorded is still a no, and is recorded once it can be.
    s.hand.tick(300);
    assert_eq!(s.approvals.wait(&t).await, Outcome::Expired);
    assert!(s.approvals.sweep().await.is_err());
    s.book.failing.store(false, Ordering::SeqCst);
    assert_eq!(s.approvals.sweep().await.unwrap(), 1);
    assert_eq!(s.kinds(), ["approval.requested", "approval.expired"]);
    // The first one, which the ledger never heard of, is not there for anybody to rule on.
    let all = s.approvals.list(&RequestFilter::default()).await.unwrap();
    assert_eq!(all.iter().map(|r| r.state).collect::<Vec<_>>(), [RequestState::Expired, RequestState::Withdrawn]);
}

#[tokio::test]
async fn a_dropped_wait_loses_no_ruling() {
    let s = setup().await;
    let t = s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(20), s.approvals.wait(&t)).await.is_err());
    s.approvals.rule(t.number, &person("bob"), true, "x", s.hand.now()).await.unwrap();
    assert!(matches!(s.approvals.wait(&t).await, Outcome::Approved { .. }));
}

#[tokio::test]
async fn a_dropped_ruling_is_carried_out_and_a_dropped_request_is_withdrawn() {
    let s = setup().await;
    let t = s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await.unwrap();
    // Polled once, then dropped: the approver's connection broke after the request had been sent.
    let bob = person("bob");
    let ruling = s.approvals.rule(t.number, &bob, true, "x", s.hand.now());
    poll_once_and_drop(ruling);
    assert!(matches!(s.approvals.wait(&t).await, Outcome::Approved { .. }));

    let asking = s.approvals.ask(new_request(person("ada"), 1, s.hand.now()));
    poll_once_and_drop(asking);
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if s.kinds().last() == Some(&"approval.withdrawn") {
            break;
        }
    }
    assert_eq!(s.kinds()[2..], ["approval.requested", "approval.withdrawn"]);
}

#[tokio::test]
async fn time_runs_out_for_whoever_waits_and_for_whoever_is_late() {
    let s = setup().await;
    let waited = s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await.unwrap();
    let unwatched = s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await.unwrap();
    s.hand.tick(299);
    assert!(tokio::time::timeout(Duration::from_millis(20), s.approvals.wait(&waited)).await.is_err());
    s.hand.tick(1);
    assert_eq!(s.approvals.wait(&waited).await, Outcome::Expired);
    // The caller's own idea of the time does not help.
    let late = s.approvals.rule(unwatched.number, &person("bob"), true, "x", Timestamp(0)).await;
    assert!(matches!(late, Err(RuleError::AlreadySettled { state: RequestState::Expired })));
    assert_eq!(s.kinds()[2..], ["approval.expired", "approval.expired"]);
}

#[tokio::test]
async fn expiry_needs_nobody_to_look_and_no_wall_clock() {
    let s = setup().await;
    let mut new = new_request(person("ada"), 1, s.hand.now());
    new.hold.expires_after = 1;
    let t = s.approvals.ask(new).await.unwrap();
    // The wall clock stands still (set back, say); the wait ends all the same.
    let outcome = tokio::time::timeout(Duration::from_secs(5), s.approvals.wait(&t)).await.unwrap();
    assert_eq!(outcome, Outcome::Expired);
    assert_eq!(s.approvals.get(t.number).await.unwrap().unwrap().state, RequestState::Expired);
}

#[tokio::test]
async fn a_client_that_cancels_withdraws() {
    let s = setup().await;
    let t = s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await.unwrap();
    let waiter = tokio::spawn({
        let (a, t) = (s.approvals.clone(), t.clone());
        async move { a.wait(&t).await }
    });
    assert_eq!(s.approvals.withdraw(&t, "cancel request").await.unwrap(), RequestState::Withdrawn);
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), waiter).await.unwrap().unwrap(), Outcome::Withdrawn);
    let late = s.approvals.rule(t.number, &person("bob"), true, "x", s.hand.now()).await;
    assert!(matches!(late, Err(RuleError::AlreadySettled { state: RequestState::Withdrawn })));
    let entries = s.book.entries.lock().unwrap().clone();
    assert_eq!((entries[1].0, entries[1].1["reason"].as_str()), ("approval.withdrawn", Some("cancel request")));
}

#[tokio::test]
async fn a_restart_ends_what_waited() {
    let s = setup().await;
    let t1 = s.approvals.ask(new_request(person("ada"), 2, s.hand.now())).await.unwrap();
    s.approvals.rule(t1.number, &person("bob"), true, "x", s.hand.now()).await.unwrap();
    s.hand.tick(200);
    let t2 = s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await.unwrap();
    s.hand.tick(150);
    let again = Approvals::new(s.store.clone(), s.book.clone(), s.hand.clock());
    assert_eq!(again.recover(s.hand.now()).await.unwrap(), [t1.number, t2.number]);
    assert_eq!(again.wait(&t1).await, Outcome::Expired);
    assert_eq!(again.wait(&t2).await, Outcome::Withdrawn);
    assert!(again.recover(s.hand.now()).await.unwrap().is_empty());
    let kept = again.get(t2.number).await.unwrap().unwrap();
    assert_eq!(kept.settled_why.as_deref(), Some("the gateway restarted"));
}

#[tokio::test]
async fn what_an_approver_could_not_read_is_not_asked() {
    let s = setup().await;
    let mut hidden = new_request(person("ada"), 1, s.hand.now());
    hidden.statement = "DROP TABLE patient; --\r\x1b[2K SELECT 1 \u{202e}".into();
    let t = s.approvals.ask(hidden).await.unwrap();
    let kept = s.approvals.get(t.number).await.unwrap().unwrap();
    assert_eq!(kept.asked.statement, "DROP TABLE patient; --\\u{d}\\u{1b}[2K SELECT 1 \\u{202e}");
    let mut long = new_request(person("ada"), 1, s.hand.now());
    long.statement = "\u{1}".repeat(MAX_STATEMENT_BYTES / 4);
    assert!(matches!(s.approvals.ask(long).await, Err(AskError::TooLong { .. })));
    let mut nobody = new_request(person("ada"), 1, s.hand.now());
    nobody.hold.approvers.clear();
    assert!(matches!(s.approvals.ask(nobody).await, Err(AskError::NobodyMay)));
    // A quorum of 0 would approve by itself.
    let zero = s.approvals.ask(new_request(person("ada"), 0, s.hand.now())).await.unwrap();
    assert_eq!(s.approvals.get(zero.number).await.unwrap().unwrap().asked.quorum, 1);
}

#[tokio::test]
async fn nobody_buries_a_request_under_many() {
    let s = setup().await;
    for _ in 0..MAX_WAITING {
        s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await.unwrap();
    }
    let more = s.approvals.ask(new_request(person("ada"), 1, s.hand.now())).await;
    assert!(matches!(more, Err(AskError::TooMany(MAX_WAITING))));
    assert!(s.approvals.ask(new_request(person("bob"), 1, s.hand.now())).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn approvers_at_once_make_exactly_the_quorum() {
    let s = setup().await;
    for round in 0..50 {
        let t = s.approvals.ask(new_request(person("ada"), 3, s.hand.now())).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let (a, number, now) = (s.approvals.clone(), t.number, s.hand.now());
            tasks.spawn(async move { a.rule(number, &person(&format!("p{}", n % 6)), true, "x", now).await });
        }
        let results = tasks.join_all().await;
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 3, "round {round}");
        let Outcome::Approved { by } = s.approvals.wait(&t).await else { panic!("round {round}") };
        let people: std::collections::BTreeSet<_> = by.iter().map(|a| &a.id).collect();
        assert_eq!(people.len(), 3);
    }
    let granted = s.kinds().iter().filter(|k| **k == "approval.granted").count();
    assert_eq!(granted, 150, "the ledger has exactly the rulings that took effect");
}
