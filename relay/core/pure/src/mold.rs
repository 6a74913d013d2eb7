//! Packing a stream's messages anew: the relay's own MoldUDP64 session, with the exchange's numbers.
//!
//! The session's name is a pure function of feed, channel, stream and epoch, and the numbers are the exchange's, so two
//! relays, or one that was restarted, send the same stream. Where numbers come round they go on counting here, because
//! MoldUDP64 has 64 bits for them.

use std::collections::BTreeMap;

use crate::arbiter::Content;
use crate::protocol::{EpochKey, Protocol};

/// MoldUDP64 1.0, Downstream Packet: session 0:10, sequence number 10:8, message count 18:2.
pub const HEADER_BYTES: usize = 20;

/// MoldUDP64 1.0, Message Block: the length of the message data.
const LENGTH_BYTES: usize = 2;

/// MoldUDP64 1.0: this count says that the session is over.
const END_OF_SESSION: u16 = 0xFFFF;

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
}

/// Packs the messages of one channel.
#[derive(Debug)]
pub struct Packer {
    protocol: &'static Protocol,
    sessions: Sessions,
    /// How many bytes of UDP payload a datagram may have.
    room_bytes: usize,
    open: BTreeMap<u64, Open>,
}

impl Packer {
    #[must_use]
    pub fn new(protocol: &'static Protocol, sessions: Sessions, room_bytes: usize) -> Self {
        Self {
            protocol,
            sessions,
            room_bytes,
            open: BTreeMap::new(),
        }
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
                self.switch(stream, epoch, next, packed);
                self.close(stream, packed);
                self.notice(stream, END_OF_SESSION, content, packed);
            }
            Content::Other => {}
        }
    }

    /// Close what is open: nothing more comes at once.
    pub fn flush(&mut self, packed: &mut Packed) {
        for open in self.open.values_mut() {
            close(open, self.protocol, packed);
        }
    }

    /// For each stream a heartbeat, which names the number to come (MoldUDP64 1.0, Heartbeats).
    pub fn heartbeats(&mut self, packed: &mut Packed) {
        let streams: Vec<u64> = self.open.keys().copied().collect();
        for stream in streams {
            self.notice(stream, 0, Content::Other, packed);
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
    }

    /// The open datagram of `stream`, which is of `epoch` afterwards.
    fn switch(
        &mut self,
        stream: u64,
        epoch: EpochKey,
        number: u64,
        packed: &mut Packed,
    ) -> &mut Open {
        let sessions = &self.sessions;
        let fresh = || Open {
            stream,
            epoch,
            session: sessions.name(stream, epoch),
            first: number,
            next: number,
            bytes: vec![0; HEADER_BYTES],
        };
        let open = self.open.entry(stream).or_insert_with(fresh);
        if open.epoch != epoch {
            close(open, self.protocol, packed);
            *open = fresh();
        }
        open
    }

    fn close(&mut self, stream: u64, packed: &mut Packed) {
        if let Some(open) = self.open.get_mut(&stream) {
            close(open, self.protocol, packed);
        }
    }

    /// A packet without messages.
    fn notice(&mut self, stream: u64, count: u16, content: Content, packed: &mut Packed) {
        if let Some(open) = self.open.get(&stream) {
            let number = self.protocol.numbers().counted(open.next);
            packed.push(&header(open.session, number, count), content);
        }
    }
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
