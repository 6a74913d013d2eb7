"""Fan-out by a program in the kernel: everybody gets the same as by sockets, and where it cannot be had the reason is told."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from leasing import CLONE_NEWNET, NEEDS_ROOT, own_network, wait_until
from relay_process import RelayProcess, Traffic, numbers_until, receiving, waiting

pytestmark = NEEDS_ROOT

LINES = {"A": ("127.0.0.1", 20001), "B": ("127.0.0.1", 20002)}
FEED = {
    "protocol": "moldudp64",
    "hole-wait": "1s",
    "lines": {name: {"unicast": {"listen": {"main": f"{to[0]}:{to[1]}"}}} for name, to in LINES.items()},
}
SUBSCRIBERS = 8
LIBC = ctypes.CDLL(None, use_errno=True)


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


@dataclass
class Far:
    """Hosts behind one Ethernet link, and their sockets."""

    receivers: list[socket.socket]


def address(index: int) -> str:
    return f"10.77.1.{index + 1}"


@pytest.fixture
def far() -> Iterator[Far]:
    """The relay's network is this thread's; the hosts are in one of their own, so that packets do cross a link."""
    with own_network(), contextlib.ExitStack() as stack:
        holder = stack.enter_context(subprocess.Popen(["sleep", "300"]))
        stack.callback(holder.kill)
        near = os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY)
        stack.callback(os.close, near)
        try:
            assert LIBC.unshare(CLONE_NEWNET) == 0
            ip(f"link add far type veth peer name near netns {holder.pid}")
            for index in range(SUBSCRIBERS):
                ip(f"address add {address(index)}/16 dev far")
            ip("link set far up")
            receivers = [stack.enter_context(receiving(address(index), 30000)) for index in range(SUBSCRIBERS)]
        finally:
            assert LIBC.setns(near, CLONE_NEWNET) == 0
        ip("address add 10.77.0.1/16 dev near")
        ip("link set near up")
        yield Far(receivers)


def relay_of(directory: Path, **more: Any) -> RelayProcess:
    subscribers = {
        f"s{index}": {"feeds": {"quotes": {"main": f"{address(index)}:30000"}}} for index in range(SUBSCRIBERS)
    }
    return RelayProcess(directory, {"fan-out": "kernel", "feeds": {"quotes": FEED}, "subscribers": subscribers}, **more)


def fan_out(relay: RelayProcess) -> dict[str, Any]:
    told: dict[str, Any] = relay.counters()["fan_out"]
    if told["used"] != "kernel":
        pytest.skip(f"this kernel: {told['reason']}")
    return told


def test_clones_are_what_sockets_would_send(far: Far, tmp_path: Path) -> None:
    with relay_of(tmp_path) as relay, Traffic(LINES) as traffic:
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS)
        grouped_at = traffic.sent
        # One by one is served by its socket when nobody knows any more where it lives, and joins again.
        ip(f"neighbour replace {address(3)} lladdr 02:00:00:00:00:99 nud failed dev near")
        wait_until(lambda: traffic.sent > grouped_at + 4000)
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS)
        sent = traffic.stop()
        for index, receiver in enumerate(far.receivers):
            numbers = numbers_until(receiver, sent)
            assert len(numbers) == len(set(numbers)), "once"
            assert numbers == sorted(numbers), "in order"
            if index != 3:
                assert numbers == list(range(1, sent + 1))
        final = relay.stop()
    told = {one["name"]: one for one in final["subscribers"]}
    assert {one["datagrams"] + one["dropped"] for one in told.values()} == {sent}
    assert final["fan_out"]["failed_clones"] == 0


def test_a_reload_puts_members_in_and_out(far: Far, tmp_path: Path) -> None:
    with relay_of(tmp_path) as relay, Traffic(LINES) as traffic:
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS)
        subscribers = relay.document["subscribers"]
        fewer = {name: one for name, one in subscribers.items() if name != "s0"}
        relay.reload(subscribers=fewer)
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS - 1)
        limited = {**fewer, "s1": {**fewer["s1"], "limits": {"quotes": {"rate": "1000000 pps"}}}}
        relay.reload(subscribers=limited)
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS - 2)
        relay.reload()
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS)
        sent = traffic.stop()
        for receiver in far.receivers[1:]:
            assert numbers_until(receiver, sent) == list(range(1, sent + 1))


def test_nothing_is_left_in_the_kernel_by_a_relay_that_was_killed(far: Far, tmp_path: Path) -> None:
    with relay_of(tmp_path) as relay, Traffic(LINES):
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS)
    for receiver in far.receivers:
        waiting(receiver)
    # The next one starts as if there had been none: what an old program would clone as well would arrive twice.
    again = tmp_path / "again"
    again.mkdir()
    with relay_of(again) as relay, Traffic(LINES) as traffic:
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS)
        sent = traffic.stop()
        for receiver in far.receivers:
            assert numbers_until(receiver, sent) == list(range(1, sent + 1))


def test_without_the_capabilities_io_uring_does_it_and_the_reason_is_told(far: Far, tmp_path: Path) -> None:
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    with relay_of(tmp_path, wrapper=bare) as relay, Traffic(LINES) as traffic:
        wait_until(lambda: traffic.sent > 500)
        sent = traffic.stop()
        for receiver in far.receivers:
            assert numbers_until(receiver, sent) == list(range(1, sent + 1))
        told = relay.counters()["fan_out"]
    assert (told["wanted"], told["used"], told["grouped"]) == ("kernel", "io-uring", 0)
    assert "CAP_BPF" in told["reason"]


def test_clones_that_fail_stay_counted_when_groups_are_made_anew(far: Far, tmp_path: Path) -> None:
    """A queue without room on the way to everybody (tc-tbf(8)); what the counters say of it never goes down."""
    with relay_of(tmp_path) as relay, Traffic(LINES):
        wait_until(lambda: fan_out(relay)["grouped"] == SUBSCRIBERS)
        queue = "tc qdisc add dev near root tbf rate 8kbit burst 1600 limit 1600"
        subprocess.run(queue.split(), check=True)
        wait_until(lambda: fan_out(relay)["failed_clones"] > 100)
        before = fan_out(relay)["failed_clones"]
        subscribers = relay.document["subscribers"]
        relay.reload(subscribers={name: one for name, one in subscribers.items() if name != "s0"})
        after = fan_out(relay)
        assert after["grouped"] == SUBSCRIBERS - 1
        assert after["failed_clones"] >= before
