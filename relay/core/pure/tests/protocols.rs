//! Each framing on bytes written by hand: what is read, what is refused, what is taken off.

mod common;

use common::{cme, cme_reset, cme_template, mold, mold_header, mold_numbers, protocol, SESSION};
use lanecast_relay_core::{find, Kind, PROTOCOLS};
use proptest::prelude::*;

#[test]
fn names_are_unique_and_cite_a_document() {
    for (index, one) in PROTOCOLS.iter().enumerate() {
        assert!(
            std::ptr::eq(find(one.name).unwrap(), one),
            "{} stands twice",
            one.name
        );
        assert!(!one.spec.is_empty(), "entry {index} names no document");
    }
    assert!(find("fix").is_none());
}

#[test]
fn a_mold_packet_is_its_session_first_number_and_count() {
    let packet = protocol("moldudp64").parse(&mold(SESSION, 7, 3)).unwrap();
    assert_eq!(
        (packet.kind, packet.first, packet.count),
        (Kind::Data, 7, 3)
    );
    assert_eq!(&packet.epoch.0, SESSION);
    assert!(!packet.reset);
}

#[test]
fn mold_packets_without_messages_carry_the_next_number() {
    let mold64 = protocol("moldudp64");
    let beat = mold64.parse(&mold_header(SESSION, 9, 0)).unwrap();
    assert_eq!(
        (beat.kind, beat.number(), beat.count),
        (Kind::Heartbeat { next: 9 }, 9, 0)
    );
    let end = mold64.parse(&mold_header(SESSION, 9, 0xFFFF)).unwrap();
    assert_eq!(
        (end.kind, end.number(), end.count),
        (Kind::EndOfSession { next: 9 }, 9, 0)
    );
}

#[test]
fn mold_messages_must_fill_the_datagram() {
    let mold64 = protocol("moldudp64");
    let good = mold(SESSION, 7, 3);
    let mut longer = good.clone();
    longer.push(0);
    let mut fewer = good.clone();
    fewer[19] = 2;
    let mut more = good.clone();
    more[19] = 4;
    let beat_with_bytes = [mold_header(SESSION, 9, 0), vec![0, 0]].concat();
    let past_the_last_number = mold_header(SESSION, u64::MAX, 1);
    let past_the_last_number = [past_the_last_number, vec![0, 0]].concat();
    for bad in [
        &good[..good.len() - 1],
        &good[..21],
        &good[..19],
        &[],
        &longer,
        &fewer,
        &more,
        &beat_with_bytes,
        &past_the_last_number,
    ] {
        assert!(mold64.parse(bad).is_err(), "{bad:?}");
    }
    let empty_message = [mold_header(SESSION, 1, 1), vec![0, 0]].concat();
    assert_eq!(mold64.parse(&empty_message).unwrap().count, 1);
}

#[test]
fn a_cme_packet_is_one_number_whatever_is_in_it() {
    let mdp = protocol("cme-mdp3");
    let one = mdp.parse(&cme(0xFFFF_FFFF, b"body")).unwrap();
    assert_eq!(
        (one.kind, one.first, one.count, one.reset),
        (Kind::Data, 0xFFFF_FFFF, 1, false)
    );
    let two = [cme(5, b"body"), cme(0, b"more")[12..].to_vec()].concat();
    assert_eq!(mdp.parse(&two).unwrap().count, 1);
    let heartbeat = cme_template(6, 12, b"");
    assert_eq!(mdp.parse(&heartbeat).unwrap().kind, Kind::Data);
}

#[test]
fn a_cme_reset_is_seen_in_any_message_of_the_packet() {
    let mdp = protocol("cme-mdp3");
    assert!(mdp.parse(&cme_reset(1, b"r")).unwrap().reset);
    let second = [cme(1, b"body"), cme_reset(0, b"r")[12..].to_vec()].concat();
    assert!(mdp.parse(&second).unwrap().reset);
    // Template 4 elsewhere in the bytes is no reset.
    assert!(!mdp.parse(&cme(1, &[4, 0, 4, 0, 4, 0])).unwrap().reset);
}

#[test]
fn cme_sizes_must_chain_to_the_end() {
    let mdp = protocol("cme-mdp3");
    let good = cme(5, b"body");
    let mut short_message = good.clone();
    short_message[12] = 9;
    let mut past_the_end = good.clone();
    past_the_end[12] += 1;
    let bare_header = &good[..12];
    for bad in [
        &good[..good.len() - 1],
        &good[..13],
        bare_header,
        b"",
        &short_message,
        &past_the_end,
    ] {
        let error = mdp.parse(bad).unwrap_err();
        assert!(error.to_string().starts_with("byte "), "{error}");
    }
}

#[test]
fn raw_is_always_one_message_without_a_number() {
    for datagram in [&b""[..], b"anything"] {
        assert_eq!(
            protocol("raw").parse(datagram).unwrap().kind,
            Kind::Unsequenced
        );
    }
}

#[test]
fn trimming_takes_messages_off_the_front_and_corrects_the_header() {
    let mold64 = protocol("moldudp64");
    let trimmed = mold64.trim(&mold(SESSION, 100, 5), 2).unwrap();
    assert_eq!(trimmed, mold(SESSION, 102, 3));
    assert_eq!(mold_numbers(&trimmed), [102, 103, 104]);
    assert_eq!(mold64.trim(&mold(SESSION, 100, 5), 5), None);
    assert_eq!(mold64.trim(&mold(SESSION, 100, 5), 6), None);
    assert_eq!(protocol("cme-mdp3").trim(&cme(1, b"x"), 1), None);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200), skip in 0u64..9) {
        for one in PROTOCOLS {
            if let Ok(packet) = one.parse(&bytes) {
                prop_assert!(packet.first.checked_add(packet.count).is_some());
            }
            let _ = one.trim(&bytes, skip);
        }
    }

    #[test]
    fn one_changed_length_is_noticed(first in 0u64..1000, count in 1u16..9, message in 0usize..9, by in 1u8..255) {
        let mut packet = mold(SESSION, first, count);
        let mut at = 20;
        for _ in 0..message % usize::from(count) {
            at += 2 + usize::from(packet[at + 1]);
        }
        packet[at + 1] = packet[at + 1].wrapping_add(by);
        // A length that grew over another message's may chain again, with fewer messages than the header says.
        prop_assert!(protocol("moldudp64").parse(&packet).is_err());
    }

    #[test]
    fn trimming_is_the_packet_that_would_have_been_sent(first in 0u64..1000, count in 2u16..40, skip in 1u64..40) {
        prop_assume!(skip < u64::from(count));
        let trimmed = protocol("moldudp64").trim(&mold(SESSION, first, count), skip).unwrap();
        prop_assert_eq!(trimmed, mold(SESSION, first + skip, count - skip as u16));
    }
}
