//! What `login` remembers on this machine: the gateway, the certificates to trust, and a short-lived token.
//!
//! It is in `$XDG_CONFIG_HOME/vestibule` (or `~/.config/vestibule`), directory 0700, files 0600. A profile that others
//! can read is not used. Not here: anything of a target, and no credential that outlives the login but a refresh
//! token of the identity provider, if it gave one.

use crate::failure::{Failure, Kind};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What is remembered.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// URL of the gateway's API.
    pub gateway: String,
    /// Whether `ca.pem` beside the profile holds the certificates to trust.
    pub ca: bool,
    /// The gateway's own token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// When it ends, POSIX seconds.
    #[serde(default)]
    pub expires: i64,
    /// Name of the issuer that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The identity provider's refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile")
            .field("gateway", &self.gateway)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The directory of profiles.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    /// From the environment.
    pub fn find() -> Result<Self, Failure> {
        let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
        base.map(|base| Self(base.join("vestibule"))).ok_or_else(|| {
            let next = "set HOME, or XDG_CONFIG_HOME to an absolute path";
            Failure::new(Kind::Usage, "there is no place for the profile", "", next)
        })
    }

    #[cfg(test)]
    pub fn at(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    fn file(&self) -> PathBuf {
        self.0.join("profile.json")
    }

    /// The certificates to trust, if the profile says so.
    pub fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The profile; `None` if nobody logged in.
    pub fn load(&self) -> Result<Option<Profile>, Failure> {
        let path = self.file();
        let meta = match fs::metadata(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| unreadable(&path, &e))?,
        };
        let mode = meta.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Failure::new(
                Kind::NotAllowed,
                format!(
                    "the profile {} is open to others (mode {mode:04o}), so its token may be known",
                    path.display()
                ),
                "",
                "run `vestibule logout`, then `vestibule login`",
            ));
        }
        let text = fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
        let profile = serde_json::from_str(&text).map_err(|_| {
            let next = "run `vestibule logout`, then `vestibule login`";
            Failure::new(Kind::Other, format!("the profile {} is damaged", path.display()), "", next)
        })?;
        Ok(Some(profile))
    }

    /// Replaces the profile, all or nothing.
    pub fn save(&self, profile: &Profile) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(profile)
            .map_err(|e| Failure::new(Kind::Other, "the profile cannot be written", e, ""))?;
        self.put(&self.file(), &text)
    }

    /// Keeps the certificates to trust.
    pub fn save_ca(&self, pem: &[u8]) -> Result<(), Failure> {
        self.put(&self.ca(), pem)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let failed = |e: std::io::Error| {
            Failure::new(
                Kind::Other,
                format!("{} cannot be written", path.display()),
                e,
                "check the directory's permissions",
            )
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(failed)?;
        let beside = path.with_extension(format!("new.{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        // A left-over of a killed process of the same number.
        let _ = fs::remove_file(&beside);
        let mut file = options.open(&beside).map_err(failed)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&beside, path).map_err(failed)
    }

    /// Removes the profile; whether there was one.
    pub fn forget(&self) -> Result<bool, Failure> {
        let mut was = false;
        for path in [self.file(), self.ca()] {
            match fs::remove_file(&path) {
                Ok(()) => was = true,
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => {
                    let what = format!("{} cannot be removed", path.display());
                    return Err(Failure::new(Kind::Other, what, e, "remove it by hand"));
                }
            }
        }
        Ok(was)
    }
}

fn unreadable(path: &Path, e: &std::io::Error) -> Failure {
    Failure::new(Kind::Other, format!("the profile {} cannot be read", path.display()), e, "check its permissions")
}

#[cfg(test)]
mod tests {
    use super::{Home, Profile};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn is_kept_privately_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(&dir.path().join("config/vestibule"));
        assert_eq!(home.load().unwrap(), None);
        let profile = Profile { gateway: "https://g".into(), token: Some("t".into()), ..Profile::default() };
        home.save(&profile).unwrap();
        home.save_ca(b"pem").unwrap();
        assert_eq!(home.load().unwrap(), Some(profile.clone()));
        let mode = |p: &std::path::Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&home.file()), mode(&home.ca()), mode(&home.0)), (0o600, 0o600, 0o700));
        assert!(!format!("{profile:?}").contains("\"t\""));
        assert!(home.forget().unwrap());
        assert_eq!(home.load().unwrap(), None);
        assert!(!home.forget().unwrap());
    }

    #[test]
    fn is_not_used_if_others_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        home.save(&Profile::default()).unwrap();
        fs::set_permissions(home.file(), Permissions::from_mode(0o644)).unwrap();
        assert!(home.load().unwrap_err().what.contains("open to others"));
    }
}
