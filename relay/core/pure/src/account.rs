//! Every datagram has one final class, and the classes add up to what was received at any instant (design, decision 6).
//! One that holds several packets (MACH) counts once for each.

/// What became of a datagram. `Held` is the only class that a datagram leaves again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It left, whole or corrected for an overlap.
    Forwarded,
    /// All its messages had left, or were in hold, already.
    Duplicate,
    /// It arrived after its numbers were declared lost, after its epoch was closed, or of one that never had data.
    Late,
    /// It waits for lower numbers.
    Held,
    /// It carries no message; whether a copy of it left is the stream's business.
    Heartbeat,
    /// It has no number and left as it came.
    PassedOn,
    /// It is not a packet of the feed's protocol, or its number is absurd and no other packet confirmed it.
    Malformed,
}

/// One line's datagrams by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounters {
    pub received: u64,
    pub forwarded: u64,
    pub duplicate: u64,
    pub late: u64,
    /// How many are in hold now; the only one that falls.
    pub held: u64,
    pub heartbeat: u64,
    pub passed_on: u64,
    pub malformed: u64,
}

impl LineCounters {
    fn of(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Forwarded => &mut self.forwarded,
            Class::Duplicate => &mut self.duplicate,
            Class::Late => &mut self.late,
            Class::Held => &mut self.held,
            Class::Heartbeat => &mut self.heartbeat,
            Class::PassedOn => &mut self.passed_on,
            Class::Malformed => &mut self.malformed,
        }
    }

    /// Count a datagram that has just arrived.
    pub(crate) fn arrived(&mut self, class: Class) {
        self.received += 1;
        *self.of(class) += 1;
    }

    /// Move a datagram out of hold.
    pub(crate) fn left_hold(&mut self, class: Class) {
        self.held = self.held.saturating_sub(1);
        *self.of(class) += 1;
    }

    /// The sum of all classes, which equals `received` at any instant.
    #[must_use]
    pub fn accounted(&self) -> u64 {
        self.forwarded
            + self.duplicate
            + self.late
            + self.held
            + self.heartbeat
            + self.passed_on
            + self.malformed
    }
}

impl std::ops::Add for LineCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            forwarded: self.forwarded + other.forwarded,
            duplicate: self.duplicate + other.duplicate,
            late: self.late + other.late,
            held: self.held + other.held,
            heartbeat: self.heartbeat + other.heartbeat,
            passed_on: self.passed_on + other.passed_on,
            malformed: self.malformed + other.malformed,
        }
    }
}
