//! Each protocol is a target of its own: its name is in `LANECAST_FUZZ_PROTOCOL`.
#![no_main]

use std::sync::LazyLock;

use lanecast_relay_core::{find, Protocol};

static PROTOCOL: LazyLock<&'static Protocol> = LazyLock::new(|| {
    let name = std::env::var("LANECAST_FUZZ_PROTOCOL").unwrap_or_default();
    find(&name)
        .unwrap_or_else(|| panic!("LANECAST_FUZZ_PROTOCOL has to name a protocol, not {name:?}"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| lanecast_relay_fuzz::protocol::check(*PROTOCOL, data));
