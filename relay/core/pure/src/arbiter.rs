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
//! (none), another     heartbeat or end of a new epoch  it is remembered, and ends nothing               RUMOURED
//!   one is open
//! RUMOURED            packet of data, or a restart     new epoch, with what was remembered of it        WINDOW
//! WINDOW, RUNNING,    numbers below all of this, after numbers start anew: new epoch                    (CLOSING)
//!   HOLE                10 s without a new one
//! the same, unnamed   8 rising packets below what      numbers start anew: new epoch, from the first    (CLOSING)
//!                       their line had, nothing new      of those on
//! CLOSED              the same with new numbers of it  it goes on where it was closed                   WINDOW
//! HOLE                that time over, and the hole is  the lone packet beyond it is a stray, and goes   HOLE/RUNNING
//!                       absurd: 2^24 numbers or more
//! ```
//!
//! Strays do occur on data groups, and parse if they are unlucky: a datagram of zeros is a heartbeat of session zero. So
//! what can end a stream has to be confirmed: a session by data, a jump by a second packet, and what turns out to have been
//! a mistake is undone by the lines' insistence (see `insisting`).
//!
//! Theory. Lines carry the same numbers, each with losses of its own and a delay that varies little, so the first copy to
//! arrive is the best one and the other line is the first recovery. A number may leave only when all lower ones have left
//! or were given up; the wait is the price for order, and its bound is what a subscriber sees at worst. With arrival
//! times `t(n)`, number `n` leaves exactly if `t(n)` is before the end of the start window, or before
//! `min t(m > n) + hole_wait`, whichever is later. The property tests compute this from the arrivals alone.

use std::collections::VecDeque;

use crate::account::{Class, LineCounters};
use crate::epoch::{Arrival, Epoch, Mark, Sink};
use crate::insisting::Insisting;
use crate::naming::{Naming, Position};
use crate::protocol::{Epoch as EpochRule, EpochKey, Kind, Packet, Protocol};
use crate::recovery::Recovery;
use crate::restart::Runs;

mod placing;

use placing::Place;

/// Heartbeats leave only after this much silence, so that the copies of two lines do not double the traffic downstream.
pub const HEARTBEAT_SILENCE_NS: u64 = 500_000_000;

/// How many epochs that were closed are known by name.
const CLOSED_KEPT: usize = 16;

/// The same where epochs are counted and the count comes round: with those that are open, fewer than Optiq's 8.
const CLOSED_COUNTS_KEPT: usize = 2;

/// Epochs that are served at a time: the one that closes and the one that opens.
const EPOCHS_OPEN: usize = 2;

/// Epochs that only heartbeats or ends have told of. Several begin within one lag of a line where sessions are short.
const RUMOURS: usize = 8;

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
    /// Epochs without data, which end no other one: a stray looks the same. Oldest first.
    rumours: VecDeque<Epoch>,
    closed: VecDeque<Closed>,
    runs: Runs,
    naming: Naming,
    insisting: Insisting,
    epochs_seen: u64,
    lost_messages: u64,
    /// When a datagram last left, and when a number last was new. Monotonic, nanoseconds.
    left_ns: u64,
    new_ns: u64,
}

/// An epoch that is over: what it is known by, and one past its last number.
#[derive(Clone, Copy, Debug)]
struct Closed {
    key: EpochKey,
    next: u64,
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
            rumours: VecDeque::new(),
            closed: VecDeque::new(),
            runs: Runs::new(lines),
            naming: Naming::default(),
            insisting: Insisting::new(lines),
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
            self.insisting.grow(lines);
        }
    }

    /// Change how long holes wait and who is asked for them; holes that are open wait on by the new terms.
    pub fn set_terms(&mut self, limits: Limits, recovery: Option<Recovery>) {
        self.limits = limits;
        self.recovery = recovery;
        for epoch in self.epochs.iter_mut().chain(&mut self.rumours) {
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
        let (held_packets, held_bytes) = self.holds();
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

    /// Packets and bytes in hold.
    pub(crate) fn holds(&self) -> (usize, usize) {
        let epochs = self.epochs.iter().chain(&self.rumours);
        epochs
            .map(Epoch::holds)
            .fold((0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1))
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

    /// Make room in hold, as when it is full. What is in hold becomes less.
    pub(crate) fn give_way(&mut self, now_ns: u64, actions: &mut Vec<Action>) {
        let before = actions.len();
        self.yield_some(actions);
        self.note(actions, before, now_ns);
    }

    /// Give up every hole and let everything leave: the relay stops, or the stream is taken away.
    pub fn drain(&mut self, now_ns: u64, actions: &mut Vec<Action>) {
        let before = actions.len();
        while self.drop_rumour(actions) {}
        self.with_epochs(actions, |epochs, sink| {
            epochs.iter_mut().for_each(|epoch| epoch.flush(sink))
        });
        self.note(actions, before, now_ns);
    }

    fn sequenced(&mut self, arrival: Arrival<'_>, packet: &Packet, actions: &mut Vec<Action>) {
        let before = actions.len();
        let (index, first) = match self.place(arrival, packet) {
            Place::Open(index, first) => (index, first),
            Place::New(from) => self.open(arrival, packet, from, actions),
            Place::Rumour => {
                self.rumour(arrival, packet, actions);
                return self.keep_bounds(actions);
            }
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
            if let Some(epoch) = epochs.get_mut(index) {
                act(epoch, (arrival, packet, first), may_leave, sink);
            }
        });
        if self.epochs.get(index).map(|epoch| epoch.highest) != highest {
            self.new_ns = arrival.now_ns;
        }
        self.keep_bounds(actions);
        self.note(actions, before, arrival.now_ns);
    }

    /// A heartbeat or an end of an epoch that no data came of, while another one is open.
    fn rumour(&mut self, arrival: Arrival<'_>, packet: &Packet, actions: &mut Vec<Action>) {
        let known = self.rumours.iter().position(|one| one.key == packet.epoch);
        if known.is_none() {
            if self.rumours.len() >= RUMOURS {
                self.drop_rumour(actions);
            }
            self.rumours.push_back(Epoch::open(
                packet.epoch,
                arrival.now_ns,
                self.limits.hole_wait_ns,
                self.recovery,
                None,
            ));
        }
        let index = known.unwrap_or(self.rumours.len() - 1);
        let first = self.rumours.get(index).map_or(0, |one| {
            let numbers = self.protocol.numbers();
            match one.highest {
                0 => numbers.first_round(packet.number()),
                highest => numbers.unwrap(packet.number(), highest),
            }
        });
        let mut sink = Sink {
            stream: self.stream,
            actions,
            lines: &mut self.lines,
            protocol: self.protocol,
        };
        if let Some(epoch) = self.rumours.get_mut(index) {
            act(epoch, (arrival, packet, first), false, &mut sink);
        }
    }

    /// Forget the oldest of the epochs without data. Returns whether there was one.
    fn drop_rumour(&mut self, actions: &mut Vec<Action>) -> bool {
        let Some(mut epoch) = self.rumours.pop_front() else {
            return false;
        };
        epoch.abandon(Class::Late, &mut self.sink(actions));
        true
    }

    /// Open the epoch of `packet` behind the current one, and return its index and the packet's number there. `from` is
    /// the first number of an epoch whose numbers up to the packet's are known to be missing.
    fn open(
        &mut self,
        arrival: Arrival<'_>,
        packet: &Packet,
        from: Option<u64>,
        actions: &mut Vec<Action>,
    ) -> (usize, u64) {
        while self.epochs.len() >= EPOCHS_OPEN {
            self.close_oldest(actions);
        }
        self.epochs_seen += 1;
        let (key, named) = self.naming.open(self.protocol, packet, arrival.now_ns);
        let numbers = self.protocol.numbers();
        let number = from.map_or(named, |from| numbers.unwrap(packet.number(), from));
        let start = packet.reset.then(|| (number, packet.number()));
        if !self.protocol.names_epochs() {
            let old_end = self.epochs.back().map(|epoch| epoch.highest);
            self.runs
                .begin(arrival.line, old_end, packet.reset, arrival.now_ns);
            self.runs.change_session(packet.epoch);
        }
        self.insisting.clear();
        self.new_ns = arrival.now_ns;
        let mut epoch = Epoch::open(
            key,
            arrival.now_ns,
            self.limits.hole_wait_ns,
            self.recovery,
            start,
        );
        if let Some(rumour) = self.take_rumour(key) {
            epoch.take_over(rumour);
        }
        if let Some(from) = from {
            epoch.begin_at(from, arrival.now_ns);
        }
        // Nothing can come before it, and no older epoch needs the time.
        let begins = packet.kind == Kind::Data && self.protocol.begins_at == Some(packet.first);
        if begins && self.epochs.is_empty() && self.closed.is_empty() {
            epoch.close_window_at(arrival.now_ns);
        }
        self.epochs.push_back(epoch);
        (self.epochs.len() - 1, number)
    }

    fn take_rumour(&mut self, key: EpochKey) -> Option<Epoch> {
        let at = self.rumours.iter().position(|one| one.key == key)?;
        self.rumours.remove(at)
    }

    fn close_oldest(&mut self, actions: &mut Vec<Action>) {
        let Some(mut epoch) = self.epochs.pop_front() else {
            return;
        };
        epoch.flush(&mut self.sink(actions));
        self.closed.push_back(Closed {
            key: epoch.key,
            next: epoch.next().unwrap_or(epoch.highest),
        });
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
            let (held_packets, held_bytes) = self.holds();
            if held_bytes <= self.limits.held_bytes && held_packets <= self.limits.held_packets {
                return;
            }
            self.yield_some(actions);
        }
    }

    fn yield_some(&mut self, actions: &mut Vec<Action>) {
        if self.drop_rumour(actions) {
            return;
        }
        let empty = |epoch: &Epoch| epoch.holds().0 == 0;
        while self.epochs.len() > 1 && self.epochs.front().is_some_and(empty) {
            self.close_oldest(actions);
        }
        self.with_epochs(actions, |epochs, sink| {
            if let Some(epoch) = epochs.front_mut() {
                epoch.force(sink);
            }
        });
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

/// Hand `packet`, whose number in `epoch` is `first`, to it. Heartbeats leave if they may.
fn act(
    epoch: &mut Epoch,
    (arrival, packet, first): (Arrival<'_>, &Packet, u64),
    may_leave: bool,
    sink: &mut Sink<'_>,
) {
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
}
