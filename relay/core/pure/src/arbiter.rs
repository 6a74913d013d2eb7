//! Line arbitration: several copies of a stream in, each message out once and in order.
//!
//! ```text
//! state of an epoch   event                            what happens                                     next state
//! ------------------  -------------------------------  -----------------------------------------------  ----------
//! (none)              first packet of the epoch        hold it; the window ends in hole-wait            WINDOW
//! WINDOW              packet                           hold, sorted; a copy is a duplicate              WINDOW
//! (none)              the first number there can be    the window ends at once, unless an epoch closes  RUNNING
//! WINDOW              window ends, or hold is full     close older epochs; start at the lowest number   RUNNING
//! RUNNING             packet at `next`, or across it   it leaves (trimmed), then what follows in hold   RUNNING
//! RUNNING             packet below `next`              duplicate; late if its numbers were given up     RUNNING
//! RUNNING             packet above `next`              hold it; the hole's time runs from here          HOLE
//! RUNNING             heartbeat above `next`           the hole at the tail is open; its time runs      HOLE
//! RUNNING             heartbeat at `next`              leaves when nothing left for 500 ms              RUNNING
//! HOLE                packet in the hole               it leaves if at `next`, else hold                HOLE/RUNNING
//! HOLE                hole-wait over, recovery is on   ask for it, again and again; answers are a line  HOLE
//! HOLE                that time over, or hold is full  declare the loss, go on behind it                HOLE/RUNNING
//! WINDOW, RUNNING,    packet of a new epoch            new epoch: WINDOW; this one is still served      (CLOSING)
//!   HOLE
//! (CLOSING)           the new epoch's window ends      declare what is missing, let the rest leave      CLOSED
//! CLOSED              packet                           late                                             CLOSED
//! any                 end of session                   leaves once, after everything below it           same
//! any                 restart                          new epoch; it leaves once, before all of that    WINDOW
//! ```
//!
//! Theory. Lines carry the same numbers, each with losses of its own and a delay that varies little, so the first copy to
//! arrive is the best one and the other line is the first recovery. A number may leave only when all lower ones have left
//! or were given up; the wait is the price for order, and its bound is what a subscriber sees at worst. With arrival
//! times `t(n)`, number `n` leaves exactly if `t(n)` is before the end of the start window, or before
//! `min t(m > n) + hole_wait`, whichever is later. The property tests compute this from the arrivals alone.

use std::collections::VecDeque;

use crate::account::{Class, LineCounters};
use crate::epoch::{Arrival, Epoch, Mark, Sink};
use crate::naming::{Naming, Position};
use crate::protocol::{Epoch as EpochRule, EpochKey, Kind, Packet, Protocol};
use crate::recovery::Recovery;
use crate::restart::{Runs, MEMORY_NS, SILENT_RESTART_NS};

/// Heartbeats leave only after this much silence, so that the copies of two lines do not double the traffic downstream.
pub const HEARTBEAT_SILENCE_NS: u64 = 500_000_000;

/// How many epochs that were closed are known by name.
const CLOSED_KEPT: usize = 16;

/// The same where epochs are counted and the count comes round: with those that are open, fewer than Optiq's 8.
const CLOSED_COUNTS_KEPT: usize = 2;

/// Epochs that are served at a time: the one that closes and the one that opens.
const EPOCHS_OPEN: usize = 2;

/// What one stream may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a hole, and the start of a stream, waits.
    pub hole_wait_ns: u64,
    /// How many bytes may be in hold; beyond that a loss is declared early.
    pub held_bytes: usize,
    /// How many packets may be in hold.
    pub held_packets: usize,
}

/// The bytes of something that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// The datagram that was just handed in, unchanged.
    Received,
    /// A datagram that was in hold, or one with its header corrected.
    Owned(Vec<u8>),
}

/// What something that leaves is about, for whoever packs it anew, keeps it or counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The numbers `first..end`, the arbiter's own. The bytes begin with `skip` messages that left before, where they could
    /// not be taken off.
    Messages {
        stream: u64,
        epoch: EpochKey,
        first: u64,
        end: u64,
        skip: u64,
    },
    /// The end of a session, before `next`.
    End {
        stream: u64,
        epoch: EpochKey,
        next: u64,
    },
    /// A heartbeat, the start of a session, or bytes without a number.
    Other,
}

/// What the edge has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// To every subscriber.
    Send(Outgoing, Content),
    /// To whoever answers for lost messages: the numbers `first..=last` are asked for.
    Missing {
        stream: u64,
        epoch: EpochKey,
        first: u64,
        last: u64,
    },
    /// The numbers `first..=last` (the arbiter's own, see [`StreamArbiter::wire`]) were given up.
    Lost {
        stream: u64,
        epoch: EpochKey,
        first: u64,
        last: u64,
    },
}

/// What can be told about a stream at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    pub epoch: EpochKey,
    /// The number that leaves next, as on the wire; none while the start window is open.
    pub next: Option<u64>,
    /// How many epochs there were.
    pub epochs: u64,
    /// Messages that were given up.
    pub lost_messages: u64,
    pub held_packets: usize,
    pub held_bytes: usize,
}

/// Arbitrates one stream: one channel of one feed, or a unit in it.
pub struct StreamArbiter {
    /// Which one it is inside its channel.
    stream: u64,
    protocol: &'static Protocol,
    limits: Limits,
    recovery: Option<Recovery>,
    lines: Vec<LineCounters>,
    /// Oldest first; the last one is the current one.
    epochs: VecDeque<Epoch>,
    closed: VecDeque<EpochKey>,
    runs: Runs,
    naming: Naming,
    epochs_seen: u64,
    lost_messages: u64,
    /// When a datagram last left, and when a number last was new. Monotonic, nanoseconds.
    left_ns: u64,
    new_ns: u64,
}

/// Where a packet belongs.
enum Place {
    /// This epoch of `epochs`, and its first number there.
    Open(usize, u64),
    Closed,
    New,
}

impl StreamArbiter {
    #[must_use]
    pub fn new(protocol: &'static Protocol, lines: usize, limits: Limits) -> Self {
        Self::of_stream(0, protocol, lines, limits)
    }

    /// For one stream of several in a channel.
    pub(crate) fn of_stream(
        stream: u64,
        protocol: &'static Protocol,
        lines: usize,
        limits: Limits,
    ) -> Self {
        Self {
            stream,
            protocol,
            limits,
            recovery: None,
            lines: vec![LineCounters::default(); lines],
            epochs: VecDeque::new(),
            closed: VecDeque::new(),
            runs: Runs::new(lines),
            naming: Naming::default(),
            epochs_seen: 0,
            lost_messages: 0,
            left_ns: 0,
            new_ns: 0,
        }
    }

    /// Ask for holes before they are given up; answers are handed in as one line more.
    #[must_use]
    pub fn with_recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// Where the stream was when another process, or another arbiter, left it; before the first packet.
    #[must_use]
    pub fn resuming(mut self, position: Position) -> Self {
        self.naming.resume(self.protocol, position);
        self
    }

    /// What monotonic time lacks to nanoseconds since 1970: epochs without a name of their own are named by the day.
    pub fn set_utc_offset(&mut self, utc_offset_ns: u64) {
        self.naming.set_utc_offset(utc_offset_ns);
    }

    /// Where the stream is now; none before the first start window has closed.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let latest = |epoch: &Epoch| Some((epoch.key, epoch.next()?));
        let (epoch, next) = self.epochs.iter().rev().find_map(latest)?;
        let next = self.protocol.numbers().counted(next);
        Some(Position { epoch, next })
    }

    /// Lines are known by their place; more of them may join at any time, and one that is gone just stays silent.
    pub fn grow_lines(&mut self, lines: usize) {
        if lines > self.lines.len() {
            self.lines.resize(lines, LineCounters::default());
            self.runs.grow(lines);
        }
    }

    /// Change how long holes wait and who is asked for them; holes that are open wait on by the new terms.
    pub fn set_terms(&mut self, limits: Limits, recovery: Option<Recovery>) {
        self.limits = limits;
        self.recovery = recovery;
        for epoch in &mut self.epochs {
            epoch.set_terms(limits.hole_wait_ns, recovery);
        }
    }

    /// One line's datagrams by class. `line` counts from 0.
    #[must_use]
    pub fn counters(&self, line: usize) -> LineCounters {
        self.lines.get(line).copied().unwrap_or_default()
    }

    /// An internal number as it stands on the wire.
    #[must_use]
    pub fn wire(&self, number: u64) -> u64 {
        self.protocol.numbers().wire(number)
    }

    #[must_use]
    pub fn state(&self) -> StreamState {
        let holds = self.epochs.iter().map(Epoch::holds);
        let (held_packets, held_bytes) =
            holds.fold((0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1));
        let current = self.epochs.back();
        StreamState {
            epoch: current.map(|epoch| epoch.key).unwrap_or_default(),
            next: current.and_then(Epoch::next).map(|next| self.wire(next)),
            epochs: self.epochs_seen,
            lost_messages: self.lost_messages,
            held_packets,
            held_bytes,
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
            Err(_) => self.malformed(line, actions),
            Ok(packets) => {
                for packet in packets.iter() {
                    self.take(line, datagram, packet, now_ns, actions);
                }
            }
        }
    }

    /// What came on `line` is no packet of the protocol.
    pub(crate) fn malformed(&mut self, line: usize, actions: &mut Vec<Action>) {
        self.sink(actions).arrived(line, Class::Malformed);
    }

    /// `packet` of `datagram` came on `line`.
    pub(crate) fn take(
        &mut self,
        line: usize,
        datagram: &[u8],
        packet: &Packet,
        now_ns: u64,
        actions: &mut Vec<Action>,
    ) {
        let bytes = datagram.get(packet.start..packet.end).unwrap_or_default();
        let arrival = Arrival {
            line,
            packet: bytes,
            whole: bytes.len() == datagram.len(),
            now_ns,
        };
        match packet.kind {
            Kind::Unsequenced => {
                let mut sink = self.sink(actions);
                sink.arrived(line, Class::PassedOn);
                sink.send(arrival.unchanged(), Content::Other);
            }
            Kind::Keepalive => self.keepalive(arrival, actions),
            _ => self.sequenced(arrival, packet, actions),
        }
    }

    /// Something of the same channel left by another way.
    pub(crate) fn note_left(&mut self, now_ns: u64) {
        self.left_ns = now_ns;
    }

    /// As a heartbeat without a number: it leaves in silence.
    fn keepalive(&mut self, arrival: Arrival<'_>, actions: &mut Vec<Action>) {
        let before = actions.len();
        let silence_ns = arrival.now_ns.saturating_sub(self.left_ns);
        let mut sink = self.sink(actions);
        sink.arrived(arrival.line, Class::Heartbeat);
        if silence_ns >= HEARTBEAT_SILENCE_NS {
            sink.send(arrival.unchanged(), Content::Other);
        }
        self.note(actions, before, arrival.now_ns);
    }

    /// When [`Self::on_deadline`] wants to be called. Monotonic, nanoseconds.
    #[must_use]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.epochs.iter().filter_map(Epoch::deadline_ns).min()
    }

    /// Close windows and give up holes whose time has come. `now_ns` is monotonic.
    pub fn on_deadline(&mut self, now_ns: u64, actions: &mut Vec<Action>) {
        let before = actions.len();
        while self
            .next_deadline_ns()
            .is_some_and(|deadline| deadline <= now_ns)
        {
            let window_over =
                |epoch: &Epoch| epoch.window_ends_ns().is_some_and(|end| end <= now_ns);
            if self.epochs.len() > 1 && self.epochs.back().is_some_and(window_over) {
                self.close_oldest(actions);
                continue;
            }
            self.with_epochs(actions, |epochs, sink| {
                epochs
                    .iter_mut()
                    .for_each(|epoch| epoch.on_deadline(now_ns, sink))
            });
        }
        self.note(actions, before, now_ns);
    }

    /// Give up every hole and let everything leave: the relay stops, or the stream is taken away.
    pub fn drain(&mut self, now_ns: u64, actions: &mut Vec<Action>) {
        let before = actions.len();
        self.with_epochs(actions, |epochs, sink| {
            epochs.iter_mut().for_each(|epoch| epoch.flush(sink))
        });
        self.note(actions, before, now_ns);
    }

    fn sequenced(&mut self, arrival: Arrival<'_>, packet: &Packet, actions: &mut Vec<Action>) {
        let before = actions.len();
        let (index, first) = match self.place(arrival, packet) {
            Place::Open(index, first) => (index, first),
            Place::New => self.open(arrival, packet, actions),
            Place::Closed => {
                let heartbeat = matches!(packet.kind, Kind::Heartbeat { .. });
                let class = if heartbeat {
                    Class::Heartbeat
                } else {
                    Class::Late
                };
                return self.sink(actions).arrived(arrival.line, class);
            }
        };
        let highest = self.epochs.get(index).map(|epoch| epoch.highest);
        let silence_ns = arrival.now_ns.saturating_sub(self.left_ns);
        let may_leave = silence_ns >= HEARTBEAT_SILENCE_NS && self.epochs.len() == 1;
        self.with_epochs(actions, |epochs, sink| {
            let Some(epoch) = epochs.get_mut(index) else {
                return;
            };
            match packet.kind {
                Kind::Heartbeat { .. } => {
                    sink.arrived(arrival.line, Class::Heartbeat);
                    if epoch.heartbeat(first, arrival.now_ns) && may_leave {
                        sink.send(arrival.unchanged(), Content::Other);
                    }
                }
                Kind::Restart { .. } => epoch.mark(Mark::Start, arrival, first, sink),
                Kind::EndOfSession { .. } => epoch.mark(Mark::End, arrival, first, sink),
                Kind::Data | Kind::Unsequenced | Kind::Keepalive => {
                    epoch.data(arrival, first, first.saturating_add(packet.count), sink)
                }
            }
        });
        if self.epochs.get(index).map(|epoch| epoch.highest) != highest {
            self.new_ns = arrival.now_ns;
        }
        self.keep_bounds(actions);
        self.note(actions, before, arrival.now_ns);
    }

    fn place(&mut self, arrival: Arrival<'_>, packet: &Packet) -> Place {
        if !self.protocol.names_epochs() {
            return self.place_in_band(arrival, packet);
        }
        let counted = matches!(self.protocol.epoch, EpochRule::Counter(_));
        let silent = arrival.now_ns.saturating_sub(self.new_ns) >= SILENT_RESTART_NS;
        // The last one: a count that started over may be that of the epoch before as well.
        let open = self
            .epochs
            .iter()
            .rposition(|epoch| epoch.key == packet.epoch);
        match open {
            Some(index) => {
                let number = self.number_in(index, packet);
                if counted && silent && self.is_behind(index, number, packet) {
                    return Place::New;
                }
                Place::Open(index, number)
            }
            None if self.closed.contains(&packet.epoch) && !(counted && silent) => Place::Closed,
            None => Place::New,
        }
    }

    /// Whether `number` is below what the epoch at `index` had; a heartbeat may be one off, should a protocol's word on what
    /// its number means be wrong.
    fn is_behind(&self, index: usize, number: u64, packet: &Packet) -> bool {
        let spare = u64::from(matches!(packet.kind, Kind::Heartbeat { .. }));
        self.epochs
            .get(index)
            .is_some_and(|epoch| number.saturating_add(spare) < epoch.highest)
    }

    /// See [`crate::restart`].
    fn place_in_band(&mut self, arrival: Arrival<'_>, packet: &Packet) -> Place {
        let Some(current) = self.epochs.back() else {
            return Place::New;
        };
        let (line, now_ns, wire) = (arrival.line, arrival.now_ns, packet.number());
        let numbers = self.protocol.numbers();
        let number = numbers.unwrap(wire, current.highest);
        let index = self.epochs.len() - 1;
        if packet.reset {
            let age_ns = now_ns.saturating_sub(current.opened_ns);
            let same = current.reset_number == Some(wire);
            // Number 1 alone, without a word that it is a reset, may as well be a copy that lags.
            let unsure = self.protocol.epoch == EpochRule::BackToOne(None) && age_ns < MEMORY_NS;
            let copies_within_ns = if unsure {
                MEMORY_NS
            } else {
                self.limits.hole_wait_ns
            };
            if (unsure || same) && self.runs.is_copy(line, age_ns, copies_within_ns, now_ns) {
                return Place::Open(index, number);
            }
            return Place::New;
        }
        let known = (current.floor(), current.highest);
        let silent = now_ns.saturating_sub(self.new_ns) >= SILENT_RESTART_NS;
        if silent && self.is_behind(index, number, packet) {
            return Place::New;
        }
        match self.runs.in_old_run(line, wire, numbers, known, now_ns) {
            None => Place::Open(index, number),
            Some(number) if self.epochs.len() > 1 => Place::Open(index - 1, number),
            Some(_) => Place::Closed,
        }
    }

    fn number_in(&self, index: usize, packet: &Packet) -> u64 {
        let reference = self.epochs.get(index).map_or(0, |epoch| epoch.highest);
        self.protocol.numbers().unwrap(packet.number(), reference)
    }

    /// Open the epoch of `packet` behind the current one, and return its index and the packet's number there.
    fn open(
        &mut self,
        arrival: Arrival<'_>,
        packet: &Packet,
        actions: &mut Vec<Action>,
    ) -> (usize, u64) {
        while self.epochs.len() >= EPOCHS_OPEN {
            self.close_oldest(actions);
        }
        self.epochs_seen += 1;
        let (key, number) = self.naming.open(self.protocol, packet, arrival.now_ns);
        let start = packet.reset.then(|| (number, packet.number()));
        if !self.protocol.names_epochs() {
            let old_end = self.epochs.back().map(|epoch| epoch.highest);
            self.runs
                .begin(arrival.line, old_end, packet.reset, arrival.now_ns);
        }
        let mut epoch = Epoch::open(
            key,
            arrival.now_ns,
            self.limits.hole_wait_ns,
            self.recovery,
            start,
        );
        // Nothing can come before it, and no older epoch needs the time.
        let begins = packet.kind == Kind::Data && self.protocol.begins_at == Some(packet.first);
        if begins && self.epochs.is_empty() && self.closed.is_empty() {
            epoch.close_window_at(arrival.now_ns);
        }
        self.epochs.push_back(epoch);
        (self.epochs.len() - 1, number)
    }

    fn close_oldest(&mut self, actions: &mut Vec<Action>) {
        let Some(mut epoch) = self.epochs.pop_front() else {
            return;
        };
        epoch.flush(&mut self.sink(actions));
        self.closed.push_back(epoch.key);
        let kept = match self.protocol.epoch {
            EpochRule::Counter(_) => CLOSED_COUNTS_KEPT,
            _ => CLOSED_KEPT,
        };
        while self.closed.len() > kept {
            self.closed.pop_front();
        }
    }

    fn keep_bounds(&mut self, actions: &mut Vec<Action>) {
        loop {
            let state = self.state();
            if state.held_bytes <= self.limits.held_bytes
                && state.held_packets <= self.limits.held_packets
            {
                return;
            }
            if self.epochs.len() > 1
                && self
                    .epochs
                    .front()
                    .is_some_and(|epoch| epoch.holds().0 == 0)
            {
                self.close_oldest(actions);
                continue;
            }
            self.with_epochs(actions, |epochs, sink| {
                if let Some(epoch) = epochs.front_mut() {
                    epoch.force(sink);
                }
            });
        }
    }

    fn sink<'a>(&'a mut self, actions: &'a mut Vec<Action>) -> Sink<'a> {
        Sink {
            stream: self.stream,
            actions,
            lines: &mut self.lines,
            protocol: self.protocol,
        }
    }

    fn with_epochs(
        &mut self,
        actions: &mut Vec<Action>,
        act: impl FnOnce(&mut VecDeque<Epoch>, &mut Sink<'_>),
    ) {
        let mut sink = Sink {
            stream: self.stream,
            actions,
            lines: &mut self.lines,
            protocol: self.protocol,
        };
        act(&mut self.epochs, &mut sink);
    }

    /// Remember what the actions from `before` on say about the stream.
    fn note(&mut self, actions: &[Action], before: usize, now_ns: u64) {
        for action in actions.iter().skip(before) {
            match action {
                Action::Send(..) => self.left_ns = now_ns,
                // A packet whose number is nonsense loses nearly all that there are.
                Action::Lost { first, last, .. } => {
                    let lost = (last - first).saturating_add(1);
                    self.lost_messages = self.lost_messages.saturating_add(lost);
                }
                Action::Missing { .. } => {}
            }
        }
    }
}
