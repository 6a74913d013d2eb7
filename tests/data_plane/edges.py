"""What tests of the cloud's edges share: servers in instances, questions to them, and waiting for what takes its time."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from data_plane_under_test import DataPlane

INTERNET = "internet-bj"
SOMEBODY = "203.0.113.1"
NOTHING = "nothing"
POLL_S = 0.02
BUILT_WITHIN_S = 10.0
"""For everything that a test begins with, on a machine that has other work."""

TALK = str(Path(__file__).parent / "talk.py")


@contextlib.contextmanager
def talking(plane: DataPlane, key: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``talk.py`` in a node, once it says that it is ready."""
    command = [*plane.inside(key), sys.executable, TALK, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def serve(plane: DataPlane, later: ExitStack, key: str, port: int, name: str = "") -> None:
    """A server in a node that answers with its name and the asking address, until the test ends."""
    later.enter_context(talking(plane, key, "serve", str(port), name or key))


def ask(plane: DataPlane, key: str, protocol: str, address: str, port: int, count: int = 1) -> list[str]:
    """What is answered to so many flows from a node."""
    said = plane.run(key, sys.executable, TALK, "ask", protocol, address, str(port), str(count)).splitlines()
    return said[1:]


@contextlib.contextmanager
def flow(plane: DataPlane, key: str, protocol: str, address: str, port: int) -> Iterator[Callable[[], str]]:
    """One flow from a node; what is given asks over it and returns the answer."""
    with talking(plane, key, "flow", protocol, address, str(port)) as process:

        def again() -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            print(file=process.stdin, flush=True)
            return process.stdout.readline().strip()

        yield again


def until(what: str, within_s: float, holds: Callable[[], bool]) -> float:
    """Wait until something holds; the seconds that it took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() < begun + within_s, f"{what}: not within {within_s} s"
        time.sleep(POLL_S)
    return time.monotonic() - begun
