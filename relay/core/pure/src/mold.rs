//! Packing a stream's messages anew: the relay's own MoldUDP64 session, with the exchange's numbers.
//!
//! The session's name is a pure function of feed, channel, stream and epoch, and the numbers are the exchange's, so two
//! relays, or one that was restarted, send the same stream (what an epoch is called where no header says it:
//! `crate::naming`). Where numbers come round they go on counting here, because MoldUDP64 has 64 bits for them.

use std::collections::BTreeMap;

use crate::arbiter::Content;
use crate::naming::Position;
use crate::protocol::{EpochKey, Protocol};

/// MoldUDP64 1.0, Downstream Packet: session 0:10, sequence number 10:8, message count 18:2.
pub const HEADER_BYTES: usize = 20;

/// MoldUDP64 1.0, Message Block: the length of the message data.
const LENGTH_BYTES: usize = 2;

/// MoldUDP64 1.0: this count says that the session is over.
const END_OF_SESSION: u16 = 0xFFFF;

/// MoldUDP64 1.0, Heartbeats: about one a second while nothing else is sent in the session.
pub const HEARTBEAT_NS: u64 = 1_000_000_000;

/// The name of a session, of printable characters.
pub type Session = [u8; EpochKey::BYTES];

/// Names sessions of one channel.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// The hash of feed and channel.
    seed: u64,
}

impl Sessions {
    #[must_use]
    pub fn of(feed: &str, channel: &str) -> Self {
        let seed = hash(OFFSET_BASIS, feed.as_bytes());
        // A byte that no name has keeps ("ab", "c") apart from ("a", "bc").
        let seed = hash(hash(seed, &[0]), channel.as_bytes());
        Self { seed }
    }

    /// Ten characters of 5 bits each.
    #[must_use]
    pub fn name(&self, stream: u64, epoch: EpochKey) -> Session {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let mut value = hash(hash(self.seed, &stream.to_be_bytes()), &epoch.0);
        // FNV leaves the high bits of short input nearly alone: fold them together.
        value ^= value >> 29;
        let mut name = [0; EpochKey::BYTES];
        for digit in &mut name {
            *digit = DIGITS[(value & 31) as usize];
            value >>= 5;
        }
        name
    }
}

const OFFSET_BASIS: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a, 64 bits: short, and the same for ever (the standard library's hasher may change).
fn hash(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |value, byte| {
        (value ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Datagrams one after the other in one piece of memory, which is used again and again.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    /// Where each ends, and what it is about.
    ends: Vec<(usize, Content)>,
}

impl Packed {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn datagrams(&self) -> impl Iterator<Item = (&[u8], Content)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        let datagram = |(start, (end, content)): (usize, &(usize, Content))| {
            (self.bytes.get(start..*end).unwrap_or_default(), *content)
        };
        starts.zip(&self.ends).map(datagram)
    }

    fn push(&mut self, datagram: &[u8], content: Content) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push((self.bytes.len(), content));
    }
}

/// The datagram that a stream fills.
#[derive(Debug)]
struct Open {
    stream: u64,
    epoch: EpochKey,
    session: Session,
    /// The arbiter's numbers of the messages inside: `first..next`.
    first: u64,
    next: u64,
    /// Header and blocks; the header's number and count are written when it is closed.
    bytes: Vec<u8>,
    /// Whether something was said in the session since the last flush, and when that was. Monotonic, nanoseconds.
    said: bool,
    said_ns: u64,
}

/// Packs the messages of one channel.
#[derive(Debug)]
pub struct Packer {
    protocol: &'static Protocol,
    sessions: Sessions,
    /// How many bytes of UDP payload a datagram may have.
    room_bytes: usize,
    open: BTreeMap<u64, Open>,
    /// Streams whose datagram may have something since the last flush.
    touched: Vec<u64>,
    /// No heartbeat is due before. Monotonic, nanoseconds.
    heartbeat_ns: Option<u64>,
}

impl Packer {
    #[must_use]
    pub fn new(protocol: &'static Protocol, sessions: Sessions, room_bytes: usize) -> Self {
        Self {
            protocol,
            sessions,
            room_bytes,
            open: BTreeMap::new(),
            touched: Vec::new(),
            heartbeat_ns: None,
        }
    }

    /// Nobody is told any more: all sessions are forgotten.
    pub fn clear(&mut self) {
        self.open.clear();
        self.heartbeat_ns = None;
    }

    /// Somebody is told from now on: `stream` is at `position`, and a heartbeat says so if nothing else does.
    pub fn resume(&mut self, stream: u64, position: Position, now_ns: u64) {
        let number = self.protocol.numbers().uncounted(position.next);
        let mut open = Open::new(&self.sessions, stream, position.epoch, number);
        open.said_ns = now_ns;
        self.open.insert(stream, open);
        self.await_heartbeat(now_ns);
    }

    /// `packet` leaves; the datagrams that it fills are added to `packed`. Bytes without a number have no place here.
    pub fn push(&mut self, packet: &[u8], content: Content, packed: &mut Packed) {
        match content {
            Content::Messages {
                stream,
                epoch,
                first,
                end,
                skip,
            } => {
                let mut number = first;
                let protocol = self.protocol;
                protocol.each_message(packet, skip, end - first, |message| {
                    self.message(stream, epoch, number, message, packed);
                    number += 1;
                });
            }
            Content::End {
                stream,
                epoch,
                next,
            } => {
                let protocol = self.protocol;
                let open = self.switch(stream, epoch, next, packed);
                go_to(open, next, protocol, packed);
                notice(open, END_OF_SESSION, content, protocol, packed);
                open.said = true;
            }
            Content::Other => {}
        }
    }

    /// What is below `next` was given up: whoever follows the session has to hear that it was there.
    pub fn skip_to(&mut self, stream: u64, epoch: EpochKey, next: u64, packed: &mut Packed) {
        let protocol = self.protocol;
        let open = self.switch(stream, epoch, next, packed);
        go_to(open, next, protocol, packed);
    }

    /// Close what is open: nothing more comes at once. `now_ns` is monotonic.
    pub fn flush(&mut self, now_ns: u64, packed: &mut Packed) {
        for stream in self.touched.drain(..) {
            let Some(open) = self.open.get_mut(&stream) else {
                continue;
            };
            close(open, self.protocol, packed);
            if std::mem::take(&mut open.said) {
                open.said_ns = now_ns;
            }
        }
        self.await_heartbeat(now_ns);
    }

    /// When [`Self::heartbeats`] wants to be called. Monotonic, nanoseconds.
    #[must_use]
    pub fn next_heartbeat_ns(&self) -> Option<u64> {
        self.heartbeat_ns
    }

    /// For each session that was silent for long enough a heartbeat, which names the number to come (MoldUDP64 1.0,
    /// Heartbeats).
    pub fn heartbeats(&mut self, now_ns: u64, packed: &mut Packed) {
        for open in self.open.values_mut() {
            if now_ns.saturating_sub(open.said_ns) >= HEARTBEAT_NS {
                notice(open, 0, Content::Other, self.protocol, packed);
                open.said_ns = now_ns;
            }
        }
        let earliest = self.open.values().map(|open| open.said_ns).min();
        self.heartbeat_ns = earliest.map(|said_ns| said_ns.saturating_add(HEARTBEAT_NS));
    }

    /// A session that has just been heard of is due no earlier than those that wait already.
    fn await_heartbeat(&mut self, now_ns: u64) {
        if self.heartbeat_ns.is_none() && !self.open.is_empty() {
            self.heartbeat_ns = Some(now_ns.saturating_add(HEARTBEAT_NS));
        }
    }

    fn message(
        &mut self,
        stream: u64,
        epoch: EpochKey,
        number: u64,
        message: &[u8],
        packed: &mut Packed,
    ) {
        let (room, protocol) = (self.room_bytes, self.protocol);
        let open = self.switch(stream, epoch, number, packed);
        let full = open.bytes.len() + LENGTH_BYTES + message.len() > room;
        if open.next != number || (full && open.next > open.first) {
            close(open, protocol, packed);
            (open.first, open.next) = (number, number);
        }
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        open.bytes.extend_from_slice(&length.to_be_bytes());
        let kept = message.get(..usize::from(length)).unwrap_or_default();
        open.bytes.extend_from_slice(kept);
        open.next += 1;
        open.said = true;
    }

    /// The open datagram of `stream`, which is of `epoch` afterwards.
    fn switch(
        &mut self,
        stream: u64,
        epoch: EpochKey,
        number: u64,
        packed: &mut Packed,
    ) -> &mut Open {
        if self.touched.last() != Some(&stream) {
            self.touched.push(stream);
        }
        let sessions = &self.sessions;
        let fresh = || Open::new(sessions, stream, epoch, number);
        let open = self.open.entry(stream).or_insert_with(fresh);
        if open.epoch != epoch {
            close(open, self.protocol, packed);
            *open = fresh();
        }
        open
    }
}

impl Open {
    fn new(sessions: &Sessions, stream: u64, epoch: EpochKey, number: u64) -> Self {
        Self {
            stream,
            epoch,
            session: sessions.name(stream, epoch),
            first: number,
            next: number,
            bytes: vec![0; HEADER_BYTES],
            said: false,
            said_ns: 0,
        }
    }
}

/// Close it; its session goes on at `next` at the earliest.
fn go_to(open: &mut Open, next: u64, protocol: &Protocol, packed: &mut Packed) {
    close(open, protocol, packed);
    open.next = open.next.max(next);
    open.first = open.next;
}

/// A packet without messages.
fn notice(open: &Open, count: u16, content: Content, protocol: &Protocol, packed: &mut Packed) {
    let number = protocol.numbers().counted(open.next);
    packed.push(&header(open.session, number, count), content);
}

fn close(open: &mut Open, protocol: &Protocol, packed: &mut Packed) {
    if open.next == open.first {
        return;
    }
    let count = u16::try_from(open.next - open.first).unwrap_or(u16::MAX);
    let number = protocol.numbers().counted(open.first);
    if let Some(start) = open.bytes.get_mut(..HEADER_BYTES) {
        start.copy_from_slice(&header(open.session, number, count));
    }
    let content = Content::Messages {
        stream: open.stream,
        epoch: open.epoch,
        first: open.first,
        end: open.next,
        skip: 0,
    };
    packed.push(&open.bytes, content);
    open.bytes.truncate(HEADER_BYTES);
    open.first = open.next;
}

/// The header of a MoldUDP64 packet.
#[must_use]
pub fn header(session: Session, number: u64, count: u16) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..10].copy_from_slice(&session);
    header[10..18].copy_from_slice(&number.to_be_bytes());
    header[18..].copy_from_slice(&count.to_be_bytes());
    header
}
