//! Deribit multicast. Numbers belong to a channel, one a packet; the packet is not looked into.

use crate::protocol::{at, ByteOrder, Number, Protocol, Size};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "deribit",
    spec: "Deribit Multicast: Packet Header (PacketLength, ChannelId, ChannelSeq)",
    order: ByteOrder::Little,
    header_bytes: 8,
    number: Some(Number::plain(4, 4)),
    stream: Some(at(2, 2)),
    size: Some(Size {
        field: at(0, 2),
        uncounted: 8,
    }),
    ..Protocol::BARE
};
