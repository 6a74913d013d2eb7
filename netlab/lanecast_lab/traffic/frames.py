"""Reads the UDP datagrams of a capture file; what cannot be replayed is an error and never silently left out."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from ipaddress import IPv4Address
from pathlib import Path
from struct import Struct, unpack_from
from typing import Any, NamedTuple

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from lanecast_lab.traffic.datagram import TrafficError
from lanecast_relay.config.model import Endpoint

SECOND_NS = 1_000_000_000

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"

LINK_HEADERS = {1: 12, 113: 14, 276: 0}
"""tcpdump.org/linktypes: where the EtherType stands in Ethernet, Linux cooked v1 and Linux cooked v2."""
COOKED_V2 = 276
COOKED_V2_HEADER = 20
RAW_IP = (101, 228)

IPV4 = 0x0800
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
UDP = 17
PROTOCOL_NAMES = {1: "ICMP", 2: "IGMP", 6: "TCP", 89: "OSPF", 103: "PIM"}
MORE_FRAGMENTS_AND_OFFSET = 0x3FFF

IPV4_HEADER = Struct("!BBHHHBBH4s4s")
UDP_HEADER = Struct("!HHHH")


class Captured(NamedTuple):
    """One UDP datagram of a capture."""

    time_ns: int
    group: Endpoint
    payload: bytes


@dataclass(slots=True)
class CaptureFile:
    """A capture's datagrams in file order, and what was passed over because it is not UDP."""

    datagrams: list[Captured] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


class _Damaged(Exception):
    """A frame that cannot be replayed as it was; the text is the kind of damage."""


class _NotUdp(Exception):
    """A frame that is not UDP over IPv4; the text says what it is."""


def read_capture(path: Path) -> CaptureFile:
    """Read pcap or pcapng (also gzipped); raise :class:`TrafficError` with everything that cannot be replayed."""
    content = _content(path)
    found = CaptureFile()
    damaged: dict[str, list[int]] = {}
    for number, (link_type, time_ns, frame) in enumerate(_frames(path, content), start=1):
        try:
            if time_ns is None:
                raise _Damaged("without a time stamp")
            group, payload = _datagram(link_type, frame)
            found.datagrams.append(Captured(time_ns, group, payload))
        except _Damaged as damage:
            damaged.setdefault(str(damage), []).append(number)
        except _NotUdp as other:
            found.passed_over[str(other)] += 1
    problems = [
        f"{path}: {len(frames)} datagrams {kind}, the first in frame {frames[0]}: they cannot be replayed"
        for kind, frames in damaged.items()
    ]
    if not found.datagrams and not problems:
        problems.append(f"{path}: it holds no UDP datagram")
    if problems:
        raise TrafficError(problems)
    return found


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise TrafficError([f"{path}: cannot be read: {error}"]) from None
    if content.startswith(ZSTD_MAGIC):
        raise TrafficError([f"{path}: is compressed with zstd: unpack it first (zstd -d)"])
    return content


def _frames(path: Path, content: bytes) -> Iterator[tuple[int, int | None, bytes]]:
    """(link type, time, bytes) of each frame. Scapy ends quietly where a file is damaged, hence the checks."""
    try:
        reader: Any = RawPcapReader(BytesIO(content))  # type: ignore[arg-type]
    except Scapy_Exception:
        raise TrafficError([f"{path}: is neither pcap nor pcapng"]) from None
    if isinstance(reader, RawPcapNgReader):
        expected = _pcapng_packets(path, content)
        frames = _pcapng_frames(reader)
    else:
        expected = _pcap_packets(path, content, reader.endian)
        frames = _pcap_frames(reader)
    count = 0
    for frame in frames:
        count += 1
        yield frame
    if count != expected:
        raise TrafficError([f"{path}: {expected - count} of {expected} frames cannot be read"])


def _pcap_frames(reader: Any) -> Iterator[tuple[int, int | None, bytes]]:
    fraction_ns = 1 if reader.nano else 1000
    for frame, about in reader:
        yield reader.linktype & 0xFFFF, about.sec * SECOND_NS + about.usec * fraction_ns, frame


def _pcapng_frames(reader: Any) -> Iterator[tuple[int, int | None, bytes]]:
    for frame, about in reader:
        if about.tshigh is None:
            yield about.linktype, None, frame
        else:
            yield about.linktype, (about.tshigh << 32 | about.tslow) * SECOND_NS // about.tsresol, frame


def _pcap_packets(path: Path, content: bytes, endian: str) -> int:
    """How many packets the file holds by its own lengths (draft-ietf-opsawg-pcap, 5)."""
    count, offset = 0, 24
    while offset < len(content):
        if offset + 16 > len(content):
            raise _cut(path, offset)
        offset += 16 + int(unpack_from(endian + "I", content, offset + 8)[0])
        count += 1
    if offset != len(content):
        raise _cut(path, offset)
    return count


def _pcapng_packets(path: Path, content: bytes) -> int:
    """How many packet blocks the file holds by its own lengths (draft-ietf-opsawg-pcapng, 3.1)."""
    count, offset, endian = 0, 0, "<"
    while offset < len(content):
        if offset + 12 > len(content):
            raise _cut(path, offset)
        if content[offset : offset + 4] == PCAPNG_MAGIC:
            endian = ">" if content[offset + 8 : offset + 12] == b"\x1a\x2b\x3c\x4d" else "<"
        kind, length = unpack_from(endian + "II", content, offset)
        if length < 12 or offset + length > len(content):
            raise _cut(path, offset)
        count += kind in (2, 3, 6)
        offset += length
    return count


def _cut(path: Path, offset: int) -> TrafficError:
    return TrafficError([f"{path}: is damaged or cut near byte {offset}"])


def _datagram(link_type: int, frame: bytes) -> tuple[Endpoint, bytes]:
    """The destination and payload of a UDP datagram (RFC 768) in a frame."""
    offset = _ip_header_at(link_type, frame)
    if len(frame) < offset + IPV4_HEADER.size:
        raise _Damaged("cut in the IP header")
    first, _tos, total, _id, fragment, _ttl, protocol, _sum, _source, group = IPV4_HEADER.unpack_from(frame, offset)
    if first >> 4 != 4:
        raise _NotUdp(f"IP version {first >> 4}")
    if protocol != UDP:
        raise _NotUdp(PROTOCOL_NAMES.get(protocol, f"IP protocol {protocol}"))
    if fragment & MORE_FRAGMENTS_AND_OFFSET:
        raise _Damaged("in IP fragments")
    udp_at = offset + (first & 0x0F) * 4
    if len(frame) < udp_at + UDP_HEADER.size:
        raise _Damaged("cut in the UDP header")
    _port_from, port, length, _checksum = UDP_HEADER.unpack_from(frame, udp_at)
    if length < UDP_HEADER.size or udp_at - offset + length > total:
        raise _Damaged("whose UDP length does not fit their IP length")
    payload = frame[udp_at + UDP_HEADER.size : udp_at + length]
    if len(payload) != length - UDP_HEADER.size:
        raise _Damaged("of which the capture holds only the beginning")
    return Endpoint(IPv4Address(group), port), payload


def _ip_header_at(link_type: int, frame: bytes) -> int:
    if link_type in RAW_IP:
        return 0
    if link_type not in LINK_HEADERS:
        raise _Damaged(f"with link type {link_type}, which is not read")
    at = LINK_HEADERS[link_type]
    if len(frame) < at + 2:
        raise _Damaged("cut in the link header")
    (kind,) = unpack_from("!H", frame, at)
    if link_type == COOKED_V2:
        at = COOKED_V2_HEADER - 2
    while kind in VLAN_TAGS:
        at += 4
        if len(frame) < at + 2:
            raise _Damaged("cut in the VLAN tag")
        (kind,) = unpack_from("!H", frame, at)
    if kind != IPV4:
        raise _NotUdp(f"EtherType 0x{kind:04x}")
    return at + 2
