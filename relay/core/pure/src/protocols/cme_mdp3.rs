//! CME MDP 3.0. Numbers count packets, and the two lines' packets are the same bytes. A heartbeat (SBE template 12) has a
//! number of its own; ChannelReset (template 4) starts the numbers anew.

use crate::protocol::{at, ByteOrder, Epoch, Messages, Number, Protocol};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "cme-mdp3",
    spec: "CME MDP 3.0, Packet Structure: Binary Packet Header, Message Header; ChannelReset is SBE template 4",
    order: ByteOrder::Little,
    header_bytes: 12,
    number: Some(Number::plain(0, 4)),
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 0,
        shortest: 10,
    },
    epoch: Epoch::ResetMessage(at(4, 2), 4),
    ..Protocol::BARE
};
