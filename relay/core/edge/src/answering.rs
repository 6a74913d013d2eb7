//! The relay's own re-request server: one socket for each channel that has one. The desk decides, the socket answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use lanecast_relay_core::{Answer, Desk, Reply, Request};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::batch::Batch;
use crate::channel::Channel;
use crate::config::Delivery as Form;
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
            past: Arc::default(),
        })
    }

    pub(crate) fn set_rate(&mut self, answers_per_second: u64) {
        self.desk.set_rate(answers_per_second);
    }

    /// Answer the requests of the batch that came last from `channel`'s memory, or have them looked up in the `past`.
    pub(crate) fn receive(
        &mut self,
        channel: &Channel,
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
            match reply {
                Reply::Nothing => {}
                Reply::LookUp(_, Answer::Packet(packet)) => self.send(&packet, received.sender),
                Reply::LookUp(request, answer) => {
                    let question = self.question(channel, request, &answer, received.sender);
                    if !question.is_some_and(|it| past.is_some_and(|past| past.ask(it))) {
                        self.forgotten += 1;
                    }
                }
            }
        }
        self.desk.keep_known(|client| is_known(channel, client));
    }

    /// What the journal is asked for when the memory has let go of it; none where the journal could not tell.
    fn question(
        &self,
        channel: &Channel,
        request: Request,
        answer: &Answer,
        to: SocketAddrV4,
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
        })
    }

    fn send(&mut self, packet: &[u8], to: SocketAddrV4) {
        match self.socket.send_to(packet, &SockAddr::from(to)) {
            Ok(_) => {
                self.answers += 1;
                self.answer_bytes += packet.len() as u64;
            }
            Err(_) => self.errors += 1,
        }
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
            limited: turned.limited,
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
    let asks = |form: Form| form == Form::Mold || channel.protocol.requests;
    channel
        .deliveries
        .iter()
        .any(|delivery| *delivery.output.to.ip() == client && asks(delivery.form))
}
