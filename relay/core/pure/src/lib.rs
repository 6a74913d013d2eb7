//! Framing and arbitration of market-data lines: bytes, events and `now_ns` in, actions out.
//!
//! Nothing here opens a socket, reads a clock or starts a thread, so a test drives it with a clock of its own. Who adds a
//! protocol adds a file to [`protocols`]; who changes how lines are merged reads the table in [`arbiter`].
#![forbid(unsafe_code)]

pub mod account;
pub mod arbiter;
pub mod channel;
pub mod desk;
mod epoch;
mod insisting;
pub mod memory;
pub mod mold;
pub mod naming;
pub mod numbers;
mod parse;
pub mod protocol;
pub mod protocols;
mod ranges;
pub mod rate;
pub mod recovery;
mod reframe;
mod restart;

pub use account::{Class, LineCounters};
pub use arbiter::{Action, Content, Limits, Outgoing, StreamArbiter, StreamState};
pub use channel::ChannelArbiter;
pub use desk::{Desk, Reply, Turned};
pub use memory::{Answer, Memory, Request};
pub use mold::{Packed, Packer, Sessions};
pub use naming::Position;
pub use protocol::{find, EpochKey, Kind, Malformed, Packet, Packets, Protocol, PROTOCOLS};
pub use rate::{Rate, RateLimit};
pub use recovery::Recovery;
