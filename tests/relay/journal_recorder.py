"""Journals for tests: the recorder that comes with the native crate, and what it records, written down independently."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
START_NS = 1_700_000_000_000_000_000
GROUPS = {"A": "239.10.1.1", "B": "239.10.2.1"}
SOURCE = "192.0.2.1"


def build_recorder() -> Path:
    """The program that records; cargo builds it with the same profile as its tests."""
    command = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "lanecast-relay-journal"]
    subprocess.run([*command, "--example", "record"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return Path(target) / "release/examples/record"


def record(recorder: Path, journal: Path, **options: object) -> dict[str, Any]:
    """Record and return the counters at the end."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    out = subprocess.run([recorder, journal, *flags], capture_output=True, text=True, check=True).stdout
    last: dict[str, Any] = json.loads(out.splitlines()[-1])
    counters: dict[str, Any] = last["counters"]
    return counters


def datagram(number: int, size: int = 160) -> bytes:
    """What stands on each line as ``number``: a MoldUDP64 packet of one message, from the specification."""
    body = (number * 0x9E37_79B9_7F4A_7C15 % 2**64).to_bytes(8, "big").ljust(size - 22, bytes([number % 256]))
    return b"SESSION001" + number.to_bytes(8, "big") + b"\0\1" + len(body).to_bytes(2, "big") + body
