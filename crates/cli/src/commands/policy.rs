//! `policy explain`, `policy test`, `policy schema`: beside the gateway, with its configuration, without running anything.
//!
//! Statements are read with the target's catalog, as in a session. Where the target cannot be reached they are read
//! without one: what cannot be told then is treated as the worst, as always.

use crate::args::{Explain, Globals, Policy};
use crate::commands::house;
use crate::failure::{Done, Failure, Kind};
use crate::output::{json, line, note, safe};
use std::collections::BTreeMap;
use vestibule_core::{Assurance, Identity, IdentityKind, Snapshot, Timestamp};
use vestibule_gateway::config::Resolved;
use vestibule_gateway::explain::{ask, explain as explained};
use vestibule_policy::{Asked, Checked, Expectations, SCHEMA};

/// `policy …`
pub async fn run(command: Policy, globals: &Globals) -> Done {
    match command {
        Policy::Explain(args) => explain(&args, globals).await,
        Policy::Test => test(globals).await,
        Policy::Schema => {
            line(SCHEMA.trim_end());
            Ok(())
        }
    }
}

async fn explain(args: &Explain, globals: &Globals) -> Done {
    let resolved = house::load(&globals.config)?;
    let identity = identity(args)?;
    let catalogs = Catalogs::read(&resolved, &args.target).await;
    let asked =
        catalogs.ask(&resolved, &args.target, &args.statement).map_err(|why| Failure::new(Kind::Usage, why, "", ""))?;
    let found = explained(&resolved.policies, &identity, &asked, Timestamp::from_seconds(crate::signed::now()));
    if globals.json {
        json(&found);
    } else {
        let words: Vec<String> = found.iter().map(ToString::to_string).collect();
        line(words.join("\n\n"));
    }
    Ok(())
}

fn identity(args: &Explain) -> Result<Identity, Failure> {
    let (issuer, subject) = args.identity.split_once('|').ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            format!("`{}` is no identity", args.identity),
            "",
            "write `issuer|subject`, for example `staff|dana`",
        )
    })?;
    Ok(Identity {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        name: subject.to_owned(),
        kind: IdentityKind::Person,
        groups: args.groups.iter().cloned().collect(),
        assurance: Assurance::default(),
        acting_for: Vec::new(),
        claims: BTreeMap::new(),
        token_id: "none".to_owned(),
        only_target: None,
        expires: Timestamp(i64::MAX),
    })
}

async fn test(globals: &Globals) -> Done {
    let resolved = house::load(&globals.config)?;
    let files = Expectations::load(&resolved.policy_dir).map_err(|problems| Failure::problems(&problems))?;
    let catalogs = Catalogs::read_all(&resolved).await;
    let mut ask = |target: &str, statement: &str| catalogs.ask(&resolved, target, statement);
    let checked: Vec<Checked> = files.iter().flat_map(|file| file.run(&resolved.policies, &mut ask)).collect();
    let failed = checked.iter().filter(|test| !test.differences.is_empty()).count();
    if globals.json {
        json(&checked);
    } else {
        checked.iter().for_each(show);
        line(format!("{} expectations, {failed} not met", checked.len()));
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(
            Kind::NotInOrder,
            format!("{failed} expectations are not met"),
            "",
            "mend the policies, or the expectations",
        )),
    }
}

fn show(test: &Checked) {
    let met = if test.differences.is_empty() { "ok    " } else { "NOT OK" };
    line(format!("{met} {}:{} {}", test.file, test.line, safe(&test.name)));
    for difference in &test.differences {
        line(format!("         {}", safe(difference)));
    }
}

/// The catalogs of targets, where they could be read.
struct Catalogs(BTreeMap<String, Snapshot>);

impl Catalogs {
    async fn read_all(resolved: &Resolved) -> Self {
        let mut all = Self(BTreeMap::new());
        for name in resolved.targets.keys() {
            all.0.extend(Self::read(resolved, name).await.0);
        }
        all
    }

    async fn read(resolved: &Resolved, name: &str) -> Self {
        let Some(target) = resolved.targets.get(name) else { return Self(BTreeMap::new()) };
        match vestibule_gateway::explain::catalog(target).await {
            Ok(Some(snapshot)) => Self([(name.to_owned(), snapshot)].into()),
            Ok(None) => Self(BTreeMap::new()),
            Err(error) => {
                note(format!(
                    "vestibule: {error}; its statements are read without its catalog, so less of them is understood"
                ));
                Self(BTreeMap::new())
            }
        }
    }

    fn ask(&self, resolved: &Resolved, name: &str, statement: &str) -> Result<Asked, String> {
        let target = resolved.targets.get(name).ok_or_else(|| {
            let names: Vec<&str> = resolved.targets.keys().map(String::as_str).collect();
            format!("there is no target `{name}`; there are: {}", names.join(", "))
        })?;
        ask(target, self.0.get(name).cloned(), &resolved.data_map, statement).map_err(|refusal| refusal.message)
    }
}
