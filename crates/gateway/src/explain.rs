//! What would happen to a statement: the same reading, rules and catalog as in a session, and nothing is run.

use crate::Gateway;
use crate::config::TargetConfig;
use crate::rules::facts;
use std::sync::Arc;
use vestibule_core::{
    Chosen, ClassSet, Established, Fault, Identity, Limits, OpenSession, Operation, Refusal, RefusalKind, Snapshot,
    Timestamp,
};
use vestibule_phi::DataMap;
use vestibule_policy::{Asked, Explanation, PolicySet, Request};

/// Reads a statement as the target's protocol would, and says which classes of PHI it touches.
///
/// # Errors
/// It is no statement, or the protocol knows none.
pub fn ask(target: &TargetConfig, catalog: Option<Snapshot>, map: &DataMap, statement: &str) -> Result<Asked, Refusal> {
    let session = OpenSession {
        chosen: Chosen::default(),
        established: Arc::new(Established::default()),
        catalog,
        limits: Limits::default(),
        phi: target.phi,
    };
    let operations = target.protocol.read(statement, &session)?;
    let name = &target.upstream.name;
    let with_classes = |operation: Operation| {
        let classes: ClassSet = map.classes(name, &operation.resources);
        (operation, classes)
    };
    Ok(Asked { target: facts(target), operations: operations.into_iter().map(with_classes).collect() })
}

/// What would happen, one explanation an operation.
#[must_use]
pub fn explain(policies: &PolicySet, identity: &Identity, asked: &Asked, now: Timestamp) -> Vec<Explanation> {
    let one = |(operation, classes): &(Operation, ClassSet)| {
        policies.explain(&Request {
            identity,
            target: &asked.target,
            operation,
            classes: *classes,
            now,
            source: None,
            approved: false,
        })
    };
    asked.operations.iter().map(one).collect()
}

impl Gateway {
    /// What would happen to a statement of `identity` on a target now.
    ///
    /// # Errors
    /// There is no such target, or it is no statement.
    pub fn explain(&self, identity: &Identity, target: &str, statement: &str) -> Result<Vec<Explanation>, Refusal> {
        let config = self.config();
        let found = config.targets.get(target).ok_or_else(|| {
            Refusal::new(
                RefusalKind::NotUnderstood,
                format!("there is no target `{target}`"),
                "list them with `vestibule connect`",
            )
        })?;
        let rules = Arc::clone(&self.house.rules.borrow());
        let catalog = rules.places.get(target).and_then(|place| place.catalogs.watch().borrow().clone());
        let asked = ask(found, catalog, &rules.map, statement)?;
        Ok(explain(&rules.policy, identity, &asked, self.house.now()))
    }
}

/// The catalog of a target, read now, where its protocol has one. For commands that run beside the gateway.
///
/// # Errors
/// The target cannot be reached or used; for the operator.
pub async fn catalog(target: &TargetConfig) -> Result<Option<Snapshot>, Fault> {
    crate::catalogs::read_once(&target.upstream, target.protocol).await
}
