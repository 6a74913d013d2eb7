//! TSE FLEX. Numbers belong to a group and count messages; the count of reboots tells its runs apart, and starts over. A
//! datagram of one byte 0x20 says that the line lives. Where a message ends is not confirmed, so packets are not looked
//! into, and one that overlaps what already left leaves whole.

use crate::protocol::{at, Bits, Epoch, Heartbeat, Number, Numbering, Protocol};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "flex",
    spec: "TSE FLEX Connection Specification, multicast: Packet Header, keep-alive",
    header_bytes: 26,
    number: Some(Number::plain(2, 4)),
    numbering: Numbering::Messages(at(25, 1)),
    heartbeat: Heartbeat::CarriesNext,
    epoch: Epoch::Counter(Bits {
        field: at(1, 1),
        lowest: 0,
        count: 8,
    }),
    stream: Some(at(0, 1)),
    keepalive: Some(0x20),
    ..Protocol::BARE
};
