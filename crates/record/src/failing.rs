//! The recorder on storage that fails or stalls, at every write.

use crate::objects::{Directory, Objects};
use crate::{
    Archive, Ending, Event, Header, Moment, Options, RecordError, Recorder, RecordingKey, Writer, inspect, lock,
};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use vestibule_core::{OpId, Side, Timestamp};

/// A directory whose n-th change fails, as a full disk does, or that stands still while its gate is shut.
struct Awkward {
    inner: Directory,
    fail_at: usize,
    changes: AtomicUsize,
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Awkward {
    fn new(dir: &Path, fail_at: usize) -> Arc<Self> {
        let inner = Directory::new(dir, false);
        Arc::new(Self { inner, fail_at, changes: AtomicUsize::new(0), shut: Mutex::new(false), opened: Condvar::new() })
    }

    fn shut(&self, shut: bool) {
        *lock(&self.shut) = shut;
        self.opened.notify_all();
    }

    fn change(&self) -> io::Result<()> {
        drop(self.opened.wait_while(lock(&self.shut), |shut| *shut).unwrap());
        let number = self.changes.fetch_add(1, Ordering::SeqCst);
        if number >= self.fail_at { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Objects for Awkward {
    fn begin(&self, folder: &str) -> io::Result<()> {
        self.change()?;
        self.inner.begin(folder)
    }
    fn put(&self, key: &str, bytes: &[u8]) -> io::Result<()> {
        self.change()?;
        self.inner.put(key, bytes)
    }
    fn get(&self, key: &str, first: Option<usize>, at_most: u64) -> io::Result<Option<Vec<u8>>> {
        self.inner.get(key, first, at_most)
    }
    fn names(&self, folder: &str) -> io::Result<Option<Vec<String>>> {
        self.inner.names(folder)
    }
}

const SID: &str = "01a2105b4e4b00112233445566778899";

fn header() -> Header {
    let text = |text: &str| text.to_owned();
    Header {
        sid: text(SID),
        target: text("t"),
        protocol: text("p"),
        identity_id: text("i|s"),
        identity_name: text("n"),
        started: Timestamp(0),
    }
}

fn options() -> Options {
    Options {
        chunk_bytes: 1 << 10,
        chunk_age: Duration::from_secs(3_600),
        max_waiting: 256 << 10,
        durable: false,
        ..Options::default()
    }
}

fn frames(recorder: &mut Recorder, number: u64) -> Result<(), RecordError> {
    let bytes = [number as u8; 600];
    recorder.event(number, Event::Frames { side: Side::Client, op: Some(OpId(number)), bytes: &bytes })
}

fn read(dir: &Path, key: &RecordingKey) -> Result<(Vec<Moment>, Ending), RecordError> {
    let mut moments = Archive::open(dir, vec![key.clone()]).recording(SID)?.moments();
    let all = moments.by_ref().collect::<Result<_, _>>()?;
    Ok((all, moments.ending().clone()))
}

#[tokio::test]
async fn a_failure_at_any_write_is_told_and_ends_it() {
    let key = RecordingKey::generate().unwrap();
    for fail_at in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::over(Awkward::new(dir.path(), fail_at), vec![key.public().clone()], options()).unwrap();
        let mut recorder = writer.session(header()).unwrap();
        let mut failed = None;
        for number in 1..=200 {
            let outcome = frames(&mut recorder, number);
            let outcome = if outcome.is_ok() { recorder.room().await } else { outcome };
            if let Err(error) = outcome {
                failed = Some((number, error));
                break;
            }
        }
        let (_, error) = failed.expect("the failure is told");
        assert!(
            matches!(&error, RecordError::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull),
            "{error}"
        );
        // It stays so: no event is taken after a hole, and nobody is told that the recording is whole.
        assert!(frames(&mut recorder, 999).is_err());
        assert!(recorder.flush().await.is_err());
        assert!(recorder.sync().await.is_err());
        assert!(recorder.finish().await.is_err());
        let noted = recorder.take_sealed();
        match read(dir.path(), &key) {
            Ok((moments, ending)) => {
                assert_eq!(ending, Ending::Open);
                assert_eq!(inspect(dir.path(), SID).unwrap().chunks, noted, "what is noted is what is there");
                assert_eq!(moments.len(), 2 * noted.len());
            }
            Err(error) => assert!(fail_at < 2 && matches!(error, RecordError::Missing(_)), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_failure_is_of_one_session_only() {
    let key = RecordingKey::generate().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options()).unwrap();
    let (mut a, mut b) = (writer.session(header()).unwrap(), {
        let mut other = header();
        other.sid = "01a2105b4e4b00112233445566778800".to_owned();
        writer.session(other).unwrap()
    });
    a.room().await.unwrap();
    b.room().await.unwrap();
    let day = crate::place::Place::of(SID).unwrap();
    std::fs::remove_dir_all(dir.path().join(day.folder())).unwrap();
    frames(&mut a, 1).unwrap();
    frames(&mut b, 1).unwrap();
    assert!(a.sync().await.is_err());
    b.sync().await.unwrap();
    assert!(a.close().await.is_err());
    assert_eq!(b.close().await.unwrap().chunks, 2);
}

#[tokio::test]
async fn a_stalled_disk_makes_the_session_wait_and_then_end_with_nothing_lost() {
    let key = RecordingKey::generate().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let objects = Awkward::new(dir.path(), usize::MAX);
    let writer = Writer::over(Arc::clone(&objects) as Arc<dyn Objects>, vec![key.public().clone()], options()).unwrap();
    let mut recorder = writer.session(header()).unwrap();
    recorder.room().await.unwrap();
    objects.shut(true);
    let (mut taken, mut full_at) = (0, None);
    let error = loop {
        match frames(&mut recorder, taken + 1) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        if recorder.is_full() && full_at.is_none() {
            full_at = Some(taken);
        }
        assert!(taken < 10_000, "memory is bounded");
    };
    assert!(matches!(error, RecordError::Behind { limit, .. } if limit == 256 << 10), "{error}");
    let full_at = full_at.expect("it says so before");
    assert!(full_at * 4 < taken, "well before: {full_at} of {taken}");
    // Nobody waits for ever, and a waiter is woken.
    let waited = tokio::time::timeout(Duration::from_millis(20), recorder.room()).await;
    assert!(waited.is_err(), "there is no room yet");
    let gate = Arc::clone(&objects);
    let opener = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        gate.shut(false);
    });
    recorder.room().await.unwrap();
    opener.join().unwrap();
    assert!(frames(&mut recorder, 999).is_err(), "an event was refused; what follows it would hide the hole");
    assert!(matches!(recorder.close().await, Err(RecordError::Behind { .. })));
    let (moments, ending) = read(dir.path(), &key).unwrap();
    assert_eq!((moments.len() as u64, ending), (taken, Ending::Open), "what was taken is there");
}

#[tokio::test]
async fn a_slow_disk_gets_fewer_and_larger_chunks() {
    let key = RecordingKey::generate().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let objects = Awkward::new(dir.path(), usize::MAX);
    let writer = Writer::over(Arc::clone(&objects) as Arc<dyn Objects>, vec![key.public().clone()], options()).unwrap();
    let mut recorder = writer.session(header()).unwrap();
    recorder.room().await.unwrap();
    objects.shut(true);
    for number in 1..=100 {
        frames(&mut recorder, number).unwrap();
    }
    objects.shut(false);
    let summary = recorder.close().await.unwrap();
    assert!(summary.chunks < 15, "{} chunks for 100 events of which 2 fill one", summary.chunks);
    assert_eq!(read(dir.path(), &key).unwrap().0.len(), 100);
}

#[tokio::test]
async fn an_event_that_no_chunk_holds_ends_the_session() {
    let key = RecordingKey::generate().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let huge = Options { max_waiting: usize::MAX, ..options() };
    let writer = Writer::start(dir.path(), vec![key.public().clone()], huge).unwrap();
    let mut recorder = writer.session(header()).unwrap();
    frames(&mut recorder, 1).unwrap();
    let text = "x".repeat(129 << 20);
    assert!(matches!(recorder.event(2, Event::Notice { text: &text }), Err(RecordError::TooLarge { .. })));
    assert!(frames(&mut recorder, 3).is_err());
    assert!(recorder.close().await.is_err());
    assert_eq!(read(dir.path(), &key).unwrap().0.len(), 1);
}

#[tokio::test]
async fn a_defect_in_the_thread_is_told_like_any_failure() {
    struct Broken;
    impl Objects for Broken {
        fn begin(&self, _: &str) -> io::Result<()> {
            panic!("a defect")
        }
        fn put(&self, _: &str, _: &[u8]) -> io::Result<()> {
            Ok(())
        }
        fn get(&self, _: &str, _: Option<usize>, _: u64) -> io::Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn names(&self, _: &str) -> io::Result<Option<Vec<String>>> {
            Ok(None)
        }
    }
    let key = RecordingKey::generate().unwrap();
    let writer =
        Writer::over(Arc::new(Broken), vec![key.public().clone()], Options { threads: 1, ..options() }).unwrap();
    for _ in 0..3 {
        let recorder = writer.session(header()).unwrap();
        assert!(matches!(recorder.room().await, Err(RecordError::Internal)));
    }
}

#[tokio::test]
async fn buffers_are_used_again() {
    let key = RecordingKey::generate().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options()).unwrap();
    let mut recorder = writer.session(header()).unwrap();
    let mut buffers = std::collections::BTreeSet::new();
    for number in 1..=2_000 {
        frames(&mut recorder, number).unwrap();
        if number > 200 {
            // (Where it is, how large it is): an event that allocates moves or grows the buffer.
            buffers.insert((recorder.open.as_ptr() as usize, recorder.open.capacity()));
        }
        recorder.room().await.unwrap();
    }
    assert!(buffers.len() <= 3, "{} buffers for 1,800 events in 900 chunks", buffers.len());
}
