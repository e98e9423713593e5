//! PostgreSQL protocol 3.0 and 3.2: interpreter without I/O
