//! The relay's own re-request server: one socket for each channel that has one. The desk decides, the socket answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use lanecast_relay_core::{Answer, Desk, Reply, Request};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::answered::{Later, Numbers};
use crate::batch::Batch;
use crate::channel::Channel;
use crate::config::Delivery as Form;
use crate::delivery::{Delivery, Sending};
use crate::errors::EngineError;
use crate::past::{Counted, Past, Question};
use crate::snapshot::ReRequestSnapshot;

pub(crate) struct Answering {
    pub socket: Arc<Socket>,
    pub channel: u64,
    desk: Desk,
    answers: u64,
    answer_bytes: u64,
    errors: u64,
    forgotten: u64,
    /// Kept back by subscribers' limits.
    limited: u64,
    /// What the journal's thread did for it.
    past: Arc<Counted>,
}

impl Answering {
    /// On `before` where somebody listened there already.
    pub(crate) fn open(
        who: &str,
        before: Option<Socket>,
        (listen, channel): (SocketAddrV4, u64),
        answers_per_second: u64,
    ) -> Result<Self, EngineError> {
        let open = || {
            if let Some(before) = before {
                return Ok(before);
            }
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            socket.bind(&SockAddr::from(listen))?;
            io::Result::Ok(socket)
        };
        let socket = open().map_err(EngineError::open(format!(
            "{who}: cannot listen for re-requests on {listen}"
        )))?;
        Ok(Self {
            socket: Arc::new(socket),
            channel,
            desk: Desk::new(answers_per_second),
            answers: 0,
            answer_bytes: 0,
            errors: 0,
            forgotten: 0,
            limited: 0,
            past: Arc::default(),
        })
    }

    pub(crate) fn set_rate(&mut self, answers_per_second: u64) {
        self.desk.set_rate(answers_per_second);
    }

    /// Answer the requests of the batch that came last from `channel`'s memory, or have them looked up in the `past`. An
    /// answer is a datagram of the channel like any other: it takes from the limits of who asked, and is counted there.
    pub(crate) fn receive(
        &mut self,
        channel: &mut Channel,
        sending: &mut Sending,
        past: Option<&Past>,
        batch: &Batch,
        now_ns: u64,
    ) {
        for received in batch.datagrams() {
            let client = *received.sender.ip();
            let known = |client| is_known(channel, client);
            let memory = channel.memory.as_ref();
            let reply = self
                .desk
                .receive(received.datagram, client, known, memory, now_ns);
            if let Reply::LookUp(request, answer) = reply {
                let about = (request, answer, received.sender);
                self.give(channel, sending, past, about, now_ns);
            }
        }
        self.desk
            .keep_known(|client| is_known(channel, client), now_ns);
    }

    /// The desk has taken the request.
    fn give(
        &mut self,
        channel: &mut Channel,
        sending: &mut Sending,
        past: Option<&Past>,
        (request, answer, to): (Request, Answer, SocketAddrV4),
        now_ns: u64,
    ) {
        let at = asker(channel, sending, to);
        let later = at.and_then(|at| Some(channel.deliveries.get_mut(at)?.later.clone()));
        let question = later.and_then(|it| self.question(channel, request, &answer, to, it));
        let memory = channel.memory.as_ref();
        let delivery = at.and_then(|at| channel.deliveries.get_mut(at));
        // How long what the journal has will be is not known yet: it counts as a full datagram.
        let (bytes, question) = match (&answer, question, past) {
            (Answer::Packet(packet), ..) => (packet.len(), None),
            (_, Some(question), Some(past)) => (question.room_bytes, Some((question, past))),
            _ => (0, None),
        };
        let Some(delivery) = delivery.filter(|_| bytes > 0) else {
            self.forgotten += 1;
            return;
        };
        if !sending.admit(&channel.feed, &delivery.subscriber, bytes, now_ns) {
            delivery.answers_limited += 1;
            self.limited += 1;
            return;
        }
        if let Answer::Packet(packet) = answer {
            if self.send(&packet, to) {
                let known = memory.and_then(|memory| memory.known(&request.session));
                let numbers = known.and_then(|it| Numbers::of(&packet, it.stream, it.epoch));
                delivery.answered.count(packet.len(), numbers);
            }
        } else if !question.is_some_and(|(question, past)| past.ask(question)) {
            self.forgotten += 1;
        }
    }

    /// What the journal is asked for when the memory has let go of it; none where the journal could not tell.
    fn question(
        &self,
        channel: &Channel,
        request: Request,
        answer: &Answer,
        to: SocketAddrV4,
        later: Later,
    ) -> Option<Question> {
        let Answer::Forgotten {
            stream,
            epoch,
            first,
            end,
        } = *answer
        else {
            return None;
        };
        let memory = channel.memory.as_ref()?;
        // Where the header does not name the epoch, the journal can only tell the latest one from the others.
        if !channel.protocol.names_epochs() && !memory.is_latest(stream, epoch) {
            return None;
        }
        Some(Question {
            socket: Arc::clone(&self.socket),
            to,
            feed: channel.feed.clone(),
            channel: channel.name.clone(),
            protocol: channel.protocol,
            session: request.session,
            stream,
            epoch,
            first,
            end,
            room_bytes: memory.room_bytes(),
            counted: Arc::clone(&self.past),
            later,
        })
    }

    /// Returns whether it left.
    fn send(&mut self, packet: &[u8], to: SocketAddrV4) -> bool {
        let sent = self.socket.send_to(packet, &SockAddr::from(to)).is_ok();
        if sent {
            self.answers += 1;
            self.answer_bytes += packet.len() as u64;
        } else {
            self.errors += 1;
        }
        sent
    }

    pub(crate) fn snapshot(&self, channel: &Channel) -> ReRequestSnapshot {
        let (packets, bytes) = channel
            .memory
            .as_ref()
            .map_or((0, 0), |memory| memory.kept());
        // What ended is read before what began, so that nothing ends twice.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (answers, not_found) = (read(&self.past.answers), read(&self.past.not_found));
        let (errors, asked) = (read(&self.past.errors), read(&self.past.asked));
        let turned = self.desk.turned();
        ReRequestSnapshot {
            memory_packets: packets,
            memory_bytes: bytes,
            requests: turned.requests,
            malformed: turned.malformed,
            strangers: turned.strangers,
            limited: turned.limited + self.limited,
            unknown: turned.unknown,
            answers: self.answers + answers,
            answers_from_journal: answers,
            answer_bytes: self.answer_bytes + read(&self.past.answer_bytes),
            forgotten: self.forgotten + not_found,
            errors: self.errors + errors,
            waiting: asked.saturating_sub(answers + not_found + errors),
        }
    }
}

/// Whether somebody who gets the channel in a form that has MoldUDP64's numbers lives there.
fn is_known(channel: &Channel, client: Ipv4Addr) -> bool {
    askers(channel, client).next().is_some()
}

fn askers(channel: &Channel, client: Ipv4Addr) -> impl Iterator<Item = (usize, &Delivery)> {
    let asks = |form: Form| form == Form::Mold || channel.protocol.requests;
    let there = move |it: &Delivery| *it.output.to.ip() == client && asks(it.form);
    let all = channel.deliveries.iter().enumerate();
    all.filter(move |(_, delivery)| there(delivery))
}

/// Whose request it is. Where several subscribers have one address, it is theirs who get the channel at the port that asks;
/// from another port it is a limited one's before it is anybody's who has no limits.
fn asker(channel: &Channel, sending: &Sending, from: SocketAddrV4) -> Option<usize> {
    let all = || askers(channel, *from.ip());
    let limited = |it: &Delivery| sending.limits(&channel.feed, &it.subscriber);
    let exact = all().find(|(_, delivery)| delivery.output.to == from);
    let found = exact.or_else(|| all().find(|(_, delivery)| limited(delivery)));
    Some(found.or_else(|| all().next())?.0)
}
