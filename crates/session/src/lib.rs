//! Guard, Permit and the drivers that carry a session
