//! The arbiter driven by bytes: what arrives on which line, when, what the clock does, when it drains or is told new terms.

use std::collections::{BTreeMap, BTreeSet};

use lanecast_relay_core::{find, Action, ChannelArbiter, Content, Limits, Outgoing, Recovery};

use crate::framings::{Anew, Framing, Message, Said, FRAMINGS};
use crate::input::Input;

const MS: u64 = 1_000_000;
const LINES: usize = 3;
/// The line as which answers come.
const ANSWERS: usize = 2;

struct Driver {
    framing: &'static Framing,
    arbiter: ChannelArbiter,
    limits: Limits,
    now_ns: u64,
    received: [u64; LINES],
    lost_messages: u64,
    /// By stream, what has to come next, by the arbiter's own word: its epoch's key and the number.
    next: BTreeMap<u64, ([u8; 10], u64)>,
    /// What has left since the last long silence. Where epochs have names, nothing leaves twice.
    left: BTreeSet<(u64, u64, u64)>,
    came: BTreeSet<(u64, u64, u64)>,
    /// There was a long silence, after which a name may come back.
    came_back: bool,
    /// When messages last left.
    left_ns: u64,
    actions: Vec<Action>,
}

pub fn check(data: &[u8]) {
    let input = &mut Input::new(data);
    let framing = &FRAMINGS[input.below(FRAMINGS.len() as u64) as usize];
    let limits = Limits {
        hole_wait_ns: 20 * MS,
        held_bytes: 100 + 50 * usize::from(input.byte()),
        held_packets: 1 + usize::from(input.byte()),
    };
    let protocol = find(framing.name).expect("it is one of the protocols");
    let mut arbiter = ChannelArbiter::new(protocol, LINES, limits);
    if input.below(2) == 1 {
        arbiter = arbiter.with_recovery(recovery());
    }
    let mut driver = Driver {
        framing,
        arbiter,
        limits,
        now_ns: 0,
        received: [0; LINES],
        lost_messages: 0,
        next: BTreeMap::new(),
        left: BTreeSet::new(),
        came: BTreeSet::new(),
        came_back: false,
        left_ns: 0,
        actions: Vec::new(),
    };
    while !input.is_empty() {
        driver.step(input);
    }
    driver.drain();
}

fn recovery() -> Recovery {
    Recovery {
        line: ANSWERS,
        wait_ns: 100 * MS,
        retry_ns: 10 * MS,
    }
}

impl Driver {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 => self.pass(input.below(256) * MS),
            // So long that unmarked restarts are believed.
            1 => self.pass(11_000 * MS),
            2 => self.drain(),
            3 => {
                self.limits.hole_wait_ns = (1 + input.below(100)) * MS;
                let recovery = (input.below(2) == 1).then(recovery);
                self.arbiter.set_terms(self.limits, recovery);
            }
            4 => {
                let datagram = input.bytes(40).to_vec();
                // It may happen to be one, and then says what it likes.
                let is_one =
                    find(self.framing.name).is_some_and(|one| one.packets(&datagram).is_ok());
                if !is_one {
                    self.receive(0, &datagram);
                }
            }
            _ => self.packet(input),
        }
    }

    /// A packet as the exchange would send it.
    fn packet(&mut self, input: &mut Input<'_>) {
        let line = input.below(LINES as u64) as usize;
        self.pass(input.below(32) * MS / 8);
        let first = Message {
            stream: input.below(self.framing.streams),
            epoch: input.below(4),
            index: input.below(256) + 8 * input.below(2) * input.below(1024),
        };
        let bare = match input.below(8) {
            0 => self.framing.heartbeat,
            1 => self.framing.end,
            2 => self.framing.start,
            _ => None,
        };
        let datagram = match bare {
            Some(write) => write(first),
            None => {
                let count = if self.framing.identical {
                    1
                } else {
                    1 + input.below(12)
                };
                let numbers = first.index..first.index + count;
                self.came
                    .extend(numbers.map(|index| (first.stream, first.epoch, index)));
                (self.framing.write)(first, count)
            }
        };
        self.receive(line, &datagram);
    }

    fn receive(&mut self, line: usize, datagram: &[u8]) {
        // What is new may have been in hold for a while before it left.
        if self.now_ns.saturating_sub(self.left_ns) > 9_000 * MS {
            self.left.clear();
            self.came_back = true;
        }
        self.received[line] += 1;
        let mut actions = std::mem::take(&mut self.actions);
        self.arbiter
            .receive(line, datagram, self.now_ns, &mut actions);
        self.take(actions, datagram);
    }

    fn drain(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        self.arbiter.drain(self.now_ns, &mut actions);
        self.take(actions, &[]);
        for (_, arbiter) in self.arbiter.streams().chain([(0, self.arbiter.main())]) {
            assert_eq!(
                (arbiter.state().held_packets, arbiter.state().held_bytes),
                (0, 0)
            );
        }
        assert_eq!(
            self.arbiter.next_deadline_ns(),
            None,
            "what is empty waits for nothing"
        );
    }

    /// Let time pass, with every deadline on the way: each is met, so that there is an end to them.
    fn pass(&mut self, for_ns: u64) {
        let until_ns = self.now_ns + for_ns;
        while let Some(at_ns) = self
            .arbiter
            .next_deadline_ns()
            .filter(|at_ns| *at_ns <= until_ns)
        {
            self.now_ns = self.now_ns.max(at_ns);
            let mut actions = std::mem::take(&mut self.actions);
            self.arbiter.on_deadline(self.now_ns, &mut actions);
            self.take(actions, &[]);
            assert!(self
                .arbiter
                .next_deadline_ns()
                .is_none_or(|next_ns| next_ns > self.now_ns));
        }
        self.now_ns = until_ns;
    }

    fn take(&mut self, mut actions: Vec<Action>, received: &[u8]) {
        for action in actions.drain(..) {
            match action {
                Action::Send(Outgoing::Received, content) => self.sent(received, content),
                Action::Send(Outgoing::Owned(bytes), content) => self.sent(&bytes, content),
                Action::Lost {
                    stream,
                    epoch,
                    first,
                    last,
                } => {
                    assert!(first <= last);
                    self.lost_messages += last - first + 1;
                    self.go_on(stream, epoch.0, first, last + 1);
                }
                Action::Missing { first, last, .. } => assert!(first <= last),
            }
        }
        self.actions = actions;
        self.check_state();
    }

    fn check_state(&self) {
        let mut lost_messages = 0;
        for (_, arbiter) in self.arbiter.streams().chain([(0, self.arbiter.main())]) {
            let state = arbiter.state();
            assert!(state.held_packets <= self.limits.held_packets, "{state:?}");
            assert!(state.held_bytes <= self.limits.held_bytes, "{state:?}");
            lost_messages += state.lost_messages;
        }
        assert_eq!(lost_messages, self.lost_messages);
        for (line, received) in self.received.iter().enumerate() {
            let counters = self.arbiter.counters(line);
            assert_eq!(counters.accounted(), counters.received, "{counters:?}");
            assert_eq!(counters.received, *received);
        }
    }

    /// The numbers of a stream go on where they were, or start anew with another epoch.
    fn go_on(&mut self, stream: u64, epoch: [u8; 10], first: u64, end: u64) {
        if let Some((was, next)) = self.next.insert(stream, (epoch, end)) {
            // A name may be the same again after a silence.
            let anew = was != epoch || self.came_back;
            assert!(
                anew || next == first,
                "{first} follows {next} in stream {stream}"
            );
        }
    }

    fn sent(&mut self, bytes: &[u8], content: Content) {
        let Content::Messages {
            stream,
            epoch,
            first: number,
            end: number_end,
            skip,
        } = content
        else {
            return;
        };
        assert_eq!(skip, 0, "these framings' messages can be taken apart");
        self.go_on(stream, epoch.0, number, number_end);
        let Said::Messages { first, end } = (self.framing.read)(bytes) else {
            panic!("messages left that are none");
        };
        assert_eq!(number_end - number, end - first.index);
        self.left_ns = self.now_ns;
        let wire = self.arbiter.main().wire(number);
        assert_eq!((self.framing.index)(first.epoch, wire), first.index);
        for index in first.index..end {
            let one = (first.stream, first.epoch, index);
            assert!(self.came.contains(&one), "{one:?} never came");
            let anew = self.left.insert(one);
            assert!(
                anew || self.framing.anew != Anew::Header,
                "{one:?} leaves twice"
            );
        }
    }
}
