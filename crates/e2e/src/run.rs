//! Running a program to its end: with a time limit, its output kept, its failure told.

use crate::{Doing, Failure, Outcome, failure};
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a program left behind.
#[derive(Debug)]
pub struct Ended {
    /// Its status; `None` when it was killed because its time was up.
    pub status: Option<ExitStatus>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ended {
    /// Whether it ended by itself and successfully.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs `command` for at most `limit`, without standard input.
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &mut Command, limit: Duration) -> Outcome<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().doing(format_args!("cannot run {name}"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, limit);
    Ok(Ended { status, stdout: collect(stdout), stderr: collect(stderr) })
}

/// Runs `command` and hands back what it printed.
///
/// # Errors
/// When it cannot be started, ends with an error or takes more than five minutes; its own words are in the message.
pub fn output(command: &mut Command) -> Outcome<String> {
    let ended = run(command, Duration::from_secs(300))?;
    if ended.success() { Ok(ended.stdout) } else { Err(complaint(command, &ended)) }
}

/// Runs `command` with our own standard output and error, for as long as it takes.
///
/// # Errors
/// When it cannot be started or ends with an error.
pub fn show(command: &mut Command) -> Outcome<()> {
    let name = words(command);
    let status = command.stdin(Stdio::null()).status().doing(format_args!("cannot run {name}"))?;
    if status.success() { Ok(()) } else { Err(failure(format!("`{name}` ended with {status}"))) }
}

/// The command line, as a person would type it.
#[must_use]
pub fn words(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for word in command.get_args() {
        line.push(' ');
        line.push_str(&word.to_string_lossy());
    }
    line
}

/// Whether a program of this name is on the `PATH`.
#[must_use]
pub fn have(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Why `command` failed: how it ended and the last of what it wrote.
#[must_use]
pub fn complaint(command: &Command, ended: &Ended) -> Failure {
    let how = ended.status.map_or_else(|| "took too long and was stopped".to_owned(), |status| status.to_string());
    let mut said: Vec<&str> = ended.stdout.lines().chain(ended.stderr.lines()).collect();
    let spare = said.len().saturating_sub(15);
    said.drain(..spare);
    failure(format!("`{}`: {how}\n{}", words(command), said.join("\n")))
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A broken pipe ends the output; what came before it is still worth having.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn collect(reader: JoinHandle<String>) -> String {
    reader.join().unwrap_or_default()
}
