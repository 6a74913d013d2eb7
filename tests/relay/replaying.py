"""Replays for tests: sockets that listen, and the command as a person runs it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

RELAY = [sys.executable, "-m", "lanecast_relay"]


def listening() -> Iterator[list[socket.socket]]:
    """Two that listen on the loopback, with room for everything that a test sends before it reads."""
    opened = []
    for _ in range(2):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 2**20)
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        opened.append(listener)
    yield opened
    for listener in opened:
        listener.close()


def address(listener: socket.socket) -> str:
    return "{}:{}".format(*listener.getsockname())


def received(listener: socket.socket, count: int) -> list[bytes]:
    """The next ``count`` datagrams; and no more are there."""
    got = [listener.recv(65535) for _ in range(count)]
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.recv(65535)
    return got


def replay(journal: Path, *options: str, status: int = 0) -> dict[str, Any]:
    command = [*RELAY, "replay", str(journal), "--json", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == status, result.stderr
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary
