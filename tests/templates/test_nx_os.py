"""NX-OS where the plans of test_platforms.py do not lead: static routes, nobody's SSH, limits of the switch, wrong texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from platform_plans import SECRETS, compiled, everything, plain, rendered

from lanecast.fabric import Fabric
from lanecast.plan.model import Platform, SecretReference, TcpAoAlgorithm
from lanecast.router import Bfd, MulticastRouting, Prefixes, RendezvousPoint, Router, TcpAo, User
from lanecast_templates import grammars
from lanecast_templates.errors import RenderError
from lanecast_templates.readers import read_back
from lanecast_templates.renderer import SecretResolver, render_fabric

FILE = "{}/nx-os.conf"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Fabric:
    return compiled(everything(Platform.NX_OS), tmp_path_factory.mktemp("nx-os"))


@pytest.fixture(scope="module")
def text(full: Fabric) -> str:
    return rendered(full)[FILE.format("hk1-r2")].text


def plan_text(document: dict[str, Any], folder: Path, name: str) -> str:
    """A router's text, which the grammar takes and the reader reads as it was meant."""
    fabric = compiled(document, folder)
    text = rendered(fabric)[FILE.format(name)].text
    assert grammars.check_text("nx-os", text) == []
    assert read_back(fabric.router(name), text) == []
    return text


@pytest.mark.parametrize("vrf", [None, "market-data"])
def test_static_routes_stand_in_the_vrf_where_there_is_one(vrf: str | None, tmp_path: Path) -> None:
    document = plain(Platform.NX_OS)
    document["sites"]["hk1"]["uplinks"]["hk1-up1"]["routing"] = "static"
    if vrf is not None:
        document["sites"]["hk1"]["routers"]["hk1-r1"]["vrf"] = vrf
    text = plan_text(document, tmp_path, "hk1-r1")
    indent = "" if vrf is None else "  "
    assert f"\n{indent}ip route 10.8.0.0/16 Ethernet1/2.201 192.0.2.129 100\n" in text


def test_where_no_plan_says_from_where_the_plans_interfaces_drop_ssh(tmp_path: Path) -> None:
    text = plan_text(plain(Platform.NX_OS), tmp_path, "hk1-r1")
    assert "access-class" not in text, "mgmt0 would be cut off"
    assert "copp-acl-ssh" not in text
    assert not re.search(r"eq (22|ssh)\b", text)


def test_a_port_with_tagged_and_untagged_lines_is_one_interface(tmp_path: Path) -> None:
    document = plain(Platform.NX_OS)
    document["sites"]["hk1"]["routers"]["hk1-r1"]["ports"]["lan"] = "Ethernet1/1"
    text = plan_text(document, tmp_path, "hk1-r1")
    assert text.count("interface Ethernet1/1\n") == 1
    assert text.index("interface Ethernet1/1\n") < text.index("interface Ethernet1/1.101\n")


def refused(full: Fabric, change: Callable[[Router], Router], secrets: dict[str, str] = SECRETS) -> str:
    """What a router of the plan is refused for, changed."""
    routers = tuple(change(router) if router.name == "hk1-r2" else router for router in full.routers)
    with pytest.raises(RenderError) as error:
        render_fabric(replace(full, routers=routers), SecretResolver(secrets))
    return str(error.value)


def with_interface(**changes: Any) -> Callable[[Router], Router]:
    return lambda router: replace(router, interfaces=(replace(router.interfaces[0], **changes), *router.interfaces[1:]))


def with_neighbor(**changes: Any) -> Callable[[Router], Router]:
    def changed(router: Router) -> Router:
        assert router.bgp is not None
        first, *others = router.bgp.neighbors
        return replace(router, bgp=replace(router.bgp, neighbors=(replace(first, **changes), *others)))

    return changed


def with_bgp(**changes: Any) -> Callable[[Router], Router]:
    def changed(router: Router) -> Router:
        assert router.bgp is not None
        return replace(router, bgp=replace(router.bgp, **changes))

    return changed


def with_multicast(change: Callable[[MulticastRouting], MulticastRouting]) -> Callable[[Router], Router]:
    def changed(router: Router) -> Router:
        assert router.multicast is not None
        return replace(router, multicast=change(router.multicast))

    return changed


def with_igmp(**changes: Any) -> Callable[[Router], Router]:
    return with_multicast(lambda held: replace(held, igmp=tuple(replace(each, **changes) for each in held.igmp)))


def with_another_point(held: MulticastRouting) -> MulticastRouting:
    [point] = held.rendezvous_points
    registers = Prefixes("others", (IPv4Network("10.0.0.0/8"),))
    return replace(held, rendezvous_points=(point, RendezvousPoint(point.address, point.groups, True, registers)))


KEY = TcpAo(7, TcpAoAlgorithm.HMAC_SHA_1_96, SecretReference(environment="AO_KEY"))
OTHER_GROUPS = Prefixes("carried-groups", (IPv4Network("239.9.9.9/32"),))

LIMITS: dict[str, tuple[Callable[[Router], Router], str]] = {
    "vrf": (lambda router: replace(router, vrf="management"), "the VRF management is the switch's own"),
    "bfd": (with_interface(bfd=Bfd(1000, 3)), "Ethernet1/1.102: BFD's interval is 50 to 999 ms, not 1000"),
    "vlan": (
        lambda router: replace(router, vlans=tuple(replace(vlan, id=vlan.id + 3700) for vlan in router.vlans)),
        "VLAN 4010 is the switch's own (3968 to 4094)",
    ),
    "vlan name": (
        lambda router: replace(router, vlans=tuple(replace(vlan, name="n" * 33) for vlan in router.vlans)),
        "is longer than 32 characters",
    ),
    "vlan interface": (lambda router: replace(router, vlans=()), "Vlan310 is of no VLAN that the router switches"),
    "tcp-ao": (with_neighbor(tcp_ao=KEY, password=None), "neighbor 192.0.2.5: no command for TCP-AO is known"),
    "prefixes": (with_neighbor(maximum_prefixes=300_001), "neighbor 192.0.2.5: at most 300000 prefixes are counted"),
    "hold time": (with_bgp(hold_s=3601), "BGP's hold time is at most 3600 s, not 3601"),
    "retry": (with_bgp(connect_retry_s=61), "BGP tries again after at most 60 s, not 61"),
    "query": (with_igmp(query_interval_s=18_001), "Vlan310: IGMP asks at most every 18000 s, not 18001"),
    "response": (with_igmp(max_response_ds=15), "Vlan310: IGMP's response time is in whole seconds, not 15 tenths"),
    "groups": (with_igmp(groups=OTHER_GROUPS), "Vlan310: towards hosts the boundary is what may be joined"),
    "names": (with_igmp(groups=OTHER_GROUPS), "two lists of groups of different content are called carried-groups"),
    "boundary": (
        with_multicast(lambda held: replace(held, boundaries=(("Vlan311", OTHER_GROUPS),))),
        "Vlan311: a boundary is a policy of PIM or IGMP, and neither is on it",
    ),
    "registers": (with_multicast(with_another_point), "registers are filtered alike for all"),
    "user": (
        lambda router: replace(router, management=replace(router.management, users=(User("u" * 29, "ssh-rsa AA"),))),
        "a name has at most 28 characters",
    ),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_what_the_switch_has_no_words_for_is_refused(limit: str, full: Fabric) -> None:
    change, said = LIMITS[limit]
    assert said in refused(full, change)


@pytest.mark.parametrize("secret", ['a"quote', "why?"])
def test_a_secret_that_no_command_can_hold_is_refused_and_not_shown(secret: str, full: Fabric) -> None:
    said = refused(full, lambda router: router, {**SECRETS, "MSDP": secret})
    assert "a secret of NX-OS has no quotes" in said
    assert secret not in said


WRONG = {
    "another VRF": (
        "interface Vlan311\n  description lan hk1-r2-lan\n  vrf member market-data\n",
        "interface Vlan311\n",
    ),
    "routed elsewhere": (
        "vrf context market-data\n  ip pim ssm",
        "ip pim ssm route-map ssm-ranges\nvrf context market-data\n  ip pim ssm",
    ),
    "a join that passes": ("route-map out-hk1-b deny 10", "route-map out-hk1-b permit 10"),
    "told of sources": ("route-map msdp-out deny 10", "route-map msdp-out permit 10"),
    "one source of two": (
        "route-map msdp-in-cme-router permit 20\n  match ip multicast source 198.51.100.21/32 group 239.4.0.0/16\n",
        "",
    ),
    "a denial before the end": ("route-map ssm-ranges permit 20", "route-map ssm-ranges deny 20"),
    "rules in another order": (
        "  20 permit icmp any host 10.200.0.225\n  30 remark IGMP\n  40 permit igmp 10.200.0.224/27 any\n",
        "  20 permit igmp 10.200.0.224/27 any\n  30 remark IGMP\n  40 permit icmp any host 10.200.0.225\n",
    ),
    "a rule that the switch sorts before others": ("  290 permit ip any any", "  5 permit ip any any"),
    "a number that is taken": ("from-hk1-b seq 10 permit", "from-hk1-b seq 5 permit"),
    "prefixes in no order": ("from-hk1-b seq 10 permit", "from-hk1-b seq 20 permit"),
    "groups in no order": ("route-map ssm-ranges permit 20", "route-map ssm-ranges permit 90"),
    "another bound": ("police cir 8192000 bps", "police cir 8196096 bps"),
    "a bound of no whole packets": ("police cir 8192000 bps", "police cir 8192001 bps"),
    "strict where it is to be loose": ("reachable-via any", "reachable-via rx"),
    "echo packets": ("  ip pim hello-interval", "  bfd interval 300 min_rx 300 multiplier 3\n  ip pim hello-interval"),
    "a neighbour of another AS": ("^65010(_65010)*$", "^65010(_65011)*$"),
    "a port that is shut": ("  switchport access vlan 310\n", "  switchport access vlan 310\n  shutdown\n"),
    "a relay's port in the other VLAN": ("switchport access vlan 310", "switchport access vlan 311"),
    "requests through another VRF": (
        "ntp server 10.0.0.5 key 3 use-vrf market-data",
        "ntp server 10.0.0.5 key 3 use-vrf management",
    ),
    "requests from another address": ("logging source-interface Vlan311", "logging source-interface Vlan310"),
    "SSH to more": ("  40 remark everything else\n  50 deny ip any any\n!", "  50 permit ip any any\n!"),
    "PTP elsewhere": ("ptp source 10.200.0.65", "ptp source 10.200.0.225"),
    "MSDP of a stranger": ("ip msdp sa-limit 198.51.100.250", "ip msdp sa-limit 198.51.100.251"),
    "a command nobody knows": ("ssh login-attempts 3\n", "ssh login-attempts 3\nip forward-protocol nd\n"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_reader_notices(wrong: str, full: Fabric, text: str) -> None:
    before, after = WRONG[wrong]
    assert before in text
    assert read_back(full.router("hk1-r2"), text.replace(before, after, 1)) != []


def test_the_reader_knows_lines_that_a_switch_has_around_a_plan(full: Fabric, text: str) -> None:
    around = """\
interface mgmt0
  vrf member management
  ip address 172.16.0.2/24
vrf context management
  ip route 0.0.0.0/0 172.16.0.1 1
banner motd #Changes
by plan only#
logging level bgp 5
"""
    assert read_back(full.router("hk1-r2"), text + around) == []


def test_what_the_reader_says_shows_no_secret(full: Fabric, text: str) -> None:
    broken = text.replace("tacacs-server host 10.0.0.10 key 0", "tacacs-server host 10.0.0.10 key 9")
    [said] = read_back(full.router("hk1-r2"), broken)
    assert "line" in said
    assert not any(secret in said for secret in SECRETS.values())
