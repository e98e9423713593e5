//! The schema that policies are checked against.

/// What policies can speak of, in Cedar's schema language. `vestibule policy schema` prints it.
pub const SCHEMA: &str = include_str!("vestibule.cedarschema");
