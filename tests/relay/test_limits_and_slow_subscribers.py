"""Who is limited, slow, gone or unreachable loses what is its own, knows what that is, and costs nobody else anything."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from leasing import NEEDS_ROOT, mold, own_network, wait_until
from relay_process import RelayProcess, Traffic, number_of, numbers_until, receiving, waiting

pytestmark = NEEDS_ROOT

LINES = {"A": ("127.0.0.1", 20001), "B": ("127.0.0.1", 20002)}
FEED = {
    "protocol": "moldudp64",
    "hole-wait": "1s",
    "lines": {name: {"unicast": {"listen": {"main": f"{to[0]}:{to[1]}"}}} for name, to in LINES.items()},
}


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


def relay_of(directory: Path, subscribers: dict[str, tuple[str, dict[str, Any]]]) -> RelayProcess:
    whole = {name: {"feeds": {"quotes": {"main": to}}, **more} for name, (to, more) in subscribers.items()}
    return RelayProcess(directory, {"feeds": {"quotes": FEED}, "subscribers": whole})


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def link(name: str, network: int) -> None:
    """An interface to 10.9.NETWORK.7, which takes everything and answers nothing."""
    ip(f"link add {name} type veth peer name {name}-far")
    ip(f"address add 10.9.{network}.1/24 dev {name}")
    ip(f"link set {name}-far up")
    ip(f"link set {name} up")
    ip(f"neighbour add 10.9.{network}.7 lladdr 02:00:00:00:00:07 dev {name}")


def refused_numbers(subscriber: dict[str, Any]) -> list[int]:
    ranges = [range(each["first"], each["last"] + 1) for each in subscriber["limited"]]
    return [number for each in ranges for number in each]


def logged_numbers(directory: Path) -> list[int]:
    lines = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    ranges = [each for line in lines if line["event"] == "refused by limit" for each in line["ranges"]]
    return [number for first, last in ranges for number in range(first, last + 1)]


@pytest.mark.parametrize(
    "limit", [{"rate": "300 pps"}, {"bandwidth": "100k"}, {"rate": "500 pps", "bandwidth": "100k"}]
)
def test_what_a_limit_keeps_back_is_declared_to_the_number(tmp_path: Path, limit: dict[str, str]) -> None:
    subscribers = {"free": ("127.0.0.1:30001", {}), "limited": ("127.0.0.1:30002", {"limits": {"quotes": limit}})}
    with (
        receiving("127.0.0.1", 30001) as free,
        receiving("127.0.0.1", 30002) as limited,
        relay_of(tmp_path, subscribers) as relay,
    ):
        with Traffic(LINES) as traffic:
            # Half a megabit, the burst that any limit on bits allows, is 2,000 of these messages.
            wait_until(lambda: traffic.sent >= 4000)
            sent = traffic.stop()
        assert numbers_until(free, sent) == list(range(1, sent + 1)), "others get everything"
        told = relay.subscriber("limited")
        got = [number_of(packet) for packet in waiting(limited)]
        refused = refused_numbers(told)
        relay.stop()
    assert logged_numbers(tmp_path) == refused, "each range is in the log, once"
    assert got
    assert refused
    assert sorted(got + refused) == list(range(1, sent + 1)), "each number is there or declared, and not both"
    assert got == sorted(got)
    assert (told["limited_messages"], told["datagrams"]) == (len(refused), len(got))


def test_limits_are_each_subscribers_own_and_mold_delivery_has_them_too(tmp_path: Path) -> None:
    limits = {"limits": {"quotes": {"rate": "200 pps"}}}
    subscribers: dict[str, tuple[str, dict[str, Any]]] = {
        "one": ("127.0.0.1:30001", limits),
        "other": ("127.0.0.1:30002", limits),
        "packed": ("127.0.0.1:30003", {**limits, "delivery": "mold"}),
        "free": ("127.0.0.1:30004", {}),
    }
    with receiving("127.0.0.1", 30004) as free, relay_of(tmp_path, subscribers) as relay:
        with Traffic(LINES) as traffic:
            wait_until(lambda: traffic.sent >= 1000)
            sent = traffic.stop()
        numbers_until(free, sent)
        told = {one["name"]: one for one in relay.counters()["subscribers"]}
    for name in ("one", "other"):
        assert told[name]["datagrams"] + told[name]["limited_datagrams"] == sent
        assert told[name]["limited_messages"] == len(refused_numbers(told[name])) > 0
    packed = told["packed"]
    assert packed["limited_messages"] == len(refused_numbers(packed))
    assert told["free"]["limited_messages"] == 0


def test_dead_and_unreachable_subscribers_cost_the_others_nothing(tmp_path: Path) -> None:
    ip("route add unreachable 10.9.1.0/24")
    ip("route add blackhole 10.9.2.0/24")
    link("flaps", 3)
    subscribers: dict[str, tuple[str, dict[str, Any]]] = {
        "first": ("127.0.0.1:30001", {}),
        "port-closed": ("127.0.0.1:30999", {}),
        "unreachable": ("10.9.1.7:30000", {}),
        "blackhole": ("10.9.2.7:30000", {}),
        "no-route": ("10.77.0.7:30000", {}),
        "flapping": ("10.9.3.7:30000", {}),
        "last": ("127.0.0.1:30002", {}),
    }
    with (
        receiving("127.0.0.1", 30001) as first,
        receiving("127.0.0.1", 30002) as last,
        relay_of(tmp_path, subscribers) as relay,
        Traffic(LINES) as traffic,
    ):
        wait_until(lambda: relay.subscriber("flapping")["datagrams"] > 100)
        ip("link set flaps down")
        wait_until(lambda: relay.subscriber("flapping")["dropped"] > 100)
        ip("link set flaps up")
        ip("neighbour replace 10.9.3.7 lladdr 02:00:00:00:00:07 dev flaps")
        there = relay.subscriber("flapping")["datagrams"]
        wait_until(lambda: relay.subscriber("flapping")["datagrams"] > there + 100)
        sent = traffic.stop()
        for receiver in (first, last):
            assert numbers_until(receiver, sent) == list(range(1, sent + 1))
        final = relay.stop()
    told = {one["name"]: one for one in final["subscribers"]}
    for name in ("first", "last"):
        assert (told[name]["datagrams"], told[name]["dropped"], told[name]["refused"]) == (sent, 0, {})
    for one in told.values():
        assert one["datagrams"] + one["dropped"] == sent, one
    assert "ECONNREFUSED" in told["port-closed"]["refused"]
    assert told["port-closed"]["datagrams"] > 0
    assert told["unreachable"]["dropped"] == told["blackhole"]["dropped"] == told["no-route"]["dropped"] == sent
    assert set(told["unreachable"]["refused"]) | set(told["no-route"]["refused"]) <= {"EHOSTUNREACH", "ENETUNREACH"}


def test_a_full_queue_on_the_way_to_one_subscriber_is_its_own(tmp_path: Path) -> None:
    """ENOBUFS is what the queueing discipline of an interface says when it has no room (tc-tbf(8))."""
    link("slow", 4)
    queue = "tc qdisc add dev slow root tbf rate 8kbit burst 1600 limit 1600"
    subprocess.run(queue.split(), check=True)
    subscribers: dict[str, tuple[str, dict[str, Any]]] = {
        "slow": ("10.9.4.7:30000", {}),
        "good": ("127.0.0.1:30001", {}),
    }
    with receiving("127.0.0.1", 30001) as good, relay_of(tmp_path, subscribers) as relay, Traffic(LINES) as traffic:
        wait_until(lambda: "ENOBUFS" in relay.subscriber("slow")["refused"])
        sent = traffic.stop()
        assert numbers_until(good, sent) == list(range(1, sent + 1))
        told = {one["name"]: one for one in relay.stop()["subscribers"]}
    assert told["slow"]["datagrams"] + told["slow"]["dropped"] == sent
    assert told["slow"]["dropped"] > 0
    assert (told["good"]["datagrams"], told["good"]["refused"]) == (sent, {})


def test_segments_that_a_path_does_not_take_leave_one_by_one(tmp_path: Path) -> None:
    """udp(7): segments have to fit the path; datagrams that do not are sent in fragments, and so never as segments."""
    link("narrow", 5)
    ip("link set narrow mtu 600")
    subscribers: dict[str, tuple[str, dict[str, Any]]] = {
        "narrow": ("10.9.5.7:30000", {}),
        "good": ("127.0.0.1:30001", {}),
    }
    total = 4000
    with receiving("127.0.0.1", 30001) as good, relay_of(tmp_path, subscribers) as relay:
        # Faster than the relay takes them one by one, so that it has several to send at a time.
        with receiving("127.0.0.1", 0) as sender:
            for number in range(1, total + 1):
                sender.sendto(mold(number, bytes(800)), LINES["A"])
        assert numbers_until(good, total) == list(range(1, total + 1))
        told = {one["name"]: one for one in relay.stop()["subscribers"]}
    assert (told["narrow"]["segmentation"], told["good"]["segmentation"]) == (False, True)
    assert (told["narrow"]["datagrams"], told["narrow"]["dropped"]) == (total, 0)
