//! See `vestibule_fuzz::policy_load`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule_fuzz::policy_load::run(data));
