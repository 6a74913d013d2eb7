"""Private network namespaces, a wire between them, and the native tool's files, read and written anew."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
BINARY = Path(os.environ.get("LANECAST_WIRE", ROOT / "target/release/lanecast-wire"))

DEADLINE_S = 30.0
"""Every wait ends here, in failure; a healthy one ends in milliseconds."""

MS = 1_000_000
"""Nanoseconds."""

SMALL_BUFFER = ["setpriv", "--bounding-set=-net_admin"]
"""A tool that starts with this may not ask for a socket buffer beyond the machine's limit."""

CLONE_NEWNET = 0x40000000
IP_RECVTTL = 12
TCP_MD5SIG = 14
SOL_UDP = 17
UDP_SEGMENT = 103
EXIT_REFUSED = 2


class Datagram(NamedTuple):
    """One entry of a schedule."""

    due_ns: int
    source: str
    destination: str
    port: int
    payload: bytes

    def pack(self) -> bytes:
        addresses = socket.inet_aton(self.source) + socket.inet_aton(self.destination)
        return struct.pack("<Q8sHH", self.due_ns, addresses, self.port, len(self.payload)) + self.payload


class Received(NamedTuple):
    """One datagram of a receiver's output."""

    time_ns: int
    port: int
    payload: bytes


def write_schedule(path: Path, datagrams: Sequence[Datagram]) -> Path:
    path.write_bytes(b"LCSCHED1" + b"".join(one.pack() for one in datagrams))
    return path


def read_record(path: Path) -> tuple[int, list[int]]:
    """When offset 0 was due, and when each datagram left."""
    content = path.read_bytes()
    assert content[:8] == b"LCSENT01"
    start, *sent = struct.unpack(f"<{(len(content) - 8) // 8}Q", content[8:])
    return start, sent


def read_output(path: Path) -> list[Received]:
    content = path.read_bytes()
    assert content[:8] == b"LCRECV01"
    found, place = [], 8
    while place < len(content):
        time_ns, port, length = struct.unpack_from("<QHH", content, place)
        place += 12
        found.append(Received(time_ns, port, content[place : place + length]))
        place += length
    assert place == len(content), "the last datagram is cut off"
    return found


def percentile(values: Sequence[int], percent: float) -> int:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def until(what: str, holds: Callable[[], bool]) -> None:
    """Poll for a state; fail with its name."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.005)


class Namespace:
    """A network namespace that lives as long as a process of ours in it."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"\n"
        self.pid = self._holder.pid
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up")

    def command(self, *arguments: str | Path) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *map(str, arguments)]

    def run(self, *arguments: str | Path) -> str:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def refused(self, *arguments: str | Path) -> str:
        """What the tool says when it does not start, which it must not."""
        done = subprocess.run(
            self.command(BINARY, *arguments),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            stdin=subprocess.DEVNULL,
        )
        assert (done.returncode, done.stdout) == (EXIT_REFUSED, ""), done
        return done.stderr

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of this namespace: it keeps the one in which its thread made it."""

        def make() -> socket.socket:
            with Path(f"/proc/{self.pid}/ns/net").open() as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                assert libc.setns(namespace.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            made = socket.socket(family, kind, protocol)
            made.settimeout(DEADLINE_S)
            return made

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(make).result()

    def delivered(self) -> int:
        """IP packets that this namespace has delivered to its own sockets."""
        lines = Path(f"/proc/{self.pid}/net/snmp").read_text().splitlines()
        names, values = (line.split() for line in lines if line.startswith("Ip:"))
        return int(values[names.index("InDelivers")])

    def close(self) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait(DEADLINE_S)
        self._holder.stdout.close()


class Tool:
    """A running ``lanecast-wire``."""

    def __init__(self, where: Namespace, *arguments: str | Path, prefix: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            where.command(*prefix, BINARY, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def await_ready(self) -> Tool:
        until("ready", lambda: bool(self.said) or self.process.poll() is not None)
        assert self.said, self._errors()
        assert self.said[0] == {"ready": True}
        return self

    def await_count(self, key: str, count: int) -> None:
        until(f"{key} {count}", lambda: self.said[-1].get(key) == count)

    def summary(self) -> dict[str, Any]:
        """Wait for its own end; its last words."""
        assert self.process.wait(DEADLINE_S) == 0, self._errors()
        self._reader.join(DEADLINE_S)
        return self.said[-1]

    def stop(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        return self.summary()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


@dataclass
class Bench:
    """Namespaces, wires and tools of one test, removed after it."""

    a: Namespace
    b: Namespace
    middle: Namespace
    directory: Path
    stack: contextlib.ExitStack

    def veths(self, *delays_ns: int) -> list[str]:
        """Link A's and B's eth0, eth1, … (10.77.N.1 and .2) to the middle; the wires' arguments."""
        arguments = []
        for index, delay_ns in enumerate(delays_ns):
            for node, side, host in ((self.a, "a", 1), (self.b, "b", 2)):
                inner, outer = f"eth{index}", f"outer{side}{index}"
                self.middle.run(*f"ip link add {outer} type veth peer name {inner} netns {node.pid}".split())
                self.middle.run("ip", "link", "set", outer, "up")
                node.run("ip", "address", "add", f"10.77.{index}.{host}/24", "dev", inner)
                node.run("ip", "link", "set", inner, "up")
            arguments += ["--pair", f"wire{index},outera{index},outerb{index},{delay_ns}"]
        return arguments

    def wires(self, *delays_ns: int, prefix: Sequence[str] = ()) -> Tool:
        """Wires between A and B that carry plain frames."""
        arguments = self.veths(*delays_ns)
        interfaces = [f"eth{index}" for index in range(len(delays_ns))]
        for node in (self.a, self.b):
            node.run(BINARY, "plain-offloads", *interfaces)
        return self.tool(self.middle, "delay", *arguments, prefix=prefix).await_ready()

    def tool(self, where: Namespace, *arguments: str | Path, prefix: Sequence[str] = ()) -> Tool:
        tool = Tool(where, *arguments, prefix=prefix)
        self.stack.callback(tool.close)
        return tool

    def receiver(self, where: Namespace, *listen: str, prefix: Sequence[str] = ()) -> Tool:
        """A receiver whose output is the file ``arrived``."""
        addresses = [word for one in listen for word in ("--listen", one)]
        tool = self.tool(where, "receive", *addresses, "--output", self.arrived, prefix=prefix)
        return tool.await_ready()

    def sender(self, where: Namespace, datagrams: Sequence[Datagram]) -> Tool:
        """A sender whose record is the file ``sent``."""
        schedule = write_schedule(self.directory / "due", datagrams)
        return self.tool(where, "send", "--schedule", schedule, "--record", self.sent, "--lead-ms", "100")

    def sockets(self, kind: int, protocol: int = 0) -> tuple[socket.socket, socket.socket]:
        """One in A and one in B."""
        both = (self.a.socket(socket.AF_INET, kind, protocol), self.b.socket(socket.AF_INET, kind, protocol))
        for one in both:
            self.stack.callback(one.close)
        return both

    def resolve(self) -> None:
        """Send one datagram, so that A knows B's hardware address."""
        one, other = self.sockets(socket.SOCK_DGRAM)
        other.bind(("10.77.0.2", 9))
        one.sendto(b"", ("10.77.0.2", 9))
        other.recv(1)

    @property
    def arrived(self) -> Path:
        return self.directory / "arrived"

    @property
    def sent(self) -> Path:
        return self.directory / "sent"
