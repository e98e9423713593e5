//! Who is at the keyboard: the gateway's address and a token, from options, environment and profile.

use crate::args::Globals;
use crate::client::Client;
use crate::failure::{Failure, Kind};
use crate::profile::{Home, Profile};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A token in the environment goes before the profile: jobs have no profile.
const TOKEN_VARIABLE: &str = "VESTIBULE_TOKEN";
/// A token that ends within this many seconds is not worth starting with.
const MARGIN: i64 = 10;

/// Now, in POSIX seconds.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// What is known of the gateway on this machine.
pub struct Known {
    /// Where the profile is.
    pub home: Home,
    /// The profile.
    pub profile: Option<Profile>,
    /// The gateway's API.
    pub gateway: String,
    /// Certificates to trust.
    pub ca: Option<PathBuf>,
}

impl Known {
    /// From options and profile. The profile's certificates and token are for the profile's gateway only.
    pub fn find(globals: &Globals) -> Result<Self, Failure> {
        let home = Home::find()?;
        let mut profile = home.load()?;
        if let (Some(asked), Some(have)) = (&globals.gateway, &profile)
            && asked.trim_end_matches('/') != have.gateway
        {
            profile = None;
        }
        let gateway = globals.gateway.clone().or_else(|| profile.as_ref().map(|p| p.gateway.clone()));
        let gateway = gateway.ok_or_else(|| {
            let next = "run `vestibule login --gateway https://HOST:PORT --ca FILE`";
            Failure::new(Kind::NotAllowed, "no gateway is known yet", "", next)
        })?;
        let kept = profile.as_ref().filter(|p| p.ca).map(|_| home.ca());
        let ca = globals.ca.clone().or(kept);
        Ok(Self { home, profile, gateway: gateway.trim_end_matches('/').to_owned(), ca })
    }

    /// The API without a token.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.gateway, self.ca.as_deref())
    }

    /// A token that is still good, if there is one.
    pub fn token(&self) -> Option<String> {
        if let Ok(token) = std::env::var(TOKEN_VARIABLE)
            && !token.is_empty()
        {
            return Some(token);
        }
        self.profile.as_ref().filter(|p| p.expires - MARGIN > now()).and_then(|p| p.token.clone())
    }

    /// The API with a token.
    pub fn signed_in(&self) -> Result<Client, Failure> {
        match self.token() {
            Some(token) => Ok(self.client()?.with_token(token)),
            None => Err(self.not_signed_in()),
        }
    }

    /// Why there is no token.
    pub fn not_signed_in(&self) -> Failure {
        let was = self.profile.as_ref().is_some_and(|p| p.token.is_some());
        let what = if was { "your login has ended" } else { "nobody is logged in" };
        Failure::new(Kind::NotAllowed, what, "", format!("run `vestibule login --gateway {}`", self.gateway))
    }
}
