//! A constant delay between pairs of interfaces, measured from the kernel's receive time of each frame.
//!
//! One thread carries all pairs. A frame is due `delay` after the kernel had it; frames of one direction are all delayed
//! alike, so each direction is a queue. What does not fit the queue's bound is dropped and counted.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::str::FromStr;

use serde_json::json;

use crate::clock;
use crate::poller::Poller;
use crate::socket::{self, ReceiveBatch, BATCH};
use crate::Failure;

/// The largest frame that is carried: an offload that was left on would send larger ones, and those are counted.
const FRAME_BYTES: usize = 9216;

/// 100 ms of 10 Gbit/s a direction.
const QUEUE_BYTES: usize = 128 << 20;

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

/// One direction of a pair.
struct Direction {
    from: OwnedFd,
    /// The index of the direction whose `from` this one sends on.
    reverse: usize,
    delay_ns: u64,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
    frames: u64,
    dropped: u64,
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
            frames: 0,
            dropped: 0,
            late_ns,
        })
    }

    /// Queue what has come in.
    fn take(&mut self, batch: &mut ReceiveBatch) -> Result<(), Failure> {
        loop {
            let count = batch.receive(self.from.as_raw_fd())?;
            let realtime_ns = clock::realtime_ns();
            let now_ns = clock::monotonic_ns();
            for index in 0..count {
                let message = batch.message(index);
                if message.truncated || self.queued_bytes + message.bytes.len() > QUEUE_BYTES {
                    self.dropped += 1;
                    continue;
                }
                // A clock step between the kernel's stamp and now may make the age absurd: then the frame is new.
                let age_ns = realtime_ns
                    .checked_sub(message.realtime_ns)
                    .filter(|age| *age < 1_000_000_000);
                let due_ns = now_ns - age_ns.unwrap_or(0) + self.delay_ns;
                self.queued_bytes += message.bytes.len();
                self.queue.push_back(Frame {
                    due_ns,
                    bytes: message.bytes.into(),
                });
            }
            if count < BATCH {
                return Ok(());
            }
        }
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
            // A frame that the other side refuses, being down for instance, is lost as on a cut cable.
            let gone = if error.is_some() { 1 } else { sent };
            if error.is_some() {
                self.dropped += 1;
            }
            for frame in self.queue.drain(..gone) {
                self.queued_bytes -= frame.bytes.len();
                if error.is_none() {
                    self.frames += 1;
                    self.late_ns.push_back(now_ns - frame.due_ns);
                }
            }
            let surplus = self.late_ns.len().saturating_sub(LATENESS_SAMPLES);
            self.late_ns.drain(..surplus);
        }
    }
}

/// Carry frames until SIGTERM, then print each pair's figures.
pub fn run(pairs: &[PairArgument]) -> Result<(), Failure> {
    let mut directions = Vec::new();
    for pair in pairs {
        let first = directions.len();
        directions.push(Direction::new(
            &pair.interfaces[0],
            first + 1,
            pair.delay_ns,
        )?);
        directions.push(Direction::new(&pair.interfaces[1], first, pair.delay_ns)?);
    }
    let mut poller = Poller::new(
        directions
            .iter()
            .map(|direction| direction.from.as_raw_fd()),
    )?;
    let mut batch = ReceiveBatch::new(FRAME_BYTES);
    clock::wake_exactly();
    println!("{}", json!({"ready": true}));
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
            directions[index].take(&mut batch)?;
        }
        for index in 0..directions.len() {
            let to = directions[directions[index].reverse].from.as_raw_fd();
            directions[index].release(to);
        }
    }
    report(pairs, &directions);
    Ok(())
}

fn report(pairs: &[PairArgument], directions: &[Direction]) {
    let figures: Vec<_> = pairs
        .iter()
        .zip(directions.chunks(2))
        .map(|(pair, both)| {
            let mut late_ns: Vec<u64> = both.iter().flat_map(|one| &one.late_ns).copied().collect();
            json!({
                "name": pair.name,
                "frames": both.iter().map(|one| one.frames).sum::<u64>(),
                "dropped": both.iter().map(|one| one.dropped).sum::<u64>(),
                "late_p50_ns": clock::percentile(&mut late_ns, 50),
                "late_p99_ns": clock::percentile(&mut late_ns, 99),
            })
        })
        .collect();
    println!("{}", json!({"pairs": figures}));
}

#[cfg(test)]
mod tests {
    use super::PairArgument;

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
