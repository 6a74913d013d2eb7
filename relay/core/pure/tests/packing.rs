//! Messages packed anew, and asked for again: all of them, in order, in datagrams that fit.

#![allow(clippy::unwrap_used)]

mod common;

use common::{mold_header, protocol, SESSION};
use lanecast_relay_core::{
    Action, Answer, ChannelArbiter, Content, EpochKey, Limits, Memory, Outgoing, Packed, Packer,
    Request, Sessions,
};
use proptest::prelude::*;

const ROOM_BYTES: usize = 1000;

/// MoldUDP64 1.0: a downstream packet of these messages, the first of which is number `first`.
fn packet(first: u64, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = mold_header(SESSION, first, messages.len() as u16);
    for message in messages {
        packet.extend((message.len() as u16).to_be_bytes());
        packet.extend(message);
    }
    packet
}

/// Number and messages of a downstream packet, read by the specification.
fn read(packet: &[u8]) -> (u64, Vec<Vec<u8>>) {
    let first = u64::from_be_bytes(packet[10..18].try_into().unwrap());
    let count = u16::from_be_bytes(packet[18..20].try_into().unwrap());
    let mut rest = &packet[20..];
    let messages = (0..count)
        .map(|_| {
            let length = usize::from(u16::from_be_bytes(rest[..2].try_into().unwrap()));
            let message = rest[2..2 + length].to_vec();
            rest = &rest[2 + length..];
            message
        })
        .collect();
    assert!(rest.is_empty());
    (first, messages)
}

/// Message `number`, of a size of its own.
fn message(number: u64, size: usize) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.resize(8 + size, number as u8);
    message
}

/// What leaves when these packets arrive on one line, in order from number 1.
fn left(sizes: &[Vec<usize>]) -> Vec<(Vec<u8>, Content)> {
    let limits = Limits {
        hole_wait_ns: 1,
        held_bytes: 1 << 20,
        held_packets: 64,
    };
    let mut arbiter = ChannelArbiter::new(protocol("moldudp64"), 1, limits);
    let (mut next, mut found, mut actions) = (1, Vec::new(), Vec::new());
    for sizes in sizes {
        let messages: Vec<Vec<u8>> = (next..)
            .zip(sizes)
            .map(|(at, size)| message(at, *size))
            .collect();
        let datagram = packet(next, &messages);
        next += messages.len() as u64;
        arbiter.receive(0, &datagram, next, &mut actions);
        arbiter.on_deadline(next, &mut actions);
        for action in actions.drain(..) {
            if let Action::Send(outgoing, content) = action {
                let bytes = match outgoing {
                    Outgoing::Received => datagram.clone(),
                    Outgoing::Owned(bytes) => bytes,
                };
                found.push((bytes, content));
            }
        }
    }
    found
}

fn sizes() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(0usize..400, 1..5), 1..60)
}

proptest! {
    #[test]
    fn packing_keeps_every_message_its_number_and_its_order(sizes in sizes(), flush_every in 1usize..20) {
        let mut packer = Packer::new(protocol("moldudp64"), Sessions::of("feed", "channel"), ROOM_BYTES);
        let (mut packed, mut all) = (Packed::default(), Vec::new());
        let input = left(&sizes);
        for (at, (datagram, content)) in input.iter().enumerate() {
            packer.push(datagram, *content, &mut packed);
            if at % flush_every == 0 {
                packer.flush(0, &mut packed);
            }
        }
        packer.flush(0, &mut packed);
        let mut next = 1;
        for (datagram, _) in packed.datagrams() {
            let (first, messages) = read(datagram);
            prop_assert_eq!(first, next, "no number is left out or said twice");
            prop_assert!(datagram.len() <= ROOM_BYTES);
            next += messages.len() as u64;
            all.extend(messages);
        }
        let flat: Vec<usize> = sizes.into_iter().flatten().collect();
        let sent: Vec<Vec<u8>> = (1..).zip(flat).map(|(number, size)| message(number, size)).collect();
        prop_assert_eq!(all, sent);
    }

    #[test]
    fn what_is_kept_is_answered_and_no_more_than_was_asked(
        sizes in sizes(), number in 1u64..300, count in 1u16..40, most_bytes in 300usize..40_000,
    ) {
        let mut memory = Memory::new(protocol("moldudp64"), Sessions::of("f", "c"), ROOM_BYTES, most_bytes);
        let input = left(&sizes);
        for (datagram, content) in &input {
            memory.keep(datagram, *content);
            prop_assert!(memory.kept().1 <= most_bytes);
        }
        let flat: Vec<usize> = sizes.iter().flatten().copied().collect();
        let end = 1 + flat.len() as u64;
        // The exchange's own session is known as well as the relay's.
        let request = Request { session: *SESSION, number, count };
        match memory.answer(&request) {
            Answer::Packet(datagram) => {
                let (first, messages) = read(&datagram);
                prop_assert_eq!(first, number);
                prop_assert!(!messages.is_empty() && messages.len() <= usize::from(count));
                prop_assert!(datagram.len() <= ROOM_BYTES);
                for (at, found) in (number..).zip(&messages) {
                    prop_assert_eq!(found, &message(at, flat[at as usize - 1]));
                }
                // An answer that ends early does so for want of room, or because no more has left.
                let last = number + messages.len() as u64;
                if last < end.min(number + u64::from(count)) {
                    prop_assert!(datagram.len() + 2 + 8 + flat[last as usize - 1] > ROOM_BYTES);
                }
            }
            Answer::Forgotten { first, end: to, .. } => {
                prop_assert_eq!((first, to), (number, end.min(number + u64::from(count))));
                prop_assert!(memory.kept().0 < input.len(), "all of it is kept");
            }
            Answer::Unknown => prop_assert!(number >= end),
        }
    }
}

#[test]
fn the_oldest_is_forgotten_first_and_strangers_learn_nothing() {
    let sizes: Vec<Vec<usize>> = vec![vec![92]; 100]; // 122 bytes each
    let mut memory = Memory::new(
        protocol("moldudp64"),
        Sessions::of("f", "c"),
        ROOM_BYTES,
        4000,
    );
    for (datagram, content) in left(&sizes) {
        memory.keep(&datagram, content);
    }
    let ask = |number| {
        memory.answer(&Request {
            session: *SESSION,
            number,
            count: 1,
        })
    };
    let answered: Vec<u64> = (1..=100)
        .filter(|number| matches!(ask(*number), Answer::Packet(_)))
        .collect();
    assert_eq!(
        answered,
        (101 - answered.len() as u64..=100).collect::<Vec<_>>(),
        "the newest are there, without a hole"
    );
    assert!(answered.len() > 10 && answered.len() < 40);
    assert_eq!(ask(101), Answer::Unknown, "it has not left yet");
    let stranger = Request {
        session: *b"SOMEBODY  ",
        number: 100,
        count: 1,
    };
    assert_eq!(memory.answer(&stranger), Answer::Unknown);
}

#[test]
fn what_is_kept_outlives_a_change_of_its_bounds() {
    let input = left(&vec![vec![10]; 50]);
    let of = |most_bytes| {
        Memory::new(
            protocol("moldudp64"),
            Sessions::of("f", "c"),
            ROOM_BYTES,
            most_bytes,
        )
    };
    let mut memory = of(100_000);
    for (datagram, content) in &input {
        memory.keep(datagram, *content);
    }
    let all = memory.kept();
    let memory = memory.moved_to(of(200_000));
    assert_eq!(memory.kept(), all);
    let smaller = memory.moved_to(of(all.1 / 2));
    assert_eq!(smaller.kept().0, 25);
    let newest = Request {
        session: *SESSION,
        number: 50,
        count: 1,
    };
    assert!(matches!(smaller.answer(&newest), Answer::Packet(_)));
}

#[test]
fn only_a_header_that_asks_for_something_is_a_request() {
    let whole = mold_header(SESSION, 7, 3);
    assert_eq!(
        Request::read(&whole),
        Some(Request {
            session: *SESSION,
            number: 7,
            count: 3
        })
    );
    assert_eq!(Request::read(&mold_header(SESSION, 7, 0)), None);
    assert_eq!(Request::read(&whole[..19]), None);
    assert_eq!(Request::read(&[whole, vec![0]].concat()), None);
}

/// FLEX packets of one message each, all of one count of reboots, and what is said of them.
fn of_flex(first: u64, count: u64, day: u8) -> Vec<(Vec<u8>, Content)> {
    let numbers = first..first + count;
    let one = |number: u64| {
        let mut packet = vec![4, 0];
        packet.extend((number as u32).to_be_bytes());
        packet.extend([0; 19]);
        packet.extend([1, 3, b'A', day, number as u8]);
        let content = Content::Messages {
            stream: 4,
            epoch: EpochKey::default(),
            first: (1 << 32) + number,
            end: (1 << 32) + number + 1,
            skip: 0,
        };
        (packet, content)
    };
    numbers.map(one).collect()
}

#[test]
fn a_count_of_restarts_that_begins_anew_is_not_answered_with_yesterdays_bytes() {
    let sessions = Sessions::of("f", "c");
    let name = sessions.name(4, EpochKey::default());
    let mut memory = Memory::new(protocol("flex"), sessions, ROOM_BYTES, 20_000);
    let keep = |memory: &mut Memory, packets: Vec<(Vec<u8>, Content)>| {
        for (packet, content) in packets {
            memory.keep(&packet, content);
        }
    };
    let ask = |memory: &Memory, number| {
        memory.answer(&Request {
            session: name,
            number,
            count: 1,
        })
    };
    keep(&mut memory, of_flex(1, 60, 1));
    keep(&mut memory, of_flex(1, 20, 2));
    for number in 1..=20 {
        let Answer::Packet(answer) = ask(&memory, number) else {
            panic!("{number} has just left");
        };
        assert_eq!(read(&answer).1, [vec![b'A', 2, number as u8]]);
    }
    assert_eq!(ask(&memory, 21), Answer::Unknown, "yesterday is over");
    // The oldest go in their order, which is not that of the numbers.
    keep(&mut memory, of_flex(21, 400, 2));
    let (kept, bytes) = memory.kept();
    assert!(kept < 400 && bytes <= 20_000);
    let answered = (1..=420).filter(|number| matches!(ask(&memory, *number), Answer::Packet(_)));
    assert_eq!(
        answered.collect::<Vec<_>>(),
        (421 - kept as u64..=420).collect::<Vec<_>>()
    );
}

#[test]
fn new_sessions_are_known_however_many_there_were() {
    let sessions = Sessions::of("f", "c");
    let mut memory = Memory::new(protocol("flex"), sessions.clone(), ROOM_BYTES, 1_000);
    let key = |count: u64| {
        let mut key = EpochKey::default();
        key.0[..8].copy_from_slice(&count.to_be_bytes());
        key
    };
    for count in 0..10_000 {
        let (packet, content) = of_flex(1, 1, 1).remove(0);
        let Content::Messages { first, end, .. } = content else {
            panic!("a packet of messages");
        };
        let content = Content::Messages {
            stream: 4,
            epoch: key(count),
            first,
            end,
            skip: 0,
        };
        memory.keep(&packet, content);
        let request = Request {
            session: sessions.name(4, key(count)),
            number: 1,
            count: 1,
        };
        assert!(
            matches!(memory.answer(&request), Answer::Packet(_)),
            "session {count} is not known"
        );
    }
    assert_eq!(memory.sessions().count(), 4096);
    // One of which something is kept is not forgotten for those of which nothing is.
    let kept = memory.kept().0 as u64;
    assert!(kept > 2);
    let request = Request {
        session: sessions.name(4, key(10_000 - kept)),
        number: 1,
        count: 1,
    };
    assert!(matches!(memory.answer(&request), Answer::Packet(_)));
}
