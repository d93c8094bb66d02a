#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ionoscope_fuzz::operator(bytes));
