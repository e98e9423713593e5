//! `login`, `logout`, `whoami`: from an identity provider to a token of the gateway's own, kept on this machine.

use crate::args::{Globals, Login};
use crate::failure::{Done, Failure, Kind};
use crate::output::{json, line, note, safe};
use crate::profile::{Home, Profile};
use crate::signed::{Known, now};
use serde_json::json;
use std::io::IsTerminal as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use vestibule_api::wire::{Discovery, IssuerView, Whoami};
use vestibule_core::Timestamp;
use vestibule_identity::{LoginClient, LoginError, LoginTokens, Loopback};

/// How long a person may take at the identity provider.
const PATIENCE: Duration = Duration::from_secs(300);
/// What is asked of the gateway: as long as it allows.
const LONGEST: u64 = 86_400;

/// How a person logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A browser on this machine is opened.
    Browser,
    /// The address is printed, to be opened on this machine.
    Address,
    /// A code is shown, to be typed on another machine.
    Device,
}

/// `login`
pub async fn login(args: &Login, globals: &Globals) -> Done {
    let known = Known::find(globals)?;
    let way = match (args.device, args.no_browser) {
        (true, _) => Way::Device,
        (false, true) => Way::Address,
        (false, false) => Way::Browser,
    };
    let me = sign_in(&known, args.issuer.as_deref(), way).await?;
    if globals.json {
        json(&me);
    } else {
        line(format!("Logged in as {} ({}), until {}.", safe(&me.name), safe(&me.id), me.expires));
        line("List what you can reach: vestibule connect");
    }
    Ok(())
}

/// Logs in and keeps what comes of it. A refresh token of an earlier login is tried first.
pub async fn sign_in(known: &Known, issuer: Option<&str>, way: Way) -> Result<Whoami, Failure> {
    let discovery = known.client()?.discover().await?;
    let issuer = choose(&discovery, issuer)?;
    let client = provider(known, issuer).await?;
    let tokens = match refreshed(known, issuer, &client).await {
        Some(tokens) => tokens,
        None => by_way(&client, way).await.map_err(failed)?,
    };
    let answer = known.client()?.exchange(&tokens.id_token, None, Some(LONGEST)).await?;
    let expires = now().saturating_add(i64::try_from(answer.expires_in).unwrap_or(i64::MAX));
    let me: Whoami = known.client()?.with_token(&answer.access_token).get("/v1/whoami").await?;
    keep(known, issuer, answer.access_token, expires, &tokens)?;
    Ok(me)
}

/// The issuer that was named, or the only one where people can log in.
fn choose<'a>(discovery: &'a Discovery, name: Option<&str>) -> Result<&'a IssuerView, Failure> {
    let people: Vec<&IssuerView> = discovery.issuers.iter().filter(|issuer| issuer.client_id.is_some()).collect();
    let names = || people.iter().map(|issuer| safe(&issuer.name)).collect::<Vec<_>>().join(", ");
    match (name, people.as_slice()) {
        (_, []) => Err(Failure::new(
            Kind::NotFound,
            "nobody can log in by browser at this gateway",
            "",
            "jobs use `vestibule exchange`; people need an `[[issuer]]` with a `client_id` in the gateway's configuration",
        )),
        (Some(name), all) => all.iter().find(|issuer| issuer.name == name).copied().ok_or_else(|| {
            Failure::new(
                Kind::NotFound,
                format!("there is no issuer `{name}` to log in at"),
                "",
                format!("there are: {}", names()),
            )
        }),
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::new(
            Kind::Usage,
            "several issuers are trusted",
            "",
            format!("add --issuer, one of: {}", names()),
        )),
    }
}

async fn provider(known: &Known, issuer: &IssuerView) -> Result<LoginClient, Failure> {
    let ca = known.ca.as_ref().map(std::fs::read).transpose().map_err(|e| {
        Failure::new(
            Kind::Usage,
            "the certificates to trust cannot be read",
            e,
            "name a file with certificates in PEM with `--ca`",
        )
    })?;
    let client_id = issuer.client_id.as_deref().unwrap_or_default();
    LoginClient::discover(&issuer.issuer, client_id, &issuer.scopes, ca.as_deref()).await.map_err(failed)
}

async fn refreshed(known: &Known, issuer: &IssuerView, client: &LoginClient) -> Option<LoginTokens> {
    let profile = known.profile.as_ref().filter(|profile| profile.issuer.as_deref() == Some(&issuer.name))?;
    // What the provider does not take any more is no error: the person logs in anew.
    client.refresh(profile.refresh.as_deref()?, Timestamp::from_seconds(now())).await.ok()
}

async fn by_way(client: &LoginClient, way: Way) -> Result<LoginTokens, LoginError> {
    if way == Way::Device {
        let login = client.begin_device().await?;
        let whole = login.verification_uri_complete.as_ref();
        note(format!("Open {}\nand type the code  {}", safe(&login.verification_uri), safe(&login.user_code)));
        if let Some(whole) = whole {
            note(format!("Or open {}", safe(whole)));
        }
        return client.finish_device(login, || Timestamp::from_seconds(now())).await;
    }
    let loopback = Loopback::bind().await?;
    let login = client.begin_code(&loopback)?;
    let opened = way == Way::Browser && std::io::stdout().is_terminal() && open_browser(&login.url);
    if opened {
        note("Log in in the browser that opens; waiting for it.");
    } else {
        note(format!("Open this address in a browser on this machine:\n{}", login.url));
    }
    let answer = loopback.answer(&login, PATIENCE).await?;
    client.finish_code(login, answer, Timestamp::from_seconds(now())).await
}

fn open_browser(url: &str) -> bool {
    let openers = ["xdg-open", "open"];
    openers.into_iter().any(|opener| {
        let mut command = Command::new(opener);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().is_ok()
    })
}

fn keep(known: &Known, issuer: &IssuerView, token: String, expires: i64, tokens: &LoginTokens) -> Done {
    let ca = match &known.ca {
        Some(ca) if *ca != known.home.ca() => {
            let pem = std::fs::read(ca)
                .map_err(|e| Failure::new(Kind::Usage, "the certificates to trust cannot be read", e, ""))?;
            known.home.save_ca(&pem)?;
            true
        }
        Some(_) => true,
        None => false,
    };
    known.home.save(&Profile {
        gateway: known.gateway.clone(),
        ca,
        token: Some(token),
        expires,
        issuer: Some(issuer.name.clone()),
        refresh: tokens.refresh_token.as_ref().map(|token| token.to_string()),
    })
}

fn failed(error: LoginError) -> Failure {
    let (kind, next) = match &error {
        LoginError::Provider { .. } => {
            (Kind::Unreachable, "check that the provider is up; its certificate authority can be named with `--ca`")
        }
        LoginError::Refused(_) | LoginError::Mismatch(_) | LoginError::Expired => {
            (Kind::NotAllowed, "run `vestibule login` again")
        }
        LoginError::NotOffered(_) => (Kind::Other, "try the other way: with or without `--device`"),
        LoginError::Here(_) => (Kind::Other, ""),
    };
    Failure::new(kind, error.to_string(), "", next)
}

/// `logout`
pub fn logout(globals: &Globals) -> Done {
    let was = Home::find()?.forget()?;
    if globals.json {
        json(&json!({ "was_logged_in": was }));
    } else {
        line(if was { "Logged out: the login of this machine is forgotten." } else { "Nobody was logged in." });
    }
    Ok(())
}

/// `whoami`
pub async fn whoami(globals: &Globals) -> Done {
    let me: Whoami = Known::find(globals)?.signed_in()?.get("/v1/whoami").await?;
    if globals.json {
        json(&me);
        return Ok(());
    }
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { safe(&names.join(", ")) };
    line(format!("{} ({})", safe(&me.name), safe(&me.id)));
    line(format!("  kind     {}", safe(&me.kind)));
    line(format!("  groups   {}", list(&me.groups)));
    line(format!("  roles    {}", list(&me.roles)));
    if let Some(target) = &me.only_target {
        line(format!("  only for {}", safe(target)));
    }
    line(format!("  until    {}", me.expires));
    Ok(())
}
