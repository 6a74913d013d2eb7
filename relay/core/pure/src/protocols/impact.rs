//! ICE iMpact. A heartbeat has count 0 and carries the next number. Every start of the feed has a session number, which
//! comes round.

use crate::protocol::{at, Bits, Epoch, Heartbeat, Messages, Number, Numbering, Protocol};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "impact",
    spec: "ICE iMpact Multicast Feed Message Specification: Multicast Message Block, Message Header, Heartbeats",
    header_bytes: 16,
    number: Some(Number::plain(2, 4)),
    numbering: Numbering::Messages(at(6, 2)),
    heartbeat: Heartbeat::CarriesNext,
    messages: Messages::Prefixed {
        length: at(1, 2),
        uncounted: 3,
        shortest: 3,
    },
    epoch: Epoch::Counter(Bits {
        field: at(0, 2),
        lowest: 0,
        count: 16,
    }),
    ..Protocol::BARE
};
