//! Cboe Streaming Market (CSM). Numbers go back to 1 at a session's start (change notes of specification 1.4, 2013-11-06);
//! nothing else says so. A message's header is length 2, template 1, type 1, number 4 (public definitions of CSM feeds).
//!
//! Not confirmed, neither by captured bytes nor by a public text: that a message's length counts itself, and whether a
//! heartbeat (template 16, a header alone) takes a number. It is taken for a message like any other; a packet without
//! messages, should there be one, for a heartbeat that carries the next number.

use crate::protocol::{at, Epoch, Heartbeat, Messages, Number, Numbering, Protocol, Size};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "csm",
    spec: "Cboe Streaming Markets: Packet Header, Message Header",
    header_bytes: 16,
    number: Some(Number::plain(12, 4)),
    numbering: Numbering::Messages(at(11, 1)),
    heartbeat: Heartbeat::CarriesNext,
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 0,
        shortest: 8,
    },
    epoch: Epoch::BackToOne(None),
    size: Some(Size {
        field: at(1, 2),
        uncounted: 0,
    }),
    ..Protocol::BARE
};
