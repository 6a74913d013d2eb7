//! What leaves, and when it did or would have left: recorded lines, arbitrated ones among them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::io;

use lanecast_relay_core::{
    find, Action, ChannelArbiter, EpochKey, Kind, Limits, Outgoing, Packet, Protocol, Recovery,
};

use super::{NumberRange, ReplayConfig};
use crate::records::{Record, Selection};
use crate::settings::LineName;

/// As in a relay.
const HELD_BYTES: usize = 16 << 20;
const HELD_PACKETS: usize = 65_536;

/// A datagram that is due at `at_ns` of recorded time, at the target of this number.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub at_ns: u64,
    /// Among those that are due at one time.
    order: u64,
    pub target: usize,
    pub datagram: Vec<u8>,
}

/// What a packet of data is known by while its arbiter has it: target, stream, epoch, first number.
type Key = (usize, u64, EpochKey, u64);

/// How many packets' times are remembered before those are forgotten that no arbiter can have any more.
const TIMES: usize = 1 << 16;

struct Arbitrated {
    target: usize,
    lines: Vec<String>,
    arbiter: ChannelArbiter,
}

/// Takes records in the order of their times, gives datagrams in the same.
///
/// An arbiter gives some packets later than they came, and a burst of them where it waited. Here that is no reason to
/// send them later: records are read ahead of their time, so each leaves with the spacing that it had.
pub(crate) struct Source {
    protocol: &'static Protocol,
    numbers: Option<NumberRange>,
    to_ns: u64,
    /// The last copy of the last number came then; on the timeline, nanoseconds.
    ended_ns: Option<u64>,
    arbitrated: BTreeMap<String, Arbitrated>,
    /// By channel and line.
    as_they_were: BTreeMap<(String, String), Vec<usize>>,
    pub lost_messages: u64,
    /// When the last record was received.
    now_ns: u64,
    /// How long something may be in hold; in recorded time, nanoseconds.
    hold_ns: u64,
    /// When packets that arbiters may have came first.
    times: HashMap<Key, u64>,
    times_most: usize,
    /// By target, when the last one was due.
    last_ns: Vec<u64>,
    waiting: BinaryHeap<Reverse<Due>>,
    order: u64,
}

impl Source {
    pub(crate) fn new(config: &ReplayConfig, lines: &[LineName]) -> io::Result<Self> {
        let own = || lines.iter().filter(|line| line.feed == config.feed);
        let name = own().next().map(|line| line.protocol.as_str());
        let unknown = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let name = name.ok_or_else(|| unknown(format!("no feed {} is recorded", config.feed)))?;
        let protocol = find(name).ok_or_else(|| unknown(format!("unknown protocol {name}")))?;
        let mut source = Self {
            protocol,
            numbers: config.numbers,
            to_ns: config.to_ns,
            ended_ns: None,
            arbitrated: BTreeMap::new(),
            as_they_were: BTreeMap::new(),
            lost_messages: 0,
            now_ns: 0,
            hold_ns: config.hole_wait_ns,
            times: HashMap::new(),
            times_most: TIMES,
            last_ns: vec![0; config.targets.len()],
            waiting: BinaryHeap::new(),
            order: 0,
        };
        for (at, target) in config.targets.iter().enumerate() {
            if let Some(line) = &target.line {
                let key = (target.channel.clone(), line.clone());
                source.as_they_were.entry(key).or_default().push(at);
                continue;
            }
            let named = own().filter(|line| line.channel == target.channel);
            let mut names: Vec<String> = named.map(|line| line.line.clone()).collect();
            names.sort();
            names.dedup();
            let arbitrated = Arbitrated {
                target: at,
                arbiter: source.arbiter(config, &names),
                lines: names,
            };
            let before = source.arbitrated.insert(target.channel.clone(), arbitrated);
            if before.is_some() {
                let channel = &target.channel;
                return Err(unknown(format!("channel {channel} has two destinations")));
            }
        }
        Ok(source)
    }

    /// What a relay would have that has these lines. Where servers' answers were recorded, it asked them: so a hole is
    /// held until their time is over as well. Nobody is asked here; the answers come as they came then.
    fn arbiter(&mut self, config: &ReplayConfig, names: &[String]) -> ChannelArbiter {
        let limits = Limits {
            hole_wait_ns: config.hole_wait_ns,
            held_bytes: HELD_BYTES,
            held_packets: HELD_PACKETS,
        };
        let arbiter = ChannelArbiter::new(self.protocol, names.len(), limits);
        let recovery = &config.recovery;
        let Some(line) = names.iter().position(|name| *name == recovery.line) else {
            return arbiter;
        };
        self.hold_ns = config.hole_wait_ns.saturating_add(recovery.wait_ns);
        arbiter.with_recovery(Recovery {
            line,
            wait_ns: recovery.wait_ns,
            retry_ns: recovery.wait_ns,
        })
    }

    /// From when on records are needed. Where a number begins the replay, its hole may have shown before it came, and
    /// arbiters must be past their start by then.
    pub(crate) fn begins_ns(&self, config: &ReplayConfig) -> u64 {
        let by_number = self.numbers.is_some_and(|range| range.first.is_some());
        let ahead_ns = self.hold_ns.saturating_add(config.hole_wait_ns);
        let ahead_ns = if by_number { ahead_ns } else { 0 };
        config.from_ns.saturating_sub(ahead_ns)
    }

    /// Whether nothing from this record on is wanted. Where a number ends the replay, what follows may show its hole.
    pub(crate) fn is_over(&mut self, record: &Record) -> bool {
        let Some(end) = self.numbers.and_then(|range| range.end) else {
            return record.received_ns > self.to_ns;
        };
        let since_ns = self
            .ended_ns
            .map(|ended_ns| record.at_ns.saturating_sub(ended_ns));
        if record.position >= end {
            self.ended_ns.get_or_insert(record.at_ns);
        }
        since_ns.is_some_and(|since_ns| since_ns > self.hold_ns)
    }

    /// Which records it needs.
    pub(crate) fn selection(config: &ReplayConfig) -> Selection {
        let lines = config.targets.iter().map(|target| target.line.clone());
        Selection {
            feed: Some(config.feed.clone()),
            channels: config
                .targets
                .iter()
                .map(|target| target.channel.clone())
                .collect(),
            // Arbitration takes every line.
            lines: lines.collect::<Option<Vec<_>>>().unwrap_or_default(),
        }
    }

    /// The next record. `leave` returns whether to go on.
    pub(crate) fn take(&mut self, record: &Record, leave: &mut impl FnMut(&Due) -> bool) -> bool {
        self.now_ns = record.at_ns;
        self.on_deadlines(record.at_ns);
        self.hand_in(record);
        // Whatever an arbiter still has came within this time.
        self.let_leave(record.at_ns.saturating_sub(self.hold_ns), leave)
    }

    /// Nothing more comes: everything in hold leaves.
    pub(crate) fn finish(&mut self, leave: &mut impl FnMut(&Due) -> bool) -> bool {
        self.on_deadlines(u64::MAX);
        let mut drained = Vec::new();
        for channel in self.arbitrated.values_mut() {
            let mut actions = Vec::new();
            channel.arbiter.drain(self.now_ns, &mut actions);
            drained.push((channel.target, actions));
        }
        for (target, actions) in drained {
            self.act(actions, target, &[], self.now_ns);
        }
        self.let_leave(u64::MAX, leave)
    }

    fn hand_in(&mut self, record: &Record) {
        let now_ns = record.at_ns;
        let key = (record.line.channel.clone(), record.line.line.clone());
        for target in self.as_they_were.get(&key).cloned().unwrap_or_default() {
            self.due(now_ns, target, record.datagram().to_vec());
        }
        let Some(channel) = self.arbitrated.get_mut(&key.0) else {
            return;
        };
        let Some(line) = channel.lines.iter().position(|line| *line == key.1) else {
            return;
        };
        let mut actions = Vec::new();
        let arbiter = &mut channel.arbiter;
        arbiter.receive(line, record.datagram(), now_ns, &mut actions);
        let target = channel.target;
        for key in self.keys(target, record.datagram()) {
            self.times.entry(key).or_insert(now_ns);
        }
        if self.times.len() > self.times_most {
            let oldest_ns = now_ns.saturating_sub(self.hold_ns.saturating_mul(2));
            self.times.retain(|_, came_ns| *came_ns >= oldest_ns);
            // However many an arbiter may have, they are looked through once for as many that come.
            self.times_most = TIMES.max(2 * self.times.len());
        }
        self.act(actions, target, record.datagram(), now_ns);
    }

    /// What arbitration does when nothing comes, up to a time.
    fn on_deadlines(&mut self, until_ns: u64) {
        loop {
            let channels = self.arbitrated.values_mut();
            let due = channels
                .filter_map(|channel| Some((channel.arbiter.next_deadline_ns()?, channel)))
                .filter(|(deadline_ns, _)| *deadline_ns <= until_ns)
                .min_by_key(|(deadline_ns, _)| *deadline_ns);
            let Some((deadline_ns, channel)) = due else {
                return;
            };
            let mut actions = Vec::new();
            channel.arbiter.on_deadline(deadline_ns, &mut actions);
            let target = channel.target;
            self.act(actions, target, &[], deadline_ns);
        }
    }

    fn act(&mut self, actions: Vec<Action>, target: usize, received: &[u8], now_ns: u64) {
        for action in actions {
            match action {
                Action::Send(Outgoing::Received, _) => self.due(now_ns, target, received.to_vec()),
                Action::Send(Outgoing::Owned(bytes), _) => {
                    let key = self.keys(target, &bytes).next();
                    let came_ns = key.and_then(|key| self.times.get(&key).copied());
                    self.due(came_ns.unwrap_or(now_ns), target, bytes);
                }
                Action::Lost {
                    stream,
                    epoch,
                    first,
                    last,
                } => {
                    let count = (last - first).saturating_add(1);
                    let numbers = self.protocol.numbers();
                    let lost = self.numbers.map_or(count, |range| {
                        range.lost(numbers, (stream, epoch), first, count)
                    });
                    self.lost_messages = self.lost_messages.saturating_add(lost);
                }
                Action::Missing { .. } => {}
            }
        }
    }

    /// A datagram leaves at its time, but not before one that left before it; what has none of the numbers does not.
    fn due(&mut self, at_ns: u64, target: usize, datagram: Vec<u8>) {
        let range = self.numbers.as_ref();
        if range.is_some_and(|range| !range.has(self.protocol, &datagram)) {
            return;
        }
        let mut at_ns = at_ns;
        if let Some(last_ns) = self.last_ns.get_mut(target) {
            at_ns = at_ns.max(*last_ns);
            *last_ns = at_ns;
        }
        self.order += 1;
        self.waiting.push(Reverse(Due {
            at_ns,
            order: self.order,
            target,
            datagram,
        }));
    }

    fn let_leave(&mut self, until_ns: u64, leave: &mut impl FnMut(&Due) -> bool) -> bool {
        while self
            .waiting
            .peek()
            .is_some_and(|first| first.0.at_ns <= until_ns)
        {
            let first = self.waiting.pop();
            if !first.is_none_or(|due| leave(&due.0)) {
                return false;
            }
        }
        true
    }

    fn keys(&self, target: usize, datagram: &[u8]) -> impl Iterator<Item = Key> {
        let packets = self.protocol.packets(datagram).ok();
        let packets: Vec<Packet> = packets.iter().flat_map(|all| all.iter().copied()).collect();
        let data = packets
            .into_iter()
            .filter(|packet| packet.kind == Kind::Data);
        data.map(move |packet| (target, packet.stream, packet.epoch, packet.first))
    }
}
