//! One protocol against any bytes: what it reads is inside them, and can be taken apart without changing its meaning.

use lanecast_relay_core::{
    find, Action, ChannelArbiter, Content, Kind, Limits, Outgoing, Packed, Packer, Packet,
    Protocol, Sessions,
};

const MS: u64 = 1_000_000;

/// `datagram` as one of `protocol`.
pub fn check(protocol: &'static Protocol, datagram: &[u8]) {
    arbitrate(protocol, datagram);
    let Ok(packets) = protocol.packets(datagram) else {
        return;
    };
    let mut at = 0;
    for packet in packets.iter() {
        assert_eq!(packet.start, at, "packets follow one another");
        at = packet.end;
        let bytes = &datagram[packet.start..packet.end];
        let alone = protocol
            .packets(bytes)
            .expect("a packet is one when it is alone, too");
        assert!(alone.others.is_empty());
        assert_eq!(
            alone.first,
            Packet {
                start: 0,
                end: bytes.len(),
                ..*packet
            }
        );
        assert!(packet.first.checked_add(packet.count).is_some());
        if packet.kind == Kind::Data {
            take_apart(protocol, bytes, packet);
        }
    }
    assert_eq!(at, datagram.len(), "packets fill the datagram");
}

fn messages(protocol: &Protocol, packet: &[u8], skip: u64, count: u64) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    protocol.each_message(packet, skip, count, |message| found.push(message.to_vec()));
    assert_eq!(found.len() as u64, count, "as many messages as numbers");
    found
}

/// Take messages off the front: what is left has the numbers and the messages that were behind them.
fn take_apart(protocol: &Protocol, bytes: &[u8], packet: &Packet) {
    let count = packet.count;
    let all = messages(protocol, bytes, 0, count);
    assert_eq!(protocol.trim(bytes, count), None, "nothing would be left");
    assert_eq!(protocol.trim(bytes, u64::MAX), None);
    let can = count > 1 && protocol.trim(bytes, 1).is_some();
    for skip in (1..count).filter(|skip| *skip < 6 || *skip + 2 > count) {
        let Some(trimmed) = protocol.trim(bytes, skip) else {
            assert!(!can, "some messages can be taken off, but not {skip}");
            continue;
        };
        assert!(can && trimmed.len() < bytes.len());
        let read = protocol
            .packets(&trimmed)
            .expect("what is left is a packet");
        assert!(read.others.is_empty(), "and one only");
        let left = read.first;
        assert_eq!(
            (left.stream, left.epoch, left.kind),
            (packet.stream, packet.epoch, Kind::Data)
        );
        assert_eq!(
            Some(left.first),
            protocol.numbers().after(packet.first, skip)
        );
        assert_eq!(left.count, count - skip);
        assert_eq!(
            messages(protocol, &trimmed, 0, count - skip),
            all[skip as usize..]
        );
    }
}

/// Let it come on two lines, and pack what leaves anew.
fn arbitrate(protocol: &'static Protocol, datagram: &[u8]) {
    let limits = Limits {
        hole_wait_ns: 20 * MS,
        held_bytes: 1 << 20,
        held_packets: 64,
    };
    let mut arbiter = ChannelArbiter::new(protocol, 2, limits);
    let mut packer = Packer::new(protocol, Sessions::of("feed", "channel"), 1400);
    let mut packed = Packed::default();
    let mut actions = Vec::new();
    let mut pack = |actions: &mut Vec<Action>| {
        for action in actions.drain(..) {
            if let Action::Send(outgoing, content) = action {
                let bytes = match &outgoing {
                    Outgoing::Received => datagram,
                    Outgoing::Owned(bytes) => bytes,
                };
                packer.push(bytes, content, &mut packed);
            }
        }
    };
    for (line, now_ns) in [(0, 0), (1, MS), (0, 700 * MS)] {
        arbiter.on_deadline(now_ns, &mut actions);
        pack(&mut actions);
        arbiter.receive(line, datagram, now_ns, &mut actions);
        pack(&mut actions);
    }
    arbiter.drain(700 * MS, &mut actions);
    pack(&mut actions);
    for line in 0..2 {
        let counters = arbiter.counters(line);
        assert_eq!(counters.received, counters.accounted());
        assert_eq!(counters.held, 0);
    }
    packer.flush(0, &mut packed);
    for (mold, content) in packed.datagrams() {
        check_packed(mold, content);
    }
}

/// What was packed is MoldUDP64 and has as many messages as it says.
fn check_packed(mold: &[u8], content: Content) {
    let read = find("moldudp64")
        .expect("it is one of the protocols")
        .packets(mold)
        .expect("it was packed");
    match content {
        Content::Messages { first, end, .. } => {
            assert_eq!(
                (read.first.kind, read.first.count),
                (Kind::Data, end - first)
            );
        }
        Content::End { .. } => assert!(matches!(read.first.kind, Kind::EndOfSession { .. })),
        Content::Other => panic!("bytes without a number were packed"),
    }
}
