//! Datagrams of several framings whose messages say what they are, written and read without the crate.
//!
//! A message's body names its stream, its epoch and its place in the epoch, so that reading what left shows which message
//! it is, and whether the header's number is the right one for it. What is wrong panics.
#![allow(dead_code)] // each user takes a part
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "wire.rs"]
pub mod wire;

/// A message: what it belongs to, and its place there from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub stream: u64,
    pub epoch: u64,
    pub index: u64,
}

/// What a datagram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The messages `first..end`.
    Messages { first: Message, end: u64 },
    /// All messages before this one were sent.
    Heartbeat(Message),
    /// As a heartbeat, and the session is over.
    End(Message),
    /// The numbers start anew, at this message.
    Start(Message),
}

/// How a framing says that its numbers start anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anew {
    /// Every header names the epoch.
    Header,
    /// Every header has a count of epochs, which comes round soon.
    Counter,
    /// Message 0 is a reset; nothing else tells.
    InBand,
    /// Every header has a session, and a start of the session comes before it.
    Session,
    /// A word before message 0, which has no number itself; nothing else tells.
    Announced,
    /// Only a long silence before it.
    Silence,
}

pub struct Framing {
    pub name: &'static str,
    pub streams: u64,
    pub anew: Anew,
    /// The lines' packets are the same bytes, one message each.
    pub identical: bool,
    /// `count` messages from the first one on.
    pub write: fn(first: Message, count: u64) -> Vec<u8>,
    /// A heartbeat before this message, where there are any.
    pub heartbeat: Option<fn(next: Message) -> Vec<u8>>,
    pub end: Option<fn(next: Message) -> Vec<u8>>,
    /// What says that this epoch begins, where that is no message.
    pub start: Option<fn(first: Message) -> Vec<u8>>,
    pub read: fn(&[u8]) -> Said,
    /// The message of `stream` and `epoch` whose number on the wire is this one.
    pub index: fn(epoch: u64, wire: u64) -> u64,
}

pub fn framing(name: &str) -> &'static Framing {
    FRAMINGS.iter().find(|one| one.name == name).unwrap()
}

pub static FRAMINGS: [Framing; 8] = [
    Framing {
        name: "moldudp64",
        streams: 1,
        anew: Anew::Header,
        identical: false,
        write: |first, count| {
            wire::mold(
                &session(first.epoch),
                first.index + 1,
                &bodies(first, count),
            )
        },
        heartbeat: Some(|next| mold_bare(next, 0)),
        end: Some(|next| mold_bare(next, 0xFFFF)),
        start: None,
        read: read_mold,
        index: |_, wire| wire - 1,
    },
    Framing {
        name: "cme-mdp3",
        streams: 1,
        anew: Anew::InBand,
        identical: true,
        write: |one, _| cme(one),
        heartbeat: None,
        end: None,
        start: None,
        read: read_cme,
        index: |epoch, wire| u64::from((wire as u32).wrapping_sub(cme_base(epoch))),
    },
    Framing {
        name: "pitch",
        streams: 3,
        anew: Anew::Silence,
        identical: false,
        write: |first, count| {
            wire::unit(
                unit(first),
                pitch_number(first),
                0x21,
                &bodies(first, count),
            )
        },
        heartbeat: Some(|next| wire::unit(unit(next), pitch_number(next), 0x21, &[])),
        end: None,
        start: None,
        read: read_pitch,
        index: pitch_index,
    },
    Framing {
        name: "iex-tp",
        streams: 2,
        anew: Anew::Header,
        identical: false,
        write: |first, count| iex(first, &bodies(first, count)),
        heartbeat: Some(|next| iex(next, &[])),
        end: None,
        start: None,
        read: read_iex,
        index: |_, wire| wire - 1,
    },
    Framing {
        name: "mach",
        streams: 1,
        anew: Anew::Session,
        identical: false,
        write: |first, count| {
            let inner = bodies(first, count);
            let number = first.index + 1;
            (number..)
                .zip(&inner)
                .flat_map(|(number, body)| wire::mach(number, 3, mach_session(first), body))
                .collect()
        },
        heartbeat: Some(|next| wire::mach(next.index, 0, mach_session(next), &[])),
        end: Some(|next| wire::mach(next.index, 2, mach_session(next), &[])),
        start: Some(|first| wire::mach(0, 1, mach_session(first), &[])),
        read: read_mach,
        index: |_, wire| wire - 1,
    },
    Framing {
        name: "optiq",
        streams: 2,
        anew: Anew::Counter,
        identical: true,
        write: |one, _| optiq(one),
        heartbeat: None,
        end: None,
        start: None,
        read: read_optiq,
        index: |epoch, wire| wire - optiq_base(epoch),
    },
    Framing {
        name: "omd",
        streams: 1,
        anew: Anew::Announced,
        identical: false,
        write: |first, count| wire::omd(omd_number(first), &bodies(first, count)),
        heartbeat: Some(|next| wire::omd(omd_number(next) - 1, &[])),
        end: None,
        start: Some(|first| wire::omd_reset(7, omd_number(first))),
        read: read_omd,
        index: |epoch, wire| wire - u64::from(run_base(epoch)),
    },
    Framing {
        name: "mitch",
        streams: 2,
        anew: Anew::InBand,
        identical: false,
        write: |first, count| {
            let number = run_base(first.epoch) + first.index as u32;
            wire::unit(unit(first), number, 0x41, &bodies(first, count))
        },
        heartbeat: Some(|next| {
            let number = run_base(next.epoch) + next.index as u32;
            wire::unit(unit(next), number, 0x41, &[])
        }),
        end: None,
        start: None,
        read: read_mitch,
        index: |epoch, wire| wire - u64::from(run_base(epoch)),
    },
];

const BODY: usize = 6;

/// Bodies of lengths that differ.
fn body(one: Message) -> Vec<u8> {
    let mut body = vec![one.stream as u8, one.epoch as u8];
    body.extend((one.index as u32).to_le_bytes());
    body.resize(BODY + (one.index % 4) as usize, b'.');
    body
}

fn bodies(first: Message, count: u64) -> Vec<Vec<u8>> {
    (first.index..first.index + count)
        .map(|index| body(Message { index, ..first }))
        .collect()
}

fn read_body(body: &[u8]) -> Message {
    let one = Message {
        stream: u64::from(body[0]),
        epoch: u64::from(body[1]),
        index: u64::from(u32::from_le_bytes(body[2..BODY].try_into().unwrap())),
    };
    assert_eq!(
        body.len(),
        BODY + (one.index % 4) as usize,
        "a body of another length"
    );
    assert!(
        body[BODY..].iter().all(|byte| *byte == b'.'),
        "a body of other bytes"
    );
    one
}

/// Puts the messages of a datagram together; each has to be the one after the one before.
#[derive(Default)]
struct Run {
    first: Option<Message>,
    end: u64,
}

impl Run {
    fn push(&mut self, body: &[u8]) {
        let one = read_body(body);
        let first = *self.first.get_or_insert(one);
        let at = if first == one { one.index } else { self.end };
        assert_eq!(
            one,
            Message { index: at, ..first },
            "a message that is not the next one"
        );
        self.end = at + 1;
    }

    /// The number of the first message has to be the one that the header says.
    fn said(self, count: u64, is_its_header: impl FnOnce(Message) -> bool) -> Said {
        let first = self.first.unwrap();
        assert_eq!(
            self.end - first.index,
            count,
            "another count than the header's"
        );
        assert!(is_its_header(first), "the header is not that of {first:?}");
        Said::Messages {
            first,
            end: self.end,
        }
    }
}

fn number<const SIZE: usize>(bytes: &[u8], at: usize) -> [u8; SIZE] {
    bytes[at..at + SIZE].try_into().unwrap()
}

fn session(epoch: u64) -> [u8; 10] {
    format!("S{epoch:09}").into_bytes().try_into().unwrap()
}

fn mold_bare(next: Message, count: u16) -> Vec<u8> {
    let number = next.index + 1;
    wire::join(&[
        &session(next.epoch),
        &number.to_be_bytes(),
        &count.to_be_bytes(),
    ])
}

fn read_mold(datagram: &[u8]) -> Said {
    let epoch = std::str::from_utf8(&datagram[1..10])
        .unwrap()
        .parse()
        .unwrap();
    let index = u64::from_be_bytes(number(datagram, 10)) - 1;
    let count = u16::from_be_bytes(number(datagram, 18));
    let next = Message {
        stream: 0,
        epoch,
        index,
    };
    if count == 0 || count == 0xFFFF {
        assert_eq!(datagram.len(), 20);
        return if count == 0 {
            Said::Heartbeat(next)
        } else {
            Said::End(next)
        };
    }
    let (mut at, mut run) = (20, Run::default());
    while at < datagram.len() {
        let end = at + 2 + usize::from(u16::from_be_bytes(number(datagram, at)));
        run.push(&datagram[at + 2..end]);
        at = end;
    }
    run.said(u64::from(count), |first| first == next)
}

/// The first run goes past the highest number.
fn cme_base(epoch: u64) -> u32 {
    if epoch == 0 {
        0xFFFF_F000
    } else {
        1
    }
}

fn cme(one: Message) -> Vec<u8> {
    let template: u16 = if one.epoch > 0 && one.index == 0 {
        4
    } else {
        46
    };
    let body = body(one);
    let mut packet = cme_base(one.epoch)
        .wrapping_add(one.index as u32)
        .to_le_bytes()
        .to_vec();
    packet.extend([8; 8]);
    packet.extend((10 + body.len() as u16).to_le_bytes());
    packet.extend(
        [body.len() as u16, template, 1, 9]
            .iter()
            .flat_map(|field| field.to_le_bytes()),
    );
    packet.extend(body);
    packet
}

fn read_cme(datagram: &[u8]) -> Said {
    let size = usize::from(u16::from_le_bytes(number(datagram, 12)));
    assert_eq!(12 + size, datagram.len());
    let mut run = Run::default();
    run.push(&datagram[22..]);
    let header = u32::from_le_bytes(number(datagram, 0));
    run.said(1, |one| {
        cme_base(one.epoch).wrapping_add(one.index as u32) == header
    })
}

fn unit(one: Message) -> u8 {
    one.stream as u8 + 1
}

/// The first run goes past the highest number, after which 1 comes.
fn pitch_base(epoch: u64) -> u64 {
    if epoch == 0 {
        0xFFFF_F000
    } else {
        1
    }
}

fn pitch_number(one: Message) -> u32 {
    let sum = pitch_base(one.epoch) + one.index;
    (sum + u64::from(sum > 0xFFFF_FFFF)) as u32
}

fn pitch_index(epoch: u64, wire: u64) -> u64 {
    match wire.checked_sub(pitch_base(epoch)) {
        Some(index) => index,
        None => wire + 0xFFFF_FFFF - pitch_base(epoch),
    }
}

fn read_pitch(datagram: &[u8]) -> Said {
    read_unit(datagram, |first, wire| pitch_number(first) == wire)
}

fn read_unit(datagram: &[u8], is_number: impl FnOnce(Message, u32) -> bool) -> Said {
    assert_eq!(
        usize::from(u16::from_le_bytes(number(datagram, 0))),
        datagram.len()
    );
    let wire = u32::from_le_bytes(number(datagram, 4));
    let stream = u64::from(datagram[3]) - 1;
    if datagram[2] == 0 {
        return Said::Heartbeat(unknown_epoch(stream, u64::from(wire)));
    }
    let (mut at, mut run) = (8, Run::default());
    while at < datagram.len() {
        let end = at + usize::from(datagram[at]);
        run.push(&datagram[at + 2..end]);
        at = end;
    }
    let count = u64::from(datagram[2]);
    run.said(count, |first| {
        first.stream == stream && is_number(first, wire)
    })
}

/// How many bytes of messages there are before this one.
fn iex_offset(index: u64) -> u64 {
    (2 + BODY as u64) * index + 6 * (index / 4) + [0, 0, 1, 3][(index % 4) as usize]
}

fn iex(first: Message, bodies: &[Vec<u8>]) -> Vec<u8> {
    let (channel, session) = (first.stream as u32 + 1, first.epoch as u32 + 1);
    wire::iex(
        channel,
        session,
        iex_offset(first.index),
        first.index + 1,
        bodies,
    )
}

fn read_iex(datagram: &[u8]) -> Said {
    let next = Message {
        stream: u64::from(u32::from_le_bytes(number(datagram, 4))) - 1,
        epoch: u64::from(u32::from_le_bytes(number(datagram, 8))) - 1,
        index: u64::from_le_bytes(number(datagram, 24)) - 1,
    };
    let length = usize::from(u16::from_le_bytes(number(datagram, 12)));
    assert_eq!(length + 40, datagram.len());
    assert_eq!(
        u64::from_le_bytes(number(datagram, 16)),
        iex_offset(next.index)
    );
    let count = u64::from(u16::from_le_bytes(number(datagram, 14)));
    if count == 0 {
        return Said::Heartbeat(next);
    }
    let (mut at, mut run) = (40, Run::default());
    while at < datagram.len() {
        let end = at + 2 + usize::from(u16::from_le_bytes(number(datagram, at)));
        run.push(&datagram[at + 2..end]);
        at = end;
    }
    run.said(count, |first| first == next)
}

fn mach_session(one: Message) -> u8 {
    one.epoch as u8 + 1
}

fn read_mach(datagram: &[u8]) -> Said {
    let last = u64::from_le_bytes(number(datagram, 0));
    let next = Message {
        stream: 0,
        epoch: u64::from(datagram[11]) - 1,
        index: last,
    };
    match datagram[10] {
        0 => return Said::Heartbeat(next),
        1 => return Said::Start(next),
        2 => return Said::End(next),
        _ => {}
    }
    let (mut at, mut run) = (0, Run::default());
    while at < datagram.len() {
        let end = at + usize::from(u16::from_le_bytes(number(datagram, at + 8)));
        run.push(&datagram[at + 12..end]);
        assert_eq!(u64::from_le_bytes(number(datagram, at)), run.end);
        at = end;
    }
    let count = run.end + 1 - last;
    run.said(count, |first| {
        first.index + 1 == last && first.epoch == next.epoch
    })
}

/// Where the numbers of runs begin that nothing in a header tells apart: the first one has been under way for long.
fn run_base(epoch: u64) -> u32 {
    if epoch == 0 {
        1_000_000
    } else {
        1
    }
}

fn omd_number(one: Message) -> u32 {
    run_base(one.epoch) + one.index as u32
}

fn read_omd(datagram: &[u8]) -> Said {
    let length = usize::from(u16::from_le_bytes(number(datagram, 0)));
    assert_eq!(length, datagram.len());
    let wire = u32::from_le_bytes(number(datagram, 4));
    if datagram[2] == 0 {
        return Said::Heartbeat(unknown_epoch(0, u64::from(wire) + 1));
    }
    if datagram[18..20] == [100, 0] {
        let next = u32::from_le_bytes(number(datagram, 20));
        return Said::Start(unknown_epoch(0, u64::from(next)));
    }
    let (mut at, mut run) = (16, Run::default());
    while at < datagram.len() {
        let end = at + usize::from(u16::from_le_bytes(number(datagram, at)));
        run.push(&datagram[at + 4..end]);
        at = end;
    }
    run.said(u64::from(datagram[2]), |first| omd_number(first) == wire)
}

fn read_mitch(datagram: &[u8]) -> Said {
    read_unit(datagram, |first, wire| {
        run_base(first.epoch) + first.index as u32 == wire
    })
}

/// Who reads it knows which epoch is due; the place is the number.
fn unknown_epoch(stream: u64, wire: u64) -> Message {
    Message {
        stream,
        epoch: u64::MAX,
        index: wire,
    }
}

/// The first run goes past 32 bits.
fn optiq_base(epoch: u64) -> u64 {
    if epoch == 0 {
        0xFFFF_F000
    } else {
        1
    }
}

fn optiq(one: Message) -> Vec<u8> {
    let number = optiq_base(one.epoch) + one.index;
    let flags = (one.epoch as u16 & 7) << 1 | ((number >> 32) as u16) << 4;
    wire::optiq(
        one.stream as u16 + 1,
        flags,
        number as u32,
        1001,
        &body(one),
    )
}

fn read_optiq(datagram: &[u8]) -> Said {
    let flags = u16::from_le_bytes(number(datagram, 12));
    let high = u64::from(flags >> 4 & 7) << 32;
    let wire = high | u64::from(u32::from_le_bytes(number(datagram, 8)));
    let channel = u16::from_le_bytes(number(datagram, 14));
    let mut run = Run::default();
    run.push(&datagram[26..]);
    run.said(1, |one| {
        optiq_base(one.epoch) + one.index == wire
            && u64::from(channel) == one.stream + 1
            && u64::from(flags >> 1 & 7) == one.epoch & 7
    })
}
