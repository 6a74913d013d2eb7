//! The packet thread: it owns every socket and arbiter, and is the only one to touch them.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::Arc;

use lanecast_relay_journal::{LineIdentity, Recorder};

use crate::answering::Answering;
use crate::batch::Batch;
use crate::channel::Channel;
use crate::config::{EngineConfig, FanOut};
use crate::delivery::{Delivery, Sending};
use crate::input::Input;
use crate::kernel::{Kernel, Ways};
use crate::past::Past;
use crate::poller::Poller;
use crate::snapshot::{FanOutSnapshot, Snapshot, StreamSnapshot, SubscriberSnapshot};
use crate::step::Step;
use crate::system::{monotonic_ns, Timer, Wake};

/// Batches that one socket may hand in before the deadlines of all streams are looked at again.
const ROUNDS: usize = 8;

/// Batches that are read from a line that is taken away: more than any receive buffer holds of what came before.
const LAST_ROUNDS: usize = 1 << 14;

pub(crate) const TOKEN_WAKE: u64 = u64::MAX;
pub(crate) const TOKEN_TIMER: u64 = u64::MAX - 1;

/// What others ask of the thread.
pub(crate) enum Request {
    Counters(SyncSender<Snapshot>),
    /// All of it between two batches; the answer is what subscribers that are gone had got.
    Change(Vec<Step>, SyncSender<Vec<SubscriberSnapshot>>),
    /// How frames reach the subscribers' addresses, for fan-out in the kernel.
    Ways(Ways),
    Stop,
}

pub(crate) struct Worker {
    pub name: String,
    /// By token. Tokens and the ids of channels are never used twice.
    inputs: BTreeMap<u64, Input>,
    answering: BTreeMap<u64, Answering>,
    channels: BTreeMap<u64, Channel>,
    /// In the order of the configuration.
    subscribers: Vec<String>,
    sending: Sending,
    kernel: KernelFanOut,
    journal: Option<Recorder>,
    past: Option<Past>,
    batch: Batch,
    poller: Poller,
    timer: Timer,
    wake: Arc<Wake>,
    requests: Receiver<Request>,
}

/// Fan-out in the kernel, or why there is none.
#[derive(Default)]
struct KernelFanOut {
    wanted: FanOut,
    program: Option<Kernel>,
    ways: Ways,
    reason: Option<String>,
}

impl KernelFanOut {
    /// What cannot be had is told and done without: a relay that forwards by sockets is better than none.
    fn open(wanted: FanOut) -> Self {
        let mut opened = Self {
            wanted,
            ..Self::default()
        };
        if wanted == FanOut::Kernel {
            match Kernel::open() {
                Ok(kernel) => opened.program = Some(kernel),
                Err(error) => {
                    opened.reason = Some(format!(
                        "the kernel takes no program at the loopback interface: {error}; it needs Linux 6.6, CAP_BPF, \
                         CAP_NET_ADMIN and CAP_PERFMON"
                    ));
                }
            }
        }
        opened
    }

    fn snapshot(&self, channels: &BTreeMap<u64, Channel>) -> FanOutSnapshot {
        let used = match self.program {
            Some(_) => FanOut::Kernel,
            None => FanOut::Sockets,
        };
        let mut snapshot = FanOutSnapshot {
            wanted: self.wanted,
            used,
            reason: self.reason.clone(),
            ..FanOutSnapshot::default()
        };
        if let Some(kernel) = &self.program {
            for channel in channels.values() {
                let (grouped, failed) = channel.deliveries.grouped(kernel);
                snapshot.grouped += grouped;
                snapshot.failed_clones += failed;
            }
        }
        snapshot
    }
}

impl Worker {
    pub(crate) fn new(
        config: &EngineConfig,
        journal: Option<(Recorder, Past)>,
        (wake, requests): (Arc<Wake>, Receiver<Request>),
    ) -> std::io::Result<Self> {
        let (journal, past) = journal.unzip();
        let (mut poller, timer) = (Poller::new(config.busy_wait_ns), Timer::new()?);
        poller.add(wake.as_raw_fd(), TOKEN_WAKE)?;
        poller.add(timer.as_raw_fd(), TOKEN_TIMER)?;
        Ok(Self {
            name: config.name.clone(),
            inputs: BTreeMap::new(),
            answering: BTreeMap::new(),
            channels: BTreeMap::new(),
            subscribers: Vec::new(),
            sending: Sending::default(),
            kernel: KernelFanOut::open(config.fan_out),
            journal,
            past,
            batch: Batch::new(),
            poller,
            timer,
            wake,
            requests,
        })
    }

    /// Forward until told to stop, then drain. Returns the last counters.
    pub(crate) fn run(mut self) -> std::io::Result<Snapshot> {
        let (mut ready, mut taken) = (Vec::new(), 0);
        loop {
            let deadlines = self.channels.values().filter_map(Channel::next_deadline_ns);
            let deadline = deadlines.min();
            self.timer.arm(deadline)?;
            self.poller.wait(&mut ready, taken)?;
            if ready.contains(&TOKEN_TIMER) {
                self.timer.clear();
            }
            // Sockets first: what fills a hole may have come while the thread was not running.
            taken = self.read_ready(&ready);
            self.on_deadlines();
            if ready.contains(&TOKEN_WAKE) && self.answer()? {
                self.drain();
                let mut last = self.snapshot();
                if let Some(journal) = self.journal.take() {
                    last.journal = Some(journal.close());
                }
                return Ok(last);
            }
        }
    }

    /// Returns whether the thread has to stop.
    fn answer(&mut self) -> std::io::Result<bool> {
        self.wake.clear();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Stop => return Ok(true),
                // Whoever asked may have given up waiting.
                Request::Counters(reply) => drop(reply.try_send(self.snapshot())),
                Request::Change(steps, reply) => drop(reply.try_send(self.change(steps)?)),
                Request::Ways(ways) => {
                    self.kernel.ways = ways;
                    self.regroup();
                }
            }
        }
        Ok(false)
    }

    /// Take turns among the sockets that have something, so that no line waits for another's backlog. Returns how many
    /// datagrams came.
    fn read_ready(&mut self, ready: &[u64]) -> usize {
        let sockets = ready.iter().filter(|token| **token < TOKEN_TIMER);
        let mut pending: Vec<u64> = sockets.copied().collect();
        let mut taken = 0;
        for _ in 0..ROUNDS {
            pending.retain(|token| {
                let count = self.read(*token);
                taken += count;
                count == Batch::DATAGRAMS
            });
            if pending.is_empty() {
                break;
            }
        }
        taken
    }

    /// One batch of one socket, all the way through. Returns how many datagrams it had.
    fn read(&mut self, token: u64) -> usize {
        if let Some(input) = self.inputs.get_mut(&token) {
            let Ok(count) = self.batch.receive(input.socket.as_raw_fd()) else {
                input.receive_errors += 1;
                return 0;
            };
            if let Some(channel) = self.channels.get_mut(&input.channel) {
                let (sending, journal) = (&mut self.sending, self.journal.as_mut());
                channel.receive(input, &self.batch, monotonic_ns(), sending, journal);
            }
            return count;
        }
        if let Some(answering) = self.answering.get_mut(&token) {
            // An error here is an ICMP report about an earlier answer; reading it has cleared it.
            let count = self
                .batch
                .receive(answering.socket.as_raw_fd())
                .unwrap_or(0);
            if let Some(channel) = self.channels.get_mut(&answering.channel) {
                let (sending, past) = (&mut self.sending, self.past.as_ref());
                answering.receive(channel, sending, past, &self.batch, monotonic_ns());
            }
            return count;
        }
        0
    }

    fn on_deadlines(&mut self) {
        let now_ns = monotonic_ns();
        for channel in self.channels.values_mut() {
            if channel
                .next_deadline_ns()
                .is_some_and(|deadline| deadline <= now_ns)
            {
                channel.on_deadline(now_ns, &mut self.sending);
            }
        }
    }

    /// Take what the kernel still has, then let everything leave.
    fn drain(&mut self) {
        let all: Vec<u64> = self.inputs.keys().copied().collect();
        self.read_ready(&all);
        let now_ns = monotonic_ns();
        for channel in self.channels.values_mut() {
            channel.drain(now_ns, &mut self.sending);
            // What is still being looked for is not answered after the last counters.
            channel.deliveries.iter().for_each(|it| it.later.end());
        }
    }

    /// Carry out `steps`, in order. Returns what the subscribers that they took away had got.
    pub(crate) fn change(&mut self, steps: Vec<Step>) -> std::io::Result<Vec<SubscriberSnapshot>> {
        let mut ended = Vec::new();
        for step in steps {
            self.carry_out(step, &mut ended)?;
        }
        self.regroup();
        Ok(ended)
    }

    fn carry_out(
        &mut self,
        step: Step,
        ended: &mut Vec<SubscriberSnapshot>,
    ) -> std::io::Result<()> {
        match step {
            Step::AddChannel(id, channel) => drop(self.channels.insert(id, *channel)),
            Step::RemoveChannel(id) => self.remove_channel(id, ended),
            Step::AddInput(token, name, input) => self.add_input(token, name, *input)?,
            Step::RemoveInput(token) => self.remove_input(token),
            Step::SetSources(token, sources) => {
                if let Some(input) = self.inputs.get_mut(&token) {
                    input.sources = sources;
                }
            }
            Step::AddAnswering(token, answering) => {
                self.poller.add(answering.socket.as_raw_fd(), token)?;
                self.answering.insert(token, *answering);
            }
            Step::RemoveAnswering(token) => {
                if let Some(answering) = self.answering.remove(&token) {
                    self.poller.remove(answering.socket.as_raw_fd());
                }
            }
            Step::SetAnswerRate(token, answers_per_second) => {
                if let Some(answering) = self.answering.get_mut(&token) {
                    answering.set_rate(answers_per_second);
                }
            }
            Step::Alter(id, alter) => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    alter(channel);
                }
            }
            Step::AddDelivery(id, delivery) => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.deliveries.add(*delivery);
                }
            }
            Step::RemoveDelivery(id, subscriber) => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    let gone = channel.deliveries.remove(&subscriber);
                    end((&channel.feed, &channel.name), &gone, ended);
                }
            }
            Step::SetLimits(rates) => self.sending.set_limits(rates, monotonic_ns()),
            Step::SetSubscribers(names) => self.subscribers = names,
        }
        Ok(())
    }

    /// Put subscribers into groups anew, after anything that groups depend on has changed.
    fn regroup(&mut self) {
        let Some(kernel) = &self.kernel.program else {
            return;
        };
        self.kernel.reason = None;
        for channel in self.channels.values_mut() {
            let deliveries = &mut channel.deliveries;
            if let Err(error) = deliveries.regroup(kernel, &self.kernel.ways, &self.sending) {
                deliveries.ungroup(kernel);
                self.kernel.reason = Some(format!("cannot make a group: {error}"));
            }
        }
    }

    fn add_input(&mut self, token: u64, name: String, mut input: Input) -> std::io::Result<()> {
        self.poller.add(input.socket.as_raw_fd(), token)?;
        if let Some(channel) = self.channels.get_mut(&input.channel) {
            let identity = || LineIdentity {
                feed: channel.feed.clone(),
                channel: channel.name.clone(),
                line: name.clone(),
                protocol: channel.protocol,
                endpoint: input.endpoint,
            };
            let journal = self.journal.as_mut();
            input.recorded_as = journal.map(|journal| journal.line(&identity()));
            channel.place_line(input.line, name);
        }
        self.inputs.insert(token, input);
        Ok(())
    }

    /// What the line brought until now still counts.
    fn remove_input(&mut self, token: u64) {
        for _ in 0..LAST_ROUNDS {
            if self.read(token) < Batch::DATAGRAMS {
                break;
            }
        }
        if let Some(input) = self.inputs.remove(&token) {
            self.poller.remove(input.socket.as_raw_fd());
            if let Some(channel) = self.channels.get_mut(&input.channel) {
                channel.remove_line(input.line);
            }
        }
    }

    fn remove_channel(&mut self, id: u64, ended: &mut Vec<SubscriberSnapshot>) {
        if let Some(mut channel) = self.channels.remove(&id) {
            channel.drain(monotonic_ns(), &mut self.sending);
            if let Some(kernel) = &self.kernel.program {
                channel.deliveries.ungroup(kernel);
            }
            let gone = channel.deliveries.remove_all();
            end((&channel.feed, &channel.name), &gone, ended);
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut channels: BTreeMap<u64, Vec<StreamSnapshot>> = self
            .channels
            .iter()
            .map(|(id, channel)| (*id, channel.snapshots()))
            .collect();
        for input in self.inputs.values() {
            let line = channels
                .get_mut(&input.channel)
                .and_then(|streams| streams.first_mut())
                .and_then(|stream| stream.lines.iter_mut().find(|line| line.at == input.line));
            if let Some(line) = line {
                input.add_to(line);
            }
        }
        for answering in self.answering.values() {
            let place = channels
                .get_mut(&answering.channel)
                .and_then(|streams| streams.first_mut())
                .zip(self.channels.get(&answering.channel));
            if let Some((stream, channel)) = place {
                stream.re_requests = Some(answering.snapshot(channel));
            }
        }
        Snapshot {
            name: self.name.clone(),
            streams: channels.into_values().flatten().collect(),
            subscribers: self.subscriber_snapshots(),
            fan_out: self.kernel.snapshot(&self.channels),
            journal: self.journal.as_ref().map(Recorder::counters),
        }
    }

    fn subscriber_snapshots(&self) -> Vec<SubscriberSnapshot> {
        let mut snapshots: Vec<SubscriberSnapshot> = self
            .subscribers
            .iter()
            .map(|name| SubscriberSnapshot::new(name))
            .collect();
        let places: BTreeMap<&str, usize> = self
            .subscribers
            .iter()
            .enumerate()
            .map(|(at, name)| (name.as_str(), at))
            .collect();
        for channel in self.channels.values() {
            for delivery in channel.deliveries.iter() {
                let place = places.get(delivery.subscriber.as_str());
                if let Some(snapshot) = place.and_then(|at| snapshots.get_mut(*at)) {
                    delivery.add_to((&channel.feed, &channel.name), snapshot);
                }
            }
        }
        snapshots
    }
}

/// Add what `gone` had got of a channel to what is told of subscribers that ended.
fn end(channel: (&str, &str), gone: &[Delivery], ended: &mut Vec<SubscriberSnapshot>) {
    for delivery in gone {
        delivery.later.end();
        let name = &delivery.subscriber;
        let known = ended.iter().position(|snapshot| snapshot.name == *name);
        let at = known.unwrap_or_else(|| {
            ended.push(SubscriberSnapshot::new(name));
            ended.len() - 1
        });
        if let Some(snapshot) = ended.get_mut(at) {
            delivery.add_to(channel, snapshot);
        }
    }
}
