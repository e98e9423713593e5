//! `cargo xtask fuzz [TARGET] [SECONDS]`: the fuzz targets under `fuzz/`.
//!
//! libFuzzer's instrumentation is a compiler flag that the stable compiler hides; `RUSTC_BOOTSTRAP` shows it. Nothing
//! that is shipped is built this way.

use crate::say;
use std::process::Command;
use vestibule_e2e::run::{output, show};
use vestibule_e2e::{Outcome, cache, failure};

const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1";

/// Runs one fuzz target, or each, for some seconds (60).
///
/// # Errors
/// When a target does not build or finds something.
pub fn fuzz(words: &[String]) -> Outcome<()> {
    let seconds = words.iter().find_map(|word| word.parse::<u32>().ok()).unwrap_or(60);
    let named: Vec<&String> = words.iter().filter(|word| word.parse::<u32>().is_err()).collect();
    let all = targets()?;
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        return Err(failure(format!("there is no fuzz target `{unknown}`; there are: {}", all.join(", "))));
    }
    let wanted = all.iter().filter(|name| named.is_empty() || named.contains(name));
    let mut failed = Vec::new();
    for target in wanted {
        say::stage(&format!("fuzz {target} for {seconds} s"));
        if let Err(error) = one(target, seconds) {
            say::line(&error.0);
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failure(format!("something was found by: {}", failed.join(", ")))) }
}

fn targets() -> Outcome<Vec<String>> {
    let folder = cache::project().join("fuzz");
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&folder);
    if !folder.join("Cargo.toml").is_file() {
        return Err(failure("there is no fuzz/Cargo.toml"));
    }
    let text = output(&mut metadata)?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| failure(error.to_string()))?;
    let packages = json.get("packages").and_then(|list| list.as_array()).into_iter().flatten();
    let targets = packages.filter_map(|package| package.get("targets")?.as_array()).flatten();
    let bins = targets.filter(|target| target.get("kind").is_some_and(|kind| kind.to_string().contains("bin")));
    Ok(bins.filter_map(|target| Some(target.get("name")?.as_str()?.to_owned())).collect())
}

fn one(target: &str, seconds: u32) -> Outcome<()> {
    let folder = cache::project().join("fuzz");
    let (corpus, seeds) = (folder.join("corpus").join(target), folder.join("seeds").join(target));
    let artifacts = folder.join("artifacts").join(target);
    // What is new goes to the first directory; the seeds are read only.
    for place in [&corpus, &seeds, &artifacts] {
        std::fs::create_dir_all(place).map_err(|error| failure(format!("cannot make {}: {error}", place.display())))?;
    }
    let mut cargo = Command::new("cargo");
    // With a target named, the flags are not for build scripts, which have no fuzzer in them.
    cargo.args(["run", "--release", "--target", &host()?, "--bin", target, "--"]).arg(&corpus).arg(&seeds);
    cargo.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(format!("-max_total_time={seconds}"));
    cargo.args(["-rss_limit_mb=2048", "-timeout=10", "-max_len=16384", "-print_final_stats=1"]);
    let dictionary = folder.join("dictionaries").join(format!("{target}.dict"));
    if dictionary.is_file() {
        cargo.arg(format!("-dict={}", dictionary.display()));
    }
    show(cargo.current_dir(&folder).env("RUSTFLAGS", FLAGS).env("RUSTC_BOOTSTRAP", "1"))
}

/// The machine's own target triple.
fn host() -> Outcome<String> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| failure("rustc does not say what it compiles for"))
}
