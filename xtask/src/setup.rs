//! What the tests need and a machine may lack.
//!
//! System packages come from Debian, when we are root or may become it without a password; everything else goes into
//! the cache folder. Each step says what it does, and does nothing when its work is there already.

use crate::say;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use vestibule_e2e::run::{have, output, show};
use vestibule_e2e::temp::TempDir;
use vestibule_e2e::{Doing, Outcome, cache, failure, talk};

type Step = fn() -> Outcome<()>;

/// Everything. A step that only some clients need may fail without ending the others: what is missing then fails, or is
/// skipped, by name where it is used.
///
/// # Errors
/// When a system package is missing and cannot be installed.
pub fn all() -> Outcome<()> {
    say::stage("set-up");
    system(&needed())?;
    let steps: [(&str, Step); 7] = [
        ("Java archives and servers", jars),
        ("servers", servers),
        ("Python packages", python),
        ("Node packages", node),
        ("the OpenID Provider", oidc),
        ("the libpq conversation", libpq),
        ("PostgreSQL 18's client programs", newer_clients),
    ];
    for (name, step) in steps {
        if let Err(error) = step() {
            say::line(&format!("set-up of {name} did not work: {error}"));
        }
    }
    Ok(())
}

/// What the demonstration needs: PostgreSQL with its client, and an OpenID Provider.
///
/// # Errors
/// When something is missing and cannot be installed.
pub fn for_demo() -> Outcome<()> {
    let mut needs = needed();
    needs.retain(|need| ["postgresql", "postgresql-client", "gcc", "openssl", "nodejs", "npm"].contains(&need.package));
    system(&needs)?;
    oidc()
}

/// What is looked for, and the package that has it.
struct Need {
    there: bool,
    package: &'static str,
}

fn needed() -> Vec<Need> {
    let program = |name: &str, package| Need { there: have(name), package };
    let include = ["/usr/include/postgresql/libpq-fe.h", "/usr/include/libpq-fe.h"];
    vec![
        Need { there: vestibule_e2e::postgres::machine_installation().is_ok(), package: "postgresql" },
        program("psql", "postgresql-client"),
        Need { there: pgbench().is_some(), package: "postgresql-contrib" },
        Need { there: include.iter().any(|file| Path::new(file).is_file()), package: "libpq-dev" },
        program("cc", "gcc"),
        program("openssl", "openssl"),
        program("node", "nodejs"),
        program("npm", "npm"),
        Need { there: venv_works(), package: "python3-venv" },
        program("javac", "default-jdk-headless"),
        program("mvn", "maven"),
        program("xz", "xz-utils"),
        program("tmux", "tmux"),
    ]
}

/// pgbench, which Debian keeps outside the `PATH` unless its wrapper is there.
pub fn pgbench() -> Option<PathBuf> {
    let own = vestibule_e2e::postgres::machine_installation().ok()?.bin.join("pgbench");
    own.is_file().then_some(own)
}

fn venv_works() -> bool {
    output(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

fn libclang_is_there() -> bool {
    let mut folders = vec![PathBuf::from("/usr/lib/x86_64-linux-gnu"), PathBuf::from("/usr/lib/aarch64-linux-gnu")];
    folders.extend(fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join("lib")));
    let headers = fs::read_dir("/usr/lib/clang").is_ok_and(|mut entries| entries.next().is_some());
    let library = |folder: &PathBuf| {
        let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.into_iter().any(|name| name.to_string_lossy().starts_with("libclang-") || name == "libclang.so")
    };
    std::env::var_os("LIBCLANG_PATH").is_some() || (headers && folders.iter().any(library))
}

/// Installs what is missing. The parser of SQL is generated with libclang, whose packages carry a version in their name.
fn system(needs: &[Need]) -> Outcome<()> {
    let mut missing: Vec<String> =
        needs.iter().filter(|need| !need.there).map(|need| need.package.to_owned()).collect();
    let clang = !libclang_is_there();
    if missing.is_empty() && !clang {
        say::line("system packages: all there");
        return Ok(());
    }
    if !have("apt-get") {
        let clang = if clang { "libclang with its headers, " } else { "" };
        return Err(failure(format!("please install, by your system's own means: {clang}{}", missing.join(", "))));
    }
    let root = as_root()?;
    say::line("refreshing the list of packages (apt-get update)");
    // A source that does not answer is no reason to stop: the package may be known already.
    if let Err(error) = output(&mut command(&root, &["apt-get", "update", "-q"])) {
        say::line(&format!("  {error}"));
    }
    if clang {
        missing.extend(libclang_packages());
    }
    say::line(&format!("installing {}", missing.join(" ")));
    let mut install = command(&root, &["apt-get", "install", "-y", "-q", "--no-install-recommends"]);
    show(install.args(&missing).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn libclang_packages() -> Vec<String> {
    let known = |name: &str| {
        output(Command::new("apt-cache").args(["policy", name]))
            .is_ok_and(|text| text.lines().any(|line| line.contains("Candidate:") && !line.contains("(none)")))
    };
    let version = (14..=24).find(|version| known(&format!("libclang1-{version}")));
    version.map_or_else(
        || vec!["libclang-dev".to_owned()],
        |version| vec![format!("libclang1-{version}"), format!("libclang-common-{version}-dev")],
    )
}

fn as_root() -> Outcome<Vec<&'static str>> {
    if cache::is_root() {
        return Ok(Vec::new());
    }
    if output(Command::new("sudo").args(["-n", "true"])).is_ok() {
        return Ok(vec!["sudo", "-n"]);
    }
    Err(failure("some system packages are missing and installing them takes root; run `sudo true` first, or as root"))
}

fn command(before: &[&str], words: &[&str]) -> Command {
    let mut all = before.iter().chain(words);
    let mut command = Command::new(all.next().unwrap_or(&"true"));
    command.args(all);
    command
}

/// Runs `work` unless it was done for just this `text` before.
fn once(stamp: &str, text: &str, work: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
    let folder = cache::dir().join("done");
    fs::create_dir_all(&folder).doing("cannot make the cache folder")?;
    let file = folder.join(stamp);
    if fs::read_to_string(&file).is_ok_and(|done| done == text) {
        return Ok(());
    }
    work()?;
    fs::write(&file, text).doing("cannot write into the cache folder")
}

fn read(name: &str) -> Outcome<String> {
    let file = talk::folder().join(name);
    fs::read_to_string(&file).doing(format_args!("cannot read {}", file.display()))
}

fn jars() -> Outcome<()> {
    once("jars", &read("pom.xml")?, || {
        say::line("fetching the JDBC driver and PostgreSQL servers (Maven)");
        let arch = if cfg!(target_arch = "aarch64") { "arm64v8" } else { "amd64" };
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "-f"]).arg(talk::folder().join("pom.xml")).arg(format!("-Darch={arch}"));
        maven.arg(format!("-Dmaven.repo.local={}", cache::dir().join("m2").display()));
        maven.arg(format!("-Dfolder={}", cache::jars().display()));
        output(maven.arg("dependency:copy@fetch")).map(drop)
    })
}

/// Unpacks each server that the machine does not have.
fn servers() -> Outcome<()> {
    for major in vestibule_e2e::postgres::MAJORS {
        let home = cache::servers().join(major.to_string());
        let Ok(jar) = cache::find(&cache::jars(), "embedded-postgres-binaries-", &jar_end(major)?) else { continue };
        let name = jar.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/postgres")).is_file()
            || fs::read_to_string(home.join("origin")).is_ok_and(|origin| origin == name)
        {
            continue;
        }
        say::line(&format!("unpacking PostgreSQL {major} into {}", home.display()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).doing(format_args!("cannot make {}", home.display()))?;
        let temp = TempDir::new("unpack")?;
        output(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&jar).arg(temp.path()))?;
        let archive = cache::find(temp.path(), "postgres-", ".txz")?;
        output(Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(&home).arg("--no-same-owner"))?;
        output(Command::new("chmod").args(["-R", "a+rX"]).arg(&home))?;
        fs::write(home.join("origin"), name).doing("cannot write beside the server")?;
    }
    Ok(())
}

/// The end of the archive's name, with the exact version that is asked for today: an older one may lie beside it.
fn jar_end(major: u32) -> Outcome<String> {
    let pom = read("pom.xml")?;
    let start = format!("<version>{major}.");
    let versions = pom.lines().filter(|line| line.contains("${servers}")).filter_map(|line| line.split_once(&start));
    let version = versions.filter_map(|(_, rest)| rest.split('<').next()).next_back();
    version
        .map(|rest| format!("-{major}.{rest}.jar"))
        .ok_or_else(|| failure(format!("tests/clients/pom.xml names no server {major}")))
}

fn python() -> Outcome<()> {
    let home = cache::dir().join("python");
    once("python", &read("requirements.txt")?, || {
        say::line("making a Python environment with psycopg 2, psycopg 3 and asyncpg");
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
        let mut pip = Command::new(cache::python());
        pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"]);
        output(pip.arg(talk::folder().join("requirements.txt"))).map(drop)
    })
}

fn node() -> Outcome<()> {
    let home = cache::dir().join("node");
    let lock = read("package-lock.json")?;
    once("node", &lock, || {
        say::line("fetching node-postgres (npm)");
        fs::create_dir_all(&home).doing("cannot make the folder for Node")?;
        for name in ["package.json", "package-lock.json"] {
            fs::write(home.join(name), read(name)?).doing("cannot write into the cache folder")?;
        }
        output(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&home)).map(drop)
    })
}

/// Beside its script, because Node looks for packages of modules there and nowhere else.
fn oidc() -> Outcome<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oidc");
    let lock = fs::read_to_string(home.join("package-lock.json")).doing("cannot read tests/oidc/package-lock.json")?;
    let done = home.join("node_modules/.done");
    if fs::read_to_string(&done).is_ok_and(|text| text == lock) {
        return Ok(());
    }
    say::line("fetching oidc-provider (npm)");
    output(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&home))?;
    fs::write(done, lock).doing("cannot write into tests/oidc/node_modules")
}

fn libpq() -> Outcome<()> {
    once("libpq", &read("libpq.c")?, || {
        say::line("compiling the libpq conversation");
        let bin = cache::dir().join("bin");
        fs::create_dir_all(&bin).doing("cannot make the folder for programs")?;
        let mut cc = Command::new("cc");
        cc.args(["-std=c11", "-D_DEFAULT_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-I/usr/include/postgresql"]);
        cc.arg("-o").arg(bin.join("libpq-conversation")).arg(talk::folder().join("libpq.c")).arg("-lpq");
        output(&mut cc).map(drop)
    })
}

/// PostgreSQL 18's `psql` and `pg_dump` with the libraries they were built for, from a newer Debian than most machines
/// run. They start through their own C library's loader, so nothing of the machine is touched.
fn newer_clients() -> Outcome<()> {
    once("clients-18", CLIENT_PACKAGES, || {
        if !have("apt-get") || !have("dpkg-deb") {
            return Err(failure("this takes a Debian"));
        }
        say::line("fetching PostgreSQL 18's psql and pg_dump from a newer Debian, into the cache folder");
        let home = cache::newer_clients();
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join("bin")).doing("cannot make the folder for PostgreSQL 18's clients")?;
        let temp = TempDir::new("apt")?;
        let debs = download(&temp)?;
        for deb in fs::read_dir(&debs).doing("cannot read what was fetched")?.flatten() {
            output(Command::new("dpkg-deb").arg("-x").arg(deb.path()).arg(home.join("root")))?;
        }
        wrappers(&home)
    })
}

const CLIENT_PACKAGES: &str = "libc6 libpq5 libgssapi-krb5-2 libldap2 libssl3t64 postgresql-client-18 liblz4-1 \
     libreadline8t64 libzstd1 zlib1g libtinfo6 libkrb5-3 libk5crypto3 libcom-err2 libkrb5support0 libkeyutils1 \
     libsasl2-2";

/// Asks the mirror this machine uses already, for the next release and then for the one being made, with apt's lists in
/// a folder of their own.
fn download(temp: &TempDir) -> Outcome<PathBuf> {
    let sites = output(Command::new("apt-get").args(["indextargets", "--format", "$(SITE)"]))?;
    let site = sites
        .lines()
        .find(|site| site.trim_end_matches('/').ends_with("/debian"))
        .ok_or_else(|| failure("this machine's apt knows no Debian mirror"))?;
    let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let mut last = failure("no release was tried");
    for release in ["forky", "sid"] {
        match download_from(temp, release, site, key) {
            Ok(folder) => return Ok(folder),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn download_from(temp: &TempDir, release: &str, site: &str, key: &str) -> Outcome<PathBuf> {
    let home = temp.path().join(release);
    let debs = home.join("debs");
    for folder in ["state/lists/partial", "cache/archives/partial", "debs"] {
        fs::create_dir_all(home.join(folder)).doing("cannot make a folder for apt")?;
    }
    let line = format!("deb [signed-by={key}] {site} {release} main\n");
    fs::write(home.join("sources.list"), line).doing("cannot write apt's sources")?;
    fs::write(home.join("status"), "").doing("cannot write apt's status")?;
    let at = home.display();
    let conf = format!(
        "Dir::State \"{at}/state\"; Dir::State::status \"{at}/status\"; Dir::Cache \"{at}/cache\";\n\
         Dir::Etc::SourceList \"{at}/sources.list\"; Dir::Etc::SourceParts \"/nonexistent\";\n\
         APT::Sandbox::User \"\"; Debug::NoLocking \"1\";\n"
    );
    let file = home.join("apt.conf");
    fs::write(&file, conf).doing("cannot write apt's configuration")?;
    output(Command::new("apt-get").args(["update", "-q"]).env("APT_CONFIG", &file))?;
    let mut get = Command::new("apt-get");
    get.args(["download", "-q"]).args(CLIENT_PACKAGES.split_whitespace());
    output(get.env("APT_CONFIG", &file).current_dir(&debs))?;
    Ok(debs)
}

fn wrappers(home: &Path) -> Outcome<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let libraries = format!("root/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let loader = cache::find(&home.join(&libraries), "ld-linux-", "")?;
    let text = |program: &str| {
        format!(
            "#!/bin/sh\nexec '{}' --library-path '{}' '{}/root/usr/lib/postgresql/18/bin/{program}' \"$@\"\n",
            loader.display(),
            home.join(&libraries).display(),
            home.display()
        )
    };
    for program in ["psql", "pg_dump", "pg_restore"] {
        let file = home.join("bin").join(program);
        fs::write(&file, text(program)).doing("cannot write a client's starter")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).doing("cannot make a starter runnable")?;
        output(Command::new(&file).arg("--version"))?;
    }
    Ok(())
}
