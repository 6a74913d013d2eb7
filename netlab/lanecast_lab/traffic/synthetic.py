"""Feeds that the lab invents from a plan's peak: Scapy builds each shape of packet, seeded bytes fill it.

Everything follows from (seed, feed name), so that a run can be repeated and a feed added without moving another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from struct import Struct
from zlib import crc32

from scapy.packet import Raw

from lanecast.fabric import Feed
from lanecast_lab.traffic.datagram import Datagram, TrafficError
from lanecast_lab.traffic.layers import CmeMdp3, CmeMessage, MoldMessageBlock, MoldUdp64
from lanecast_relay.config.model import Protocol

SECOND_NS = 1_000_000_000

SHAPES = 64
"""How many shapes of packet (number and sizes of messages) a feed has."""

SMALLEST_SHARE = 0.75
"""The smallest packet, as a share of the plan's bytes."""

MESSAGES_AT_MOST = 8

SMALLEST_MESSAGE_BYTES = 16
"""Messages are not cut smaller than this where there is room, so that no two of them are alike."""

HEARTBEATS = 5
HEARTBEAT_SPACING_NS = 100_000_000
"""A stream ends with this many heartbeats, so far apart, so that a loss at its very end is seen."""

BURST_EVERY = 8
"""On average one burst begins in this many bursts' worth of packets."""

CME_TEMPLATES = (42, 46, 48)
"""Any but 4 (ChannelReset) and 12 (AdminHeartbeat), which mean something to who reads the sequence."""

MOLD_NUMBER = Struct("!Q")
MOLD_NUMBER_AT = 10
CME_NUMBER = Struct("<IQ")


@dataclass(frozen=True, slots=True)
class Shape:
    """A packet as Scapy built it, and where the bytes of its messages' bodies are."""

    template: bytes
    bodies: tuple[tuple[int, int], ...]
    """(offset, length)."""

    def filled(self, random: Random) -> bytearray:
        """A packet of this shape whose bodies are like no other's."""
        packet = bytearray(self.template)
        for offset, length in self.bodies:
            packet[offset : offset + length] = random.randbytes(length)
        return packet


class Builder:
    """Builds one feed's packets. Numbers count for each channel."""

    def __init__(self, feed: Feed, random: Random) -> None:
        self.feed = feed
        self._random = random
        self._shapes = [self._shape() for _ in range(SHAPES)]
        self._sessions = {
            channel: f"{crc32(f'{random.random()}/{feed.name}/{channel}'.encode()):010d}" for channel in feed.channels
        }
        first = 1 if feed.protocol is Protocol.MOLDUDP64 else random.randrange(1, 1_000_000)
        self._next = dict.fromkeys(feed.channels, first)

    def packet(self, channel: str, due_ns: int) -> bytes:
        """The channel's next packet."""
        shape = self._random.choice(self._shapes)
        packet = shape.filled(self._random)
        number = self._next[channel]
        match self.feed.protocol:
            case Protocol.MOLDUDP64:
                packet[:MOLD_NUMBER_AT] = self._sessions[channel].encode()
                MOLD_NUMBER.pack_into(packet, MOLD_NUMBER_AT, number)
                self._next[channel] = number + len(shape.bodies)
            case Protocol.CME_MDP3:
                CME_NUMBER.pack_into(packet, 0, number, due_ns)
                self._next[channel] = number + 1
            case _:
                pass
        return bytes(packet)

    def heartbeat(self, channel: str) -> bytes | None:
        """What says how far the channel is without consuming a number; None where the protocol has no such thing."""
        if self.feed.protocol is not Protocol.MOLDUDP64:
            return None
        return bytes(MoldUdp64(session=self._sessions[channel].encode(), sequence_number=self._next[channel]))

    def _shape(self) -> Shape:
        biggest = self.feed.payload_bytes
        smallest = max(smallest_payload(self.feed.protocol), int(biggest * SMALLEST_SHARE))
        size = self._random.randint(smallest, biggest)
        match self.feed.protocol:
            case Protocol.MOLDUDP64:
                sizes = self._split(size - len(MoldUdp64()), len(MoldMessageBlock()))
                packet = bytes(MoldUdp64(blocks=[MoldMessageBlock(data=bytes(one)) for one in sizes]))
                return Shape(packet, _places(sizes, len(MoldUdp64()), len(MoldMessageBlock())))
            case Protocol.CME_MDP3:
                sizes = self._split(size - len(CmeMdp3()), len(CmeMessage()))
                built = [CmeMessage(template_id=self._random.choice(CME_TEMPLATES), body=bytes(one)) for one in sizes]
                return Shape(bytes(CmeMdp3(messages=built)), _places(sizes, len(CmeMdp3()), len(CmeMessage())))
            case _:
                return Shape(bytes(Raw(bytes(size))), ((0, size),))

    def _split(self, room: int, overhead: int) -> list[int]:
        """Sizes of the bodies of 1 to ``MESSAGES_AT_MOST`` messages that fill ``room``."""
        most = max(1, min(MESSAGES_AT_MOST, room // (overhead + SMALLEST_MESSAGE_BYTES)))
        count = self._random.randint(1, most)
        spare = room - count * (overhead + SMALLEST_MESSAGE_BYTES)
        if spare < 0:
            return [room - overhead]
        cuts = sorted(self._random.randint(0, spare) for _ in range(count - 1))
        edges = [0, *cuts, spare]
        return [SMALLEST_MESSAGE_BYTES + after - before for before, after in pairwise(edges)]


def _places(sizes: list[int], header: int, overhead: int) -> tuple[tuple[int, int], ...]:
    places = []
    offset = header
    for size in sizes:
        offset += overhead
        places.append((offset, size))
        offset += size
    return tuple(places)


def smallest_payload(protocol: Protocol) -> int:
    """The bytes of a packet with one message of one byte."""
    match protocol:
        case Protocol.MOLDUDP64:
            return len(MoldUdp64()) + len(MoldMessageBlock()) + 1
        case Protocol.CME_MDP3:
            return len(CmeMdp3()) + len(CmeMessage()) + 1
        case _:
            return 1


def due_times(feed: Feed, duration_ns: int, random: Random) -> list[int]:
    """When each packet is due: evenly at the peak's rate, with bursts that bring the following ones forward."""
    total = feed.rate_pps * duration_ns // SECOND_NS
    due = [index * SECOND_NS // feed.rate_pps for index in range(total)]
    size, within = feed.burst_packets, feed.burst_within_ns
    if size < 2 or size * SECOND_NS <= within * feed.rate_pps:
        return due  # a burst would be no denser than the rate itself
    for start in _burst_starts(total, size, random):
        for index in range(size):
            due[start + index] = due[start] + within * index // size
    return due


def _burst_starts(total: int, size: int, random: Random) -> Iterator[int]:
    start = random.randint(0, max(0, min(total - size, size)))
    while start + size <= total:
        yield start
        start += size + random.randint(0, 2 * (BURST_EVERY - 1) * size)


def synthesize(feed: Feed, duration_ns: int, seed: int) -> list[Datagram]:
    """Everything that the feed has due within ``duration_ns``, and the closing heartbeats, on every line alike."""
    _check(feed, duration_ns)
    random = Random(f"{seed}/{feed.name}/packets")
    builder = Builder(feed, random)
    lines = [line.name for line in feed.lines]
    found: list[Datagram] = []
    channels = feed.channels
    due = due_times(feed, duration_ns, random)
    for index, due_ns in enumerate(due):
        # Each channel once, in turn, so that none stays silent; then as it falls.
        channel = channels[index] if index < len(channels) else random.choice(channels)
        payload = builder.packet(channel, due_ns)
        found.extend(Datagram(due_ns, line, channel, payload) for line in lines)
    for copy in range(1, HEARTBEATS + 1):
        for channel in channels:
            heartbeat = builder.heartbeat(channel)
            if heartbeat is not None:
                at = due[-1] + copy * HEARTBEAT_SPACING_NS
                found.extend(Datagram(at, line, channel, heartbeat) for line in lines)
    return found


def _check(feed: Feed, duration_ns: int) -> None:
    problems = []
    if feed.payload_bytes < smallest_payload(feed.protocol):
        problems.append(
            f"{feed.name}: {feed.payload_bytes} bytes hold no message of {feed.protocol.value},"
            f" which needs {smallest_payload(feed.protocol)}"
        )
    packets = feed.rate_pps * duration_ns // SECOND_NS
    if packets < len(feed.channels):
        problems.append(
            f"{feed.name}: {feed.rate_pps} packets a second for {duration_ns / SECOND_NS:g} s make {packets} packets,"
            f" too few for {len(feed.channels)} channels"
        )
    if problems:
        raise TrafficError(problems)
