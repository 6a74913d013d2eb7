//! The one parser: a datagram and a declaration in, packets out. Nothing here knows an exchange.

use crate::protocol::{
    Bits, ByteOrder, Epoch, EpochKey, Field, Heartbeat, Kind, Malformed, Meaning, Messages, Next,
    Notice, Numbering, Packet, Packets, Protocol,
};

pub(crate) fn malformed(offset: usize, reason: &'static str) -> Malformed {
    Malformed { offset, reason }
}

/// What the messages of a packet said.
#[derive(Default)]
struct Found {
    messages: u64,
    /// They could not be told apart.
    opaque: bool,
    reset: bool,
    notice: Option<(Meaning, u64)>,
}

impl Protocol {
    /// Read `datagram`. Packets must fill it exactly, and messages their packet, so a stray datagram is not taken for one.
    pub fn packets(&self, datagram: &[u8]) -> Result<Packets, Malformed> {
        let (first, mut at) = self.packet_at(datagram, 0)?;
        let mut packets = Packets {
            first,
            others: Vec::new(),
        };
        while at < datagram.len() {
            let (packet, end) = self.packet_at(datagram, at)?;
            let last = packets.others.last_mut().unwrap_or(&mut packets.first);
            if !self.continues(last, &packet) {
                packets.others.push(packet);
            } else {
                last.count += packet.count;
                last.end = packet.end;
            }
            at = end;
        }
        Ok(packets)
    }

    /// Read the first packet of `datagram`, which is the only one unless the protocol has [`Protocol::several`] in one.
    pub fn parse(&self, datagram: &[u8]) -> Result<Packet, Malformed> {
        self.packets(datagram).map(|packets| packets.first)
    }

    /// Whether `packet` is the next of a run whose numbers go on, so that the two count as one with more messages.
    fn continues(&self, run: &Packet, packet: &Packet) -> bool {
        run.kind == Kind::Data
            && packet.kind == Kind::Data
            && (run.stream, run.epoch) == (packet.stream, packet.epoch)
            && self.numbers().after(run.first, run.count) == Some(packet.first)
    }

    /// The packet that starts at `start`, and where it ends.
    fn packet_at(&self, datagram: &[u8], start: usize) -> Result<(Packet, usize), Malformed> {
        let rest = datagram.get(start..).unwrap_or_default();
        let shifted = |error: Malformed| malformed(start + error.offset, error.reason);
        let size = self.packet_bytes(rest).map_err(shifted)?;
        let bytes = rest.get(..size).unwrap_or_default();
        let packet = self.read_packet(bytes).map_err(shifted)?;
        let end = start + size;
        Ok((
            Packet {
                start,
                end,
                ..packet
            },
            end,
        ))
    }

    /// How long the packet at the start of `rest` is: all of it, unless the protocol has several in a datagram.
    pub(crate) fn packet_bytes(&self, rest: &[u8]) -> Result<usize, Malformed> {
        let keepalive = self.keepalive.is_some() && rest.first().copied() == self.keepalive;
        if self.number.is_none() || (keepalive && rest.len() == 1) {
            return Ok(rest.len());
        }
        if rest.len() < self.header_bytes {
            return Err(malformed(rest.len(), "shorter than the header"));
        }
        let Some(size) = self.size else {
            return Ok(rest.len());
        };
        let declared = self
            .read(rest, size.field)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .and_then(|bytes| bytes.checked_add(size.uncounted));
        match declared {
            Some(bytes) if bytes == rest.len() => Ok(bytes),
            Some(bytes) if self.several && (self.header_bytes..rest.len()).contains(&bytes) => {
                Ok(bytes)
            }
            _ => Err(malformed(
                size.field.offset,
                "another length than the datagram's",
            )),
        }
    }

    fn read_packet(&self, bytes: &[u8]) -> Result<Packet, Malformed> {
        let bare = |kind| Packet {
            stream: 0,
            epoch: EpochKey::default(),
            first: 0,
            count: 0,
            kind,
            reset: false,
            start: 0,
            end: bytes.len(),
        };
        let Some(number) = self.number else {
            return Ok(bare(Kind::Unsequenced));
        };
        if bytes.len() < self.header_bytes {
            return Ok(bare(Kind::Keepalive)); // `packet_bytes` lets nothing else through that is so short.
        }
        self.check_constants(bytes)?;
        let short = malformed(bytes.len(), "shorter than the header");
        let high = number.high.and_then(|bits| self.read_bits(bytes, bits));
        let high = high.map_or(0, |value| value << (number.field.bytes * 8));
        let first = high | self.read(bytes, number.field).ok_or(short)?;
        let mut packet = Packet {
            stream: match self.stream {
                Some(field) => self.read(bytes, field).ok_or(short)?,
                None => 0,
            },
            epoch: self.epoch_of(bytes),
            first,
            ..bare(Kind::Data)
        };
        let meaning = self.type_of(bytes)?;
        let declared = self.declared_messages(bytes, meaning)?;
        let found = self.read_messages(bytes, meaning)?;
        let count = declared.unwrap_or(1);
        packet.kind = self.kind_of(first, count, meaning, found.notice);
        packet.reset = found.reset || self.is_back_to_one(bytes, &packet);
        match packet.kind {
            Kind::Data => packet.count = count,
            Kind::Unsequenced | Kind::Keepalive => packet.first = 0,
            Kind::Restart { .. } => packet.reset = true,
            Kind::Heartbeat { .. } | Kind::EndOfSession { .. } => {}
        }
        self.check_count(bytes.len(), &packet, declared, &found)?;
        Ok(packet)
    }

    fn check_constants(&self, bytes: &[u8]) -> Result<(), Malformed> {
        let wrong = self
            .constants
            .iter()
            .find(|(field, value)| self.read(bytes, *field) != Some(*value));
        wrong.map_or(Ok(()), |(field, _)| {
            Err(malformed(field.offset, "not what every header has there"))
        })
    }

    fn epoch_of(&self, bytes: &[u8]) -> EpochKey {
        let mut key = EpochKey::default();
        let mut copy = |(offset, length): (usize, usize)| {
            let name = bytes.iter().skip(offset).take(length);
            key.0
                .iter_mut()
                .zip(name)
                .for_each(|(to, from)| *to = *from);
        };
        if let Some(place) = self.session {
            copy(place);
        }
        match self.epoch {
            Epoch::InHeader(offset, length) => copy((offset, length)),
            Epoch::Counter(bits) => key = EpochKey::step(self.read_bits(bytes, bits).unwrap_or(0)),
            _ => {}
        }
        key
    }

    fn type_of(&self, bytes: &[u8]) -> Result<Meaning, Malformed> {
        let Some(types) = self.types else {
            return Ok(Meaning::Data);
        };
        let value = self.read(bytes, types.field);
        let known = types.known.iter().find(|(known, _)| Some(*known) == value);
        known.map(|(_, meaning)| *meaning).ok_or(malformed(
            types.field.offset,
            "a type of packet that is not known",
        ))
    }

    /// How many messages the header says; none where it does not say, or the packet's type has none.
    fn declared_messages(&self, bytes: &[u8], meaning: Meaning) -> Result<Option<u64>, Malformed> {
        match (self.numbering, meaning) {
            (Numbering::Messages(field), Meaning::Data) => self
                .read(bytes, field)
                .map(Some)
                .ok_or(malformed(bytes.len(), "ends before the count of messages")),
            _ => Ok(None),
        }
    }

    fn kind_of(
        &self,
        first: u64,
        count: u64,
        meaning: Meaning,
        notice: Option<(Meaning, u64)>,
    ) -> Kind {
        let numbered = first != 0 || self.number.is_none_or(|number| number.zero);
        let next = match self.heartbeat {
            Heartbeat::CarriesLast => self.numbers().after(first, 1).unwrap_or(first),
            Heartbeat::CarriesNext | Heartbeat::ConsumesNumber => first,
        };
        let empty = count == 0 && self.heartbeat != Heartbeat::ConsumesNumber;
        let without_messages = |meaning, next| match meaning {
            Meaning::Heartbeat => Kind::Heartbeat { next },
            Meaning::EndOfSession => Kind::EndOfSession { next },
            Meaning::Restart => Kind::Restart { next },
            Meaning::Data => Kind::Data,
        };
        match (meaning, notice) {
            (Meaning::Data, Some((meaning, next))) => without_messages(meaning, next),
            (Meaning::Data, None) if self.end_count == Some(count) => Kind::EndOfSession { next },
            (Meaning::Data, None) if !numbered && empty => Kind::Keepalive,
            (Meaning::Data, None) if !numbered => Kind::Unsequenced,
            (Meaning::Data, None) if empty => Kind::Heartbeat { next },
            (meaning, _) => without_messages(meaning, next),
        }
    }

    fn is_back_to_one(&self, bytes: &[u8], packet: &Packet) -> bool {
        let Epoch::BackToOne(flag) = self.epoch else {
            return false;
        };
        let flagged = flag.is_none_or(|(field, value)| self.read(bytes, field) == Some(value));
        flagged && packet.first == 1 && packet.kind == Kind::Data
    }

    /// Where the messages of a packet start.
    pub(crate) fn messages_start(&self, meaning: Meaning) -> usize {
        match (self.numbering, meaning) {
            (Numbering::Messages(count), Meaning::Data) => {
                self.header_bytes.max(count.offset + count.bytes)
            }
            _ => self.header_bytes,
        }
    }

    fn read_messages(&self, bytes: &[u8], meaning: Meaning) -> Result<Found, Malformed> {
        let opaque = Found {
            opaque: true,
            ..Found::default()
        };
        if self.messages == Messages::Opaque {
            return Ok(opaque);
        }
        let found = self.walk_messages(bytes, meaning);
        let set = |bits| self.read_bits(bytes, bits).is_some_and(|value| value != 0);
        if self.compressed.is_some_and(set) {
            let declared = self.declared_messages(bytes, meaning)?;
            let as_declared = |found: &Found| declared.is_none_or(|count| count == found.messages);
            return Ok(found.ok().filter(as_declared).unwrap_or(opaque));
        }
        found
    }

    fn walk_messages(&self, bytes: &[u8], meaning: Meaning) -> Result<Found, Malformed> {
        let mut found = Found::default();
        let number = self
            .number
            .and_then(|number| self.read(bytes, number.field));
        let may_be_told = number == Some(0) || self.number.is_some_and(|number| number.zero);
        let mut at = self.messages_start(meaning);
        while at < bytes.len() {
            let end = self.message_end(bytes, at)?;
            let message = bytes.get(at..end).unwrap_or_default();
            found.reset |= self.is_reset(message);
            for notice in self.notices.iter().filter(|_| may_be_told) {
                found.notice = self.told(notice, message)?.or(found.notice);
            }
            found.messages += 1;
            at = end;
        }
        Ok(found)
    }

    /// Whether the messages of a packet of data can be told apart.
    pub(crate) fn is_transparent(&self, bytes: &[u8]) -> bool {
        let found = self.read_messages(bytes, Meaning::Data);
        found.is_ok_and(|found| !found.opaque)
    }

    fn told(&self, notice: &Notice, message: &[u8]) -> Result<Option<(Meaning, u64)>, Malformed> {
        if self.read(message, notice.field) != Some(notice.value) {
            return Ok(None);
        }
        let next = match notice.next {
            Next::Always(next) => Some(next),
            Next::At(field) => self.read(message, field),
        };
        let next = next.ok_or(malformed(
            0,
            "a message that ends before the number it names",
        ))?;
        Ok(Some((notice.meaning, next)))
    }

    fn check_count(
        &self,
        length: usize,
        packet: &Packet,
        declared: Option<u64>,
        found: &Found,
    ) -> Result<(), Malformed> {
        if packet.first.checked_add(packet.count).is_none() {
            return Err(malformed(0, "its last number does not fit the field"));
        }
        if found.opaque {
            return Ok(());
        }
        let wanted = match packet.kind {
            Kind::EndOfSession { .. } => Some(0),
            _ => declared,
        };
        match (wanted, packet.kind) {
            (Some(wanted), _) if wanted != found.messages => Err(malformed(
                length,
                "another number of messages than the header says",
            )),
            (None, Kind::Data) if found.messages == 0 => {
                Err(malformed(length, "a packet without a message"))
            }
            (None, Kind::Heartbeat { .. } | Kind::EndOfSession { .. })
                if found.messages != 0 && found.notice.is_none() =>
            {
                Err(malformed(length, "messages in a packet that has none"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn message_end(&self, bytes: &[u8], at: usize) -> Result<usize, Malformed> {
        let Messages::Prefixed {
            length,
            uncounted,
            shortest,
        } = self.messages
        else {
            return Ok(bytes.len());
        };
        let message = bytes.get(at..).unwrap_or_default();
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

    pub(crate) fn read(&self, bytes: &[u8], field: Field) -> Option<u64> {
        let raw = bytes.get(field.offset..field.offset + field.bytes)?;
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(match self.order {
            ByteOrder::Big => raw.iter().fold(0, add),
            ByteOrder::Little => raw.iter().rev().fold(0, add),
        })
    }

    fn read_bits(&self, bytes: &[u8], bits: Bits) -> Option<u64> {
        let value = self.read(bytes, bits.field)?;
        let mask = 1u64.checked_shl(bits.count).map_or(u64::MAX, |top| top - 1);
        Some(value >> bits.lowest & mask)
    }
}
