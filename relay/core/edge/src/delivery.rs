//! A channel's subscribers: who gets it in which form, within which limits.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;

use lanecast_relay_core::{Content, Packed, Protocol, RateLimit};

use crate::answered::{Answered, Later};
use crate::burst::{Burst, Room};
use crate::channel::{declared_ns, epoch_text};
use crate::config::Delivery as Form;
use crate::kernel::{Group, Kernel, Member, Ways, MEMBERS};
use crate::output::Output;
use crate::snapshot::{Refusal, SubscriberSnapshot};
use crate::step::Rates;

/// Refused ranges that an output remembers for whoever asks.
const REFUSALS_KEPT: usize = 1000;

/// What sending needs and all channels share.
#[derive(Default)]
pub(crate) struct Sending {
    segmented: Room,
    plain: Room,
    /// By feed and subscriber.
    limits: BTreeMap<String, BTreeMap<String, RateLimit>>,
    running: bool,
}

impl Sending {
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
    ranges: VecDeque<Refusal>,
}

/// Everybody who gets a channel.
pub(crate) struct Deliveries {
    feed: String,
    channel: String,
    protocol: &'static Protocol,
    all: Vec<Delivery>,
    groups: Vec<(Form, Group)>,
    any_mold: bool,
}

impl Deliveries {
    pub(crate) fn new(feed: &str, channel: &str, protocol: &'static Protocol) -> Self {
        Self {
            feed: feed.to_owned(),
            channel: channel.to_owned(),
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
        let mut limits = sending.limits.get_mut(&self.feed);
        let mut segmented = Burst::new(&mut sending.segmented, datagrams, true);
        let grouped = self.send_to_groups(form, &mut segmented);
        let mut unsegmented = Vec::new();
        for (at, delivery) in self.all.iter_mut().enumerate() {
            let sent = delivery.group.and_then(|group| grouped.get(group));
            let sent = sent.copied().unwrap_or(0);
            if delivery.form != form || sent == segmented.runs() {
                continue;
            }
            let limited = limits
                .as_ref()
                .is_some_and(|limits| limits.contains_key(&delivery.subscriber));
            let rest = if limited || !delivery.output.segmentation {
                Some(segmented.start(sent))
            } else {
                delivery.output.send(&mut segmented, sent, now_ns)
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
                            let about = (self.feed.as_str(), self.channel.as_str(), self.protocol);
                            delivery.refusals.remember(about, *content);
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
        let limits = sending.limits.get(&self.feed);
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

    /// How many outputs are served by groups, and how many clones failed.
    pub(crate) fn grouped(&self, kernel: &Kernel) -> (usize, u64) {
        let members = self.all.iter().filter(|delivery| delivery.group.is_some());
        let failed = self.groups.iter().map(|(_, group)| kernel.failed(group));
        (members.count(), failed.sum())
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
        self.answered.add_to(channel, snapshot);
        self.later.add_to(channel, snapshot);
        snapshot.answers_limited += self.answers_limited;
        self.output.add_to(snapshot);
        snapshot.limited_datagrams += self.refusals.datagrams;
        snapshot.limited_messages += self.refusals.messages;
        let ranges = self.refusals.ranges.iter().cloned();
        snapshot.limited.extend(ranges);
    }
}

impl Refusals {
    fn remember(&mut self, (feed, channel, protocol): (&str, &str, &Protocol), content: Content) {
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
        let numbers = protocol.numbers();
        let refusal = Refusal {
            feed: feed.to_owned(),
            channel: channel.to_owned(),
            stream,
            epoch: epoch_text(epoch),
            first: numbers.wire(first),
            last: numbers.wire(end - 1),
            declared_ns: declared_ns(),
        };
        if let Some(last) = self.ranges.back_mut() {
            let same = (last.stream, &last.epoch) == (stream, &refusal.epoch);
            if same && numbers.after(last.last, 1) == Some(refusal.first) {
                last.last = refusal.last;
                return;
            }
        }
        if self.ranges.len() == REFUSALS_KEPT {
            self.ranges.pop_front();
        }
        self.ranges.push_back(refusal);
    }
}
