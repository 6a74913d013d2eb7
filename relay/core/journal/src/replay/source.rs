//! What leaves, and when it did or would have left: recorded lines, arbitrated ones among them.

use std::collections::BTreeMap;
use std::io;

use lanecast_relay_core::{find, Action, ChannelArbiter, Kind, Limits, Outgoing, Packet, Protocol};

use super::{NumberRange, ReplayConfig};
use crate::records::{Record, Selection};
use crate::settings::LineName;

/// As in a relay.
const HELD_BYTES: usize = 16 << 20;
const HELD_PACKETS: usize = 65_536;

/// A datagram that is due at `at_ns` of recorded time, at the target of this number.
pub(crate) struct Due<'a> {
    pub at_ns: u64,
    pub target: usize,
    pub datagram: &'a [u8],
}

struct Arbitrated {
    target: usize,
    lines: Vec<String>,
    arbiter: ChannelArbiter,
}

/// Takes records in the order of their times, gives datagrams in the same.
pub(crate) struct Source {
    protocol: &'static Protocol,
    numbers: Option<NumberRange>,
    arbitrated: BTreeMap<String, Arbitrated>,
    /// By channel and line.
    as_they_were: BTreeMap<(String, String), Vec<usize>>,
    pub lost_messages: u64,
    /// When the last record was received.
    now_ns: u64,
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
            arbitrated: BTreeMap::new(),
            as_they_were: BTreeMap::new(),
            lost_messages: 0,
            now_ns: 0,
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
            let limits = Limits {
                hole_wait_ns: config.hole_wait_ns,
                held_bytes: HELD_BYTES,
                held_packets: HELD_PACKETS,
            };
            let arbitrated = Arbitrated {
                target: at,
                arbiter: ChannelArbiter::new(protocol, names.len(), limits),
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
    pub(crate) fn take(&mut self, record: &Record, leave: &mut impl FnMut(Due) -> bool) -> bool {
        self.now_ns = record.received_ns;
        if !self.on_deadlines(record.received_ns, leave) {
            return false;
        }
        if self
            .numbers
            .is_some_and(|range| !self.is_in(range, record.datagram()))
        {
            return true;
        }
        let key = (record.line.channel.clone(), record.line.line.clone());
        for target in self.as_they_were.get(&key).into_iter().flatten() {
            let due = Due {
                at_ns: record.received_ns,
                target: *target,
                datagram: record.datagram(),
            };
            if !leave(due) {
                return false;
            }
        }
        let Some(channel) = self.arbitrated.get_mut(&key.0) else {
            return true;
        };
        let Some(line) = channel.lines.iter().position(|line| *line == key.1) else {
            return true;
        };
        let mut actions = Vec::new();
        let now_ns = record.received_ns;
        channel
            .arbiter
            .receive(line, record.datagram(), now_ns, &mut actions);
        let target = channel.target;
        self.act(&actions, target, record.datagram(), now_ns, leave)
    }

    /// Nothing more comes: everything in hold leaves.
    pub(crate) fn finish(&mut self, leave: &mut impl FnMut(Due) -> bool) -> bool {
        if !self.on_deadlines(u64::MAX, leave) {
            return false;
        }
        let mut drained = Vec::new();
        for channel in self.arbitrated.values_mut() {
            let mut actions = Vec::new();
            channel.arbiter.drain(self.now_ns, &mut actions);
            drained.push((channel.target, actions));
        }
        let (mut drained, now_ns) = (drained.into_iter(), self.now_ns);
        drained.all(|(target, actions)| self.act(&actions, target, &[], now_ns, leave))
    }

    /// What arbitration does when nothing comes, up to a time.
    fn on_deadlines(&mut self, until_ns: u64, leave: &mut impl FnMut(Due) -> bool) -> bool {
        loop {
            let channels = self.arbitrated.values_mut();
            let due = channels
                .filter_map(|channel| Some((channel.arbiter.next_deadline_ns()?, channel)))
                .filter(|(deadline_ns, _)| *deadline_ns <= until_ns)
                .min_by_key(|(deadline_ns, _)| *deadline_ns);
            let Some((deadline_ns, channel)) = due else {
                return true;
            };
            let mut actions = Vec::new();
            channel.arbiter.on_deadline(deadline_ns, &mut actions);
            let target = channel.target;
            if !self.act(&actions, target, &[], deadline_ns, leave) {
                return false;
            }
        }
    }

    fn act(
        &mut self,
        actions: &[Action],
        target: usize,
        received: &[u8],
        at_ns: u64,
        leave: &mut impl FnMut(Due) -> bool,
    ) -> bool {
        for action in actions {
            let datagram = match action {
                Action::Send(Outgoing::Received) => received,
                Action::Send(Outgoing::Owned(bytes)) => bytes,
                Action::Lost { first, last, .. } => {
                    self.lost_messages += last - first + 1;
                    continue;
                }
                Action::Missing { .. } => continue,
            };
            let due = Due {
                at_ns,
                target,
                datagram,
            };
            if !leave(due) {
                return false;
            }
        }
        true
    }

    fn is_in(&self, range: NumberRange, datagram: &[u8]) -> bool {
        let first = range.first.unwrap_or(0);
        let last = range.last.unwrap_or(u64::MAX);
        let is_in = |packet: &Packet| {
            let numbers = self.protocol.numbers();
            let end = numbers.after(packet.first, packet.count.saturating_sub(1));
            let end = end.filter(|end| *end >= packet.first).unwrap_or(u64::MAX);
            let spans = match packet.kind {
                Kind::Data => packet.first <= last && end >= first,
                Kind::Heartbeat { next } => next > first && next <= last,
                _ => range.last.is_none(),
            };
            packet.stream == range.stream && spans
        };
        let packets = self.protocol.packets(datagram);
        packets.is_ok_and(|packets| packets.iter().any(is_in))
    }
}
