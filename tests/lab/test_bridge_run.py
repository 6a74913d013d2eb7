"""Bridges with real packets: through which addresses they go, what silence and a failure of an instance do to them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest
from emulated_networks import LANECAST, ROOT, lab_run

from lanecast.compiler import compile_plan
from lanecast.fabric import Delivery, Fabric
from lanecast.plan.loader import load_plan
from lanecast_lab.cloud.data_plane.model import port_name

pytestmark = pytest.mark.lab

PLAN = ROOT / "examples/three-regions.yaml"
PROBE = Path(__file__).parent / "udp_probe.py"
LAB = "bridges"
FIRST, SECOND = "hk-bj-bridge-1", "hk-bj-bridge-2"
WITHIN_S = 20
SILENT_FOR_S = 120
"""After so long without a datagram a receiver gives up."""
LAST = 10**9
"""A number that ends a receiver, sent to it from beside it."""

TAKEN_OVER_WITHIN_MS = 2000
"""Generous, for a machine that does other things: docs/bridges.md has what was measured."""


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return compile_plan(load_plan(PLAN), {})


@pytest.fixture(scope="module")
def lab() -> Iterator[None]:
    """The plan's network, without any traffic of its own."""
    subprocess.run([*LANECAST, "lab", "up", str(PLAN), "--name", LAB], check=True, timeout=120)
    yield
    subprocess.run([*LANECAST, "lab", "down", "--lab", LAB], check=True, timeout=60)


def command(node: str, *arguments: str) -> list[str]:
    return [*LANECAST, "lab", "exec", node, "--lab", LAB, "--", *arguments]


def inside(node: str, *arguments: str) -> str:
    done = subprocess.run(command(node, *arguments), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"not reached: {what}"
        time.sleep(0.05)  # between two looks


def holders(address: str) -> list[str]:
    return [node for node in (FIRST, SECOND) if f" {address}/32 " in inside(node, "ip", "-4", "-o", "address")]


@dataclass
class Arrival:
    number: int
    at_ns: int
    sender: str


class Receiver:
    """A probe on an instance."""

    def __init__(self, node: str, at: str, last: int) -> None:
        arguments = command(node, sys.executable, str(PROBE), "receive", at, str(last), str(SILENT_FOR_S))
        self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self.arrivals: list[Arrival] = []
        self._thread = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._thread.start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            number, at_ns, sender = line.split()
            self.arrivals.append(Arrival(int(number), int(at_ns), sender))

    def await_number(self, number: int) -> None:
        until(lambda: bool(self.arrivals) and self.arrivals[-1].number >= number, f"datagram {number} arrives")

    def all(self) -> list[Arrival]:
        assert self._process.wait(60) == 0, "the last datagram did not arrive"
        self._thread.join()
        return self.arrivals


def sending(node: str, port: int, to: str, first: int, count: int, interval_ms: float) -> subprocess.Popen[bytes]:
    numbers = [str(port), to, str(first), str(count), str(interval_ms)]
    return subprocess.Popen(command(node, sys.executable, str(PROBE), "send", *numbers))


def copy(fabric: Fabric, instance: str, relay: str) -> Delivery:
    return next(one for one in fabric.deliveries if (one.instance, one.relay) == (instance, relay))


def longest_gap_ms(arrivals: list[Arrival]) -> float:
    times = [arrival.at_ns for arrival in arrivals]
    return max(later - sooner for sooner, later in pairwise(times)) / 1e6


def test_a_feed_reaches_the_third_region_by_the_bridge_alone(tmp_path: Path, fabric: Fabric) -> None:
    run = lab_run(tmp_path, PLAN, "--duration", "2")
    assert (run.status, run.verdict["passed"]) == (0, True), run.errors
    counts = {one["name"]: (one["expected"], one["received"]) for one in run.verdict["subscribers"]}
    assert counts == dict.fromkeys(("audit-bj-1", "quotes-bj-1", "quotes-bj-2", "quotes-hk-1"), (2000, 2000))
    delivery = copy(fabric, "audit-bj-1", "hk1-relay-1")
    [shared] = {str(endpoint.address) for endpoint in delivery.sent_to.values()}
    [instance] = {str(endpoint.address) for endpoint in delivery.endpoints.values()}
    assert pairs(run.report / "audit-bj-1.pcap") == {(shared, instance)}
    left_by = pairs(run.report / "hk1-relay-1.pcap")
    assert {to for _, to in left_by if to.startswith("10.9.")} == {shared}
    assert not any(to.startswith("10.10.") for _, to in left_by | pairs(run.report / "hk.hub.pcap"))


def pairs(capture: Path) -> set[tuple[str, str]]:
    """Sender and receiver of every datagram of a feed in the cloud."""
    shown = subprocess.run(
        ["tshark", "-r", capture, "-Y", "udp.dstport >= 20000 && udp.dstport < 32768 && ip.dst != 224.0.0.0/3",
         "-T", "fields", "-e", "ip.src", "-e", "ip.dst"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [line.split() for line in shown.stdout.splitlines()]
    return {(source, to) for source, to in found if to != "127.0.0.1"}


def test_a_vpc_that_forwards_takes_feeds_through_as_they_are(tmp_path: Path) -> None:
    text = PLAN.read_text()
    start, end = text.index("    method: nat"), text.index("subscribers:")
    plan = tmp_path / "transit.yaml"
    plan.write_text(f"{text[:start]}    method: transit\n\n{text[end:]}")
    run = lab_run(tmp_path / "report", plan, "--duration", "2")
    assert (run.status, run.verdict["passed"]) == (0, True), run.errors
    assert {(one["expected"], one["received"]) for one in run.verdict["subscribers"]} == {(2000, 2000)}
    transit = compile_plan(load_plan(plan), {})
    relay = next(host for host in transit.hosts if host.name == "hk1-relay-1")
    [lan] = [str(port.address.ip) for port in relay.interfaces if port.name == "lan-hk1-r1"]
    [instance] = [str(one.address.ip) for one in transit.cloud.instances if one.name == "audit-bj-1"]
    assert pairs(tmp_path / "report/audit-bj-1.pcap") == {(lan, instance)}


def test_ends_that_have_the_same_addresses_reach_each_other(tmp_path: Path) -> None:
    """VPCs, subnets and all: only the bridge's VPC sees both, and it has a way to each host."""
    plan = tmp_path / "overlapping.yaml"
    plan.write_text(PLAN.read_text().replace("10.10.", "10.8.").replace("10.8.2.200:5140", "10.8.2.201:5140"))
    run = lab_run(tmp_path / "report", plan, "--duration", "2", "--no-pcap")
    assert (run.status, run.verdict["passed"]) == (0, True), run.errors
    assert {(one["expected"], one["received"]) for one in run.verdict["subscribers"]} == {(2000, 2000)}


@pytest.mark.usefixtures("lab")
def test_peering_is_not_transitive_whatever_routes_say() -> None:
    there = "10.10.2.10"
    for vpc, network in (("hk.hub", "10.10.0.0/16"), ("bj.core", "10.8.0.0/16")):
        inside(vpc, "ip", "route", "add", network, *way_to(vpc, "10.9.1.10"))
    ping = command("quotes-hk-1", "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", there)
    rules = [
        [*selector.split(), "priority", priority]
        for priority, _, selector in (line.partition(":") for line in inside("gz.core", "ip", "rule").splitlines())
        if "lookup 100" in selector
    ]
    assert rules
    try:
        assert subprocess.run(ping, capture_output=True, check=False, timeout=60).returncode != 0
        for rule in rules:
            inside("gz.core", "ip", "rule", "delete", *rule)
        assert subprocess.run(ping, capture_output=True, check=False, timeout=60).returncode == 0, (
            "only that keeps them"
        )
    finally:
        inside("hk.hub", "ip", "route", "delete", "10.10.0.0/16")
        inside("bj.core", "ip", "route", "delete", "10.8.0.0/16")
        for rule in rules:
            inside("gz.core", "ip", "rule", "add", *rule)


@pytest.mark.usefixtures("lab")
def test_a_feed_that_was_silent_for_longer_than_conntrack_remembers_still_arrives(fabric: Fabric) -> None:
    delivery = copy(fabric, "audit-bj-1", "hk1-relay-1")
    to, at = str(delivery.sent_to["310"]), str(delivery.endpoints["310"])
    inside(FIRST, "sysctl", "-q", "-w", "net.netfilter.nf_conntrack_udp_timeout=1")
    receiver = Receiver("audit-bj-1", at, last=1)
    sending("hk1-relay-1", 40001, to, 0, 1, 0).wait(WITHIN_S)
    receiver.await_number(0)
    until(lambda: "sport=40001" not in inside(FIRST, "conntrack", "-L"), "the entry of the flow is gone")
    sending("hk1-relay-1", 40001, to, 1, 1, 0).wait(WITHIN_S)
    sender = f"{delivery.sent_to['310'].address}:40001"
    assert [(one.number, one.sender) for one in receiver.all()] == [(0, sender), (1, sender)]
    inside(FIRST, "sysctl", "-q", "-w", "net.netfilter.nf_conntrack_udp_timeout=30")


@pytest.mark.usefixtures("lab")
def test_the_second_instance_takes_running_flows_over(
    fabric: Fabric, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """The first one's flows stand still for a moment, the second one's do not; back again likewise."""
    delivery, other = (copy(fabric, "audit-bj-1", "hk1-relay-1"), copy(fabric, "quotes-bj-1", "hk1-relay-2"))
    shared = str(delivery.sent_to["310"].address)
    assert shared != str(other.sent_to["310"].address), "two relays' copies go to different addresses"
    assert holders(shared) == [FIRST]
    last = 7000
    moved = Receiver("audit-bj-1", str(delivery.endpoints["310"]), last)
    # The second stage on quotes-bj-1 has the port itself: what goes by the other address is followed to audit-bj-1.
    inside(SECOND, *retarget(other, delivery, 20100))
    stays = Receiver("audit-bj-1", f"{delivery.endpoints['310'].address}:20100", last)
    senders = [
        sending("hk1-relay-1", 40002, str(delivery.sent_to["310"]), 0, last + 1, 1),
        sending("hk1-relay-1", 40003, str(other.sent_to["310"]), 0, last + 1, 1),
    ]
    moved.await_number(1000)
    inside("gz.core.bridge", "ip", "link", "set", port_of(FIRST), "down")
    until(lambda: holders(shared) == [SECOND], "the second instance has the address")
    moved.await_number(4000)
    inside("gz.core.bridge", "ip", "link", "set", port_of(FIRST), "up")
    arrivals, undisturbed = moved.all(), stays.all()
    assert [sender.wait(WITHIN_S) for sender in senders] == [0, 0]
    assert {arrival.sender for arrival in arrivals} == {f"{shared}:40002"}, "the far end sees one sender throughout"
    assert [one.number for one in undisturbed] == list(range(last + 1)), "the other address lost nothing"
    assert holders(shared) == [FIRST]
    assert longest_gap_ms(arrivals) < TAKEN_OVER_WITHIN_MS
    numbers = [arrival.number for arrival in arrivals]
    assert numbers == sorted(set(numbers)), "each once, in order"
    record_testsuite_property("standstill_ms", longest_gap_ms(arrivals))
    record_testsuite_property("lost_of_1000_a_second", last + 1 - len(arrivals))


def way_to(vpc: str, address: str) -> list[str]:
    """How a VPC's router reaches an address, in the words of iproute2."""
    words = inside(vpc, "ip", "route", "get", address).split()
    return ["via", words[words.index("via") + 1], "dev", words[words.index("dev") + 1], "onlink"]


def port_of(name: str) -> str:
    """The port of its subnet's switch that an instance hangs on."""
    return port_name("i", name)


def retarget(which: Delivery, to: Delivery, port: int) -> list[str]:
    """The command that points a translation of a bridge at another address, as a changed plan would."""
    at, target = which.sent_to["310"], to.endpoints["310"].address
    key = f"{at.address} . udp . {at.port}"
    change = (
        f"delete element inet lanecast translations_1 {{ {key} }}; "
        f"add element inet lanecast translations_1 {{ {key} : {target} . {port} }}"
    )
    return ["nft", change]


@pytest.mark.usefixtures("lab")
def test_what_an_instance_remembers_of_an_address_is_forgotten_when_it_takes_it_over(fabric: Fabric) -> None:
    """A running flow follows the rules of the instance that takes over, not what that one knew from an earlier time."""
    delivery = copy(fabric, "audit-bj-1", "hk1-relay-1")
    shared, to, target = str(delivery.sent_to["310"].address), str(delivery.sent_to["310"]), delivery.endpoints["310"]
    port = port_of(FIRST)
    changed = Receiver("audit-bj-1", f"{target.address}:20200", last=LAST)
    flow = sending("hk1-relay-1", 40010, to, 0, 60_000, 1)
    inside("gz.core.bridge", "ip", "link", "set", port, "down")
    until(lambda: holders(shared) == [SECOND], "the second instance has the address")
    until(lambda: "sport=40010" in inside(SECOND, "conntrack", "-L"), "the second instance knows the flow")
    inside("gz.core.bridge", "ip", "link", "set", port, "up")
    until(lambda: holders(shared) == [FIRST], "the first instance has its address again")
    inside(SECOND, *retarget(delivery, delivery, 20200))
    assert "sport=40010" in inside(SECOND, "conntrack", "-L"), "the entry outlives the change of the rules"
    assert not changed.arrivals
    inside("gz.core.bridge", "ip", "link", "set", port, "down")
    changed.await_number(0)
    inside("gz.core.bridge", "ip", "link", "set", port, "up")
    until(lambda: holders(shared) == [FIRST], "the first instance has its address again")
    inside(SECOND, *retarget(delivery, delivery, target.port))
    sending("audit-bj-1", 40011, f"{target.address}:20200", LAST, 1, 0).wait(WITHIN_S)
    assert changed.all()[-1].sender == f"{target.address}:40011"
    flow.kill()
    flow.wait(WITHIN_S)


@pytest.mark.usefixtures("lab")
def test_each_end_reaches_what_the_other_offers_and_nobody_else_does(fabric: Fabric) -> None:
    offers = {offer.name: offer for offer in fabric.offers}
    data, log = offers["reference-data"], offers["order-log"]
    for offer, stand_in in ((data, "quotes-hk-1"), (log, "quotes-bj-2")):
        stand_in_for(fabric, offer.target.address, stand_in)
    serve = ["socat", f"TCP-LISTEN:{data.target.port},bind={data.target.address},reuseaddr,fork", "EXEC:cat"]
    server = subprocess.Popen(command("quotes-hk-1", *serve))
    ask = f"echo over the bridge | socat -t 2 - TCP:{data.at},retry=20,interval=0.2,connect-timeout=2"
    assert inside("quotes-bj-1", "sh", "-c", ask) == "over the bridge\n"
    receiver = Receiver("quotes-bj-2", str(log.target), last=1)
    sending("quotes-hk-1", 40020, str(log.at), 0, 2, 1).wait(WITHIN_S)
    assert {arrival.sender for arrival in receiver.all()} == {f"{log.at.address}:40020"}
    for stranger, offer in (("quotes-hk-1", data), ("audit-bj-1", log)):
        dropped = dropped_by(fabric, offer.at.address)
        protocol = "TCP" if offer.protocol == "tcp" else "UDP"
        knock = command(stranger, "sh", "-c", f"echo | socat -t 1 - {protocol}:{offer.at},connect-timeout=1")
        subprocess.run(knock, capture_output=True, check=False, timeout=60)
        assert dropped_by(fabric, offer.at.address) > dropped, f"{stranger} is at the same end as {offer.name}"
    assert server.poll() is None, "it went on serving"


def stand_in_for(fabric: Fabric, address: IPv4Address, instance: str) -> None:
    """Let an instance take an address that nobody of the plan has; the cloud would not."""
    subnets = [subnet for vpc in fabric.cloud.vpcs for subnet in vpc.subnets]
    switch = next(subnet.name for subnet in subnets if address in subnet.cidr)
    inside(switch, "nft", "delete", "table", "bridge", "ports")
    inside(instance, "ip", "address", "add", f"{address}/24", "dev", "eth0")


def dropped_by(fabric: Fabric, address: IPv4Address) -> int:
    """How many packets the holder of an address has dropped as nobody's."""
    holder = next(one.instances[0] for one in fabric.cloud.shared_addresses if one.address == address)
    listed = json.loads(inside(holder, "nft", "-j", "list", "counter", "inet", "lanecast", "dropped"))
    return int(next(each["counter"]["packets"] for each in listed["nftables"] if "counter" in each))
