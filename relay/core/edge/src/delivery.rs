//! A channel's subscribers: who gets it in which form, within which limits.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use lanecast_relay_core::{Content, EpochKey, Packed, Protocol, RateLimit};

use crate::answered::{Answered, Later};
use crate::burst::{Burst, Room};
use crate::channel::{declared_ns, epoch_text, newest};
use crate::config::{Delivery as Form, FanOut};
use crate::kernel::{Group, Kernel, Member, Ways, MEMBERS};
use crate::output::Output;
use crate::ring::RingOrWhyNot;
use crate::snapshot::{Ranges, Refusal, SubscriberSnapshot};
use crate::step::Rates;

/// Bursts of more runs go to one socket after the other: entering the kernel is then little of what they cost.
const RING_RUNS: usize = 4;

/// For fewer sockets a ring saves nothing.
const RING_SOCKETS: usize = 2;

/// Refused ranges that an output remembers for whoever asks.
const REFUSALS_KEPT: usize = 1000;

/// What sending needs and all channels share.
#[derive(Default)]
pub(crate) struct Sending {
    segmented: Room,
    plain: Room,
    ring: RingOrWhyNot,
    /// By feed and subscriber.
    limits: BTreeMap<String, BTreeMap<String, RateLimit>>,
    running: bool,
}

impl Sending {
    pub(crate) fn new(wanted: FanOut) -> Self {
        Self {
            ring: RingOrWhyNot::open(wanted),
            ..Self::default()
        }
    }

    /// How datagrams leave that no group takes, and why it is not what was wanted.
    pub(crate) fn used(&self) -> (FanOut, Option<&str>) {
        let used = match self.ring.ring {
            Some(_) => FanOut::IoUring,
            None => FanOut::Sockets,
        };
        (used, self.ring.reason.as_deref())
    }

    /// Who keeps a rate keeps what is used of it. Who comes while the relay runs has used up all of it until now: coming
    /// and going is worth nothing.
    pub(crate) fn set_limits(&mut self, rates: Rates, now_ns: u64) {
        let fresh = if self.running {
            RateLimit::empty
        } else {
            RateLimit::new
        };
        self.running = true;
        let mut before = std::mem::take(&mut self.limits);
        for (feed, subscribers) in rates {
            for (subscriber, rate) in subscribers {
                let kept = before
                    .get_mut(&feed)
                    .and_then(|limits| limits.remove(&subscriber))
                    .filter(|limit| limit.rate() == rate);
                let limit = kept.unwrap_or_else(|| fresh(rate, now_ns));
                let limits = self.limits.entry(feed.clone()).or_default();
                limits.insert(subscriber, limit);
            }
        }
    }

    /// Whether the subscriber's limits of the feed have room for `bytes` more; if so they count.
    pub(crate) fn admit(
        &mut self,
        feed: &str,
        subscriber: &str,
        bytes: usize,
        now_ns: u64,
    ) -> bool {
        let limits = self.limits.get_mut(feed);
        let limit = limits.and_then(|limits| limits.get_mut(subscriber));
        limit.is_none_or(|limit| limit.admit(bytes, now_ns))
    }

    pub(crate) fn limits(&self, feed: &str, subscriber: &str) -> bool {
        let limits = self.limits.get(feed);
        limits.is_some_and(|limits| limits.contains_key(subscriber))
    }
}

/// A subscriber that waits for a burst from run `from` on, which has met `failure` if it was tried.
struct Waiting {
    at: usize,
    from: usize,
    failure: Option<io::Error>,
}

/// One subscriber of a channel.
pub(crate) struct Delivery {
    pub subscriber: String,
    pub form: Form,
    pub output: Output,
    /// Which of the groups serves it.
    group: Option<usize>,
    refusals: Refusals,
    /// Answers to its re-requests: from memory, those that limits kept back, and from the journal.
    pub answered: Answered,
    pub answers_limited: u64,
    pub later: Later,
}

/// What a limit kept back. Nothing is thinned in silence: each range is declared, counted and can be asked for again.
#[derive(Default)]
struct Refusals {
    datagrams: u64,
    messages: u64,
    ranges: u64,
    kept: VecDeque<Refused>,
    /// How many of the ranges were told as new; those do not grow any more.
    told: u64,
}

/// One range: the arbiter's numbers `first..end`.
#[derive(Clone, Copy)]
struct Refused {
    stream: u64,
    epoch: EpochKey,
    first: u64,
    end: u64,
    declared_ns: u64,
}

/// Everybody who gets a channel.
pub(crate) struct Deliveries {
    feed: Arc<str>,
    channel: Arc<str>,
    protocol: &'static Protocol,
    all: Vec<Delivery>,
    groups: Vec<(Form, Group)>,
    any_mold: bool,
}

impl Deliveries {
    pub(crate) fn new(feed: &str, channel: &str, protocol: &'static Protocol) -> Self {
        Self {
            feed: feed.into(),
            channel: channel.into(),
            protocol,
            all: Vec::new(),
            groups: Vec::new(),
            any_mold: false,
        }
    }

    pub(crate) fn add(&mut self, delivery: Delivery) {
        self.any_mold |= delivery.form == Form::Mold;
        self.all.push(delivery);
    }

    /// Take `subscriber` away.
    pub(crate) fn remove(&mut self, subscriber: &str) -> Vec<Delivery> {
        let all = std::mem::take(&mut self.all);
        let (gone, left) = all
            .into_iter()
            .partition(|delivery| delivery.subscriber == subscriber);
        self.all = left;
        self.any_mold = self.all.iter().any(|delivery| delivery.form == Form::Mold);
        gone
    }

    pub(crate) fn remove_all(&mut self) -> Vec<Delivery> {
        self.any_mold = false;
        std::mem::take(&mut self.all)
    }

    pub(crate) fn any_mold(&self) -> bool {
        self.any_mold
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.all.iter()
    }

    /// Add each one's counters to its place in `snapshots`, which `places` tells by name.
    pub(crate) fn add_to(
        &mut self,
        snapshots: &mut [SubscriberSnapshot],
        places: &BTreeMap<&str, usize>,
        ranges: Ranges,
    ) {
        let numbers = self.protocol.numbers();
        for delivery in &mut self.all {
            let place = places.get(delivery.subscriber.as_str());
            let Some(snapshot) = place.and_then(|at| snapshots.get_mut(*at)) else {
                continue;
            };
            delivery.add_to((&self.feed, &self.channel), snapshot);
            let (refused, new) = delivery.refusals.of(ranges);
            snapshot.limited.extend(refused.map(|(at, range)| Refusal {
                feed: Arc::clone(&self.feed),
                channel: Arc::clone(&self.channel),
                stream: range.stream,
                epoch: epoch_text(range.epoch),
                first: numbers.wire(range.first),
                last: numbers.wire(range.end - 1),
                declared_ns: range.declared_ns,
                new: at >= new,
            }));
        }
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Delivery> {
        self.all.get_mut(at)
    }

    /// The exchange's datagrams, to who gets them as they are.
    pub(crate) fn send_native(
        &mut self,
        datagrams: &[&[u8]],
        contents: &[Content],
        now_ns: u64,
        sending: &mut Sending,
    ) {
        self.send(Form::Native, datagrams, contents, now_ns, sending);
    }

    /// What was packed anew, to who gets it so.
    pub(crate) fn send_packed(&mut self, packed: &Packed, now_ns: u64, sending: &mut Sending) {
        let (datagrams, contents): (Vec<&[u8]>, Vec<Content>) = packed.datagrams().unzip();
        self.send(Form::Mold, &datagrams, &contents, now_ns, sending);
    }

    fn send(
        &mut self,
        form: Form,
        datagrams: &[&[u8]],
        contents: &[Content],
        now_ns: u64,
        sending: &mut Sending,
    ) {
        if datagrams.is_empty() {
            return;
        }
        let mut segmented = Burst::new(&mut sending.segmented, datagrams, true);
        let grouped = self.send_to_groups(form, &mut segmented);
        let waiting = self.waiting(form, &grouped, segmented.runs());
        let limited = sending.limits.get(&*self.feed);
        let waiting = self.send_by_ring(waiting, &segmented, &mut sending.ring, limited, now_ns);
        let mut limits = sending.limits.get_mut(&*self.feed);
        let mut unsegmented = Vec::new();
        for Waiting { at, from, failure } in waiting {
            let Some(delivery) = self.all.get_mut(at) else {
                continue;
            };
            let limited = limits
                .as_ref()
                .is_some_and(|limits| limits.contains_key(&delivery.subscriber));
            let rest = if limited || !delivery.output.segmentation {
                Some(segmented.start(from))
            } else {
                delivery
                    .output
                    .send_after(&mut segmented, from, failure, now_ns)
            };
            if let Some(from) = rest {
                unsegmented.push((at, from));
            }
        }
        if unsegmented.is_empty() {
            return;
        }
        for (at, from) in unsegmented {
            let Some(delivery) = self.all.get_mut(at) else {
                continue;
            };
            let limit = limits
                .as_mut()
                .and_then(|limits| limits.get_mut(&delivery.subscriber));
            let within: Vec<&[u8]> = match limit {
                None => datagrams.to_vec(),
                Some(limit) => datagrams
                    .iter()
                    .zip(contents)
                    .filter_map(|(datagram, content)| {
                        let admitted = limit.admit(datagram.len(), now_ns);
                        if !admitted {
                            delivery.refusals.remember(*content);
                        }
                        admitted.then_some(*datagram)
                    })
                    .collect(),
            };
            // One by one: who is limited has little, and who takes no segments gets them so.
            let mut plain = Burst::new(&mut sending.plain, &within, false);
            delivery.output.send(&mut plain, from, now_ns);
        }
    }
}

impl Deliveries {
    /// Who gets `form` and does not have all `runs` by the groups.
    fn waiting(&self, form: Form, grouped: &[usize], runs: usize) -> Vec<Waiting> {
        let all = self.all.iter().enumerate();
        let of_form = all.filter(|(_, delivery)| delivery.form == form);
        let waiting = of_form.map(|(at, delivery)| {
            let sent = delivery.group.and_then(|group| grouped.get(group));
            Waiting {
                at,
                from: sent.copied().unwrap_or(0),
                failure: None,
            }
        });
        waiting.filter(|waiting| waiting.from < runs).collect()
    }

    /// Send a short burst to everybody who has no limit by one system call a run. Returns who still waits.
    fn send_by_ring(
        &mut self,
        waiting: Vec<Waiting>,
        burst: &Burst<'_>,
        sending: &mut RingOrWhyNot,
        limits: Option<&BTreeMap<String, RateLimit>>,
        now_ns: u64,
    ) -> Vec<Waiting> {
        let Some(mut ring) = sending.ring.take() else {
            return waiting;
        };
        if burst.runs() > RING_RUNS || waiting.len() < RING_SOCKETS {
            sending.ring = Some(ring);
            return waiting;
        }
        let (mut left, mut sockets) = (Vec::new(), Vec::with_capacity(waiting.len()));
        for waits in waiting {
            let delivery = self.all.get_mut(waits.at).filter(|delivery| {
                let limited = limits.is_some_and(|it| it.contains_key(&delivery.subscriber));
                waits.from == 0 && delivery.output.segmentation && !limited
            });
            match delivery.and_then(|it| it.output.connected_socket(now_ns)) {
                Some(socket) => sockets.push((waits.at, socket)),
                None => left.push(waits),
            }
        }
        for run in 0..burst.runs() {
            let mut failed = Vec::new();
            let handed_over = burst.send_by_ring(&mut ring, run, &sockets, &mut failed);
            failed.sort_unstable_by_key(|(at, _)| *at);
            sockets.retain(|(at, _)| failed.binary_search_by_key(at, |(at, _)| *at).is_err());
            for (at, failure) in failed {
                left.push(self.left_by_ring(at, run, failure, burst));
            }
            if let Err(error) = handed_over {
                // The ring is not to be used any more. What it was not asked for goes on by system calls.
                sending.reason = Some(format!("io_uring failed: {error}"));
                let later = sockets.iter();
                left.extend(later.map(|(at, _)| self.left_by_ring(*at, run + 1, None, burst)));
                return left;
            }
        }
        for (at, _) in &sockets {
            self.count_left(*at, burst.runs(), burst);
        }
        sending.ring = Some(ring);
        left
    }

    /// Who is left to the sockets from run `from` on, having got what is before it by a ring.
    fn left_by_ring(
        &mut self,
        at: usize,
        from: usize,
        failure: Option<io::Error>,
        burst: &Burst<'_>,
    ) -> Waiting {
        self.count_left(at, from, burst);
        Waiting { at, from, failure }
    }

    /// The runs before `runs` left by a ring.
    fn count_left(&mut self, at: usize, runs: usize, burst: &Burst<'_>) {
        if let Some(delivery) = self.all.get_mut(at) {
            let sent = burst.start(runs);
            delivery.output.count_sent(sent, burst.bytes(0, sent));
        }
    }

    /// Send `burst` once for each group of `form`. Returns how many of its runs each group's members have: what needs
    /// fragments, and what the kernel refuses, is left to the sockets.
    fn send_to_groups(&mut self, form: Form, burst: &mut Burst<'_>) -> Vec<usize> {
        let largest_bytes = burst.largest_bytes();
        let mut served = Vec::with_capacity(self.groups.len());
        for (of, group) in &self.groups {
            let fits = *of == form && largest_bytes <= group.payload_bytes;
            served.push(if fits {
                burst.send_all(group.socket.as_raw_fd())
            } else {
                0
            });
        }
        for delivery in &mut self.all {
            let runs = delivery.group.and_then(|group| served.get(group));
            let sent = burst.start(runs.copied().unwrap_or(0));
            delivery.output.count_sent(sent, burst.bytes(0, sent));
        }
        served
    }

    /// Who can be served by groups, is from now on.
    pub(crate) fn regroup(
        &mut self,
        kernel: &Kernel,
        ways: &Ways,
        sending: &Sending,
    ) -> io::Result<()> {
        self.ungroup(kernel);
        let limits = sending.limits.get(&*self.feed);
        for form in [Form::Native, Form::Mold] {
            let mut members = Vec::new();
            for (at, delivery) in self.all.iter().enumerate() {
                let limited = limits.is_some_and(|it| it.contains_key(&delivery.subscriber));
                let member = member_of(&delivery.output, ways);
                if let Some(member) = member.filter(|_| delivery.form == form && !limited) {
                    members.push((at, member));
                }
            }
            // A group of one would only add a copy.
            if members.len() < 2 {
                continue;
            }
            let (places, members): (Vec<usize>, Vec<Member>) = members.into_iter().unzip();
            let first = self.groups.len();
            let groups = kernel.groups(&members)?;
            self.groups
                .extend(groups.into_iter().map(|group| (form, group)));
            for (at, place) in places.into_iter().enumerate() {
                if let Some(delivery) = self.all.get_mut(place) {
                    delivery.group = Some(first + at / MEMBERS);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn ungroup(&mut self, kernel: &Kernel) {
        for (_, group) in self.groups.drain(..) {
            kernel.dissolve(&group);
        }
        for delivery in &mut self.all {
            delivery.group = None;
        }
    }

    /// How many outputs are served by groups.
    pub(crate) fn grouped(&self) -> usize {
        let members = self.all.iter().filter(|delivery| delivery.group.is_some());
        members.count()
    }

    /// How many clones of the groups that there are now failed.
    pub(crate) fn failed_clones(&self, kernel: &Kernel) -> u64 {
        let failed = self.groups.iter().map(|(_, group)| kernel.failed(group));
        failed.sum()
    }
}

fn member_of(output: &Output, ways: &Ways) -> Option<Member> {
    let way = ways.get(output.to.ip())?;
    let (from, mtu_bytes) = output.path()?;
    Some(Member {
        way: *way,
        from,
        to: output.to,
        mtu_bytes,
    })
}

impl Delivery {
    pub(crate) fn new(subscriber: &str, form: Form, output: Output) -> Self {
        Self {
            subscriber: subscriber.to_owned(),
            form,
            output,
            group: None,
            refusals: Refusals::default(),
            answered: Answered::default(),
            answers_limited: 0,
            later: Later::default(),
        }
    }

    /// Add what it was sent of `channel` of a feed, and what was kept back, to `snapshot`.
    pub(crate) fn add_to(&self, channel: (&str, &str), snapshot: &mut SubscriberSnapshot) {
        self.answered.add_to(&self.later, channel, snapshot);
        snapshot.answers_limited += self.answers_limited;
        self.output.add_to(snapshot);
        snapshot.limited_datagrams += self.refusals.datagrams;
        snapshot.limited_messages += self.refusals.messages;
        snapshot.limited_ranges += self.refusals.ranges;
    }
}

impl Refusals {
    fn remember(&mut self, content: Content) {
        self.datagrams += 1;
        let Content::Messages {
            stream,
            epoch,
            first,
            end,
            ..
        } = content
        else {
            return;
        };
        self.messages += end - first;
        if let Some(last) = self.kept.back_mut().filter(|_| self.told < self.ranges) {
            if (last.stream, last.epoch, last.end) == (stream, epoch, first) {
                last.end = end;
                return;
            }
        }
        if self.kept.len() == REFUSALS_KEPT {
            self.kept.pop_front();
        }
        self.ranges += 1;
        self.kept.push_back(Refused {
            stream,
            epoch,
            first,
            end,
            declared_ns: declared_ns(),
        });
    }

    /// The ranges that are kept, and from which one on they are new.
    fn of(&mut self, ranges: Ranges) -> (impl Iterator<Item = (usize, &Refused)>, usize) {
        let new = newest(self.ranges - self.told, self.kept.len());
        if ranges == Ranges::New {
            self.told = self.ranges;
        }
        let from = match ranges {
            Ranges::None => self.kept.len(),
            Ranges::New => new,
            Ranges::All => 0,
        };
        (self.kept.iter().enumerate().skip(from), new)
    }
}
