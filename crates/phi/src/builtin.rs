//! What every database tells about itself that holds values of its tables, or credentials: statistics, running
//! statements, large objects, missing-value defaults, partition bounds.
//!
//! Everything else in a system catalog is clear, so that tools can find their way. A data map may list a system
//! relation to decide otherwise, column by column. Not here: functions that give the same out (the reading of the
//! operation knows them).

use vestibule_core::PhiClass;

/// Schemas that the server owns and whose relations are clear unless [`LEAKY`] names them.
const SYSTEM_SCHEMAS: &[&str] = &["pg_catalog", "information_schema"];

/// Schemas whose relations carry users' data under the server's own names; masked unless listed.
const BACKSTAGE_PREFIXES: &[&str] = &["pg_toast", "pg_temp"];

/// Columns of the row's own administration, in every PostgreSQL relation; no user column can have these names.
const ROW_ADMINISTRATION: &[&str] = &["ctid", "tableoid"];

/// `relation`, and the columns that hold values; an empty list is all of them. A relation without a schema is meant
/// in every schema: extensions are installed where their owner likes.
const LEAKY: &[(&str, &[&str])] = &[
    ("pg_catalog.pg_stats", &STATISTICS),
    ("pg_catalog.pg_stats_ext", &STATISTICS),
    ("pg_catalog.pg_stats_ext_exprs", &STATISTICS),
    ("pg_catalog.pg_statistic", &["stavalues1", "stavalues2", "stavalues3", "stavalues4", "stavalues5"]),
    ("pg_catalog.pg_statistic_ext_data", &["stxdmcv", "stxdexpr", "stxdndistinct", "stxddependencies"]),
    ("pg_catalog.pg_stat_activity", &["query", "application_name"]),
    ("pg_catalog.pg_stat_progress_copy", &[]),
    ("pg_stat_statements", &["query"]),
    ("pg_stat_monitor", &["query", "query_plan", "message", "comments", "relations"]),
    ("pg_store_plans", &["plan"]),
    ("pg_catalog.pg_backend_memory_contexts", &["ident"]),
    ("pg_catalog.pg_prepared_statements", &["statement"]),
    ("pg_catalog.pg_prepared_xacts", &["gid"]),
    ("pg_catalog.pg_cursors", &["statement"]),
    ("pg_catalog.pg_largeobject", &["data"]),
    ("pg_catalog.pg_attribute", &["attmissingval"]),
    ("pg_catalog.pg_class", &["relpartbound"]),
    ("pg_catalog.pg_authid", &["rolpassword"]),
    ("pg_catalog.pg_shadow", &["passwd"]),
    ("pg_catalog.pg_user_mapping", &["umoptions"]),
    ("pg_catalog.pg_user_mappings", &["umoptions"]),
    ("pg_catalog.pg_subscription", &["subconninfo"]),
    ("pg_catalog.pg_stat_wal_receiver", &["conninfo"]),
    ("information_schema.user_mapping_options", &["option_value"]),
    ("information_schema._pg_user_mappings", &["umoptions"]),
];

const STATISTICS: [&str; 7] = [
    "most_common_vals",
    "most_common_val_nulls",
    "most_common_elems",
    "histogram_bounds",
    "range_length_histogram",
    "range_empty_frac",
    "range_bounds_histogram",
];

/// What is known of a relation without a data map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// The server's own: these columns hold values, the rest is clear. Empty: every column holds values.
    System(&'static [&'static str]),
    /// An extension's, by its name alone: these columns hold values, the rest is as for any table, since anybody
    /// may give a table this name.
    Extension(&'static [&'static str]),
    /// The server's own, wholly clear.
    Clear,
    /// Users' data under the server's names.
    Backstage,
    /// Not the server's.
    No,
}

/// What is known of `relation`.
pub(crate) fn known(relation: &str) -> Known {
    let (schema, bare) = relation.rsplit_once('.').unwrap_or(("", relation));
    if let Some((name, columns)) = LEAKY.iter().find(|(name, _)| *name == relation || *name == bare) {
        return if name.contains('.') { Known::System(columns) } else { Known::Extension(columns) };
    }
    if SYSTEM_SCHEMAS.contains(&schema) {
        return Known::Clear;
    }
    if BACKSTAGE_PREFIXES.iter().any(|prefix| schema.starts_with(prefix)) { Known::Backstage } else { Known::No }
}

impl Known {
    /// The class of one column, if the relation is the server's.
    pub(crate) fn class_of(self, column: &str) -> Option<Option<PhiClass>> {
        match self {
            Self::System([]) | Self::Backstage => Some(Some(PhiClass::Unclassified)),
            Self::System(leaky) => Some(holds_values(leaky, column).then_some(PhiClass::Unclassified)),
            Self::Extension(leaky) => holds_values(leaky, column).then_some(Some(PhiClass::Unclassified)),
            Self::Clear => Some(None),
            Self::No => None,
        }
    }
}

/// Whether a column is one of these. `*` and unknown columns stand for all of them.
fn holds_values(leaky: &[&str], column: &str) -> bool {
    leaky.contains(&column) || column == "*" || column.is_empty()
}

/// Whether a column is the row's own administration.
pub(crate) fn is_row_administration(column: &str) -> bool {
    ROW_ADMINISTRATION.contains(&column)
}

#[cfg(test)]
mod tests {
    use super::{Known, PhiClass, known};

    const HIDDEN: Option<Option<PhiClass>> = Some(Some(PhiClass::Unclassified));

    #[test]
    fn catalogs_are_clear_but_for_values_and_credentials() {
        assert_eq!(known("pg_catalog.pg_class").class_of("relname"), Some(None));
        assert_eq!(known("pg_catalog.pg_class").class_of("relpartbound"), HIDDEN);
        assert_eq!(known("pg_catalog.pg_class").class_of("*"), HIDDEN);
        assert_eq!(known("pg_catalog.pg_stats").class_of("histogram_bounds"), HIDDEN);
        assert_eq!(known("pg_catalog.pg_stats").class_of("n_distinct"), Some(None));
        assert_eq!(known("information_schema.columns").class_of("column_default"), Some(None));
        assert_eq!(known("pg_toast.pg_toast_2619").class_of("chunk_data"), HIDDEN);
        assert_eq!(known("pg_temp_3.copy_of_patient").class_of("id"), HIDDEN);
    }

    #[test]
    fn a_table_that_borrows_an_extensions_name_gains_nothing() {
        assert_eq!(known("public.pg_stat_statements").class_of("query"), HIDDEN);
        assert_eq!(known("public.pg_stat_statements").class_of("stolen"), None);
        assert_eq!(known("public.pg_stats"), Known::No);
        assert_eq!(known("public.pg_class"), Known::No);
    }
}
