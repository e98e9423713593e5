//! State in SQLite
