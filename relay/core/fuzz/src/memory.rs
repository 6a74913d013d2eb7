//! What left is kept and asked for again: answers are what left, within their room, and nothing else.

use std::collections::BTreeMap;

use lanecast_relay_core::{
    find, Action, Answer, ChannelArbiter, Limits, Memory, Outgoing, Request, Sessions,
};

use crate::framings::{framing, Message, Said};
use crate::input::Input;

const MS: u64 = 1_000_000;
const ROOM_BYTES: usize = 200;

/// Sends MoldUDP64 over one line, in any order, and asks for any of it.
pub fn check(data: &[u8]) {
    let input = &mut Input::new(data);
    let mold = find("moldudp64").expect("it is one of the protocols");
    let framing = framing("moldudp64");
    let most_bytes = 100 + input.below(65_536) as usize;
    let limits = Limits {
        hole_wait_ns: MS,
        held_bytes: 4000,
        held_packets: 16,
    };
    let mut arbiter = ChannelArbiter::new(mold, 1, limits);
    let mut memory = Memory::new(
        mold,
        Sessions::of("feed", "channel"),
        ROOM_BYTES,
        most_bytes,
    );
    let mut left: BTreeMap<(u64, u64), ()> = BTreeMap::new();
    let (mut now_ns, mut actions) = (0, Vec::new());
    while !input.is_empty() {
        now_ns += input.below(4) * MS / 2;
        let first = Message {
            stream: 0,
            epoch: input.below(3),
            index: input.below(300),
        };
        arbiter.on_deadline(now_ns, &mut actions);
        let datagram = match input.below(4) {
            0 => {
                answer(&memory, framing.name, first, input, &left);
                Vec::new()
            }
            _ => (framing.write)(first, 1 + input.below(20)),
        };
        if !datagram.is_empty() {
            arbiter.receive(0, &datagram, now_ns, &mut actions);
        }
        for action in actions.drain(..) {
            if let Action::Send(outgoing, content) = action {
                let bytes = match &outgoing {
                    Outgoing::Received => &datagram,
                    Outgoing::Owned(bytes) => bytes,
                };
                memory.keep(bytes, content);
                let Said::Messages { first, end } = (framing.read)(bytes) else {
                    continue;
                };
                left.extend((first.index..end).map(|index| ((first.epoch, index), ())));
            }
        }
        assert!(
            memory.kept().1 <= most_bytes,
            "more is kept than there is room for"
        );
    }
}

fn answer(
    memory: &Memory,
    name: &str,
    first: Message,
    input: &mut Input<'_>,
    left: &BTreeMap<(u64, u64), ()>,
) {
    let framing = framing(name);
    let session = format!("S{:09}", first.epoch)
        .into_bytes()
        .try_into()
        .expect("ten bytes");
    let request = Request {
        session,
        number: first.index + 1,
        count: 1 + input.below(300) as u16,
    };
    let asked = first.index..first.index + u64::from(request.count);
    match memory.answer(&request) {
        Answer::Packet(datagram) => {
            let Said::Messages {
                first: answered,
                end,
            } = (framing.read)(&datagram)
            else {
                panic!("an answer without a message");
            };
            assert_eq!(answered, first, "an answer begins where the question does");
            assert!(end <= asked.end, "an answer is no longer than the question");
            assert!(datagram.len() <= ROOM_BYTES || end == answered.index + 1);
            assert!((answered.index..end).all(|index| left.contains_key(&(answered.epoch, index))));
        }
        Answer::Forgotten {
            first: from, end, ..
        } => {
            assert_eq!(from, request.number);
            assert!(from < end && end <= asked.end + 1);
        }
        Answer::Unknown => {}
    }
}
