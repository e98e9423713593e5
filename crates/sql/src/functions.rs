//! What the server's own functions can do, by name.
//!
//! The names are those of every supported server's `pg_catalog`. A name that is not here is not known to be harmless,
//! so a newer server's function is judged as the worst until somebody has looked at it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// What a function can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Its value comes from its arguments, the catalog or the clock, and it changes nothing.
    Harmless,
    /// It changes nothing, but its value may be anybody's data.
    Opaque,
    /// It changes data.
    Write,
    /// It takes or releases a lock that outlives the statement.
    Lock,
    /// It waits, which makes a clock of the server.
    Sleep,
    /// It changes a setting of the session.
    Setting,
    /// It runs SQL that its arguments hold or name.
    Dynamic,
    /// It touches the server's files.
    File,
    /// It acts on the server or on other people's sessions.
    Administer,
}

struct Table {
    trust: HashMap<&'static str, Trust>,
    columns: HashMap<&'static str, Vec<&'static str>>,
    open: HashSet<&'static str>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("functions.txt")));

fn parse(text: &'static str) -> Table {
    let mut table = Table { trust: HashMap::new(), columns: HashMap::new(), open: HashSet::new() };
    let mut heading = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            heading = name;
            continue;
        }
        let mut words = line.split_whitespace();
        match (heading, trust_of(heading)) {
            (_, Some(trust)) => table.trust.extend(words.map(|name| (name, trust))),
            ("open", None) => table.open.extend(words),
            ("columns", None) => {
                if let Some(name) = words.next() {
                    table.columns.insert(name, words.collect());
                }
            }
            _ => {}
        }
    }
    table
}

fn trust_of(heading: &str) -> Option<Trust> {
    Some(match heading {
        "harmless" => Trust::Harmless,
        "opaque" => Trust::Opaque,
        "write" => Trust::Write,
        "lock" => Trust::Lock,
        "sleep" => Trust::Sleep,
        "setting" => Trust::Setting,
        "dynamic" => Trust::Dynamic,
        "file" => Trust::File,
        "administer" => Trust::Administer,
        _ => return None,
    })
}

/// What the server's own function of this name can do; `None`: there is none that is known.
pub(crate) fn builtin(name: &str) -> Option<Trust> {
    TABLE.trust.get(name).copied()
}

/// The columns of the rows that a function of the server returns, if it returns several.
pub(crate) fn columns(name: &str) -> Option<&'static [&'static str]> {
    TABLE.columns.get(name).map(Vec::as_slice)
}

/// Whether the columns it returns depend on its arguments.
pub(crate) fn is_open(name: &str) -> bool {
    TABLE.open.contains(name)
}

/// What a function that an extension brings can do, as far as the extension is known.
pub(crate) fn of_extension(extension: &str, name: &str, changes: bool) -> Option<Trust> {
    match (extension, name) {
        ("dblink" | "adminpack" | "file_fdw" | "pg_cron" | "pageinspect", _) => Some(Trust::Administer),
        ("tablefunc", "normal_rand") => Some(Trust::Harmless),
        ("tablefunc" | "xml2", _) => Some(Trust::Dynamic),
        ("pg_stat_statements", _) => Some(Trust::Opaque),
        ("uuid-ossp" | "pgcrypto", _) => Some(Trust::Harmless),
        (
            "pg_trgm" | "citext" | "unaccent" | "hstore" | "ltree" | "intarray" | "cube" | "isn" | "fuzzystrmatch"
            | "btree_gin" | "btree_gist" | "earthdistance" | "seg" | "vector" | "dict_int" | "dict_xsyn",
            _,
        ) if !changes => Some(Trust::Harmless),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Trust, builtin, columns, is_open};

    #[test]
    fn knows_the_dangerous_and_the_harmless() {
        assert_eq!(builtin("lower"), Some(Trust::Harmless));
        assert_eq!(builtin("count"), Some(Trust::Harmless));
        assert_eq!(builtin("query_to_xml"), Some(Trust::Dynamic));
        assert_eq!(builtin("pg_read_file"), Some(Trust::File));
        assert_eq!(builtin("pg_terminate_backend"), Some(Trust::Administer));
        assert_eq!(builtin("nextval"), Some(Trust::Write));
        assert_eq!(builtin("no_such_function"), None);
        assert_eq!(columns("json_each"), Some(["key", "value"].as_slice()));
        assert!(is_open("json_to_record") && is_open("unnest"));
    }
}
