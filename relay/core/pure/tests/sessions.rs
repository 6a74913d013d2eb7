//! The relay's own sessions: what they are called, where their numbers go on, and what silence says in them.

#![allow(clippy::unwrap_used)]

mod common;

use common::{cme, cme_reset, limits, mold_header, protocol, MS, SESSION, WAIT};
use lanecast_relay_core::{
    Action, ChannelArbiter, Content, Outgoing, Packed, Packer, Position, Sessions,
};

const DAY_NS: u64 = 86_400_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// Arbitrates and packs one channel, as the edge does.
struct Relay {
    arbiter: ChannelArbiter,
    packer: Packer,
    now_ns: u64,
    /// Every datagram that left packed.
    packed: Vec<Vec<u8>>,
}

impl Relay {
    /// Started `utc_ns` after 1970, by a monotonic clock of its own; `position` is where stream 0 was.
    fn start(name: &str, utc_ns: u64, position: Option<Position>) -> Self {
        let arbiter = ChannelArbiter::new(protocol(name), 1, limits());
        let mut arbiter = arbiter.resuming(position.map(|it| (0, it)).into_iter().collect());
        let now_ns = 5 * SECOND_NS;
        arbiter.set_utc_offset(utc_ns.wrapping_sub(now_ns));
        Self {
            arbiter,
            packer: Packer::new(protocol(name), Sessions::of("feed", "channel"), 1000),
            now_ns,
            packed: Vec::new(),
        }
    }

    fn receive(&mut self, datagram: &[u8]) {
        let mut actions = Vec::new();
        self.arbiter.receive(0, datagram, self.now_ns, &mut actions);
        self.pack(actions, datagram);
    }

    fn wait(&mut self, ns: u64) {
        let end_ns = self.now_ns + ns;
        loop {
            let deadlines = [
                self.arbiter.next_deadline_ns(),
                self.packer.next_heartbeat_ns(),
            ];
            let Some(at) = deadlines
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end_ns)
            else {
                break;
            };
            self.now_ns = at;
            let mut actions = Vec::new();
            self.arbiter.on_deadline(at, &mut actions);
            self.pack(actions, &[]);
            let mut packed = Packed::default();
            self.packer.heartbeats(at, &mut packed);
            self.keep(&packed);
        }
        self.now_ns = end_ns;
    }

    fn pack(&mut self, actions: Vec<Action>, received: &[u8]) {
        let mut packed = Packed::default();
        for action in actions {
            match action {
                Action::Send(Outgoing::Received, content) => {
                    self.packer.push(received, content, &mut packed);
                }
                Action::Send(Outgoing::Owned(bytes), content) => {
                    self.packer.push(&bytes, content, &mut packed);
                }
                Action::Lost {
                    stream,
                    epoch,
                    last,
                    ..
                } => {
                    self.packer.skip_to(stream, epoch, last + 1, &mut packed);
                }
                Action::Missing { .. } => {}
            }
        }
        self.packer.flush(self.now_ns, &mut packed);
        self.keep(&packed);
    }

    fn keep(&mut self, packed: &Packed) {
        self.packed
            .extend(packed.datagrams().map(|(bytes, _)| bytes.to_vec()));
    }

    fn position(&self) -> Option<Position> {
        self.arbiter
            .positions()
            .next()
            .map(|(_, position)| position)
    }

    /// Session, number and count of what left since the last look.
    fn said(&mut self) -> Vec<([u8; 10], u64, u16)> {
        self.packed
            .drain(..)
            .map(|packet| header(&packet))
            .collect()
    }
}

fn header(packet: &[u8]) -> ([u8; 10], u64, u16) {
    (
        packet[..10].try_into().unwrap(),
        u64::from_be_bytes(packet[10..18].try_into().unwrap()),
        u16::from_be_bytes(packet[18..20].try_into().unwrap()),
    )
}

/// What a second stage passes on of these datagrams, which come on one line a millisecond apart: the messages, and how many
/// were lost or late.
fn second_stage(datagrams: &[Vec<u8>]) -> (usize, u64) {
    let mut arbiter = ChannelArbiter::new(protocol("moldudp64"), 1, limits());
    let (mut actions, mut now_ns) = (Vec::new(), SECOND_NS);
    for datagram in datagrams {
        now_ns += MS;
        arbiter.on_deadline(now_ns, &mut actions);
        arbiter.receive(0, datagram, now_ns, &mut actions);
    }
    arbiter.on_deadline(now_ns + SECOND_NS, &mut actions);
    let messages = actions.iter().map(|action| match action {
        Action::Send(_, Content::Messages { first, end, .. }) => end - first,
        _ => 0,
    });
    let state = arbiter.state(0).unwrap();
    (
        messages.sum::<u64>() as usize,
        state.lost_messages + arbiter.counters(0).late,
    )
}

/// Numbers `first..=last` of a CME channel, and after `reset` the reset first.
fn run(relay: &mut Relay, first: u32, last: u32) {
    for number in first..=last {
        let body = format!("message {number}");
        let datagram = match number {
            1 => cme_reset(number, body.as_bytes()),
            _ => cme(number, body.as_bytes()),
        };
        relay.receive(&datagram);
        relay.wait(MS);
    }
    relay.wait(WAIT);
}

#[test]
fn relays_that_were_started_at_different_moments_of_a_day_send_the_same() {
    let day_ns = 20_000 * DAY_NS;
    let mut early = Relay::start("cme-mdp3", day_ns + 1, None);
    let mut late = Relay::start("cme-mdp3", day_ns + 9 * 3600 * SECOND_NS, None);
    run(&mut early, 500, 600);
    early.said();
    for relay in [&mut early, &mut late] {
        run(relay, 700, 800);
        run(relay, 1, 50); // after a reset
    }
    let sessions = |relay: &mut Relay| {
        let mut sessions: Vec<[u8; 10]> = relay.said().iter().map(|said| said.0).collect();
        sessions.dedup();
        sessions
    };
    let (early, late) = (sessions(&mut early), sessions(&mut late));
    assert_eq!(early, late);
    assert_eq!(early.len(), 2);
    let mut tomorrow = Relay::start("cme-mdp3", day_ns + DAY_NS, None);
    run(&mut tomorrow, 60, 70);
    assert!(
        !late.contains(&tomorrow.said()[0].0),
        "another day has other names"
    );
}

#[test]
fn a_relay_that_was_restarted_after_a_reset_goes_on_under_the_same_name() {
    let utc_ns = 20_000 * DAY_NS;
    let mut first = Relay::start("cme-mdp3", utc_ns, None);
    run(&mut first, 1000, 1100);
    run(&mut first, 1, 50);
    let mut second = Relay::start("cme-mdp3", utc_ns + DAY_NS, first.position());
    run(&mut second, 51, 80);
    // It was away while the numbers started anew.
    let mut third = Relay::start("cme-mdp3", utc_ns + DAY_NS, second.position());
    run(&mut third, 2, 60);
    let all = [
        first.packed.clone(),
        second.packed.clone(),
        third.packed.clone(),
    ]
    .concat();
    assert_eq!(second_stage(&all), (101 + 80 + 59, 0));
    assert_eq!(first.said().last().unwrap().0, second.said()[0].0);
    // Back and forth, and with a clock that was set back, no name comes again.
    let mut names = vec![third.said()[0].0];
    for _ in 0..20 {
        third = Relay::start("cme-mdp3", utc_ns, third.position());
        run(&mut third, 2, 30);
        names.push(third.said()[0].0);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 21);
}

#[test]
fn numbers_that_came_round_go_on_after_a_restart() {
    let mut first = Relay::start("cme-mdp3", 0, None);
    for number in [u32::MAX - 1, u32::MAX, 0, 1_000] {
        first.receive(&cme(number, b"message"));
        first.wait(2 * WAIT);
    }
    let before = first.said();
    let mut second = Relay::start("cme-mdp3", 0, first.position());
    second.receive(&cme(1_001, b"message"));
    second.wait(WAIT);
    let after = second.said();
    assert_eq!(before.last().unwrap().1, (1 << 32) + 1_000);
    assert_eq!(after[0], (before[0].0, (1 << 32) + 1_001, 1));
    // Away while they came round.
    let mut third = Relay::start(
        "cme-mdp3",
        0,
        Some(Position {
            next: (1 << 33) - 5,
            ..second.position().unwrap()
        }),
    );
    third.receive(&cme(3, b"message"));
    third.wait(WAIT);
    assert_eq!(third.said()[0], (before[0].0, (1 << 33) + 3, 1));
}

#[test]
fn a_session_that_the_header_names_goes_on_where_it_was() {
    let mut relay = Relay::start("moldudp64", 0, None);
    relay.receive(&common::mold(SESSION, 7, 3));
    relay.wait(WAIT);
    let position = relay.position().unwrap();
    assert_eq!((position.epoch.0, position.next), (*SESSION, 10));
    let mut again = Relay::start("moldudp64", 0, Some(position));
    again.receive(&common::mold(SESSION, 4, 3));
    again.wait(WAIT);
    assert_eq!(
        again.said()[0],
        (relay.said()[0].0, 4, 3),
        "64 bits say it themselves"
    );
}

#[test]
fn each_quiet_session_says_so_once_a_second_whatever_the_others_do() {
    let mut packer = Packer::new(protocol("pitch"), Sessions::of("feed", "channel"), 1000);
    let mut said = Vec::new();
    let epoch = Position {
        epoch: Default::default(),
        next: 5,
    };
    packer.resume(1, epoch, 0);
    packer.resume(2, Position { next: 9, ..epoch }, 0);
    for step in 1..=40 {
        let (now_ns, mut packed) = (step * 100 * MS, Packed::default());
        packer.skip_to(2, epoch.epoch, 0, &mut packed);
        let busy = pitch_message(step);
        let content = Content::Messages {
            stream: 2,
            epoch: epoch.epoch,
            first: (1 << 32) + step,
            end: (1 << 32) + step + 1,
            skip: 0,
        };
        packer.push(&busy, content, &mut packed);
        packer.flush(now_ns, &mut packed);
        if packer.next_heartbeat_ns().is_some_and(|at| at <= now_ns) {
            packer.heartbeats(now_ns, &mut packed);
        }
        said.extend(packed.datagrams().map(|(bytes, _)| header(bytes)));
    }
    let beats: Vec<_> = said.iter().filter(|said| said.2 == 0).collect();
    assert_eq!(beats.len(), 4, "of the quiet one, in four seconds");
    assert!(beats.iter().all(|beat| beat.1 == 5 && beat.0 == beats[0].0));
    packer.clear();
    assert_eq!(packer.next_heartbeat_ns(), None);
}

/// Cboe PITCH, Sequenced Unit Header: length, count, unit, sequence; one message of four bytes.
fn pitch_message(number: u64) -> Vec<u8> {
    let header = [
        &12u16.to_le_bytes()[..],
        &[1, 2],
        &(number as u32).to_le_bytes(),
    ]
    .concat();
    [header, vec![4, 0x21, b'o', b'k']].concat()
}

#[test]
fn a_loss_at_the_end_is_heard_of_by_who_follows_the_session() {
    let mut relay = Relay::start("moldudp64", 0, None);
    relay.receive(&common::mold(SESSION, 98, 2));
    relay.wait(WAIT);
    relay.said();
    relay.receive(&mold_header(SESSION, 110, 0)); // 100 to 109 came on no line
    relay.wait(WAIT + SECOND_NS);
    let said = relay.said();
    assert_eq!(said.len(), 1);
    assert_eq!(
        (said[0].1, said[0].2),
        (110, 0),
        "the heartbeat names what comes next"
    );
    relay.receive(&mold_header(SESSION, 110, 0xFFFF));
    relay.wait(WAIT);
    assert_eq!(relay.said(), [(said[0].0, 110, 0xFFFF)]);
}

#[test]
fn an_end_behind_a_loss_is_where_the_exchange_says_it_is() {
    let mut relay = Relay::start("moldudp64", 0, None);
    relay.receive(&common::mold(SESSION, 98, 2));
    relay.wait(WAIT);
    relay.said();
    relay.receive(&mold_header(SESSION, 110, 0xFFFF));
    relay.wait(WAIT);
    let said: Vec<_> = relay.said().iter().map(|said| (said.1, said.2)).collect();
    assert_eq!(said, [(110, 0xFFFF)]);
}
