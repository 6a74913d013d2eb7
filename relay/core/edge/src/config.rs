//! What the engine is told, already validated by whoever read the file: everything is decided, nothing is defaulted.

use std::net::{Ipv4Addr, SocketAddrV4};

use lanecast_relay_core::{find, EpochKey, Position, Protocol, Rate};
use lanecast_relay_journal::JournalSettings;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    pub name: String,
    pub receive_buffer_bytes: usize,
    /// Which CPU the packet path runs on; none leaves it to the kernel.
    pub cpu: Option<usize>,
    /// How long the packet thread asks for more before it sleeps; 0: not at all.
    pub busy_wait_ns: u64,
    pub fan_out: FanOut,
    /// Where every line's datagrams are kept; none keeps none.
    #[serde(default)]
    pub journal: Option<JournalSettings>,
    pub feeds: Vec<FeedConfig>,
    pub subscribers: Vec<SubscriberConfig>,
    /// Where streams were when they were last heard of, for channels that are opened.
    #[serde(default)]
    pub positions: Vec<PositionConfig>,
}

/// Where one stream was.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionConfig {
    pub feed: String,
    pub channel: String,
    pub protocol: String,
    pub stream: u64,
    /// The epoch's key in hex digits.
    pub epoch: String,
    pub next: u64,
}

impl PositionConfig {
    /// As the arbiter of a channel that is `protocol` now takes it; none when it says nothing there.
    pub(crate) fn of(&self, protocol: &Protocol) -> Option<Position> {
        let before = find(&self.protocol)?;
        let alike = before.name == protocol.name;
        // Names that were chosen by a relay are in use, whatever the numbers were.
        if !alike && (before.names_epochs() || protocol.names_epochs()) {
            return None;
        }
        Some(Position {
            epoch: EpochKey::from_hex(&self.epoch)?,
            next: if alike { self.next } else { u64::MAX },
        })
    }
}

/// How a datagram gets to many subscribers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum FanOut {
    /// A system call for each subscriber.
    Sockets,
    /// The sends to many subscribers in one system call, where that can be had.
    #[default]
    IoUring,
    /// One send, cloned by a program in the kernel, where that can be had.
    Kernel,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    pub name: String,
    pub protocol: String,
    pub hole_wait_ns: u64,
    pub held_bytes: usize,
    /// The most UDP payload of a datagram that the relay packs itself.
    pub payload_bytes: usize,
    pub channels: Vec<String>,
    pub lines: Vec<LineConfig>,
    pub recovery: Option<RecoveryConfig>,
    pub re_requests: Option<ReRequestConfig>,
}

/// Who is asked for messages that no line brought.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RecoveryConfig {
    pub wait_ns: u64,
    pub retry_ns: u64,
    /// For each of the feed's channels, in their order, the servers to ask in turn.
    pub servers: Vec<Vec<SocketAddrV4>>,
}

/// Where subscribers ask the relay for what they missed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ReRequestConfig {
    /// In the order of the feed's channels.
    pub listen: Vec<SocketAddrV4>,
    pub memory_bytes: usize,
    /// How many answers a subscriber's address gets.
    pub answers_per_second: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    pub name: String,
    /// Only datagrams from here are taken. A multicast line always has one.
    pub source: Option<Ipv4Addr>,
    /// The interface to join on; none for a unicast line.
    pub interface: Option<String>,
    /// In the order of the feed's channels.
    pub endpoints: Vec<SocketAddrV4>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SubscriberConfig {
    pub name: String,
    pub delivery: Delivery,
    pub outputs: Vec<OutputConfig>,
    pub limits: Vec<LimitConfig>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// The exchange's datagrams unchanged.
    Native,
    /// Packed anew into MoldUDP64.
    Mold,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    pub feed: String,
    pub channel: String,
    pub to: SocketAddrV4,
}

/// What a subscriber gets of a feed at most.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    pub feed: String,
    pub datagrams_per_second: Option<u64>,
    pub bits_per_second: Option<u64>,
}

impl LimitConfig {
    pub(crate) fn rate(&self) -> Rate {
        Rate {
            datagrams_per_second: self.datagrams_per_second,
            bits_per_second: self.bits_per_second,
        }
    }
}
