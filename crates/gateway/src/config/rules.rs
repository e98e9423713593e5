//! The policies and the data map that the configuration names, and whether they fit the targets.

use super::model::{Resolved, TargetConfig};
use super::read::{Document, Reading};
use super::schema;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use vestibule_phi::DataMap;
use vestibule_policy::PolicySet;

/// Policies and data map, with what names their version.
pub(super) struct Rules {
    pub policy_dir: PathBuf,
    pub policies: Arc<PolicySet>,
    pub policy_digest: String,
    pub data_map_file: PathBuf,
    pub data_map: Arc<DataMap>,
    pub data_map_digest: String,
}

pub(super) fn rules(
    doc: &Document<'_>,
    reading: &Reading<'_>,
    _targets: &BTreeMap<String, Arc<TargetConfig>>,
) -> Option<Rules> {
    let table = doc.section(reading, &schema::POLICY);
    let (dir, map) = (table.path("dir")?, table.path("data_map")?);
    let _ = (dir, map);
    None
}

pub(super) fn describe_policies(_resolved: &Resolved) -> String {
    String::new()
}

pub(super) fn describe_map(_resolved: &Resolved) -> String {
    String::new()
}
