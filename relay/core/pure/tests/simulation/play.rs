//! Hands what the lines bring to the arbiter, as the edge does, and writes down what it does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lanecast_relay_core::{find, Action, ChannelArbiter, Content, Limits, Outgoing, Recovery};

use crate::exchange::{Arrival, Scenario, Server, What, MS};
use crate::framings::{framing, Framing, Message, Said};
use crate::random::Random;

/// What the arbiter did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    Left {
        first: Message,
        end: u64,
    },
    /// The number, as on the wire, and how many.
    Lost {
        stream: u64,
        wire: u64,
        count: u64,
    },
    /// Which messages, of stream 0.
    Asked {
        first: Message,
        end: u64,
    },
    Heartbeat(Message),
    End(Message),
    Start(Message),
}

pub struct Record {
    /// What was handed in, answers included.
    pub arrivals: Vec<Arrival>,
    pub did: Vec<(u64, Did)>,
    /// The line as which answers came.
    pub answers: usize,
    /// When everything had to leave.
    pub drained_ns: u64,
}

/// When it comes, how it is told from others then, and from which to which message of which epoch.
type Answer = (u64, u64, u64, u64, u64);

struct Player<'a> {
    scenario: &'a Scenario,
    framing: &'static Framing,
    arbiter: ChannelArbiter,
    sent_ns: Vec<Vec<Vec<u64>>>,
    answers: BinaryHeap<Reverse<Answer>>,
    random: Random,
    received: Vec<u64>,
    now_ns: u64,
    actions: Vec<Action>,
    record: Record,
}

pub fn play(scenario: &Scenario) -> Record {
    let framing = framing(scenario.framing);
    let traffic = scenario.traffic(framing);
    let limits = Limits {
        hole_wait_ns: scenario.hole_wait_ns,
        held_bytes: 1 << 30,
        held_packets: scenario.held_packets,
    };
    let lines = scenario.lines.len() + 1;
    let mut arbiter = ChannelArbiter::new(find(scenario.framing).unwrap(), lines, limits);
    if let Some(server) = scenario.server {
        arbiter = arbiter.with_recovery(Recovery {
            line: scenario.answers(),
            wait_ns: server.wait_ns,
            retry_ns: server.retry_ns,
        });
    }
    let mut player = Player {
        scenario,
        framing,
        arbiter,
        sent_ns: traffic.sent_ns,
        answers: BinaryHeap::new(),
        random: Random(scenario.seed ^ 0x5EED),
        received: vec![0; lines],
        now_ns: 0,
        actions: Vec::new(),
        record: Record {
            arrivals: Vec::new(),
            did: Vec::new(),
            answers: scenario.answers(),
            drained_ns: 0,
        },
    };
    for one in &traffic.arrivals {
        player.pass(one.at_ns.saturating_sub(1));
        player.hand_in(*one);
    }
    let end_ns = traffic.end_ns.max(player.now_ns) + 2_000 * MS;
    player.pass(end_ns);
    player.now_ns = end_ns;
    player.drain();
    player.record
}

impl Player<'_> {
    /// Let time pass up to `until_ns`: answers come, deadlines are met.
    fn pass(&mut self, until_ns: u64) {
        loop {
            let answer = self
                .answers
                .peek()
                .map(|Reverse((at_ns, ..))| (*at_ns).max(self.now_ns + 1));
            let deadline = self
                .arbiter
                .next_deadline_ns()
                .map(|at_ns| at_ns.max(self.now_ns));
            match (deadline, answer) {
                (Some(at_ns), answer)
                    if at_ns <= until_ns && answer.is_none_or(|one| at_ns <= one) =>
                {
                    self.on_deadline(at_ns)
                }
                (_, Some(at_ns)) if at_ns <= until_ns => {
                    let Some(Reverse((_, _, epoch, index, end))) = self.answers.pop() else {
                        return;
                    };
                    let first = Message {
                        stream: 0,
                        epoch,
                        index,
                    };
                    let what = What::Messages {
                        first,
                        count: end - index,
                    };
                    self.hand_in(Arrival {
                        at_ns,
                        line: self.scenario.answers(),
                        what,
                    });
                }
                _ => return,
            }
        }
    }

    fn on_deadline(&mut self, at_ns: u64) {
        let was = self.arbiter.next_deadline_ns();
        self.now_ns = at_ns;
        let mut actions = std::mem::take(&mut self.actions);
        self.arbiter.on_deadline(at_ns, &mut actions);
        self.take(actions, &[]);
        let now = self.arbiter.next_deadline_ns();
        assert!(
            now.is_none_or(|now| now > at_ns),
            "{was:?}: a deadline was met and is still there"
        );
    }

    fn hand_in(&mut self, one: Arrival) {
        let at_ns = one.at_ns.max(self.now_ns + 1);
        // What fell due since is done first, as a timer would.
        while self
            .arbiter
            .next_deadline_ns()
            .is_some_and(|deadline| deadline <= at_ns)
        {
            self.on_deadline(
                self.arbiter
                    .next_deadline_ns()
                    .unwrap_or(0)
                    .max(self.now_ns),
            );
        }
        self.now_ns = at_ns;
        self.record.arrivals.push(Arrival { at_ns, ..one });
        let datagram = self.written(one.what);
        let mut actions = std::mem::take(&mut self.actions);
        self.arbiter
            .receive(one.line, &datagram, at_ns, &mut actions);
        self.take(actions, &datagram);
        self.received[one.line] += 1;
        let counters = self.arbiter.counters(one.line);
        assert_eq!(counters.received, self.received[one.line]);
        assert_eq!(
            counters.accounted(),
            counters.received,
            "line {}: {counters:?}",
            one.line
        );
        assert_eq!(counters.malformed, 0, "{one:?}");
    }

    fn drain(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        self.arbiter.drain(self.now_ns, &mut actions);
        self.take(actions, &[]);
        self.record.drained_ns = self.now_ns;
        for (line, received) in self.received.iter().enumerate() {
            let counters = self.arbiter.counters(line);
            assert_eq!(counters.received, *received);
            assert_eq!(counters.accounted(), *received);
            assert_eq!(counters.held, 0, "{counters:?}");
        }
        let declared = self.record.did.iter().map(|(_, did)| match did {
            Did::Lost { count, .. } => *count,
            _ => 0,
        });
        let main = self.arbiter.main().state().lost_messages;
        let counted = self
            .arbiter
            .streams()
            .map(|(_, arbiter)| arbiter.state().lost_messages);
        assert_eq!(main + counted.sum::<u64>(), declared.sum::<u64>());
    }

    fn written(&self, what: What) -> Vec<u8> {
        let framing = self.framing;
        match what {
            What::Messages { first, count } => (framing.write)(first, count),
            What::Heartbeat(next) => framing
                .heartbeat
                .map(|write| write(next))
                .unwrap_or_default(),
            What::Start(first) => framing.start.map(|write| write(first)).unwrap_or_default(),
            What::End(next) => framing.end.map(|write| write(next)).unwrap_or_default(),
        }
    }

    fn take(&mut self, mut actions: Vec<Action>, received: &[u8]) {
        for action in actions.drain(..) {
            let did = self.did(&action, received);
            if let Did::Asked { first, end } = did {
                self.ask(first, end);
            }
            self.record.did.push((self.now_ns, did));
        }
        self.actions = actions;
        for (_, arbiter) in self.arbiter.streams().chain([(0, self.arbiter.main())]) {
            let state = arbiter.state();
            assert!(
                state.held_packets <= self.scenario.held_packets,
                "hold is over its bound"
            );
        }
    }

    /// The one place that knows actions.
    fn did(&self, action: &Action, received: &[u8]) -> Did {
        let arbiter = self.arbiter.main();
        match action {
            Action::Send(outgoing, content) => {
                let bytes = match outgoing {
                    Outgoing::Received => received,
                    Outgoing::Owned(bytes) => bytes.as_slice(),
                };
                match (self.framing.read)(bytes) {
                    Said::Messages { first, end } => {
                        self.check_content(content, first, end);
                        Did::Left { first, end }
                    }
                    Said::Heartbeat(next) => Did::Heartbeat(next),
                    Said::End(next) => Did::End(next),
                    Said::Start(first) => Did::Start(first),
                }
            }
            Action::Missing {
                epoch, first, last, ..
            } => {
                // Only MoldUDP64 is asked, whose questions name their session.
                let epoch = std::str::from_utf8(&epoch.0[1..]).unwrap().parse().unwrap();
                let index = (self.framing.index)(epoch, arbiter.wire(*first));
                Did::Asked {
                    first: Message {
                        stream: 0,
                        epoch,
                        index,
                    },
                    end: index + (last - first) + 1,
                }
            }
            Action::Lost {
                stream,
                first,
                last,
                ..
            } => Did::Lost {
                stream: self.stream(*stream),
                wire: arbiter.wire(*first),
                count: last - first + 1,
            },
        }
    }

    /// What is said beside the bytes is what they are.
    fn check_content(&self, content: &Content, first: Message, end: u64) {
        let Content::Messages {
            stream,
            first: number,
            end: number_end,
            skip,
            ..
        } = content
        else {
            panic!("messages left as {content:?}");
        };
        assert_eq!(self.stream(*stream), first.stream);
        let wire = self.arbiter.main().wire(*number);
        assert_eq!(
            ((self.framing.index)(first.epoch, wire), *skip),
            (first.index, 0)
        );
        assert_eq!(number_end - number, end - first.index);
    }

    /// Streams of a channel are numbered from 1 on the wire, where there are several.
    fn stream(&self, on_wire: u64) -> u64 {
        if self.framing.streams == 1 {
            0
        } else {
            on_wire - 1
        }
    }

    /// The server has what the exchange has sent so far, and answers with a part of it, or not at all.
    fn ask(&mut self, first: Message, end: u64) {
        let Some(Server {
            loss,
            doubles,
            delay_ns,
            most,
            ..
        }) = self.scenario.server
        else {
            panic!("nobody was to be asked");
        };
        let sent_ns = &self.sent_ns[0][first.epoch as usize];
        let known = sent_ns.partition_point(|sent_ns| *sent_ns <= self.now_ns) as u64;
        let end = end
            .min(first.index + 1 + self.random.below(most))
            .min(known);
        if self.random.chance(loss) || end <= first.index {
            return;
        }
        for _ in 0..1 + u64::from(self.random.chance(doubles)) {
            let at_ns = self.now_ns + 1 + self.random.below(delay_ns);
            let order = self.random.next();
            self.answers
                .push(Reverse((at_ns, order, first.epoch, first.index, end)));
        }
    }
}
