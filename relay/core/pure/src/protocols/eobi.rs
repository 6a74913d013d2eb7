//! Eurex EOBI. Numbers are the packet header's ApplSeqNum, one a packet; MsgSeqNum has no value in a packet header.
//! Heartbeats are in band. ApplSeqNum goes back to 1 with the reset indicator set.
//!
//! ApplSeqNum counts the packets of a channel (a multicast address and port) across its products, and channels are not
//! shared between partitions; what counts by market segment is the messages' MsgSeqNum. So says the EOBI manual in the
//! edition of MCX, whose T7 it is ("Packet Sequencing", "Datagram Structure"), and so do captured bytes: segments 603 and 604
//! on one address, 141 ms apart, are four numbers apart. The partition as the stream keeps two apart should they ever share.

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
    stream: Some(at(16, 1)),
    constants: &[(at(0, 2), 32), (at(4, 4), 0xFFFF_FFFF)],
    ..Protocol::BARE
};
