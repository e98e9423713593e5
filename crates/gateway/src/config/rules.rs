//! The policies and the data map that the configuration names, and whether they fit the targets.

use super::keys::nearest;
use super::model::{Resolved, TargetConfig};
use super::read::{Document, Reading, Table};
use super::{files, schema};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vestibule_core::Problem;
use vestibule_phi::DataMap;
use vestibule_policy::{Known, KnownTarget, PolicySet};

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
    targets: &BTreeMap<String, Arc<TargetConfig>>,
    approval_expiry: Duration,
) -> Option<Rules> {
    let table = doc.section(reading, &schema::POLICY);
    let (dir, map_file) = (table.path("dir")?, table.path("data_map")?);
    // A target that is described wrongly is there all the same: that it is wrong has been said.
    let complete = doc.sections(reading, &schema::TARGET).len() == targets.len();
    let map = data_map(&table, &map_file, reading, targets, complete);
    let policies = policies(&table, &dir, reading, &known(targets, map.as_ref(), approval_expiry));
    let (map, policies) = (map?, policies?);
    Some(Rules {
        policy_digest: policies.version().to_string(),
        data_map_digest: map.digest().to_owned(),
        policy_dir: dir,
        policies: Arc::new(policies),
        data_map_file: map_file,
        data_map: Arc::new(map),
    })
}

fn data_map(
    table: &Table<'_>,
    file: &Path,
    reading: &Reading<'_>,
    targets: &BTreeMap<String, Arc<TargetConfig>>,
    complete: bool,
) -> Option<DataMap> {
    if let Err((what, mend)) = files::readable(file) {
        table.problem("data_map", format!("`data_map`: {what}"), mend);
        return None;
    }
    let shown = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) => {
            table.problem("data_map", format!("`data_map`: {shown} cannot be read: {e}"), "save it as UTF-8 text");
            return None;
        }
    };
    let map = DataMap::parse(&shown, &text).map_err(|problems| reading.extend(problems)).ok()?;
    for (name, line) in map.targets().filter(|(name, _)| complete && !targets.contains_key(*name)) {
        let names: Vec<&str> = targets.keys().map(String::as_str).collect();
        let mend = nearest(name, names.iter().copied())
            .map_or_else(|| "remove it, or add the target".to_owned(), |near| format!("write `{near}`"));
        reading.extend([Problem::new(shown.clone(), line, format!("there is no target `{name}`"), mend)]);
    }
    Some(map.without_phi(targets.values().filter(|target| !target.phi).map(|target| target.upstream.name.clone())))
}

fn policies(table: &Table<'_>, dir: &Path, reading: &Reading<'_>, known: &Known) -> Option<PolicySet> {
    if !dir.is_dir() {
        table.problem(
            "dir",
            format!("`dir`: there is no directory {}", dir.display()),
            "make it and put the Cedar files there, or correct the path",
        );
        return None;
    }
    PolicySet::load(dir, known).map_err(|problems| reading.extend(problems)).ok()
}

/// What policies are checked against.
fn known(targets: &BTreeMap<String, Arc<TargetConfig>>, map: Option<&DataMap>, expiry: Duration) -> Known {
    let target = |target: &Arc<TargetConfig>| {
        let manifest = target.protocol.manifest();
        KnownTarget {
            facts: crate::rules::facts(target),
            title: manifest.title.to_owned(),
            capabilities: manifest.capabilities.to_vec(),
        }
    };
    Known {
        targets: Some(targets.values().map(target).collect()),
        profiles: map.map(strictest_first),
        default_expiry: u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX),
    }
}

fn strictest_first(map: &DataMap) -> Vec<String> {
    let mut names: Vec<&str> = map.profiles().collect();
    names.sort_by(|a, b| match (map.stricter(a, b), map.stricter(b, a)) {
        // Equally strict: each is called the stricter one of itself and the other.
        (first, second) if first == *a && second == *b => a.cmp(b),
        (first, _) if first == *a => Ordering::Less,
        _ => Ordering::Greater,
    });
    names.into_iter().map(str::to_owned).collect()
}

pub(super) fn describe_policies(resolved: &Resolved) -> String {
    let (count, dir) = (resolved.policies.len(), resolved.path(&resolved.policy_dir));
    format!("{count} in {dir}, version {}", resolved.policies.version())
}

pub(super) fn describe_map(resolved: &Resolved) -> String {
    let words = resolved.data_map.describe();
    let file = resolved.path(&resolved.data_map_file);
    words.lines().fold(file, |all, line| all + "\n  " + line)
}
