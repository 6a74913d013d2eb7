"""A relay's process and its file for tests, and a feed that goes on while they work on it."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leasing import mold

RELAY = [sys.executable, "-m", "lanecast_relay.cli"]
DEADLINE_S = 60.0
SESSION = b"SESSION001"
RECEIVE_BUFFER_BYTES = 32 << 20


@dataclass
class RelayProcess:
    """A relay of ``document``, which is JSON and so YAML."""

    directory: Path
    document: dict[str, Any]
    wrapper: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    @property
    def file(self) -> Path:
        return self.directory / "relay.yaml"

    def write(self, **changes: Any) -> None:
        whole = {
            "lanecast-relay": 1,
            "name": "edge",
            "control-socket": str(self.directory / "control.sock"),
            **self.document,
            **changes,
        }
        self.file.write_text(json.dumps(whole))

    def __enter__(self) -> RelayProcess:
        self.write()
        command = [*self.wrapper, *RELAY, "run", str(self.file), "--json"]
        with (self.directory / "log.jsonl").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready, (self.directory / "log.jsonl").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=DEADLINE_S)

    def command(self, name: str, *arguments: str, at: Path | None = None) -> subprocess.CompletedProcess[str]:
        words = [*RELAY, name, str(at or self.file), *arguments]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=DEADLINE_S)

    def reload(self, **changes: Any) -> list[tuple[str, str, str]]:
        """Write the file with ``changes`` and go on with it; what changed."""
        self.write(**changes)
        answer = self.command("reload", "--json")
        assert answer.returncode == 0, answer.stderr
        return [(one["what"], one["name"], one["change"]) for one in json.loads(answer.stdout)["changes"]]

    def counters(self) -> dict[str, Any]:
        counters: dict[str, Any] = json.loads(self.command("counters", "--json").stdout)
        assert_accounts(counters)
        return counters

    def subscriber(self, name: str) -> dict[str, Any]:
        return next(one for one in self.counters()["subscribers"] if one["name"] == name)

    def stop(self) -> dict[str, Any]:
        """Drain, and return the last counters."""
        assert self.process is not None
        self.process.terminate()
        out, _ = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0, (self.directory / "log.jsonl").read_text()
        self.process = None
        counters: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        assert_accounts(counters)
        return counters


def assert_accounts(counters: Mapping[str, Any]) -> None:
    """The design's equations: whatever was received is in exactly one class, at any instant."""
    classes = ("forwarded", "duplicate", "late", "held", "heartbeat", "passed_on", "malformed", "filtered")
    for stream in counters["streams"]:
        for line in stream["lines"]:
            assert line["received"] == sum(line[each] for each in classes), line
        asked = stream["re_requests"]
        if asked is not None:
            outcomes = ("answers", "errors", "malformed", "strangers", "limited", "forgotten", "unknown", "waiting")
            assert asked["requests"] == sum(asked[each] for each in outcomes), asked


@contextlib.contextmanager
def receiving(address: str, port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, 33, RECEIVE_BUFFER_BYTES)  # SO_RCVBUFFORCE, socket(7)
        one.bind((address, port))
        one.settimeout(DEADLINE_S)
        yield one


class Traffic:
    """Numbers from 1 on, at about 2,000 a second, until told to end: A and B each lack some, together nothing; C is whole."""

    def __init__(self, lines: Mapping[str, tuple[str, int]], seed: int = 1) -> None:
        self._lines = dict(lines)
        self._random = random.Random(seed)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.sent = 0
        # Made here: a thread of its own would make it in another network namespace.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """How many were sent."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
        return self.sent

    def _send(self) -> None:
        while not self._end.is_set():
            for number in range(self.sent + 1, self.sent + 21):
                packet = mold(number, b"message %d" % number)
                lost = self._random.choice("AB" + " " * 8)
                for line, to in self._lines.items():
                    if line != lost:
                        self._socket.sendto(packet, to)
            self.sent += 20
            time.sleep(0.01)


def numbers_until(receiver: socket.socket, last: int) -> list[int]:
    """The numbers of MoldUDP64 packets of one message, up to ``last``."""
    numbers: list[int] = []
    while not numbers or numbers[-1] < last:
        numbers.append(number_of(receiver.recv(2048)))
    return numbers


def number_of(packet: bytes) -> int:
    (number,) = struct.unpack_from(">Q", packet, 10)
    return int(number)


def waiting(receiver: socket.socket) -> list[bytes]:
    """What is there now."""
    found = []
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(receiver.recv(65536))
    receiver.settimeout(DEADLINE_S)
    return found
