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
use crate::delivery::{Deliveries, Delivery, Sending};
use crate::input::Input;
use crate::snapshot::{LineSnapshot, Loss, PositionSnapshot, Ranges, StreamSnapshot};
use crate::system::realtime_ns;

/// Losses that a stream remembers for whoever asks.
const LOSSES_KEPT: usize = 1000;

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
    /// Knows sessions only while somebody gets them.
    packer: Packer,
    packed: Packed,
    /// By the exchange's stream; 0 where the channel is one.
    losses: BTreeMap<u64, Losses>,
}

/// What one stream lost.
#[derive(Default)]
struct Losses {
    kept: VecDeque<Lost>,
    ranges: u64,
    /// How many of them were told as new.
    told: u64,
}

/// One range, as on the wire.
#[derive(Clone, Copy)]
struct Lost {
    epoch: EpochKey,
    first: u64,
    last: u64,
    declared_ns: u64,
}

/// Datagrams on their way out, in order.
#[derive(Default)]
struct Leaving {
    datagrams: Vec<Bytes>,
    contents: Vec<Content>,
    /// What was given up, and before which of the datagrams.
    given_up: Vec<(usize, GivenUp)>,
}

/// The numbers of an epoch below `next` that did not leave.
struct GivenUp {
    stream: u64,
    epoch: EpochKey,
    next: u64,
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

    /// One subscriber more; the first one who gets packed sessions hears where they are.
    pub(crate) fn add_delivery(&mut self, delivery: Delivery, now_ns: u64) {
        let packed = self.deliveries.any_mold();
        self.deliveries.add(delivery);
        if !packed {
            self.resume_packing(now_ns);
        }
    }

    /// Take `subscriber` away.
    pub(crate) fn remove_delivery(&mut self, subscriber: &str, now_ns: u64) -> Vec<Delivery> {
        let gone = self.deliveries.remove(subscriber);
        if !self.deliveries.any_mold() {
            self.resume_packing(now_ns);
        }
        gone
    }

    /// Pack by other bounds.
    pub(crate) fn set_packer(&mut self, packer: Packer, now_ns: u64) {
        self.packer = packer;
        self.resume_packing(now_ns);
    }

    /// Sessions are where the streams are; where nobody gets them there are none.
    fn resume_packing(&mut self, now_ns: u64) {
        self.packer.clear();
        if self.deliveries.any_mold() {
            for (stream, position) in self.arbiter.positions() {
                self.packer.resume(stream, position, now_ns);
            }
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
        let heartbeat_ns = self.packer.next_heartbeat_ns();
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
        if self.packer.next_heartbeat_ns().as_ref().is_some_and(is_due) {
            self.packed.clear();
            self.packer.heartbeats(now_ns, &mut self.packed);
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
                    let next = last.saturating_add(1);
                    let given_up = GivenUp {
                        stream,
                        epoch,
                        next,
                    };
                    let before = leaving.datagrams.len();
                    leaving.given_up.push((before, given_up));
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
        if leaving.datagrams.is_empty() && leaving.given_up.is_empty() {
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
            self.pack(&datagrams, leaving, now_ns);
            self.deliveries.send_packed(&self.packed, now_ns, sending);
        }
        if let Some(memory) = &mut self.memory {
            for (datagram, content) in datagrams.iter().zip(contents) {
                memory.keep(datagram, *content);
            }
        }
    }

    fn pack(&mut self, datagrams: &[&[u8]], leaving: &Leaving, now_ns: u64) {
        self.packed.clear();
        let (packer, packed) = (&mut self.packer, &mut self.packed);
        let mut given_up = leaving.given_up.iter().peekable();
        for (at, (datagram, content)) in datagrams.iter().zip(&leaving.contents).enumerate() {
            while let Some((_, it)) = given_up.next_if(|(before, _)| *before <= at) {
                packer.skip_to(it.stream, it.epoch, it.next, packed);
            }
            packer.push(datagram, *content, packed);
        }
        for (_, it) in given_up {
            packer.skip_to(it.stream, it.epoch, it.next, packed);
        }
        packer.flush(now_ns, packed);
    }

    /// The channel itself first, then each stream in it as `channel/stream` (design, decision 1).
    pub(crate) fn snapshots(&mut self, ranges: Ranges) -> Vec<StreamSnapshot> {
        let told = |(stream, losses): (&u64, &mut Losses)| {
            let total = losses.ranges;
            (*stream, (total, losses.of(ranges)))
        };
        let mut losses: BTreeMap<u64, _> = self.losses.iter_mut().map(told).collect();
        let mut losses = |stream| losses.remove(&stream).unwrap_or_default();
        let (name, main) = (&self.name, self.arbiter.main());
        if self.protocol.stream.is_none() {
            return vec![self.snapshot(name.clone(), (0, main), losses(0))];
        }
        // Stream 0 of a channel with streams is a stream like any other, and its losses are its own.
        let main = self.snapshot(name.clone(), (0, main), (0, Vec::new()));
        let streams = self.arbiter.streams().map(|(stream, arbiter)| {
            let channel = format!("{name}/{stream}");
            self.snapshot(channel, (stream, arbiter), losses(stream))
        });
        std::iter::once(main).chain(streams).collect()
    }

    fn snapshot(
        &self,
        channel: String,
        (stream, arbiter): (u64, &StreamArbiter),
        (lost_ranges, losses): (u64, Vec<Loss>),
    ) -> StreamSnapshot {
        let state = arbiter.state();
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
            position: arbiter.position().map(|position| PositionSnapshot {
                stream,
                epoch: position.epoch.hex(),
                next: position.next,
            }),
            next: state.next,
            held_packets: state.held_packets,
            held_bytes: state.held_bytes,
            requests: self.asker.as_ref().map_or(0, |asker| asker.requests),
            request_errors: self.asker.as_ref().map_or(0, |asker| asker.request_errors),
            lost_messages: state.lost_messages,
            lost_ranges,
            losses,
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
        self.kept.push_back(Lost {
            epoch,
            first,
            last,
            declared_ns: declared_ns(),
        });
    }

    fn of(&mut self, ranges: Ranges) -> Vec<Loss> {
        let new = newest(self.ranges - self.told, self.kept.len());
        if ranges == Ranges::New {
            self.told = self.ranges;
        }
        let told = |(at, lost): (usize, &Lost)| Loss {
            epoch: epoch_text(lost.epoch),
            first: lost.first,
            last: lost.last,
            declared_ns: lost.declared_ns,
            new: at >= new,
        };
        let handed_out = self.kept.iter().enumerate().skip(match ranges {
            Ranges::None => self.kept.len(),
            Ranges::New => new,
            Ranges::All => 0,
        });
        handed_out.map(told).collect()
    }
}

/// From which place on `new` things are, at the end of `kept` of them.
pub(crate) fn newest(new: u64, kept: usize) -> usize {
    kept.saturating_sub(usize::try_from(new).unwrap_or(usize::MAX))
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
        _ => key.hex(),
    }
}
