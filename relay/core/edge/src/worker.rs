//! The packet thread: it owns every socket and arbiter, and is the only one to touch them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lanecast_relay_core::{Action, ChannelArbiter, EpochKey, Outgoing, Protocol, StreamArbiter};

use crate::asking::Asker;
use crate::batch::Batch;
use crate::input::Input;
use crate::send::Output;
use crate::snapshot::{LineSnapshot, Loss, Snapshot, StreamSnapshot};
use crate::system::{monotonic_ns, Poller, Timer, Wake};

/// Batches that one socket may hand in before the deadlines of all streams are looked at again.
const ROUNDS: usize = 8;

/// Losses that a stream remembers for whoever asks.
const LOSSES_KEPT: usize = 1000;

pub(crate) const TOKEN_WAKE: u64 = u64::MAX;
pub(crate) const TOKEN_TIMER: u64 = u64::MAX - 1;

/// What others ask of the thread.
pub(crate) enum Request {
    Counters(SyncSender<Snapshot>),
    Stop,
}

/// One channel of one feed; it may hold several of the exchange's streams.
pub(crate) struct Stream {
    pub feed: String,
    pub channel: String,
    pub protocol: &'static Protocol,
    pub lines: Vec<String>,
    pub arbiter: ChannelArbiter,
    /// Which subscriber gets it, and where.
    pub outputs: Vec<(usize, SocketAddrV4)>,
    /// By the exchange's stream; 0 where the channel is one.
    pub losses: BTreeMap<u64, Losses>,
    /// Who is asked for what no line brought.
    pub asker: Option<Asker>,
}

/// What one stream lost.
#[derive(Default)]
pub(crate) struct Losses {
    kept: VecDeque<Loss>,
    ranges: u64,
}

pub(crate) struct Worker {
    pub name: String,
    pub inputs: Vec<Input>,
    pub streams: Vec<Stream>,
    pub subscribers: Vec<(String, Output)>,
    pub poller: Poller,
    pub timer: Timer,
    pub wake: Arc<Wake>,
    pub requests: Receiver<Request>,
}

/// A datagram on its way out: in the batch that came last, or its own bytes.
enum Leaving {
    Received(usize),
    Owned(Vec<u8>),
}

impl Worker {
    /// Forward until told to stop, then drain. Returns the last counters.
    pub(crate) fn run(mut self) -> std::io::Result<Snapshot> {
        let mut batch = Batch::new();
        let mut ready = Vec::new();
        loop {
            let deadline = self
                .streams
                .iter()
                .filter_map(|stream| stream.arbiter.next_deadline_ns())
                .min();
            self.timer.arm(deadline)?;
            self.poller.wait(&mut ready)?;
            if ready.contains(&TOKEN_TIMER) {
                self.timer.clear();
            }
            // Sockets first: what fills a hole may have come while the thread was not running.
            self.read_ready(&ready, &mut batch);
            self.on_deadlines();
            if ready.contains(&TOKEN_WAKE) && self.answer() {
                self.drain(&mut batch);
                return Ok(self.snapshot());
            }
        }
    }

    /// Returns whether the thread has to stop.
    fn answer(&mut self) -> bool {
        self.wake.clear();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Stop => return true,
                // Whoever asked may have given up waiting.
                Request::Counters(reply) => drop(reply.try_send(self.snapshot())),
            }
        }
        false
    }

    /// Take turns among the sockets that have something, so that no line waits for another's backlog.
    fn read_ready(&mut self, ready: &[u64], batch: &mut Batch) {
        let mut pending: Vec<usize> = ready
            .iter()
            .filter(|token| **token < TOKEN_TIMER)
            .map(|token| *token as usize)
            .collect();
        for _ in 0..ROUNDS {
            pending.retain(|index| self.read(*index, batch) == Batch::DATAGRAMS);
            if pending.is_empty() {
                return;
            }
        }
    }

    /// One batch of one socket, all the way through. Returns how many datagrams it had.
    fn read(&mut self, index: usize, batch: &mut Batch) -> usize {
        let Some(input) = self.inputs.get_mut(index) else {
            return 0;
        };
        let count = match batch.receive(input.socket.as_raw_fd()) {
            Ok(count) => count,
            Err(_) => {
                input.receive_errors += 1;
                return 0;
            }
        };
        let Some(stream) = self.streams.get_mut(input.stream) else {
            return 0;
        };
        let now_ns = monotonic_ns();
        let (mut actions, mut leaving) = (Vec::new(), Vec::new());
        for (at, (sender, datagram)) in batch.datagrams().enumerate() {
            input.received_bytes += datagram.len() as u64;
            if !input.sources.is_empty() && !input.sources.contains(&sender) {
                input.filtered += 1;
                continue;
            }
            stream
                .arbiter
                .receive(input.line, datagram, now_ns, &mut actions);
            stream.take(&mut actions, at, &mut leaving);
        }
        send(stream, &leaving, Some(batch), &mut self.subscribers);
        count
    }

    fn on_deadlines(&mut self) {
        let now_ns = monotonic_ns();
        for stream in &mut self.streams {
            if stream
                .arbiter
                .next_deadline_ns()
                .is_some_and(|deadline| deadline <= now_ns)
            {
                let (mut actions, mut leaving) = (Vec::new(), Vec::new());
                stream.arbiter.on_deadline(now_ns, &mut actions);
                stream.take(&mut actions, 0, &mut leaving);
                send(stream, &leaving, None, &mut self.subscribers);
            }
        }
    }

    /// Take what the kernel still has, then let everything leave.
    fn drain(&mut self, batch: &mut Batch) {
        let all: Vec<u64> = (0..self.inputs.len() as u64).collect();
        self.read_ready(&all, batch);
        let now_ns = monotonic_ns();
        for stream in &mut self.streams {
            let (mut actions, mut leaving) = (Vec::new(), Vec::new());
            stream.arbiter.drain(now_ns, &mut actions);
            stream.take(&mut actions, 0, &mut leaving);
            send(stream, &leaving, None, &mut self.subscribers);
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut channels: Vec<Vec<StreamSnapshot>> =
            self.streams.iter().map(Stream::snapshots).collect();
        for input in &self.inputs {
            let line = channels
                .get_mut(input.stream)
                .and_then(|streams| streams.first_mut())
                .and_then(|stream| stream.lines.get_mut(input.line));
            if let Some(line) = line {
                line.received += input.filtered;
                line.filtered = input.filtered;
                line.kernel_drops = input.kernel_drops();
                line.received_bytes = input.received_bytes;
                line.receive_errors = input.receive_errors;
                line.receive_buffer_bytes = input.receive_buffer_bytes;
            }
        }
        Snapshot {
            name: self.name.clone(),
            streams: channels.into_iter().flatten().collect(),
            subscribers: self
                .subscribers
                .iter()
                .map(|(name, output)| output.snapshot(name))
                .collect(),
        }
    }
}

impl Stream {
    /// Sort `actions` into what leaves and what is remembered; `at` is the datagram of the batch that they are about.
    fn take(&mut self, actions: &mut Vec<Action>, at: usize, leaving: &mut Vec<Leaving>) {
        for action in actions.drain(..) {
            match action {
                Action::Send(Outgoing::Received) => leaving.push(Leaving::Received(at)),
                Action::Send(Outgoing::Owned(bytes)) => leaving.push(Leaving::Owned(bytes)),
                Action::Missing {
                    epoch, first, last, ..
                } => {
                    if let Some(asker) = &mut self.asker {
                        asker.ask(self.protocol, epoch, first, last);
                    }
                }
                Action::Lost {
                    stream,
                    epoch,
                    first,
                    last,
                } => {
                    let numbers = self.protocol.numbers();
                    let range = (numbers.wire(first), numbers.wire(last));
                    self.losses
                        .entry(stream)
                        .or_default()
                        .remember(epoch, range);
                }
            }
        }
    }

    /// The channel itself first, then each stream in it as `channel/stream` (design, decision 1).
    fn snapshots(&self) -> Vec<StreamSnapshot> {
        let main = self.snapshot(self.channel.clone(), 0, self.arbiter.main());
        let streams = self.arbiter.streams().map(|(stream, arbiter)| {
            self.snapshot(format!("{}/{stream}", self.channel), stream, arbiter)
        });
        if self.protocol.stream.is_none() {
            return vec![main];
        }
        // Stream 0 of a channel with streams is a stream like any other, and its losses are its own.
        let main = StreamSnapshot {
            lost_ranges: 0,
            losses: Vec::new(),
            ..main
        };
        std::iter::once(main).chain(streams).collect()
    }

    fn snapshot(&self, channel: String, stream: u64, arbiter: &StreamArbiter) -> StreamSnapshot {
        let state = arbiter.state();
        let losses = self.losses.get(&stream);
        let line = |(index, name): (usize, &String)| {
            let counters = arbiter.counters(index);
            LineSnapshot {
                line: name.clone(),
                received: counters.received,
                forwarded: counters.forwarded,
                duplicate: counters.duplicate,
                late: counters.late,
                held: counters.held,
                heartbeat: counters.heartbeat,
                passed_on: counters.passed_on,
                malformed: counters.malformed,
                ..LineSnapshot::default()
            }
        };
        StreamSnapshot {
            feed: self.feed.clone(),
            channel,
            protocol: self.protocol.name.to_owned(),
            epoch: epoch_text(state.epoch),
            epochs: state.epochs,
            next: state.next,
            held_packets: state.held_packets,
            held_bytes: state.held_bytes,
            requests: self.asker.as_ref().map_or(0, |asker| asker.requests),
            request_errors: self.asker.as_ref().map_or(0, |asker| asker.request_errors),
            lost_messages: state.lost_messages,
            lost_ranges: losses.map_or(0, |losses| losses.ranges),
            losses: losses.map_or_else(Vec::new, |losses| losses.kept.iter().cloned().collect()),
            lines: self.lines.iter().enumerate().map(line).collect(),
        }
    }
}

impl Losses {
    fn remember(&mut self, epoch: EpochKey, (first, last): (u64, u64)) {
        self.ranges += 1;
        if self.kept.len() == LOSSES_KEPT {
            self.kept.pop_front();
        }
        let declared = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.kept.push_back(Loss {
            epoch: epoch_text(epoch),
            first,
            last,
            declared_ns: u64::try_from(declared.as_nanos()).unwrap_or(u64::MAX),
        });
    }
}

/// To every subscriber of the stream; `batch` is where received datagrams lie.
fn send(
    stream: &Stream,
    leaving: &[Leaving],
    batch: Option<&Batch>,
    subscribers: &mut [(String, Output)],
) {
    if leaving.is_empty() {
        return;
    }
    let datagrams: Vec<&[u8]> = leaving
        .iter()
        .map(|leaving| match leaving {
            Leaving::Received(at) => batch.map_or(&[][..], |batch| batch.datagram(*at)),
            Leaving::Owned(bytes) => bytes.as_slice(),
        })
        .collect();
    for (subscriber, to) in &stream.outputs {
        if let Some((_, output)) = subscribers.get_mut(*subscriber) {
            output.send(*to, &datagrams);
        }
    }
}

/// A session of printable bytes as text without its padding; anything else as hex digits.
fn epoch_text(key: EpochKey) -> String {
    let printable = key.0.iter().all(|byte| (0x20..0x7F).contains(byte));
    match std::str::from_utf8(&key.0) {
        Ok(text) if printable => text.trim().to_owned(),
        _ => key.0.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
