//! Arbitration of what only some protocols have: streams inside a channel, several packets in a datagram, epochs that are
//! announced, counted or not marked at all.

#![allow(clippy::unwrap_used)] // a test that cannot unwrap has failed

mod common;
#[path = "common/wire.rs"]
mod wire;

use common::{limits, protocol, MS, WAIT};
use lanecast_relay_core::arbiter::HEARTBEAT_SILENCE_NS;
use lanecast_relay_core::{Action, ChannelArbiter, Limits, Outgoing};
use wire::{
    bodies, csm, deribit, eobi, flex, iex, mach, omd, omd_reset, optiq, umdf, unit, xdp, xdp_packet,
};

const A: usize = 0;
const B: usize = 1;
const SECOND: u64 = 1000 * MS;

/// A channel that is called as the edge calls it: deadlines first, then what arrived.
struct Channel {
    arbiter: ChannelArbiter,
    sent: Vec<Vec<u8>>,
    /// Stream, first and last, as on the wire.
    lost: Vec<(u64, u64, u64)>,
    name: &'static str,
}

impl Channel {
    fn new(name: &'static str) -> Self {
        Self::with_limits(name, limits())
    }

    fn with_limits(name: &'static str, limits: Limits) -> Self {
        Self {
            arbiter: ChannelArbiter::new(protocol(name), 2, limits),
            sent: Vec::new(),
            lost: Vec::new(),
            name,
        }
    }

    fn receive(&mut self, line: usize, datagram: &[u8], now_ns: u64) {
        self.advance(now_ns);
        let mut actions = Vec::new();
        self.arbiter.receive(line, datagram, now_ns, &mut actions);
        self.take(actions, datagram);
    }

    fn both(&mut self, datagram: &[u8], now_ns: u64) {
        self.receive(A, datagram, now_ns);
        self.receive(B, datagram, now_ns + MS);
    }

    fn advance(&mut self, now_ns: u64) {
        while let Some(at) = self.arbiter.next_deadline_ns().filter(|at| *at <= now_ns) {
            let mut actions = Vec::new();
            self.arbiter.on_deadline(at, &mut actions);
            self.take(actions, &[]);
        }
    }

    fn take(&mut self, actions: Vec<Action>, received: &[u8]) {
        for action in actions {
            match action {
                Action::Send(Outgoing::Received, _) => self.sent.push(received.to_vec()),
                Action::Send(Outgoing::Owned(bytes), _) => self.sent.push(bytes),
                Action::Missing { .. } => unreachable!("nobody was to be asked"),
                Action::Lost {
                    stream,
                    first,
                    last,
                    ..
                } => {
                    let numbers = protocol(self.name).numbers();
                    self.lost
                        .push((stream, numbers.wire(first), numbers.wire(last)));
                }
            }
        }
        for line in [A, B] {
            let counters = self.arbiter.counters(line);
            assert_eq!(counters.received, counters.accounted(), "{counters:?}");
        }
    }

    /// What left since the last call.
    fn left(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.sent)
    }
}

fn pitch(stream: u8, first: u32, count: usize) -> Vec<u8> {
    unit(stream, first, 0x21, &bodies(u64::from(first), count))
}

#[test]
fn units_of_one_group_do_not_touch_each_other() {
    let mut channel = Channel::new("pitch");
    let packets = [
        pitch(1, 21134, 2),
        pitch(2, 421, 1),
        pitch(1, 21136, 1),
        pitch(2, 422, 3),
    ];
    for packet in &packets {
        channel.both(packet, 0);
    }
    channel.advance(WAIT + MS);
    let mut left = channel.left();
    left.sort();
    let mut expected = packets.to_vec();
    expected.sort();
    assert_eq!(left, expected);
    assert!(channel.lost.is_empty());
    // A hole in one unit holds only that unit back.
    channel.receive(A, &pitch(1, 21138, 1), SECOND);
    channel.receive(A, &pitch(2, 425, 1), SECOND);
    assert_eq!(channel.left(), [pitch(2, 425, 1)]);
    channel.advance(SECOND + WAIT);
    assert_eq!(channel.left(), [pitch(1, 21138, 1)]);
    assert_eq!(channel.lost, [(1, 21137, 21137)]);
    let next = |stream| channel.arbiter.state(stream).unwrap().next;
    assert_eq!((next(1), next(2)), (Some(21139), Some(426)));
    assert_eq!(channel.arbiter.state(3), None);
}

#[test]
fn unsequenced_packets_pass_and_open_no_stream() {
    let mut channel = Channel::new("pitch");
    let packet = unit(1, 0, 0xBB, &bodies(1, 1));
    channel.receive(A, &packet, 0);
    channel.receive(A, b"stray", 0);
    assert_eq!(channel.left(), [packet]);
    assert_eq!(channel.arbiter.streams().count(), 0);
    let counters = channel.arbiter.counters(A);
    assert_eq!((counters.passed_on, counters.malformed), (1, 1));
}

#[test]
fn pitch_numbers_go_from_the_highest_to_1() {
    let mut channel = Channel::new("pitch");
    channel.receive(A, &pitch(1, 0xFFFF_FFFD, 2), 0);
    channel.advance(WAIT);
    channel.left();
    // FFFFFFFF, 1, 2 on one line; 1 to 4 on the other, of which the first two left.
    channel.receive(A, &pitch(1, 0xFFFF_FFFF, 3), WAIT);
    channel.receive(B, &pitch(1, 1, 4), WAIT);
    let rest = unit(1, 3, 0x21, &bodies(1, 4)[2..]);
    assert_eq!(channel.left(), [pitch(1, 0xFFFF_FFFF, 3), rest]);
    assert!(channel.lost.is_empty());
    assert_eq!(channel.arbiter.state(1).unwrap().next, Some(5));
}

#[test]
fn numbers_that_fall_after_a_long_silence_are_a_new_day() {
    let mut channel = Channel::new("pitch");
    channel.both(&pitch(1, 5000, 1), 0);
    channel.advance(WAIT + MS);
    channel.both(&unit(1, 0, 0, &[]), SECOND);
    channel.both(&pitch(1, 1, 1), 3600 * SECOND);
    channel.both(&pitch(1, 2, 1), 3600 * SECOND);
    channel.advance(3601 * SECOND);
    let left = channel.left();
    assert_eq!(left[left.len() - 2..], [pitch(1, 1, 1), pitch(1, 2, 1)]);
    assert!(channel.lost.is_empty());
    assert_eq!(channel.arbiter.state(1).unwrap().epochs, 2);
}

#[test]
fn a_heartbeat_that_is_one_off_starts_no_epoch() {
    let mut channel = Channel::new("xdp");
    channel.both(&xdp(70, &bodies(1, 1)), 0);
    for second in 1..60 {
        channel.receive(A, &xdp_packet(1, 70, 0, &[]), second * SECOND);
    }
    assert_eq!(channel.arbiter.state(0).unwrap().epochs, 1);
}

#[test]
fn one_streams_silence_is_not_the_channels() {
    let mut channel = Channel::new("flex");
    let now = WAIT + SECOND;
    channel.both(&flex(4, 1, 7, &bodies(7, 1)), 0);
    channel.advance(WAIT + MS);
    channel.left();
    channel.receive(A, &[0x20], now);
    channel.receive(B, &[0x20], now + MS);
    assert_eq!(channel.left(), [vec![0x20]]);
    channel.receive(A, &flex(4, 1, 8, &bodies(8, 1)), now + HEARTBEAT_SILENCE_NS);
    channel.receive(A, &[0x20], now + HEARTBEAT_SILENCE_NS + MS);
    assert_eq!(channel.left(), [flex(4, 1, 8, &bodies(8, 1))]);
    assert_eq!(channel.arbiter.counters(A).heartbeat, 2);
    assert_eq!(channel.arbiter.streams().count(), 1);
}

#[test]
fn a_channel_may_have_as_many_streams_as_two_bytes_tell_apart() {
    let mut channel = Channel::new("deribit");
    for stream in 0..2000 {
        channel.receive(A, &deribit(stream, 7, b"x"), 0);
    }
    channel.advance(WAIT);
    assert_eq!(channel.left().len(), 2000);
    assert_eq!(channel.arbiter.streams().count(), 2000);
    assert_eq!(channel.arbiter.counters(A).malformed, 0);
    assert_eq!(channel.arbiter.next_deadline_ns(), None);
}

#[test]
fn what_may_be_in_hold_is_one_bound_for_all_streams_of_a_channel() {
    let small = Limits {
        held_packets: 50,
        ..limits()
    };
    let mut channel = Channel::with_limits("deribit", small);
    for stream in 0..40 {
        channel.receive(A, &deribit(stream, 7, b"x"), 0);
    }
    channel.advance(WAIT);
    channel.left();
    for stream in 0..40u16 {
        let now = WAIT + u64::from(stream);
        channel.receive(A, &deribit(stream, 9, b"x"), now);
        channel.receive(A, &deribit(stream, 11, b"x"), now);
        assert!(channel.arbiter.held().0 <= 50);
        let states = (0..40).filter_map(|stream| channel.arbiter.state(stream));
        let held: usize = states.map(|state| state.held_packets).sum();
        assert_eq!(channel.arbiter.held().0, held);
    }
    // The holes that were open longest were given up.
    let lost: Vec<u64> = channel.lost.iter().map(|(stream, ..)| *stream).collect();
    assert_eq!(lost.len(), 30);
    assert!(lost.iter().all(|stream| *stream < 30), "{lost:?}");
    channel.advance(3 * WAIT);
    assert_eq!((channel.arbiter.held(), channel.lost.len()), ((0, 0), 80));
}

#[test]
fn lines_that_pack_messages_differently_are_merged_by_message() {
    let mut channel = Channel::new("iex-tp");
    let of = |first: u64, count: usize| {
        let all = bodies(1, 40);
        let bytes = |range: &[Vec<u8>]| range.iter().map(|body| 2 + body.len() as u64).sum();
        let before: u64 = bytes(&all[..first as usize - 1]);
        iex(1, 9, before, first, &all[first as usize - 1..][..count])
    };
    channel.receive(A, &of(1, 3), 0);
    channel.advance(WAIT);
    channel.receive(B, &of(1, 5), WAIT);
    channel.receive(A, &of(4, 3), WAIT);
    channel.receive(B, &of(6, 4), WAIT);
    assert_eq!(channel.left(), [of(1, 3), of(4, 2), of(6, 1), of(7, 3)]);
    assert!(channel.lost.is_empty());
}

#[test]
fn of_a_mach_datagram_only_what_is_new_leaves() {
    let part = |number: u64| mach(number, 3, 1, &number.to_be_bytes());
    let run = |from: u64, to: u64| (from..=to).flat_map(part).collect::<Vec<u8>>();
    let mut channel = Channel::new("mach");
    channel.receive(A, &run(10, 12), 0);
    channel.advance(WAIT);
    channel.receive(B, &run(11, 14), WAIT);
    channel.receive(A, &run(13, 14), WAIT);
    assert_eq!(channel.left(), [run(10, 12), run(13, 14)]);
    // A run with a hole in it is two packets; the hole is the other line's to fill.
    channel.receive(A, &[run(15, 16), run(18, 19)].concat(), WAIT);
    channel.receive(B, &run(16, 18), WAIT + MS);
    assert_eq!(channel.left(), [run(15, 16), run(17, 18), run(19, 19)]);
    // A heartbeat beside data does not leave with it.
    let with_heartbeat = [run(20, 20), mach(20, 0, 1, b"")].concat();
    channel.receive(A, &with_heartbeat, WAIT + MS);
    assert_eq!(channel.left(), [run(20, 20)]);
    assert!(channel.lost.is_empty());
    let a = channel.arbiter.counters(A);
    assert_eq!((a.received, a.heartbeat, a.duplicate), (6, 1, 1));
}

#[test]
fn a_mach_session_number_may_come_back() {
    let part = |number: u64, round: u8| mach(number, 3, 1, &[round]);
    let start = mach(0, 1, 1, b"");
    let mut channel = Channel::new("mach");
    for (round, at) in [(b'1', 0), (b'2', 10 * SECOND), (b'3', 20 * SECOND)] {
        channel.both(&start, at);
        for number in 1..4 {
            channel.both(&part(number, round), at + 2 * MS);
        }
        channel.advance(at + SECOND);
        let expected = [
            start.clone(),
            part(1, round),
            part(2, round),
            part(3, round),
        ];
        assert_eq!(channel.left(), expected);
    }
    assert!(channel.lost.is_empty());
    assert_eq!(channel.arbiter.state(0).unwrap().epochs, 3);
}

#[test]
fn a_line_that_lags_across_a_start_is_still_in_the_old_session() {
    let part = |number: u64, round: u8| mach(number, 3, 1, &[round]);
    let start = mach(0, 1, 1, b"");
    let mut channel = Channel::new("mach");
    channel.both(&part(5000, b'1'), 0);
    channel.advance(WAIT + MS);
    channel.left();
    let now = SECOND;
    channel.receive(A, &start, now);
    channel.receive(A, &part(1, b'2'), now);
    channel.receive(B, &part(5001, b'1'), now + MS);
    channel.receive(B, &start, now + 2 * MS);
    channel.receive(B, &part(1, b'2'), now + 2 * MS);
    channel.advance(now + WAIT);
    assert_eq!(channel.left(), [part(5001, b'1'), start, part(1, b'2')]);
    assert!(channel.lost.is_empty());
}

#[test]
fn omd_goes_on_where_the_reset_says() {
    let message = |first: u32| omd(first, &bodies(u64::from(first), 1));
    let mut channel = Channel::new("omd");
    channel.both(&message(9000), 0);
    channel.advance(WAIT + MS);
    channel.left();
    channel.both(&omd_reset(1, 1), SECOND);
    channel.receive(B, &message(2), SECOND + 2 * MS);
    channel.receive(A, &message(1), SECOND + 3 * MS);
    channel.advance(2 * SECOND);
    assert_eq!(channel.left(), [omd_reset(1, 1), message(1), message(2)]);
    // The heartbeat carries the last number, so it opens no hole.
    channel.receive(A, &omd(2, &[]), 3 * SECOND);
    channel.advance(4 * SECOND);
    assert_eq!(channel.left(), [omd(2, &[])]);
    assert!(channel.lost.is_empty());
    // One that carries a higher one does.
    channel.receive(A, &omd(4, &[]), 5 * SECOND);
    channel.advance(6 * SECOND);
    assert_eq!(channel.lost, [(0, 3, 4)]);
}

#[test]
fn xdp_starts_anew_at_its_reset() {
    let mut channel = Channel::new("xdp");
    let reset = xdp_packet(12, 1, 1, &bodies(1, 1));
    channel.both(&xdp(9000, &bodies(1, 2)), 0);
    channel.both(&reset, SECOND);
    channel.both(&xdp(2, &bodies(5, 2)), SECOND);
    channel.advance(2 * SECOND);
    let expected = [xdp(9000, &bodies(1, 2)), reset, xdp(2, &bodies(5, 2))];
    assert_eq!(channel.left(), expected);
    assert!(channel.lost.is_empty());
}

#[test]
fn mitch_goes_back_to_1_but_not_for_a_copy_that_lags() {
    let packet = |first: u32, round: u8| unit(1, first, round, &bodies(1, 1));
    let mut channel = Channel::new("mitch");
    channel.both(&packet(1, 1), 0);
    channel.both(&packet(2, 1), 0);
    channel.receive(B, &packet(1, 1), SECOND);
    channel.both(&packet(3, 1), SECOND);
    assert_eq!(channel.left(), [packet(1, 1), packet(2, 1), packet(3, 1)]);
    assert_eq!(channel.arbiter.state(1).unwrap().epochs, 1);
    channel.both(&packet(1, 2), 6 * SECOND);
    channel.both(&packet(2, 2), 6 * SECOND);
    channel.advance(7 * SECOND);
    assert_eq!(channel.left(), [packet(1, 2), packet(2, 2)]);
    assert_eq!(channel.arbiter.state(1).unwrap().epochs, 2);
    assert!(channel.lost.is_empty());
}

#[test]
fn eobi_counts_on_across_segments_and_starts_anew_in_a_partition() {
    let mut channel = Channel::new("eobi");
    channel.both(&eobi(603, 6, 900, 0), 0);
    channel.both(&eobi(604, 6, 901, 0), 0);
    channel.advance(WAIT + MS);
    channel.receive(A, &eobi(605, 6, 903, 0), SECOND);
    channel.receive(B, &eobi(603, 6, 902, 0), SECOND);
    channel.both(&eobi(604, 6, 1, 1), SECOND);
    channel.both(&eobi(603, 6, 2, 0), SECOND);
    channel.advance(2 * SECOND);
    let expected = [
        eobi(603, 6, 900, 0),
        eobi(604, 6, 901, 0),
        eobi(603, 6, 902, 0),
        eobi(605, 6, 903, 0),
        eobi(604, 6, 1, 1),
        eobi(603, 6, 2, 0),
    ];
    assert_eq!(channel.left(), expected);
    assert!(channel.lost.is_empty());
}

#[test]
fn optiqs_count_of_restarts_comes_round_and_back() {
    let packet = |restarts: u16, number: u32| {
        let flags = (restarts & 7) << 1;
        optiq(7, flags, number, 1001, &restarts.to_be_bytes())
    };
    let mut channel = Channel::new("optiq");
    let mut expected = Vec::new();
    for restarts in 0..20u16 {
        for number in 1..4 {
            channel.both(&packet(restarts, number), u64::from(restarts) * SECOND);
            expected.push(packet(restarts, number));
        }
    }
    channel.advance(100 * SECOND);
    assert_eq!(channel.left(), expected);
    assert!(channel.lost.is_empty());
    // The next day it is the same count again, or one of those before, after a silence.
    let morning = 40_000 * SECOND;
    for (restarts, at) in [(19u16, morning), (18, 2 * morning), (18, 3 * morning)] {
        let two = [packet(restarts, 1), packet(restarts, 2)];
        two.iter().for_each(|packet| channel.both(packet, at));
        channel.advance(at + WAIT);
        assert_eq!(channel.left(), two);
    }
    assert!(channel.lost.is_empty());
}

#[test]
fn optiqs_numbers_go_on_beyond_32_bits() {
    let packet = |number: u64| optiq(7, ((number >> 32) as u16) << 4, number as u32, 1001, b"x");
    let mut channel = Channel::new("optiq");
    let numbers = [0xFFFF_FFFE, 0xFFFF_FFFF, 0x1_0000_0000, 0x1_0000_0002];
    for number in numbers {
        channel.both(&packet(number), 0);
    }
    channel.advance(SECOND);
    assert_eq!(channel.left(), numbers.map(packet));
    assert_eq!(channel.lost, [(7, 0x1_0000_0001, 0x1_0000_0001)]);
}

#[test]
fn umdf_versions_follow_one_another_and_heartbeats_reveal_holes() {
    let mut channel = Channel::new("umdf");
    let reset = umdf(50, 8, 0, 1, b"");
    channel.both(&umdf(50, 7, 100, 10, b"old"), 0);
    channel.advance(WAIT + MS);
    channel.both(&reset, SECOND);
    channel.both(&umdf(50, 8, 1, 10, b"new"), SECOND);
    channel.advance(2 * SECOND);
    let expected = [
        umdf(50, 7, 100, 10, b"old"),
        reset,
        umdf(50, 8, 1, 10, b"new"),
    ];
    assert_eq!(channel.left(), expected);
    channel.receive(A, &umdf(50, 8, 0, 2, &4u32.to_le_bytes()), 3 * SECOND);
    channel.advance(4 * SECOND);
    assert_eq!(channel.lost, [(50, 2, 3)]);
}

#[test]
fn the_start_of_a_version_leaves_before_its_first_packet_although_it_came_later() {
    let (first, reset) = (umdf(50, 8, 1, 10, b"new"), umdf(50, 8, 0, 1, b""));
    let mut channel = Channel::new("umdf");
    channel.receive(A, &first, 0);
    channel.receive(A, &reset, MS);
    channel.advance(WAIT);
    channel.receive(B, &reset, WAIT);
    assert_eq!(channel.left(), [reset, first]);
    assert_eq!(channel.arbiter.counters(B).duplicate, 1);
}

#[test]
fn another_mach_session_is_another_epoch_although_every_line_lost_its_start() {
    let part = |number: u64, session: u8| mach(number, 3, session, &[session]);
    let mut channel = Channel::new("mach");
    for number in 5000..5003 {
        channel.both(&part(number, 1), 0);
    }
    channel.advance(WAIT + MS);
    channel.left();
    // B lags, and still brings the old session after the new one has come.
    channel.receive(A, &part(1, 2), SECOND);
    channel.receive(B, &part(5003, 1), SECOND + MS);
    channel.receive(B, &part(1, 2), SECOND + 2 * MS);
    channel.both(&part(2, 2), SECOND + 3 * MS);
    channel.advance(2 * SECOND);
    channel.receive(B, &part(5004, 1), 2 * SECOND);
    let expected = [part(5003, 1), part(1, 2), part(2, 2)];
    assert_eq!(channel.left(), expected);
    assert!(channel.lost.is_empty());
    assert_eq!(channel.arbiter.counters(B).late, 1);
    assert_eq!(channel.arbiter.state(0).unwrap().epochs, 2);
    // The start of the old session once more, on the line that lags, starts nothing.
    channel.receive(B, &mach(0, 1, 1, b""), 2 * SECOND);
    channel.both(&part(3, 2), 2 * SECOND);
    assert_eq!(channel.left(), [part(3, 2)]);
}

#[test]
fn a_restart_to_1_just_after_the_relay_began_mid_run_is_no_copy() {
    let mitch = |first: u32| unit(1, first, 1, &bodies(1, 1));
    let csm = |first: u32| csm(first, &bodies(1, 1));
    for (name, stream, packet) in [("mitch", 1, &mitch as Write<'_>), ("csm", 0, &csm)] {
        let mut channel = Channel::new(name);
        channel.both(&packet(500_000), 0);
        channel.advance(WAIT + MS);
        channel.left();
        channel.both(&packet(1), 2 * SECOND);
        channel.both(&packet(2), 2 * SECOND);
        channel.advance(3 * SECOND);
        assert_eq!(channel.left(), [packet(1), packet(2)], "{name}");
        assert_eq!(channel.arbiter.state(stream).unwrap().epochs, 2);
        assert!(channel.lost.is_empty());
    }
}

/// The packet with this number.
type Write<'a> = &'a dyn Fn(u32) -> Vec<u8>;

/// A run of numbers ends and another begins below it, and no line shows a word of that.
#[test]
fn a_restart_whose_reset_every_line_lost_is_believed_when_a_line_insists() {
    let mach = |number: u32| mach(u64::from(number), 3, 1, &number.to_be_bytes());
    let omd = |number: u32| omd(number, &bodies(u64::from(number), 1));
    let xdp = |number: u32| xdp(number, &bodies(u64::from(number), 1));
    let mitch = |number: u32| unit(1, number, 1, &bodies(u64::from(number), 1));
    let csm = |number: u32| csm(number, &bodies(u64::from(number), 1));
    let eobi = |number: u32| eobi(1, 1, number, 0);
    let cme = |number: u32| common::cme(number, b"body");
    let pitch = |number: u32| unit(1, number, 1, &bodies(u64::from(number), 1));
    let deribit = |number: u32| deribit(1, number, &number.to_be_bytes());
    let protocols: [(&'static str, u64, Write<'_>); 9] = [
        ("mach", 0, &mach),
        ("omd", 0, &omd),
        ("xdp", 0, &xdp),
        ("mitch", 1, &mitch),
        ("csm", 0, &csm),
        ("eobi", 1, &eobi),
        ("cme-mdp3", 0, &cme),
        ("pitch", 1, &pitch),
        ("deribit", 1, &deribit),
    ];
    // Below by a little, by much, and by more than half of what 32 bits count.
    for old in [5_000u32, 30_000_000, 3_000_000_000] {
        for (name, stream, packet) in protocols {
            let mut channel = Channel::new(name);
            for number in old..old + 20 {
                channel.both(&packet(number), u64::from(number - old) * MS);
            }
            channel.advance(SECOND);
            assert_eq!(channel.left().len(), 20);
            // The first two are lost with the reset.
            for number in 3..40 {
                channel.both(&packet(number), SECOND + u64::from(number) * 10 * MS);
            }
            channel.advance(3 * SECOND);
            let left = channel.left();
            let skipped = 37 - left.len();
            assert!(
                (7..20).contains(&skipped),
                "{name} after {old}: {skipped} skipped"
            );
            let first = 3 + skipped as u32;
            let expected: Vec<Vec<u8>> = (first..40).map(packet).collect();
            assert_eq!(left, expected, "{name} after {old}");
            // What was skipped is told.
            let lost = [(stream, 3, u64::from(first) - 1)];
            assert_eq!(channel.lost, lost, "{name} after {old}");
            let state = channel.arbiter.state(stream).unwrap();
            assert_eq!((state.epochs, state.lost_messages), (2, skipped as u64));
        }
    }
}

#[test]
fn one_line_that_shows_low_numbers_while_another_goes_on_is_not_believed() {
    let cme = |number: u32| common::cme(number, b"body");
    let mut channel = Channel::new("cme-mdp3");
    for number in 5_000..5_020 {
        channel.both(&cme(number), 0);
    }
    channel.advance(SECOND);
    channel.left();
    for step in 0..200 {
        let now = SECOND + u64::from(step) * 20 * MS;
        channel.receive(A, &cme(5_020 + step), now);
        channel.receive(B, &cme(1 + step), now + MS);
    }
    let expected: Vec<Vec<u8>> = (5_020..5_220).map(cme).collect();
    assert_eq!(channel.left(), expected);
    assert_eq!(channel.arbiter.state(0).unwrap().epochs, 1);
    assert_eq!(channel.arbiter.counters(B).late, 200);
}
