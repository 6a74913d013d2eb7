"""Runs a relay whose disk hangs while the test wants it to: ``held_disk.py GATE ARGUMENTS…``.

Nothing of the relay is replaced but the one system call: ``fsync`` returns only while nobody has locked the file GATE.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from lanecast_relay.cli import app

sync = os.fsync


def held_sync(file: int) -> None:
    with Path(sys.argv[1]).open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)
    sync(file)


if __name__ == "__main__":
    os.fsync = held_sync  # type: ignore[assignment]
    app(sys.argv[2:])
