//! `replay`: a session as its client saw it.

use crate::args::{Globals, Replay};
use crate::commands::sessions::sid;
use crate::failure::{Done, Failure, Kind};
use crate::output::{line, note, safe};
use crate::signed::Known;
use std::time::Duration;
use vestibule_api::wire::ReplayLine;

/// A pause in a recording is shown no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest line of the stream, in bytes.
const MAX_LINE: usize = 16 << 20;

/// `replay`
pub async fn replay(args: &Replay, globals: &Globals) -> Done {
    let client = Known::find(globals)?.signed_in()?;
    let query = [("follow", args.follow)];
    let mut answer = client.stream(&format!("/v1/sessions/{}/replay", sid(&args.sid)?), &query).await?;
    let mut screen = Screen { pace: args.pace, json: globals.json, at_us: 0, whole: None };
    let mut pending = Vec::new();
    loop {
        let piece = answer
            .chunk()
            .await
            .map_err(|e| Failure::new(Kind::Unreachable, "the replay broke off", e.without_url(), "run it again"))?;
        let Some(piece) = piece else { break };
        pending.extend_from_slice(&piece);
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let rest = pending.split_off(end + 1);
            screen.show(&std::mem::replace(&mut pending, rest)).await?;
        }
        if pending.len() > MAX_LINE {
            return Err(Failure::new(Kind::Other, "a line of the replay is too long", "", ""));
        }
    }
    match screen.whole {
        Some(_) => Ok(()),
        None => Err(Failure::new(Kind::Unreachable, "the replay broke off before its end", "", "run it again")),
    }
}

struct Screen {
    pace: Option<f64>,
    json: bool,
    at_us: u64,
    /// Whether the recording is whole; `None` before its end was read.
    whole: Option<bool>,
}

impl Screen {
    async fn show(&mut self, bytes: &[u8]) -> Done {
        let read: ReplayLine = serde_json::from_slice(bytes).map_err(|e| {
            Failure::new(Kind::Other, "a line of the replay is not understood", e, "use the gateway's own version")
        })?;
        if let ReplayLine::Line { at_us, .. } | ReplayLine::Operation { at_us, .. } = &read {
            self.wait(*at_us).await;
        }
        if let ReplayLine::End { complete, .. } = &read {
            self.whole = Some(*complete);
        }
        if self.json {
            line(String::from_utf8_lossy(bytes).trim_end());
        } else {
            words(&read);
        }
        Ok(())
    }

    async fn wait(&mut self, at_us: u64) {
        if let Some(pace) = self.pace {
            let gap = Duration::from_micros(at_us.saturating_sub(self.at_us)).min(LONGEST_PAUSE);
            tokio::time::sleep(gap.div_f64(pace).min(LONGEST_PAUSE)).await;
        }
        self.at_us = at_us;
    }
}

fn words(read: &ReplayLine) {
    match read {
        ReplayLine::Session(s) => {
            line(format!("Session {} of {} ({}) at {}", s.sid, safe(&s.name), safe(&s.identity), safe(&s.target)));
            line(format!("from {}, opened {}", safe(&s.source), s.opened));
            line("");
        }
        ReplayLine::Line { at_us, text, .. } => line(format!("{}  {}", clock(*at_us), safe(text))),
        ReplayLine::Operation { at_us, op, text } => line(format!("{}  [{op}] {}", clock(*at_us), safe(text))),
        ReplayLine::End { complete: true, .. } => line("\nThe recording is closed and whole."),
        ReplayLine::End { complete: false, note: why } => {
            note(format!("The recording is not closed: {}", safe(why.as_deref().unwrap_or("the session is open"))));
        }
    }
}

/// Microseconds since the beginning as `h:mm:ss.mmm`.
fn clock(us: u64) -> String {
    let (ms, s) = (us / 1_000 % 1_000, us / 1_000_000);
    format!("{}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_is_told() {
        assert_eq!(super::clock(0), "0:00:00.000");
        assert_eq!(super::clock(3_723_004_567), "1:02:03.004");
    }
}
