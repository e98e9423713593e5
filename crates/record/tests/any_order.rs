//! Whatever the order of calls and the sizes: what was recorded is what is read, once and in order.

#[expect(dead_code, reason = "each test file uses its part")]
mod common;

use common::{disclosure, frame, header, key, options, read, sid};
use proptest::prelude::*;
use vestibule_core::{OpId, Side};
use vestibule_record::{Ending, Event, What, Writer, inspect};

#[derive(Debug, Clone)]
enum Step {
    Frames(usize),
    Asked(String),
    Done(u64),
    Flush,
    Sync,
    Room,
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![0_usize..200, 900_usize..1_200, 3_000_usize..20_000].prop_map(Step::Frames),
        2 => ".{0,300}".prop_map(Step::Asked),
        2 => any::<u64>().prop_map(|rows| Step::Done(rows >> 8)),
        1 => Just(Step::Flush),
        1 => Just(Step::Sync),
        1 => Just(Step::Room),
        1 => Just(Step::Take),
    ]
}

/// Pieces of one write together again.
fn joined(list: impl Iterator<Item = What>) -> Vec<What> {
    let mut out: Vec<What> = Vec::new();
    for what in list {
        match (out.last_mut(), what) {
            (Some(What::Frames { op, bytes, .. }), What::Frames { op: same, bytes: more, .. }) if *op == same => {
                bytes.extend(more);
            }
            (_, what) => out.push(what),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_recorded_is_read(steps in prop::collection::vec(step(), 0..60), close in any::<bool>()) {
        let (dir, key, sid) = (tempfile::tempdir().unwrap(), key(), sid(20));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (expected, noted, digest) = runtime.block_on(async {
            let writer = Writer::start(dir.path(), vec![key.public().clone()], options(1 << 10)).unwrap();
            let mut recorder = writer.session(header(&sid)).unwrap();
            let (mut expected, mut noted) = (Vec::new(), Vec::new());
            for (number, step) in (0_u64..).zip(&steps) {
                let op = OpId(number);
                match step {
                    Step::Frames(length) => {
                        let bytes = frame(number, *length);
                        recorder.event(number, Event::Frames { side: Side::Client, op: Some(op), bytes: &bytes }).unwrap();
                        expected.push(What::Frames { side: Side::Client, op: Some(op), bytes });
                    }
                    Step::Asked(text) => {
                        recorder.event(number, Event::Asked { op, action: "a", text }).unwrap();
                        expected.push(What::Asked { op, action: "a".to_owned(), text: text.clone() });
                    }
                    Step::Done(rows) => {
                        let disclosure = disclosure(*rows % 1_000);
                        recorder.event(number, Event::Done { op, disclosure: &disclosure }).unwrap();
                        expected.push(What::Done { op, disclosure });
                    }
                    Step::Flush => recorder.flush().await.unwrap(),
                    Step::Sync => recorder.sync().await.unwrap(),
                    Step::Room => recorder.room().await.unwrap(),
                    Step::Take => noted.extend(recorder.take_sealed()),
                }
            }
            let digest = if close {
                let summary = recorder.close().await.unwrap();
                noted.extend(summary.sealed);
                Some(summary.digest)
            } else {
                recorder.sync().await.unwrap();
                noted.extend(recorder.take_sealed());
                None
            };
            (expected, noted, digest)
        });
        let (moments, ending) = read(dir.path(), &key, &sid).unwrap();
        prop_assert_eq!(joined(moments.into_iter().map(|m| m.what)), expected);
        prop_assert_eq!(ending, digest.map_or(Ending::Open, |digest| Ending::Closed { digest }));
        prop_assert_eq!(inspect(dir.path(), &sid).unwrap().chunks, noted);
    }
}
