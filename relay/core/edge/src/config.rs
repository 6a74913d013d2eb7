//! What the engine is told, already validated by whoever read the file: everything is decided, nothing is defaulted.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    pub name: String,
    pub receive_buffer_bytes: usize,
    /// Which CPU the packet path runs on; none leaves it to the kernel.
    pub cpu: Option<usize>,
    pub feeds: Vec<FeedConfig>,
    pub subscribers: Vec<SubscriberConfig>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    pub name: String,
    pub protocol: String,
    pub hole_wait_ns: u64,
    pub held_bytes: usize,
    pub channels: Vec<String>,
    pub lines: Vec<LineConfig>,
    pub recovery: Option<RecoveryConfig>,
}

/// Who is asked for messages that no line brought.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryConfig {
    pub wait_ns: u64,
    pub retry_ns: u64,
    /// For each of the feed's channels, in their order, the servers to ask in turn.
    pub servers: Vec<Vec<SocketAddrV4>>,
}

#[derive(Clone, Debug, Deserialize)]
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

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriberConfig {
    pub name: String,
    pub outputs: Vec<OutputConfig>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    pub feed: String,
    pub channel: String,
    pub to: SocketAddrV4,
}
