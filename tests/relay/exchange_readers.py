"""The exchanges' packets read with ``struct`` alone, and captures read without a library: nothing of the relay is used.

Each reader returns what the relay's parser must say about a datagram, from the header fields in the specifications.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from struct import unpack_from
from typing import Any, NamedTuple

ETHERNET = 1
IPV4 = b"\x08\x00"
VLAN_TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
UDP = 17


class Reading(NamedTuple):
    """``first`` is the next number to come where there are no messages; 0 where there is no number."""

    stream: int
    kind: str
    epoch: bytes
    first: int
    messages: int
    reset: bool = False


@dataclass(frozen=True)
class Datagram:
    """One UDP payload and where it was sent."""

    group: str
    port: int
    payload: bytes


def read_capture(path: Path) -> Iterator[Datagram]:
    """Every UDP datagram over IPv4 of a pcap or pcapng file, in the file's order."""
    for frame in _frames(_bytes_of(path)):
        offset = 12
        while frame[offset : offset + 2] in VLAN_TAGS:
            offset += 4
        if frame[offset : offset + 2] != IPV4:
            continue
        packet = frame[offset + 2 :]
        header = (packet[0] & 15) * 4
        if packet[9] != UDP:
            continue
        port, length = unpack_from(">HH", packet, header + 2)
        payload = packet[header + 8 : header + length]
        yield Datagram(".".join(str(byte) for byte in packet[16:20]), port, payload)


def can_unpack() -> bool:
    """Whether a ``.zst`` file can be read on this machine."""
    return find_spec("zstandard") is not None or shutil.which("zstd") is not None


def _bytes_of(path: Path) -> bytes:
    if path.suffix != ".zst":
        return path.read_bytes()
    if find_spec("zstandard") is None:
        return subprocess.run(["zstd", "-dc", path], check=True, stdout=subprocess.PIPE).stdout
    unpacker: Any = import_module("zstandard").ZstdDecompressor().decompressobj()
    return bytes(unpacker.decompress(path.read_bytes()))


def _frames(data: bytes) -> Iterator[bytes]:
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        yield from _pcapng_frames(data)
        return
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    assert unpack_from(order + "I", data, 20) == (ETHERNET,)
    offset = 24
    while offset < len(data):
        (length,) = unpack_from(order + "I", data, offset + 8)
        yield data[offset + 16 : offset + 16 + length]
        offset += 16 + length


def _pcapng_frames(data: bytes) -> Iterator[bytes]:
    order, offset = "<", 0
    while offset < len(data):
        if data[offset : offset + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[offset + 8 : offset + 12] == b"\x4d\x3c\x2b\x1a" else ">"
        kind, length = unpack_from(order + "II", data, offset)
        if kind == 1:
            assert unpack_from(order + "H", data, offset + 8) == (ETHERNET,)
        if kind == 6:
            (captured,) = unpack_from(order + "I", data, offset + 20)
            yield data[offset + 28 : offset + 28 + captured]
        offset += length


def _epoch(name: bytes = b"") -> bytes:
    return name.ljust(10, b"\0")


def _step(count: int) -> bytes:
    return _epoch(count.to_bytes(8, "big"))


def _counted(stream: int, epoch: bytes, first: int, count: int) -> list[Reading]:
    """Where count 0 is a heartbeat with the next number."""
    return [Reading(stream, "data" if count else "heartbeat", epoch, first, count)]


def _cme(data: bytes) -> list[Reading]:
    (number,) = unpack_from("<I", data)
    offset, reset = 12, False
    while offset < len(data):
        size, _block, template = unpack_from("<HHH", data, offset)
        reset |= template == 4
        offset += size
    assert offset == len(data)
    return [Reading(0, "data", _epoch(), number, 1, reset)]


def _mold(data: bytes) -> list[Reading]:
    session, number, count = unpack_from(">10sQH", data)
    if count == 0xFFFF:
        return [Reading(0, "end-of-session", _epoch(session), number, 0)]
    return _counted(0, _epoch(session), number, count)


def _xdp(data: bytes) -> list[Reading]:
    size, flag, count, number = unpack_from("<HBBI", data)
    assert size == len(data)
    kind = "heartbeat" if flag == 1 else "data"
    reset = count > 0 and unpack_from("<H", data, 18) == (1,)
    assert reset == (flag in (10, 12))
    return [Reading(0, kind, _epoch(), number, count, reset)]


def _pitch(data: bytes) -> list[Reading]:
    size, count, unit, number = unpack_from("<HBBI", data)
    assert size == len(data)
    if number:
        return _counted(unit, _epoch(), number, count)
    return [Reading(unit, "unsequenced" if count else "keepalive", _epoch(), 0, 0)]


def _iex(data: bytes) -> list[Reading]:
    _version, _protocol, channel, session, size, count = unpack_from("<HHI4sHH", data)
    assert 40 + size == len(data)
    return _counted(channel, _epoch(session), unpack_from("<Q", data, 24)[0], count)


def _eobi(data: bytes) -> list[Reading]:
    size, _template, none, number, _segment, partition, _complete, reset = unpack_from("<HHIIIBBB", data)
    assert (size, none) == (32, 0xFFFFFFFF)
    return [Reading(partition, "data", _epoch(), number, 1, bool(reset) and number == 1)]


def _umdf(data: bytes) -> list[Reading]:
    channel, _reserved, version, number = unpack_from("<BBHI", data)
    (template,) = unpack_from("<H", data, 22)
    if number:
        return [Reading(channel, "data", _step(version), number, 1)]
    if template == 2:
        return [Reading(channel, "heartbeat", _step(version), unpack_from("<I", data, 28)[0], 0)]
    assert template == 1
    return [Reading(channel, "restart", _step(version), 1, 0, True)]


def _mach(data: bytes) -> list[Reading]:
    """One reading for each inner packet."""
    found, offset = [], 0
    while offset < len(data):
        number, size, kind, session = unpack_from("<QHBB", data, offset)
        name = ("heartbeat", "restart", "end-of-session", "data")[kind]
        count = 1 if name == "data" else 0
        found.append(Reading(0, name, _epoch(bytes([session])), number + 1 - count, count, name == "restart"))
        offset += size
    assert offset == len(data)
    return found


def _memx(data: bytes) -> list[Reading]:
    kind, size, session, number = unpack_from(">BB8sQ", data)
    assert size == 18
    if kind == 2:
        return [Reading(0, "data", _epoch(session), number, unpack_from(">H", data, 18)[0])]
    return [Reading(0, ("heartbeat", "end-of-session")[kind], _epoch(session), number + 1, 0)]


def _impact(data: bytes) -> list[Reading]:
    session, number, count = unpack_from(">HIH", data)
    return _counted(0, _step(session), number, count)


READERS: dict[str, Callable[[bytes], list[Reading]]] = {
    "cme-mdp3": _cme,
    "eobi": _eobi,
    "iex-tp": _iex,
    "impact": _impact,
    "mach": _mach,
    "memx-udp": _memx,
    "moldudp64": _mold,
    "pitch": _pitch,
    "umdf": _umdf,
    "xdp": _xdp,
}

MESSAGES = {
    "iex-tp": (40, "<H", 0, 2),
    "impact": (16, ">H", 1, 3),
    "mach": (0, "<H", 8, 0),
    "memx-udp": (20, ">H", 0, 2),
    "moldudp64": (20, ">H", 0, 2),
    "pitch": (8, "B", 0, 0),
    "xdp": (16, "<H", 0, 0),
}
"""Where messages start, how their length is written and at which of their bytes, and how many it leaves out."""


def split_messages(protocol: str, data: bytes) -> list[bytes]:
    """The messages of a packet, each with its prefix."""
    offset, form, at, uncounted = MESSAGES[protocol]
    found = []
    while offset < len(data):
        size = unpack_from(form, data, offset + at)[0] + uncounted
        found.append(data[offset : offset + size])
        offset += size
    assert offset == len(data)
    return found
