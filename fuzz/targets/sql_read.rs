//! See `vestibule_fuzz::sql_read`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule_fuzz::sql_read::run(data));
