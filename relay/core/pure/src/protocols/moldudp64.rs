//! MoldUDP64, of Nasdaq's markets, ASX, OSE/JPX ITCH and others. A heartbeat has count 0, the end of a session count
//! 0xFFFF; both carry the next number. A new session starts at 1. A header sent to a re-request server asks for so many
//! messages from that number on; it answers with an ordinary packet of as many as fit.

use crate::protocol::{at, Epoch, Heartbeat, Messages, Number, Numbering, Protocol};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "moldudp64",
    spec: "MoldUDP64 1.0, Downstream Packet: header, message block, heartbeats, end of session; Request Packet",
    header_bytes: 20,
    number: Some(Number::plain(10, 8)),
    numbering: Numbering::Messages(at(18, 2)),
    heartbeat: Heartbeat::CarriesNext,
    end_count: Some(0xFFFF),
    begins_at: Some(1),
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 2,
        shortest: 2,
    },
    epoch: Epoch::InHeader(0, 10),
    requests: true,
    ..Protocol::BARE
};
