//! Two verifiers nobody here wrote, over a log we wrote: the checksum database's tree and note code of the Go team, and
//! Tessera's fsck with the proof code of transparency.dev. Both must accept the log, and reject whatever we reject.
//!
//! Only the glue in `tests/foreign` is ours. Where there is no `go`, or its modules cannot be had, the tests are
//! skipped by name.

use crate::common::{Gateway, checked, copy, create, key, options, temp};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use vestibule_ledger::{Reader, inclusion_proof};

struct Verifiers {
    _dir: tempfile::TempDir,
    walk: PathBuf,
    fsck: PathBuf,
}

/// Builds both, once; what stands in the way otherwise.
fn verifiers() -> Result<&'static Verifiers, String> {
    static BUILT: OnceLock<Result<Verifiers, String>> = OnceLock::new();
    BUILT.get_or_init(build).as_ref().map_err(Clone::clone)
}

fn go(arguments: &[&str]) -> Result<Output, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign");
    let mut command = Command::new("go");
    command.args(arguments).current_dir(source).env("GOFLAGS", "-mod=readonly -buildvcs=false").env("CGO_ENABLED", "0");
    command.output().map_err(|e| format!("go cannot be started: {e}"))
}

fn build() -> Result<Verifiers, String> {
    go(&["version"])?;
    let modules = go(&["mod", "download"])?;
    if !modules.status.success() {
        return Err("the modules cannot be had".to_owned());
    }
    let dir = tempfile::tempdir().unwrap();
    let into = format!("{}/", dir.path().display());
    let built = go(&["build", "-o", &into, "./walk", "./fsck"])?;
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Ok(Verifiers { walk: dir.path().join("walk"), fsck: dir.path().join("fsck"), _dir: dir })
}

fn skip(name: &str, why: &str) {
    println!("skipped {name}: {why}");
    if let Some(file) = std::env::var_os("VESTIBULE_SKIPS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "{name}: {why}").unwrap();
    }
}

/// The verdict of one of them: `Ok` it accepts, `Err` its reason. Anything else is a failure of the test.
fn ask(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let line = crate::common::vkey().to_line();
    let output = Command::new(program).args(arguments).arg(line).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) if said.trim_end().ends_with("accepted") => Ok(()),
        Some(_) => Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr))),
        None => panic!("{} died", program.display()),
    }
}

fn both(v: &Verifiers, log: &Path) -> [Result<(), String>; 2] {
    let log = log.to_str().unwrap();
    [ask(&v.walk, &[log]), ask(&v.fsck, &["log", log])]
}

/// A log of several full bundles and a part of one, written by a gateway that was started twice, and its first
/// checkpoint.
async fn log(dir: &Path) -> String {
    create(dir);
    let (gateway, _) = Gateway::start(options(dir)).await.unwrap();
    gateway.session("first", 150).await.unwrap();
    gateway.ledger.checkpoint_now().await.unwrap();
    let older = fs::read_to_string(dir.join("checkpoint")).unwrap();
    gateway.session("second", 200).await.unwrap();
    gateway.stop().await.unwrap();
    let (gateway, _) = Gateway::start(options(dir)).await.unwrap();
    gateway.session("third", 60).await.unwrap();
    gateway.stop().await.unwrap();
    older
}

#[tokio::test]
async fn foreign_verifiers_accept_our_log_and_our_proofs() {
    let v = match verifiers() {
        Ok(v) => v,
        Err(why) => return skip("foreign_verifiers_accept_our_log_and_our_proofs", &why),
    };
    let dir = temp();
    let log_dir = dir.path().join("l");
    let older = log(&log_dir).await;
    assert!(checked(&log_dir).is_whole());
    assert_eq!(both(v, &log_dir), [Ok(()), Ok(())]);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (proof, leaf, kept) = (path("proof"), path("leaf"), path("kept"));
    fs::write(&kept, &older).unwrap();
    ask(&v.fsck, &["consistent", log_dir.to_str().unwrap(), &kept]).unwrap();
    let entries: Vec<_> = Reader::open(&log_dir).unwrap().entries(0).map(Result::unwrap).collect();
    for index in [0, 255, 256, 511, entries.len() - 1] {
        fs::write(&proof, inclusion_proof(&log_dir, index as u64).unwrap().to_text()).unwrap();
        fs::write(&leaf, &entries[index].1).unwrap();
        ask(&v.fsck, &["proof", &proof, &leaf]).unwrap();
        // And they do look.
        fs::write(&leaf, &entries[(index + 1) % entries.len()].1).unwrap();
        assert!(ask(&v.fsck, &["proof", &proof, &leaf]).is_err());
    }
    // A fork of the log, signed with the real key.
    let fork = dir.path().join("fork");
    crate::common::whole_log(&fork, 90).await;
    assert_eq!(both(v, &fork), [Ok(()), Ok(())]);
    assert!(ask(&v.fsck, &["consistent", fork.to_str().unwrap(), &kept]).is_err());
    assert_eq!(key().verifier(crate::common::ORIGIN), crate::common::vkey());
}

#[tokio::test]
async fn foreign_verifiers_reject_what_we_reject() {
    let v = match verifiers() {
        Ok(v) => v,
        Err(why) => return skip("foreign_verifiers_reject_what_we_reject", &why),
    };
    let dir = temp();
    let log_dir = dir.path().join("l");
    let older = log(&log_dir).await;
    // What is published, without what only we read.
    let copied = dir.path().join("copy");
    copy(&log_dir, &copied);
    fs::remove_dir_all(copied.join("wal")).unwrap();
    fs::remove_file(copied.join(".lock")).unwrap();
    drop_left_over(&copied);
    assert_eq!(both(v, &copied), [Ok(()), Ok(())]);
    let tried = mutate(v, &copied);
    assert!(tried >= 24, "{tried}");
    // An old checkpoint over new tiles is an old log: not wrong by itself. Its size altered is.
    fs::write(copied.join("checkpoint"), older.replacen("\n303\n", "\n304\n", 1)).unwrap();
    assert!(!checked(&copied).is_whole());
    assert!(both(v, &copied).iter().all(Result::is_err));
}

/// Removes the partial tiles that earlier checkpoints left and the newest one does not need: others never look at them.
fn drop_left_over(log: &Path) {
    for level in ["0", "1", "entries"] {
        for dir in fs::read_dir(log.join("tile").join(level)).unwrap().map(|d| d.unwrap().path()).filter(|d| d.is_dir())
        {
            let mut widths: Vec<u16> = fs::read_dir(&dir)
                .unwrap()
                .map(|f| f.unwrap().file_name().to_str().unwrap().parse().unwrap())
                .collect();
            widths.sort_unstable();
            widths.pop();
            widths.iter().for_each(|w| fs::remove_file(dir.join(w.to_string())).unwrap());
        }
    }
}

/// Changes every published file in several ways, each in a copy of its own; all three verifiers must reject each.
fn mutate(v: &'static Verifiers, whole: &Path) -> usize {
    let mut asked = Vec::new();
    let copies = temp();
    for (n, file) in crate::common::files(whole).into_iter().enumerate() {
        let bytes = fs::read(whole.join(&file)).unwrap();
        let mut flipped = bytes.clone();
        flipped[(n * 37 + 5) % bytes.len()] ^= 4;
        let cut = bytes[..bytes.len() / 2].to_vec();
        for (how, changed) in [("flipped", Some(flipped)), ("cut", Some(cut)), ("removed", None)] {
            let copied = copies.path().join(format!("{n}-{how}"));
            copy(whole, &copied);
            match &changed {
                Some(changed) => fs::write(copied.join(&file), changed).unwrap(),
                None => fs::remove_file(copied.join(&file)).unwrap(),
            }
            let case = format!("{} {how}", file.display());
            assert!(!checked(&copied).is_whole(), "{case} was accepted by us");
            // At once, because one of them may never answer where something is missing, and is given up on.
            asked.push((case, std::thread::spawn(move || both(v, &copied))));
        }
    }
    let tried = asked.len();
    for (case, verdicts) in asked {
        let theirs = verdicts.join().unwrap();
        assert!(theirs.iter().all(Result::is_err), "{case}: {theirs:?}");
    }
    tried
}
