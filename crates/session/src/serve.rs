//! A connection from its first byte to its last entry.

use crate::entries::{Closed, Opened, SessionRefused, Who};
use crate::half::Half;
use crate::house::random;
use crate::log::{SessionLog, unrecordable};
use crate::stream::{End, Stream};
use crate::welcome::{Claim, Greeted, Reception, greet};
use crate::wires::{Parts, Wires};
use crate::{Guard, House, LiveSession, Place, Rules, Seen, SessionFacts, Totals, cancel};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use vestibule_core::{
    Chosen, Effect, Fault, FaultKind, Identity, Limits, OpId, OpenSession, Operation, Protocol, Refusal, RefusalKind,
    Secret, Timestamp, Welcome,
};
use vestibule_record::{Header, Recorder};
use vestibule_upstream::{DialError, Upstream};

/// How long a new session waits for a catalog that has never been read.
const CATALOG_PATIENCE: Duration = Duration::from_secs(10);

/// A connection that was just accepted, and how its listener receives it.
pub struct Arrival {
    /// The bytes.
    pub tcp: TcpStream,
    /// From where.
    pub peer: SocketAddr,
    /// What the listener speaks.
    pub protocol: &'static dyn Protocol,
    /// The listener's certificate.
    pub tls: Arc<rustls::ServerConfig>,
    /// Whether a proof is accepted outside TLS (loopback only).
    pub allow_cleartext: bool,
    /// How long the login may take.
    pub login_timeout: Duration,
    /// Limits on messages.
    pub limits: Limits,
}

/// Serves one connection. Returns when it is over; everything worth knowing is on the ledger then.
pub async fn serve(house: Arc<House>, arrival: Arrival) {
    let protocol = arrival.protocol;
    let peer = arrival.peer;
    let (timeout, limits) = (arrival.login_timeout, arrival.limits);
    let reception = Reception { tls: arrival.tls, allow_cleartext: arrival.allow_cleartext };
    let greeted = async {
        let nonce = random::<32>().map_err(|fault| fault.to_string())?;
        arrival.tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        greet(arrival.tcp, protocol, &reception, limits, nonce).await.map_err(|error| error.to_string())
    };
    let claim = match tokio::time::timeout(timeout, greeted).await {
        Ok(Ok(Greeted::Claim(claim))) => claim,
        Ok(Ok(Greeted::Cancel(key))) => return cancel::request(&house, &key, peer.ip()),
        Ok(Ok(Greeted::Nobody)) => return,
        Ok(Err(error)) => return tracing::info!(%peer, %error, "a connection ended before its login"),
        Err(_) => return tracing::info!(%peer, "a connection did not log in in time"),
    };
    Session { house, protocol, peer, limits }.admit(*claim).await;
}

struct Session {
    house: Arc<House>,
    protocol: &'static dyn Protocol,
    peer: SocketAddr,
    limits: Limits,
}

/// What was decided about a claim before it is a session.
struct Admitted {
    identity: Arc<Identity>,
    place: Arc<Place>,
}

impl Session {
    async fn admit(self, mut claim: Claim) {
        // INVARIANT: announced before looking, and the drain says that it closes before it looks who was announced.
        let _writing = self.house.live.writing();
        if let Some(why) = self.house.live.closing() {
            return answer(&mut claim, Err(&why)).await;
        }
        match self.judge(&claim.chosen, &claim.token).await {
            Ok(admitted) => self.open(claim, admitted).await,
            Err(refusal) => {
                let protocol = self.protocol.manifest().id;
                self.house.observer.saw(Seen::TurnedAway { protocol, kind: refusal.kind });
                answer(&mut claim, Err(&refusal)).await;
            }
        }
    }

    /// Who is it, and does the place exist. What is refused here is on the ledger before the client hears of it.
    async fn judge(&self, chosen: &Chosen, token: &Secret) -> Result<Admitted, Refusal> {
        let rules: Arc<Rules> = Arc::clone(&self.house.rules.borrow());
        let target = chosen.target.as_str();
        let proven = match std::str::from_utf8(token.expose()) {
            Ok(token) => self.house.prover.prove(token, Some(target), self.house.now()).await,
            Err(_) => return Err(self.turn_away(None, target, "the token is not text").await),
        };
        let identity = match proven {
            Ok(identity) => Arc::new(identity),
            Err(error) => {
                tracing::warn!(peer = %self.peer, target, kind = ?error.kind, reason = %error.reason, "a proof was refused");
                return Err(self.turn_away(None, target, error.public).await);
            }
        };
        let place = rules.places.get(target).filter(|p| p.protocol.manifest().id == self.protocol.manifest().id);
        match place {
            Some(place) => Ok(Admitted { identity, place: Arc::clone(place) }),
            None => Err(self.turn_away(Some(&identity), target, "there is no such target here").await),
        }
    }

    async fn turn_away(&self, identity: Option<&Identity>, target: &str, rule: &str) -> Refusal {
        let kind = if identity.is_some() { RefusalKind::Policy } else { RefusalKind::Identity };
        let body = SessionRefused {
            identity: identity.map(Who::of),
            target: printable(target),
            protocol: self.protocol.manifest().id,
            source: self.peer.ip().to_string(),
            kind: kind.name(),
            rule,
        };
        if let Err(error) = self.house.journal.note("session.refused", &body).await {
            return crate::log::unrecorded(&error);
        }
        let remedy =
            "get a token with `vestibule login`, then connect with `vestibule connect` or pass it as the password";
        Refusal::new(kind, format!("refused: {rule}"), remedy)
    }

    async fn open(self, mut claim: Claim, admitted: Admitted) {
        let Admitted { identity, place } = admitted;
        let opened = self.house.now();
        let sid = match session_id(opened) {
            Ok(sid) => sid,
            Err(fault) => return self.fault(&mut claim, &fault).await,
        };
        let facts = SessionFacts {
            sid: Arc::clone(&sid),
            identity,
            target: Arc::from(place.facts.name.as_str()),
            protocol: self.protocol.manifest().id,
            source: self.peer.ip(),
            client: Arc::from(client_words(&claim)),
            opened,
            recorded: place.record,
        };
        let log = Arc::new(SessionLog::new(Arc::clone(&self.house), &sid));
        let mut guard = Guard::new(Arc::clone(&self.house), Arc::clone(&place), facts.clone(), Arc::clone(&log));
        let tls = claim.transport.tls_summary();
        let cleared = async {
            self.note_opened(&log, &facts, tls.as_deref()).await?;
            let (quiet, _told) = mpsc::channel(1);
            let permit = guard.clear(OpId(0), &Operation::bare(Effect::Open, "connect"), &quiet).await?;
            log.safe(permit.receipt()).await
        };
        let entered = match cleared.await {
            Ok(()) => self.reach(claim.chosen.parameters.clone(), &place).await,
            Err(refusal) => Err(refusal),
        };
        let totals = Totals::default();
        match entered {
            Ok(upstream) => self.run(claim, upstream, guard, place, facts, log).await,
            Err(refusal) => {
                self.house.observer.saw(Seen::TurnedAway { protocol: facts.protocol, kind: refusal.kind });
                self.note_closed(&log, &facts, &totals, &refusal.message, None).await;
                answer(&mut claim, Err(&refusal)).await;
            }
        }
    }

    async fn note_opened(&self, log: &SessionLog, facts: &SessionFacts, tls: Option<&str>) -> Result<(), Refusal> {
        let rules = Arc::clone(&self.house.rules.borrow());
        let body = Opened {
            identity: Who::of(&facts.identity),
            target: &facts.target,
            protocol: facts.protocol,
            source: facts.source.to_string(),
            client: &facts.client,
            tls,
            policy_version: rules.policy.version(),
            recorded: facts.recorded,
        };
        log.append(facts.opened, "session.open", &body).await.map(drop)
    }

    /// Dials the target. What went wrong is for the operator; the client hears only that it did.
    async fn reach(&self, parameters: BTreeMap<String, String>, place: &Place) -> Result<Upstream, Refusal> {
        let nonce = random::<32>().map_err(|fault| self.unreachable(&fault.to_string()))?;
        let dialled = vestibule_upstream::connect(&place.target, self.protocol, parameters, nonce, self.limits).await;
        let upstream = match dialled {
            Ok(upstream) => upstream,
            Err(DialError::Fault(fault)) => return Err(self.unreachable(&fault.to_string())),
            Err(DialError::Refused(refusal)) => return Err(self.unreachable(&refusal.message)),
        };
        if self.protocol.crawl().is_some() && !catalog_is_there(place).await && place.facts.phi {
            return Err(
                self.unreachable("the catalog of the target has not been read; its columns could not be masked")
            );
        }
        Ok(upstream)
    }

    fn unreachable(&self, why: &str) -> Refusal {
        tracing::error!(%why, "a target cannot be used");
        self.house.observer.saw(Seen::Fault(FaultKind::Upstream));
        Refusal::new(
            RefusalKind::Target,
            "the gateway could not reach the target, or may not use it",
            "tell the operators of the gateway; its log says why",
        )
    }

    /// Begins the recording. It exists before the client is let in: what cannot be recorded does not run.
    async fn recorder(&self, facts: &SessionFacts, place: &Place) -> Result<Option<Recorder>, Refusal> {
        if !place.record {
            return Ok(None);
        }
        let header = Header {
            sid: facts.sid.to_string(),
            target: facts.target.to_string(),
            protocol: facts.protocol.to_owned(),
            identity_id: facts.identity.id(),
            identity_name: facts.identity.name.clone(),
            started: facts.opened,
        };
        let recorder = self.house.records.session(header).map_err(|error| unrecordable(&error))?;
        recorder.room().await.map_err(|error| unrecordable(&error))?;
        Ok(Some(recorder))
    }

    async fn run(
        self,
        mut claim: Claim,
        upstream: Upstream,
        guard: Guard,
        place: Arc<Place>,
        facts: SessionFacts,
        log: Arc<SessionLog>,
    ) {
        let prepared = self
            .recorder(&facts, &place)
            .await
            .and_then(|recorder| cancel_key().map(|key| (recorder, key)).map_err(|f| self.unreachable(&f.to_string())));
        let (recorder, key) = match prepared {
            Ok(prepared) => prepared,
            Err(refusal) => {
                self.note_closed(&log, &facts, &Totals::default(), &refusal.message, None).await;
                return answer(&mut claim, Err(&refusal)).await;
            }
        };
        let established = Arc::new(upstream.established);
        let live = LiveSession::new(facts.clone());
        let welcome = Welcome { established: Arc::clone(&established), cancel_key: key.to_vec() };
        self.house.live.enter(&live, &key);
        self.house.observer.saw(Seen::Opened(&facts));
        answer(&mut claim, Ok(&welcome)).await;
        let interpreter = self.protocol.open(OpenSession {
            chosen: claim.chosen,
            established: Arc::clone(&established),
            catalog: place.catalogs.watch().borrow().clone(),
            limits: self.limits,
            phi: place.facts.phi,
        });
        let wires = Wires::new(Parts {
            client: Half::new(claim.transport, claim.rest),
            target: Half::new(upstream.transport, upstream.rest),
            interpreter,
            place,
            established,
            live,
            log: Arc::clone(&log),
            recorder,
            observer: Arc::clone(&self.house.observer),
            max_message_bytes: self.limits.max_message_bytes,
        });
        let mut stream = Stream::new(guard, wires);
        let end = stream.run().await;
        self.house.live.leave(&facts.sid, &key);
        self.wind_up(&mut stream, &facts, &log, &end).await;
    }

    async fn wind_up(&self, stream: &mut Stream, facts: &SessionFacts, log: &SessionLog, end: &End) {
        let recording = match stream.wires.take_recorder() {
            Some(recorder) => self.end_recording(recorder, facts, log).await,
            None => None,
        };
        self.note_closed(log, facts, &stream.wires.totals, &end.reason(), recording.as_deref()).await;
    }

    /// Closes the recording, and notes its last chunks. Gives the digest that `session.closed` carries.
    async fn end_recording(&self, mut recorder: Recorder, facts: &SessionFacts, log: &SessionLog) -> Option<String> {
        let summary = match recorder.finish().await {
            Ok(summary) => summary,
            Err(error) => {
                tracing::error!(sid = %facts.sid, %error, "the recording of a session could not be completed");
                self.house.observer.saw(Seen::Fault(FaultKind::Record));
                // What made it to storage is noted all the same; that this fails too is told by what follows.
                let _ = log.chunks(&mut recorder).await;
                return None;
            }
        };
        for sealed in &summary.sealed {
            log.chunk(sealed).await.ok()?;
        }
        Some(summary.digest)
    }

    async fn note_closed(
        &self,
        log: &SessionLog,
        facts: &SessionFacts,
        totals: &Totals,
        reason: &str,
        recording: Option<&str>,
    ) {
        let at = self.house.now();
        let body = Closed { reason, ops: totals.operations, n: log.entries().saturating_add(1), recording };
        let noted = match log.append(at, "session.closed", &body).await {
            Ok(receipt) => log.safe(receipt).await,
            Err(refusal) => Err(refusal),
        };
        if noted.is_err() {
            // Recovery will find the session open and close it as abandoned.
            tracing::error!(sid = %facts.sid, "the end of a session could not be recorded");
            self.house.observer.saw(Seen::Fault(FaultKind::Ledger));
        }
        self.house.observer.saw(Seen::Closed { facts, totals, at, reason });
    }

    async fn fault(&self, claim: &mut Claim, fault: &Fault) {
        self.house.observer.saw(Seen::Fault(fault.kind));
        answer(claim, Err(&self.unreachable(&fault.what))).await;
    }
}

/// Whether the target's catalog is known, after waiting for it a little: the gateway may just have started.
async fn catalog_is_there(place: &Place) -> bool {
    let mut catalogs = place.catalogs.watch();
    if catalogs.borrow().is_some() {
        return true;
    }
    place.catalogs.ring();
    tokio::time::timeout(CATALOG_PATIENCE, catalogs.wait_for(Option::is_some)).await.is_ok_and(|seen| seen.is_ok())
}

/// Completes the client's login, or refuses it.
async fn answer(claim: &mut Claim, verdict: Result<&Welcome, &Refusal>) {
    let refused = verdict.is_err();
    let mut reply = Vec::new();
    claim.greeting.proven(verdict, &mut reply);
    // A client that does not take its answer is noticed by the next read.
    let _ = claim.transport.write_all(&reply).await;
    let _ = claim.transport.flush().await;
    if refused {
        let _ = tokio::time::timeout(Duration::from_secs(2), claim.transport.shutdown()).await;
    }
}

/// A key for cancel requests. Its first bit is zero: protocols hand its beginning out as a number that people see.
fn cancel_key() -> Result<[u8; 32], Fault> {
    let mut key = random::<32>()?;
    if let Some(first) = key.first_mut() {
        *first &= 0x7f;
    }
    Ok(key)
}

/// Sortable by time, and not to be guessed: 48 bits of milliseconds, 80 random bits, in hex.
fn session_id(now: Timestamp) -> Result<Arc<str>, Fault> {
    let chance = random::<10>()?;
    let tail: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Arc::from(format!("{:012x}{tail}", now.0.div_euclid(1_000))))
}

fn client_words(claim: &Claim) -> String {
    let application = claim.chosen.parameters.get("application_name").map_or("", String::as_str);
    format!("{} {}", printable(&claim.chosen.user), printable(application)).trim().to_owned()
}

/// A client's own words, cut to what is sensible to store.
fn printable(words: &str) -> &str {
    let end = words.char_indices().find(|(at, c)| c.is_control() || *at >= 128).map_or(words.len(), |(at, _)| at);
    words.get(..end).unwrap_or_default()
}
