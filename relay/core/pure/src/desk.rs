//! The desk of a re-request server (MoldUDP64 1.0, Request Packet): which request is answered, and with what.
//!
//! It is no amplifier. Only addresses that are known are answered, a request gets one datagram at most, and each address has
//! a rate of its own; whatever else arrives is counted and gets nothing, not even a refusal.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::memory::{Answer, Memory, Request};
use crate::rate::{Rate, RateLimit};

/// What requests came, and which of them got nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    pub requests: u64,
    pub malformed: u64,
    pub strangers: u64,
    pub limited: u64,
    pub unknown: u64,
}

/// What a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is counted in [`Turned`].
    Nothing,
    /// Whoever looked it up has to count what became of it.
    LookUp(Request, Answer),
}

/// Takes requests; pure, so that time and addresses come in.
#[derive(Clone, Debug)]
pub struct Desk {
    rate: Rate,
    clients: BTreeMap<Ipv4Addr, RateLimit>,
    turned: Turned,
}

impl Desk {
    #[must_use]
    pub fn new(answers_per_second: u64) -> Self {
        Self {
            rate: rate(answers_per_second),
            clients: BTreeMap::new(),
            turned: Turned::default(),
        }
    }

    /// From now on each address has this rate, and a full allowance.
    pub fn set_rate(&mut self, answers_per_second: u64) {
        self.rate = rate(answers_per_second);
        self.clients.clear();
    }

    /// One request of `client`. The answer in [`Reply::LookUp`] is never [`Answer::Unknown`].
    pub fn receive(
        &mut self,
        datagram: &[u8],
        client: Ipv4Addr,
        is_known: impl Fn(Ipv4Addr) -> bool,
        memory: Option<&Memory>,
        now_ns: u64,
    ) -> Reply {
        self.turned.requests += 1;
        let Some(request) = Request::read(datagram) else {
            self.turned.malformed += 1;
            return Reply::Nothing;
        };
        if !is_known(client) {
            self.turned.strangers += 1;
            return Reply::Nothing;
        }
        let rate = self.rate;
        let limit = self.clients.entry(client);
        let limit = limit.or_insert_with(|| RateLimit::new(rate, now_ns));
        if !limit.admit(datagram.len(), now_ns) {
            self.turned.limited += 1;
            return Reply::Nothing;
        }
        match memory.map_or(Answer::Unknown, |memory| memory.answer(&request)) {
            Answer::Unknown => {
                self.turned.unknown += 1;
                Reply::Nothing
            }
            answer => Reply::LookUp(request, answer),
        }
    }

    /// Whoever is not known any more needs no rate, once all of it is there again: going and coming is worth nothing.
    pub fn keep_known(&mut self, is_known: impl Fn(Ipv4Addr) -> bool, now_ns: u64) {
        self.clients
            .retain(|client, limit| is_known(*client) || !limit.is_full(now_ns));
    }

    #[must_use]
    pub fn turned(&self) -> Turned {
        self.turned
    }
}

fn rate(answers_per_second: u64) -> Rate {
    Rate {
        datagrams_per_second: Some(answers_per_second),
        bits_per_second: None,
    }
}
