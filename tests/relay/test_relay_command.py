"""The relay through its command, in a network namespace of the test's own: real multicast, two lines, two stages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lanecast_relay._core as core
from lanecast_relay.config.document import load_document, validate
from lanecast_relay.config.model import Protocol, RelayFile

ROOT = Path(__file__).parent.parent.parent
RELAY = [sys.executable, "-m", "lanecast_relay.cli"]

FILE = """
lanecast-relay: 1
name: test
control-socket: {directory}/control.sock
feeds:
  quotes:
    protocol: moldudp64
    hole-wait: 30ms
    lines:
      A: {{multicast: {{source: 192.0.2.1, interface: wan, groups: {{main: "239.10.1.1:20001"}}}}}}
      B: {{multicast: {{source: 192.0.2.1, interface: wan, groups: {{main: "239.10.2.1:20001"}}}}}}
subscribers:
  first: {{feeds: {{quotes: {{main: "127.0.0.1:30001"}}}}}}
  gone: {{feeds: {{quotes: {{main: "127.0.0.1:30002"}}}}}}
"""

SCRIPT = r"""
import atexit, json, socket, struct, subprocess, sys
relay, directory = sys.argv[1].split("\x1f"), sys.argv[2]

def mold(first, bodies, session=b"SESSION001"):
    text = b"".join(struct.pack(">H", len(body)) + body for body in bodies)
    return session + struct.pack(">QH", first, len(bodies)) + text

receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 30001))
receiver.settimeout(10)
atexit.register(lambda: process.kill())
process = subprocess.Popen([*relay, "run", directory + "/relay.yaml", "--json"], stdout=subprocess.PIPE, text=True)
assert json.loads(process.stdout.readline())["ready"] is True
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("192.0.2.1", 0))
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.1"))
A, B = ("239.10.1.1", 20001), ("239.10.2.1", 20001)
packets = {n: mold(n, [b"message %d" % n]) for n in range(1, 201)}
for n, packet in packets.items():
    if n % 7:
        sender.sendto(packet, A)
    if n % 5:
        sender.sendto(packet, B)
sender.sendto(b"not a packet", A)
sender.sendto(mold(201, []), A)
got = [receiver.recv(2048) for n in packets if n % 35]
counters = json.loads(subprocess.check_output([*relay, "counters", directory + "/control.sock", "--json"]))
process.terminate()
out, _ = process.communicate(timeout=20)
final = json.loads(out.strip().splitlines()[-1])
print(json.dumps({"same": got == [p for n, p in packets.items() if n % 35], "status": process.returncode,
                  "counters": counters, "final": final}))
"""


NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")


def run_in_namespace(tmp_path: Path, file: str, script: str) -> Any:
    """Run ``script`` beside a relay of ``file``, with an interface ``wan`` that hears what 192.0.2.1 sends."""
    (tmp_path / "relay.yaml").write_text(file.format(directory=tmp_path))
    (tmp_path / "script.py").write_text(script)
    prepare = (
        "ip link set lo up && ip link add tap type veth peer name wan && ip address add 192.0.2.1/24 dev tap && "
        "ip link set tap up && ip address add 192.0.2.2/24 dev wan && "
        "ip link set wan up && sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wan.rp_filter=0 "
        "net.ipv4.conf.wan.accept_local=1 net.ipv4.conf.all.accept_local=1 && exec "
    )
    inner = f'{prepare} "$@"'
    command = ["unshare", "--net", "--mount", "sh", "-c", inner, "sh", sys.executable, str(tmp_path / "script.py")]
    arguments = ["\x1f".join(RELAY), str(tmp_path)]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.strip().splitlines()[-1])


@NEEDS_ROOT
def test_two_lines_become_one_stream_of_unchanged_datagrams(tmp_path: Path) -> None:
    seen = run_in_namespace(tmp_path, FILE, SCRIPT)
    assert seen["same"] is True
    assert seen["status"] == 0
    (stream,) = seen["final"]["streams"]
    assert stream["lost_messages"] == sum(1 for n in range(1, 201) if n % 35 == 0)
    for line in stream["lines"]:
        classes = ("forwarded", "duplicate", "late", "held", "heartbeat", "passed_on", "malformed", "filtered")
        assert line["received"] == sum(line[name] for name in classes)
    assert sum(line["malformed"] for line in stream["lines"]) == 1
    assert sum(line["heartbeat"] for line in stream["lines"]) == 1


PREPARE = SCRIPT.partition("packets = ")[0]
"""Up to where sockets are open and the relay is ready."""

UNITS = (
    PREPARE
    + r"""
def pitch(unit, first, *bodies):
    messages = b"".join(bytes([2 + len(body), 0x21]) + body for body in bodies)
    return struct.pack("<HBBI", 8 + len(messages), len(bodies), unit, first) + messages

for unit, base in ((1, 2**32 - 50), (2, 1000)):
    for step in range(0, 100, 2):
        at = lambda n: (base + n - 1) % (2**32 - 1) + 1
        two = [b"%d:%d" % (unit, step + n) for n in range(2)]
        if step % 7:
            sender.sendto(pitch(unit, at(step), *two), A)
        if step % 5:
            sender.sendto(pitch(unit, at(step), two[0]), B)
            sender.sendto(pitch(unit, at(step + 1), two[1]), B)
sender.sendto(pitch(1, 0, b"unsequenced"), A)
sender.sendto(b"not a packet", B)
got, numbers = [], {1: [], 2: []}
while not got or got[-1] != pitch(1, 0, b"unsequenced"):
    got.append(receiver.recv(2048))
receiver.settimeout(1)
try:
    while True:
        got.append(receiver.recv(2048))
except TimeoutError:
    pass
for packet in got:
    _, count, unit, first = struct.unpack_from("<HBBI", packet)
    numbers[unit] += [first + n for n in range(count) if first]
process.terminate()
out, _ = process.communicate(timeout=20)
final = json.loads(out.strip().splitlines()[-1])
print(json.dumps({"numbers": numbers, "status": process.returncode, "final": final}))
"""
)


@NEEDS_ROOT
def test_units_of_a_group_are_arbitrated_and_told_apart(tmp_path: Path) -> None:
    seen = run_in_namespace(tmp_path, FILE.replace("moldudp64", "pitch"), UNITS)
    for unit, base in (("1", 2**32 - 50), ("2", 1000)):
        steps = [step for step in range(100) if (step - step % 2) % 35]
        assert [(number - base) % (2**32 - 1) for number in seen["numbers"][unit]] == steps
    streams = {stream["channel"]: stream for stream in seen["final"]["streams"]}
    assert list(streams) == ["main", "main/1", "main/2"]
    assert [stream["lost_messages"] for stream in streams.values()] == [0, 2, 2]
    assert streams["main/1"]["losses"][-1]["last"] == 70 + 1 - 50 + 1
    assert sum(line["passed_on"] for line in streams["main"]["lines"]) == 1
    assert sum(line["malformed"] for line in streams["main"]["lines"]) == 1
    assert [line["received_bytes"] > 0 for line in streams["main"]["lines"]] == [True, True]
    classes = ("forwarded", "duplicate", "late", "held", "heartbeat", "passed_on", "malformed", "filtered")
    for stream in streams.values():
        for line in stream["lines"]:
            assert line["received"] == sum(line[name] for name in classes)


def test_the_protocols_names_are_the_cores() -> None:
    assert sorted(core.protocols()) == sorted(protocol.value for protocol in Protocol)


def test_the_example_is_right() -> None:
    assert validate(RelayFile, load_document(ROOT / "examples/relay/one-feed.yaml")).name == "one-feed"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("protocol: moldudp64", "protocol: raw"), "give it one line"),
        (("hole-wait", "holewait"), "did you mean hole-wait?"),
        (("239.10.1.1", "10.0.0.1"), "outside 224.0.0.0/4"),
        (("{main: \"127.0.0.1:30001\"}", "{other: \"127.0.0.1:30001\"}"), "unknown channels other"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(edit: tuple[str, str], words: str, tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_text(FILE.format(directory=tmp_path).replace(*edit))
    result = subprocess.run([*RELAY, "check", str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert words in result.stderr
    assert f"{path}:" in result.stderr


def test_a_missing_interface_is_named(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_text(FILE.format(directory=tmp_path).replace("interface: wan", "interface: none0"))
    result = subprocess.run([*RELAY, "run", str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert "none0" in result.stderr
