//! A recording is what was recorded, readable while it is made, and for the holders of its keys only.

mod common;

use common::{folder, frame, header, key, operate, options, read, recorded, sid};
use std::fs;
use std::path::Path;
use std::time::Duration;
use vestibule_core::{OpId, Side};
use vestibule_record::{Archive, Ending, Event, Options, RecordError, What, Writer, inspect};

#[tokio::test]
async fn everything_comes_back_in_order() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(1));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    let summary = recorded(&writer, &sid, 40).await;
    assert!(summary.chunks > 5, "{} chunks", summary.chunks);

    let recording = Archive::open(dir.path(), vec![key.clone()]).recording(&sid).unwrap();
    assert_eq!(*recording.about(), header(&sid));
    let (moments, ending) = read(dir.path(), &key, &sid).unwrap();
    assert_eq!(ending, Ending::Closed { digest: summary.digest.clone() });
    assert_eq!(moments.len(), 160);
    for (number, four) in (1_u64..).zip(moments.chunks(4)) {
        let op = OpId(number);
        assert_eq!(four.iter().map(|m| m.at_us - number * 1_000).collect::<Vec<_>>(), [0, 10, 20, 30]);
        assert!(matches!(&four[0].what, What::Asked { op: of, action, .. } if *of == op && action == "SELECT"));
        assert!(matches!(&four[1].what, What::Ruled { ruling, .. } if ruling == "permit"));
        assert_eq!(four[2].what, What::Frames { side: Side::Client, op: Some(op), bytes: frame(number, 700) });
        assert_eq!(four[3].what, What::Done { op, disclosure: common::disclosure(number) });
    }

    let seen = inspect(dir.path(), &sid).unwrap();
    assert_eq!(seen.digest, Some(summary.digest));
    assert_eq!(
        (seen.chunks.len() as u64, seen.chunks.iter().map(|c| c.bytes).sum::<u64>()),
        (summary.chunks, summary.bytes)
    );
    assert_eq!(seen.sealed_to, [key.public().id()]);
}

#[tokio::test]
async fn the_chunks_handed_out_are_the_chunks_stored() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(2));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    let mut recorder = writer.session(header(&sid)).unwrap();
    let mut noted = Vec::new();
    for number in 1..=30 {
        operate(&mut recorder, number, &frame(number, 900)).unwrap();
        recorder.room().await.unwrap();
        if recorder.has_sealed() {
            noted.extend(recorder.take_sealed());
        }
        assert!(!recorder.has_sealed());
    }
    let summary = recorder.close().await.unwrap();
    noted.extend(summary.sealed.clone());
    assert_eq!(noted, inspect(dir.path(), &sid).unwrap().chunks);
    assert!(noted.windows(2).all(|two| two[1].previous == two[0].sha256 && two[1].from_us >= two[0].to_us));
    assert_eq!(noted.iter().map(|s| s.last).filter(|last| *last).count(), 1);
    assert_eq!(summary.chunks, noted.len() as u64);
}

#[tokio::test]
async fn a_live_session_can_be_followed() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(3));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(64 << 10)).unwrap();
    let mut recorder = writer.session(header(&sid)).unwrap();
    recorder.room().await.unwrap();
    let mut moments = Archive::open(dir.path(), vec![key]).recording(&sid).unwrap().moments();
    assert!(moments.next().is_none());
    for number in 1..=3 {
        operate(&mut recorder, number, b"rows").unwrap();
        assert!(moments.next().is_none(), "nothing is seen before it is stored");
        recorder.sync().await.unwrap();
        let new: Vec<_> = moments.by_ref().map(Result::unwrap).collect();
        assert_eq!(new.len(), 4);
        assert_eq!(new[0].at_us, number * 1_000);
        assert_eq!(*moments.ending(), Ending::Open);
    }
    let summary = recorder.close().await.unwrap();
    assert!(moments.next().is_none());
    assert_eq!(*moments.ending(), Ending::Closed { digest: summary.digest });
}

#[test]
fn a_reader_beside_a_fast_writer_never_sees_damage() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(16));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(1 << 10)).unwrap();
    let recorder = writer.session(header(&sid)).unwrap();
    let recording = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let mut recorder = recorder;
            for number in 1..=600 {
                operate(&mut recorder, number, &frame(number, 900)).unwrap();
                recorder.room().await.unwrap();
            }
            recorder.close().await.unwrap();
        });
    });
    while !folder(dir.path(), &sid).join("header").exists() {
        std::thread::yield_now();
    }
    let mut moments = Archive::open(dir.path(), vec![key.clone()]).recording(&sid).unwrap().moments();
    let (mut seen, mut looks) = (0, 0);
    while *moments.ending() == Ending::Open {
        seen += moments.by_ref().map(Result::unwrap).count();
        let outside = inspect(dir.path(), &sid).unwrap();
        assert!(outside.chunks.len() as u64 >= moments.chunks());
        looks += 1;
    }
    recording.join().unwrap();
    assert!(looks > 1);
    assert_eq!(seen, 2_400);
}

#[tokio::test]
async fn age_closes_a_chunk() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(4));
    let young = Options { chunk_age: Duration::from_millis(30), ..options(1 << 20) };
    let writer = Writer::start(dir.path(), vec![key.public().clone()], young).unwrap();
    let mut recorder = writer.session(header(&sid)).unwrap();
    recorder.room().await.unwrap();
    operate(&mut recorder, 1, b"rows").unwrap();
    recorder.flush().await.unwrap();
    recorder.room().await.unwrap();
    assert!(read(dir.path(), &key, &sid).unwrap().0.is_empty());
    tokio::time::sleep(Duration::from_millis(40)).await;
    recorder.flush().await.unwrap();
    recorder.room().await.unwrap();
    assert_eq!(read(dir.path(), &key, &sid).unwrap().0.len(), 4);
}

#[tokio::test]
async fn a_large_answer_becomes_many_chunks_and_the_same_bytes() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(5));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(64 << 10)).unwrap();
    let mut recorder = writer.session(header(&sid)).unwrap();
    let large = frame(9, 3 << 20);
    recorder.event(7, Event::Frames { side: Side::Client, op: Some(OpId(1)), bytes: &large }).unwrap();
    let summary = recorder.close().await.unwrap();
    assert!(summary.chunks >= 6, "{} chunks", summary.chunks);
    let mut together = Vec::new();
    for moment in read(dir.path(), &key, &sid).unwrap().0 {
        let What::Frames { side: Side::Client, op: Some(OpId(1)), bytes } = moment.what else { panic!("not frames") };
        together.extend(bytes);
    }
    assert!(together == large);
}

#[tokio::test]
async fn time_goes_forward_even_if_a_clock_does_not() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(6));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(64 << 10)).unwrap();
    let mut recorder = writer.session(header(&sid)).unwrap();
    for at in [50, 20, 90, 0] {
        recorder.event(at, Event::Notice { text: "held" }).unwrap();
        recorder.sync().await.unwrap();
    }
    recorder.close().await.unwrap();
    let times: Vec<u64> = read(dir.path(), &key, &sid).unwrap().0.iter().map(|m| m.at_us).collect();
    assert_eq!(times, [50, 50, 90, 90]);
}

#[tokio::test]
async fn reading_can_begin_in_the_middle() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(7));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    recorded(&writer, &sid, 60).await;
    let recording = Archive::open(dir.path(), vec![key]).recording(&sid).unwrap();
    let whole: Vec<_> = recording.moments().map(Result::unwrap).collect();
    for at in [0, 1, 20_000, 31_015, 60_030, 99_999_999] {
        let tail: Vec<_> = recording.moments_from(at).unwrap().map(Result::unwrap).collect();
        assert_eq!(whole[whole.len() - tail.len()..], tail, "the tail of the whole");
        let wanted = whole.iter().filter(|m| m.at_us >= at).count();
        assert!(tail.len() >= wanted);
        assert!(tail.len() <= wanted + 40, "but not much more than asked for: {} for {wanted}", tail.len());
    }
}

#[tokio::test]
async fn nothing_readable_is_on_the_disk() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(8));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    let mut recorder = writer.session(header(&sid)).unwrap();
    operate(&mut recorder, 1, b"Meredith Patient 1950").unwrap();
    recorder.close().await.unwrap();
    let mut files = 0;
    for entry in fs::read_dir(folder(dir.path(), &sid)).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        for secret in ["Meredith", "select name", "clinic-target", "ann.example", "u-17", "SELECT"] {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret}");
        }
    }
    assert_eq!(files, 2, "a short session is a header and one chunk");
}

#[tokio::test]
async fn nothing_follows_the_end() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(17));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    let mut recorder = writer.session(header(&sid)).unwrap();
    operate(&mut recorder, 1, b"rows").unwrap();
    let summary = recorder.finish().await.unwrap();
    assert!(matches!(operate(&mut recorder, 2, b"rows"), Err(RecordError::Closed)));
    assert!(matches!(recorder.finish().await, Err(RecordError::Closed)));
    drop(recorder);
    assert_eq!(inspect(dir.path(), &sid).unwrap().digest, Some(summary.digest));
}

#[tokio::test]
async fn every_recipient_opens_it_and_nobody_else() {
    let (dir, sid) = (tempfile::tempdir().unwrap(), sid(9));
    let (old, new, stranger) = (key(), key(), key());
    let both = vec![old.public().clone(), new.public().clone()];
    let writer = Writer::start(dir.path(), both, options(4 << 10)).unwrap();
    recorded(&writer, &sid, 3).await;
    let seen = read(dir.path(), &old, &sid).unwrap();
    assert_eq!(seen, read(dir.path(), &new, &sid).unwrap());
    let error = read(dir.path(), &stranger, &sid).unwrap_err();
    assert!(matches!(&error, RecordError::NoKey { sealed_to, .. } if sealed_to.contains(new.public().id())), "{error}");
    assert!(matches!(Writer::start(dir.path(), Vec::new(), options(1)), Err(RecordError::NoRecipient)));
}

#[tokio::test]
async fn after_a_rotation_the_recordings_of_all_keys_are_read() {
    let (dir, old, new) = (tempfile::tempdir().unwrap(), key(), key());
    for (tail, key) in [(10, &old), (11, &new)] {
        let writer = Writer::open(dir.path(), key.public(), 4 << 10, Duration::from_secs(5)).unwrap();
        recorded(&writer, &sid(tail), 3).await;
    }
    let archive = Archive::open(dir.path(), vec![new, old]);
    for tail in [10, 11] {
        assert_eq!(archive.recording(&sid(tail)).unwrap().moments().map(Result::unwrap).count(), 12);
    }
}

#[tokio::test]
async fn a_recording_is_never_written_over() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(12));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    let first = recorded(&writer, &sid, 3).await;
    let mut second = writer.session(header(&sid)).unwrap();
    assert!(matches!(second.room().await, Err(RecordError::Exists(_))));
    assert!(operate(&mut second, 1, b"other").is_err());
    assert!(second.close().await.is_err());
    assert_eq!(inspect(dir.path(), &sid).unwrap().digest, Some(first.digest));
    assert!(matches!(writer.session(header("../../x")), Err(RecordError::Sid(_))));
    assert!(matches!(read(dir.path(), &key, &common::sid(99)), Err(RecordError::Missing(_))));
}

#[tokio::test]
async fn a_dropped_recorder_loses_nothing_but_stays_open() {
    let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(13));
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(64 << 10)).unwrap();
    let mut recorder = writer.session(header(&sid)).unwrap();
    for number in 1..=20 {
        operate(&mut recorder, number, &frame(number, 9_000)).unwrap();
    }
    drop(recorder);
    drop(writer);
    let (moments, ending) = read(dir.path(), &key, &sid).unwrap();
    assert_eq!((moments.len(), ending), (80, Ending::Open));
    assert_eq!(inspect(dir.path(), &sid).unwrap().digest, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_sessions_at_once() {
    let (dir, key) = (tempfile::tempdir().unwrap(), key());
    let writer = Writer::start(dir.path(), vec![key.public().clone()], options(4 << 10)).unwrap();
    let mut tasks = Vec::new();
    for tail in 100..150 {
        let writer = writer.clone();
        tasks.push(tokio::spawn(async move { recorded(&writer, &sid(tail), 20).await }));
    }
    for (tail, task) in (100..).zip(tasks) {
        let summary = task.await.unwrap();
        let (moments, ending) = read(dir.path(), &key, &sid(tail)).unwrap();
        assert_eq!((moments.len(), ending), (80, Ending::Closed { digest: summary.digest }));
    }
}

/// Makes the recording that the next test reads. Run by hand when the format gets a new version, never otherwise.
#[tokio::test]
#[ignore = "makes the vectors"]
async fn vectors_are_made() {
    let Ok(dir) = std::env::var("VESTIBULE_TEST_VECTORS") else { return };
    let (dir, key) = (Path::new(&dir), key());
    key.write_new(&dir.join("recording.key")).unwrap();
    let writer = Writer::start(&dir.join("recordings"), vec![key.public().clone()], options(4 << 10)).unwrap();
    recorded(&writer, &sid(15), 4).await;
}

/// What version 1 wrote stays readable.
#[test]
fn a_recording_of_version_1_is_read() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    // A file in a checkout may be read by others, which keys must not be.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recording.key");
    fs::write(&path, fs::read(vectors.join("recording.key")).unwrap()).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let key = vestibule_record::RecordingKey::read(&path).unwrap();
    let (moments, ending) = read(&vectors.join("recordings"), &key, &sid(15)).unwrap();
    assert_eq!(moments.len(), 16);
    assert!(matches!(&moments[2].what, What::Frames { bytes, .. } if *bytes == frame(1, 700)));
    let digest = inspect(&vectors.join("recordings"), &sid(15)).unwrap().digest.unwrap();
    assert_eq!(ending, Ending::Closed { digest });
}

/// Run by the test below in a process of its own.
#[tokio::test]
#[ignore = "the victim of the next test"]
async fn records_until_it_is_killed() {
    let Ok(dir) = std::env::var("VESTIBULE_TEST_RECORDINGS") else { return };
    let key = vestibule_record::RecordingPublicKey::read(&Path::new(&dir).join("k.pub")).unwrap();
    let writer = Writer::start(Path::new(&dir), vec![key], options(4 << 10)).unwrap();
    let mut recorder = writer.session(header(&sid(14))).unwrap();
    for number in 1.. {
        operate(&mut recorder, number, &frame(number, 500)).unwrap();
        recorder.room().await.unwrap();
    }
}

#[test]
fn after_kill_9_everything_flushed_is_there() {
    let key = key();
    for round in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        key.public().write_new(&dir.path().join("k.pub")).unwrap();
        let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "records_until_it_is_killed", "--test-threads=1"])
            .env("VESTIBULE_TEST_RECORDINGS", dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let chunk = folder(dir.path(), &sid(14)).join(format!("{:08}.chunk", 3 + 5 * round));
        let patience = std::time::Instant::now();
        while !chunk.exists() && patience.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let stored = inspect(dir.path(), &sid(14)).unwrap().chunks.len();
        victim.kill().unwrap();
        victim.wait().unwrap();
        let (moments, ending) = read(dir.path(), &key, &sid(14)).unwrap();
        assert_eq!(ending, Ending::Open);
        assert!(stored >= 4 && inspect(dir.path(), &sid(14)).unwrap().chunks.len() >= stored);
        let frames: Vec<_> = moments.iter().filter(|m| matches!(m.what, What::Frames { .. })).collect();
        assert!(frames.len() > 4 * 5);
        for (number, moment) in (1..).zip(frames) {
            assert!(matches!(&moment.what, What::Frames { bytes, .. } if *bytes == frame(number, 500)));
        }
    }
}
