//! The configuration as text.
//!
//! Bytes: the text of `vestibule.toml`. It lies beside the files that the seeds name.
//!
//! Rules: a text is refused with reasons, each on a line that there is; what is accepted is accepted again, the same;
//! and no reason shows what stands in a file of secrets.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;
use vestibule_gateway::config::Config;

const SECRET: &str = "hunter2-and-more";

static PLACE: LazyLock<TempDir> = LazyLock::new(|| {
    let place = TempDir::new().expect("a temporary directory");
    let made = rcgen::generate_simple_self_signed(["db.clinic.internal".to_owned()]).expect("a certificate");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let files = [
        ("policies/all.cedar", "@id(\"all\")\npermit (principal, action, resource);\n"),
        ("data-map.toml", include_str!("../../crates/phi/samples/clinic.data-map.toml")),
        ("secrets/clinic.password", SECRET),
        ("ca.crt", certificate.as_str()),
        ("data/ca/server.crt", certificate.as_str()),
        ("data/ca/server.key", key.as_str()),
    ];
    for (name, text) in files {
        write(&place.path().join(name), text);
    }
    place
});

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap_or(path)).expect("a directory");
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("rights");
}

/// Resolves one text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Whoever may write the configuration may name any file; the fuzzer is kept to its own.
    if text.contains("/dev/") || text.contains("/proc") || text.contains("/sys") {
        return;
    }
    let (base, file) = (PLACE.path(), PLACE.path().join("vestibule.toml"));
    match Config::resolve(&file, text, base.to_owned()) {
        Ok(resolved) => {
            let again = Config::resolve(&file, text, base.to_owned()).expect("what was accepted is accepted again");
            assert_eq!(resolved.digest(), again.digest(), "one text, two digests");
            assert!(!format!("{resolved:?}").contains(SECRET), "a secret is shown");
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            let lines = u32::try_from(text.lines().count() + 1).unwrap_or(u32::MAX);
            for problem in problems {
                let ours = problem.file.ends_with("vestibule.toml");
                assert!(!ours || problem.line <= lines, "a problem on a line that is not there: {problem}");
                assert!(!problem.to_string().contains(SECRET), "a secret is shown");
            }
        }
    }
}
