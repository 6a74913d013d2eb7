//! Protocols whose numbers count packets, on bytes written by hand: header, heartbeat, reset, and what is refused.

#![allow(clippy::unwrap_used)] // a test that cannot unwrap has failed

mod common;
#[path = "common/wire.rs"]
mod wire;

use common::protocol;
use lanecast_relay_core::{EpochKey, Kind, Packet, PROTOCOLS};
use proptest::prelude::*;
use wire::{bodies, deribit, eobi, join, mach, optiq, umdf};

fn read(name: &str, datagram: &[u8]) -> Packet {
    protocol(name).parse(datagram).unwrap()
}

fn refused(name: &str, datagram: &[u8]) {
    let found = protocol(name).packets(datagram);
    assert!(found.is_err(), "{name}: {datagram:?} read as {found:?}");
}

fn counted(step: u64) -> EpochKey {
    let mut key = EpochKey::default();
    key.0[..8].copy_from_slice(&step.to_be_bytes());
    key
}

#[test]
fn eobi_numbers_belong_to_a_partition_whatever_the_segment() {
    let packet = read("eobi", &eobi(589, 6, 0x0102_0304, 0));
    assert_eq!(packet.stream, 6);
    assert_eq!(
        (packet.kind, packet.first, packet.count),
        (Kind::Data, 0x0102_0304, 1)
    );
    assert!(!packet.reset);
    assert_eq!(packet.stream, read("eobi", &eobi(603, 6, 7, 0)).stream);
    assert_ne!(packet.stream, read("eobi", &eobi(589, 2, 7, 0)).stream);
}

#[test]
fn mach_packets_say_their_session() {
    let session = |session| read("mach", &mach(7, 3, session, b"body")).epoch;
    assert_eq!(session(9).0, [9, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_ne!(session(9), session(10));
    // Packets of two sessions are no run of numbers that go on.
    let both = [mach(7, 3, 1, b"a"), mach(8, 3, 2, b"b")].concat();
    let packets = protocol("mach").packets(&both).unwrap();
    assert_eq!((packets.first.count, packets.others.len()), (1, 1));
}

#[test]
fn eobi_starts_anew_at_1_with_the_indicator() {
    assert!(read("eobi", &eobi(589, 1, 1, 1)).reset);
    assert!(!read("eobi", &eobi(589, 1, 2, 1)).reset);
    assert!(!read("eobi", &eobi(589, 1, 1, 0)).reset);
}

#[test]
fn eobi_packets_have_no_msg_seq_num() {
    let good = eobi(589, 1, 7, 0);
    for (at, value) in [(4, 0xFE), (7, 0), (0, 31), (1, 1)] {
        let mut wrong = good.clone();
        wrong[at] = value;
        refused("eobi", &wrong);
    }
    refused("eobi", &good[..32]);
}

#[test]
fn optiq_numbers_have_35_bits_and_restarts_are_counted() {
    let flags = 0b101 << 4 | 0b011 << 1;
    let packet = read("optiq", &optiq(600, flags, 0x8000_0001, 1001, b"body"));
    assert_eq!(packet.first, 5 << 32 | 0x8000_0001);
    assert_eq!((packet.stream, packet.epoch), (600, counted(3)));
    assert_eq!((packet.kind, packet.count), (Kind::Data, 1));
    let status = read("optiq", &optiq(600, 0, 9, 1103, &[0; 16]));
    assert_eq!((status.kind, status.first), (Kind::Data, 9));
    // Bits 7 and above say nothing about the number or the epoch.
    let others = read("optiq", &optiq(600, 0xFF80, 9, 1001, b""));
    assert_eq!((others.first, others.epoch), (9, counted(0)));
}

#[test]
fn optiq_packets_that_are_compressed_are_not_looked_into() {
    let header = &optiq(600, 1, 9, 1001, b"")[..16];
    let packet = read("optiq", &join(&[header, b"\x78\x9c any bytes"]));
    assert_eq!((packet.kind, packet.first), (Kind::Data, 9));
    let mut plain = header.to_vec();
    plain[12] = 0;
    refused("optiq", &plain);
    refused("optiq", &join(&[&plain, b"\x78\x9c any bytes"]));
}

#[test]
fn umdf_numbers_belong_to_a_channel_and_a_version() {
    let packet = read("umdf", &umdf(50, 1333, 3999, 10, b"body"));
    assert_eq!((packet.stream, packet.epoch), (50, counted(1333)));
    assert_eq!(
        (packet.kind, packet.first, packet.count),
        (Kind::Data, 3999, 1)
    );
}

#[test]
fn umdf_packets_with_number_0_name_the_next_or_stand_outside() {
    let heartbeat = read("umdf", &umdf(50, 1333, 0, 2, &77124u32.to_le_bytes()));
    assert_eq!(heartbeat.kind, Kind::Heartbeat { next: 77124 });
    let heartbeat = read("umdf", &umdf(50, 1, 0, 2, &0x0102_0304u32.to_le_bytes()));
    assert_eq!(heartbeat.number(), 0x0102_0304);
    let reset = read("umdf", &umdf(50, 1334, 0, 1, b""));
    assert_eq!((reset.kind, reset.reset), (Kind::Restart { next: 1 }, true));
    assert_eq!(
        read("umdf", &umdf(50, 1, 0, 10, b"body")).kind,
        Kind::Unsequenced
    );
    // With a number, they are packets like any other.
    assert_eq!(
        read("umdf", &umdf(50, 1, 8, 2, &[9, 0, 0, 0])).kind,
        Kind::Data
    );
    refused("umdf", &umdf(50, 1, 0, 2, &[9, 0, 0]));
}

#[test]
fn deribit_numbers_belong_to_a_channel() {
    let packet = read("deribit", &deribit(3, 77, b"body"));
    assert_eq!((packet.stream, packet.kind), (3, Kind::Data));
    assert_eq!((packet.first, packet.count), (77, 1));
    let wide = read("deribit", &deribit(0x0102, 0x0304_0506, b""));
    assert_eq!((wide.stream, wide.first), (0x0102, 0x0304_0506));
    assert_eq!(protocol("deribit").trim(&deribit(3, 77, b"body"), 0), None);
}

#[test]
fn mach_packets_whose_numbers_go_on_are_one() {
    let parts = [
        mach(7, 3, 1, b"a"),
        mach(8, 3, 1, b"bcd"),
        mach(9, 3, 1, b""),
    ];
    let datagram = parts.concat();
    let packets = protocol("mach").packets(&datagram).unwrap();
    assert!(packets.others.is_empty());
    assert_eq!((packets.first.first, packets.first.count), (7, 3));
    assert_eq!(
        (packets.first.start, packets.first.end),
        (0, datagram.len())
    );
}

#[test]
fn mach_packets_of_other_kinds_or_numbers_stand_apart() {
    let parts = [
        mach(7, 3, 1, b"a"),
        mach(7, 0, 1, b""),
        mach(8, 3, 1, b"b"),
        mach(10, 3, 1, b"c"),
        mach(10, 2, 1, b""),
        mach(0, 1, 1, b""),
        mach(1, 3, 1, b"d"),
    ];
    let datagram = parts.concat();
    let packets = protocol("mach").packets(&datagram).unwrap();
    let kinds: Vec<Kind> = packets.iter().map(|packet| packet.kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::Data,
            Kind::Heartbeat { next: 8 },
            Kind::Data,
            Kind::Data,
            Kind::EndOfSession { next: 11 },
            Kind::Restart { next: 1 },
            Kind::Data,
        ]
    );
    let ranges: Vec<&[u8]> = packets
        .iter()
        .map(|packet| &datagram[packet.start..packet.end])
        .collect();
    assert_eq!(ranges, parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let resets = packets.iter().filter(|packet| packet.reset);
    assert_eq!(resets.map(Packet::number).collect::<Vec<_>>(), [1]);
}

#[test]
fn mach_takes_off_whole_packets() {
    let parts = [
        mach(7, 3, 1, b"a"),
        mach(8, 3, 1, b"bcd"),
        mach(9, 3, 1, b""),
    ];
    let datagram = parts.concat();
    let mach = protocol("mach");
    assert_eq!(mach.trim(&datagram, 0), Some(datagram.clone()));
    assert_eq!(mach.trim(&datagram, 1), Some(parts[1..].concat()));
    assert_eq!(mach.trim(&datagram, 2), Some(parts[2].clone()));
    assert_eq!(mach.trim(&datagram, 3), None);
    assert_eq!(mach.trim(&datagram, u64::MAX), None);
}

#[test]
fn mach_lengths_must_chain_to_the_end() {
    let good = [mach(7, 3, 1, b"a"), mach(8, 3, 1, b"bcd")].concat();
    refused("mach", b"");
    for length in 1..good.len() {
        if length != 13 {
            refused("mach", &good[..length]);
        }
    }
    for (at, value) in [
        (8, 0),
        (8, 11),
        (8, 14),
        (8, 200),
        (21, 14),
        (21, 16),
        (10, 4),
    ] {
        let mut wrong = good.clone();
        wrong[at] = value;
        refused("mach", &wrong);
    }
}

#[test]
fn what_is_cut_or_followed_by_more_is_refused() {
    for (name, packet) in [
        ("eobi", eobi(1, 1, 7, 0)),
        ("optiq", optiq(1, 0, 7, 1001, b"body")),
        ("umdf", umdf(1, 1, 7, 10, b"body")),
        ("deribit", deribit(1, 7, b"body")),
        ("mach", mach(7, 3, 1, b"body")),
    ] {
        for length in 0..packet.len() {
            refused(name, &packet[..length]);
        }
        refused(name, &join(&[&packet, &[0]]));
    }
}

/// Every kind of packet that these tests know, of every protocol.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let three = bodies(1, 3);
    vec![
        ("moldudp64", wire::mold(b"20261123AA", 7, &three)),
        ("omd", wire::omd(7, &three)),
        ("omd", wire::omd_reset(7, 9)),
        ("xdp", wire::xdp(7, &three)),
        ("pitch", wire::unit(1, 7, 0x20, &three)),
        ("pitch", wire::unit(1, 0, 0x20, &three)),
        ("mitch", wire::unit(1, 7, 0x20, &three)),
        ("iex-tp", wire::iex(1, 2, 3, 7, &three)),
        ("eobi", eobi(1, 1, 7, 0)),
        ("optiq", optiq(1, 0, 7, 1001, b"body")),
        ("umdf", umdf(1, 1, 0, 2, &[7, 0, 0, 0])),
        ("mach", [mach(7, 3, 1, b"a"), mach(8, 3, 1, b"b")].concat()),
        ("memx-udp", wire::memx(1, 7, &three)),
        ("impact", wire::impact(1, 7, &three)),
        ("csm", wire::csm(7, &three)),
        ("deribit", deribit(1, 7, b"body")),
        ("flex", wire::flex(1, 1, 7, &three)),
        ("cme-mdp3", common::cme(7, b"body")),
        ("raw", b"any".to_vec()),
    ]
}

#[test]
fn every_protocol_has_a_sample() {
    for one in PROTOCOLS {
        assert!(
            samples().iter().any(|(name, _)| *name == one.name),
            "{}",
            one.name
        );
    }
}

/// What must hold of whatever is read from whatever bytes.
fn check(bytes: &[u8], skip: u64) {
    for one in PROTOCOLS {
        if let Ok(packets) = one.packets(bytes) {
            let mut at = 0;
            for packet in packets.iter() {
                assert_eq!(packet.start, at, "{}", one.name);
                assert!(packet.end >= packet.start);
                assert!(packet.first.checked_add(packet.count).is_some());
                at = packet.end;
            }
            assert_eq!(at, bytes.len(), "{}", one.name);
        }
        if let Some(trimmed) = one.trim(bytes, skip) {
            assert!(trimmed.len() <= bytes.len());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200), skip in any::<u64>()) {
        check(&bytes, skip);
        check(&bytes, skip % 9);
    }

    #[test]
    fn no_change_of_a_packet_makes_a_parser_fail(
        index in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
        skip in 0u64..9,
    ) {
        let samples = samples();
        let (_, mut bytes) = samples[index.index(samples.len())].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check(&bytes, skip);
        bytes.truncate(length.index(bytes.len() + 1));
        check(&bytes, skip);
    }

    #[test]
    fn what_is_taken_off_and_what_is_left_are_the_packet(count in 2usize..20, skip in 1usize..20, first in 1u32..1000) {
        prop_assume!(skip < count);
        let all = bodies(u64::from(first), count);
        let rest = first + skip as u32;
        let pairs = [
            ("omd", wire::omd(first, &all), wire::omd(rest, &all[skip..])),
            ("xdp", wire::xdp(first, &all), wire::xdp(rest, &all[skip..])),
            ("pitch", wire::unit(1, first, 9, &all), wire::unit(1, rest, 9, &all[skip..])),
            ("impact", wire::impact(1, first, &all), wire::impact(1, rest, &all[skip..])),
            ("csm", wire::csm(first, &all), wire::csm(rest, &all[skip..])),
            ("flex", wire::flex(1, 1, first, &all), wire::flex(1, 1, rest, &all[skip..])),
        ];
        for (name, packet, expected) in pairs {
            let trimmed = protocol(name).trim(&packet, skip as u64).unwrap();
            prop_assert_eq!(&trimmed, &expected);
            let read = protocol(name).parse(&trimmed).unwrap();
            prop_assert_eq!((read.first, read.count), (u64::from(rest), (count - skip) as u64));
        }
    }
}
