//! SQL statement text to effects, relations and column lineage. Pure
