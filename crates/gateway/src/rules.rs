//! From a resolved configuration to the rules that sessions follow.

use crate::config::{Resolved, TargetConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use vestibule_phi::MaskKeys;
use vestibule_policy::TargetFacts;
use vestibule_session::{Catalogs, Place, Rules};

/// The rules of `resolved`. Catalogs of targets that are where they were are kept.
pub(crate) fn rules(resolved: &Resolved, mask_keys: &MaskKeys, before: Option<&Rules>) -> Rules {
    let places: BTreeMap<String, Arc<Place>> = resolved
        .targets
        .iter()
        .map(|(name, target)| {
            let same = before.and_then(|rules| rules.places.get(name)).filter(|place| is_where_it_was(place, target));
            let catalogs = same.map_or_else(|| Arc::new(Catalogs::default()), |place| Arc::clone(&place.catalogs));
            (name.clone(), Arc::new(place(target, catalogs, resolved.recording.on)))
        })
        .collect();
    Rules {
        policy: Arc::clone(&resolved.policies),
        map: Arc::clone(&resolved.data_map),
        mask_keys: mask_keys.clone(),
        places,
    }
}

fn is_where_it_was(place: &Place, target: &TargetConfig) -> bool {
    let (old, new) = (&place.target, &target.upstream);
    old.host == new.host && old.port == new.port && old.user == new.user && old.settings == new.settings
}

fn place(target: &TargetConfig, catalogs: Arc<Catalogs>, record: bool) -> Place {
    Place {
        target: target.upstream.clone(),
        facts: facts(target),
        protocol: target.protocol,
        catalogs,
        durable_disclosure: target.durable_disclosure,
        record,
        idle_timeout: Some(target.idle_timeout),
        max_session: Some(target.max_session),
    }
}

/// What policies know of a target.
pub(crate) fn facts(target: &TargetConfig) -> TargetFacts {
    TargetFacts {
        name: target.upstream.name.clone(),
        protocol: target.protocol.manifest().id.to_owned(),
        phi: target.phi,
        risk: target.risk.name().to_owned(),
        labels: target.labels.clone(),
    }
}
