#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lanecast_relay_fuzz::journal::check(data));
