//! One time for all lines that never goes back, whatever was done to the clock while they were recorded.
//!
//! ```text
//! a datagram, in the order in which the packet thread read it        its time
//! no more than READ_APART_NS before the latest of all lines           its own, but not before the last of its line
//! earlier than that                                                   the latest of all lines
//! earlier than that than the last of its own line: a clock set back   the same; and what follows keeps its distance
//! ```
//!
//! So where times can be believed datagrams are put in their order, and where they cannot the order is that in which the
//! relay read them, which is how it arbitrated them too.

use std::collections::HashMap;

use crate::settings::LineName;

/// How far apart the times of two lines can be because the packet thread takes turns among them. Shorter than lines are
/// waited for by default, so that a clock that was set back by less cannot make an arbiter give up what was recorded.
pub(crate) const READ_APART_NS: u64 = 10_000_000;

#[derive(Debug, Default)]
pub(crate) struct Timeline {
    places: HashMap<(String, String, String), usize>,
    lines: Vec<Line>,
    latest_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// As received.
    received_ns: u64,
    /// On the timeline.
    at_ns: u64,
    /// How much the clock was set back meanwhile.
    behind_ns: u64,
}

impl Timeline {
    /// By which number [`Self::place`] knows a line.
    pub(crate) fn line(&mut self, name: &LineName) -> usize {
        let key = (name.feed.clone(), name.channel.clone(), name.line.clone());
        let next = self.lines.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.lines.push(Line::default());
        }
        place
    }

    /// When a datagram of `line` came that was received at `received_ns`; they are shown as they were recorded.
    pub(crate) fn place(&mut self, line: usize, received_ns: u64) -> u64 {
        let Some(line) = self.lines.get_mut(line) else {
            return self.latest_ns;
        };
        if received_ns.saturating_add(READ_APART_NS) < line.received_ns {
            line.behind_ns = self.latest_ns.saturating_sub(received_ns);
        }
        line.received_ns = received_ns;
        let mut at_ns = received_ns.saturating_add(line.behind_ns);
        if at_ns.saturating_add(READ_APART_NS) < self.latest_ns {
            at_ns = self.latest_ns;
        }
        line.at_ns = at_ns.max(line.at_ns);
        self.latest_ns = self.latest_ns.max(line.at_ns);
        line.at_ns
    }

    /// Nothing that is shown from now on came before this.
    pub(crate) fn settled_ns(&self) -> u64 {
        self.latest_ns.saturating_sub(READ_APART_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const MS: u64 = 1_000_000;

    fn timeline(lines: &[&str]) -> Timeline {
        let mut timeline = Timeline::default();
        for line in lines {
            let name = LineName {
                feed: "quotes".to_owned(),
                channel: "main".to_owned(),
                line: (*line).to_owned(),
                protocol: "moldudp64".to_owned(),
                endpoint: std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 1),
            };
            timeline.line(&name);
        }
        timeline
    }

    #[test]
    fn turns_among_lines_change_no_time() {
        let mut times = timeline(&["A", "B"]);
        assert_eq!(times.place(0, S), S);
        assert_eq!(times.place(0, S + 8 * MS), S + 8 * MS);
        assert_eq!(times.place(1, S + MS), S + MS);
        assert_eq!(times.settled_ns(), S - 2 * MS);
    }

    #[test]
    fn a_clock_set_back_keeps_the_distances_and_the_order() {
        let mut times = timeline(&["A", "B", "C"]);
        assert_eq!(times.place(2, 3 * S), 3 * S);
        assert_eq!(times.place(1, 10 * S - MS), 10 * S - MS);
        assert_eq!(times.place(0, 10 * S), 10 * S);
        // A second later by a clock that was set back by five.
        assert_eq!(times.place(0, 6 * S), 10 * S);
        assert_eq!(times.place(0, 6 * S + MS), 10 * S + MS);
        assert_eq!(times.place(1, 6 * S + MS), 10 * S + MS);
        assert_eq!(times.place(1, 7 * S), 11 * S);
        // A line that was silent does not show that the clock was set back; it is read after what it follows.
        assert_eq!(times.place(2, 7 * S), 11 * S);
        assert_eq!(times.place(0, 7 * S), 11 * S);
    }

    #[test]
    fn a_clock_set_back_a_little_waits_for_itself() {
        let mut times = timeline(&["A"]);
        assert_eq!(times.place(0, S), S);
        assert_eq!(times.place(0, S - MS), S);
        assert_eq!(times.place(0, S + MS), S + MS);
    }
}
