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
use crate::snapshot::{FanOutSnapshot, Ranges, Snapshot, StreamSnapshot, SubscriberSnapshot};
use crate::step::Step;
use crate::system::{monotonic_ns, realtime_ns, utc_offset_ns, Timer, Wake};

/// Batches that one socket may hand in before the deadlines of all streams are looked at again.
const ROUNDS: usize = 8;

/// Batches that are read from a line at the end: more than any receive buffer holds of what came before.
const LAST_ROUNDS: usize = 1 << 14;

pub(crate) const TOKEN_WAKE: u64 = u64::MAX;
pub(crate) const TOKEN_TIMER: u64 = u64::MAX - 1;

/// What others ask of the thread.
pub(crate) enum Request {
    Counters(Ranges, SyncSender<Snapshot>),
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

    fn snapshot(&self, channels: &BTreeMap<u64, Channel>, sending: &Sending) -> FanOutSnapshot {
        let (without, reason) = sending.used();
        let reasons = [self.reason.as_deref(), reason];
        let reasons: Vec<&str> = reasons.into_iter().flatten().collect();
        let mut snapshot = FanOutSnapshot {
            wanted: self.wanted,
            used: self.program.as_ref().map_or(without, |_| FanOut::Kernel),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            ..FanOutSnapshot::default()
        };
        if let Some(kernel) = &self.program {
            snapshot.failed_clones = kernel.failed_before();
            for channel in channels.values() {
                snapshot.grouped += channel.deliveries.grouped();
                snapshot.failed_clones += channel.deliveries.failed_clones(kernel);
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
            sending: Sending::new(config.fan_out),
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
                let mut last = self.snapshot(Ranges::All);
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
                Request::Counters(ranges, reply) => {
                    self.follow_clock();
                    drop(reply.try_send(self.snapshot(ranges)));
                }
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
        self.read_what_came(self.inputs.keys().copied().collect());
        let now_ns = monotonic_ns();
        for channel in self.channels.values_mut() {
            channel.drain(now_ns, &mut self.sending);
            // What is still being looked for is not answered after the last counters.
            channel.deliveries.iter().for_each(|it| it.later.end());
        }
    }

    /// All that came on these sockets until now, in turns. What still comes meanwhile is not waited for.
    fn read_what_came(&mut self, mut tokens: Vec<u64>) {
        let now_ns = realtime_ns();
        for _ in 0..LAST_ROUNDS {
            tokens.retain(|token| {
                let asked_ns = realtime_ns();
                let count = self.read(*token);
                if count < Batch::DATAGRAMS {
                    return false;
                }
                // What came before the kernel stamps at all, which it begins some time after the machine's first socket asks
                // for it, is stamped when it is read: such a time tells nothing of when it came.
                let came_ns = self.batch.received_ns(count - 1);
                !(now_ns..asked_ns).contains(&came_ns)
            });
            if tokens.is_empty() {
                break;
            }
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
            Step::AddChannel(id, mut channel) => {
                channel.arbiter.set_utc_offset(utc_offset_ns());
                self.channels.insert(id, *channel);
            }
            Step::RemoveChannel(id) => self.remove_channel(id, ended),
            Step::AddInput(token, name, input) => self.add_input(token, name, *input)?,
            Step::RemoveInput(token) => self.remove_input(token),
            Step::SetSources(token, sources) => {
                // What came until now is judged as it was when it came.
                self.read_what_came(vec![token]);
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
                    channel.add_delivery(*delivery, monotonic_ns());
                }
            }
            Step::RemoveDelivery(id, subscriber) => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    let gone = channel.remove_delivery(&subscriber, monotonic_ns());
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
        self.read_what_came(vec![token]);
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

    /// A clock that was set is followed from the next look at the counters on.
    fn follow_clock(&mut self) {
        let utc_offset_ns = utc_offset_ns();
        for channel in self.channels.values_mut() {
            channel.arbiter.set_utc_offset(utc_offset_ns);
        }
    }

    fn snapshot(&mut self, ranges: Ranges) -> Snapshot {
        let told = |(id, channel): (&u64, &mut Channel)| (*id, channel.snapshots(ranges));
        let mut channels: BTreeMap<u64, Vec<StreamSnapshot>> =
            self.channels.iter_mut().map(told).collect();
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
            subscribers: self.subscriber_snapshots(ranges),
            fan_out: self.kernel.snapshot(&self.channels, &self.sending),
            journal: self.journal.as_ref().map(Recorder::counters),
        }
    }

    fn subscriber_snapshots(&mut self, ranges: Ranges) -> Vec<SubscriberSnapshot> {
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
        for channel in self.channels.values_mut() {
            channel.deliveries.add_to(&mut snapshots, &places, ranges);
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::opened::Opened;

    /// MoldUDP64 1.0: one message, which is number `number`.
    fn mold(number: u64) -> Vec<u8> {
        let number = number.to_be_bytes();
        [&b"SESSION001"[..], &number, &[0, 1], &[0, 2], b"ok"].concat()
    }

    /// A worker of one line with `count` datagrams in the kernel, and where it is asked.
    fn backlog(count: u64) -> (Worker, std::sync::mpsc::Sender<Request>) {
        let config = serde_json::json!({
            "name": "edge", "receive_buffer_bytes": 64 << 20, "cpu": null, "busy_wait_ns": 0, "fan_out": "sockets",
            "subscribers": [],
            "feeds": [{
                "name": "quotes", "protocol": "moldudp64", "hole_wait_ns": 1_000_000_000, "held_bytes": 1 << 20,
                "payload_bytes": 1472, "channels": ["main"], "recovery": null, "re_requests": null,
                "lines": [{"name": "A", "source": null, "interface": null, "endpoints": ["127.0.0.1:0"]}],
            }],
        });
        let config: EngineConfig = serde_json::from_value(config).unwrap();
        let steps = Opened::default().difference(&config).unwrap().steps;
        let (requests, receiver) = channel();
        let wake = Arc::new(Wake::new().unwrap());
        wake.wake();
        let mut worker = Worker::new(&config, None, (wake, receiver)).unwrap();
        worker.change(steps).unwrap();
        let input = worker.inputs.values().next().unwrap();
        let at = input.socket.local_addr().unwrap();
        let at = at.as_socket_ipv4().unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 1..=count {
            sender.send_to(&mold(number), at).unwrap();
        }
        (worker, requests)
    }

    #[test]
    fn what_the_kernel_has_when_the_end_comes_still_leaves() {
        let (worker, requests) = backlog(5000);
        requests.send(Request::Stop).unwrap();
        let last = worker.run().unwrap();
        let line = &last.streams[0].lines[0];
        assert_eq!(line.received + line.kernel_drops, 5000);
        assert!(line.received > 2000, "{line:?}"); // of a buffer that the machine may limit
        assert_eq!(line.forwarded, line.received);
    }

    #[test]
    fn what_came_before_a_line_has_another_source_is_taken() {
        let (mut worker, requests) = backlog(200);
        let token = *worker.inputs.keys().next().unwrap();
        let other = vec![std::net::Ipv4Addr::new(127, 0, 0, 9)];
        worker.change(vec![Step::SetSources(token, other)]).unwrap();
        requests.send(Request::Stop).unwrap();
        let last = worker.run().unwrap();
        let line = &last.streams[0].lines[0];
        assert_eq!((line.forwarded, line.filtered), (200, 0));
    }
}
