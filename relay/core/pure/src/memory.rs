//! What left a channel, kept for who asks again: bounded in bytes, oldest first to go.

use std::collections::{BTreeMap, VecDeque};

use crate::arbiter::Content;
use crate::mold::{header, Session, Sessions, HEADER_BYTES};
use crate::protocol::{EpochKey, Protocol};

/// MoldUDP64 1.0, Request Packet: the header alone; its count says how many messages are asked for.
pub const REQUEST_BYTES: usize = 20;

/// How many sessions of one channel are known by name: epochs of the day, times streams in the channel. Of more, the oldest
/// that nothing is kept of are forgotten.
const SESSIONS: usize = 4096;

/// MoldUDP64 1.0: 0xFFFF is the end of a session, so an answer has fewer messages.
const MOST_MESSAGES: u64 = 0xFFFE;

/// What a subscriber asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub session: Session,
    /// As it stands on the wire.
    pub number: u64,
    pub count: u16,
}

impl Request {
    /// Read a request; none for anything else, or when nothing is asked for.
    #[must_use]
    pub fn read(datagram: &[u8]) -> Option<Self> {
        if datagram.len() != REQUEST_BYTES {
            return None;
        }
        let session = datagram.get(..10)?.try_into().ok()?;
        let number = u64::from_be_bytes(datagram.get(10..18)?.try_into().ok()?);
        let count = u16::from_be_bytes(datagram.get(18..)?.try_into().ok()?);
        (count > 0).then_some(Self {
            session,
            number,
            count,
        })
    }
}

/// Which of a channel's streams a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub stream: u64,
    pub epoch: EpochKey,
    /// One past the highest number that left.
    pub end: u64,
}

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This datagram: an ordinary downstream packet.
    Packet(Vec<u8>),
    /// It is not kept: it left too long ago, or was given up and came after all. Somebody with a longer memory may have it.
    /// The arbiter's numbers `first..end`.
    Forgotten {
        stream: u64,
        epoch: EpochKey,
        first: u64,
        end: u64,
    },
    /// It has not left yet, or the session is none of ours.
    Unknown,
}

struct Kept {
    stream: u64,
    epoch: EpochKey,
    first: u64,
    end: u64,
    skip: u64,
    bytes: Box<[u8]>,
}

/// Keeps what left one channel.
pub struct Memory {
    protocol: &'static Protocol,
    sessions: Sessions,
    room_bytes: usize,
    most_bytes: usize,
    kept_bytes: usize,
    kept: VecDeque<Kept>,
    /// How many were forgotten: the serial of `kept`'s front.
    forgotten: u64,
    /// By stream and epoch, the serials of what is kept, whose numbers rise.
    places: BTreeMap<(u64, [u8; EpochKey::BYTES]), VecDeque<u64>>,
    known: BTreeMap<Session, Known>,
    /// The names in `known`, in the order of becoming known.
    names: VecDeque<Session>,
    /// By stream, the epoch that left last.
    latest: BTreeMap<u64, EpochKey>,
    /// The stream and epoch that left last, to look up names only when they change.
    last: Option<(u64, EpochKey, Session)>,
}

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 96;

impl Memory {
    /// Keep `most_bytes`, its own bookkeeping included; answers have at most `room_bytes` of UDP payload.
    #[must_use]
    pub fn new(
        protocol: &'static Protocol,
        sessions: Sessions,
        room_bytes: usize,
        most_bytes: usize,
    ) -> Self {
        Self {
            protocol,
            sessions,
            room_bytes,
            most_bytes,
            kept_bytes: 0,
            kept: VecDeque::new(),
            forgotten: 0,
            places: BTreeMap::new(),
            known: BTreeMap::new(),
            names: VecDeque::new(),
            latest: BTreeMap::new(),
            last: None,
        }
    }

    /// What is kept goes on in `other`, within its bounds.
    #[must_use]
    pub fn moved_to(self, mut other: Self) -> Self {
        for kept in self.kept {
            let content = Content::Messages {
                stream: kept.stream,
                epoch: kept.epoch,
                first: kept.first,
                end: kept.end,
                skip: kept.skip,
            };
            other.keep(&kept.bytes, content);
        }
        other
    }

    /// How many bytes of UDP payload an answer may have.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        self.room_bytes
    }

    /// How many packets and bytes are kept.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        (self.kept.len(), self.kept_bytes)
    }

    /// `packet` leaves.
    pub fn keep(&mut self, packet: &[u8], content: Content) {
        let Content::Messages {
            stream,
            epoch,
            first,
            end,
            skip,
        } = content
        else {
            return;
        };
        self.know(stream, epoch, end);
        self.begin_anew(stream, epoch, first);
        let cost = packet.len() + ENTRY_BYTES;
        while self.kept_bytes + cost > self.most_bytes && self.forget() {}
        if cost > self.most_bytes {
            return;
        }
        let serial = self.forgotten + self.kept.len() as u64;
        self.places
            .entry((stream, epoch.0))
            .or_default()
            .push_back(serial);
        self.kept_bytes += cost;
        self.kept.push_back(Kept {
            stream,
            epoch,
            first,
            end,
            skip,
            bytes: packet.into(),
        });
    }

    /// Answer `request` from what is kept.
    #[must_use]
    pub fn answer(&self, request: &Request) -> Answer {
        let Some(known) = self.known.get(&request.session) else {
            return Answer::Unknown;
        };
        let first = self.protocol.numbers().uncounted(request.number);
        let end = first
            .saturating_add(u64::from(request.count))
            .min(known.end);
        if first >= end {
            return Answer::Unknown;
        }
        let empty = VecDeque::new();
        let places = self
            .places
            .get(&(known.stream, known.epoch.0))
            .unwrap_or(&empty);
        let at = places
            .partition_point(|serial| self.entry(*serial).is_some_and(|entry| entry.end <= first));
        let mut block = Block::new(request.session, first, self.room_bytes);
        for serial in places.iter().skip(at) {
            let Some(entry) = self.entry(*serial) else {
                break;
            };
            let more = block.take(
                self.protocol,
                &entry.bytes,
                (entry.first, entry.end, entry.skip),
                end,
            );
            if !more {
                break;
            }
        }
        block.finish(self.protocol).map_or(
            Answer::Forgotten {
                stream: known.stream,
                epoch: known.epoch,
                first,
                end,
            },
            Answer::Packet,
        )
    }

    /// Whether nothing of a later epoch of the stream has left.
    #[must_use]
    pub fn is_latest(&self, stream: u64, epoch: EpochKey) -> bool {
        self.latest.get(&stream) == Some(&epoch)
    }

    /// What the session of that name is, when it is one of ours.
    #[must_use]
    pub fn known(&self, session: &Session) -> Option<&Known> {
        self.known.get(session)
    }

    /// Every session that left something, by its name.
    pub fn sessions(&self) -> impl Iterator<Item = (&Session, &Known)> {
        self.known.iter()
    }

    fn entry(&self, serial: u64) -> Option<&Kept> {
        let at = usize::try_from(serial.checked_sub(self.forgotten)?).ok()?;
        self.kept.get(at)
    }

    /// Remember the session's name: the relay's own, and the exchange's where the feed is MoldUDP64 itself.
    fn know(&mut self, stream: u64, epoch: EpochKey, end: u64) {
        let session = match self.last {
            Some((last, key, session)) if (last, key) == (stream, epoch) => session,
            _ => {
                self.latest.insert(stream, epoch);
                self.sessions.name(stream, epoch)
            }
        };
        self.last = Some((stream, epoch, session));
        let known = Known { stream, epoch, end };
        let own = self.protocol.requests.then_some(epoch.0);
        for name in std::iter::once(session).chain(own) {
            if self.known.insert(name, known).is_none() {
                self.names.push_back(name);
                self.forget_names();
            }
        }
    }

    /// The newest name stays, whatever is kept of the others.
    fn forget_names(&mut self) {
        if self.known.len() <= SESSIONS {
            return;
        }
        let older = self.names.len() - 1;
        let is_empty = |name: &Session| {
            let known = self.known.get(name);
            known.is_none_or(|one| !self.places.contains_key(&(one.stream, one.epoch.0)))
        };
        match self.names.iter().take(older).position(is_empty) {
            Some(empty) => drop(
                self.names
                    .remove(empty)
                    .map(|name| self.known.remove(&name)),
            ),
            // Many at once, so that this is not looked for again with each packet.
            None => {
                for name in self.names.drain(..older.min(SESSIONS / 8)) {
                    self.known.remove(&name);
                }
            }
        }
    }

    /// Numbers that fall are another run under the same key, such as a count of restarts that begins anew each day: what is
    /// kept of the run before is not asked for by these numbers any more.
    fn begin_anew(&mut self, stream: u64, epoch: EpochKey, first: u64) {
        let key = (stream, epoch.0);
        let last = self.places.get(&key).and_then(|places| places.back());
        let end = last.and_then(|serial| self.entry(*serial));
        if end.is_some_and(|entry| first < entry.end) {
            self.places.remove(&key);
        }
    }

    /// Let the oldest go. Returns whether there was one.
    fn forget(&mut self) -> bool {
        let Some(oldest) = self.kept.pop_front() else {
            return false;
        };
        let serial = self.forgotten;
        self.forgotten += 1;
        self.kept_bytes -= oldest.bytes.len() + ENTRY_BYTES;
        let key = (oldest.stream, oldest.epoch.0);
        if let Some(places) = self.places.get_mut(&key) {
            // What a run under the same key ended is in no place.
            if places.front() == Some(&serial) {
                places.pop_front();
            }
            if places.is_empty() {
                self.places.remove(&key);
            }
        }
        true
    }
}

/// An answer in the making.
pub struct Block {
    session: Session,
    first: u64,
    next: u64,
    room_bytes: usize,
    bytes: Vec<u8>,
}

impl Block {
    /// From the arbiter's number `first` on, with at most `room_bytes` of UDP payload.
    #[must_use]
    pub fn new(session: Session, first: u64, room_bytes: usize) -> Self {
        Self {
            session,
            first,
            next: first,
            room_bytes,
            bytes: vec![0; HEADER_BYTES],
        }
    }

    /// Add what `packet`, which has the numbers `first..last` after `skip` others, has to give before `end`. Returns
    /// whether more may follow.
    pub fn take(
        &mut self,
        protocol: &Protocol,
        packet: &[u8],
        (first, last, skip): (u64, u64, u64),
        end: u64,
    ) -> bool {
        if first > self.next {
            return false;
        }
        let mut number = first;
        let mut more = true;
        protocol.each_message(packet, skip, last - first, |message| {
            if more && number == self.next {
                more = number < end && self.message(message);
            }
            number += 1;
        });
        more && self.next < end
    }

    /// The datagram; none when it has no message.
    #[must_use]
    pub fn finish(mut self, protocol: &Protocol) -> Option<Vec<u8>> {
        let count = u16::try_from(self.next - self.first).ok()?;
        if count == 0 {
            return None;
        }
        let number = protocol.numbers().counted(self.first);
        let start = self.bytes.get_mut(..HEADER_BYTES)?;
        start.copy_from_slice(&header(self.session, number, count));
        Some(self.bytes)
    }

    /// Add a message if there is room; a first one that is larger than that goes alone.
    fn message(&mut self, message: &[u8]) -> bool {
        let full = self.bytes.len() + 2 + message.len() > self.room_bytes;
        let many = self.next - self.first >= MOST_MESSAGES;
        if many || (full && self.next > self.first) {
            return false;
        }
        let Ok(length) = u16::try_from(message.len()) else {
            return false;
        };
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(message);
        self.next += 1;
        true
    }
}
