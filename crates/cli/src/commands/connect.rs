//! `connect`, `token`, `exchange`: from an identity to a target.

use crate::args::{Connect, Exchange, Globals, Token};
use crate::commands::login;
use crate::failure::{Done, Failure, Kind};
use crate::output::{json, line, note, safe, table};
use crate::signed::Known;
use serde_json::json;
use std::io::{IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use vestibule_api::wire::{TargetView, TokenAnswer, Whoami};

/// Longest token that is read, in bytes.
const MAX_TOKEN: u64 = 64 << 10;

/// `token`
pub async fn token(args: &Token, globals: &Globals) -> Done {
    let known = Known::find(globals)?;
    let token = known.token().ok_or_else(|| known.not_signed_in())?;
    let answer = known.client()?.exchange(&token, Some(&args.target), args.ttl).await?;
    print_token(&answer, globals);
    Ok(())
}

/// `exchange`
pub async fn exchange(args: &Exchange, globals: &Globals) -> Done {
    let client = Known::find(globals)?.client()?;
    let subject = match (&args.from_file, &args.from_env) {
        (Some(file), _) => from_file(file)?,
        (None, Some(name)) => from_env(name)?,
        (None, None) => {
            return Err(Failure::new(
                Kind::Usage,
                "no workload token is named",
                "",
                "use `--from-file` or `--from-env`",
            ));
        }
    };
    let answer = client.exchange(&subject, args.target.as_deref(), args.ttl).await?;
    print_token(&answer, globals);
    Ok(())
}

/// `connect`
pub async fn connect(args: &Connect, globals: &Globals) -> Done {
    let known = Known::find(globals)?;
    let (known, own) = own_token(args, known, globals).await?;
    let client = known.client()?.with_token(&own);
    let targets: Vec<TargetView> = client.get("/v1/targets").await?;
    let Some(name) = &args.target else {
        if globals.json {
            json(&targets)
        } else {
            line(listing(&targets))
        }
        return Ok(());
    };
    let target = targets.iter().find(|t| t.name == *name).ok_or_else(|| {
        let names: Vec<_> = targets.iter().map(|t| t.name.as_str()).collect();
        let next = match vestibule_gateway::config::nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the targets are: {}", names.join(", ")),
        };
        Failure::new(Kind::NotFound, format!("there is no target `{name}`"), "", next)
    })?;
    let me: Whoami = client.get("/v1/whoami").await?;
    let answer = client.exchange(&own, Some(name), None).await?;
    let variables = variables(target, &me.name, &answer.access_token, known.ca.as_deref())?;
    if args.print {
        print_variables(&variables, globals);
        return Ok(());
    }
    let Some((program, arguments)) = args.command.split_first() else {
        let lines = [
            format!("{} at {}: {}", target.title, target.address, safe(&target.hint)),
            format!("Run a client: vestibule connect {name} -- COMMAND"),
            format!("Or set its variables: eval \"$(vestibule connect {name} --print)\""),
        ];
        line(lines.join("\n"));
        return Ok(());
    };
    // Only returns if it could not be started.
    let e = std::process::Command::new(program).args(arguments).envs(variables).exec();
    Err(Failure::new(Kind::NotFound, format!("`{program}` cannot be started"), e, "install it, or check the spelling"))
}

/// The caller's own token: a job's, the profile's, or that of a login made now.
async fn own_token(args: &Connect, known: Known, globals: &Globals) -> Result<(Known, String), Failure> {
    let workload = match (&args.workload.token_file, &args.workload.token_env) {
        (Some(file), _) => Some(from_file(file)?),
        (None, Some(name)) => Some(from_env(name)?),
        (None, None) => None,
    };
    if let Some(workload) = workload {
        // First a token of the gateway's own: the list of targets and the exchange are asked with the same proof.
        let own = known.client()?.exchange(&workload, None, None).await?.access_token;
        return Ok((known, own));
    }
    if let Some(token) = known.token() {
        return Ok((known, token));
    }
    if !std::io::stdin().is_terminal() {
        return Err(known.not_signed_in());
    }
    note("You are not logged in; logging in first.");
    login::sign_in(&known, None, login::Way::Browser).await?;
    let known = Known::find(globals)?;
    let token = known.token().ok_or_else(|| known.not_signed_in())?;
    Ok((known, token))
}

fn listing(targets: &[TargetView]) -> String {
    if targets.is_empty() {
        return "There are no targets.".into();
    }
    let rows: Vec<Vec<String>> = targets
        .iter()
        .map(|t| {
            let labels: Vec<_> = t.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            vec![t.name.clone(), t.title.clone(), t.address.clone(), labels.join(" ")]
        })
        .collect();
    table(&["TARGET", "WHAT", "ADDRESS", "LABELS"], &rows)
}

/// The native client's environment, from the protocol's templates.
fn variables(
    target: &TargetView,
    user: &str,
    token: &str,
    ca: Option<&Path>,
) -> Result<Vec<(String, String)>, Failure> {
    let (host, port) = target.address.rsplit_once(':').unwrap_or((&target.address, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ca = match ca {
        Some(ca) => std::path::absolute(ca).unwrap_or_else(|_| ca.to_owned()).display().to_string(),
        None => "system".to_owned(),
    };
    let fill = |template: &str| {
        let values =
            [("{host}", host), ("{port}", port), ("{target}", &*target.name), ("{user}", user), ("{ca}", &*ca)];
        // The token last and once: nothing inside another value is taken for a placeholder of it.
        let text = values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value));
        if template.contains("{token}") { text.replace("{token}", token) } else { text }
    };
    let mut filled = Vec::new();
    for (name, template) in &target.client_env {
        // The gateway must not be able to make this machine run something: LD_PRELOAD and its like are no hints.
        let plain = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !plain
            || ["LD_", "DYLD_", "PATH", "BASH", "ENV", "IFS", "PYTHON", "PERL", "NODE_"]
                .iter()
                .any(|p| name.starts_with(p))
        {
            let what = format!("the gateway asks to set `{}`, which is no setting of a client", safe(name));
            return Err(Failure::new(Kind::Other, what, "", "tell the gateway's operators"));
        }
        filled.push((name.clone(), fill(template)));
    }
    Ok(filled)
}

fn print_variables(variables: &[(String, String)], globals: &Globals) {
    if globals.json {
        let map: serde_json::Map<_, _> = variables.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        json(&map);
        return;
    }
    for (name, value) in variables {
        line(format!("export {name}={}", quoted(value)));
    }
}

/// A value quoted for a POSIX shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}

fn print_token(answer: &TokenAnswer, globals: &Globals) {
    if globals.json {
        json(&json!({ "access_token": answer.access_token, "expires_in": answer.expires_in }));
    } else {
        line(&answer.access_token);
    }
}

fn from_file(file: &Path) -> Result<String, Failure> {
    let failed = |e: &std::io::Error| {
        let what = format!("the token in {} cannot be read", file.display());
        Failure::new(Kind::NotFound, what, e, "check the path and its permissions")
    };
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_TOKEN).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(MAX_TOKEN).read_to_string(&mut text))
    };
    read.map_err(|e| failed(&e))?;
    not_empty(text.trim(), &file.display().to_string())
}

fn from_env(name: &str) -> Result<String, Failure> {
    not_empty(std::env::var(name).unwrap_or_default().trim(), name)
}

fn not_empty(token: &str, place: &str) -> Result<String, Failure> {
    if token.is_empty() {
        return Err(Failure::new(
            Kind::Usage,
            format!("there is no token in {place}"),
            "",
            "check that the job is given one",
        ));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{quoted, variables};
    use std::path::Path;
    use vestibule_api::wire::TargetView;

    fn target(env: &[(&str, &str)]) -> TargetView {
        TargetView {
            name: "clinic".into(),
            protocol: "postgres".into(),
            title: "PostgreSQL".into(),
            address: "[::1]:6432".into(),
            hint: "the database name".into(),
            client_env: env.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            labels: [].into(),
        }
    }

    #[test]
    fn templates_are_filled() {
        let target = target(&[
            ("PGHOST", "{host}"),
            ("PGPORT", "{port}"),
            ("PGDATABASE", "{target}"),
            ("PGUSER", "{user}"),
            ("PGPASSWORD", "{token}"),
            ("PGSSLROOTCERT", "{ca}"),
        ]);
        let filled = variables(&target, "dana {token}", "SECRET", Some(Path::new("/ca.pem"))).unwrap();
        let values: Vec<_> = filled.iter().map(|(_, v)| v.as_str()).collect();
        assert_eq!(values, ["::1", "6432", "clinic", "dana {token}", "SECRET", "/ca.pem"]);
    }

    #[test]
    fn a_gateway_cannot_make_this_machine_run_something() {
        for name in ["LD_PRELOAD", "PATH", "BASH_ENV", "pghost", "A=B", "PYTHONPATH"] {
            assert!(variables(&target(&[(name, "x")]), "u", "t", None).is_err(), "{name}");
        }
    }

    #[test]
    fn values_are_quoted_for_the_shell() {
        assert_eq!(quoted("it's $(x)"), r"'it'\''s $(x)'");
    }
}
