//! The names of the schema as Cedar's own values, made once a policy set, and what is made of them for a request.

use crate::Request;
use crate::facts::TargetFacts;
use crate::scope::{EFFECTS, kind_name};
use crate::uses::Uses;
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Expr, Schema,
};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::str::FromStr;
use vestibule_core::{Access, Effect, Identity, IdentityKind, PhiClass, Reading, Timestamp};

/// Stands among what is touched where the interpreter could not tell all of it: no list of names contains it.
const ANYTHING: &str = "?";
/// The last second of the year 9999, the last that Cedar can write.
const LAST_SECOND: i64 = 253_402_300_799;

/// Types and constants.
pub(crate) struct Vocabulary {
    actions: Vec<EntityUid>,
    kinds: [EntityTypeName; 3],
    group: EntityTypeName,
    target: EntityTypeName,
    risk: EntityTypeName,
    traits: EntityTypeName,
    classes: Vec<(PhiClass, Expr)>,
    readings: [Expr; 3],
    action_entities: Entities,
}

fn kind(name: &str) -> Result<EntityTypeName, String> {
    EntityTypeName::from_str(name).map_err(|e| format!("the type {name}: {e}"))
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(value: impl Into<String>) -> Expr {
    Expr::new_string(value.into())
}

fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> Expr {
    Expr::new_set(values.into_iter().map(text))
}

fn instant(at: Timestamp) -> Expr {
    let (first, last) = (Timestamp(0), Timestamp::from_seconds(LAST_SECOND));
    Expr::new_datetime(at.clamp(first, last).to_string())
}

fn tags(map: &BTreeMap<String, String>) -> Vec<(String, Expr)> {
    map.iter().map(|(key, value)| (key.clone(), text(value.clone()))).collect()
}

impl Vocabulary {
    pub fn new(schema: &Schema) -> Result<Self, String> {
        let action = kind("Action")?;
        let class = kind("Class")?;
        let reading = kind("Reading")?;
        let named = |name| Expr::new_entity_uid(uid(&reading, name));
        Ok(Self {
            actions: EFFECTS.iter().map(|e| uid(&action, e.name())).collect(),
            kinds: [
                kind(kind_name(IdentityKind::Person))?,
                kind(kind_name(IdentityKind::Service))?,
                kind(kind_name(IdentityKind::Agent))?,
            ],
            group: kind("Group")?,
            target: kind("Target")?,
            risk: kind("Risk")?,
            traits: kind("Trait")?,
            classes: PhiClass::ALL.iter().map(|c| (*c, Expr::new_entity_uid(uid(&class, c.name())))).collect(),
            readings: [named("exact"), named("partial"), named("opaque")],
            action_entities: schema.action_entities().map_err(|e| e.to_string())?,
        })
    }

    pub fn action(&self, effect: Effect) -> Option<EntityUid> {
        self.actions.get(effect as usize).cloned()
    }

    pub fn principal(&self, identity: &Identity) -> EntityUid {
        let [person, service, agent] = &self.kinds;
        let kind = match identity.kind {
            IdentityKind::Person => person,
            IdentityKind::Service => service,
            IdentityKind::Agent => agent,
        };
        uid(kind, &identity.id())
    }

    pub fn resource(&self, target: &TargetFacts) -> EntityUid {
        uid(&self.target, &target.name)
    }

    /// Everything that policies can follow from an identity and a target.
    pub fn entities(&self, identity: &Identity, target: &TargetFacts) -> Result<Entities, String> {
        let groups: HashSet<EntityUid> = identity.groups.iter().map(|g| uid(&self.group, g)).collect();
        let mut all: Vec<Entity> = groups.iter().cloned().map(Entity::with_uid).collect();
        let principal = self.principal(identity);
        let tagged = tags(&identity.claims);
        all.push(Entity::new_with_tags(principal, person(identity), groups, tagged).map_err(|e| e.to_string())?);
        let facts = [
            ("name".to_owned(), text(target.name.clone())),
            ("protocol".to_owned(), text(target.protocol.clone())),
            ("phi".to_owned(), Expr::new_bool(target.phi)),
            ("risk".to_owned(), Expr::new_entity_uid(uid(&self.risk, &target.risk))),
        ];
        let resource = self.resource(target);
        all.push(Entity::new_with_tags(resource, facts, [], tags(&target.labels)).map_err(|e| e.to_string())?);
        self.action_entities.clone().add_entities(all, None).map_err(|e| e.to_string())
    }

    /// The context of a request: no more of it than `uses` looks at.
    pub fn context(&self, request: &Request<'_>, approved: bool, uses: &Uses) -> Result<Context, String> {
        let mut pairs: Vec<(String, Expr)> = Vec::with_capacity(16);
        let mut put = |name: &str, value: &dyn Fn() -> Expr| {
            if uses.has(name) {
                pairs.push((name.to_owned(), value()));
            }
        };
        let operation = request.operation;
        let things = |access: Option<Access>| texts(touched(request, access, uses));
        put("action", &|| text(operation.action.as_ref()));
        put("resources", &|| things(None));
        put("reads", &|| things(Some(Access::Read)));
        put("writes", &|| things(Some(Access::Write)));
        put("defines", &|| things(Some(Access::Define)));
        put("executes", &|| things(Some(Access::Execute)));
        put("kinds", &|| texts(widened(operation.resources.iter().map(|r| r.kind.as_ref()).collect(), request, uses)));
        put("columns", &|| Expr::new_set(columns(request, uses).into_iter().map(text)));
        put("classes", &|| {
            let here = self.classes.iter().filter(|(class, _)| request.classes.contains(*class));
            Expr::new_set(here.map(|(_, expr)| expr.clone()))
        });
        put("traits", &|| {
            Expr::new_set(operation.traits.iter().map(|name| Expr::new_entity_uid(uid(&self.traits, name))))
        });
        put("reading", &|| self.reading(&operation.reading));
        put("now", &|| instant(request.now));
        put("time", &|| time(request.now));
        put("approved", &|| Expr::new_bool(approved));
        if let Some(source) = request.source {
            // An IPv4 client of a dual-stack listener is still an IPv4 client.
            put("source", &|| Expr::new_ip(source.to_canonical().to_string()));
        }
        Context::from_pairs(pairs).map_err(|e| e.to_string())
    }

    fn reading(&self, reading: &Reading) -> Expr {
        let [exact, partial, opaque] = &self.readings;
        match reading {
            Reading::Exact => exact.clone(),
            Reading::Partial(_) => partial.clone(),
            Reading::Opaque => opaque.clone(),
        }
    }
}

fn person(identity: &Identity) -> Vec<(String, Expr)> {
    let proof = &identity.assurance;
    let mut facts = vec![
        ("id".to_owned(), text(identity.id())),
        ("issuer".to_owned(), text(identity.issuer.clone())),
        ("subject".to_owned(), text(identity.subject.clone())),
        ("amr".to_owned(), texts(proof.amr.iter().map(String::as_str))),
        ("acting_for".to_owned(), texts(identity.acting_for.iter().map(String::as_str))),
    ];
    facts.extend(proof.acr.iter().map(|acr| ("acr".to_owned(), text(acr.clone()))));
    facts.extend(proof.auth_time.iter().map(|at| ("auth_time".to_owned(), instant(Timestamp::from_seconds(*at)))));
    facts
}

fn time(now: Timestamp) -> Expr {
    let second = now.seconds();
    let (days, of_day) = (second.div_euclid(86_400), second.rem_euclid(86_400));
    let parts = [
        ("hour".to_owned(), Expr::new_long(of_day / 3_600)),
        ("minute".to_owned(), Expr::new_long(of_day / 60 % 60)),
        // 1970-01-01 was a Thursday.
        ("weekday".to_owned(), Expr::new_long((days + 3).rem_euclid(7) + 1)),
    ];
    // Names are distinct, so the record cannot fail; were it to, the attribute is missing and the decision a no.
    Expr::new_record(parts).unwrap_or_else(|_| Expr::new_bool(false))
}

/// The names of what is touched, by one access or by any.
fn touched<'a>(request: &'a Request<'_>, access: Option<Access>, uses: &'a Uses) -> BTreeSet<&'a str> {
    let resources = request.operation.resources.iter();
    let names = resources.filter(|r| access.is_none_or(|a| r.access == a)).map(|r| r.name.as_str()).collect();
    widened(names, request, uses)
}

/// Everything that a policy can compare a name with: the texts in it, and those that hang on identity and target.
fn comparable<'a>(request: &'a Request<'_>, uses: &'a Uses) -> impl Iterator<Item = &'a str> {
    let hanging = request.identity.claims.values().chain(request.target.labels.values());
    uses.texts.iter().chain(hanging).map(String::as_str)
}

/// What was not wholly understood may touch whatever a policy names, and more: forbids by name then apply, and lists
/// of what may be touched do not.
fn widened<'a>(mut names: BTreeSet<&'a str>, request: &'a Request<'_>, uses: &'a Uses) -> BTreeSet<&'a str> {
    if request.operation.reading != Reading::Exact {
        names.insert(ANYTHING);
        names.extend(comparable(request, uses));
    }
    names
}

/// The columns touched. Where all or unknown columns of a relation are, those are meant, too, that a policy names.
fn columns(request: &Request<'_>, uses: &Uses) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for resource in request.operation.resources.iter() {
        let relation = &resource.name;
        names.extend(resource.columns.iter().map(|column| format!("{relation}.{column}")));
        let all = resource.columns.is_empty() || resource.columns.iter().any(|c| c == "*");
        if all && resource.access != Access::Execute {
            names.insert(format!("{relation}.*"));
            let below = |text: &&str| text.strip_prefix(relation.as_str()).is_some_and(|rest| rest.starts_with('.'));
            names.extend(comparable(request, uses).filter(below).map(str::to_owned));
        }
    }
    if request.operation.reading != Reading::Exact {
        names.insert(ANYTHING.to_owned());
        names.extend(comparable(request, uses).map(str::to_owned));
    }
    names
}
