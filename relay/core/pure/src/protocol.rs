//! Framings as declarations: one [`Protocol`] entry says where the numbers are and what they mean, one parser reads all.
//!
//! | protocol  | number    | counts   | heartbeat        | epoch                      |
//! |-----------|-----------|----------|------------------|----------------------------|
//! | cme-mdp3  | 0:4 LE    | packets  | consumes a number| ChannelReset, in band      |
//! | moldudp64 | 10:8 BE   | messages | count 0, next    | session 0:10               |
//! | raw       | none      | -        | -                | -                          |

use std::fmt;

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

/// What one sequence number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// One number a packet, whatever is in it.
    Packets,
    /// The header carries the first message's number, and this field says how many follow.
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

/// What starts the numbers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// Nothing does.
    Never,
    /// These bytes of the header name the epoch: `(offset, bytes)`.
    InHeader(usize, usize),
    /// A message whose field (from the message's start) has this value; the epoch starts at its packet's number.
    ResetMessage(Field, u64),
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
    pub number: Option<Field>,
    pub numbering: Numbering,
    pub heartbeat: Heartbeat,
    /// The count that says that the session is over; the number is then that of the next message.
    pub end_count: Option<u64>,
    pub messages: Messages,
    pub epoch: Epoch,
}

/// Every framing that the relay knows. The Python names are pinned to this table by a test.
pub static PROTOCOLS: &[Protocol] = &[
    Protocol {
        name: "cme-mdp3",
        spec: "CME MDP 3.0, Packet Structure: Binary Packet Header, Message Header; ChannelReset is SBE template 4",
        order: ByteOrder::Little,
        header_bytes: 12,
        number: Some(Field { offset: 0, bytes: 4 }),
        numbering: Numbering::Packets,
        heartbeat: Heartbeat::ConsumesNumber,
        end_count: None,
        messages: Messages::Prefixed {
            length: Field { offset: 0, bytes: 2 },
            uncounted: 0,
            shortest: 10,
        },
        epoch: Epoch::ResetMessage(Field { offset: 4, bytes: 2 }, 4),
    },
    Protocol {
        name: "moldudp64",
        spec: "MoldUDP64 1.0, Downstream Packet: header, message block, heartbeats, end of session",
        order: ByteOrder::Big,
        header_bytes: 20,
        number: Some(Field { offset: 10, bytes: 8 }),
        numbering: Numbering::Messages(Field { offset: 18, bytes: 2 }),
        heartbeat: Heartbeat::CarriesNext,
        end_count: Some(0xFFFF),
        messages: Messages::Prefixed {
            length: Field { offset: 0, bytes: 2 },
            uncounted: 2,
            shortest: 2,
        },
        epoch: Epoch::InHeader(0, 10),
    },
    Protocol {
        name: "raw",
        spec: "none: the whole datagram is one unsequenced message",
        order: ByteOrder::Big,
        header_bytes: 0,
        number: None,
        numbering: Numbering::Packets,
        heartbeat: Heartbeat::ConsumesNumber,
        end_count: None,
        messages: Messages::Opaque,
        epoch: Epoch::Never,
    },
];

/// The protocol called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().find(|protocol| protocol.name == name)
}

/// What an epoch is known by: the header's bytes, or for in-band resets the arbiter's own count of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EpochKey(pub [u8; EpochKey::BYTES]);

impl EpochKey {
    /// MoldUDP64's session, the longest so far.
    pub const BYTES: usize = 10;

    pub(crate) fn step(count: u64) -> Self {
        let mut key = Self::default();
        for (to, from) in key.0.iter_mut().zip(count.to_be_bytes()) {
            *to = from;
        }
        key
    }
}

/// What a datagram is for arbitration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `count` numbers from `first` on.
    Data,
    /// No number of its own; the next one to come is `next`.
    Heartbeat { next: u64 },
    /// As a heartbeat, and nothing will follow in this epoch.
    EndOfSession { next: u64 },
    /// No number at all.
    Unsequenced,
}

/// A datagram in the terms of arbitration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub epoch: EpochKey,
    pub first: u64,
    pub count: u64,
    pub kind: Kind,
    /// It holds a message that starts the numbers anew.
    pub reset: bool,
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

fn malformed(offset: usize, reason: &'static str) -> Malformed {
    Malformed { offset, reason }
}

impl Protocol {
    /// How many bits a number has on the wire; it comes round after that.
    #[must_use]
    pub fn number_bits(&self) -> u32 {
        self.number.map_or(64, |field| field.bytes as u32 * 8)
    }

    /// Read `datagram`. A packet's messages must fill it exactly, so a stray datagram is not taken for one.
    pub fn parse(&self, datagram: &[u8]) -> Result<Packet, Malformed> {
        let Some(number) = self.number else {
            return Ok(Packet::unsequenced());
        };
        let short = malformed(datagram.len(), "shorter than the header");
        if datagram.len() < self.header_bytes {
            return Err(short);
        }
        let mut packet = Packet {
            epoch: self.epoch_of(datagram),
            first: self.read(datagram, number).ok_or(short)?,
            count: 1,
            kind: Kind::Data,
            reset: false,
        };
        let declared = match self.numbering {
            Numbering::Packets => None,
            Numbering::Messages(field) => Some(self.read(datagram, field).ok_or(short)?),
        };
        if let Some(count) = declared {
            if let Some(kind) = self.kind_without_messages(packet.first, count) {
                packet.kind = kind;
                packet.count = 0;
            } else {
                packet.count = count;
            }
        }
        self.check_messages(datagram, &mut packet, declared)?;
        Ok(packet)
    }

    /// A copy of `datagram` without its first `skip` messages, its number and count corrected. `None` when it has no
    /// more messages than that, or when the protocol numbers packets and there is nothing to take off.
    #[must_use]
    pub fn trim(&self, datagram: &[u8], skip: u64) -> Option<Vec<u8>> {
        let (Some(number), Numbering::Messages(count)) = (self.number, self.numbering) else {
            return None;
        };
        let mut at = self.header_bytes;
        for _ in 0..skip {
            at = self.message_end(datagram, at).ok()?;
        }
        let first = self.read(datagram, number)?.checked_add(skip)?;
        let left = self.read(datagram, count)?.checked_sub(skip)?;
        if left == 0 {
            return None;
        }
        let mut trimmed = Vec::with_capacity(self.header_bytes + datagram.len() - at);
        trimmed.extend_from_slice(datagram.get(..self.header_bytes)?);
        trimmed.extend_from_slice(datagram.get(at..)?);
        self.write(&mut trimmed, number, first)?;
        self.write(&mut trimmed, count, left)?;
        Some(trimmed)
    }

    fn epoch_of(&self, datagram: &[u8]) -> EpochKey {
        let mut key = EpochKey::default();
        if let Epoch::InHeader(offset, bytes) = self.epoch {
            for (to, from) in key
                .0
                .iter_mut()
                .zip(datagram.iter().skip(offset).take(bytes))
            {
                *to = *from;
            }
        }
        key
    }

    fn kind_without_messages(&self, number: u64, count: u64) -> Option<Kind> {
        if self.end_count == Some(count) {
            return Some(Kind::EndOfSession { next: number });
        }
        match self.heartbeat {
            Heartbeat::CarriesNext if count == 0 => Some(Kind::Heartbeat { next: number }),
            Heartbeat::CarriesLast if count == 0 => Some(Kind::Heartbeat {
                next: number.saturating_add(1),
            }),
            _ => None,
        }
    }

    fn check_messages(
        &self,
        datagram: &[u8],
        packet: &mut Packet,
        declared: Option<u64>,
    ) -> Result<(), Malformed> {
        if packet.first.checked_add(packet.count).is_none() {
            return Err(malformed(0, "its last number does not fit the field"));
        }
        if self.messages == Messages::Opaque {
            return Ok(());
        }
        let mut at = self.header_bytes;
        let mut found = 0;
        while at < datagram.len() {
            let end = self.message_end(datagram, at)?;
            packet.reset |= self.is_reset(datagram.get(at..end).unwrap_or_default());
            found += 1;
            at = end;
        }
        let wanted = if packet.kind == Kind::Data {
            declared
        } else {
            Some(0)
        };
        match wanted {
            Some(wanted) if wanted != found => Err(malformed(
                at,
                "another number of messages than the header says",
            )),
            None if found == 0 => Err(malformed(at, "a packet without a message")),
            _ => Ok(()),
        }
    }

    fn message_end(&self, datagram: &[u8], at: usize) -> Result<usize, Malformed> {
        let Messages::Prefixed {
            length,
            uncounted,
            shortest,
        } = self.messages
        else {
            return Ok(datagram.len());
        };
        let message = datagram.get(at..).unwrap_or_default();
        let size = self
            .read(message, length)
            .ok_or(malformed(at, "ends inside a message's length"))?;
        let size = usize::try_from(size)
            .unwrap_or(usize::MAX)
            .saturating_add(uncounted);
        if size < shortest {
            return Err(malformed(at, "a message shorter than its own header"));
        }
        if size > message.len() {
            return Err(malformed(at, "a message that runs past the datagram's end"));
        }
        Ok(at + size)
    }

    fn is_reset(&self, message: &[u8]) -> bool {
        match self.epoch {
            Epoch::ResetMessage(field, value) => self.read(message, field) == Some(value),
            _ => false,
        }
    }

    fn read(&self, bytes: &[u8], field: Field) -> Option<u64> {
        let raw = bytes.get(field.offset..field.offset + field.bytes)?;
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(match self.order {
            ByteOrder::Big => raw.iter().fold(0, add),
            ByteOrder::Little => raw.iter().rev().fold(0, add),
        })
    }

    fn write(&self, bytes: &mut [u8], field: Field, value: u64) -> Option<()> {
        let raw = bytes.get_mut(field.offset..field.offset + field.bytes)?;
        let big = value.to_be_bytes();
        let digits = big.get(big.len().checked_sub(field.bytes)?..)?;
        match self.order {
            ByteOrder::Big => raw.copy_from_slice(digits),
            ByteOrder::Little => raw
                .iter_mut()
                .zip(digits.iter().rev())
                .for_each(|(to, from)| *to = *from),
        }
        Some(())
    }
}

impl Packet {
    /// The number that it is about: its first message's, or the next one to come.
    #[must_use]
    pub fn number(&self) -> u64 {
        match self.kind {
            Kind::Heartbeat { next } | Kind::EndOfSession { next } => next,
            Kind::Data | Kind::Unsequenced => self.first,
        }
    }

    fn unsequenced() -> Self {
        Self {
            epoch: EpochKey::default(),
            first: 0,
            count: 0,
            kind: Kind::Unsequenced,
            reset: false,
        }
    }
}
