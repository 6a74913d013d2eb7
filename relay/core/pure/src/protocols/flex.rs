//! TSE FLEX. Numbers belong to a group and count messages; the count of reboots tells its runs apart, and starts over. A
//! datagram of one byte 0x20 says that the line lives. Each message is a tag: one byte of length, which leaves itself out,
//! then the type and the rest. That is the arrowhead platform's encoding in all its feeds (public definitions of FLEX
//! Market by Order 1.1), so a packet that its tags do not fill exactly is none.

use crate::protocol::{at, Bits, Epoch, Heartbeat, Messages, Number, Numbering, Protocol};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "flex",
    spec: "TSE FLEX Connection Specification, multicast: Packet Header, Tag, keep-alive",
    header_bytes: 26,
    number: Some(Number::plain(2, 4)),
    numbering: Numbering::Messages(at(25, 1)),
    heartbeat: Heartbeat::CarriesNext,
    messages: Messages::Prefixed {
        length: at(0, 1),
        uncounted: 1,
        shortest: 2,
    },
    epoch: Epoch::Counter(Bits {
        field: at(1, 1),
        lowest: 0,
        count: 8,
    }),
    stream: Some(at(0, 1)),
    keepalive: Some(0x20),
    ..Protocol::BARE
};
