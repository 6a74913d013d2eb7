//! Protocols whose numbers count messages, on bytes written by hand: header, heartbeat, reset, end, and taking messages off.

#![allow(clippy::unwrap_used)] // a test that cannot unwrap has failed

mod common;
#[path = "common/wire.rs"]
mod wire;

use common::protocol;
use lanecast_relay_core::{EpochKey, Kind, Packet};
use wire::{bodies, csm, flex, iex, impact, memx, memx_header, mold, omd, omd_header, omd_reset};
use wire::{unit, xdp, xdp_packet};

const SESSION: &[u8; 10] = b"20261123AA";

fn read(name: &str, datagram: &[u8]) -> Packet {
    let packets = protocol(name).packets(datagram).unwrap();
    assert!(packets.others.is_empty());
    assert_eq!(
        (packets.first.start, packets.first.end),
        (0, datagram.len())
    );
    packets.first
}

/// An epoch as its bytes, padded.
fn key(bytes: &[u8]) -> EpochKey {
    let mut key = EpochKey::default();
    key.0[..bytes.len()].copy_from_slice(bytes);
    key
}

/// `(stream, epoch, kind, first, count, reset)`.
type Reading = (u64, EpochKey, Kind, u64, u64, bool);

fn reading(name: &str, datagram: &[u8]) -> Reading {
    let packet = read(name, datagram);
    (
        packet.stream,
        packet.epoch,
        packet.kind,
        packet.first,
        packet.count,
        packet.reset,
    )
}

fn data(stream: u64, epoch: &[u8], first: u64, count: u64) -> Reading {
    (stream, key(epoch), Kind::Data, first, count, false)
}

fn kind(name: &str, datagram: &[u8]) -> Kind {
    let packet = read(name, datagram);
    assert_eq!(packet.count, 0, "{packet:?}");
    packet.kind
}

fn refused(name: &str, datagram: &[u8]) {
    let found = protocol(name).packets(datagram);
    assert!(found.is_err(), "{name}: {datagram:?} read as {found:?}");
}

#[test]
fn headers_say_stream_epoch_first_and_count() {
    let three = bodies(70, 3);
    assert_eq!(
        reading("moldudp64", &mold(SESSION, 7, &three)),
        data(0, SESSION, 7, 3)
    );
    assert_eq!(reading("omd", &omd(7, &three)), data(0, b"", 7, 3));
    assert_eq!(reading("xdp", &xdp(7, &three)), data(0, b"", 7, 3));
    assert_eq!(
        reading("pitch", &unit(9, 7, 0x20, &three)),
        data(9, b"", 7, 3)
    );
    assert_eq!(
        reading("mitch", &unit(b'A', 7, 0x41, &three)),
        data(0x41, b"", 7, 3)
    );
    let session = 0x4E1D_0000_u32;
    let expected = data(5, &session.to_le_bytes(), 7, 3);
    assert_eq!(
        reading("iex-tp", &iex(5, session, 1000, 7, &three)),
        expected
    );
    let session = 0x5553_4531_64E4_86C8_u64;
    assert_eq!(
        reading("memx-udp", &memx(session, 7, &three)),
        data(0, &session.to_be_bytes(), 7, 3)
    );
    let counted = |step: u8| [0, 0, 0, 0, 0, 0, 0, step];
    assert_eq!(
        reading("impact", &impact(31, 7, &three)),
        data(0, &counted(31), 7, 3)
    );
    assert_eq!(reading("csm", &csm(7, &three)), data(0, b"", 7, 3));
    assert_eq!(
        reading("flex", &flex(4, 2, 7, &three)),
        data(4, &counted(2), 7, 3)
    );
}

#[test]
fn numbers_are_read_whole() {
    let one = bodies(1, 1);
    assert_eq!(read("omd", &omd(0x0102_0304, &one)).first, 0x0102_0304);
    assert_eq!(read("xdp", &xdp(0xFFFF_FFFF, &one)).first, 0xFFFF_FFFF);
    assert_eq!(
        read("impact", &impact(1, 0x0102_0304, &one)).first,
        0x0102_0304
    );
    assert_eq!(read("csm", &csm(0x0102_0304, &one)).first, 0x0102_0304);
    let reset = read("omd", &omd_reset(7, 0x0102_0304));
    assert_eq!(reset.number(), 0x0102_0304);
    assert_eq!(
        read("iex-tp", &iex(0x0102_0304, 1, 0, 7, &one)).stream,
        0x0102_0304
    );
    let wide = 0x0102_0304_0506_0708;
    assert_eq!(read("iex-tp", &iex(1, 1, 0, wide, &one)).first, wide);
    assert_eq!(read("memx-udp", &memx(1, wide, &one)).first, wide);
}

#[test]
fn heartbeats_mean_what_their_protocol_says() {
    let next = |next| Kind::Heartbeat { next };
    assert_eq!(kind("moldudp64", &mold(SESSION, 9, &[])), next(9));
    assert_eq!(kind("omd", &omd(9, &[])), next(10));
    assert_eq!(kind("omd", &omd(0xFFFF_FFFF, &[])), next(0));
    assert_eq!(kind("xdp", &xdp_packet(1, 9, 0, &[])), next(9));
    assert_eq!(kind("pitch", &unit(1, 9, 0, &[])), next(9));
    assert_eq!(kind("mitch", &unit(1, 9, 0, &[])), next(9));
    assert_eq!(kind("iex-tp", &iex(1, 1, 500, 9, &[])), next(9));
    assert_eq!(kind("memx-udp", &memx_header(0, 1, 9)), next(10));
    assert_eq!(kind("impact", &impact(1, 9, &[])), next(9));
    assert_eq!(kind("csm", &csm(9, &[])), next(9));
    assert_eq!(kind("flex", &[0x20]), Kind::Keepalive);
    assert_eq!(kind("pitch", &unit(1, 0, 0, &[])), Kind::Keepalive);
}

#[test]
fn sessions_end_where_the_protocol_says_so() {
    let end = wire::join(&[SESSION, &9u64.to_be_bytes(), &[0xFF, 0xFF]]);
    assert_eq!(kind("moldudp64", &end), Kind::EndOfSession { next: 9 });
    let end = memx_header(1, 1, 9);
    assert_eq!(kind("memx-udp", &end), Kind::EndOfSession { next: 10 });
    // PITCH's end of session is a message with a number.
    let end = unit(1, 9, 0x2D, &bodies(1, 1));
    assert_eq!(reading("pitch", &end), data(1, b"", 9, 1));
}

#[test]
fn resets_in_band() {
    let reset = read("omd", &omd_reset(7777, 41));
    assert_eq!(reset.kind, Kind::Restart { next: 41 });
    assert_eq!((reset.number(), reset.count, reset.reset), (41, 0, true));
    for flag in [12, 10] {
        let reset = read("xdp", &xdp_packet(flag, 1, 1, &bodies(1, 1)));
        assert_eq!((reset.kind, reset.first, reset.count), (Kind::Data, 1, 1));
        assert!(reset.reset);
    }
    assert!(!read("xdp", &xdp(1, &bodies(1, 1))).reset);
    assert!(read("mitch", &unit(1, 1, 0x41, &bodies(1, 2))).reset);
    assert!(!read("mitch", &unit(1, 2, 0x41, &bodies(1, 2))).reset);
    assert!(!read("mitch", &unit(1, 1, 0, &[])).reset);
    assert!(!read("pitch", &unit(1, 1, 0x20, &bodies(1, 2))).reset);
}

#[test]
fn pitch_packets_with_number_0_are_unsequenced() {
    let packet = read("pitch", &unit(3, 0, 0xBB, &bodies(1, 2)));
    assert_eq!((packet.kind, packet.stream), (Kind::Unsequenced, 3));
    assert_eq!((packet.first, packet.count), (0, 0));
    assert_eq!(
        protocol("pitch").trim(&unit(3, 0, 0xBB, &bodies(1, 2)), 2),
        None
    );
}

#[test]
fn taking_messages_off_leaves_the_packet_that_would_have_been_sent() {
    let five = bodies(500, 5);
    let gone: usize = five[..2].iter().map(|body| 2 + body.len()).sum();
    let whole: [(&str, Vec<u8>, Vec<u8>); 10] = [
        (
            "moldudp64",
            mold(SESSION, 100, &five),
            mold(SESSION, 102, &five[2..]),
        ),
        ("omd", omd(100, &five), omd(102, &five[2..])),
        ("xdp", xdp(100, &five), xdp(102, &five[2..])),
        (
            "pitch",
            unit(4, 100, 0x21, &five),
            unit(4, 102, 0x21, &five[2..]),
        ),
        (
            "mitch",
            unit(4, 100, 0x41, &five),
            unit(4, 102, 0x41, &five[2..]),
        ),
        (
            "iex-tp",
            iex(1, 2, 9000, 100, &five),
            iex(1, 2, 9000 + gone as u64, 102, &five[2..]),
        ),
        ("memx-udp", memx(8, 100, &five), memx(8, 102, &five[2..])),
        ("impact", impact(8, 100, &five), impact(8, 102, &five[2..])),
        ("csm", csm(100, &five), csm(102, &five[2..])),
        ("flex", flex(1, 2, 100, &five), flex(1, 2, 102, &five[2..])),
    ];
    for (name, packet, expected) in whole {
        let one = protocol(name);
        assert_eq!(one.trim(&packet, 2), Some(expected), "{name}");
        assert_eq!(one.trim(&packet, 0), Some(packet.clone()), "{name}");
        assert_eq!(one.trim(&packet, 5), None, "{name}");
        assert_eq!(one.trim(&packet, u64::MAX), None, "{name}");
    }
}

#[test]
fn numbers_come_round_when_messages_are_taken_off() {
    let five = bodies(1, 5);
    let packet = unit(1, 0xFFFF_FFFE, 0x21, &five);
    assert_eq!(
        protocol("pitch").trim(&packet, 2),
        Some(unit(1, 1, 0x21, &five[2..]))
    );
    let packet = xdp(0xFFFF_FFFE, &five);
    assert_eq!(protocol("xdp").trim(&packet, 2), Some(xdp(0, &five[2..])));
}

#[test]
fn omd_packets_that_are_compressed_are_not_looked_into() {
    let bytes = b"\x78\x9c any bytes";
    let mut packet = wire::join(&[&omd_header(16 + bytes.len(), 3, 7), bytes]);
    refused("omd", &packet);
    packet[3] = 1;
    assert_eq!(reading("omd", &packet), data(0, b"", 7, 3));
    assert_eq!(protocol("omd").trim(&packet, 1), None);
    // A mark on a packet whose messages can be read hides nothing.
    let mut reset = omd_reset(7777, 41);
    reset[3] = b' ';
    assert_eq!(kind("omd", &reset), Kind::Restart { next: 41 });
    let five = bodies(500, 5);
    let (mut whole, mut rest) = (omd(100, &five), omd(102, &five[2..]));
    (whole[3], rest[3]) = (b' ', b' ');
    assert_eq!(protocol("omd").trim(&whole, 2), Some(rest));
}

#[test]
fn a_length_that_is_not_the_datagrams_is_refused() {
    let three = bodies(1, 3);
    for (name, packet, at) in [
        ("omd", omd(7, &three), 0),
        ("xdp", xdp(7, &three), 0),
        ("pitch", unit(1, 7, 0x20, &three), 0),
        ("mitch", unit(1, 7, 0x41, &three), 0),
        ("iex-tp", iex(1, 1, 1, 7, &three), 12),
        ("csm", csm(7, &three), 2),
    ] {
        for step in [1u8, 255] {
            let mut wrong = packet.clone();
            wrong[at] = wrong[at].wrapping_add(step);
            refused(name, &wrong);
        }
    }
}

#[test]
fn a_count_that_is_not_the_messages_is_refused() {
    let three = bodies(1, 3);
    for (name, packet, at) in [
        ("omd", omd(7, &three), 2),
        ("xdp", xdp(7, &three), 3),
        ("pitch", unit(1, 7, 0x20, &three), 2),
        ("pitch", unit(1, 0, 0x20, &three), 2),
        ("mitch", unit(1, 7, 0x41, &three), 2),
        ("iex-tp", iex(1, 1, 1, 7, &three), 14),
        ("memx-udp", memx(1, 7, &three), 19),
        ("impact", impact(1, 7, &three), 7),
        ("csm", csm(7, &three), 11),
        ("flex", flex(1, 1, 7, &three), 25),
    ] {
        for count in [0, 2, 4] {
            let mut wrong = packet.clone();
            wrong[at] = count;
            refused(name, &wrong);
        }
    }
}

#[test]
fn what_is_cut_or_followed_by_more_is_refused() {
    let three = bodies(1, 3);
    for (name, packet) in [
        ("moldudp64", mold(SESSION, 7, &three)),
        ("omd", omd(7, &three)),
        ("omd", omd_reset(1, 1)),
        ("xdp", xdp(7, &three)),
        ("pitch", unit(1, 7, 0x20, &three)),
        ("mitch", unit(1, 7, 0x41, &three)),
        ("iex-tp", iex(1, 1, 1, 7, &three)),
        ("memx-udp", memx(1, 7, &three)),
        ("memx-udp", memx_header(0, 1, 7)),
        ("impact", impact(1, 7, &three)),
        ("csm", csm(7, &three)),
        ("flex", flex(1, 1, 7, &three)),
    ] {
        for length in 0..packet.len() {
            refused(name, &packet[..length]);
        }
        refused(name, &wire::join(&[&packet, &[0]]));
    }
    refused("flex", &[0x21]);
    refused("flex", &[0x20, 0x20]);
}

#[test]
fn messages_too_short_for_their_header_are_refused() {
    let mut packet = omd(7, &bodies(1, 1));
    packet[16] = 3;
    refused("omd", &packet);
    let mut packet = unit(1, 7, 0x20, &bodies(1, 1));
    packet[8] = 1;
    refused("pitch", &packet);
    packet[8] = 0;
    refused("pitch", &packet);
    let reset_without_its_number = wire::join(&[&omd_header(20, 1, 1), &[4, 0, 100, 0]]);
    refused("omd", &reset_without_its_number);
}

#[test]
fn memx_types_and_header_length_are_checked() {
    refused("memx-udp", &memx_header(3, 1, 7));
    let mut packet = memx(1, 7, &bodies(1, 1));
    packet[1] = 20;
    refused("memx-udp", &packet);
}

#[test]
fn a_reset_to_1_needs_no_word_in_mitch_and_csm() {
    let three = bodies(1, 3);
    for (packet, other) in [
        (
            read("mitch", &unit(1, 1, 0x41, &three)),
            read("mitch", &unit(1, 2, 0x41, &three)),
        ),
        (read("csm", &csm(1, &three)), read("csm", &csm(2, &three))),
    ] {
        assert!(packet.reset && !other.reset);
    }
    // What is not data says nothing.
    assert!(!read("csm", &csm(1, &[])).reset);
}

#[test]
fn a_csm_message_has_a_header_of_8_bytes() {
    let mut packet = csm(7, &[b"".to_vec()]);
    packet[17] = 7;
    refused("csm", &packet);
}
