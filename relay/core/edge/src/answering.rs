//! The relay's own re-request server: one socket for each channel that has one.
//!
//! It is no amplifier. Only addresses that the channel's subscribers have are answered, a request gets one datagram at most,
//! and each address has a rate of its own; whatever else arrives is counted and gets nothing, not even a refusal.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use lanecast_relay_core::{Answer, Rate, RateLimit, Request};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::batch::Batch;
use crate::channel::Channel;
use crate::config::Delivery as Form;
use crate::errors::EngineError;
use crate::snapshot::ReRequestSnapshot;

pub(crate) struct Answering {
    pub socket: Socket,
    pub channel: u64,
    rate: Rate,
    clients: BTreeMap<Ipv4Addr, RateLimit>,
    counted: ReRequestSnapshot,
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
            socket,
            channel,
            rate,
            clients: BTreeMap::new(),
            counted: ReRequestSnapshot::default(),
        })
    }

    pub(crate) fn set_rate(&mut self, answers_per_second: u64) {
        self.rate.datagrams_per_second = Some(answers_per_second);
        self.clients.clear();
    }

    /// Answer the requests of the batch that came last from `channel`'s memory.
    pub(crate) fn receive(&mut self, channel: &Channel, batch: &Batch, now_ns: u64) {
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
            match channel
                .memory
                .as_ref()
                .map(|memory| memory.answer(&request))
            {
                Some(Answer::Packet(packet)) => self.send(&packet, received.sender),
                Some(Answer::Forgotten { .. }) => self.counted.forgotten += 1,
                Some(Answer::Unknown) | None => self.counted.unknown += 1,
            }
        }
        // Whoever is no subscriber any more needs no rate.
        self.clients.retain(|client, _| is_known(channel, *client));
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
        ReRequestSnapshot {
            memory_packets: packets,
            memory_bytes: bytes,
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
