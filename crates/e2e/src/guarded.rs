//! Processes that cannot outlive us.
//!
//! Each runs below a small shell which holds the other end of a pipe to us. The pipe closes when we drop it, and also
//! when we are killed; the shell then stops the process and removes its folder. No signal handler, no `unsafe`, and it
//! holds for `kill -9`.

use crate::{Doing, Outcome, failure};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Signal, folder to remove (or empty), then the command. The process has ten seconds to end after the signal.
const KEEPER: &str = r#"
signal=$1 folder=$2; shift 2
"$@" >&2 </dev/null &
pid=$!
echo "$pid"
exec >&2
cat >/dev/null
kill -s "$signal" "$pid" 2>/dev/null
( n=0; while [ $n -lt 100 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; n=$((n+1)); done
  kill -s KILL "$pid" 2>/dev/null ) &
watch=$!
wait "$pid"
kill "$watch" 2>/dev/null
[ -z "$folder" ] || rm -rf "$folder"
"#;

/// A process that is stopped when this value is dropped or when we die.
#[derive(Debug)]
pub struct Guarded {
    keeper: Child,
    pid: u32,
    log: PathBuf,
}

impl Guarded {
    /// Starts `command` and writes what it prints to `log`. On stop it gets `signal` (`TERM`, `INT`, `KILL` …) and
    /// `folder`, if any, is removed.
    ///
    /// # Errors
    /// When the log cannot be made or the process cannot be started.
    pub fn start(command: &Command, signal: &str, folder: Option<&Path>, log: &Path) -> Outcome<Self> {
        let sink = File::create(log).doing(format_args!("cannot write {}", log.display()))?;
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(KEEPER).arg("keeper").arg(signal).arg(folder.unwrap_or(Path::new("")));
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let mut keeper =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(sink).spawn().doing("cannot run sh")?;
        let pid = keeper.stdout.take().and_then(|pipe| BufReader::new(pipe).lines().next()?.ok()?.parse().ok());
        let pid = pid.ok_or_else(|| failure("the keeper of a process did not start"))?;
        Ok(Self { keeper, pid, log: log.to_path_buf() })
    }

    /// Starts `command` and waits until its log says `word`; up to three times, because Node has been seen to lock
    /// up while it makes keys.
    ///
    /// # Errors
    /// When it cannot be started, or none of the three got ready within `limit`.
    pub fn start_ready(command: &Command, log: &Path, limit: Duration, word: &str) -> Outcome<Self> {
        let mut tries = 0;
        loop {
            let process = Self::start(command, "TERM", None, log)?;
            tries += 1;
            match process.await_ready(limit, || process.log().contains(word)) {
                Ok(()) => return Ok(process),
                Err(_) if tries < 3 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.state != 'Z')
    }

    /// What it has printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends the process a signal by name.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, name: &str) -> Outcome<()> {
        let status = Command::new("kill").args(["-s", name, &self.pid.to_string()]).stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            _ => Err(failure(format!("process {} is gone", self.pid))),
        }
    }

    /// Waits until `ready` says yes.
    ///
    /// # Errors
    /// When the process ends before, or after `limit`; the end of its log is in the message.
    pub fn await_ready(&self, limit: Duration, ready: impl Fn() -> bool) -> Outcome<()> {
        let end = Instant::now() + limit;
        loop {
            if ready() {
                return Ok(());
            }
            let why = match (self.alive(), Instant::now() < end) {
                (true, true) => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
                (false, _) => "ended instead of starting",
                (true, false) => "did not get ready in time",
            };
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            return Err(failure(format!("the process {why}; it said:\n{}", tail.join("\n"))));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// `R`, `S`, `Z` …
    pub state: char,
    /// User and system time used, in clock ticks of 10 ms.
    pub ticks: u64,
}

/// Reads `/proc/PID/stat`; `None` when there is no such process.
#[must_use]
pub fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from its end.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let user: u64 = fields.nth(10)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat { state, ticks: user.saturating_add(system) })
}

/// A loopback port that was free a moment ago.
///
/// # Errors
/// When the system has none to give.
pub fn free_port() -> Outcome<u16> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("cannot open a port on loopback")?;
    Ok(probe.local_addr().doing("cannot read a port's number")?.port())
}

/// Whether something listens on this loopback port.
#[must_use]
pub fn listens(port: u16) -> bool {
    TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_millis(500)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temp::TempDir;

    #[test]
    fn a_guarded_process_ends_with_its_guard_and_takes_its_folder_along() {
        let folder = TempDir::new("guard").unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let guarded = Guarded::start(&command, "TERM", Some(&inner), &folder.path().join("log")).unwrap();
        let pid = guarded.pid();
        assert!(guarded.alive());
        drop(guarded);
        assert!(stat(pid).is_none());
        assert!(!inner.exists());
    }

    #[test]
    fn a_process_that_ends_early_is_told_with_its_own_words() {
        let folder = TempDir::new("early").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing; exit 3"]);
        let guarded = Guarded::start(&command, "TERM", None, &folder.path().join("log")).unwrap();
        let error = guarded.await_ready(Duration::from_secs(10), || false).unwrap_err();
        assert!(error.0.contains("ended instead of starting"), "{error}");
        assert!(error.0.contains("no such thing"), "{error}");
    }
}
