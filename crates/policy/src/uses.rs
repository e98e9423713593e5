//! What the conditions of a policy look at, read from Cedar's own form of it.
//!
//! Three things follow: which parts of the context have to be built, whether a decision can be remembered, and
//! whether a permit asks the wrong question of what an operation touches.

use serde_json::Value;
use std::collections::BTreeSet;

/// Attributes that say what is touched.
const TOUCHED: [&str; 7] = ["resources", "reads", "writes", "defines", "executes", "columns", "kinds"];

/// What conditions look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    attributes: BTreeSet<String>,
    /// The context as a whole: everything, then.
    whole: bool,
    /// Every text in them: what can be compared with the name of a thing.
    pub texts: BTreeSet<String>,
}

impl Uses {
    /// Of a policy in Cedar's JSON form.
    pub fn of(policy: &Value) -> Self {
        let mut uses = Self::default();
        if let Some(conditions) = policy.get("conditions") {
            uses.walk(conditions);
        }
        uses
    }

    pub fn merge(&mut self, other: &Self) {
        self.attributes.extend(other.attributes.iter().cloned());
        self.texts.extend(other.texts.iter().cloned());
        self.whole |= other.whole;
    }

    /// Whether `context.name` may be looked at.
    pub fn has(&self, name: &str) -> bool {
        self.whole || self.attributes.contains(name)
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(map) => {
                if let Some(name) = map.values().find_map(context_attribute).filter(|_| is_access(value)) {
                    self.attributes.insert(name.to_owned());
                    return;
                }
                if map.get("Var").and_then(Value::as_str) == Some("context") {
                    self.whole = true;
                }
                map.values().for_each(|item| self.walk(item));
            }
            Value::String(text) => {
                self.texts.insert(text.clone());
            }
            _ => {}
        }
    }
}

/// `context.a` or `context has a`.
fn is_access(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.len() == 1 && (map.contains_key(".") || map.contains_key("has")))
}

/// The attribute, where this is the inside of an access to the context.
fn context_attribute(inside: &Value) -> Option<&str> {
    let of = inside.get("left")?.get("Var")?.as_str()?;
    if of == "context" { inside.get("attr")?.as_str() } else { None }
}

/// The attribute, where this expression is `context.attribute` and says what is touched.
fn touched(value: &Value) -> Option<&str> {
    let name = context_attribute(value.get(".")?)?;
    TOUCHED.contains(&name).then_some(name)
}

/// What is asked of what is touched, and whether it is enough.
#[derive(Debug, Default)]
struct Questions {
    /// `context.reads.contains("a")`: asks for one thing, whatever else is touched as well.
    among: BTreeSet<String>,
    /// `["a", "b"].containsAll(context.reads)`: nothing else is touched.
    only: BTreeSet<String>,
}

/// The attribute of which a policy asks whether something is among it, without asking that nothing else is, where the
/// answer lets an operation through: what a permit needs, or what lifts a forbid.
pub(crate) fn loose_question(policy: &Value, permits: bool) -> Option<String> {
    let conditions = policy.get("conditions").and_then(Value::as_array)?;
    let asked = conditions.iter().filter_map(|condition| {
        let when = condition.get("kind").and_then(Value::as_str) == Some("when");
        condition.get("body").map(|body| Questions::of(body, when == permits))
    });
    // A permit needs all its conditions; any one that is not met lifts a forbid.
    let all = asked.reduce(if permits { Questions::and } else { Questions::or })?;
    all.loose().next().map(str::to_owned)
}

impl Questions {
    /// What `value` asks where it has to be true (or, not `positive`, false).
    fn of(value: &Value, positive: bool) -> Self {
        let Some((operator, inside)) = value.as_object().and_then(|map| map.iter().next()) else {
            return Self::default();
        };
        let part = |name: &str, positive| inside.get(name).map(|p| Self::of(p, positive)).unwrap_or_default();
        let (left, right) = (inside.get("left").and_then(touched), inside.get("right").and_then(touched));
        match operator.as_str() {
            "!" => part("arg", !positive),
            "&&" if positive => part("left", true).and(part("right", true)),
            "&&" => part("left", false).or(part("right", false)),
            "||" if positive => part("left", true).or(part("right", true)),
            "||" => part("left", false).and(part("right", false)),
            "if-then-else" => {
                let yes = part("if", true).and(part("then", positive));
                yes.or(part("if", false).and(part("else", positive)))
            }
            "contains" | "containsAny" if positive => Self::new(left.into_iter().chain(right), None),
            "containsAll" if positive => Self::new(left, right),
            "containsAll" => Self::new(right, None),
            "==" if positive => Self::new(None, left.or(right)),
            "==" => Self::new(left.or(right), None),
            _ => Self::default(),
        }
    }

    fn new<'a>(among: impl IntoIterator<Item = &'a str>, only: Option<&'a str>) -> Self {
        let own = |names: &mut dyn Iterator<Item = &'a str>| names.map(str::to_owned).collect();
        Self { among: own(&mut among.into_iter()), only: own(&mut only.into_iter()) }
    }

    /// What is asked for without a bound on the rest.
    fn loose(&self) -> impl Iterator<Item = &str> {
        let named = |name: &str| !matches!(name, "columns" | "kinds");
        let bounded = move |name: &str| self.only.contains(name) || (named(name) && self.only.contains("resources"));
        self.among.iter().map(String::as_str).filter(move |name| !bounded(name))
    }

    fn and(mut self, other: Self) -> Self {
        self.among.extend(other.among);
        self.only.extend(other.only);
        self
    }

    fn or(self, other: Self) -> Self {
        let among = self.loose().chain(other.loose()).map(str::to_owned).collect();
        Self { among, only: self.only.intersection(&other.only).cloned().collect() }
    }
}

/// `resource.protocol == "…"` where all conditions must hold: the protocols a policy confines itself to.
pub(crate) fn protocols(policy: &Value) -> Option<Vec<String>> {
    let conditions = policy.get("conditions").and_then(Value::as_array)?;
    conditions
        .iter()
        .filter(|c| c.get("kind").and_then(Value::as_str) == Some("when"))
        .filter_map(|c| c.get("body"))
        .find_map(protocol)
        .map(|only| vec![only])
}

fn protocol(value: &Value) -> Option<String> {
    if let Some(both) = value.get("&&") {
        return both.get("left").and_then(protocol).or_else(|| both.get("right").and_then(protocol));
    }
    let (left, right) = (value.get("==")?.get("left")?, value.get("==")?.get("right")?);
    let of_resource = |side: &Value| {
        let inside = side.get(".");
        let var = inside.and_then(|i| i.get("left")?.get("Var")?.as_str());
        var == Some("resource") && inside.and_then(|i| i.get("attr")?.as_str()) == Some("protocol")
    };
    let text = |side: &Value| side.get("Value").and_then(Value::as_str).map(str::to_owned);
    if of_resource(left) {
        text(right)
    } else if of_resource(right) {
        text(left)
    } else {
        None
    }
}
