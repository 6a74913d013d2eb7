//! Making packets: what is left of one when messages are taken off, and the request for lost ones.

use crate::parse::malformed;
use crate::protocol::{
    ByteOrder, Epoch, EpochKey, Field, Malformed, Meaning, Messages, Numbering, Protocol,
};

impl Protocol {
    /// A copy of `packet` without its first `skip` messages, its number, count, length and byte offset corrected. `None`
    /// when it has no more messages than that, or when the messages cannot be told apart.
    #[must_use]
    pub fn trim(&self, packet: &[u8], skip: u64) -> Option<Vec<u8>> {
        if self.several {
            return self.without_packets(packet, skip);
        }
        let (Some(number), Numbering::Messages(count)) = (self.number, self.numbering) else {
            return None;
        };
        if number.high.is_some() || !self.is_transparent(packet) {
            return None;
        }
        let header = self.messages_start(Meaning::Data);
        let first = self
            .numbers()
            .after(self.read(packet, number.field)?, skip)?;
        let left = self.read(packet, count)?.checked_sub(skip)?;
        if left == 0 {
            return None;
        }
        let at = skipped(skip, header, |at| self.message_end(packet, at))?;
        let mut trimmed = Vec::with_capacity(header + packet.len() - at);
        trimmed.extend_from_slice(packet.get(..header)?);
        trimmed.extend_from_slice(packet.get(at..)?);
        self.write(&mut trimmed, number.field, first)?;
        self.write(&mut trimmed, count, left)?;
        if let Some(size) = self.size {
            let counted = trimmed.len().checked_sub(size.uncounted)?;
            self.write(&mut trimmed, size.field, u64::try_from(counted).ok()?)?;
        }
        if let Some(field) = self.byte_offset {
            let gone = u64::try_from(at - header).ok()?;
            let offset = self.read(packet, field)?.wrapping_add(gone);
            self.write(&mut trimmed, field, offset)?;
        }
        Some(trimmed)
    }

    /// Hand over the `count` messages of `packet` after the first `skip`, one by one: a message is one sequence number.
    ///
    /// Where the packet has one number it is the message, whole; so is each inner packet where there are several. A prefix
    /// that only tells a message's length (one that leaves itself out, in front) is left off. Messages that cannot be told
    /// apart come as one, the whole packet, with empty ones for the other numbers.
    pub fn each_message(&self, packet: &[u8], skip: u64, count: u64, mut take: impl FnMut(&[u8])) {
        let split = |step: &dyn Fn(usize) -> Result<usize, Malformed>, start: usize| {
            let mut ends = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(64));
            let mut at = skipped(skip, start, step)?;
            for _ in 0..count {
                let end = step(at).ok().filter(|end| *end > at)?;
                ends.push((at, end));
                at = end;
            }
            Some(ends)
        };
        let inner = |at: usize| {
            let rest = packet.get(at..).unwrap_or_default();
            self.packet_bytes(rest).map(|bytes| at + bytes)
        };
        let message = |at: usize| self.message_end(packet, at);
        let (places, prefix) = match self.numbering {
            _ if self.several => (split(&inner, 0), 0),
            Numbering::Packets => (None, 0),
            Numbering::Messages(_) if !self.is_transparent(packet) => (None, 0),
            Numbering::Messages(_) => (
                split(&message, self.messages_start(Meaning::Data)),
                self.bare_prefix_bytes(),
            ),
        };
        let Some(places) = places else {
            take(packet);
            return (1..count).for_each(|_| take(&[]));
        };
        for (start, end) in places {
            take(packet.get(start + prefix..end).unwrap_or_default());
        }
    }

    /// The bytes in front of a message that say nothing but its length.
    fn bare_prefix_bytes(&self) -> usize {
        match self.messages {
            Messages::Prefixed {
                length, uncounted, ..
            } if length.offset == 0 && length.bytes == uncounted => uncounted,
            _ => 0,
        }
    }

    /// The datagram that asks for the numbers `first..=last` again; `None` where the protocol has none, or where `first`
    /// does not fit. It asks for less where the count does not fit.
    #[must_use]
    pub fn request(&self, epoch: EpochKey, first: u64, last: u64) -> Option<Vec<u8>> {
        let (Some(number), Numbering::Messages(count), Epoch::InHeader(at, bytes)) =
            (self.number, self.numbering, self.epoch)
        else {
            return None;
        };
        if !self.requests || last < first {
            return None;
        }
        // The highest counts may have meanings of their own.
        let most = self.end_count.map_or(u64::MAX, |end| end.saturating_sub(1));
        let mut request = vec![0; self.header_bytes];
        let session = request.get_mut(at..at + bytes)?;
        session.copy_from_slice(epoch.0.get(..bytes)?);
        self.write(&mut request, number.field, self.numbers().wire(first))?;
        self.write(
            &mut request,
            count,
            (last - first).saturating_add(1).min(most),
        )?;
        Some(request)
    }

    /// Each packet has a number and a length of its own, so nothing has to be corrected.
    fn without_packets(&self, run: &[u8], skip: u64) -> Option<Vec<u8>> {
        let at = skipped(skip, 0, |at| {
            let rest = run.get(at..).unwrap_or_default();
            self.packet_bytes(rest).map(|bytes| at + bytes)
        })?;
        let left = run.get(at..)?;
        (!left.is_empty()).then(|| left.to_vec())
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

/// Where `count` steps from `start` lead. A step of nothing ends it, so that no count can keep it going.
fn skipped(
    count: u64,
    start: usize,
    step: impl Fn(usize) -> Result<usize, Malformed>,
) -> Option<usize> {
    (0..count)
        .try_fold(start, |at, _| match step(at)? {
            end if end > at => Ok(end),
            _ => Err(malformed(at, "nothing to take off")),
        })
        .ok()
}
