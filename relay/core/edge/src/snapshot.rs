//! The counters as they are told to others. Names are a contract: add, rename none.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanecast_relay_journal::JournalCounters;
use serde::Serialize;

use crate::config::FanOut;
use crate::histogram::HistogramSnapshot;

/// Which ranges of numbers come with the counters: there may be many, and the packet thread copies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    None,
    /// Those that nobody was told of as new before.
    New,
    /// All that are remembered.
    All,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    pub name: String,
    pub streams: Vec<StreamSnapshot>,
    pub subscribers: Vec<SubscriberSnapshot>,
    pub fan_out: FanOutSnapshot,
    pub journal: Option<JournalCounters>,
}

/// How datagrams get to many subscribers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FanOutSnapshot {
    pub wanted: FanOut,
    pub used: FanOut,
    /// Why it is not what was wanted.
    pub reason: Option<String>,
    /// Outputs that are served by a group in the kernel now.
    pub grouped: usize,
    /// Sends to one member that the kernel refused, since the start: of single datagrams or of segmented runs. They stand
    /// in the members' `datagrams` all the same, and the last member of each group, who gets the original, is not covered.
    pub failed_clones: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamSnapshot {
    pub feed: String,
    /// `channel`, or `channel/stream` for one of the exchange's streams in it.
    pub channel: String,
    pub protocol: String,
    /// The current epoch: the header's session, or where it has none, a day and an ordinal. Text where it is printable,
    /// else hex.
    pub epoch: String,
    pub epochs: u64,
    /// Where the stream is, for whoever takes it up after this relay.
    pub position: Option<PositionSnapshot>,
    /// The number that leaves next; none before the start window has closed.
    pub next: Option<u64>,
    pub held_packets: usize,
    pub held_bytes: usize,
    /// Questions to re-request servers; what their answers brought stands at the line `recovery`.
    pub requests: u64,
    pub request_errors: u64,
    pub lost_messages: u64,
    /// How many ranges were declared lost; `losses` holds the last of them, when they are asked for.
    pub lost_ranges: u64,
    pub losses: Vec<Loss>,
    /// What the relay's own re-request server did for the channel; none where it has none.
    pub re_requests: Option<ReRequestSnapshot>,
    pub lines: Vec<LineSnapshot>,
}

/// What [`crate::config::PositionConfig`] takes.
#[derive(Clone, Debug, Serialize)]
pub struct PositionSnapshot {
    /// The exchange's number of the stream in its channel; 0 where the channel is one.
    pub stream: u64,
    /// The epoch's key in hex digits.
    pub epoch: String,
    /// The number to come, as it would be if its field had 64 bits.
    pub next: u64,
}

/// Messages `first..=last` that came on no line in time.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    pub epoch: String,
    pub first: u64,
    pub last: u64,
    /// When it was declared: nanoseconds since 1970, `CLOCK_REALTIME`.
    pub declared_ns: u64,
    /// Whether the log has not told it yet.
    pub new: bool,
}

/// received = forwarded + duplicate + late + held + heartbeat + passed_on + malformed + filtered, at any instant.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LineSnapshot {
    pub line: String,
    /// Its place in the arbiter, by which sockets find it.
    #[serde(skip)]
    pub(crate) at: usize,
    pub received: u64,
    pub forwarded: u64,
    pub duplicate: u64,
    pub late: u64,
    pub held: u64,
    pub heartbeat: u64,
    pub passed_on: u64,
    pub malformed: u64,
    /// From another source than the line's.
    pub filtered: u64,
    /// Dropped by the kernel before the relay saw them, most often because the receive buffer was full. Not in
    /// `received`.
    pub kernel_drops: u64,
    pub received_bytes: u64,
    /// Failed receive calls.
    pub receive_errors: u64,
    /// What the kernel granted; Linux counts its own bookkeeping in it.
    pub receive_buffer_bytes: usize,
    /// From the kernel's receive time stamp to after the last subscriber's send, for datagrams that left at once.
    pub latency: HistogramSnapshot,
}

/// requests = answers + errors + malformed + strangers + limited + forgotten + unknown + waiting.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReRequestSnapshot {
    pub requests: u64,
    pub answers: u64,
    pub answer_bytes: u64,
    /// Answers that the kernel did not take.
    pub errors: u64,
    /// No requests of MoldUDP64.
    pub malformed: u64,
    /// From an address that no subscriber of the channel has.
    pub strangers: u64,
    /// Beyond the address's rate, or the subscriber's limits.
    pub limited: u64,
    /// Asked for what is in neither memory nor journal, or by who was gone when it was found.
    pub forgotten: u64,
    /// Asked for another session, or for what has not left yet.
    pub unknown: u64,
    /// Being looked for in the journal now.
    pub waiting: u64,
    /// Answers, counted above, that came from the journal.
    pub answers_from_journal: u64,
    pub memory_packets: usize,
    pub memory_bytes: usize,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct SubscriberSnapshot {
    pub name: String,
    /// Accepted by the kernel for sending.
    pub datagrams: u64,
    pub bytes: u64,
    /// Datagrams that the kernel did not take.
    pub dropped: u64,
    /// Failed sends and ICMP reports by errno name. An ICMP report does not drop a datagram of ours.
    pub refused: BTreeMap<String, u64>,
    /// Whether runs of equal size still go out as one segmented send.
    pub segmentation: bool,
    /// What the subscriber's limits kept back: datagrams, the messages in them, how many ranges, and the last of those, when
    /// they are asked for.
    pub limited_datagrams: u64,
    pub limited_messages: u64,
    pub limited_ranges: u64,
    pub limited: Vec<Refusal>,
    /// Answers to its re-requests, which are not in `datagrams`, and those that its limits kept back.
    pub answers: u64,
    pub answer_bytes: u64,
    pub answers_limited: u64,
    pub answered: Vec<AnsweredRange>,
}

/// The lowest and the highest number of one stream's messages in answers to one subscriber.
#[derive(Clone, Debug, Serialize)]
pub struct AnsweredRange {
    pub feed: String,
    pub channel: String,
    pub stream: u64,
    pub epoch: String,
    pub first: u64,
    pub last: u64,
}

/// Messages `first..=last` of one stream that a limit kept from one subscriber.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    pub feed: Arc<str>,
    pub channel: Arc<str>,
    pub stream: u64,
    pub epoch: String,
    pub first: u64,
    pub last: u64,
    /// When the first of them was refused: nanoseconds since 1970, `CLOCK_REALTIME`.
    pub declared_ns: u64,
    /// Whether the log has not told it yet.
    pub new: bool,
}

impl SubscriberSnapshot {
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            segmentation: true,
            ..Self::default()
        }
    }
}
