//! See `vestibule_fuzz::postgres_wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule_fuzz::postgres_wire::run(data));
