//! Whether files that the configuration names are there, can be read, and are closed to others.

use super::read::Table;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What is wrong with a file, and how to mend it.
pub(super) type Flaw = (String, String);

/// A file that must be there and readable.
pub(super) fn readable(path: &Path) -> Result<(), Flaw> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Err((format!("the file {shown} does not exist"), "create it, or correct the path".into()))
        }
        Err(e) => {
            Err((format!("the file {shown} cannot be read: {e}"), "give the gateway's account access to it".into()))
        }
        Ok(meta) if meta.is_dir() => Err((format!("{shown} is a directory"), "name a file".into())),
        Ok(_) => match fs::File::open(path) {
            Ok(_) => Ok(()),
            Err(e) => {
                Err((format!("the file {shown} cannot be read: {e}"), "give the gateway's account access to it".into()))
            }
        },
    }
}

/// A file with a secret in it: readable, and closed to group and others.
pub(super) fn private(path: &Path) -> Result<(), Flaw> {
    readable(path)?;
    let mode = fs::metadata(path).map_or(0, |m| m.permissions().mode());
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err((
        format!("the file {} holds a secret and is open to others (mode {:04o})", path.display(), mode & 0o7777),
        format!("run: chmod 600 {}", path.display()),
    ))
}

/// Reports a flaw at a key.
pub(super) fn report(table: &Table<'_>, key: &str, checked: Result<(), Flaw>) {
    if let Err((what, mend)) = checked {
        table.problem(key, format!("`{key}`: {what}"), mend);
    }
}
