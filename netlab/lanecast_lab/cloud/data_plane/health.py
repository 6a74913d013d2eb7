"""Health checks: what is asked of whom, how answers count, and the loop that asks.

A target goes from one state to the other after so many results of the other kind in a row; the very first one decides
at once, so that nothing waits for thresholds when it is new. [docs] for the checks: BLB, health-check overview.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

STATUS_LINE_BYTES = 4096
STATUS_LINE = re.compile(rb"HTTP/\S*\s+([0-9]{3})\b")
"""RFC 9112, 4: whatever else comes is no answer."""

ICMP_ECHO, ICMP_ECHO_REPLY = 8, 0
"""RFC 792."""

ICMP_HEADER = struct.Struct(">BBHHH")


class Kind(StrEnum):
    """How a target is asked, by the API's words."""

    TCP = "TCP"
    UDP = "UDP"
    ICMP = "ICMP"
    ICMP_UDP = "ICMP_UDP"
    HTTP = "HTTP"


@dataclass(frozen=True, slots=True)
class Check:
    """What is asked how often."""

    kind: Kind
    address: str
    port: int = 0
    interval_s: float = 3
    timeout_s: float = 3
    unhealthy_after: int = 3
    healthy_after: int = 3
    text: str = ""
    """What a UDP check sends, or the path of an HTTP check."""
    host: str = ""
    """Of an HTTP check."""
    good_statuses: tuple[int, ...] = ()
    """First digits of an HTTP check's good answers."""
    source: str = ""
    """The address that it is asked from; empty: the namespace's own choice."""

    @property
    def target(self) -> tuple[Kind, str, int]:
        """Who is asked for what; the rest is how."""
        return self.kind, self.address, self.port


@dataclass(slots=True)
class Opinion:
    """What results so far say of a target."""

    healthy: bool | None = None
    """None until the first result."""
    against: int = 0
    """Results in a row that contradict that."""

    def count(self, good: bool, check: Check) -> bool:
        """Count a result; whether the state changed by it."""
        if self.healthy is None:
            self.healthy = good
            return True
        if good is self.healthy:
            self.against = 0
            return False
        self.against += 1
        if self.against < (check.healthy_after if good else check.unhealthy_after):
            return False
        self.healthy, self.against = good, 0
        return True


async def ask(check: Check) -> bool:
    """Ask once; whether the answer is a good one. To be awaited in the namespace that asks."""
    try:
        async with asyncio.timeout(check.timeout_s):
            return await ASKERS[check.kind](check)
    except (OSError, TimeoutError):  # refused, unreachable, reset, or silent: that is the answer
        return False


def _socket(check: Check, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    if check.source:
        made.bind((check.source, 0))
    return made


async def _ask_tcp(check: Check) -> bool:
    """A connection comes about, and is reset at once. [docs]"""
    with _socket(check, socket.SOCK_STREAM) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asyncio.get_running_loop().sock_connect(connection, (check.address, check.port))
    return True


async def _ask_udp(check: Check) -> bool:
    """Any datagram comes back. [docs] A port that is closed says so by ICMP, which a connected socket is told."""
    loop = asyncio.get_running_loop()
    with _socket(check, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect((check.address, check.port))
        await loop.sock_sendall(datagrams, check.text.encode())
        await loop.sock_recv(datagrams, STATUS_LINE_BYTES)
    return True


async def _ask_icmp(check: Check) -> bool:
    """An echo comes back."""
    loop = asyncio.get_running_loop()
    identifier = int.from_bytes(os.urandom(2))
    with _socket(check, socket.SOCK_RAW, socket.IPPROTO_ICMP) as echoes:
        echoes.connect((check.address, 0))
        await loop.sock_sendall(echoes, echo_request(identifier))
        while True:
            packet = await loop.sock_recv(echoes, STATUS_LINE_BYTES)
            kind, _, _, answered, _ = ICMP_HEADER.unpack_from(packet, (packet[0] & 0x0F) * 4)
            if (kind, answered) == (ICMP_ECHO_REPLY, identifier):
                return True


def echo_request(identifier: int) -> bytes:
    """An ICMP echo request without data (RFC 792), with its checksum (RFC 1071)."""
    total = (ICMP_ECHO << 8) + identifier + 1
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return ICMP_HEADER.pack(ICMP_ECHO, 0, checksum, identifier, 1)


async def _ask_icmp_and_udp(check: Check) -> bool:
    """An echo comes back, and nothing says that the port is closed. [docs]"""
    if not await _ask_icmp(check):
        return False
    with contextlib.suppress(TimeoutError):  # silence is good enough here
        async with asyncio.timeout(check.timeout_s / 2):
            await _ask_udp(check)
    return True


async def _ask_http(check: Check) -> bool:
    """GET is answered with a good status. [docs]"""
    source = (check.source, 0) if check.source else None
    reader, writer = await asyncio.open_connection(
        check.address, check.port, local_addr=source, limit=STATUS_LINE_BYTES
    )
    try:
        host = check.host or f"{check.address}:{check.port}"
        writer.write(f"GET {check.text or '/'} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        line = await reader.readline()
    except ValueError:  # it is longer than the reader's limit
        return False
    finally:
        writer.transport.abort()
    status = STATUS_LINE.match(line)
    return status is not None and int(status[1]) // 100 in check.good_statuses


ASKERS: Mapping[Kind, Callable[[Check], Awaitable[bool]]] = {
    Kind.TCP: _ask_tcp,
    Kind.UDP: _ask_udp,
    Kind.ICMP: _ask_icmp,
    Kind.ICMP_UDP: _ask_icmp_and_udp,
    Kind.HTTP: _ask_http,
}


def _look(task: asyncio.Task[None]) -> None:
    """A mistake of ours is raised in the loop, whose handler decides what becomes of it."""
    if not task.cancelled():
        task.result()


@dataclass(slots=True)
class _Watched:
    check: Check
    opinion: Opinion
    task: asyncio.Task[None]


@dataclass(slots=True)
class Watch:
    """Asks targets in turn, in the namespace that this runs in. ``changed`` is called when one changes its state."""

    changed: Callable[[], None]
    _watched: dict[str, _Watched] = field(default_factory=dict)

    def set(self, checks: Mapping[str, Check]) -> None:
        """Watch exactly these from now on, by name. One that is asked the same goes on undisturbed."""
        known = {(name, watched.check.target): watched.opinion for name, watched in self._watched.items()}
        for name, watched in list(self._watched.items()):
            if checks.get(name) != watched.check:
                watched.task.cancel()
                del self._watched[name]
        for name, check in checks.items():
            if name not in self._watched:
                opinion = known.get((name, check.target), Opinion())
                task = asyncio.create_task(self._keep_asking(check, opinion))
                task.add_done_callback(_look)
                self._watched[name] = _Watched(check, opinion, task)

    async def _keep_asking(self, check: Check, opinion: Opinion) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if opinion.count(await ask(check), check):
                self.changed()
            due = max(due + check.interval_s, loop.time())
            await asyncio.sleep(due - loop.time())

    def opinions(self) -> dict[str, bool | None]:
        """Which are healthy; None where nothing is known yet."""
        return {name: watched.opinion.healthy for name, watched in self._watched.items()}

    def stop(self) -> None:
        """Ask no more."""
        self.set({})
