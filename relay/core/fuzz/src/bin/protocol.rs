#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for p in lanecast_relay_core::PROTOCOLS { let _ = p.packets(data); }
});
