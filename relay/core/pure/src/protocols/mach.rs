//! MIAX MACH. A datagram holds several packets, each with a number of its own; those whose numbers go on count as one with
//! several messages. Heartbeats, the start and the end of a session carry the last number sent. A restart may use a
//! session's number again, so the start of the session itself is what begins an epoch; so does another session number, in
//! case every line loses the start.

use crate::protocol::{at, ByteOrder, Epoch, Heartbeat, Meaning, Number, Protocol, Size, Types};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "mach",
    spec: "MIAX MACH Protocol Specification: Packet header, packet types, Start of Session, End of Session, Heartbeat",
    order: ByteOrder::Little,
    header_bytes: 12,
    number: Some(Number::plain(0, 8)),
    heartbeat: Heartbeat::CarriesLast,
    epoch: Epoch::Announced,
    session: Some((11, 1)),
    size: Some(Size {
        field: at(8, 2),
        uncounted: 0,
    }),
    several: true,
    types: Some(Types {
        field: at(10, 1),
        known: &[
            (0, Meaning::Heartbeat),
            (1, Meaning::Restart),
            (2, Meaning::EndOfSession),
            (3, Meaning::Data),
        ],
    }),
    ..Protocol::BARE
};
