//! The list of protocols: one line each
