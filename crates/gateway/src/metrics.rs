//! What the gateway counts, for Prometheus (text format, OpenMetrics 1.0).
//!
//! Labels are of bounded number: protocols, targets, effects, decisions, classes, kinds. Identities, statements and
//! session ids are never labels: they would be PHI-adjacent, and without bound. Handles of the hot path are made
//! once, so that counting is one atomic addition.
//!
//! Not here: the endpoint (the API), and the log.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use vestibule_core::{Disclosure, Effect, FaultKind, PhiClass, RefusalKind};
use vestibule_session::{Observer, Seen};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    protocol: String,
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    protocol: String,
    target: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TurnedAway {
    protocol: &'static str,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ruled {
    target: String,
    effect: &'static str,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Target {
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Everything the gateway counts. Cheap to update; rendered by [`Metrics::render`].
pub struct Metrics {
    registry: Registry,
    sessions_open: Family<At, Gauge>,
    sessions_ended: Family<Ended, Counter>,
    sessions_turned_away: Family<TurnedAway, Counter>,
    operations: Family<Ruled, Counter>,
    operation_seconds: Family<Target, Histogram, fn() -> Histogram>,
    masked: Vec<Counter>,
    revealed: Vec<Counter>,
    rows: Family<Target, Counter>,
    rows_withheld: Family<Target, Counter>,
    response_bytes: Family<Target, Counter>,
    approvals_waiting: Gauge,
    approvals: Family<Outcome, Counter>,
    approval_seconds: Histogram,
    ledger_size: Gauge,
    ledger_poisoned: Gauge,
    checkpoint_time: Gauge<f64, AtomicU64>,
    faults: Family<Kind, Counter>,
    reloads: Family<Outcome, Counter>,
    api_requests: Family<ApiRequest, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiRequest {
    /// The route's pattern, never the path: paths hold session ids.
    route: String,
    status: u16,
}

/// From 0.1 ms to about 26 s.
fn operation_histogram() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(0.0001, 4.0, 10))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(env!("CARGO_PKG_VERSION"))
    }
}

impl Metrics {
    /// All at zero. `version` is that of the binary.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut r = Registry::with_prefix("vestibule");
        r.register("build", "The running binary", Info::new([("version", version.to_owned())]));
        let classes = |family: &Family<Class, Counter>| {
            PhiClass::ALL.iter().map(|c| family.get_or_create_owned(&Class { class: c.name() })).collect()
        };
        let masked = family(&mut r, "values_masked", "Values of a PHI class masked before they reached a client");
        let revealed =
            family(&mut r, "values_revealed", "Values of a PHI class shown in clear because policy reveals it");
        let (masked, revealed) = (classes(&masked), classes(&revealed));
        let operation_seconds = Family::new_with_constructor(operation_histogram as fn() -> Histogram);
        let what = "Time from ruling to the end of an operation";
        r.register_with_unit("operation_duration", what, Unit::Seconds, operation_seconds.clone());
        let approval_seconds = Histogram::new([1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0]);
        r.register_with_unit("approval_wait", "Time from request to ruling", Unit::Seconds, approval_seconds.clone());
        let checkpoint_time = Gauge::<f64, AtomicU64>::default();
        let what = "When the newest checkpoint was signed, in POSIX time";
        r.register_with_unit("ledger_checkpoint_time", what, Unit::Seconds, checkpoint_time.clone());
        Self {
            sessions_open: family(&mut r, "sessions_open", "Sessions that are open now"),
            sessions_ended: family(&mut r, "sessions_ended", "Sessions that ended"),
            sessions_turned_away: family(&mut r, "sessions_turned_away", "Connections that did not become a session"),
            operations: family(&mut r, "operations", "Operations ruled on"),
            operation_seconds,
            masked,
            revealed,
            rows: family(&mut r, "rows", "Rows (records, messages) that reached a client"),
            rows_withheld: family(&mut r, "rows_withheld", "Rows withheld by a row limit"),
            response_bytes: family(&mut r, "response_bytes", "Bytes of responses that reached a client"),
            approvals_waiting: family(&mut r, "approvals_waiting", "Requests that wait for a human now"),
            approvals: family(&mut r, "approvals", "Requests settled"),
            approval_seconds,
            ledger_size: family(&mut r, "ledger_entries", "Entries in the ledger"),
            ledger_poisoned: family(&mut r, "ledger_poisoned", "1 if the ledger can no longer be written to"),
            checkpoint_time,
            faults: family(&mut r, "faults", "Faults of the gateway itself"),
            reloads: family(&mut r, "reloads", "Reloads of the configuration"),
            api_requests: family(&mut r, "api_requests", "Requests to the HTTP API"),
            registry: r,
        }
    }

    /// The text for Prometheus to scrape.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8 << 10);
        // Writing into a String cannot fail; an encoder's own refusal leaves what was written so far.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A session began.
    pub fn session_opened(&self, protocol: &str, target: &str) {
        self.sessions_open.get_or_create(&At { protocol: protocol.into(), target: target.into() }).inc();
    }

    /// A session ended. `reason` is one of a fixed set of words.
    pub fn session_closed(&self, protocol: &str, target: &str, reason: &str) {
        self.sessions_open.get_or_create(&At { protocol: protocol.into(), target: target.into() }).dec();
        let reason = bounded(reason);
        self.sessions_ended.get_or_create(&Ended { protocol: protocol.into(), target: target.into(), reason }).inc();
    }

    /// A connection was turned away before it became a session.
    pub fn turned_away(&self, protocol: &'static str, kind: RefusalKind) {
        self.sessions_turned_away.get_or_create(&TurnedAway { protocol, kind: kind.name() }).inc();
    }

    /// An operation was ruled on.
    pub fn ruled(&self, target: &str, effect: Effect, decision: &'static str) {
        self.operations.get_or_create(&Ruled { target: target.into(), effect: effect.name(), decision }).inc();
    }

    /// An operation is over.
    pub fn done(&self, target: &str, disclosed: &Disclosure, took: Duration) {
        let label = Target { target: target.into() };
        self.operation_seconds.get_or_create(&label).observe(took.as_secs_f64());
        self.rows.get_or_create(&label).inc_by(disclosed.rows);
        self.response_bytes.get_or_create(&label).inc_by(disclosed.bytes);
        if disclosed.withheld > 0 {
            self.rows_withheld.get_or_create(&label).inc_by(disclosed.withheld);
        }
        for (counters, counts) in [(&self.masked, &disclosed.masked), (&self.revealed, &disclosed.revealed)] {
            for (class, n) in counts {
                if let Some(counter) = counters.get(*class as usize) {
                    counter.inc_by(*n);
                }
            }
        }
    }

    /// How many requests wait for a human now.
    pub fn approvals_waiting(&self, n: usize) {
        self.approvals_waiting.set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// A request was settled: `approved`, `denied`, `expired`, `withdrawn`.
    pub fn approval_settled(&self, outcome: &'static str, waited: Duration) {
        self.approvals.get_or_create(&Outcome { outcome }).inc();
        self.approval_seconds.observe(waited.as_secs_f64());
    }

    /// The ledger's state.
    pub fn ledger(&self, entries: u64, poisoned: bool) {
        self.ledger_size.set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.ledger_poisoned.set(i64::from(poisoned));
    }

    /// A checkpoint was signed at this POSIX time.
    pub fn checkpoint(&self, seconds: i64) {
        #[expect(clippy::cast_precision_loss, reason = "POSIX seconds fit the 52 bits for millions of years")]
        self.checkpoint_time.set(seconds as f64);
    }

    /// Something of ours failed.
    pub fn fault(&self, kind: FaultKind) {
        self.faults.get_or_create(&Kind { kind: kind.name() }).inc();
    }

    /// The configuration was reloaded, or the old one kept.
    pub fn reloaded(&self, good: bool) {
        self.reloads.get_or_create(&Outcome { outcome: if good { "in-force" } else { "kept-old" } }).inc();
    }

    /// The API answered. `route` is the pattern, never the path.
    pub fn api_request(&self, route: &str, status: u16) {
        self.api_requests.get_or_create(&ApiRequest { route: route.to_owned(), status }).inc();
    }
}

impl Observer for Metrics {
    fn saw(&self, seen: Seen<'_>) {
        match seen {
            Seen::Opened(facts) => self.session_opened(facts.protocol, &facts.target),
            Seen::TurnedAway { protocol, kind } => self.turned_away(protocol, kind),
            Seen::Ruled { target, effect, decision, .. } => self.ruled(target, effect, decision),
            Seen::Done { target, disclosed, took, .. } => self.done(target, disclosed, took),
            Seen::Closed { facts, reason, .. } => self.session_closed(facts.protocol, &facts.target, reason),
            Seen::Fault(kind) => self.fault(kind),
        }
    }
}

fn family<M: Clone + Default + prometheus_client::registry::Metric>(
    registry: &mut Registry,
    name: &str,
    help: &str,
) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// A label value from words: the part before the first colon, at most 40 characters. Keeps the number of series
/// bounded where a reason carries details behind a colon.
fn bounded(reason: &str) -> String {
    reason.split(':').next().unwrap_or_default().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use std::time::Duration;
    use vestibule_core::{Disclosure, Effect, FaultKind, PhiClass, RefusalKind};

    #[test]
    fn counts_what_happened() {
        let m = Metrics::new("9.9.9");
        m.session_opened("postgres", "clinic");
        m.session_opened("postgres", "clinic");
        m.session_closed("postgres", "clinic", "client: left");
        m.turned_away("postgres", RefusalKind::Identity);
        m.ruled("clinic", Effect::Read, "permit");
        let disclosed = Disclosure {
            rows: 3,
            bytes: 120,
            withheld: 2,
            masked: [(PhiClass::Ssn, 3)].into(),
            revealed: [(PhiClass::Name, 1)].into(),
            ..Disclosure::default()
        };
        m.done("clinic", &disclosed, Duration::from_millis(3));
        m.approval_settled("approved", Duration::from_secs(20));
        m.ledger(42, false);
        m.fault(FaultKind::Upstream);
        m.reloaded(false);
        let text = m.render();
        for line in [
            "vestibule_build_info{version=\"9.9.9\"} 1",
            "vestibule_sessions_open{protocol=\"postgres\",target=\"clinic\"} 1",
            "vestibule_sessions_ended_total{protocol=\"postgres\",target=\"clinic\",reason=\"client\"} 1",
            "vestibule_sessions_turned_away_total{protocol=\"postgres\",kind=\"identity\"} 1",
            "vestibule_operations_total{target=\"clinic\",effect=\"read\",decision=\"permit\"} 1",
            "vestibule_values_masked_total{class=\"ssn\"} 3",
            "vestibule_values_masked_total{class=\"name\"} 0",
            "vestibule_values_revealed_total{class=\"name\"} 1",
            "vestibule_rows_total{target=\"clinic\"} 3",
            "vestibule_rows_withheld_total{target=\"clinic\"} 2",
            "vestibule_response_bytes_total{target=\"clinic\"} 120",
            "vestibule_approvals_total{outcome=\"approved\"} 1",
            "vestibule_ledger_entries 42",
            "vestibule_ledger_poisoned 0",
            "vestibule_faults_total{kind=\"upstream\"} 1",
            "vestibule_reloads_total{outcome=\"kept-old\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
