"""Fabrics, captures and files that the traffic's and the judge's tests share."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path
from struct import pack

import pytest

from lanecast.cloud_state import CloudState
from lanecast.fabric import (
    Application,
    Fabric,
    Feed,
    FeedLine,
)
from lanecast.plan.model import Promise
from lanecast_relay.config.model import Endpoint, Protocol

REPOSITORY = Path(__file__).resolve().parents[3]

V6 = "cme_mdp3_v6_AB_20161112.pcap"
V9 = "cme_mdp3_v9_AB_multichannel_20180912.pcap"


def capture(name: str) -> Path:
    """A real capture; the test is skipped where there is none."""
    folder = Path(os.environ.get("LANECAST_CAPTURES", REPOSITORY / "../shared/captures"))
    path = folder / name
    if not path.is_file():
        pytest.skip(f"no capture at {path}: set LANECAST_CAPTURES to the folder that holds it")
    return path


def endpoint(text: str) -> Endpoint:
    """``224.0.31.1:14310`` as an endpoint."""
    address, _, port = text.rpartition(":")
    return Endpoint(IPv4Address(address), int(port))


def feed(
    name: str = "cme-310",
    protocol: Protocol = Protocol.CME_MDP3,
    lines: dict[str, dict[str, str]] | None = None,
    *,
    exchange: str = "cme",
    rate: int = 1000,
    size: int = 300,
    burst: tuple[int, int] = (0, 0),
    promise: Promise | None = None,
) -> Feed:
    """A feed with lines A and B and one channel, unless told otherwise."""
    lines = lines or {"A": {"310": "224.0.31.64:14340"}, "B": {"310": "224.0.32.64:15340"}}
    made = tuple(
        FeedLine(line, IPv4Address(f"198.51.100.{at}"), {ch: endpoint(group) for ch, group in groups.items()}, ())
        for at, (line, groups) in enumerate(lines.items(), start=11)
    )
    return Feed(name, exchange, protocol, rate, size, *burst, 20_000_000, made, promise)


def v9_feed() -> Feed:
    """The nine channels of the CME capture of 2018, with the capture's own groups."""
    numbers = {3: 12, 4: 13, 5: 14, 6: 15, 7: 16, 8: 17, 19: 60, 20: 61, 29: 48}
    a = {f"3{last}": f"224.0.28.{group}:143{last}" for group, last in numbers.items()}
    b = {f"3{last}": f"224.0.28.{group + 127}:153{last}" for group, last in numbers.items()}
    return feed("cme-all", lines={"A": a, "B": b})


def fabric(*feeds: Feed, applications: tuple[Application, ...] = ()) -> Fabric:
    """A Fabric of feeds and applications alone."""
    return Fabric("sample", feeds, (), (), (), (), CloudState((), (), (), ()), (), applications)


def application(instance: str, of: Feed, first_port: int = 40000) -> Application:
    """An instance's application with a port for each channel, counted from ``first_port``."""
    endpoints = {channel: Endpoint(IPv4Address("10.8.2.10"), first_port + at) for at, channel in enumerate(of.channels)}
    return Application(instance, "apps", of.name, endpoints)


def ethernet(group: str, payload: bytes, *, vlan: bytes = b"", fragment: int = 0, protocol: int = 17) -> bytes:
    """A frame with a UDP datagram to ``group``, padded to Ethernet's least."""
    to = endpoint(group)
    udp = pack("!HHHH", 9999, to.port, 8 + len(payload), 0) + payload
    ip = pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, fragment, 16, protocol, 0, bytes(4), to.address.packed)
    return (bytes(12) + vlan + b"\x08\x00" + ip + udp).ljust(60, b"\0")


def pcap(frames: list[tuple[int, bytes]], *, endian: str = "<", nano: bool = False, link_type: int = 1) -> bytes:
    """A classic capture of (time in nanoseconds, frame)."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    unit = 1 if nano else 1000
    content = pack(endian + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    for time_ns, frame in frames:
        seconds, rest = divmod(time_ns, 1_000_000_000)
        content += pack(endian + "IIII", seconds, rest // unit, len(frame), len(frame)) + frame
    return content


def pcapng(frames: list[tuple[int, bytes]], *, endian: str = "<") -> bytes:
    """A pcapng capture with nanosecond time stamps."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return pack(endian + "II", kind, 12 + len(body)) + body + pack(endian + "I", 12 + len(body))

    content = block(0x0A0D0D0A, pack(endian + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    content += block(1, pack(endian + "HHI", 1, 0, 65535) + pack(endian + "HHB3xHH", 9, 1, 9, 0, 0))
    for time_ns, frame in frames:
        head = pack(endian + "IIIII", 0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(frame), len(frame))
        content += block(6, head + frame)
    return content


def cme(number: int, body: bytes = b"", template: int = 46) -> bytes:
    """A CME packet with one message."""
    return pack("<IQ", number, 7) + pack("<HHHHH", 10 + len(body), len(body), template, 1, 9) + body


def mold(number: int, *bodies: bytes, session: bytes = b"0000000042", count: int | None = None) -> bytes:
    """A MoldUDP64 packet."""
    blocks = b"".join(pack("!H", len(body)) + body for body in bodies)
    return session + pack("!QH", number, len(bodies) if count is None else count) + blocks
