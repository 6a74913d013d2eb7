"""Packets between instances and sites through dedicated-line gateways: BGP, static routes, and what happens when they go."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.route.route_model import NextHop
from data_plane_under_test import DataPlane
from edges import BUILT_WITHIN_S, until
from far_site import HOST, NETWORK, Site, a_site, routing

pytestmark = pytest.mark.lab

LINE, KEY = "dcphy-lab", "s3cr3t-key"
SESSION_WITHIN_S = 30.0
BFD_MS, MULTIPLIER = 200, 3
DETECTED_WITHIN_S = BFD_MS * MULTIPLIER / 1000
SLACK_S = 2.0
"""For FRR's, the kernel's and a busy machine's share in a fail-over."""


class Place:
    """A VPC with an instance, and as many gateways towards one site's networks as a test makes."""

    def __init__(self, plane: DataPlane, later: ExitStack, directory: Path) -> None:
        self.plane, self.later, self.directory = plane, later, directory
        self.lines, self.gateways = plane.client(EtClient), plane.client(EtGatewayClient)
        self.vpc = plane.a_vpc("10.8.0.0/16")
        plane.an_instance(plane.a_subnet(self.vpc, "10.8.1.0/24"), "one")
        self.channels: list[str] = []

    def channel(self, number: int, bgp: bool = True, key: str = KEY, bfd: bool = True) -> str:
        """Channel and VLAN 200 + number."""
        ends = f"192.0.2.{number * 4 + 1}/30", f"192.0.2.{number * 4 + 2}/30"
        kind = {"bgp_asn": "65101", "bgp_key": key, "networks": []} if bgp else {"networks": [NETWORK]}
        make = partial(self.lines.create_et_channel, LINE, ends[0], f"up{number}", ends[1])
        made: str = make("bgp" if bgp else "static-route", 200 + number, **kind).id
        if bfd:
            self.lines.create_et_channel_bfd(LINE, made, MULTIPLIER, BFD_MS, BFD_MS)
        self.channels.append(made)
        return made

    def gateway(self, number: int, cidrs: tuple[str, ...] = ("10.8.0.0/16",), **more: Any) -> str:
        """A gateway on a new channel."""
        channel = self.channel(number, **more)
        make = partial(self.gateways.create_et_gateway, f"up{number}", self.vpc, 100, et_id=LINE, channel_id=channel)
        made: str = make(local_cidrs=list(cidrs)).et_gateway_id
        return made

    def site(self, number: int, bgp: bool = True, key: str = KEY, bfd: bool = True) -> Site:
        """What is at the other end."""
        self.plane.settle(BUILT_WITHIN_S)
        site = self.later.enter_context(a_site(self.plane, LINE, 200 + number, f"192.0.2.{number * 4}/30"))
        cloud = f"192.0.2.{number * 4 + 1}"
        if bgp:
            directory, bfd_ms = self.directory, BFD_MS if bfd else 0
            self.later.enter_context(routing(site, directory, cloud, key, bfd_ms=bfd_ms))
        else:
            site.run("ip", "route", "add", "10.8.0.0/16", "via", cloud)
        return site

    def route(self, *gateways: str, kinds: tuple[str, ...] = ()) -> list[str]:
        """Rules that lead to the site's network by these gateways."""
        routes = self.plane.client(RouteClient)
        table = routes.get_route(vpc_id=self.vpc).route_table_id
        make = partial(routes.create_route, table, "0.0.0.0/0", NETWORK)
        if len(gateways) == 1:
            return [make("dcGateway", "", gateways[0]).route_rule_id]
        hops = [NextHop(one, "dcGateway", kind) for one, kind in zip(gateways, kinds, strict=True)]
        made: list[str] = make(next_hops=hops).route_rule_ids
        return made

    def reaches(self) -> bool:
        """Whether the instance gets an answer from the site's host."""
        return self.plane.pings("one", HOST)

    def bgp_status(self, number: int = 0) -> str:
        """What the API says."""
        [channel] = self.lines.get_et_channel(LINE, self.channels[number]).et_channels
        found: str = channel.bgp_status
        return found


@pytest.fixture
def place(start: Any, later: ExitStack, tmp_path: Path) -> Place:
    return Place(start("--physical-line", LINE), later, tmp_path)


def test_a_channel_with_bgp(place: Place) -> None:
    gateway = place.gateway(0)
    site = place.site(0)
    assert place.bgp_status() == "down"
    assert not place.reaches()
    place.route(gateway)
    place.plane.settle()
    until("the site is reached", SESSION_WITHIN_S, place.reaches)
    assert site.learned() == {"10.8.0.0/16"}
    until("BFD", SESSION_WITHIN_S, site.has_bfd)
    assert place.bgp_status() == "up"
    assert site.run("ping", "-c", "1", "-W", "1", "-I", HOST, place.plane.address("one"))


def test_another_key_is_no_key(place: Place) -> None:
    place.route(place.gateway(0))
    site = place.site(0, key="another")
    with pytest.raises(AssertionError, match="a session"):
        until("a session", 6, lambda: site.sessions() > 0)
    assert place.bgp_status() == "down"
    assert not place.reaches()


def test_the_key_is_in_the_configuration_alone(place: Place) -> None:
    gateway = place.gateway(0)
    place.plane.settle(BUILT_WITHIN_S)
    folder = place.plane.state / "nodes"
    holding = [path for path in folder.rglob("*") if path.is_file() and KEY in path.read_text(errors="replace")]
    assert holding == [folder / gateway / "frr.conf"]
    assert holding[0].stat().st_mode & 0o777 == 0o600
    assert KEY not in (place.plane.state / "data-plane.json").read_text()
    place.site(0)
    until("a session", SESSION_WITHIN_S, lambda: place.bgp_status() == "up")
    assert KEY not in "".join(path.read_text(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline"))


def daemons(plane: DataPlane, gateway: str) -> dict[str, int]:
    """FRR's processes in a gateway, by name."""
    number = Path("/run/netns", plane.node(gateway)["namespace"]).stat().st_ino
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/net").stat().st_ino == number:
                found[(process / "comm").read_text().strip()] = int(process.name)
        except OSError:  # it has ended
            continue
    return {name: pid for name, pid in found.items() if name in ("zebra", "bgpd", "bfdd")}


def test_other_networks_reach_a_running_router(place: Place) -> None:
    gateway = place.gateway(0)
    site = place.site(0, bfd=False)
    until("a session", SESSION_WITHIN_S, lambda: site.learned() == {"10.8.0.0/16"})
    assert site.sessions() == 1
    place.gateways.update_et_gateway(gateway, local_cidrs=["10.8.1.0/24", "10.9.0.0/16"])
    place.plane.settle()
    until("others", SLACK_S + 4, lambda: site.learned() == {"10.8.1.0/24", "10.9.0.0/16"})
    place.lines.delete_et_channel_bfd(LINE, place.channels[0])
    place.lines.update_et_channel(LINE, place.channels[0], "renamed")
    place.plane.settle()
    assert site.sessions() == 1, "all the time it was the same one"


def test_bfd_comes_and_goes_and_changes(place: Place) -> None:
    gateway = place.gateway(0, bfd=False)
    site = place.site(0)
    until("a session", SESSION_WITHIN_S, lambda: site.sessions() > 0)
    assert not site.has_bfd()
    running = daemons(place.plane, gateway)
    assert running.keys() == {"zebra", "bgpd"}
    for interval, multiplier in ((200, 3), (300, 5)):
        change = place.lines.create_et_channel_bfd if interval == 200 else place.lines.update_et_channel_bfd
        change(LINE, place.channels[0], multiplier, interval, interval)
        place.plane.settle()
        until("BFD", SESSION_WITHIN_S, partial(has_timers, site, multiplier, interval))
    assert running.items() <= daemons(place.plane, gateway).items()
    place.lines.delete_et_channel_bfd(LINE, place.channels[0])
    place.plane.settle()
    until("no BFD", SLACK_S + 4, lambda: not site.has_bfd())
    until("a session", SESSION_WITHIN_S, lambda: site.sessions() > 0)
    assert running.items() <= daemons(place.plane, gateway).items(), "nobody was started anew"


def has_timers(site: Site, multiplier: int, interval_ms: int) -> bool:
    """Whether BFD is up, and the cloud's end has these."""
    peers = [peer for peer in site.show("show bfd peers json") if peer["status"] == "up"]
    wanted = {"remote-detect-multiplier": multiplier, "remote-transmit-interval": interval_ms}
    return bool(peers) and wanted.items() <= peers[0].items()


def test_an_active_and_a_standby_gateway(place: Place) -> None:
    first, second = place.gateway(0), place.gateway(1)
    sites = [place.site(0), place.site(1)]
    rules = place.route(first, second, kinds=("ha:active", "ha:standby"))
    place.plane.settle()
    until("both", SESSION_WITHIN_S, lambda: all(place.bgp_status(number) == "up" for number in (0, 1)))
    until("BFD", SESSION_WITHIN_S, lambda: all(site.has_bfd() for site in sites))

    def way() -> int | None:
        """Which site sees the packets."""
        before = [received(site) for site in sites]
        place.plane.run("one", "sh", "-c", f"ping -c 1 -W 0.2 {HOST} || true")
        after = [received(site) for site in sites]
        ways = [number for number in (0, 1) if after[number] > before[number]]
        return ways[0] if len(ways) == 1 else None

    assert way() == 0
    sites[0].cut()
    took = until("the other one", DETECTED_WITHIN_S + SLACK_S, lambda: way() == 1)
    assert took > DETECTED_WITHIN_S / 3, "not before BFD can know"
    assert place.bgp_status(0) == "down"
    sites[0].mend()
    until("back", SESSION_WITHIN_S, lambda: way() == 0)
    place.plane.client(RouteClient).switch_route(rules[0])
    place.plane.settle()
    assert way() == 1
    place.plane.admin("PUT", settings={"down": [second]})
    place.plane.settle()
    until("the first takes over", SLACK_S, lambda: way() == 0)
    place.plane.admin("PUT", settings={"down": [LINE]})
    place.plane.settle()
    until("no way", SLACK_S, lambda: way() is None)
    place.plane.admin("DELETE")
    until("as it was", SESSION_WITHIN_S, lambda: way() == 1)


def received(site: Site) -> int:
    """Echo requests that a site has seen."""
    counters = dict(
        zip(
            *(line.split() for line in site.run("cat", "/proc/net/snmp").splitlines() if line[:5] == "Icmp:"),
            strict=True,
        )
    )
    return int(counters["InEchos"])


def test_equal_gateways_share_flows_and_stand_in_for_each_other(place: Place) -> None:
    gateways = [place.gateway(number, bgp=False, bfd=False) for number in (0, 1)]
    sites = [place.site(number, bgp=False) for number in (0, 1)]
    place.route(*gateways, kinds=("ecmp", "ecmp"))
    place.plane.settle()
    until("the site is reached", SLACK_S + 4, place.reaches)

    def seen(ports: range) -> list[int]:
        """How many of these flows each site gets."""
        before = [datagrams(site) for site in sites]
        script = "".join(f"echo x | socat -u - UDP:{HOST}:{port},sourceport={port};" for port in ports)
        place.plane.run("one", "sh", "-c", script)
        return [datagrams(site) - count for site, count in zip(sites, before, strict=True)]

    shared = seen(range(5000, 5040))
    assert sum(shared) == 40
    assert min(shared) > 5
    place.plane.admin("PUT", settings={"down": [gateways[0]]})
    place.plane.settle()
    until("the other has all", SLACK_S + 4, lambda: seen(range(5000, 5010)) == [0, 10])


def datagrams(site: Site) -> int:
    """UDP datagrams to closed ports that a site has seen."""
    lines = [line.split() for line in site.run("cat", "/proc/net/snmp").splitlines() if line[:4] == "Udp:"]
    return int(dict(zip(*lines, strict=True))["NoPorts"])


def test_static_routes_and_a_health_check(place: Place) -> None:
    first, second = (place.gateway(number, bgp=False, bfd=False) for number in (0, 1))
    sites = [place.site(number, bgp=False) for number in (0, 1)]
    place.gateways.create_health_check(first, 1, 2, 2)
    place.route(first, second, kinds=("ha:active", "ha:standby"))
    place.plane.settle()
    until("the site is reached", SLACK_S + 4, place.reaches)
    before = received(sites[1])
    sites[0].cut()
    until("the other one", 2 * (1 + 1) + SLACK_S, place.reaches)
    assert received(sites[1]) > before
    sites[0].mend()
    sites[1].cut()
    until("back", 2 * (1 + 1) + SLACK_S, place.reaches)


def test_networks_that_come_and_go(place: Place) -> None:
    gateway = place.gateway(0, bgp=False, bfd=False)
    place.site(0, bgp=False)
    place.route(gateway)
    place.plane.settle()
    until("the site is reached", SLACK_S + 4, place.reaches)
    place.lines.remove_et_channel_routes(LINE, place.channels[0], "static-route", networks=[NETWORK])
    place.plane.settle()
    assert not place.reaches()
    place.lines.add_et_channel_routes(LINE, place.channels[0], "static-route", networks=[NETWORK])
    place.plane.settle()
    assert place.reaches()


def test_a_killed_server_leaves_no_router(place: Place) -> None:
    gateway = place.gateway(0)
    place.plane.settle(BUILT_WITHIN_S)
    status = place.plane.state / "nodes" / gateway / "status.json"
    until("FRR is told everything", SESSION_WITHIN_S, status.exists)
    before = daemons(place.plane, gateway)
    place.plane.stop(signal.SIGKILL)
    assert all(Path(f"/proc/{pid}").exists() for pid in before.values())
    place.plane.start()
    place.plane.settle(BUILT_WITHIN_S)
    until("FRR again", SESSION_WITHIN_S, status.exists)
    assert before.keys() == daemons(place.plane, gateway).keys() == {"zebra", "bgpd", "bfdd"}
    assert not any(Path(f"/proc/{pid}").exists() for pid in before.values())


def test_a_program_that_dies_takes_its_router_along(place: Place) -> None:
    gateway = place.gateway(0)
    site = place.site(0)
    until("a session", SESSION_WITHIN_S, lambda: site.sessions() > 0)
    before = daemons(place.plane, gateway)
    program = int((place.plane.state / "nodes" / gateway / "gateway.pid").read_text())
    os.kill(program, signal.SIGKILL)
    until("gone", SLACK_S, lambda: not any(Path(f"/proc/{pid}").exists() for pid in before.values()))
    until("a session again", SESSION_WITHIN_S, lambda: place.bgp_status() == "up" and site.sessions() > 0)


def test_a_gateway_that_goes_leaves_nothing(place: Place) -> None:
    gateway = place.gateway(0)
    place.site(0)
    until("a session", SESSION_WITHIN_S, lambda: place.bgp_status() == "up")
    place.gateways.delete_et_gateway(gateway)
    place.plane.settle()
    assert not place.plane.has(gateway)
    assert place.plane.has(LINE)
    assert not (place.plane.state / "nodes" / gateway).exists()
