//! What the exchange sends, and what becomes of it on each line: drawn from a seed.

use crate::framings::{Anew, Framing, Message, FRAMINGS};
use crate::random::Random;

pub const US: u64 = 1_000;
pub const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// Epochs that nothing in the header tells apart are told apart by numbers and times: their runs are long (see `restart`).
const LONG_RUN: u64 = 12_000;
const SHORT_PAUSE_NS: u64 = 6 * SECOND;
const SILENCE_NS: u64 = 12 * SECOND;

/// Something that a line brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Messages { first: Message, count: u64 },
    Heartbeat(Message),
    End(Message),
    Start(Message),
}

#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Monotonic, nanoseconds; no two are the same.
    pub at_ns: u64,
    pub line: usize,
    pub what: What,
}

/// A line's faults. Rates are in thousandths.
#[derive(Clone, Debug)]
pub struct Line {
    pub loss: u64,
    /// How often a burst of losses begins, and how many packets it takes at most.
    bursts: (u64, u64),
    heartbeat_loss: u64,
    doubles: u64,
    skew_ns: u64,
    jitter_ns: u64,
    /// When it is dead.
    outages_ns: Vec<(u64, u64)>,
    /// Messages a packet at most.
    most: u64,
}

/// Who is asked for what no line brought.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// How long a hole is asked for, and the first answer waited for.
    pub wait_ns: u64,
    pub retry_ns: u64,
    /// In thousandths.
    pub loss: u64,
    pub doubles: u64,
    pub delay_ns: u64,
    /// Messages an answer at most.
    pub most: u64,
}

#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    pub framing: &'static str,
    pub hole_wait_ns: u64,
    pub lines: Vec<Line>,
    pub server: Option<Server>,
    /// How many messages each epoch of each stream has.
    pub epochs: Vec<Vec<u64>>,
    /// How much may be in hold: so much that it is never full, or so little that it often is.
    pub held_packets: usize,
}

/// What the lines bring, in order of time.
pub struct Traffic {
    pub arrivals: Vec<Arrival>,
    /// When the exchange sent each message, by stream, epoch and place.
    pub sent_ns: Vec<Vec<Vec<u64>>>,
    pub end_ns: u64,
}

impl Line {
    fn drawn(random: &mut Random, identical: bool) -> Self {
        // Every fourth line is a good one.
        let good = random.chance(250);
        let up_to = |random: &mut Random, most: u64| if good { 0 } else { random.below(most + 1) };
        let loss = match random.below(3) {
            0 => up_to(random, 10),
            1 => up_to(random, 60),
            _ => up_to(random, 300),
        };
        let skew_ns = match random.below(3) {
            0 => random.below(50 * US),
            1 => random.below(5 * MS),
            _ => random.below(50 * MS + 1),
        };
        Self {
            loss,
            bursts: (up_to(random, 3), 1 + random.below(400)),
            heartbeat_loss: up_to(random, 500),
            doubles: up_to(random, 60),
            skew_ns,
            jitter_ns: [20 * US, 500 * US, 8 * MS][random.below(3) as usize],
            outages_ns: Vec::new(),
            most: if identical { 1 } else { 1 + random.below(12) },
        }
    }

    fn is_dead(&self, at_ns: u64) -> bool {
        self.outages_ns
            .iter()
            .any(|(from, to)| (*from..*to).contains(&at_ns))
    }

    /// When the copies arrive of what was sent at `sent_ns`.
    fn carry(&self, sent_ns: u64, lost: bool, random: &mut Random, take: &mut dyn FnMut(u64)) {
        if lost || self.is_dead(sent_ns) {
            return;
        }
        for _ in 0..1 + u64::from(random.chance(self.doubles)) {
            // One in a thousand takes far longer.
            let spike_ns = if random.chance(1) {
                random.below(30 * MS)
            } else {
                0
            };
            take(sent_ns + self.skew_ns + random.below(self.jitter_ns) + spike_ns);
        }
    }
}

impl Scenario {
    pub fn drawn(seed: u64) -> Self {
        let random = &mut Random(seed);
        // Every framing comes round, and with it the cases that only it has.
        let framing = &FRAMINGS[(seed % FRAMINGS.len() as u64) as usize];
        let lines = 2 + random.below(3) as usize;
        let tight = random.chance(120);
        let has_server = framing.name == "moldudp64" && random.chance(600);
        Self {
            seed,
            framing: framing.name,
            hole_wait_ns: [1, 5, 20, 60, 120][random.below(5) as usize] * MS,
            lines: (0..lines)
                .map(|_| Line::drawn(random, framing.identical))
                .collect(),
            server: has_server.then(|| Server {
                wait_ns: (10 + random.below(300)) * MS,
                retry_ns: (2 + random.below(40)) * MS,
                loss: random.below(1001),
                doubles: random.below(200),
                delay_ns: 1 + random.below(30 * MS),
                most: 1 + random.below(30),
            }),
            epochs: (0..framing.streams)
                .map(|_| epochs(framing, random))
                .collect(),
            held_packets: if tight {
                1 + random.below(60) as usize
            } else {
                1 << 20
            },
        }
    }

    /// The line after the last: answers come there.
    pub fn answers(&self) -> usize {
        self.lines.len()
    }

    pub fn is_tight(&self) -> bool {
        self.held_packets < 1 << 20
    }

    /// Send everything over every line.
    pub fn traffic(&self, framing: &Framing) -> Traffic {
        let random = &mut Random(!self.seed);
        let mut arrivals = Vec::new();
        let sent_ns: Vec<Vec<Vec<u64>>> = self
            .epochs
            .iter()
            .map(|epochs| schedule(framing, epochs, random))
            .collect();
        let last_ns = sent_ns
            .iter()
            .flatten()
            .flatten()
            .copied()
            .max()
            .unwrap_or(0);
        for line in 0..self.lines.len() {
            let faulty = self.with_outages(framing, line, &sent_ns, random);
            for (stream, epochs) in (0..).zip(&sent_ns) {
                for (epoch, sent_ns) in (0..).zip(epochs) {
                    let of = Message {
                        stream,
                        epoch,
                        index: 0,
                    };
                    let next_ns = epochs.get(epoch as usize + 1).map(|next| next[0]);
                    let times = (sent_ns.as_slice(), next_ns.unwrap_or(u64::MAX));
                    over(framing, (line, &faulty), of, times, random, &mut arrivals);
                }
            }
        }
        if matches!(framing.anew, Anew::InBand | Anew::Announced) {
            keep_resets(framing, &sent_ns, &mut arrivals);
        }
        arrivals.sort_by_key(|one| (one.at_ns, one.line));
        for at in 1..arrivals.len() {
            arrivals[at].at_ns = arrivals[at].at_ns.max(arrivals[at - 1].at_ns + 1);
        }
        Traffic {
            arrivals,
            sent_ns,
            end_ns: last_ns + SECOND,
        }
    }

    /// A line dies up to twice, and returns; not across a restart that its headers do not tell (see `restart`).
    fn with_outages(
        &self,
        framing: &Framing,
        line: usize,
        sent_ns: &[Vec<Vec<u64>>],
        random: &mut Random,
    ) -> Line {
        let mut faulty = self.lines[line].clone();
        let named = matches!(framing.anew, Anew::Header | Anew::Counter | Anew::Session);
        for _ in 0..random.below(3) {
            let from_ns = random.below(last_of(sent_ns) + 1);
            let to_ns = from_ns + random.below(2 * SECOND);
            let restarts = sent_ns.iter().flat_map(|epochs| epochs.iter().skip(1));
            let restart = restarts
                .filter_map(|sent_ns| sent_ns.first())
                .find(|at_ns| (from_ns..to_ns + 100 * MS).contains(*at_ns));
            if named || restart.is_none() {
                faulty.outages_ns.push((from_ns, to_ns));
            }
        }
        faulty
    }
}

fn last_of(sent_ns: &[Vec<Vec<u64>>]) -> u64 {
    let all = sent_ns.iter().flatten().flatten();
    all.copied().max().unwrap_or(0)
}

/// How many messages each epoch has.
fn epochs(framing: &Framing, random: &mut Random) -> Vec<u64> {
    let (count, shortest, spread) = match framing.anew {
        Anew::InBand | Anew::Announced | Anew::Session | Anew::Silence => {
            (1 + random.below(2), LONG_RUN, LONG_RUN)
        }
        Anew::Counter => (1 + random.below(4), 500, 8_000),
        Anew::Header => match random.below(3) {
            // So short that three are under way at a time.
            0 => (2 + random.below(5), 1, 60),
            1 => (1 + random.below(4), 500, 8_000),
            _ => (1, 15_000, 15_000),
        },
    };
    (0..count)
        .map(|_| shortest + random.below(spread))
        .collect()
}

/// When each message of each epoch is sent: at a steady pace, with bursts and pauses.
fn schedule(framing: &Framing, epochs: &[u64], random: &mut Random) -> Vec<Vec<u64>> {
    let pace_ns = [20 * US, 100 * US, 600 * US][random.below(3) as usize];
    let mut now_ns = random.below(3 * MS);
    let mut all = Vec::new();
    for messages in epochs {
        let mut sent_ns = Vec::new();
        let mut burst = 0;
        for _ in 0..*messages {
            sent_ns.push(now_ns);
            match random.below(1000) {
                0 => now_ns += random.below(900 * MS),
                1..4 => burst = 1 + random.below(150),
                _ => {}
            }
            now_ns += if burst > 0 {
                10 * US
            } else {
                1 + random.below(2 * pace_ns)
            };
            burst = burst.saturating_sub(1);
        }
        all.push(sent_ns);
        now_ns += match framing.anew {
            Anew::Header => random.below(80 * MS),
            // Only the last few counts are known to be closed: a line that lags must not show an older one.
            Anew::Counter => 40 * MS + random.below(80 * MS),
            // The run after next would come while the one before it is remembered.
            Anew::InBand | Anew::Announced | Anew::Session => {
                SHORT_PAUSE_NS * random.below(2) + random.below(40 * MS)
            }
            Anew::Silence => SILENCE_NS,
        };
    }
    all
}

/// Send one epoch's messages over one line, in packets of its own, with heartbeats in pauses and until the next epoch.
fn over(
    framing: &Framing,
    (line, faulty): (usize, &Line),
    of: Message,
    (sent_ns, next_ns): (&[u64], u64),
    random: &mut Random,
    arrivals: &mut Vec<Arrival>,
) {
    const BEAT_NS: u64 = 100 * MS;
    let total = sent_ns.len() as u64;
    let (mut index, mut burst) = (0, 0);
    if framing.start.is_some() && of.epoch > 0 {
        let lost = random.chance(faulty.loss);
        let what = What::Start(of);
        faulty.carry(sent_ns[0], lost, random, &mut |at_ns| {
            arrivals.push(Arrival { at_ns, line, what })
        });
    }
    while index < total {
        let count = (1 + random.below(faulty.most)).min(total - index);
        let first = Message { index, ..of };
        let packet_ns = sent_ns[(index + count - 1) as usize];
        if random.chance(1) && random.below(1000) < faulty.bursts.0 * 100 {
            burst = random.below(faulty.bursts.1);
        }
        let lost = random.chance(faulty.loss) || burst > 0;
        burst = burst.saturating_sub(1);
        let what = What::Messages { first, count };
        let mut take = |at_ns| arrivals.push(Arrival { at_ns, line, what });
        faulty.carry(packet_ns, lost, random, &mut take);
        index += count;
        let until_ns = sent_ns
            .get(index as usize)
            .copied()
            .unwrap_or(next_ns.min(packet_ns + 3 * BEAT_NS));
        let next = Message { index, ..of };
        for beat_ns in (packet_ns + BEAT_NS..until_ns).step_by(BEAT_NS as usize) {
            if framing.heartbeat.is_some() {
                let lost = random.chance(faulty.heartbeat_loss);
                let mut take = |at_ns| {
                    arrivals.push(Arrival {
                        at_ns,
                        line,
                        what: What::Heartbeat(next),
                    })
                };
                faulty.carry(beat_ns, lost, random, &mut take);
            }
        }
    }
    if framing.end.is_some() {
        let what = What::End(Message { index: total, ..of });
        let end_ns = sent_ns.last().copied().unwrap_or(0) + random.below(20 * MS);
        for _ in 0..random.below(3) {
            let lost = random.chance(faulty.loss);
            faulty.carry(end_ns, lost, random, &mut |at_ns| {
                arrivals.push(Arrival { at_ns, line, what })
            });
        }
    }
}

/// A reset that no line brings shows only when a line insists on what follows, which the judge does not model.
fn keep_resets(framing: &Framing, sent_ns: &[Vec<Vec<u64>>], arrivals: &mut Vec<Arrival>) {
    for (stream, epochs) in (0..).zip(sent_ns) {
        for (epoch, sent_ns) in (0..).zip(epochs) {
            let first = Message {
                stream,
                epoch,
                index: 0,
            };
            let came = |one: &Arrival| match one.what {
                What::Start(of) => of == first,
                What::Messages { first: of, .. } => framing.start.is_none() && of == first,
                What::Heartbeat(_) | What::End(_) => false,
            };
            if (framing.start.is_none() || epoch > 0) && !arrivals.iter().any(came) {
                let what = match framing.start {
                    Some(_) => What::Start(first),
                    None => What::Messages { first, count: 1 },
                };
                arrivals.push(Arrival {
                    at_ns: sent_ns[0] + MS,
                    line: 0,
                    what,
                });
            }
        }
    }
}
