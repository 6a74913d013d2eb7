"""Journals for tests: the recorder that comes with the native crate, and what it records, written down independently."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
START_NS = 1_700_000_000_000_000_000
GROUPS = {"A": "239.10.1.1", "B": "239.10.2.1"}
SOURCE = "192.0.2.1"


def build_recorder(example: str = "record") -> Path:
    """The program that records; cargo builds it with the same profile as its tests."""
    command = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "lanecast-relay-journal"]
    subprocess.run([*command, "--example", example], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return Path(target) / "release/examples" / example


def record(recorder: Path, journal: Path, **options: object) -> dict[str, Any]:
    """Record and return the counters at the end."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    out = subprocess.run([recorder, journal, *flags], capture_output=True, text=True, check=True).stdout
    last: dict[str, Any] = json.loads(out.splitlines()[-1])
    counters: dict[str, Any] = last["counters"]
    return counters


@dataclass(frozen=True, slots=True)
class Came:
    """A datagram that a relay read: when it was received, on which line, and its bytes."""

    at_ns: int
    line: str
    datagram: bytes
    channel: str = "main"
    feed: str = "quotes"
    protocol: str = "moldudp64"


def record_script(scripted: Path, journal: Path, came: Iterable[Came], segment_bytes: int = 2**20) -> None:
    """Record datagrams in the order in which a relay read them; ``scripted`` is the program that does it."""
    group = "239.10.1.1:20001"
    rows = [
        json.dumps([one.feed, one.channel, one.line, one.protocol, group, one.at_ns, one.datagram.hex()])
        for one in came
    ]
    subprocess.run([scripted, journal, str(segment_bytes)], input="\n".join(rows), text=True, check=True)


def in_order(*lines: Iterable[Came]) -> list[Came]:
    """The datagrams of several lines in the order of their times."""
    return sorted((came for line in lines for came in line), key=lambda came: came.at_ns)


def mitch(unit: int, number: int, mark: int = 0) -> bytes:
    """A packet of one message: unit header (length, count, unit, sequence number) and a message, little endian."""
    return struct.pack("<HBBI", 12, 1, unit, number) + struct.pack("<BBH", 4, 0x41, mark)


def datagram(number: int, size: int = 160, session: bytes = b"SESSION001") -> bytes:
    """What stands on each line as ``number``: a MoldUDP64 packet of one message, from the specification."""
    body = (number * 0x9E37_79B9_7F4A_7C15 % 2**64).to_bytes(8, "big").ljust(size - 22, bytes([number % 256]))
    return session + number.to_bytes(8, "big") + b"\0\1" + len(body).to_bytes(2, "big") + body
