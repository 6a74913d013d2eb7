"""A relay with leases in a network namespace of the test's own, reached through the doors that people use."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import ipaddress
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lanecast_relay.access.tokens import Claims, audience, issue, new_key
from lanecast_relay.config.leases import Algorithm

RELAY = [sys.executable, "-m", "lanecast_relay.cli"]
DEADLINE_S = 30.0
CLONE_NEWNET = 0x40000000
API_PORT = 8443
CLIENT = "10.8.2.10"
OTHER_CLIENT = "10.8.2.11"
LINES = {"A": ("239.10.1.1", 20001), "B": ("239.10.2.1", 20001)}

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")

FILE = """
lanecast-relay: 1
name: edge
control-socket: {directory}/control.sock
feeds:
  quotes:
    protocol: moldudp64
    hole-wait: 1s
    lines:
      A: {{multicast: {{source: 192.0.2.1, interface: wan, groups: {{main: "239.10.1.1:20001", late: "239.10.1.2:20002"}}}}}}
      B: {{multicast: {{source: 192.0.2.1, interface: wan, groups: {{main: "239.10.2.1:20001", late: "239.10.2.2:20002"}}}}}}
  trades:
    protocol: moldudp64
    lines:
      A: {{unicast: {{listen: {{main: "192.0.2.2:21001"}}}}}}
  logs:
    protocol: raw
    lines:
      A: {{unicast: {{listen: {{main: "192.0.2.2:22001"}}}}}}
subscribers:
  fixed: {{feeds: {{quotes: {{main: "10.8.2.20:20001"}}}}}}
audit: {{log: {directory}/audit.jsonl}}
api:
  listen: 0.0.0.0:8443
  certificate: {directory}/certificate.pem
  key: {directory}/key.pem
  period: {period}
  used-codes: {directory}/used-codes.json
  one-time-codes:
    careful: {{file: {directory}/careful.otp}}
    careful-too: {{environment: CAREFUL_TOO}}
  issuers:
    desk:
      algorithm: EdDSA
      public-key: |
{public_key}
"""


_LIBC = ctypes.CDLL(None, use_errno=True)
_outside: list[int] = []
"""Descriptors of the network namespaces of other hosts, the innermost last."""


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """This thread in a new network namespace, whose ``wan`` (192.0.2.2) leads to another with the source and the clients.

    Processes and sockets that are made meanwhile are in it; it goes when the last of them does. See :func:`outside`.
    """
    home = _namespace()
    try:
        _enter_new()
        others = _namespace()
        for command in (
            "link set lo up",
            "link add tap type veth peer name wan",
            "address add 192.0.2.1/24 dev tap",
            f"address add {CLIENT}/24 dev tap",
            f"address add {OTHER_CLIENT}/24 dev tap",
            "address add 10.8.2.20/24 dev tap",
            "link set tap up",
        ):
            ip(command)
        _enter_new()
        subprocess.run(["nsenter", f"--net=/proc/self/fd/{others}", "ip", "link", "set", "wan", "netns", str(threading.get_native_id())],
                       check=True, pass_fds=[others])  # fmt: skip
        for command in (
            "link set lo up",
            "address add 192.0.2.2/24 dev wan",
            "link set wan up",
            "route add 10.8.2.0/24 dev wan",
        ):
            ip(command)
        _outside.append(others)
        try:
            yield
        finally:
            _outside.pop()
            os.close(others)
    finally:
        _enter(home)
        os.close(home)


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """Sockets that are made meanwhile are those of the source's and the clients' hosts."""
    here = _namespace()
    try:
        _enter(_outside[-1])
        yield
    finally:
        _enter(here)
        os.close(here)


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def _namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def _enter_new() -> None:
    if _LIBC.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def mold(first: int, *bodies: bytes) -> bytes:
    """MoldUDP64 1.0, written by hand."""
    text = b"".join(struct.pack(">H", len(body)) + body for body in bodies)
    return b"SESSION001" + struct.pack(">QH", first, len(bodies)) + text


def make_certificate(directory: Path, name: str = "certificate") -> None:
    """A certificate of its own for 127.0.0.1, and ``key.pem``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, SHA256())
    )
    (directory / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private_file(directory / "key.pem", private.decode())


def private_file(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class Leasing:
    """A relay's directory, its keys, and its process once it runs."""

    directory: Path
    period: str = "30s"
    environment: dict[str, str] = field(default_factory=dict)
    wrapper: list[str] = field(default_factory=list)
    """What runs the relay's command, where something does."""
    command_to_run: list[str] = field(default_factory=lambda: RELAY)
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self.private_key, self.public_key = new_key(Algorithm.EDDSA)
        make_certificate(self.directory)
        private_file(self.directory / "careful.otp", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n")
        self.environment = {"CAREFUL_TOO": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"} | self.environment
        self.write()

    @property
    def file(self) -> Path:
        return self.directory / "relay.yaml"

    @property
    def audit_log(self) -> Path:
        return self.directory / "audit.jsonl"

    def write(self, *edits: tuple[str, str]) -> None:
        """The file, with edits; each has to find its place."""
        key = "\n".join(" " * 8 + line for line in self.public_key.strip().splitlines())
        text = FILE.format(directory=self.directory, period=self.period, public_key=key)
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text)

    def start(self) -> None:
        """Run the relay until it is ready."""
        log = (self.directory / "log.jsonl").open("a")
        self.process = subprocess.Popen(
            [*self.wrapper, *self.command_to_run, "run", str(self.file), "--json"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | self.environment,
        )
        log.close()
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready, (self.directory / "log.jsonl").read_text()
        assert json.loads(ready)["ready"] is True

    def stop(self) -> dict[str, Any]:
        """Drain, and return the last counters."""
        assert self.process is not None
        self.process.terminate()
        out, _ = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0, (self.directory / "log.jsonl").read_text()
        self.process = None
        counters: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        return counters

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)
        self.process = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RELAY, *arguments], capture_output=True, text=True, check=False, timeout=DEADLINE_S,
            env=os.environ | self.environment,
        )  # fmt: skip

    def counters(self) -> dict[str, Any]:
        counters: dict[str, Any] = json.loads(self.command("counters", str(self.file), "--json").stdout)
        return counters

    def subscribers(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.counters()["subscribers"]}

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "log.jsonl").read_text().splitlines()]

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit_log.read_text().splitlines()]

    def closed(self, count: int = 1) -> list[dict[str, Any]]:
        """The first ``count`` intervals that ended, once the audit log's thread has written them."""

        def found() -> list[dict[str, Any]]:
            lines = self.audit_log.read_bytes().splitlines(keepends=True)
            whole = [json.loads(line) for line in lines if line.endswith(b"\n")]
            return [one for one in whole if one["event"] == "closed"]

        wait_until(lambda: len(found()) >= count)
        return found()

    def claims(self, **changes: Any) -> Claims:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": "desk", "sub": "alice", "aud": audience("edge"), "iat": now, "nbf": now - 5, "exp": now + 600,
            "jti": os.urandom(12).hex(), "scope": ["lease"], "feeds": {"quotes": "*"}, "to": ["10.8.2.0/24"], "leases": 4,
        }  # fmt: skip
        return Claims.model_validate(claims | changes)

    def token(self, **changes: Any) -> str:
        return issue(self.claims(**changes), self.private_key)

    def call(
        self,
        method: str,
        path: str,
        token: str,
        body: Any = None,
        code: str = "",
        source: str = "127.0.0.1",
        raw_body: bytes | None = None,
    ) -> Answer:
        """One HTTPS request from ``source``, verifying the relay's certificate."""
        context = ssl.create_default_context(cafile=str(self.directory / "certificate.pem"))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", API_PORT, context=context, timeout=DEADLINE_S, source_address=(source, 0)
        )
        headers = {"authorization": f"Bearer {token}"} | ({"lanecast-code": code} if code else {})
        text = raw_body if raw_body is not None else None if body is None else json.dumps(body).encode()
        with contextlib.closing(connection):
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})

    def lease(self, token: str, to: str = f"{CLIENT}:20001", code: str = "", **more: Any) -> Answer:
        return self.call("POST", "/v1/leases", token, {"feed": "quotes", "channels": {"main": to}} | more, code)


@contextlib.contextmanager
def receiver(address: str = CLIENT, port: int = 20001) -> Iterator[socket.socket]:
    with outside():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with one:
        one.bind((address, port))
        one.settimeout(DEADLINE_S)
        yield one


@dataclass
class Source:
    """Sends numbers on both lines: A lacks each seventh, B each fifth."""

    next: int = 1

    def send(self, count: int) -> list[bytes]:
        """What subscribers get of it."""
        with outside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            sender.bind(("192.0.2.1", 0))
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.1"))
            sent = []
            for number in range(self.next, self.next + count):
                packet = mold(number, b"message %d" % number)
                if number % 7:
                    sender.sendto(packet, LINES["A"])
                if number % 5 or number % 7 == 0:
                    sender.sendto(packet, LINES["B"])
                sent.append(packet)
            self.next += count
            return sent


def wait_until(true: Any, within_s: float = DEADLINE_S) -> None:
    """Poll for a state within a budget."""
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, "the state never came"
        time.sleep(0.02)
