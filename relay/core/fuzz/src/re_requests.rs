//! Requests of anybody to a re-request server: who is answered, how often, and with how much.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use lanecast_relay_core::{
    find, Action, Answer, ChannelArbiter, Desk, Limits, Memory, Outgoing, Reply, Request, Sessions,
};

use crate::framings::{framing, Message, Said};
use crate::input::Input;

const MS: u64 = 1_000_000;
const SECOND_NS: u64 = 1000 * MS;
const ROOM_BYTES: usize = 200;
const CLIENTS: u64 = 8;

/// MoldUDP64 1.0, Request Packet: session, sequence number, message count.
const REQUEST_BYTES: usize = 20;

/// What the desk was asked and what it did, counted apart from it.
struct Model {
    desk: Desk,
    memory: Memory,
    rate: u64,
    /// A bit for each client.
    known: u8,
    requests: u64,
    looked_up: u64,
    /// When each client's requests were looked up, under the rate that holds now.
    times: BTreeMap<u64, Vec<u64>>,
}

/// Messages leave and requests come, in any order; who is known and at which rate changes now and then.
pub fn check(data: &[u8]) {
    let input = &mut Input::new(data);
    let mold = find("moldudp64").expect("it is one of the protocols");
    let rate = 1 + input.below(100);
    let most_bytes = 100 + input.below(65_536) as usize;
    let mut model = Model {
        desk: Desk::new(rate),
        memory: Memory::new(
            mold,
            Sessions::of("feed", "channel"),
            ROOM_BYTES,
            most_bytes,
        ),
        rate,
        known: input.byte(),
        requests: 0,
        looked_up: 0,
        times: BTreeMap::new(),
    };
    let limits = Limits {
        hole_wait_ns: MS,
        held_bytes: 4000,
        held_packets: 16,
    };
    let mut arbiter = ChannelArbiter::new(mold, 1, limits);
    let (mut now_ns, mut next, mut actions) = (0, 0, Vec::new());
    while !input.is_empty() {
        now_ns += input.below(256) * MS;
        match input.below(8) {
            0 => {
                let first = Message {
                    stream: 0,
                    epoch: 0,
                    index: next,
                };
                let count = 1 + input.below(20);
                next += count;
                let datagram = (framing("moldudp64").write)(first, count);
                arbiter.receive(0, &datagram, now_ns, &mut actions);
                for action in actions.drain(..) {
                    if let Action::Send(Outgoing::Received, content) = action {
                        model.memory.keep(&datagram, content);
                    }
                }
            }
            1 => {
                model.rate = 1 + input.below(100);
                model.desk.set_rate(model.rate);
                model.times.clear();
            }
            2 => model.know(input.byte(), now_ns),
            _ => model.ask(input, now_ns),
        }
    }
    let turned = model.desk.turned();
    assert_eq!(turned.requests, model.requests);
    let nothing = turned.malformed + turned.strangers + turned.limited + turned.unknown;
    assert_eq!(
        turned.requests,
        nothing + model.looked_up,
        "each request is counted once"
    );
}

fn address(client: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 8, 2, client as u8)
}

impl Model {
    /// Who goes and comes again has no more than who stays, so the times stay.
    fn know(&mut self, known: u8, now_ns: u64) {
        self.known = known;
        self.desk
            .keep_known(|client| is_known(known, client), now_ns);
    }

    fn ask(&mut self, input: &mut Input<'_>, now_ns: u64) {
        let client = input.below(CLIENTS);
        let datagram = request(input);
        self.requests += 1;
        let known = self.known;
        let reply = self.desk.receive(
            &datagram,
            address(client),
            |client| is_known(known, client),
            Some(&self.memory),
            now_ns,
        );
        let Reply::LookUp(request, answer) = reply else {
            return;
        };
        self.looked_up += 1;
        assert!(known >> client & 1 == 1, "a stranger gets nothing");
        assert_eq!(
            datagram.len(),
            REQUEST_BYTES,
            "nothing but a request is looked up"
        );
        let times = self.times.entry(client).or_default();
        times.push(now_ns);
        assert_rate(times, self.rate);
        assert_answer(&request, &answer);
    }
}

fn is_known(known: u8, client: Ipv4Addr) -> bool {
    known >> client.octets()[3] & 1 == 1
}

/// Any bytes, or a request that could be meant.
fn request(input: &mut Input<'_>) -> Vec<u8> {
    if input.below(4) == 0 {
        let length = input.below(40) as usize;
        return input.bytes(length).to_vec();
    }
    let mut datagram = format!("S{:09}", input.below(2)).into_bytes();
    datagram.extend(input.below(400).to_be_bytes());
    datagram.extend(input.two_bytes().to_be_bytes());
    datagram
}

/// In no stretch of time more than its share and one burst: a tenth of a second's worth, but one at least.
fn assert_rate(times: &[u64], rate: u64) {
    let now_ns = times.last().copied().unwrap_or_default();
    for (at, began_ns) in times.iter().enumerate() {
        let answered = (times.len() - at) as u64;
        let share = u128::from(now_ns - began_ns) * u128::from(rate) / u128::from(SECOND_NS);
        let burst = (rate / 10).max(1) + 1; // 1: of a share that is not whole
        assert!(
            u128::from(answered) <= share + u128::from(burst),
            "more than its rate"
        );
    }
}

fn assert_answer(request: &Request, answer: &Answer) {
    let asked = request.number..request.number.saturating_add(u64::from(request.count));
    match answer {
        Answer::Packet(datagram) => {
            let Said::Messages { first, end } = (framing("moldudp64").read)(datagram) else {
                panic!("an answer without a message");
            };
            assert_eq!(
                datagram[..10],
                request.session,
                "of the session that was asked about"
            );
            assert_eq!(
                first.index + 1,
                asked.start,
                "an answer begins where the question does"
            );
            assert!(end < asked.end, "an answer is no longer than the question");
            assert!(datagram.len() <= ROOM_BYTES || end == first.index + 1);
        }
        Answer::Forgotten { first, end, .. } => {
            assert!(asked.start <= *first && first < end && *end <= asked.end);
        }
        Answer::Unknown => panic!("what is not known is turned away"),
    }
}
