"""The measuring tool and the network, as they run: real datagrams, real namespaces, no figure of speed."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from lanecast_bench import namespaces
from lanecast_bench.measure import measure
from lanecast_bench.relay_file import Input
from lanecast_bench.relays import RELAYS
from lanecast_bench.results import Cell, Scenario, Settings
from lanecast_bench.tools import UDPBENCH, build_udpbench

MASK = 2**64 - 1
CALM = Settings(seconds=0.5, quiet_wait_s=0, overload_rate_pps=400, latency_rate_pps=400)
"""So slow that a busy machine loses nothing of it."""

HOLD = """
import os, sys
from lanecast_bench.namespaces import network
with network(2) as built:
    print(built.relay, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def _tool() -> None:
    build_udpbench()


def losses(seed: int, permille_a: int, permille_b: int, count: int) -> tuple[int, int]:
    """What the lines keep of ``count`` datagrams, by the definition of xorshift64* and of the two lines."""
    state = seed * 2 + 1
    kept_a = kept_b = 0

    def drawn(permille: int) -> bool:
        nonlocal state
        state ^= state >> 12
        state = (state ^ (state << 25)) & MASK
        state ^= state >> 27
        return ((state * 0x2545F4914F6CDD1D & MASK) >> 33) % 1000 < permille

    for index in range(count):
        a, b = drawn(permille_a), drawn(permille_b)
        kept_a += not a or index == 0
        kept_b += not b or a or index == 0
    return kept_a, kept_b


@pytest.mark.parametrize("seed", [1, 7])
def test_losses_are_the_seed_s(seed: int) -> None:
    options = {"count": 5000, "destination": "127.0.0.1", "second-destination": "127.0.0.1", "rate": 0}
    options |= {"loss-a": 200, "loss-b": 300, "seed": seed, "seconds": 30}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    done = subprocess.run([str(UDPBENCH), "send", "--mold", *words], capture_output=True, text=True, check=True)
    sent = json.loads(done.stdout)
    assert sent["messages"] == 5000
    assert (sent["kept_a"], sent["kept_b"]) == losses(seed, 200, 300, 5000)


@pytest.mark.parametrize("words", [["send", "--rate", "x"], ["send", "--size", "15"], ["relay"], ["walk"], []])
def test_wrong_arguments_are_refused(words: list[str]) -> None:
    done = subprocess.run([str(UDPBENCH), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr


def mold_packet(first: int, *sequences: int) -> bytes:
    """A MoldUDP64 downstream packet of stamped messages (MoldUDP64 1.0: session, number, count, length-prefixed)."""
    messages = [struct.pack("=QQ", sequence, 1) + b"x" * sequence for sequence in sequences]
    blocks = b"".join(struct.pack("!H", len(message)) + message for message in messages)
    return b"REPACKED  " + struct.pack("!QH", first, len(messages)) + blocks


def test_messages_inside_mold_packets_are_counted_and_judged() -> None:
    heartbeat = b"REPACKED  " + struct.pack("!QH", 9, 0)
    end = b"REPACKED  " + struct.pack("!QH", 9, 0xFFFF)
    packets = [mold_packet(1, 0, 1, 2), heartbeat, mold_packet(4, 2, 6, 5), mold_packet(7, 7, 8)[:-3], b"short", end]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        port = sender.getsockname()[1]
    command = [str(UDPBENCH), "receive", "--mold", "--check", "--port", str(port), "--bind", "127.0.0.1"]
    sink = subprocess.Popen([*command, "--seconds", "30"], stdout=subprocess.PIPE, text=True)
    assert "ready" in first_line(sink)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in packets:
            sender.sendto(packet, ("127.0.0.1", port))
    counted = json.loads(sink.communicate(timeout=60)[0])
    assert (counted["messages"], counted["datagrams"]) == (7, 6)
    assert (counted["heartbeats"], counted["malformed"]) == (2, 2)
    judged = counted["receivers"][0]
    assert judged == {"address": "127.0.0.1", "received": 7, "duplicate": 1, "disordered": 1, "missing": 2}


@pytest.mark.lab
@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        (Scenario.LATENCY, "lanecast"),
        (Scenario.LATENCY, "ref-gso-bigbuf"),
        (Scenario.LATENCY, "python"),
        (Scenario.OVERLOAD, "lanecast"),
        (Scenario.OVERLOAD, "arb-gso"),
    ],
)
def test_a_calm_trial_loses_nothing(scenario: Scenario, name: str) -> None:
    cell = Cell(scenario=scenario, relay=name, fanout=3, mix="mix_cme")
    with namespaces.network(3) as network:
        done = measure(network, RELAYS[name], cell, 1, CALM)
    assert done.error is None
    assert done.trial is not None
    assert done.trial.sent > 0
    assert (done.trial.lost, done.trial.malformed) == (0, 0)
    assert done.trial.received == 3 * done.trial.sent


@pytest.mark.lab
@pytest.mark.parametrize("name", ["lanecast", "arb-gso"])
def test_two_lossy_lines_arrive_exactly_once(name: str) -> None:
    cell = Cell(scenario=Scenario.LATENCY, relay=name, fanout=3, mix="mix_cme")
    settings = CALM.model_copy(update={"loss_a_permille": 200, "loss_b_permille": 200})
    with namespaces.network(3) as network:
        done = measure(network, RELAYS[name], cell, 1, settings, input_kind=Input.LINES)
    assert done.trial is not None, done.error
    once = done.trial.exactly_once
    assert once is not None
    assert once.kept_a < done.trial.sent
    assert (once.duplicate, once.disordered, once.missing, once.wrong_receivers) == (0, 0, 0, 0)


@pytest.mark.lab
def test_nothing_is_left_of_a_run_that_raised() -> None:
    with pytest.raises(ZeroDivisionError), namespaces.network(2) as built:
        _ = 1 // 0
    assert not listed(built.relay)


@pytest.mark.lab
def test_what_a_killed_run_left_is_removed_by_the_next_and_a_living_one_s_is_not() -> None:
    living, killed = (holder() for _ in range(2))
    try:
        names = [first_line(process) for process in (living, killed)]
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert listed(names[1])
        assert names[1] in namespaces.remove_left_behind()
        assert not listed(names[1])
        assert listed(names[0])
    finally:
        for process in (living, killed):
            process.communicate()
    assert not listed(names[0])


def holder() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def listed(name: str) -> bool:
    return Path("/run/netns", name).exists()
