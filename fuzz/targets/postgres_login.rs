//! See `vestibule_fuzz::postgres_login`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule_fuzz::postgres_login::run(data));
