//! See `vestibule_fuzz::data_map`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule_fuzz::data_map::run(data));
