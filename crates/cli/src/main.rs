//! The one binary, `vestibule`.
fn main() {}
