//! The storage of recordings, as little of it as they need: objects are made whole and once, and never changed.
//!
//! This is the seam at which another storage than a directory can come in.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A storage of immutable objects by key. Blocks; used on the recorder's own threads and by readers.
pub(crate) trait Objects: Send + Sync {
    /// Makes room for the objects of one folder.
    ///
    /// # Errors
    /// `AlreadyExists` if there is such a folder.
    fn begin(&self, folder: &str) -> io::Result<()>;
    /// Makes an object of a folder, whole or not at all.
    fn put(&self, key: &str, bytes: &[u8]) -> io::Result<()>;
    /// The whole object, or its first bytes where `first` says how many. An object of more than `at_most` bytes is an
    /// error of kind `FileTooLarge`.
    fn get(&self, key: &str, first: Option<usize>, at_most: u64) -> io::Result<Option<Vec<u8>>>;
    /// The names in a folder, unsorted.
    fn names(&self, folder: &str) -> io::Result<Option<Vec<String>>>;
}

/// A directory.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    durable: bool,
}

impl Directory {
    /// `durable`: an object is on stable storage when it is made.
    pub fn new(root: &Path, durable: bool) -> Self {
        Self { root: root.to_path_buf(), durable }
    }

    /// Makes the directory itself, readable for nobody else.
    pub fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.root)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if self.durable { File::open(path)?.sync_all() } else { Ok(()) }
    }
}

impl Objects for Directory {
    fn begin(&self, folder: &str) -> io::Result<()> {
        let path = self.root.join(folder);
        let day = path.parent().unwrap_or(&self.root);
        let new_day = !day.is_dir();
        DirBuilder::new().recursive(true).mode(0o700).create(day)?;
        DirBuilder::new().mode(0o700).create(&path)?;
        self.sync_dir(day)?;
        if new_day {
            for parent in day.ancestors().skip(1).take_while(|p| p.starts_with(&self.root)) {
                self.sync_dir(parent)?;
            }
        }
        Ok(())
    }

    fn put(&self, key: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(key);
        let making = self.root.join(format!("{key}.tmp"));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&making).and_then(|mut file| {
            file.write_all(bytes)?;
            if self.durable { file.sync_data() } else { Ok(()) }
        });
        // A link, in contrast to a rename, never replaces what is there.
        let named = made.and_then(|()| fs::hard_link(&making, &path));
        let removed = fs::remove_file(&making);
        named.and(removed)?;
        self.sync_dir(path.parent().unwrap_or(&self.root))
    }

    fn get(&self, key: &str, first: Option<usize>, at_most: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.root.join(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = file.metadata()?.len();
        if size > at_most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let wanted = first.map_or(size, |first| size.min(first as u64));
        let mut bytes = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
        file.take(wanted).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn names(&self, folder: &str) -> io::Result<Option<Vec<String>>> {
        let listed = match fs::read_dir(self.root.join(folder)) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let names: io::Result<Vec<String>> =
            listed.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect();
        names.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::{Directory, Objects as _};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn objects_are_made_once_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("recordings");
        let objects = Directory::new(&root, true);
        objects.make().unwrap();
        objects.begin("2026/11/25/s").unwrap();
        assert_eq!(objects.begin("2026/11/25/s").unwrap_err().kind(), ErrorKind::AlreadyExists);
        objects.put("2026/11/25/s/a", b"one").unwrap();
        assert_eq!(objects.put("2026/11/25/s/a", b"two").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(objects.get("2026/11/25/s/a", None, 10).unwrap().unwrap(), b"one");
        assert_eq!(objects.get("2026/11/25/s/a", Some(2), 10).unwrap().unwrap(), b"on");
        assert_eq!(objects.get("2026/11/25/s/a", None, 2).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(objects.get("2026/11/25/s/b", None, 2).unwrap(), None);
        assert_eq!(objects.names("2026/11/25/s").unwrap().unwrap(), ["a"]);
        let mode = |path: &str| root.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("2026/11/25/s/a"), mode("2026/11/25/s"), mode("")), (0o600, 0o700, 0o700));
    }
}
