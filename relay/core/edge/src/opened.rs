//! What is open for a configuration, and what it takes to get from one to another. Starting is the change from nothing.
//!
//! Sockets that are needed are opened here, before anything is changed: when one is refused, the relay runs on as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use lanecast_relay_core::{
    find, ChannelArbiter, Limits, Memory, Packer, Protocol, Recovery, Sessions,
};
use serde::Serialize;
use socket2::Socket;

use crate::answering::Answering;
use crate::asking::Asker;
use crate::channel::Channel;
use crate::config::{
    Delivery as Form, EngineConfig, FeedConfig, LineConfig, PositionConfig, SubscriberConfig,
};
use crate::delivery::Delivery;
use crate::errors::EngineError;
use crate::input::Input;
use crate::output::Output;
use crate::step::{Rates, Step};
use crate::system::monotonic_ns;

/// Bound on packets in hold a stream, beside the bound in bytes: small packets cost more than their bytes.
const HELD_PACKETS: usize = 65_536;

/// What the counters call the answers of re-request servers.
const RECOVERY_LINE: &str = "recovery";

/// One thing that a reload changed, for people and programs.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Change {
    /// `channel`, `line`, `recovery`, `re-requests`, `settings`, `subscriber` or `limits`.
    pub what: &'static str,
    /// `feed/channel`, `feed/channel/line`, `subscriber` or `subscriber/feed/channel`.
    pub name: String,
    pub change: &'static str,
}

const ADDED: &str = "added";
const REMOVED: &str = "removed";
const CHANGED: &str = "changed";

/// What is open, by the names of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened {
    feeds: Vec<FeedConfig>,
    subscribers: Vec<SubscriberConfig>,
    channels: BTreeMap<Key, OpenChannel>,
    /// Ids and tokens are never used twice.
    next_id: u64,
}

#[derive(Clone, Debug, Default)]
struct OpenChannel {
    id: u64,
    lines: BTreeMap<String, OpenLine>,
    recovery: Option<OpenLine>,
    answering: Option<OpenAnswering>,
    /// Places of the arbiter that were given to a line at some time.
    places: usize,
}

#[derive(Clone, Debug)]
struct OpenLine {
    token: u64,
    /// A socket that is bound to an address of ours, which only one can be: what is opened there next takes it over.
    bound: Option<(SocketAddrV4, Arc<Socket>)>,
}

#[derive(Clone, Debug)]
struct OpenAnswering {
    token: u64,
    bound: (SocketAddrV4, Arc<Socket>),
}

/// One channel's share of a feed's configuration.
#[derive(Clone, Copy)]
struct Part<'a> {
    feed: &'a FeedConfig,
    channel: &'a str,
    at: usize,
}

/// A line of one channel, as far as its socket goes.
#[derive(PartialEq, Eq)]
struct Way<'a> {
    source: Option<Ipv4Addr>,
    interface: Option<&'a str>,
    endpoint: SocketAddrV4,
}

/// The change in the making.
pub(crate) struct Difference {
    pub opened: Opened,
    pub steps: Vec<Step>,
    pub changes: Vec<Change>,
    positions: Vec<PositionConfig>,
    /// Sockets that were bound before, by address, with their tokens; and those that were taken over.
    bound: BTreeMap<SocketAddrV4, (u64, Arc<Socket>)>,
    taken_over: BTreeSet<u64>,
}

impl Opened {
    /// Open what `config` needs beyond what is open.
    pub(crate) fn difference(&self, config: &EngineConfig) -> Result<Difference, EngineError> {
        let mut difference = Difference {
            opened: Self {
                feeds: config.feeds.clone(),
                subscribers: config.subscribers.clone(),
                ..self.clone()
            },
            steps: Vec::new(),
            changes: Vec::new(),
            positions: config.positions.clone(),
            bound: self.bound(),
            taken_over: BTreeSet::new(),
        };
        let before: BTreeMap<Key, Part<'_>> = parts(&self.feeds).collect();
        let after: BTreeMap<Key, Part<'_>> = parts(&config.feeds).collect();
        let stays = |key: &Key, old: &Part<'_>| {
            let new = after.get(key);
            new.is_some_and(|new| new.feed.protocol == old.feed.protocol)
        };
        let gone = before.iter().filter(|(key, part)| !stays(key, part));
        let gone: BTreeSet<Key> = gone.map(|(key, _)| key.clone()).collect();
        for key in &gone {
            difference.close_channel(key);
        }
        let bytes = config.receive_buffer_bytes;
        for (key, part) in parts(&config.feeds) {
            match before.get(&key).filter(|_| !gone.contains(&key)) {
                Some(old) => difference.alter_channel(&key, *old, part, bytes)?,
                None => difference.open_channel(&key, part, bytes)?,
            }
        }
        difference.alter_subscribers(&self.subscribers, config, &gone)?;
        difference.check_taken_over()?;
        Ok(difference)
    }

    fn bound(&self) -> BTreeMap<SocketAddrV4, (u64, Arc<Socket>)> {
        let channels = self.channels.values();
        let bound = channels.flat_map(OpenChannel::bound);
        let shared = bound.map(|(token, (at, socket))| (*at, (token, Arc::clone(socket))));
        shared.collect()
    }
}

impl OpenChannel {
    /// Sockets that are bound to addresses of ours, with their tokens.
    fn bound(&self) -> impl Iterator<Item = (u64, &(SocketAddrV4, Arc<Socket>))> {
        let lines = self.lines.values();
        let lines = lines.filter_map(|line| Some((line.token, line.bound.as_ref()?)));
        lines.chain(self.answering.iter().map(|it| (it.token, &it.bound)))
    }
}

/// Feed and channel.
type Key = (String, String);

/// In the order of the configuration.
fn parts(feeds: &[FeedConfig]) -> impl Iterator<Item = (Key, Part<'_>)> {
    feeds.iter().flat_map(|feed| {
        let channels = feed.channels.iter().enumerate();
        channels.map(move |(at, channel)| {
            let key = (feed.name.clone(), channel.clone());
            (key, Part { feed, channel, at })
        })
    })
}

impl<'a> Part<'a> {
    fn protocol(&self) -> Result<&'static Protocol, EngineError> {
        find(&self.feed.protocol).ok_or_else(|| {
            EngineError::Config(format!(
                "feed {}: unknown protocol {}",
                self.feed.name, self.feed.protocol
            ))
        })
    }

    fn way(&self, line: &'a LineConfig) -> Result<Way<'a>, EngineError> {
        let endpoint = line.endpoints.get(self.at).ok_or_else(|| {
            EngineError::Config(format!(
                "feed {}, line {}: no endpoint for channel {}",
                self.feed.name, line.name, self.channel
            ))
        })?;
        Ok(Way {
            source: line.source,
            interface: line.interface.as_deref(),
            endpoint: *endpoint,
        })
    }

    fn limits(&self) -> Limits {
        Limits {
            hole_wait_ns: self.feed.hole_wait_ns,
            held_bytes: self.feed.held_bytes,
            held_packets: HELD_PACKETS,
        }
    }

    fn servers(&self) -> &'a [SocketAddrV4] {
        let servers = self.feed.recovery.as_ref().map(|it| &it.servers);
        let servers = servers.and_then(|servers| servers.get(self.at));
        servers.map_or(&[][..], Vec::as_slice)
    }

    /// Where re-requests are listened for, what is remembered for them, and how many are answered.
    fn re_requests(&self) -> Option<(SocketAddrV4, usize, u64)> {
        let config = self.feed.re_requests.as_ref()?;
        let listen = config.listen.get(self.at)?;
        Some((*listen, config.memory_bytes, config.answers_per_second))
    }

    fn packer(&self, protocol: &'static Protocol) -> Packer {
        Packer::new(protocol, self.sessions(), self.feed.payload_bytes)
    }

    fn memory(&self, protocol: &'static Protocol, bytes: usize) -> Memory {
        Memory::new(protocol, self.sessions(), self.feed.payload_bytes, bytes)
    }

    fn sessions(&self) -> Sessions {
        Sessions::of(&self.feed.name, self.channel)
    }
}

impl Difference {
    fn id(&mut self) -> u64 {
        self.opened.next_id += 1;
        self.opened.next_id
    }

    fn note(&mut self, what: &'static str, name: impl Into<String>, change: &'static str) {
        self.changes.push(Change {
            what,
            name: name.into(),
            change,
        });
    }

    /// The socket that was bound to `address` before, to be read by somebody else from now on: closing it first and opening
    /// another one would lose what comes in between.
    fn take_over(&mut self, address: SocketAddrV4) -> Result<Option<Socket>, EngineError> {
        let Some((token, socket)) = self.bound.remove(&address) else {
            return Ok(None);
        };
        self.taken_over.insert(token);
        let socket = socket.try_clone().map_err(EngineError::open(format!(
            "cannot share the socket of {address}"
        )))?;
        Ok(Some(socket))
    }

    /// Nobody goes on reading a socket that another one took over.
    fn check_taken_over(&self) -> Result<(), EngineError> {
        let channels = self.opened.channels.values();
        let mut open = channels.flat_map(OpenChannel::bound);
        match open.find(|(token, _)| self.taken_over.contains(token)) {
            Some((_, (address, _))) => Err(EngineError::open(format!("cannot bind to {address}"))(
                io::Error::from_raw_os_error(libc::EADDRINUSE),
            )),
            None => Ok(()),
        }
    }

    fn close_channel(&mut self, key: &Key) {
        let Some(open) = self.opened.channels.remove(key) else {
            return;
        };
        let lines = open.lines.values().chain(&open.recovery);
        let inputs = lines.map(|line| Step::RemoveInput(line.token));
        self.steps.extend(inputs);
        let answering = open.answering.map(|it| Step::RemoveAnswering(it.token));
        self.steps.extend(answering);
        self.steps.push(Step::RemoveChannel(open.id));
        self.note("channel", format!("{}/{}", key.0, key.1), REMOVED);
    }

    fn open_channel(&mut self, key: &Key, part: Part<'_>, bytes: usize) -> Result<(), EngineError> {
        let protocol = part.protocol()?;
        let id = self.id();
        let here = |it: &&PositionConfig| (&it.feed, &it.channel) == (&key.0, &key.1);
        let positions = self.positions.iter().filter(here);
        let positions = positions.filter_map(|it| Some((it.stream, it.of(protocol)?)));
        let arbiter = ChannelArbiter::new(protocol, part.feed.lines.len(), part.limits())
            .resuming(positions.collect());
        let packer = part.packer(protocol);
        let channel = Channel::new((&key.0, &key.1), protocol, arbiter, packer);
        self.steps.push(Step::AddChannel(id, Box::new(channel)));
        let mut open = OpenChannel {
            id,
            ..OpenChannel::default()
        };
        for line in &part.feed.lines {
            self.open_line(&mut open, part, line, bytes)?;
        }
        if part.feed.recovery.is_some() {
            self.open_recovery(&mut open, part, bytes)?;
        }
        if part.re_requests().is_some() {
            self.open_answering(&mut open, part, protocol)?;
        }
        self.opened.channels.insert(key.clone(), open);
        self.note("channel", format!("{}/{}", key.0, key.1), ADDED);
        Ok(())
    }

    fn open_line(
        &mut self,
        open: &mut OpenChannel,
        part: Part<'_>,
        line: &LineConfig,
        bytes: usize,
    ) -> Result<(), EngineError> {
        let endpoint = part.way(line)?.endpoint;
        let place = (open.id, open.places);
        let before = match line.interface {
            None => self.take_over(endpoint)?,
            Some(_) => None,
        };
        let input = match before {
            Some(socket) => Input::taken_over(socket, line, endpoint, place, bytes)?,
            None => Input::open(&part.feed.name, line, endpoint, place, bytes)?,
        };
        let token = self.id();
        open.places += 1;
        let own = line.interface.is_none();
        let bound = own.then(|| (endpoint, Arc::clone(&input.socket)));
        let opened = OpenLine { token, bound };
        open.lines.insert(line.name.clone(), opened);
        let step = Step::AddInput(token, line.name.clone(), Box::new(input));
        self.steps.push(step);
        Ok(())
    }

    fn open_recovery(
        &mut self,
        open: &mut OpenChannel,
        part: Part<'_>,
        bytes: usize,
    ) -> Result<(), EngineError> {
        let Some(config) = &part.feed.recovery else {
            return Ok(());
        };
        let servers = part.servers();
        let place = (open.id, open.places);
        let input = Input::open_recovery(&part.feed.name, servers, place, bytes)?;
        let asking = input.socket.try_clone().map_err(EngineError::open(format!(
            "feed {}, recovery: cannot share a socket",
            part.feed.name
        )))?;
        let recovery = Recovery {
            line: open.places,
            wait_ns: config.wait_ns,
            retry_ns: config.retry_ns,
        };
        let token = self.id();
        open.places += 1;
        open.recovery = Some(OpenLine { token, bound: None });
        let name = RECOVERY_LINE.to_owned();
        self.steps
            .push(Step::AddInput(token, name, Box::new(input)));
        let (limits, asker) = (part.limits(), Asker::new(asking, servers.to_vec()));
        let alter = move |channel: &mut Channel| {
            channel.arbiter.set_terms(limits, Some(recovery));
            channel.asker = Some(asker);
        };
        self.steps.push(Step::Alter(open.id, Box::new(alter)));
        Ok(())
    }

    fn open_answering(
        &mut self,
        open: &mut OpenChannel,
        part: Part<'_>,
        protocol: &'static Protocol,
    ) -> Result<(), EngineError> {
        let Some((listen, memory_bytes, rate)) = part.re_requests() else {
            return Ok(());
        };
        let who = format!("feed {}, channel {}", part.feed.name, part.channel);
        let before = self.take_over(listen)?;
        let answering = Answering::open(&who, before, (listen, open.id), rate)?;
        let token = self.id();
        open.answering = Some(OpenAnswering {
            token,
            bound: (listen, Arc::clone(&answering.socket)),
        });
        self.steps
            .push(Step::AddAnswering(token, Box::new(answering)));
        let memory = part.memory(protocol, memory_bytes);
        let alter = move |channel: &mut Channel| channel.memory = Some(memory);
        self.steps.push(Step::Alter(open.id, Box::new(alter)));
        Ok(())
    }

    fn alter_channel(
        &mut self,
        key: &Key,
        old: Part<'_>,
        new: Part<'_>,
        bytes: usize,
    ) -> Result<(), EngineError> {
        let Some(mut open) = self.opened.channels.remove(key) else {
            return Ok(());
        };
        let name = format!("{}/{}", key.0, key.1);
        self.alter_lines(&mut open, &name, (old, new), bytes)?;
        self.alter_recovery(&mut open, &name, (old, new), bytes)?;
        self.alter_answering(&mut open, &name, (old, new))?;
        let protocol = new.protocol()?;
        if old.feed.payload_bytes != new.feed.payload_bytes {
            let packer = new.packer(protocol);
            let alter = move |channel: &mut Channel| channel.set_packer(packer, monotonic_ns());
            self.steps.push(Step::Alter(open.id, Box::new(alter)));
            self.note("settings", name, CHANGED);
        }
        self.opened.channels.insert(key.clone(), open);
        Ok(())
    }

    fn alter_lines(
        &mut self,
        open: &mut OpenChannel,
        name: &str,
        (old, new): (Part<'_>, Part<'_>),
        bytes: usize,
    ) -> Result<(), EngineError> {
        let before: BTreeMap<&str, &LineConfig> = by_name(&old.feed.lines);
        let after: BTreeMap<&str, &LineConfig> = by_name(&new.feed.lines);
        let mut leaving = Vec::new();
        for line in &new.feed.lines {
            let way = new.way(line)?;
            let was = before.get(line.name.as_str());
            let was = was.map(|line| old.way(line)).transpose()?;
            let token = open.lines.get(&line.name).map(|line| line.token);
            let line_name = format!("{name}/{}", line.name);
            match (was, token) {
                (Some(was), Some(_)) if was == way => {}
                (Some(was), Some(token)) if way.is_other_source_of(&was) => {
                    let sources = line.source.into_iter().collect();
                    self.steps.push(Step::SetSources(token, sources));
                    self.note("line", line_name, CHANGED);
                }
                (was, token) => {
                    // The new socket first: in between both bring their copies, which costs nothing.
                    self.open_line(open, new, line, bytes)?;
                    leaving.extend(token);
                    self.note(
                        "line",
                        line_name,
                        if was.is_some() { CHANGED } else { ADDED },
                    );
                }
            }
        }
        for line in old.feed.lines.iter().map(|line| &line.name) {
            if !after.contains_key(line.as_str()) {
                leaving.extend(open.lines.remove(line).map(|line| line.token));
                self.note("line", format!("{name}/{line}"), REMOVED);
            }
        }
        self.steps
            .extend(leaving.into_iter().map(Step::RemoveInput));
        Ok(())
    }

    fn alter_recovery(
        &mut self,
        open: &mut OpenChannel,
        name: &str,
        (old, new): (Part<'_>, Part<'_>),
        bytes: usize,
    ) -> Result<(), EngineError> {
        let terms = |part: Part<'_>| {
            let recovery = part.feed.recovery.as_ref();
            recovery.map(|it| (it.wait_ns, it.retry_ns, part.servers().to_vec()))
        };
        let waits = |part: Part<'_>| (part.feed.hole_wait_ns, part.feed.held_bytes);
        let (was, is) = (terms(old), terms(new));
        if was == is && waits(old) == waits(new) {
            return Ok(());
        }
        let before = open.recovery.take().map(|line| line.token);
        if is.is_some() {
            self.open_recovery(open, new, bytes)?;
        } else {
            let limits = new.limits();
            let alter = move |channel: &mut Channel| {
                channel.arbiter.set_terms(limits, None);
                channel.asker = None;
            };
            self.steps.push(Step::Alter(open.id, Box::new(alter)));
        }
        self.steps.extend(before.map(Step::RemoveInput));
        if waits(old) != waits(new) {
            self.note("settings", name, CHANGED);
        }
        if let Some(change) = change_of(was.as_ref(), is.as_ref()) {
            self.note("recovery", name, change);
        }
        Ok(())
    }

    fn alter_answering(
        &mut self,
        open: &mut OpenChannel,
        name: &str,
        (old, new): (Part<'_>, Part<'_>),
    ) -> Result<(), EngineError> {
        let (was, is) = (old.re_requests(), new.re_requests());
        let same_payload = old.feed.payload_bytes == new.feed.payload_bytes;
        let protocol = new.protocol()?;
        match (was, is) {
            _ if was == is && (same_payload || is.is_none()) => return Ok(()),
            (Some((listened, _, _)), Some((listens, bytes, rate))) if listened == listens => {
                // What is remembered goes on being remembered, within the new bounds.
                let (sessions, payload) = (new.sessions(), new.feed.payload_bytes);
                let alter = move |channel: &mut Channel| {
                    let fresh = Memory::new(protocol, sessions, payload, bytes);
                    channel.memory = Some(match channel.memory.take() {
                        Some(memory) => memory.moved_to(fresh),
                        None => fresh,
                    });
                };
                self.steps.push(Step::Alter(open.id, Box::new(alter)));
                let answering = open.answering.iter();
                self.steps
                    .extend(answering.map(|it| Step::SetAnswerRate(it.token, rate)));
            }
            _ => {
                let before = open.answering.take();
                if is.is_some() {
                    self.open_answering(open, new, protocol)?;
                } else {
                    let alter = |channel: &mut Channel| channel.memory = None;
                    self.steps.push(Step::Alter(open.id, Box::new(alter)));
                }
                let before = before.map(|it| Step::RemoveAnswering(it.token));
                self.steps.extend(before);
            }
        }
        if let Some(change) = change_of(was.as_ref(), is.as_ref()) {
            self.note("re-requests", name, change);
        }
        Ok(())
    }

    fn alter_subscribers(
        &mut self,
        before: &[SubscriberConfig],
        config: &EngineConfig,
        gone: &BTreeSet<Key>,
    ) -> Result<(), EngineError> {
        let was = deliveries(before);
        let is = deliveries(&config.subscribers);
        for (key, old) in &was {
            let channel = (key.1.to_owned(), key.2.to_owned());
            let stays = is.get(key).is_some_and(|new| new == old);
            if stays && !gone.contains(&channel) {
                continue;
            }
            if let Some(open) = self.opened.channels.get(&channel) {
                let step = Step::RemoveDelivery(open.id, key.0.to_owned());
                self.steps.push(step);
            }
            if !is.contains_key(key) {
                self.note("subscriber", key.name(), REMOVED);
            }
        }
        for (key, new) in &is {
            let channel = (key.1.to_owned(), key.2.to_owned());
            let stays = was.get(key).is_some_and(|old| old == new);
            if stays && !gone.contains(&channel) {
                continue;
            }
            let Some(id) = self.opened.channels.get(&channel).map(|open| open.id) else {
                return Err(EngineError::Config(format!(
                    "subscriber {}: no channel {} in feed {}",
                    key.0, key.2, key.1
                )));
            };
            let output = Output::open(new.0).map_err(EngineError::open(format!(
                "subscriber {}: cannot open a socket",
                key.0
            )))?;
            let delivery = Delivery::new(key.0, new.1, output);
            self.steps.push(Step::AddDelivery(id, Box::new(delivery)));
            let change = if was.contains_key(key) {
                CHANGED
            } else {
                ADDED
            };
            self.note("subscriber", key.name(), change);
        }
        if rates(before) != rates(&config.subscribers) {
            self.note("limits", "", CHANGED);
        }
        self.steps.push(Step::SetLimits(rates(&config.subscribers)));
        let names = config.subscribers.iter().map(|it| it.name.clone());
        self.steps.push(Step::SetSubscribers(names.collect()));
        Ok(())
    }
}

impl Way<'_> {
    /// Whether the same socket does, with another look at who sends.
    fn is_other_source_of(&self, was: &Self) -> bool {
        let unicast = self.interface.is_none() && was.interface.is_none();
        unicast && self.endpoint == was.endpoint
    }
}

fn by_name(lines: &[LineConfig]) -> BTreeMap<&str, &LineConfig> {
    lines
        .iter()
        .map(|line| (line.name.as_str(), line))
        .collect()
}

fn change_of<T: PartialEq>(was: Option<&T>, is: Option<&T>) -> Option<&'static str> {
    match (was, is) {
        (None, Some(_)) => Some(ADDED),
        (Some(_), None) => Some(REMOVED),
        (Some(was), Some(is)) if was != is => Some(CHANGED),
        _ => None,
    }
}

/// Subscriber, feed and channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a>(&'a str, &'a str, &'a str);

impl Place<'_> {
    fn name(&self) -> String {
        format!("{}/{}/{}", self.0, self.1, self.2)
    }
}

fn deliveries(subscribers: &[SubscriberConfig]) -> BTreeMap<Place<'_>, (SocketAddrV4, Form)> {
    let mut all = BTreeMap::new();
    for subscriber in subscribers {
        for output in &subscriber.outputs {
            let place = Place(&subscriber.name, &output.feed, &output.channel);
            all.insert(place, (output.to, subscriber.delivery));
        }
    }
    all
}

fn rates(subscribers: &[SubscriberConfig]) -> Rates {
    let mut rates = Rates::new();
    for subscriber in subscribers {
        for limit in &subscriber.limits {
            let feed = rates.entry(limit.feed.clone()).or_default();
            feed.insert(subscriber.name.clone(), limit.rate());
        }
    }
    rates
}
