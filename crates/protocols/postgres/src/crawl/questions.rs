//! What is asked. Everything is named by its schema: the account's own path decides nothing here.

/// What the rows of an answer are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Nothing,
    Relations,
    Domains,
    Columns,
    Definitions,
    Parents,
    Functions,
    Operators,
}

impl Topic {
    /// For messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "consent",
            Self::Relations => "relations",
            Self::Domains => "domains",
            Self::Columns => "columns",
            Self::Definitions => "views",
            Self::Parents => "inheritance",
            Self::Functions => "functions",
            Self::Operators => "operators",
        }
    }
}

/// Object identifiers from here on are not the server's own.
macro_rules! first_own {
    () => {
        "16384"
    };
}

/// Relations that can be named in a statement, and whose values can be told apart.
macro_rules! relations {
    () => {
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND n.nspname <> 'pg_toast' \
         AND NOT pg_catalog.pg_is_other_temp_schema(n.oid) AND n.oid <> pg_catalog.pg_my_temp_schema() \
         AND n.nspname !~ '^pg_(toast_)?temp_[0-9]+$' "
    };
}

/// The questions, in the order they are sent.
pub(super) const QUESTIONS: [(&str, Topic); 10] = [
    ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", Topic::Nothing),
    // From here on the server spells every name of a view's query with its schema.
    ("SELECT pg_catalog.set_config('search_path', 'pg_catalog', true)", Topic::Nothing),
    (
        concat!(
            "SELECT c.oid, n.nspname, c.relname, c.relkind, \
             EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') \
             OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) ",
            relations!(),
            "ORDER BY c.oid"
        ),
        Topic::Relations,
    ),
    ("SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE typtype = 'd' ORDER BY oid", Topic::Domains),
    (
        concat!(
            "SELECT a.attrelid, a.attnum, a.attname, a.atttypid FROM pg_catalog.pg_attribute a \
             WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN (SELECT c.oid ",
            relations!(),
            ") ORDER BY a.attrelid, a.attnum"
        ),
        Topic::Columns,
    ),
    (
        concat!(
            "SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) ",
            relations!(),
            "AND c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY c.oid"
        ),
        Topic::Definitions,
    ),
    ("SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno", Topic::Parents),
    (
        concat!(
            "SELECT n.nspname, p.proname, p.prokind, p.provolatile, l.lanname, p.prosecdef, p.proretset, e.extname, \
             CASE WHEN l.lanname = 'sql' THEN p.prosrc END FROM pg_catalog.pg_proc p \
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
             LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
             AND d.objid = p.oid AND d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass \
             LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid WHERE p.oid >= ",
            first_own!(),
            " ORDER BY p.oid"
        ),
        Topic::Functions,
    ),
    (
        concat!(
            "SELECT DISTINCT oprname::pg_catalog.text COLLATE pg_catalog.\"C\" FROM pg_catalog.pg_operator WHERE oid >= ",
            first_own!(),
            " ORDER BY 1"
        ),
        Topic::Operators,
    ),
    ("COMMIT", Topic::Nothing),
];
