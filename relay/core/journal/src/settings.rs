//! What a journal is told, already validated by whoever read the file, and what a line of it is called.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use lanecast_relay_core::Protocol;
use serde::{Deserialize, Serialize};

/// Where the journal is and what it may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalSettings {
    pub directory: PathBuf,
    /// What all segments and their indexes may take on disk; at least two segments.
    pub max_bytes: u64,
    /// A segment whose last datagram is older goes.
    pub max_age_ns: u64,
    /// How long a segment gets.
    pub segment_bytes: u64,
    /// How often what was recorded is written and synced, and so how much a crash may cost.
    pub sync_interval_ns: u64,
    /// What may wait for the disk; beyond that datagrams are not recorded, and counted.
    pub queue_bytes: usize,
}

/// One line of one channel, as the recorder is told of it.
#[derive(Clone, Debug)]
pub struct LineIdentity {
    pub feed: String,
    pub channel: String,
    pub line: String,
    pub protocol: &'static Protocol,
    /// The group, or the address that is listened on.
    pub endpoint: SocketAddrV4,
}

/// The same as a segment names it, in the comment of an interface.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineName {
    pub feed: String,
    pub channel: String,
    pub line: String,
    pub protocol: String,
    pub endpoint: SocketAddrV4,
}

impl LineIdentity {
    pub(crate) fn name(&self) -> LineName {
        LineName {
            feed: self.feed.clone(),
            channel: self.channel.clone(),
            line: self.line.clone(),
            protocol: self.protocol.name.to_owned(),
            endpoint: self.endpoint,
        }
    }
}
