//! Eurex EOBI. Numbers are the packet header's ApplSeqNum, one a packet, of a market segment on a partition; MsgSeqNum has
//! no value in a packet header. Heartbeats are in band. ApplSeqNum goes back to 1 with the reset indicator set.

use crate::protocol::{at, ByteOrder, Epoch, Messages, Number, Protocol};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "eobi",
    spec: "Eurex T7 EOBI Manual: Packet header (BodyLen, MsgSeqNum, ApplSeqNum, ApplSeqResetIndicator), Heartbeat",
    order: ByteOrder::Little,
    header_bytes: 32,
    number: Some(Number::plain(8, 4)),
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 0,
        shortest: 8,
    },
    epoch: Epoch::BackToOne(Some((at(18, 1), 1))),
    // MarketSegmentID 12:4 and, above it, PartitionID 16:1.
    stream: Some(at(12, 5)),
    constants: &[(at(0, 2), 32), (at(4, 4), 0xFFFF_FFFF)],
    ..Protocol::BARE
};
