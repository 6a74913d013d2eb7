"""The lab's re-request servers on loopback: what was sent is said again, one datagram's worth, and nothing else is."""

from __future__ import annotations

import json
import math
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from wire_bench import BINARY, DEADLINE_S, EXIT_REFUSED

from lanecast_lab.judge.answers import ANSWERS_MAGIC, read_answers

HEADER = struct.Struct(">10sQH")
"""MoldUDP64 1.0, Request Packet, and the beginning of a downstream packet."""

SESSION, OTHER = b"SESSION001", b"SESSION002"
FAR_AHEAD_NS = 10**18
DATAGRAM_BYTES = 1472


class Message(NamedTuple):
    due_ns: int
    session: bytes
    number: int
    body: bytes


def write_archive(path: Path, messages: Sequence[Message]) -> Path:
    entries = (
        struct.pack("<q10sQH", one.due_ns, one.session, one.number, len(one.body)) + one.body for one in messages
    )
    path.write_bytes(b"LCARCH01" + b"".join(entries))
    return path


def sent(count: int, size: int = 100, session: bytes = SESSION) -> list[Message]:
    """Messages 1 to ``count``, all due when the schedule begins."""
    return [Message(0, session, number, f"{number} ".encode().ljust(size, b".")) for number in range(1, count + 1)]


def request(first: int, count: int, session: bytes = SESSION) -> bytes:
    return HEADER.pack(session, first, count)


def answer(packet: bytes) -> tuple[bytes, int, list[bytes]]:
    """Session, first number and bodies of a downstream packet."""
    session, first, count = HEADER.unpack_from(packet)
    bodies, place = [], HEADER.size
    for _ in range(count):
        (length,) = struct.unpack_from(">H", packet, place)
        bodies.append(packet[place + 2 : place + 2 + length])
        place += 2 + length
    assert place == len(packet)
    return session, first, bodies


class Servers:
    """A running ``lanecast-wire answer`` and a socket that asks it."""

    def __init__(self, directory: Path, serve: Sequence[tuple[str, Path]], *options: str, began: bool = True) -> None:
        self.record, self.output = directory / "sent", directory / "answers"
        if began:
            self.begin()
        arguments = [f"--serve={address},{archive}" for address, archive in serve]
        files = ["--sender-record", str(self.record), "--output", str(self.output)]
        self.process = subprocess.Popen(
            [BINARY, "answer", *arguments, *files, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.asker.bind(("127.0.0.1", 0))
        self.asker.settimeout(DEADLINE_S)
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline()) == {"ready": True}

    def begin(self) -> None:
        """The sender's schedule begins now."""
        self.record.write_bytes(b"LCSENT01" + struct.pack("<Q", time.time_ns()))

    def ask(self, packet: bytes, address: str) -> None:
        host, _, port = address.partition(":")
        self.asker.sendto(packet, (host, int(port)))

    def stop(self) -> dict[str, Any]:
        """End it; its last words."""
        out, errors = self.process.communicate("", timeout=DEADLINE_S)
        assert self.process.returncode == 0, errors
        summary: dict[str, Any] = json.loads(out.splitlines()[-1])
        return summary

    def close(self) -> None:
        self.asker.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Start = Callable[..., Servers]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def make(serve: Sequence[tuple[str, Path]], *options: str, began: bool = True) -> Servers:
            made = Servers(tmp_path, serve, *options, began=began)
            stack.callback(made.close)
            return made

        yield make


def free_address(host: str = "127.0.0.2") -> str:
    """An address that nothing listens at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((host, 0))
        return f"{host}:{one.getsockname()[1]}"


def test_what_was_sent_is_said_again_as_much_as_fits_one_datagram(start: Start, tmp_path: Path) -> None:
    messages = sent(50)
    address = free_address()
    servers = start([(address, write_archive(tmp_path / "archive", messages))])
    fitting = (DATAGRAM_BYTES - HEADER.size) // (2 + 100)
    for first, asked, said in ((1, 3, 3), (7, 1, 1), (1, 50, fitting), (1, 65535, fitting), (49, 10, 2), (50, 1, 1)):
        servers.ask(request(first, asked), address)
        packet, sender = servers.asker.recvfrom(65536)
        assert f"{sender[0]}:{sender[1]}" == address, "from where it was asked"
        assert len(packet) <= DATAGRAM_BYTES
        assert answer(packet) == (SESSION, first, [one.body for one in messages[first - 1 : first - 1 + said]])
    summary = servers.stop()
    assert (summary["requests"], summary["outcomes"], summary["kernel_drops"]) == (6, {"answered": 6}, 0)
    assert summary["messages"] == 3 + 1 + fitting + fitting + 2 + 1
    record = servers.output.read_bytes()
    assert record.startswith(ANSWERS_MAGIC)
    noted = read_answers(memoryview(record)[len(ANSWERS_MAGIC) :])
    assert [(str(one.server), one.session, one.first, one.answered, one.outcome) for one in noted][:2] == [
        (address, "SESSION001", 1, 3, "answered"),
        (address, "SESSION001", 7, 1, "answered"),
    ]
    assert len(noted) == 6


def test_a_message_longer_than_a_frame_leaves_alone(start: Start, tmp_path: Path) -> None:
    messages = sent(3, size=2000)
    address = free_address()
    servers = start([(address, write_archive(tmp_path / "archive", messages))])
    servers.ask(request(1, 3), address)
    assert answer(servers.asker.recv(65536)) == (SESSION, 1, [messages[0].body])


def test_what_cannot_be_answered_gets_no_answer(start: Start, tmp_path: Path) -> None:
    """Each is asked before a request that can be answered, whose answer is the first thing to come back."""
    ahead = [Message(FAR_AHEAD_NS, SESSION, 4, b"not yet"), Message(0, SESSION, 5, b"out of turn")]
    address, elsewhere = free_address(), free_address("127.0.0.3")
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    write_archive(mine, [*sent(3), *ahead])
    write_archive(theirs, sent(3, session=OTHER))
    servers = start([(address, mine), (elsewhere, theirs)])
    hopeless = {
        "malformed": [b"", b"x", request(1, 1)[:-1], request(1, 1) + b"x", request(1, 0)],
        "not_sent": [request(4, 1), request(6, 1), request(0, 1), request(2**64 - 1, 9)],
        "unknown_session": [request(1, 1, OTHER), request(1, 1, b"          ")],
    }
    for packets in hopeless.values():
        for packet in packets:
            servers.ask(packet, address)
    servers.ask(request(2, 9), address)
    session, first, bodies = answer(servers.asker.recv(65536))
    assert (session, first, len(bodies)) == (SESSION, 2, 2), "up to what is not sent yet"
    servers.ask(request(1, 1, OTHER), elsewhere)
    assert answer(servers.asker.recv(65536))[0] == OTHER
    outcomes = servers.stop()["outcomes"]
    assert outcomes == {name: len(packets) for name, packets in hopeless.items()} | {"answered": 2}


def test_nothing_is_there_before_the_sender_began(start: Start, tmp_path: Path) -> None:
    address = free_address()
    servers = start([(address, write_archive(tmp_path / "archive", sent(3)))], began=False)
    servers.ask(request(1, 3), address)
    assert servers.stop()["outcomes"] == {"not_sent": 1}


def test_who_asks_too_often_is_not_answered(start: Start, tmp_path: Path) -> None:
    address = free_address()
    began = time.monotonic()
    servers = start([(address, write_archive(tmp_path / "archive", sent(3)))], "--rate", "2")
    for _ in range(100):
        servers.ask(request(1, 1), address)
    summary = servers.stop()
    most = 2 + 2 * math.ceil(time.monotonic() - began)
    looked_at = summary["outcomes"]["answered"]
    assert 2 <= looked_at <= most
    assert summary["outcomes"]["above_rate"] + looked_at + summary["kernel_drops"] == 100


def refused(tmp_path: Path, serve: Sequence[tuple[str, Path]]) -> str:
    arguments = [f"--serve={address},{archive}" for address, archive in serve]
    files = ["--sender-record", str(tmp_path / "sent"), "--output", str(tmp_path / "answers")]
    result = subprocess.run(
        [BINARY, "answer", *arguments, *files], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert result.returncode == EXIT_REFUSED
    return result.stderr


def test_what_it_cannot_serve_it_says(tmp_path: Path) -> None:
    whole = write_archive(tmp_path / "whole", sent(2))
    same = write_archive(tmp_path / "same", sent(2))
    cut = tmp_path / "cut"
    cut.write_bytes(whole.read_bytes()[:-1])
    address = free_address()
    assert "two archives have session SESSION001" in refused(tmp_path, [(address, whole), (address, same)])
    assert "cut off" in refused(tmp_path, [(address, cut)])
    assert "No such file" in refused(tmp_path, [(address, tmp_path / "none")])
    assert "listening on 192.0.2.1:5000" in refused(tmp_path, [("192.0.2.1:5000", whole)])
