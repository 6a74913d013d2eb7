//! Framings as declarations: one [`Protocol`] says where the numbers are and what they mean, one parser reads all.
//!
//! The entries are in [`crate::protocols`], a file each; the parser is [`crate::parse`], and what takes messages off a
//! packet is [`crate::reframe`]. A declaration names what differs from [`Protocol::BARE`], nothing more.

use std::fmt;

use crate::numbers::Numbers;
pub use crate::protocols::PROTOCOLS;

/// How integers of a protocol are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    Big,
    Little,
}

/// An unsigned integer of 1 to 8 bytes at a fixed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub offset: usize,
    pub bytes: usize,
}

/// Shorthand of the declarations, in the notation of the specifications' tables: `offset:bytes`.
pub(crate) const fn at(offset: usize, bytes: usize) -> Field {
    Field { offset, bytes }
}

/// Some bits of a field; bit 0 is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    pub field: Field,
    pub lowest: u32,
    pub count: u32,
}

/// The sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub field: Field,
    /// Bits above the field's own, kept elsewhere in the header.
    pub high: Option<Bits>,
    /// Whether 0 is a number. Where it is none, 1 follows the highest, and a packet with 0 is unsequenced.
    pub zero: bool,
}

impl Number {
    /// The ordinary case: one field, all of whose values are numbers.
    pub(crate) const fn plain(offset: usize, bytes: usize) -> Self {
        Self {
            field: at(offset, bytes),
            high: None,
            zero: true,
        }
    }
}

/// What one sequence number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// One number a packet, whatever is in it.
    Packets,
    /// The header carries the first message's number, and this field says how many follow. Where the field lies behind
    /// the header, packets of messages have a header that is longer by it.
    Messages(Field),
}

/// What the number of a packet without messages means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// Heartbeats are ordinary packets with a number of their own.
    ConsumesNumber,
    /// Count 0; the number is that of the next message.
    CarriesNext,
    /// Count 0; the number is that of the last message sent.
    CarriesLast,
}

/// What a packet says by its type, or by a message in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Data,
    Heartbeat,
    EndOfSession,
    /// The numbers start anew.
    Restart,
}

/// Where the header names the packet's type: values that are not listed are no packets of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types {
    pub field: Field,
    pub known: &'static [(u64, Meaning)],
}

/// A message that names the number to come, in a packet that has no number of its own.
///
/// Where 0 is no number, packets with another one are ordinary whatever is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Told by this field, from the message's start, having this value.
    pub field: Field,
    pub value: u64,
    pub next: Next,
    pub meaning: Meaning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// From the message's start.
    At(Field),
    Always(u64),
}

/// How the messages of a packet are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// The packet is not looked into.
    Opaque,
    /// Each message starts with its length.
    Prefixed {
        /// Where the length stands, from the message's start.
        length: Field,
        /// How many bytes of a message the length leaves out (its own, where it excludes itself).
        uncounted: usize,
        /// The shortest message, with its prefix, in bytes.
        shortest: usize,
    },
}

/// The header's own word on how long the packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub field: Field,
    /// How many bytes of the packet the field leaves out.
    pub uncounted: usize,
}

/// What starts the numbers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// Nothing on the wire says so: lower numbers after a long silence are a new run.
    Unmarked,
    /// These bytes of the header name the epoch, and no name is used twice: `(offset, bytes)`.
    InHeader(usize, usize),
    /// These bits of the header count the epochs, and come round or start over.
    Counter(Bits),
    /// A message whose field (from the message's start) has this value; the epoch starts at its packet's number.
    ResetMessage(Field, u64),
    /// Number 1; with a field and value, only when the header has that value there.
    BackToOne(Option<(Field, u64)>),
    /// A packet or message that means [`Meaning::Restart`].
    Announced,
}

/// One framing, declared.
#[derive(Debug)]
pub struct Protocol {
    pub name: &'static str,
    /// The document and section that the entry follows.
    pub spec: &'static str,
    pub order: ByteOrder,
    pub header_bytes: usize,
    /// `None`: datagrams have no number and are passed on as they come.
    pub number: Option<Number>,
    pub numbering: Numbering,
    pub heartbeat: Heartbeat,
    /// The count that says that the session is over; the number is then that of the next message.
    pub end_count: Option<u64>,
    /// The number that every epoch begins at, where the specification promises one: nothing can come before it.
    pub begins_at: Option<u64>,
    pub messages: Messages,
    pub epoch: Epoch,
    /// These bytes of the header are another session's when they change, where a session's may come back: `(offset, bytes)`.
    pub session: Option<(usize, usize)>,
    /// What numbers belong to inside the group: a unit, a channel.
    pub stream: Option<Field>,
    pub size: Option<Size>,
    /// A datagram holds one packet after another, each as long as `size` says, each with a header of its own.
    pub several: bool,
    /// What every header has at these places.
    pub constants: &'static [(Field, u64)],
    pub types: Option<Types>,
    pub notices: &'static [Notice],
    /// How many bytes of messages the stream had before this packet.
    pub byte_offset: Option<Field>,
    /// When one of these bits is set the messages may be compressed: that they cannot be told apart is then no mistake.
    pub compressed: Option<Bits>,
    /// A datagram of just this byte says that the line lives.
    pub keepalive: Option<u8>,
    /// Whether the header alone, with a number and a count, asks for messages again by UDP.
    pub requests: bool,
}

impl Protocol {
    /// What a declaration starts from: no header, no number, nothing to look into.
    pub const BARE: Self = Self {
        name: "",
        spec: "",
        order: ByteOrder::Big,
        header_bytes: 0,
        number: None,
        numbering: Numbering::Packets,
        heartbeat: Heartbeat::ConsumesNumber,
        end_count: None,
        begins_at: None,
        messages: Messages::Opaque,
        epoch: Epoch::Unmarked,
        session: None,
        stream: None,
        size: None,
        several: false,
        constants: &[],
        types: None,
        notices: &[],
        byte_offset: None,
        compressed: None,
        keepalive: None,
        requests: false,
    };

    /// Whether each packet's header says of which epoch it is.
    #[must_use]
    pub fn names_epochs(&self) -> bool {
        matches!(self.epoch, Epoch::InHeader(..) | Epoch::Counter(_))
    }

    /// How its numbers come round.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.number.map_or(Numbers::new(64, 0), |number| {
            let high = number.high.map_or(0, |bits| bits.count);
            Numbers::new(
                number.field.bytes as u32 * 8 + high,
                u64::from(!number.zero),
            )
        })
    }
}

/// The protocol called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().find(|protocol| protocol.name == name)
}

/// What an epoch is known by: the header's bytes or count, or for in-band resets a day and an ordinal (`crate::naming`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EpochKey(pub [u8; EpochKey::BYTES]);

impl EpochKey {
    /// MoldUDP64's session, the longest so far.
    pub const BYTES: usize = 10;

    /// Two digits a byte.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What [`Self::hex`] wrote; none for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut key = Self::default();
        if text.len() != 2 * Self::BYTES {
            return None;
        }
        for (at, byte) in key.0.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2)?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(key)
    }

    pub(crate) fn step(count: u64) -> Self {
        let mut key = Self::default();
        for (to, from) in key.0.iter_mut().zip(count.to_be_bytes()) {
            *to = from;
        }
        key
    }
}

/// What a packet is for arbitration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `count` numbers from `first` on.
    Data,
    /// No number of its own; the next one to come is `next`.
    Heartbeat { next: u64 },
    /// As a heartbeat, and nothing will follow in this epoch.
    EndOfSession { next: u64 },
    /// The numbers start anew; the first one is `next`.
    Restart { next: u64 },
    /// No number at all, and something in it.
    Unsequenced,
    /// No number at all, and nothing in it: the line lives.
    Keepalive,
}

/// A packet in the terms of arbitration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What the numbers belong to inside the group; 0 where the group is one stream.
    pub stream: u64,
    /// What the header says of it; in-band resets are not in it.
    pub epoch: EpochKey,
    pub first: u64,
    pub count: u64,
    pub kind: Kind,
    /// It starts the numbers anew.
    pub reset: bool,
    /// Where it lies in its datagram.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

impl Packet {
    /// The number that it is about: its first message's, or the next one to come.
    #[must_use]
    pub fn number(&self) -> u64 {
        match self.kind {
            Kind::Heartbeat { next } | Kind::EndOfSession { next } | Kind::Restart { next } => next,
            Kind::Data | Kind::Unsequenced | Kind::Keepalive => self.first,
        }
    }

    /// Whether it has a place in a stream's order.
    #[must_use]
    pub fn is_sequenced(&self) -> bool {
        !matches!(self.kind, Kind::Unsequenced | Kind::Keepalive)
    }
}

/// The packets of one datagram: almost always one, never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets {
    pub first: Packet,
    pub others: Vec<Packet>,
}

impl Packets {
    pub fn iter(&self) -> impl Iterator<Item = &Packet> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Why a datagram is not a packet of the protocol, and at which byte that showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub offset: usize,
    pub reason: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.reason)
    }
}

impl std::error::Error for Malformed {}
