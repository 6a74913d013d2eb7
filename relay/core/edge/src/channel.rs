//! One channel of one feed at the edge: its arbiter, its subscribers, what it remembers, and how it is told to others.

use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use lanecast_relay_core::{
    Action, ChannelArbiter, Content, EpochKey, Memory, Outgoing, Packed, Packer, Protocol,
    StreamArbiter,
};

use lanecast_relay_journal::Recorder;

use crate::asking::Asker;
use crate::batch::Batch;
use crate::delivery::{Deliveries, Sending};
use crate::input::Input;
use crate::snapshot::{LineSnapshot, Loss, StreamSnapshot};
use crate::system::realtime_ns;

/// Losses that a stream remembers for whoever asks.
const LOSSES_KEPT: usize = 1000;

/// MoldUDP64 1.0, Heartbeats: about one a second while nothing else is sent.
const MOLD_HEARTBEAT_NS: u64 = 1_000_000_000;

pub(crate) struct Channel {
    pub feed: String,
    pub name: String,
    pub protocol: &'static Protocol,
    /// By their places in the arbiter; none where a line was taken away.
    pub lines: Vec<Option<String>>,
    pub arbiter: ChannelArbiter,
    pub deliveries: Deliveries,
    /// Who is asked for what no line brought.
    pub asker: Option<Asker>,
    /// What left, for subscribers that ask again.
    pub memory: Option<Memory>,
    pub packer: Packer,
    packed: Packed,
    /// When something last left packed anew. Monotonic, nanoseconds.
    packed_ns: u64,
    /// By the exchange's stream; 0 where the channel is one.
    losses: BTreeMap<u64, Losses>,
}

/// What one stream lost.
#[derive(Default)]
struct Losses {
    kept: VecDeque<Loss>,
    ranges: u64,
}

/// Datagrams on their way out, in order.
#[derive(Default)]
struct Leaving {
    datagrams: Vec<Bytes>,
    contents: Vec<Content>,
}

/// A datagram in the batch that came last, or its own bytes.
enum Bytes {
    Received(usize),
    Owned(Vec<u8>),
}

impl Channel {
    pub(crate) fn new(
        (feed, name): (&str, &str),
        protocol: &'static Protocol,
        arbiter: ChannelArbiter,
        packer: Packer,
    ) -> Self {
        Self {
            feed: feed.to_owned(),
            name: name.to_owned(),
            protocol,
            lines: Vec::new(),
            arbiter,
            deliveries: Deliveries::new(feed, name, protocol),
            asker: None,
            memory: None,
            packer,
            packed: Packed::default(),
            packed_ns: 0,
            losses: BTreeMap::new(),
        }
    }

    /// The line at place `at` of the arbiter is called `name` from now on.
    pub(crate) fn place_line(&mut self, at: usize, name: String) {
        if at >= self.lines.len() {
            self.lines.resize(at + 1, None);
        }
        self.arbiter.grow_lines(self.lines.len());
        if let Some(line) = self.lines.get_mut(at) {
            *line = Some(name);
        }
    }

    /// Nothing more comes on that line.
    pub(crate) fn remove_line(&mut self, at: usize) {
        if let Some(line) = self.lines.get_mut(at) {
            *line = None;
        }
    }

    /// The batch of `input` that came last, all the way through.
    pub(crate) fn receive(
        &mut self,
        input: &mut Input,
        batch: &Batch,
        now_ns: u64,
        sending: &mut Sending,
        journal: Option<&mut Recorder>,
    ) {
        let (mut actions, mut leaving) = (Vec::new(), Leaving::default());
        if let (Some(journal), Some(line)) = (journal, input.recorded_as) {
            for (at, received) in batch.datagrams().enumerate() {
                if input.is_stranger(received.sender) {
                    continue; // whoever asks for the past would be given it
                }
                let received_ns = batch.received_ns(at);
                journal.record(line, received_ns, received.sender, received.datagram);
            }
            journal.publish();
        }
        for (at, received) in batch.datagrams().enumerate() {
            input.received_bytes += received.datagram.len() as u64;
            if input.is_stranger(received.sender) {
                input.filtered += 1;
                continue;
            }
            self.arbiter
                .receive(input.line, received.datagram, now_ns, &mut actions);
            self.take(&mut actions, at, &mut leaving);
        }
        self.leave(&leaving, Some(batch), now_ns, sending);
        let left_ns = realtime_ns();
        for bytes in &leaving.datagrams {
            if let Bytes::Received(at) = bytes {
                input
                    .latency
                    .add(left_ns.saturating_sub(batch.received_ns(*at)));
            }
        }
    }

    /// When [`Self::on_deadline`] wants to be called. Monotonic, nanoseconds.
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        let heartbeat_ns = self
            .deliveries
            .any_mold()
            .then(|| self.packed_ns.saturating_add(MOLD_HEARTBEAT_NS));
        let arbiter_ns = self.arbiter.next_deadline_ns();
        arbiter_ns.into_iter().chain(heartbeat_ns).min()
    }

    pub(crate) fn on_deadline(&mut self, now_ns: u64, sending: &mut Sending) {
        let is_due = |deadline: &u64| *deadline <= now_ns;
        if self.arbiter.next_deadline_ns().as_ref().is_some_and(is_due) {
            let (mut actions, mut leaving) = (Vec::new(), Leaving::default());
            self.arbiter.on_deadline(now_ns, &mut actions);
            self.take(&mut actions, 0, &mut leaving);
            self.leave(&leaving, None, now_ns, sending);
        }
        if self.deliveries.any_mold() && now_ns.saturating_sub(self.packed_ns) >= MOLD_HEARTBEAT_NS
        {
            self.packed.clear();
            self.packer.heartbeats(&mut self.packed);
            self.packed_ns = now_ns;
            self.deliveries.send_packed(&self.packed, now_ns, sending);
        }
    }

    /// Give up every hole and let everything leave.
    pub(crate) fn drain(&mut self, now_ns: u64, sending: &mut Sending) {
        let (mut actions, mut leaving) = (Vec::new(), Leaving::default());
        self.arbiter.drain(now_ns, &mut actions);
        self.take(&mut actions, 0, &mut leaving);
        self.leave(&leaving, None, now_ns, sending);
    }

    /// Sort `actions` into what leaves and what is remembered; `at` is the datagram of the batch that they are about.
    fn take(&mut self, actions: &mut Vec<Action>, at: usize, leaving: &mut Leaving) {
        for action in actions.drain(..) {
            match action {
                Action::Send(outgoing, content) => {
                    leaving.contents.push(content);
                    leaving.datagrams.push(match outgoing {
                        Outgoing::Received => Bytes::Received(at),
                        Outgoing::Owned(bytes) => Bytes::Owned(bytes),
                    });
                }
                Action::Missing {
                    epoch, first, last, ..
                } => {
                    if let Some(asker) = &mut self.asker {
                        asker.ask(self.protocol, epoch, first, last);
                    }
                }
                Action::Lost {
                    stream,
                    epoch,
                    first,
                    last,
                } => {
                    let numbers = self.protocol.numbers();
                    let range = (numbers.wire(first), numbers.wire(last));
                    self.losses
                        .entry(stream)
                        .or_default()
                        .remember(epoch, range);
                }
            }
        }
    }

    /// To every subscriber; `batch` is where received datagrams lie.
    fn leave(
        &mut self,
        leaving: &Leaving,
        batch: Option<&Batch>,
        now_ns: u64,
        sending: &mut Sending,
    ) {
        if leaving.datagrams.is_empty() {
            return;
        }
        let bytes = leaving.datagrams.iter().map(|bytes| match bytes {
            Bytes::Received(at) => batch.map_or(&[][..], |batch| batch.datagram(*at)),
            Bytes::Owned(bytes) => bytes.as_slice(),
        });
        let datagrams: Vec<&[u8]> = bytes.collect();
        let contents = &leaving.contents;
        self.deliveries
            .send_native(&datagrams, contents, now_ns, sending);
        if self.deliveries.any_mold() {
            self.packed.clear();
            for (datagram, content) in datagrams.iter().zip(contents) {
                self.packer.push(datagram, *content, &mut self.packed);
            }
            self.packer.flush(&mut self.packed);
            self.packed_ns = now_ns;
            self.deliveries.send_packed(&self.packed, now_ns, sending);
        }
        if let Some(memory) = &mut self.memory {
            for (datagram, content) in datagrams.iter().zip(contents) {
                memory.keep(datagram, *content);
            }
        }
    }

    /// The channel itself first, then each stream in it as `channel/stream` (design, decision 1).
    pub(crate) fn snapshots(&self) -> Vec<StreamSnapshot> {
        let main = self.snapshot(self.name.clone(), 0, self.arbiter.main());
        let streams = self.arbiter.streams().map(|(stream, arbiter)| {
            self.snapshot(format!("{}/{stream}", self.name), stream, arbiter)
        });
        if self.protocol.stream.is_none() {
            return vec![main];
        }
        // Stream 0 of a channel with streams is a stream like any other, and its losses are its own.
        let main = StreamSnapshot {
            lost_ranges: 0,
            losses: Vec::new(),
            ..main
        };
        std::iter::once(main).chain(streams).collect()
    }

    fn snapshot(&self, channel: String, stream: u64, arbiter: &StreamArbiter) -> StreamSnapshot {
        let state = arbiter.state();
        let losses = self.losses.get(&stream);
        let line = |(index, name): (usize, &Option<String>)| {
            let counters = arbiter.counters(index);
            Some(LineSnapshot {
                line: name.clone()?,
                at: index,
                received: counters.received,
                forwarded: counters.forwarded,
                duplicate: counters.duplicate,
                late: counters.late,
                held: counters.held,
                heartbeat: counters.heartbeat,
                passed_on: counters.passed_on,
                malformed: counters.malformed,
                ..LineSnapshot::default()
            })
        };
        StreamSnapshot {
            feed: self.feed.clone(),
            channel,
            protocol: self.protocol.name.to_owned(),
            epoch: epoch_text(state.epoch),
            epochs: state.epochs,
            next: state.next,
            held_packets: state.held_packets,
            held_bytes: state.held_bytes,
            requests: self.asker.as_ref().map_or(0, |asker| asker.requests),
            request_errors: self.asker.as_ref().map_or(0, |asker| asker.request_errors),
            lost_messages: state.lost_messages,
            lost_ranges: losses.map_or(0, |losses| losses.ranges),
            losses: losses.map_or_else(Vec::new, |losses| losses.kept.iter().cloned().collect()),
            re_requests: None,
            lines: self.lines.iter().enumerate().filter_map(line).collect(),
        }
    }
}

impl Losses {
    fn remember(&mut self, epoch: EpochKey, (first, last): (u64, u64)) {
        self.ranges += 1;
        if self.kept.len() == LOSSES_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Loss {
            epoch: epoch_text(epoch),
            first,
            last,
            declared_ns: declared_ns(),
        });
    }
}

/// Now, in nanoseconds since 1970.
pub(crate) fn declared_ns() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// A session of printable bytes as text without its padding; anything else as hex digits.
pub(crate) fn epoch_text(key: EpochKey) -> String {
    let printable = key.0.iter().all(|byte| (0x20..0x7F).contains(byte));
    match std::str::from_utf8(&key.0) {
        Ok(text) if printable => text.trim().to_owned(),
        _ => key.0.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
