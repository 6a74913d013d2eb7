//! No framing: the whole datagram is one unsequenced message.

use crate::protocol::Protocol;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "raw",
    spec: "none: the whole datagram is one unsequenced message",
    ..Protocol::BARE
};
