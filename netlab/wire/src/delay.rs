//! A constant delay between pairs of interfaces, measured from the kernel's receive time of each frame.
//!
//! One thread carries all pairs. A frame is due `delay` after the kernel had it; frames of one direction are all delayed
//! alike, so each direction is a queue. What cannot be carried is dropped and counted by its reason.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::str::FromStr;

use serde_json::{json, Value};

use crate::clock;
use crate::poller::Poller;
use crate::socket::{self, ReceiveBatch, BATCH};
use crate::tell::tell;
use crate::Failure;

/// The largest frame that is carried: an offload that was left on would send larger ones, and those are counted.
const FRAME_BYTES: usize = 9216;

/// 100 ms of 10 Gbit/s a direction.
const QUEUE_BYTES: usize = 128 << 20;

/// How many batches of one direction are taken before the others have their turn.
const TURN_BATCHES: usize = 8;

/// How long a frame that the kernel has stamped may take to reach the socket (its backlog, on a busy machine).
const BACKLOG_NS: u64 = 10_000_000;

/// How many of the latest frames a pair's lateness is taken from.
const LATENESS_SAMPLES: usize = 100_000;

/// `NAME,INTERFACE_A,INTERFACE_B,DELAY_NS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairArgument {
    name: String,
    interfaces: [String; 2],
    delay_ns: u64,
}

impl FromStr for PairArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected NAME,INTERFACE_A,INTERFACE_B,DELAY_NS, found {text}");
        let [name, first, second, delay] = text.split(',').collect::<Vec<_>>()[..] else {
            return Err(expected());
        };
        let delay_ns = delay.parse().map_err(|_| expected())?;
        Ok(Self {
            name: name.into(),
            interfaces: [first.into(), second.into()],
            delay_ns,
        })
    }
}

struct Frame {
    due_ns: u64,
    bytes: Box<[u8]>,
}

/// Frames that were not carried, by reason.
#[derive(Default)]
struct Dropped {
    /// Longer than [`FRAME_BYTES`]: a segmentation offload was left on.
    oversized: u64,
    /// The queue held [`QUEUE_BYTES`].
    queue_full: u64,
    /// The other side's interface would not send it: it was down or gone, or its MTU is smaller.
    refused: u64,
}

/// One direction of a pair.
struct Direction {
    from: OwnedFd,
    /// The index of the direction whose `from` this one sends on.
    reverse: usize,
    delay_ns: u64,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    /// When the socket was last found empty: what it holds now has mostly come since.
    emptied_ns: u64,
    frames: u64,
    dropped: Dropped,
    late_ns: VecDeque<u64>,
}

impl Direction {
    fn new(interface: &str, reverse: usize, delay_ns: u64) -> Result<Self, Failure> {
        let from =
            socket::packet_socket(interface).map_err(|error| format!("{interface}: {error}"))?;
        let (queue, late_ns) = (VecDeque::new(), VecDeque::new());
        Ok(Self {
            from,
            reverse,
            delay_ns,
            queue,
            queued_bytes: 0,
            emptied_ns: clock::monotonic_ns(),
            frames: 0,
            dropped: Dropped::default(),
            late_ns,
        })
    }

    /// Queue what has come in, at most so many batches.
    fn take(&mut self, batch: &mut ReceiveBatch, batches: usize) -> io::Result<()> {
        for _ in 0..batches {
            let count = match batch.receive(self.from.as_raw_fd()) {
                // The interface went down or away; it may come back, and the other pairs go on.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => 0,
                outcome => outcome?,
            };
            let (realtime_ns, now_ns) = clock::both_ns();
            let oldest_ns = self.emptied_ns.saturating_sub(BACKLOG_NS);
            for index in 0..count {
                let message = batch.message(index);
                let came_ns = came_ns(message.realtime_ns, realtime_ns, now_ns, oldest_ns);
                if message.truncated {
                    self.dropped.oversized += 1;
                } else if self.queued_bytes + message.bytes.len() > QUEUE_BYTES {
                    self.dropped.queue_full += 1;
                } else {
                    self.queued_bytes += message.bytes.len();
                    self.queue.push_back(Frame {
                        due_ns: came_ns.saturating_add(self.delay_ns),
                        bytes: message.bytes.into(),
                    });
                }
            }
            if count < BATCH {
                self.emptied_ns = now_ns;
                break;
            }
        }
        Ok(())
    }

    /// Send what is due, on the reverse direction's socket.
    fn release(&mut self, to: i32) {
        loop {
            let now_ns = clock::monotonic_ns();
            let due = self
                .queue
                .iter()
                .take(BATCH)
                .take_while(|frame| frame.due_ns <= now_ns);
            let due: Vec<_> = due.map(|frame| (&*frame.bytes, None)).collect();
            if due.is_empty() {
                return;
            }
            let (sent, error) = socket::send_batch(to, &due);
            self.frames += sent as u64;
            for frame in self.queue.drain(..sent) {
                self.queued_bytes -= frame.bytes.len();
                self.late_ns.push_back(now_ns - frame.due_ns);
            }
            // A frame that the other side refuses is lost as on a cut cable.
            if let Some(frame) = error.and_then(|_| self.queue.pop_front()) {
                self.queued_bytes -= frame.bytes.len();
                self.dropped.refused += 1;
            }
            let surplus = self.late_ns.len().saturating_sub(LATENESS_SAMPLES);
            self.late_ns.drain(..surplus);
        }
    }
}

/// When the kernel had a frame, `CLOCK_MONOTONIC`. A step of `CLOCK_REALTIME` since its stamp would put that into the
/// future or before `oldest_ns`: it cannot have been.
fn came_ns(stamp_ns: u64, realtime_ns: u64, now_ns: u64, oldest_ns: u64) -> u64 {
    let age_ns = realtime_ns.saturating_sub(stamp_ns);
    now_ns.saturating_sub(age_ns).max(oldest_ns.min(now_ns))
}

/// Both directions of each pair.
fn open(pairs: &[PairArgument]) -> Result<Vec<Direction>, Failure> {
    let mut seen = HashSet::new();
    let mut directions = Vec::new();
    for pair in pairs {
        if let Some(twice) = pair.interfaces.iter().find(|name| !seen.insert(*name)) {
            return Err(format!("{}: the interface {twice} is named twice", pair.name).into());
        }
        let first = directions.len();
        directions.push(Direction::new(
            &pair.interfaces[0],
            first + 1,
            pair.delay_ns,
        )?);
        directions.push(Direction::new(&pair.interfaces[1], first, pair.delay_ns)?);
    }
    Ok(directions)
}

/// Carry frames until SIGTERM, then print each pair's figures.
pub fn run(pairs: &[PairArgument]) -> Result<(), Failure> {
    let mut directions = open(pairs)?;
    let mut poller = Poller::new(
        directions
            .iter()
            .map(|direction| direction.from.as_raw_fd()),
    )?;
    let mut batch = ReceiveBatch::new(FRAME_BYTES);
    clock::wake_exactly();
    tell(&json!({"ready": true}))?;
    loop {
        let next_ns = directions
            .iter()
            .filter_map(|one| one.queue.front())
            .map(|frame| frame.due_ns)
            .min();
        let timeout_ns = next_ns.map(|due_ns| due_ns.saturating_sub(clock::monotonic_ns()));
        let woken = poller.wait(timeout_ns)?;
        if woken.stop {
            break;
        }
        for index in woken.ready {
            directions[index].take(&mut batch, TURN_BATCHES)?;
        }
        for index in 0..directions.len() {
            let to = directions[directions[index].reverse].from.as_raw_fd();
            directions[index].release(to);
        }
    }
    for direction in &mut directions {
        direction.take(&mut batch, usize::MAX)?; // to be counted as in flight
    }
    let figures = pairs.iter().zip(directions.chunks(2));
    let figures = figures.map(|(pair, both)| figures_of(pair, both));
    let figures = figures.collect::<io::Result<Vec<_>>>()?;
    Ok(tell(&json!({"pairs": figures}))?)
}

fn figures_of(pair: &PairArgument, both: &[Direction]) -> io::Result<Value> {
    let sum = |of: fn(&Direction) -> u64| both.iter().map(of).sum::<u64>();
    let mut kernel = 0;
    for one in both {
        kernel += u64::from(socket::packet_drops(one.from.as_raw_fd())?);
    }
    let reasons = [
        ("oversized", sum(|one| one.dropped.oversized)),
        ("queue_full", sum(|one| one.dropped.queue_full)),
        ("refused", sum(|one| one.dropped.refused)),
        ("kernel", kernel),
    ];
    let dropped: u64 = reasons.iter().map(|(_, count)| count).sum();
    let reasons: BTreeMap<_, _> = reasons
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    let mut late_ns: Vec<u64> = both.iter().flat_map(|one| &one.late_ns).copied().collect();
    Ok(json!({
        "name": pair.name,
        "frames": sum(|one| one.frames),
        "dropped": dropped,
        "dropped_by": reasons,
        "in_flight": sum(|one| one.queue.len() as u64),
        "late_p50_ns": clock::percentile(&mut late_ns, 50),
        "late_p99_ns": clock::percentile(&mut late_ns, 99),
    }))
}

#[cfg(test)]
mod tests {
    use super::{came_ns, open, PairArgument};

    #[test]
    fn an_interface_belongs_to_one_pair() {
        let pair: PairArgument = "c1,lo,lo,1".parse().unwrap();
        let failure = open(&[pair]).err().unwrap().to_string();
        assert_eq!(failure, "c1: the interface lo is named twice");
    }

    #[test]
    fn a_clock_step_moves_a_frame_by_no_more_than_the_last_look_allows() {
        let (now_ns, oldest_ns) = (50_000, 40_000);
        assert_eq!(came_ns(1_000, 1_300, now_ns, oldest_ns), 49_700); // no step
        assert_eq!(came_ns(1_000, 900, now_ns, oldest_ns), now_ns); // back
        assert_eq!(came_ns(1_000, 90_000, now_ns, oldest_ns), oldest_ns); // forward
    }

    #[test]
    fn a_pair_is_read_or_refused_with_what_was_expected() {
        let pair: PairArgument = "c1,a,b,2000000".parse().unwrap();
        assert_eq!((pair.name.as_str(), pair.delay_ns), ("c1", 2_000_000));
        for wrong in ["c1,a,b", "c1,a,b,2ms", "c1,a,b,1,2", ""] {
            assert!(wrong
                .parse::<PairArgument>()
                .unwrap_err()
                .contains("NAME,INTERFACE_A"));
        }
    }
}
