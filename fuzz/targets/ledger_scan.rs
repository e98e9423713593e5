//! See `vestibule_fuzz::ledger_scan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vestibule_fuzz::ledger_scan::run(data));
