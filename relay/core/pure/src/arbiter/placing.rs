//! Which epoch a packet belongs to.

use crate::epoch::{Arrival, FAR_AHEAD};
use crate::protocol::{Epoch as EpochRule, Kind, Packet};
use crate::restart::{COPIES_WITHIN, MEMORY_NS, SILENT_RESTART_NS};

use super::StreamArbiter;

/// Where a packet belongs.
pub(super) enum Place {
    /// This epoch of `epochs`, and its first number there.
    Open(usize, u64),
    Closed,
    /// Something without data of an epoch that no data came of.
    Rumour,
    /// A new one, of which the numbers from this one on are known to be missing.
    New(Option<u64>),
}

impl StreamArbiter {
    pub(super) fn place(&mut self, arrival: Arrival<'_>, packet: &Packet) -> Place {
        if !self.protocol.names_epochs() {
            return self.place_in_band(arrival, packet);
        }
        let speaks = self.speaks(arrival, packet);
        // The last one: a name that came back may be that of the epoch before as well.
        let open = self
            .epochs
            .iter()
            .rposition(|epoch| epoch.key == packet.epoch);
        match open {
            Some(index) => {
                let number = self.number_in(index, packet);
                if speaks && self.is_silent(arrival) && self.is_behind(index, number) {
                    return Place::New(None);
                }
                Place::Open(index, number)
            }
            None => match self.closed.iter().rposition(|one| one.key == packet.epoch) {
                Some(at) => self.place_closed(at, arrival, packet),
                None if speaks || self.epochs.is_empty() => Place::New(None),
                None if self.answers(arrival) => Place::Closed,
                None => Place::Rumour,
            },
        }
    }

    /// Whether it can begin an epoch that ends another one: a line has brought data, or a word that numbers start anew.
    fn speaks(&self, arrival: Arrival<'_>, packet: &Packet) -> bool {
        matches!(packet.kind, Kind::Data | Kind::Restart { .. }) && !self.answers(arrival)
    }

    /// Whether it came as an answer.
    fn answers(&self, arrival: Arrival<'_>) -> bool {
        self.recovery.is_some_and(|one| one.line == arrival.line)
    }

    /// Whether nothing new came for long.
    fn is_silent(&self, arrival: Arrival<'_>) -> bool {
        arrival.now_ns.saturating_sub(self.new_ns) >= SILENT_RESTART_NS
    }

    fn is_behind(&self, index: usize, number: u64) -> bool {
        self.epochs
            .get(index)
            .is_some_and(|epoch| number < epoch.highest)
    }

    /// An epoch that was closed goes on if it has more to say and nothing else has: it was ended by a stray. Its name may
    /// also come back.
    fn place_closed(&mut self, at: usize, arrival: Arrival<'_>, packet: &Packet) -> Place {
        let speaks = self.speaks(arrival, packet);
        let Some(closed) = self.closed.get(at).copied().filter(|_| speaks) else {
            return Place::Closed;
        };
        let number = self.protocol.numbers().unwrap(packet.number(), closed.next);
        let goes_on = number >= closed.next;
        if !self.is_silent(arrival) {
            let insists = goes_on
                && packet.kind == Kind::Data
                && self.insists(arrival, packet, number).is_some();
            if !insists {
                return Place::Closed;
            }
        }
        self.closed.remove(at);
        Place::New(goes_on.then_some(closed.next))
    }

    /// Count a packet for its line's insistence. Returns the number that it began with, once that is believed.
    fn insists(&mut self, arrival: Arrival<'_>, packet: &Packet, number: u64) -> Option<u64> {
        let end = number.saturating_add(packet.count);
        let run = (packet.epoch, number, end);
        self.insisting
            .hear(arrival.line, run, (self.new_ns, arrival.now_ns))
    }

    /// See [`crate::restart`].
    fn place_in_band(&mut self, arrival: Arrival<'_>, packet: &Packet) -> Place {
        let Some(current) = self.epochs.back() else {
            return Place::New(None);
        };
        let (line, now_ns, wire) = (arrival.line, arrival.now_ns, packet.number());
        let numbers = self.protocol.numbers();
        let number = numbers.unwrap(wire, current.highest);
        let index = self.epochs.len() - 1;
        let age_ns = now_ns.saturating_sub(current.opened_ns);
        let foreign = !self.runs.is_session(packet.epoch);
        if foreign && (!packet.reset || self.is_recent_session(packet, age_ns)) {
            return self.place_by_session(arrival, packet, age_ns);
        }
        let unannounced = current.reset_number.is_none() && age_ns < MEMORY_NS;
        if packet.reset && !foreign && unannounced && self.runs.changed_session() {
            // Data of the session came before its start, which no longer leaves once they do.
            return match current.next() {
                None => Place::Open(index, number),
                Some(_) => Place::Closed,
            };
        }
        if packet.reset {
            let same = current.reset_number == Some(wire) && !foreign;
            // Number 1 alone, without a word that it is a reset, may as well be a copy that lags.
            let began_there =
                current.begins() < numbers.first_round(wire).saturating_add(COPIES_WITHIN);
            let unsure = self.protocol.epoch == EpochRule::BackToOne(None)
                && age_ns < MEMORY_NS
                && began_there;
            let copies_within_ns = if unsure {
                MEMORY_NS
            } else {
                self.limits.hole_wait_ns
            };
            if (unsure || same) && self.runs.is_copy(line, age_ns, copies_within_ns, now_ns) {
                return Place::Open(index, number);
            }
            return Place::New(None);
        }
        let known = (current.floor(), current.highest);
        let speaks = self.speaks(arrival, packet);
        if speaks && self.is_silent(arrival) && self.is_behind(index, number) {
            return Place::New(None);
        }
        match self.runs.in_old_run(line, wire, numbers, known, now_ns) {
            None if speaks => self.place_insisting(arrival, packet, number),
            None => Place::Open(index, number),
            Some(number) if self.epochs.len() > 1 => Place::Open(index - 1, number),
            Some(_) => Place::Closed,
        }
    }

    /// Whether it is of the session before the current one, which lines may still bring.
    fn is_recent_session(&self, packet: &Packet, age_ns: u64) -> bool {
        age_ns < MEMORY_NS && self.runs.was_session(packet.epoch)
    }

    /// A packet of another session than the current one's, where sessions have numbers that come back.
    fn place_by_session(&mut self, arrival: Arrival<'_>, packet: &Packet, age_ns: u64) -> Place {
        let speaks = self.speaks(arrival, packet);
        let is_old = self.is_recent_session(packet, age_ns);
        let Some(old_end) = self.runs.old_end().filter(|_| is_old) else {
            return if speaks {
                Place::New(None)
            } else {
                Place::Closed
            };
        };
        let number = self.protocol.numbers().unwrap(packet.number(), old_end);
        if self.epochs.len() > 1 {
            return Place::Open(self.epochs.len() - 2, number);
        }
        let insists =
            speaks && number >= old_end && self.insists(arrival, packet, number).is_some();
        if !insists {
            return Place::Closed;
        }
        // It goes on where it was closed, so that what was dropped meanwhile is missing.
        let next = self.closed.back().map(|one| one.next);
        Place::New(next.filter(|next| *next <= number))
    }

    /// Data of the current epoch, unless its number is below what its own line has had, or absurdly far above what any
    /// has, and the line insists: then it is a restart whose reset was lost.
    fn place_insisting(&mut self, arrival: Arrival<'_>, packet: &Packet, number: u64) -> Place {
        let index = self.epochs.len() - 1;
        let highest = self.epochs.back().map_or(0, |epoch| epoch.highest);
        let end = number.saturating_add(packet.count);
        let far = number > highest.saturating_add(FAR_AHEAD);
        let below = end <= highest && self.insisting.is_below(arrival.line, end);
        if !far && !below {
            self.insisting.go_on(arrival.line, end);
            return Place::Open(index, number);
        }
        let run_number = self.protocol.numbers().first_round(packet.number());
        match self.insists(arrival, packet, run_number) {
            Some(first) => Place::New(Some(first)),
            None if far => Place::Closed,
            None => Place::Open(index, number),
        }
    }

    fn number_in(&self, index: usize, packet: &Packet) -> u64 {
        let reference = self.epochs.get(index).map_or(0, |epoch| epoch.highest);
        self.protocol.numbers().unwrap(packet.number(), reference)
    }
}
