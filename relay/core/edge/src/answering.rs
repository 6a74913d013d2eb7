//! The relay's own re-request server: one socket for each channel that has one.
//!
//! It is no amplifier. Only addresses that the channel's subscribers have are answered, a request gets one datagram at most,
//! and each address has a rate of its own; whatever else arrives is counted and gets nothing, not even a refusal.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use lanecast_relay_core::{Answer, Rate, RateLimit, Request};
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
    rate: Rate,
    clients: BTreeMap<Ipv4Addr, RateLimit>,
    counted: ReRequestSnapshot,
    /// What the journal's thread did for it.
    past: Arc<Counted>,
}

impl Answering {
    pub(crate) fn open(
        who: &str,
        listen: SocketAddrV4,
        channel: u64,
        answers_per_second: u64,
    ) -> Result<Self, EngineError> {
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            socket.bind(&SockAddr::from(listen))?;
            io::Result::Ok(socket)
        };
        let socket = open().map_err(EngineError::open(format!(
            "{who}: cannot listen for re-requests on {listen}"
        )))?;
        let rate = Rate {
            datagrams_per_second: Some(answers_per_second),
            bits_per_second: None,
        };
        Ok(Self {
            socket: Arc::new(socket),
            channel,
            rate,
            clients: BTreeMap::new(),
            counted: ReRequestSnapshot::default(),
            past: Arc::default(),
        })
    }

    pub(crate) fn set_rate(&mut self, answers_per_second: u64) {
        self.rate.datagrams_per_second = Some(answers_per_second);
        self.clients.clear();
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
            self.counted.requests += 1;
            let Some(request) = Request::read(received.datagram) else {
                self.counted.malformed += 1;
                continue;
            };
            let client = *received.sender.ip();
            if !is_known(channel, client) {
                self.counted.strangers += 1;
                continue;
            }
            let rate = self.rate;
            let limit = self
                .clients
                .entry(client)
                .or_insert_with(|| RateLimit::new(rate, now_ns));
            if !limit.admit(received.datagram.len(), now_ns) {
                self.counted.limited += 1;
                continue;
            }
            self.answer(channel, past, &request, received.sender);
        }
        // Whoever is no subscriber any more needs no rate.
        self.clients.retain(|client, _| is_known(channel, *client));
    }

    fn answer(
        &mut self,
        channel: &Channel,
        past: Option<&Past>,
        request: &Request,
        to: SocketAddrV4,
    ) {
        let Some(memory) = &channel.memory else {
            self.counted.unknown += 1;
            return;
        };
        match memory.answer(request) {
            Answer::Packet(packet) => self.send(&packet, to),
            Answer::Unknown => self.counted.unknown += 1,
            Answer::Forgotten {
                stream,
                epoch,
                first,
                end,
            } => {
                // Where the header does not name the epoch, the journal can only tell the latest one from the others.
                let told = channel.protocol.names_epochs() || memory.is_latest(stream, epoch);
                let question = Question {
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
                };
                let past = past.filter(|_| told);
                if !past.is_some_and(|past| past.ask(question)) {
                    self.counted.forgotten += 1;
                }
            }
        }
    }

    fn send(&mut self, packet: &[u8], to: SocketAddrV4) {
        match self.socket.send_to(packet, &SockAddr::from(to)) {
            Ok(_) => {
                self.counted.answers += 1;
                self.counted.answer_bytes += packet.len() as u64;
            }
            Err(_) => self.counted.errors += 1,
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
        ReRequestSnapshot {
            memory_packets: packets,
            memory_bytes: bytes,
            answers: self.counted.answers + answers,
            answers_from_journal: answers,
            answer_bytes: self.counted.answer_bytes + read(&self.past.answer_bytes),
            forgotten: self.counted.forgotten + not_found,
            errors: self.counted.errors + errors,
            waiting: asked.saturating_sub(answers + not_found + errors),
            ..self.counted.clone()
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
