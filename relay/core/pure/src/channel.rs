//! Arbitration of one channel of a feed, whose datagrams may belong to several streams: units, partitions, groups.
//!
//! Each stream has an arbiter of its own, made when its first packet comes. A channel without streams in it has one
//! arbiter, which has everything; otherwise that one has what belongs to no stream: unsequenced packets, keep-alives, and
//! datagrams that are not the protocol's.

use std::collections::{BTreeMap, BTreeSet};

use crate::account::LineCounters;
use crate::arbiter::{Action, Limits, StreamArbiter, StreamState};
use crate::naming::Position;
use crate::protocol::{Packet, Protocol};
use crate::recovery::Recovery;

/// How many streams a channel may have: as many as two bytes tell apart. Packets of any further one count as malformed.
pub const STREAMS: usize = 1 << 16;

/// Arbitrates the streams of one channel.
pub struct ChannelArbiter {
    protocol: &'static Protocol,
    lines: usize,
    limits: Limits,
    main: StreamArbiter,
    streams: BTreeMap<u64, StreamArbiter>,
    /// Where streams were that have not shown themselves yet.
    positions: BTreeMap<u64, Position>,
    utc_offset_ns: u64,
    /// Those that hold something or wait for a time: no others need to be looked at.
    waiting: BTreeSet<u64>,
    /// Packets and bytes that they hold.
    held: (usize, usize),
}

impl ChannelArbiter {
    /// What may be in hold by `limits` is for the whole channel.
    #[must_use]
    pub fn new(protocol: &'static Protocol, lines: usize, limits: Limits) -> Self {
        Self {
            protocol,
            lines,
            limits,
            main: StreamArbiter::new(protocol, lines, limits),
            streams: BTreeMap::new(),
            positions: BTreeMap::new(),
            utc_offset_ns: 0,
            waiting: BTreeSet::new(),
            held: (0, 0),
        }
    }

    /// Where each stream was, by its number (see [`StreamArbiter::resuming`]).
    #[must_use]
    pub fn resuming(mut self, positions: BTreeMap<u64, Position>) -> Self {
        if let (None, Some(position)) = (self.protocol.stream, positions.get(&0)) {
            self.main = self.main.resuming(*position);
        }
        self.positions = positions;
        self
    }

    /// See [`StreamArbiter::set_utc_offset`].
    pub fn set_utc_offset(&mut self, utc_offset_ns: u64) {
        self.utc_offset_ns = utc_offset_ns;
        self.main.set_utc_offset(utc_offset_ns);
        for arbiter in self.streams.values_mut() {
            arbiter.set_utc_offset(utc_offset_ns);
        }
    }

    /// Where each stream is now.
    pub fn positions(&self) -> impl Iterator<Item = (u64, Position)> + '_ {
        let arbiters = self.arbiters();
        arbiters.filter_map(|(stream, arbiter)| Some((stream, arbiter.position()?)))
    }

    /// Ask for holes of the channel before they are given up (see [`StreamArbiter::with_recovery`]).
    #[must_use]
    pub fn with_recovery(mut self, recovery: Recovery) -> Self {
        self.main = self.main.with_recovery(recovery);
        self
    }

    /// See [`StreamArbiter::grow_lines`].
    pub fn grow_lines(&mut self, lines: usize) {
        self.lines = self.lines.max(lines);
        self.main.grow_lines(lines);
        for arbiter in self.streams.values_mut() {
            arbiter.grow_lines(lines);
        }
    }

    /// See [`StreamArbiter::set_terms`]; only the channel itself is recovered, not the streams in it.
    pub fn set_terms(&mut self, limits: Limits, recovery: Option<Recovery>) {
        self.limits = limits;
        self.main.set_terms(limits, recovery);
        for arbiter in self.streams.values_mut() {
            arbiter.set_terms(limits, None);
        }
    }

    /// A datagram came on `line` (which counts from 0). `now_ns` is monotonic; what is to be done is added to `actions`.
    pub fn receive(
        &mut self,
        line: usize,
        datagram: &[u8],
        now_ns: u64,
        actions: &mut Vec<Action>,
    ) {
        match self.protocol.packets(datagram) {
            Err(_) => self.main.malformed(line, actions),
            Ok(packets) => {
                for packet in packets.iter() {
                    self.take(line, datagram, packet, now_ns, actions);
                }
            }
        }
    }

    /// When [`Self::on_deadline`] wants to be called. Monotonic, nanoseconds.
    #[must_use]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let waiting = self.waiting.iter();
        let streams = waiting.filter_map(|stream| self.streams.get(stream));
        std::iter::once(&self.main)
            .chain(streams)
            .filter_map(StreamArbiter::next_deadline_ns)
            .min()
    }

    /// Packets and bytes in hold.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        let main = self.main.holds();
        (main.0 + self.held.0, main.1 + self.held.1)
    }

    /// Close windows and give up holes whose time has come. `now_ns` is monotonic.
    pub fn on_deadline(&mut self, now_ns: u64, actions: &mut Vec<Action>) {
        self.main.on_deadline(now_ns, actions);
        for stream in self.waiting.clone() {
            self.with_stream(stream, |arbiter| arbiter.on_deadline(now_ns, actions));
        }
    }

    /// Give up every hole and let everything leave.
    pub fn drain(&mut self, now_ns: u64, actions: &mut Vec<Action>) {
        self.main.drain(now_ns, actions);
        for stream in self.waiting.clone() {
            self.with_stream(stream, |arbiter| arbiter.drain(now_ns, actions));
        }
    }

    /// One line's packets by class, over all streams. A datagram counts once for each packet that it holds.
    #[must_use]
    pub fn counters(&self, line: usize) -> LineCounters {
        self.arbiters()
            .fold(LineCounters::default(), |sum, (_, arbiter)| {
                sum + arbiter.counters(line)
            })
    }

    /// What belongs to no stream, or everything where the protocol has no streams in a channel.
    #[must_use]
    pub fn main(&self) -> &StreamArbiter {
        &self.main
    }

    /// The streams that have shown themselves, in the order of their numbers.
    pub fn streams(&self) -> impl Iterator<Item = (u64, &StreamArbiter)> {
        self.streams
            .iter()
            .map(|(stream, arbiter)| (*stream, arbiter))
    }

    /// The state of one stream; none when it has not shown itself.
    #[must_use]
    pub fn state(&self, stream: u64) -> Option<StreamState> {
        match self.protocol.stream {
            None => Some(self.main.state()),
            Some(_) => self.streams.get(&stream).map(StreamArbiter::state),
        }
    }

    fn arbiters(&self) -> impl Iterator<Item = (u64, &StreamArbiter)> {
        std::iter::once((0, &self.main)).chain(self.streams())
    }

    fn take(
        &mut self,
        line: usize,
        datagram: &[u8],
        packet: &Packet,
        now_ns: u64,
        actions: &mut Vec<Action>,
    ) {
        if self.protocol.stream.is_none() || !packet.is_sequenced() {
            return self.main.take(line, datagram, packet, now_ns, actions);
        }
        let full = self.streams.len() >= STREAMS;
        if full && !self.streams.contains_key(&packet.stream) {
            return self.main.malformed(line, actions);
        }
        let before = actions.len();
        let (protocol, lines, limits) = (self.protocol, self.lines, self.limits);
        let (positions, utc_offset_ns) = (&mut self.positions, self.utc_offset_ns);
        let fresh = || {
            let mut arbiter = StreamArbiter::of_stream(packet.stream, protocol, lines, limits);
            arbiter.set_utc_offset(utc_offset_ns);
            match positions.remove(&packet.stream) {
                Some(position) => arbiter.resuming(position),
                None => arbiter,
            }
        };
        self.streams.entry(packet.stream).or_insert_with(fresh);
        self.with_stream(packet.stream, |arbiter| {
            arbiter.take(line, datagram, packet, now_ns, actions);
        });
        self.keep_bounds(now_ns, actions);
        let left = actions.iter().skip(before);
        if left
            .into_iter()
            .any(|action| matches!(action, Action::Send(..)))
        {
            self.main.note_left(now_ns);
        }
    }

    /// Let a stream do something, and note what it holds then.
    fn with_stream(&mut self, stream: u64, act: impl FnOnce(&mut StreamArbiter)) {
        let Some(arbiter) = self.streams.get_mut(&stream) else {
            return;
        };
        let before = arbiter.holds();
        act(arbiter);
        let after = arbiter.holds();
        self.held.0 = self.held.0 + after.0 - before.0;
        self.held.1 = self.held.1 + after.1 - before.1;
        if after.0 > 0 || arbiter.next_deadline_ns().is_some() {
            self.waiting.insert(stream);
        } else if !self.waiting.is_empty() {
            self.waiting.remove(&stream);
        }
    }

    /// What the channel may hold is one bound for all its streams; what has waited longest goes first.
    fn keep_bounds(&mut self, now_ns: u64, actions: &mut Vec<Action>) {
        while self.held.0 > self.limits.held_packets || self.held.1 > self.limits.held_bytes {
            let since = |stream: &&u64| {
                let arbiter = self.streams.get(stream);
                let deadline_ns = arbiter.and_then(StreamArbiter::next_deadline_ns);
                deadline_ns.unwrap_or(u64::MAX)
            };
            let Some(stream) = self.waiting.iter().min_by_key(since).copied() else {
                return;
            };
            self.with_stream(stream, |arbiter| arbiter.give_way(now_ns, actions));
        }
    }
}
