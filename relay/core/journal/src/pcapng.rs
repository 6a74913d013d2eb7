//! The blocks of a segment (draft-ietf-opsawg-pcapng): written little endian, without options that readers do not need.
//!
//! A datagram is an Enhanced Packet Block that holds an Ethernet frame made around it: the headers that it came with
//! were gone when the socket handed it over.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::settings::LineName;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;

const OPTION_COMMENT: u16 = 1;
const INTERFACE_NAME: u16 = 2;
const SECTION_APPLICATION: u16 = 4;
const INTERFACE_TIME_RESOLUTION: u16 = 9;
/// Ten to the power of minus nine.
const NANOSECONDS: u8 = 9;
/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;

/// Ethernet 14, IPv4 20, UDP 8.
pub const FRAME_HEADER_BYTES: usize = 42;
/// Type, length, interface, time in two halves, captured length, original length.
const PACKET_HEADER_BYTES: usize = 28;
/// Where a datagram lies in its block.
pub(crate) const DATAGRAM_OFFSET: usize = PACKET_HEADER_BYTES + FRAME_HEADER_BYTES;
/// A block's type and length before its body, and the length again after it.
const BLOCK_BYTES: usize = 12;
/// No datagram over IPv4 makes a longer block; whatever says so is no block of a segment.
pub const LONGEST_BLOCK_BYTES: usize = 1 << 17;
/// The largest UDP payload over IPv4.
pub const LONGEST_DATAGRAM_BYTES: usize = 65_507;

/// How many bytes a datagram takes in a segment.
#[must_use]
pub fn packet_block_bytes(datagram_bytes: usize) -> usize {
    PACKET_HEADER_BYTES + (FRAME_HEADER_BYTES + datagram_bytes).next_multiple_of(4) + 4
}

/// What the frames of one line have in common.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Block and frame header, with zeros where a datagram's own values go.
    head: [u8; DATAGRAM_OFFSET],
    /// The sum of the IPv4 header's 16-bit words but those values.
    checksum: u32,
}

impl Frame {
    pub(crate) fn new(interface: u32, to: SocketAddrV4) -> Self {
        let mut head = [0; DATAGRAM_OFFSET];
        let mut put = |at: usize, bytes: &[u8]| {
            let room = head.iter_mut().skip(at);
            room.zip(bytes).for_each(|(to, from)| *to = *from);
        };
        put(0, &ENHANCED_PACKET.to_le_bytes());
        put(8, &interface.to_le_bytes());
        put(28, &hardware_address(*to.ip()));
        put(34, &[0x02, 0]);
        put(40, &[0x08, 0x00]); // IPv4
        put(42, &[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17]); // no options, not to be fragmented, 64 hops, UDP
        put(58, &to.ip().octets());
        put(64, &to.port().to_be_bytes());
        let [a, b, c, d] = to.ip().octets().map(u32::from);
        let checksum = 0x4500 + 0x4000 + ((64 << 8) | 17) + ((a << 8) | b) + ((c << 8) | d);
        Self { head, checksum }
    }

    /// Append one datagram; it is at most [`LONGEST_DATAGRAM_BYTES`] long, and `to` has room for its block.
    #[inline]
    pub(crate) fn append(
        &self,
        to: &mut Vec<u8>,
        received_ns: u64,
        source: SocketAddrV4,
        datagram: &[u8],
    ) {
        let frame_bytes = FRAME_HEADER_BYTES + datagram.len();
        let block_bytes = packet_block_bytes(datagram.len()) as u32;
        let ip_bytes = (frame_bytes - 14) as u16;
        let octets = source.ip().octets();
        let [a, b, c, d] = octets.map(u32::from);
        let sum = self.checksum + u32::from(ip_bytes) + ((a << 8) | b) + ((c << 8) | d);
        let sum = (sum & 0xFFFF) + (sum >> 16);
        let checksum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
        let mut head = self.head;
        head[4..8].copy_from_slice(&block_bytes.to_le_bytes());
        head[12..16].copy_from_slice(&((received_ns >> 32) as u32).to_le_bytes());
        head[16..20].copy_from_slice(&(received_ns as u32).to_le_bytes());
        head[20..24].copy_from_slice(&(frame_bytes as u32).to_le_bytes());
        head[24..28].copy_from_slice(&(frame_bytes as u32).to_le_bytes());
        head[36..40].copy_from_slice(&octets);
        head[44..46].copy_from_slice(&ip_bytes.to_be_bytes());
        head[52..54].copy_from_slice(&checksum.to_be_bytes());
        head[54..58].copy_from_slice(&octets);
        head[62..64].copy_from_slice(&source.port().to_be_bytes());
        head[66..68].copy_from_slice(&(ip_bytes - 20).to_be_bytes());
        to.extend_from_slice(&head);
        to.extend_from_slice(datagram);
        let mut tail = [0; 7];
        let padding = frame_bytes.next_multiple_of(4) - frame_bytes;
        tail[padding..padding + 4].copy_from_slice(&block_bytes.to_le_bytes());
        to.extend_from_slice(&tail[..padding + 4]);
    }
}

/// RFC 1112, section 6.4, for a group; for a host one that is administered locally.
fn hardware_address(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    if ip.is_multicast() {
        [0x01, 0x00, 0x5E, b & 0x7F, c, d]
    } else {
        [0x02, 0, a, b, c, d]
    }
}

/// The first block of a segment. `comment` is for people and for [`crate::index`], which says the same.
pub(crate) fn section_header(comment: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(BYTE_ORDER_MAGIC.to_le_bytes());
    body.extend([1, 0, 0, 0]); // version 1.0
    body.extend(u64::MAX.to_le_bytes()); // length not told
    option(&mut body, OPTION_COMMENT, comment.as_bytes());
    let application = concat!("lanecast-relay ", env!("CARGO_PKG_VERSION"));
    option(&mut body, SECTION_APPLICATION, application.as_bytes());
    body.extend([0; 4]);
    block(SECTION_HEADER, &body)
}

/// The block that introduces a line.
pub(crate) fn interface_description(line: &LineName) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(ETHERNET.to_le_bytes());
    body.extend([0; 6]); // reserved; packets are never cut
    let name = format!("{}/{}/{}", line.feed, line.channel, line.line);
    option(&mut body, INTERFACE_NAME, name.as_bytes());
    let comment = serde_json::to_string(line).unwrap_or_default();
    option(&mut body, OPTION_COMMENT, comment.as_bytes());
    option(&mut body, INTERFACE_TIME_RESOLUTION, &[NANOSECONDS]);
    body.extend([0; 4]);
    block(INTERFACE_DESCRIPTION, &body)
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = value.len().min(usize::from(u16::MAX));
    body.extend(code.to_le_bytes());
    body.extend((length as u16).to_le_bytes());
    body.extend(value.iter().take(length));
    body.resize(body.len().next_multiple_of(4), 0);
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = ((body.len() + BLOCK_BYTES) as u32).to_le_bytes();
    [&kind.to_le_bytes(), &length[..], body, &length].concat()
}

/// What a block of a segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    Section,
    Interface(LineName),
    Packet(PacketBlock<'a>),
    /// Sound, and none of ours.
    Other,
}

/// A datagram in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketBlock<'a> {
    pub interface: u32,
    /// `CLOCK_REALTIME`, nanoseconds.
    pub received_ns: u64,
    pub source: SocketAddrV4,
    pub datagram: &'a [u8],
}

/// A block and where it lies in the bytes that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub start: usize,
    pub end: usize,
    pub content: Content<'a>,
}

/// The whole blocks at the start of some bytes; ends before the first that is torn.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Blocks<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the blocks that were told end.
    #[must_use]
    pub fn end(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let (kind, length) = (u32_at(rest, 0)?, u32_at(rest, 4)? as usize);
        if !(BLOCK_BYTES..=LONGEST_BLOCK_BYTES).contains(&length) || length % 4 != 0 {
            return None;
        }
        if u32_at(rest, length - 4)? as usize != length {
            return None;
        }
        let body = rest.get(8..length - 4)?;
        let content = match kind {
            ENHANCED_PACKET => Content::Packet(packet(body)?),
            INTERFACE_DESCRIPTION => Content::Interface(interface(body)?),
            SECTION_HEADER => Content::Section,
            0 => return None, // a hole in a file that a power cut left
            _ => Content::Other,
        };
        let start = self.at;
        self.at += length;
        Some(Block {
            start,
            end: self.at,
            content,
        })
    }
}

#[inline]
fn packet(body: &[u8]) -> Option<PacketBlock<'_>> {
    let captured = u32_at(body, 12)? as usize;
    let frame = body.get(20..20usize.checked_add(captured)?)?;
    let octets: [u8; 4] = frame.get(26..30)?.try_into().ok()?;
    let port: [u8; 2] = frame.get(34..36)?.try_into().ok()?;
    Some(PacketBlock {
        interface: u32_at(body, 0)?,
        received_ns: u64::from(u32_at(body, 4)?) << 32 | u64::from(u32_at(body, 8)?),
        source: SocketAddrV4::new(octets.into(), u16::from_be_bytes(port)),
        datagram: frame.get(FRAME_HEADER_BYTES..)?,
    })
}

fn interface(body: &[u8]) -> Option<LineName> {
    let mut options = body.get(8..)?;
    loop {
        let head: [u8; 4] = options.get(..4)?.try_into().ok()?;
        let code = u16::from_le_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let value = options.get(4..4 + length)?;
        match code {
            OPTION_COMMENT => return serde_json::from_slice(value).ok(),
            0 => return None,
            _ => options = options.get(4 + length.next_multiple_of(4)..)?,
        }
    }
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_le_bytes(four))
}
