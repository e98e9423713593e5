//! See `vestibule_fuzz::postgres_greeting`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule_fuzz::postgres_greeting::run(data));
