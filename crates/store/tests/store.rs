//! The store as its users see it, on a real file.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use vestibule_core::{IdentityKind, PhiClass, Timestamp};
use vestibule_store::{
    Ending, NewRequest, NewSession, Recorded, RequestFilter, RequestState, Revocation, RevocationKind, SessionChange,
    SessionCounts, SessionFilter, Store, StoreError, StoredRuling,
};

struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    Fixture { _folder: folder, path }
}

fn session(sid: &str, who: &str, target: &str, opened: i64) -> NewSession {
    NewSession {
        sid: sid.into(),
        identity_id: format!("okta|{who}"),
        identity_name: format!("{who}@clinic.example"),
        identity_kind: IdentityKind::Person,
        target: target.into(),
        protocol: "postgres".into(),
        source: "10.0.0.9:51234".into(),
        recording: Some(format!("2026/11/{sid}")),
        opened: Timestamp::from_seconds(opened),
    }
}

fn counts(ops: u64) -> SessionCounts {
    SessionCounts {
        ops,
        rows: ops * 10,
        denied: 1,
        masked: BTreeMap::from([(PhiClass::Ssn, ops)]),
        revealed: BTreeMap::from([(PhiClass::BirthDate, 2)]),
    }
}

fn request(quorum: u32) -> NewRequest {
    NewRequest {
        sid: "s1".into(),
        op: 3,
        requester_id: "okta|ada".into(),
        requester_name: "ada".into(),
        acting_for: vec!["okta|eve".into()],
        target: "clinic".into(),
        effect: "write".into(),
        action: "DELETE".into(),
        statement: "DELETE FROM patient WHERE id = '…'".into(),
        digest: "ab".repeat(32),
        classes: vec!["ssn".into()],
        approver_groups: vec!["dba".into()],
        quorum,
        reason: "writes to patient need a second person".into(),
        created: Timestamp::from_seconds(100),
        expires: Timestamp::from_seconds(400),
    }
}

fn ruling(who: &str, yes: bool, at: i64) -> StoredRuling {
    StoredRuling {
        approver_id: format!("okta|{who}"),
        approver_name: who.into(),
        yes,
        reason: "ticket 12".into(),
        at: Timestamp::from_seconds(at),
    }
}

#[tokio::test]
async fn a_database_is_created_once_closed_to_others_and_survives_reopening() {
    let f = fixture();
    assert!(matches!(Store::open(&f.path).await, Err(StoreError::Missing(_))));
    let store = Store::create(&f.path).await.unwrap();
    assert!(store.open_session(&session("s1", "ada", "clinic", 10)).await.unwrap());
    store.close().await;
    assert!(matches!(Store::create(&f.path).await, Err(StoreError::Exists(_))));

    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&f.path).unwrap().permissions().mode() & 0o777, 0o600);

    let store = Store::open(&f.path).await.unwrap();
    assert_eq!(store.session("s1").await.unwrap().unwrap().identity_id, "okta|ada");
}

#[tokio::test]
async fn another_programs_or_a_newer_database_is_refused() {
    let f = fixture();
    let raw = |sql: &'static str| {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&f.path).create_if_missing(true);
        async move {
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            pool.close().await;
        }
    };
    raw("CREATE TABLE theirs (x)").await;
    assert!(matches!(Store::open(&f.path).await, Err(StoreError::Foreign(_))));
    std::fs::remove_file(&f.path).unwrap();
    Store::create(&f.path).await.unwrap().close().await;
    raw("UPDATE schema_version SET number = 99").await;
    let error = Store::open(&f.path).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the database has schema 99, this version knows up to 1; use the newer version again"
    );
}

#[tokio::test]
async fn a_session_is_opened_touched_and_closed_once() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    let new = session("s1", "ada", "clinic", 10);
    assert!(store.open_session(&new).await.unwrap());
    assert!(!store.open_session(&new).await.unwrap(), "opened twice");
    assert!(store.touch_session("s1", &counts(5)).await.unwrap());
    assert!(!store.touch_session("s1", &counts(4)).await.unwrap(), "an overtaken update set totals back");
    assert!(store.close_session("s1", Timestamp::from_seconds(60), "client left", &counts(7)).await.unwrap());
    assert!(!store.close_session("s1", Timestamp::from_seconds(61), "again", &counts(8)).await.unwrap());
    assert!(!store.touch_session("s1", &counts(9)).await.unwrap(), "touched after its end");
    let row = store.session("s1").await.unwrap().unwrap();
    assert_eq!((row.closed, row.reason.as_deref()), (Some(Timestamp::from_seconds(60)), Some("client left")));
    assert_eq!(row.counts, counts(7));
    assert_eq!(row.recording.as_deref(), Some("2026/11/s1"));
}

#[tokio::test]
async fn sessions_are_filtered_and_paged() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    let mut changes = Vec::new();
    for n in 0..20 {
        let (who, target) = (if n % 2 == 0 { "ada" } else { "bob" }, if n % 5 == 0 { "lab" } else { "clinic" });
        changes.push(SessionChange::Open(session(&format!("s{n:02}"), who, target, 1_000 + n)));
    }
    changes.push(SessionChange::Close {
        sid: "s03".into(),
        at: Timestamp::from_seconds(1_500),
        reason: "client left".into(),
        counts: counts(1),
    });
    changes.push(SessionChange::Touch("s04".into(), counts(9)));
    store.apply_sessions(&changes).await.unwrap();
    let sids = |f: SessionFilter| {
        let store = store.clone();
        async move { store.sessions(&f).await.unwrap().into_iter().map(|r| r.sid).collect::<Vec<_>>() }
    };
    let all = SessionFilter::default();
    assert_eq!(sids(all.clone()).await.len(), 20);
    assert_eq!(sids(SessionFilter { identity: Some("okta|ada".into()), ..all.clone() }).await.len(), 10);
    assert_eq!(sids(SessionFilter { identity: Some("bob@clinic.example".into()), ..all.clone() }).await.len(), 10);
    assert_eq!(sids(SessionFilter { target: Some("lab".into()), ..all.clone() }).await, ["s15", "s10", "s05", "s00"]);
    assert_eq!(sids(SessionFilter { open: Some(false), ..all.clone() }).await, ["s03"]);
    assert_eq!(sids(SessionFilter { open: Some(true), ..all.clone() }).await.len(), 19);
    let at = |s| Some(Timestamp::from_seconds(s));
    assert_eq!(sids(SessionFilter { to: at(1_002), ..all.clone() }).await, ["s01", "s00"]);
    // s03 ended before; everything else is still open and so belongs to any later period.
    assert_eq!(sids(SessionFilter { from: at(1_501), ..all.clone() }).await.len(), 19);
    // Filters are values, never SQL.
    assert!(sids(SessionFilter { target: Some("lab' OR 1=1 --".into()), ..all.clone() }).await.is_empty());

    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.sessions(&SessionFilter { after, limit: 7, ..all.clone() }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.opened, last.sid.clone()));
        seen.extend(page.into_iter().map(|r| r.sid));
    }
    assert_eq!(seen, sids(all).await);
}

#[tokio::test]
async fn sessions_left_open_are_abandoned_at_boot() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    for sid in ["b", "a", "c"] {
        store.open_session(&session(sid, "ada", "clinic", 10)).await.unwrap();
    }
    store.close_session("c", Timestamp::from_seconds(20), "client left", &counts(1)).await.unwrap();
    assert_eq!(store.abandon_open_sessions(Timestamp::from_seconds(30)).await.unwrap(), ["a", "b"]);
    assert!(store.abandon_open_sessions(Timestamp::from_seconds(31)).await.unwrap().is_empty());
    assert_eq!(store.session("a").await.unwrap().unwrap().closed, Some(Timestamp::from_seconds(30)));
    assert_eq!(store.session("c").await.unwrap().unwrap().closed, Some(Timestamp::from_seconds(20)));
}

#[tokio::test]
async fn a_draft_cannot_be_ruled_on_and_a_pending_request_needs_its_quorum() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    let n = store.add_request(&request(2)).await.unwrap();
    let draft = Recorded::NotPending(Some(RequestState::Draft));
    assert_eq!(store.record_ruling(n, &ruling("bob", true, 110)).await.unwrap(), draft);
    assert!(store.publish_request(n).await.unwrap());
    assert!(!store.publish_request(n).await.unwrap());
    let pending = Recorded::Counted(RequestState::Pending);
    assert_eq!(store.record_ruling(n, &ruling("bob", true, 110)).await.unwrap(), pending);
    assert_eq!(store.record_ruling(n, &ruling("bob", true, 111)).await.unwrap(), Recorded::AlreadyVoted);
    assert_eq!(store.record_ruling(n, &ruling("bob", false, 112)).await.unwrap(), Recorded::AlreadyVoted);
    let approved = Recorded::Counted(RequestState::Approved);
    assert_eq!(store.record_ruling(n, &ruling("cyd", true, 120)).await.unwrap(), approved);
    let settled = Recorded::NotPending(Some(RequestState::Approved));
    assert_eq!(store.record_ruling(n, &ruling("dan", false, 130)).await.unwrap(), settled);
    assert_eq!(store.record_ruling(99, &ruling("dan", false, 130)).await.unwrap(), Recorded::NotPending(None));
    assert!(!store.settle_request(n, Ending::Withdrawn, "late", Timestamp::from_seconds(140)).await.unwrap());

    let kept = store.request(n).await.unwrap().unwrap();
    assert_eq!(kept.asked, request(2));
    assert_eq!((kept.state, kept.settled_at), (RequestState::Approved, Some(Timestamp::from_seconds(120))));
    assert_eq!(kept.rulings, [ruling("bob", true, 110), ruling("cyd", true, 120)]);
}

#[tokio::test]
async fn one_no_denies_and_a_quorum_of_nobody_cannot_be_kept() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    let n = store.add_request(&request(3)).await.unwrap();
    store.publish_request(n).await.unwrap();
    store.record_ruling(n, &ruling("bob", true, 110)).await.unwrap();
    let denied = Recorded::Counted(RequestState::Denied);
    assert_eq!(store.record_ruling(n, &ruling("cyd", false, 111)).await.unwrap(), denied);
    assert!(matches!(store.add_request(&request(0)).await, Err(StoreError::Database(_))));
}

#[tokio::test]
async fn of_many_rulings_at_once_exactly_the_quorum_counts() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    // Two handles on one file, as two processes would have.
    let other = Store::open(&f.path).await.unwrap();
    for _ in 0..20 {
        let n = store.add_request(&request(2)).await.unwrap();
        store.publish_request(n).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for who in 0..8 {
            let store = if who % 2 == 0 { store.clone() } else { other.clone() };
            tasks.spawn(async move { store.record_ruling(n, &ruling(&format!("p{who}"), true, 110)).await.unwrap() });
        }
        let all = tasks.join_all().await;
        let count = |r| all.iter().filter(|x| **x == r).count();
        assert_eq!(count(Recorded::Counted(RequestState::Pending)), 1);
        assert_eq!(count(Recorded::Counted(RequestState::Approved)), 1);
        assert_eq!(count(Recorded::NotPending(Some(RequestState::Approved))), 6);
        assert_eq!(other.request(n).await.unwrap().unwrap().rulings.len(), 2);
    }
}

#[tokio::test]
async fn requests_are_listed_with_their_rulings_and_numbers_are_not_used_twice() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    for n in 0..5_i64 {
        let mut r = request(1);
        r.created = Timestamp::from_seconds(100 + n);
        r.expires = Timestamp::from_seconds(200 + n);
        let number = store.add_request(&r).await.unwrap();
        store.publish_request(number).await.unwrap();
    }
    store.record_ruling(2, &ruling("bob", true, 150)).await.unwrap();
    store.record_ruling(4, &ruling("bob", false, 151)).await.unwrap();
    let numbers = |f: RequestFilter| {
        let store = store.clone();
        async move { store.requests(&f).await.unwrap().iter().map(|r| (r.number, r.rulings.len())).collect::<Vec<_>>() }
    };
    let all = RequestFilter::default();
    assert_eq!(numbers(all.clone()).await, [(5, 0), (4, 1), (3, 0), (2, 1), (1, 0)]);
    let pending = RequestFilter { state: Some(RequestState::Pending), ..all.clone() };
    assert_eq!(numbers(pending).await, [(5, 0), (3, 0), (1, 0)]);
    let below = RequestFilter { below: Some(4), limit: 2, ..all.clone() };
    assert_eq!(numbers(below).await, [(3, 0), (2, 1)]);
    let at = |s| Some(Timestamp::from_seconds(s));
    assert_eq!(numbers(RequestFilter { from: at(101), to: at(103), ..all.clone() }).await, [(3, 0), (2, 1)]);
    assert_eq!(numbers(RequestFilter { requester: Some("nobody".into()), ..all }).await, []);
    assert_eq!(store.overdue_requests(Timestamp::from_seconds(202)).await.unwrap(), [1, 3]);
    assert_eq!(store.unsettled_requests().await.unwrap(), [1, 3, 5]);
    assert_eq!(store.unsettled_of("okta|ada").await.unwrap(), 3);
    store.close().await;

    let pool =
        sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(&f.path)).await.unwrap();
    sqlx::raw_sql("DELETE FROM requests WHERE number = 5").execute(&pool).await.unwrap();
    pool.close().await;
    let store = Store::open(&f.path).await.unwrap();
    assert_eq!(store.add_request(&request(1)).await.unwrap(), 6);
}

#[tokio::test]
async fn revocations_are_kept_until_what_they_name_has_ended() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    let revocation = |subject: &str, until: Option<i64>| Revocation {
        kind: RevocationKind::Token,
        subject: subject.into(),
        at: Timestamp::from_seconds(10),
        by: "okta|root".into(),
        reason: "laptop lost".into(),
        until: until.map(Timestamp::from_seconds),
    };
    assert!(store.revoke(&revocation("t1", Some(50))).await.unwrap());
    assert!(!store.revoke(&revocation("t1", Some(90))).await.unwrap());
    assert!(store.revoke(&revocation("t2", None)).await.unwrap());
    assert!(!store.revoke(&revocation("t2", Some(20))).await.unwrap());
    assert!(store.is_revoked(RevocationKind::Token, "t1").await.unwrap());
    assert!(!store.is_revoked(RevocationKind::Session, "t1").await.unwrap());
    assert_eq!(store.forget_revocations(Timestamp::from_seconds(60)).await.unwrap(), 0, "a longer one was forgotten");
    assert_eq!(store.forget_revocations(Timestamp::from_seconds(90)).await.unwrap(), 1);
    assert_eq!(store.revocations().await.unwrap(), [revocation("t2", None)]);
    let kind = revocation("t2", None).kind;
    assert!(store.restore(kind, "t2").await.unwrap());
    assert!(!store.restore(kind, "t2").await.unwrap());
    assert!(!store.is_revoked(kind, "t2").await.unwrap());
}

#[tokio::test]
async fn meta_is_compare_and_set() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    assert_eq!(store.meta("node").await.unwrap(), None);
    assert!(store.set_meta("node", None, "a").await.unwrap());
    assert!(!store.set_meta("node", None, "b").await.unwrap());
    assert!(!store.set_meta("node", Some("x"), "b").await.unwrap());
    assert!(store.set_meta("node", Some("a"), "b").await.unwrap());
    assert_eq!(store.meta("node").await.unwrap().as_deref(), Some("b"));
}

#[tokio::test]
async fn a_database_that_cannot_be_written_says_so_and_changes_nothing() {
    let f = fixture();
    let store = Store::create(&f.path).await.unwrap();
    let n = store.add_request(&request(1)).await.unwrap();
    store.publish_request(n).await.unwrap();
    // The ruling goes in, the change of state after it fails: as on a disk that fills up in between.
    store.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&f.path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(
        "CREATE TRIGGER full BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let store = Store::open(&f.path).await.unwrap();
    assert!(store.record_ruling(n, &ruling("bob", true, 110)).await.is_err());
    let kept = store.request(n).await.unwrap().unwrap();
    assert_eq!(kept.state, RequestState::Pending);
    assert!(kept.rulings.is_empty(), "half of a ruling was kept");
}
