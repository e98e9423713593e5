//! Recordings: writing, sealing and reading back
