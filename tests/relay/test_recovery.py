"""Messages that both lines lose are asked for from re-request servers and leave in their place."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

RELAY = [sys.executable, "-m", "lanecast_relay.cli"]
DEADLINE_S = 30.0
SESSION = b"SESSION001"
MESSAGES = 200
"""Few enough for any receive buffer to hold all of them: what waits behind a hole leaves at once."""

SO_TIMESTAMPNS = 35
"""The kernel's own time of arrival comes with each datagram (``asm-generic/socket.h``)."""

HEADER = struct.Struct(">10sQH")
"""MoldUDP64 1.0, Downstream Packet and Request Packet: session, sequence number, message count."""

FILE = """
lanecast-relay: 1
name: edge
feeds:
  quotes:
    protocol: moldudp64
    hole-wait: 5ms
    recovery: {{servers: {{main: [{servers}]}}, wait: 5s, retry: 10ms}}
    lines:
      A: {{unicast: {{listen: {{main: "127.0.0.1:{a}"}}}}}}
      B: {{unicast: {{listen: {{main: "127.0.0.1:{b}"}}}}}}
subscribers:
  app: {{feeds: {{quotes: {{main: "127.0.0.1:{out}"}}}}}}
"""


def body(number: int) -> bytes:
    return f"message {number}".encode() + b"." * (number % 50)


def packet(first: int, count: int) -> bytes:
    blocks = (struct.pack(">H", len(body(number))) + body(number) for number in range(first, first + count))
    return HEADER.pack(SESSION, first, count) + b"".join(blocks)


def lost_on_both(number: int) -> bool:
    """Runs of up to nine, and neither the first nor the last: nothing reveals those."""
    return number % 20 in range(10, 10 + number // 20)


def bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # as far as the machine allows
    made.bind(("127.0.0.1", 0))
    made.settimeout(DEADLINE_S)
    return made


def port_of(one: socket.socket) -> int:
    return int(one.getsockname()[1])


@dataclass
class Server:
    """A re-request server that has every message and answers with at most three."""

    socket: socket.socket
    silent: bool = False
    requests: list[tuple[bytes, int, int]] = field(default_factory=list)
    came_ns: list[int] = field(default_factory=list)
    """When each of the requests was taken up, by the kernel's word. Wall clock."""

    def serve(self) -> None:
        while True:
            request, ancillary, _flags, asker = self.socket.recvmsg(2048, 64)
            if not request:
                return
            ((_level, _type, stamp),) = ancillary
            seconds, nanoseconds = struct.unpack("@ll", stamp)
            self.came_ns.append(seconds * 10**9 + nanoseconds)
            assert len(request) == HEADER.size
            session, first, count = HEADER.unpack(request)
            self.requests.append((session, first, count))
            if not self.silent:
                self.socket.sendto(packet(first, min(count, 3)), asker)

    def stop(self, thread: threading.Thread) -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as one:
            one.sendto(b"", self.socket.getsockname())
        thread.join(DEADLINE_S)
        self.socket.close()


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """The first one never answers."""
    made = [Server(bound(), silent=True), Server(bound())]
    for server in made:
        server.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    threads = [threading.Thread(target=server.serve) for server in made]
    for thread in threads:
        thread.start()
    yield made
    for server, thread in zip(made, threads, strict=True):
        server.stop(thread)


def forward(directory: Path, servers: list[int], receiver: socket.socket) -> tuple[list[bytes], dict[str, Any]]:
    """Run a relay on two lines that lose the same; what the subscriber got, and the last counters."""
    lines = [bound(), bound()]
    ports = [port_of(line) for line in lines]
    for line in lines:
        line.close()
    file = directory / "relay.yaml"
    addresses = ", ".join(f'"127.0.0.1:{port}"' for port in servers)
    file.write_text(FILE.format(servers=addresses, a=ports[0], b=ports[1], out=port_of(receiver)))
    process = subprocess.Popen([*RELAY, "run", str(file), "--json"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["ready"] is True
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        for number in range(1, MESSAGES + 1):
            if not lost_on_both(number):
                for port in ports:
                    sender.sendto(packet(number, 1), ("127.0.0.1", port))
    got: list[bytes] = []
    while not got or messages(got[-1])[-1][0] < MESSAGES:
        got.append(receiver.recv(65536))
    process.terminate()
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    return got, json.loads(out.strip().splitlines()[-1])


def messages(datagram: bytes) -> list[tuple[int, bytes]]:
    """Number and body of each message."""
    session, first, count = HEADER.unpack_from(datagram)
    assert session == SESSION
    found, place = [], HEADER.size
    for number in range(first, first + count):
        (length,) = struct.unpack_from(">H", datagram, place)
        found.append((number, datagram[place + 2 : place + 2 + length]))
        place += 2 + length
    assert place == len(datagram)
    return found


def test_what_both_lines_lose_comes_from_a_server(tmp_path: Path, servers: list[Server]) -> None:
    with closing(bound()) as receiver:
        got, counters = forward(tmp_path, [port_of(server.socket) for server in servers], receiver)
    missing = [number for number in range(1, MESSAGES + 1) if lost_on_both(number)]
    assert len(missing) > 20, "the case has to happen"
    assert [one for datagram in got for one in messages(datagram)] == [(n, body(n)) for n in range(1, MESSAGES + 1)]
    (stream,) = counters["streams"]
    assert stream["lost_messages"] == 0
    asked = [request for server in servers for request in server.requests]
    assert all(server.requests for server in servers), "holes are spread over the servers"
    silent, other = servers
    asked_there = [
        (came_ns, first, first + count - 1)
        for came_ns, (_session, first, count) in zip(other.came_ns, other.requests, strict=True)
    ]
    before: dict[int, int] = {}
    for came_ns, (_session, first, _count) in zip(silent.came_ns, silent.requests, strict=True):
        others = [at_ns for at_ns, low, high in asked_there if low <= first <= high]
        assert others, f"{first} was put to the one that does not answer alone"
        last_ns = before.get(first)
        if last_ns is not None:
            assert any(last_ns < at_ns < came_ns for at_ns in others), "each retry goes to the next server"
        before[first] = came_ns
    assert {session for session, _, _ in asked} == {SESSION}
    assert {number for _, first, count in asked for number in range(first, first + count)} == set(missing)
    assert stream["requests"] == len(asked)
    line = next(line for line in stream["lines"] if line["line"] == "recovery")
    assert line["forwarded"] > 0
    classes = ("forwarded", "duplicate", "late", "held", "heartbeat", "passed_on", "malformed", "filtered")
    assert line["received"] == sum(line[name] for name in classes)


def test_an_answer_from_elsewhere_is_not_taken(tmp_path: Path) -> None:
    """The server's own address is asked, and another one answers."""

    def answer_from_elsewhere(server: socket.socket) -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
            other.bind(("127.0.0.2", 0))
            request, asker = server.recvfrom(2048)
            other.sendto(packet(HEADER.unpack(request)[1], 1), asker)
            _, asker = server.recvfrom(2048)  # asked again: that was no answer
            for number in range(1, MESSAGES + 1):
                server.sendto(packet(number, 1), asker)

    with closing(bound()) as receiver, closing(bound()) as server:
        thread = threading.Thread(target=answer_from_elsewhere, args=(server,))
        thread.start()
        got, counters = forward(tmp_path, [port_of(server)], receiver)
        thread.join(DEADLINE_S)
    assert [number for datagram in got for number, _ in messages(datagram)] == list(range(1, MESSAGES + 1))
    (stream,) = counters["streams"]
    line = next(line for line in stream["lines"] if line["line"] == "recovery")
    assert line["filtered"] == 1


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("protocol: moldudp64", "protocol: omd"), "omd has no requests over UDP"),
        (("servers: {main:", "servers: {other:"), "its channels are not those of the lines: main, other"),
        (("      A: {unicast", "      recovery: {unicast"), "give that line another name"),
        (('["127.0.0.1:1"]', "[]"), "no server for main"),
    ],
)
def test_what_cannot_be_recovered_is_a_mistake(edit: tuple[str, str], words: str, tmp_path: Path) -> None:
    text = FILE.format(servers='"127.0.0.1:1"', a=1, b=2, out=3)
    assert edit[0] in text
    path = tmp_path / "relay.yaml"
    path.write_text(text.replace(*edit))
    result = subprocess.run([*RELAY, "check", str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert words in result.stderr
