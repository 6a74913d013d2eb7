//! Datagrams of each protocol, written by hand, and a driver with a clock of its own.
#![allow(dead_code)] // each test file uses a part
#![allow(clippy::unwrap_used)] // helpers of tests: a wrong datagram is a wrong test

mod random;

use lanecast_relay_core::{find, Action, Limits, Outgoing, Protocol, StreamArbiter};

#[allow(unused_imports)] // each test file uses a part
pub use random::Random;

pub const MS: u64 = 1_000_000;
pub const WAIT: u64 = 20 * MS;
pub const SESSION: &[u8; 10] = b"20261123AA";

pub fn protocol(name: &str) -> &'static Protocol {
    find(name).unwrap()
}

pub fn mold_header(session: &[u8; 10], first: u64, count: u16) -> Vec<u8> {
    [
        session.as_slice(),
        &first.to_be_bytes(),
        &count.to_be_bytes(),
    ]
    .concat()
}

/// Messages `first..first + count`, each of which says its own number, in lengths that differ.
pub fn mold(session: &[u8; 10], first: u64, count: u16) -> Vec<u8> {
    let mut packet = mold_header(session, first, count);
    for number in first..first + u64::from(count) {
        let body = mold_body(session, number);
        packet.extend((body.len() as u16).to_be_bytes());
        packet.extend(body);
    }
    packet
}

fn mold_body(session: &[u8; 10], number: u64) -> Vec<u8> {
    let mut body = format!("{}:{number}:", session[9]).into_bytes();
    body.resize(body.len() + (number % 5) as usize, b'.');
    body
}

pub fn cme_template(number: u32, template: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = number.to_le_bytes().to_vec();
    packet.extend(1_700_000_000_000_000_000u64.to_le_bytes());
    packet.extend((10 + body.len() as u16).to_le_bytes());
    packet.extend(
        [body.len() as u16, template, 1, 9]
            .iter()
            .flat_map(|field| field.to_le_bytes()),
    );
    packet.extend(body);
    packet
}

pub fn cme(number: u32, body: &[u8]) -> Vec<u8> {
    cme_template(number, 46, body)
}

pub fn cme_reset(number: u32, body: &[u8]) -> Vec<u8> {
    cme_template(number, 4, body)
}

/// The numbers of a mold packet, read without the crate; checks that each message is the one that its number says.
pub fn mold_numbers(packet: &[u8]) -> Vec<u64> {
    let session: &[u8; 10] = packet[..10].try_into().unwrap();
    let first = u64::from_be_bytes(packet[10..18].try_into().unwrap());
    let count = u64::from(u16::from_be_bytes(packet[18..20].try_into().unwrap()));
    let mut rest = &packet[20..];
    for number in first..first + count {
        let size = usize::from(u16::from_be_bytes(rest[..2].try_into().unwrap()));
        assert_eq!(
            rest[2..2 + size],
            mold_body(session, number),
            "message {number} is another one"
        );
        rest = &rest[2 + size..];
    }
    assert!(rest.is_empty(), "bytes after the last message");
    (first..first + count).collect()
}

pub fn cme_number(packet: &[u8]) -> u32 {
    u32::from_le_bytes(packet[..4].try_into().unwrap())
}

/// An arbiter that is called as the edge calls it: deadlines first, then what arrived.
pub struct Driver {
    pub arbiter: StreamArbiter,
    pub lines: usize,
    /// What left, in order.
    pub sent: Vec<Vec<u8>>,
    /// When each of `sent` left.
    pub sent_ns: Vec<u64>,
    /// What was given up, as on the wire.
    pub lost: Vec<(u64, u64)>,
    /// What was asked for again, as on the wire, and when.
    pub asked: Vec<(u64, u64, u64)>,
}

impl Driver {
    pub fn new(name: &str, lines: usize) -> Self {
        Self::with_limits(name, lines, limits())
    }

    pub fn with_limits(name: &str, lines: usize, limits: Limits) -> Self {
        Self {
            arbiter: StreamArbiter::new(protocol(name), lines, limits),
            lines,
            sent: Vec::new(),
            sent_ns: Vec::new(),
            lost: Vec::new(),
            asked: Vec::new(),
        }
    }

    pub fn receive(&mut self, line: usize, datagram: &[u8], now_ns: u64) {
        self.advance(now_ns);
        let mut actions = Vec::new();
        self.arbiter.receive(line, datagram, now_ns, &mut actions);
        self.take(actions, datagram, now_ns);
    }

    /// Let time pass up to `now_ns`, stopping at every deadline on the way.
    pub fn advance(&mut self, now_ns: u64) {
        while let Some(at) = self.arbiter.next_deadline_ns().filter(|at| *at <= now_ns) {
            let mut actions = Vec::new();
            self.arbiter.on_deadline(at, &mut actions);
            self.take(actions, &[], at);
            assert_ne!(
                self.arbiter.next_deadline_ns(),
                Some(at),
                "a deadline that was served is still there"
            );
        }
    }

    pub fn drain(&mut self, now_ns: u64) {
        let mut actions = Vec::new();
        self.arbiter.drain(now_ns, &mut actions);
        self.take(actions, &[], now_ns);
        assert_eq!(self.arbiter.state().held_packets, 0);
        assert_eq!(self.arbiter.state().held_bytes, 0);
    }

    fn take(&mut self, actions: Vec<Action>, received: &[u8], now_ns: u64) {
        for action in actions {
            match action {
                Action::Send(Outgoing::Received, _) => self.sent.push(received.to_vec()),
                Action::Send(Outgoing::Owned(bytes), _) => self.sent.push(bytes),
                Action::Missing { first, last, .. } => {
                    assert!(first <= last);
                    let range = (self.arbiter.wire(first), self.arbiter.wire(last));
                    self.asked.push((range.0, range.1, now_ns));
                }
                Action::Lost { first, last, .. } => {
                    assert!(first <= last);
                    self.lost
                        .push((self.arbiter.wire(first), self.arbiter.wire(last)));
                }
            }
        }
        self.sent_ns.resize(self.sent.len(), now_ns);
        self.check_accounting();
    }

    /// Design, decision 6: at any instant.
    pub fn check_accounting(&self) {
        for line in 0..self.lines {
            let counters = self.arbiter.counters(line);
            assert_eq!(
                counters.received,
                counters.accounted(),
                "line {line}: {counters:?}"
            );
        }
    }

    pub fn sent_numbers(&self) -> Vec<u64> {
        self.sent
            .iter()
            .flat_map(|packet| mold_numbers(packet))
            .collect()
    }

    pub fn sent_cme(&self) -> Vec<u32> {
        self.sent.iter().map(|packet| cme_number(packet)).collect()
    }
}

pub fn limits() -> Limits {
    Limits {
        hole_wait_ns: WAIT,
        held_bytes: 1 << 20,
        held_packets: 4096,
    }
}
