//! One epoch of a stream: what has left, what is in hold and why, and which numbers were given up.
//!
//! Everything in hold keeps the time at which it arrived. The hole below the lowest number in hold was revealed by the
//! earliest arrival still in hold, because all of it lies beyond the hole; so one queue of arrivals gives every deadline.

use std::collections::{BTreeMap, VecDeque};

use crate::account::{Class, LineCounters};
use crate::arbiter::{Action, Content, Outgoing};
use crate::protocol::{EpochKey, Protocol};
use crate::ranges::{LostRanges, RangeSet};
use crate::recovery::{Question, Recovery, HOLES_A_QUESTION};

/// A hole so wide is no loss unless a second packet says so. Numbers; a million a second for a quarter of a minute.
pub(crate) const FAR_AHEAD: u64 = 1 << 24;

/// Where an epoch's consequences go: what leaves, and what became of each datagram.
pub(crate) struct Sink<'a> {
    pub stream: u64,
    pub actions: &'a mut Vec<Action>,
    pub lines: &'a mut [LineCounters],
    pub protocol: &'static Protocol,
}

impl Sink<'_> {
    pub(crate) fn arrived(&mut self, line: usize, class: Class) {
        if let Some(counters) = self.lines.get_mut(line) {
            counters.arrived(class);
        }
    }

    fn left_hold(&mut self, line: usize, class: Class) {
        if let Some(counters) = self.lines.get_mut(line) {
            counters.left_hold(class);
        }
    }

    pub(crate) fn send(&mut self, outgoing: Outgoing, content: Content) {
        self.actions.push(Action::Send(outgoing, content));
    }

    /// What is left of `packet` when its first `skip` messages are taken off; none when nothing is, or it can't be done.
    fn trimmed(&self, packet: &[u8], skip: u64) -> Option<Outgoing> {
        let trimmed = (skip > 0).then(|| self.protocol.trim(packet, skip));
        trimmed.flatten().map(Outgoing::Owned)
    }

    /// Let the numbers `first..end` leave; `trimmed` is the packet without the `skip` messages that left before.
    fn send_messages(
        &mut self,
        epoch: EpochKey,
        (first, end, skip): (u64, u64, u64),
        trimmed: Option<Outgoing>,
        unchanged: impl FnOnce() -> Outgoing,
    ) {
        let content = Content::Messages {
            stream: self.stream,
            epoch,
            first,
            end,
            skip: if trimmed.is_some() { 0 } else { skip },
        };
        self.send(trimmed.unwrap_or_else(unchanged), content);
    }
}

/// A packet that has just arrived.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub line: usize,
    /// The packet's own bytes.
    pub packet: &'a [u8],
    /// Whether they are all that the datagram has.
    pub whole: bool,
    /// Monotonic, nanoseconds.
    pub now_ns: u64,
}

impl Arrival<'_> {
    /// The packet as it came.
    pub(crate) fn unchanged(&self) -> Outgoing {
        if self.whole {
            Outgoing::Received
        } else {
            Outgoing::Owned(self.packet.to_vec())
        }
    }
}

/// What stands at a place in an epoch without a number of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Start,
    End,
}

enum Held {
    Data {
        line: usize,
        end: u64,
        bytes: Vec<u8>,
    },
    /// A heartbeat said that all lower numbers exist; it holds nothing itself.
    Marker,
    /// The start or the end of the session, which leaves after everything below it.
    Mark {
        mark: Mark,
        line: usize,
        bytes: Vec<u8>,
    },
}

impl Held {
    fn bytes(&self) -> usize {
        match self {
            Held::Data { bytes, .. } | Held::Mark { bytes, .. } => bytes.len(),
            Held::Marker => 0,
        }
    }
}

/// First number, then order of arrival from 1 on: packets may overlap.
type HoldKey = (u64, u64);

pub(crate) struct Epoch {
    pub key: EpochKey,
    /// When it was first seen. Monotonic, nanoseconds.
    pub opened_ns: u64,
    /// The wire number of the in-band reset that began it.
    pub reset_number: Option<u64>,
    /// Numbers below it belong to nobody: the stream started here.
    floor: u64,
    /// The next number to leave; it means nothing while the start window is open.
    next: u64,
    /// One past the highest number that is known to exist.
    pub highest: u64,
    /// `Some` while the start window is open: when it closes.
    window_ends_ns: Option<u64>,
    hole_wait_ns: u64,
    recovery: Option<Recovery>,
    question: Option<Question>,
    held: BTreeMap<HoldKey, Held>,
    held_bytes: usize,
    /// Numbers that are in hold.
    covered: RangeSet,
    /// When each of `held` arrived, oldest first; entries of what has left go when they reach the front.
    arrivals: VecDeque<(u64, HoldKey)>,
    serial: u64,
    lost: LostRanges,
    /// Which marks have come.
    seen: Vec<Mark>,
    /// The number of the last packet that was taken for a stray.
    stray: Option<u64>,
}

impl Epoch {
    /// `start` is the lowest number of an epoch that says so itself, with the wire number of its reset.
    pub(crate) fn open(
        key: EpochKey,
        now_ns: u64,
        hole_wait_ns: u64,
        recovery: Option<Recovery>,
        start: Option<(u64, u64)>,
    ) -> Self {
        Self {
            key,
            opened_ns: now_ns,
            reset_number: start.map(|(_, wire)| wire),
            floor: start.map_or(0, |(number, _)| number),
            next: 0,
            highest: start.map_or(0, |(number, _)| number),
            window_ends_ns: Some(now_ns.saturating_add(hole_wait_ns)),
            hole_wait_ns,
            recovery,
            question: None,
            held: BTreeMap::new(),
            held_bytes: 0,
            covered: RangeSet::default(),
            arrivals: VecDeque::new(),
            serial: 0,
            lost: LostRanges::default(),
            seen: Vec::new(),
            stray: None,
        }
    }

    /// What was heard of the same epoch before it had data; the start window is this one's.
    pub(crate) fn take_over(&mut self, before: Self) {
        self.highest = self.highest.max(before.highest);
        self.held = before.held;
        self.held_bytes = before.held_bytes;
        self.arrivals = before.arrivals;
        self.serial = before.serial;
        self.seen = before.seen;
    }

    /// The numbers from `number` on are known to exist, and none below it are wanted.
    pub(crate) fn begin_at(&mut self, number: u64, now_ns: u64) {
        self.floor = number;
        self.highest = self.highest.max(number);
        self.hold(number, Held::Marker, now_ns);
    }

    /// The lowest number that it was heard from.
    pub(crate) fn begins(&self) -> u64 {
        let lowest = self.held.keys().next().map(|(first, _)| *first);
        match (self.window_ends_ns, lowest) {
            (Some(_), Some(lowest)) => lowest.max(self.floor),
            _ => self.floor,
        }
    }

    /// Nothing in hold leaves; it counts as `class`.
    pub(crate) fn abandon(&mut self, class: Class, sink: &mut Sink<'_>) {
        for held in std::mem::take(&mut self.held).into_values() {
            if let Held::Data { line, .. } | Held::Mark { line, .. } = held {
                sink.left_hold(line, class);
            }
        }
        self.held_bytes = 0;
        self.arrivals.clear();
        self.covered = RangeSet::default();
    }

    /// The start window ends at `now_ns` already.
    pub(crate) fn close_window_at(&mut self, now_ns: u64) {
        self.window_ends_ns = Some(now_ns);
    }

    /// An open start window keeps its end: whoever reloads must not let numbers go twice because it opened anew.
    pub(crate) fn set_terms(&mut self, hole_wait_ns: u64, recovery: Option<Recovery>) {
        self.hole_wait_ns = hole_wait_ns;
        self.recovery = recovery;
    }

    /// The next number to leave, once the start window is closed.
    pub(crate) fn next(&self) -> Option<u64> {
        self.window_ends_ns.is_none().then_some(self.next)
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn holds(&self) -> (usize, usize) {
        (self.held.len(), self.held_bytes)
    }

    /// When the start window closes. Monotonic, nanoseconds.
    pub(crate) fn window_ends_ns(&self) -> Option<u64> {
        self.window_ends_ns
    }

    /// When something has to be done although nothing arrives. Monotonic, nanoseconds.
    pub(crate) fn deadline_ns(&self) -> Option<u64> {
        self.window_ends_ns.or_else(|| {
            let lines_end_ns = self.lines_end_ns()?;
            let again_ns = self.question().map(Question::again_ns);
            Some(match (self.recovery, again_ns) {
                (Some(recovery), Some(again_ns)) => {
                    again_ns.min(lines_end_ns.saturating_add(recovery.wait_ns))
                }
                _ => lines_end_ns,
            })
        })
    }

    /// When the lines have had their time to fill the hole at `next`. Monotonic, nanoseconds.
    fn lines_end_ns(&self) -> Option<u64> {
        let (arrived_ns, _) = self.arrivals.front()?;
        Some(arrived_ns.saturating_add(self.hole_wait_ns))
    }

    /// The question that asks for the hole at `next`.
    fn question(&self) -> Option<&Question> {
        self.question
            .as_ref()
            .filter(|question| question.is_about(self.next))
    }

    /// Numbers from `first` to before `end` have arrived.
    pub(crate) fn data(&mut self, arrival: Arrival<'_>, first: u64, end: u64, sink: &mut Sink<'_>) {
        let next = self.next().unwrap_or(self.floor);
        if end <= next {
            let never_left = first < self.floor || self.lost.touches(first, end);
            sink.arrived(
                arrival.line,
                if never_left {
                    Class::Late
                } else {
                    Class::Duplicate
                },
            );
            return;
        }
        self.highest = self.highest.max(end);
        if self.window_ends_ns.is_none() && first <= next {
            sink.arrived(arrival.line, Class::Forwarded);
            let skip = next.saturating_sub(first);
            let trimmed = sink.trimmed(arrival.packet, skip);
            sink.send_messages(self.key, (next.max(first), end, skip), trimmed, || {
                arrival.unchanged()
            });
            self.next = end;
            self.release(sink);
            self.note_answer(arrival, end);
        } else if self.covered.covers(first.max(next), end) {
            sink.arrived(arrival.line, Class::Duplicate);
        } else {
            sink.arrived(arrival.line, Class::Held);
            self.covered.insert(first, end);
            let (line, bytes) = (arrival.line, arrival.packet.to_vec());
            self.hold(first, Held::Data { line, end, bytes }, arrival.now_ns);
        }
    }

    /// A heartbeat: all numbers below `next` exist. Returns whether it says nothing new and nothing is outstanding.
    pub(crate) fn heartbeat(&mut self, next: u64, now_ns: u64) -> bool {
        // In the start window a low heartbeat matters as well: the line was heard from that number on.
        let starts_lower = self.window_ends_ns.is_some()
            && self
                .held
                .keys()
                .next()
                .is_none_or(|(first, _)| next < *first);
        if next > self.highest || starts_lower {
            self.highest = self.highest.max(next);
            self.hold(next, Held::Marker, now_ns);
        }
        self.next() == Some(next) && self.held.is_empty()
    }

    /// The start of the session before `next`, or its end; only the first copy leaves, after everything below it.
    pub(crate) fn mark(
        &mut self,
        mark: Mark,
        arrival: Arrival<'_>,
        next: u64,
        sink: &mut Sink<'_>,
    ) {
        if self.seen.contains(&mark) {
            sink.arrived(arrival.line, Class::Duplicate);
            return;
        }
        self.seen.push(mark);
        self.highest = self.highest.max(next);
        if self.next().is_some_and(|at| at >= next) {
            sink.arrived(arrival.line, Class::PassedOn);
            sink.send(
                arrival.unchanged(),
                self.content_of(mark, next, sink.stream),
            );
            return;
        }
        sink.arrived(arrival.line, Class::Held);
        let (line, bytes) = (arrival.line, arrival.packet.to_vec());
        self.hold(next, Held::Mark { mark, line, bytes }, arrival.now_ns);
    }

    /// Close the window and give up the holes whose time has come.
    pub(crate) fn on_deadline(&mut self, now_ns: u64, sink: &mut Sink<'_>) {
        while self
            .deadline_ns()
            .is_some_and(|deadline| deadline <= now_ns)
        {
            if !self.ask(now_ns, sink) {
                self.force(sink);
            }
        }
    }

    /// Ask for the holes. Returns whether that is to be done: false when nobody is asked, or the lowest one's time is over.
    fn ask(&mut self, now_ns: u64, sink: &mut Sink<'_>) -> bool {
        let (Some(recovery), Some(lines_end_ns)) = (self.recovery, self.lines_end_ns()) else {
            return false;
        };
        let over = now_ns >= lines_end_ns.saturating_add(recovery.wait_ns);
        if self.window_ends_ns.is_some() || over || self.lone_stray().is_some() {
            return false;
        }
        let mut question = match self.question() {
            Some(question) => {
                let mut again = *question;
                again.repeat(now_ns);
                again
            }
            None => Question::put(recovery, now_ns),
        };
        // What came so long ago shows holes whose lines have had their time.
        let ripe = self
            .arrivals
            .iter()
            .take_while(|(came_ns, _)| came_ns.saturating_add(self.hole_wait_ns) <= now_ns);
        let end = ripe.map(|(_, (first, _))| *first).max().unwrap_or(0);
        let end = end.min(self.next.saturating_add(FAR_AHEAD));
        let holes = self.covered.gaps(self.next, end).take(HOLES_A_QUESTION);
        for (first, end) in holes {
            question.reaches(end);
            sink.actions.push(Action::Missing {
                stream: sink.stream,
                epoch: self.key,
                first,
                last: end - 1,
            });
        }
        self.question = Some(question);
        self.question().is_some()
    }

    /// `end` is one past what has just come and left. When an answer brought it and its hole goes on, the rest is due at
    /// once.
    fn note_answer(&mut self, arrival: Arrival<'_>, end: u64) {
        let (next, recovery) = (self.next, self.recovery);
        let answers = recovery.filter(|recovery| recovery.line == arrival.line && next == end);
        if let (Some(recovery), Some(question)) = (answers, &mut self.question) {
            if question.is_about(next) {
                question.answered(recovery, arrival.now_ns);
            }
        }
    }

    /// Do now what the next deadline would do: close the window, or give up the lowest hole.
    pub(crate) fn force(&mut self, sink: &mut Sink<'_>) {
        let lowest = self.held.keys().next().map(|(first, _)| *first);
        if let Some(number) = self.lone_stray() {
            self.stray = Some(number);
            self.highest = self.next;
            self.unsee_marks();
            return self.abandon(Class::Malformed, sink);
        }
        if self.window_ends_ns.take().is_some() {
            self.next = lowest.unwrap_or(self.floor).max(self.floor);
            self.floor = self.next;
        } else if let Some(first) = lowest.filter(|first| *first > self.next) {
            self.lost.push(self.next, first - 1);
            sink.actions.push(Action::Lost {
                stream: sink.stream,
                epoch: self.key,
                first: self.next,
                last: first - 1,
            });
            self.next = first;
        }
        self.release(sink);
    }

    /// A start or an end that was a stray keeps out no true one.
    fn unsee_marks(&mut self) {
        let Self { held, seen, .. } = self;
        for held in held.values() {
            if let Held::Mark { mark, .. } = held {
                seen.retain(|one| one != mark);
            }
        }
    }

    /// The number of what is in hold, when that is at one number only, absurdly far ahead, and nothing confirms it.
    fn lone_stray(&self) -> Option<u64> {
        let next = self.next()?;
        let (first, _) = *self.held.keys().next()?;
        let (last, _) = *self.held.keys().next_back()?;
        let far = first > next.saturating_add(FAR_AHEAD);
        let near_another = |stray: u64| stray != first && stray.abs_diff(first) <= FAR_AHEAD;
        (far && first == last && !self.stray.is_some_and(near_another)).then_some(first)
    }

    /// Give up every hole and let everything leave.
    pub(crate) fn flush(&mut self, sink: &mut Sink<'_>) {
        while self.window_ends_ns.is_some() || !self.held.is_empty() {
            self.force(sink);
        }
    }

    fn hold(&mut self, first: u64, held: Held, now_ns: u64) {
        self.serial += 1;
        // A start goes before what came earlier with the same number.
        let serial = match held {
            Held::Mark {
                mark: Mark::Start, ..
            } => 0,
            _ => self.serial,
        };
        let key = (first, serial);
        self.held_bytes += held.bytes();
        self.held.insert(key, held);
        self.arrivals.push_back((now_ns, key));
    }

    /// Let everything leave that no hole precedes.
    fn release(&mut self, sink: &mut Sink<'_>) {
        while let Some(entry) = self.held.first_entry() {
            let (first, _) = *entry.key();
            if first > self.next {
                break;
            }
            let held = entry.remove();
            self.held_bytes -= held.bytes();
            match held {
                Held::Data { line, end, bytes } => {
                    self.release_data(line, (first, end), bytes, sink)
                }
                Held::Mark { mark, line, bytes } => {
                    sink.left_hold(line, Class::PassedOn);
                    let content = self.content_of(mark, first, sink.stream);
                    sink.send(Outgoing::Owned(bytes), content);
                }
                Held::Marker => {}
            }
        }
        self.covered.remove_below(self.next);
        while self
            .arrivals
            .front()
            .is_some_and(|(_, key)| !self.held.contains_key(key))
        {
            self.arrivals.pop_front();
        }
    }

    fn release_data(
        &mut self,
        line: usize,
        (first, end): (u64, u64),
        bytes: Vec<u8>,
        sink: &mut Sink<'_>,
    ) {
        if end <= self.next {
            sink.left_hold(line, Class::Duplicate);
            return;
        }
        sink.left_hold(line, Class::Forwarded);
        let skip = self.next.saturating_sub(first);
        let trimmed = sink.trimmed(&bytes, skip);
        sink.send_messages(self.key, (self.next.max(first), end, skip), trimmed, || {
            Outgoing::Owned(bytes)
        });
        self.next = end;
    }

    fn content_of(&self, mark: Mark, next: u64, stream: u64) -> Content {
        match mark {
            Mark::Start => Content::Other,
            Mark::End => Content::End {
                stream,
                epoch: self.key,
                next,
            },
        }
    }
}
