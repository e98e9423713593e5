//! Where downloaded things are kept between runs, and what is in there.

use crate::{Outcome, failure};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `$XDG_CACHE_HOME/vestibule`, or `~/.cache/vestibule`.
#[must_use]
pub fn dir() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("vestibule")
}

/// Whether we are root, whom PostgreSQL refuses to run as.
#[must_use]
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Where servers are unpacked. Root's home is closed to others, and root's servers run as somebody else, so theirs are
/// kept in the system's own cache folder.
#[must_use]
pub fn servers() -> PathBuf {
    if is_root() { PathBuf::from("/var/cache/vestibule/servers") } else { dir().join("servers") }
}

/// The Python of the clients' environment.
#[must_use]
pub fn python() -> PathBuf {
    dir().join("python/bin/python")
}

/// The folder of the clients' Node packages.
#[must_use]
pub fn node_modules() -> PathBuf {
    dir().join("node/node_modules")
}

/// The folder of Java archives.
#[must_use]
pub fn jars() -> PathBuf {
    dir().join("jars")
}

/// PostgreSQL 18's client programs from a newer Debian, unpacked beside the C library they were built for.
#[must_use]
pub fn newer_clients() -> PathBuf {
    dir().join("clients-18")
}

/// The first file in `folder` whose name starts and ends so.
///
/// # Errors
/// When there is none: the set-up has not run, or could not.
pub fn find(folder: &Path, start: &str, end: &str) -> Outcome<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(start) && name.ends_with(end))
        })
        .collect();
    found.sort();
    found.pop().ok_or_else(|| {
        failure(format!("no {start}*{end} in {}; run `cargo xtask setup` to fetch it", folder.display()))
    })
}

/// The project's own folder.
#[must_use]
pub fn project() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
