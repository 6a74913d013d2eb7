"""IOS XE beyond what every platform is tested for: what its reader notices, what its view refuses, own blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest
import yaml
from platform_plans import compiled, everything, plain, rendered, site_routers, with_radius

from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast.plan.model import Platform
from lanecast.router import Prefixes, Route, Router
from lanecast_templates import grammars
from lanecast_templates.errors import RenderError
from lanecast_templates.readers import read_back
from lanecast_templates.renderer import SecretResolver, render_fabric
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.ios_xe import ios_xe_router


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ios-xe")


@cache
def everywhere(folder: Path) -> dict[str, tuple[Router, str]]:
    """The routers of the plan that asks for everything, with their texts."""
    fabric = compiled(everything(Platform.IOS_XE), folder)
    files = rendered(fabric)
    return {router.name: (router, files[f"{router.name}/ios-xe.conf"].text) for router in site_routers(fabric)}


CHANGES = [
    # In a VRF: hk1-r2.
    ("hk1-r2", "ip multicast-routing vrf market-data", "ip multicast-routing", "not for the table"),
    ("hk1-r2", "ip pim vrf market-data ssm", "ip pim ssm", "not for the table"),
    ("hk1-r2", "ntp server vrf market-data 10.0.0.5", "ntp server 10.0.0.5", "not for the table"),
    ("hk1-r2", "logging host 10.0.0.8 vrf market-data", "logging host 10.0.0.8", "not for the table"),
    ("hk1-r2", " rd 65101:1\n", "", "not in one table"),
    ("hk1-r2", "no ip igmp snooping vlan 311", "ip igmp snooping vlan 311", "snooping"),
    ("hk1-r2", "  recv-id 7", "  recv-id 8", "lacks something"),
    ("hk1-r2", " neighbor 192.0.2.133 ao ao-hk1-up2 include-tcp-options", " neighbor 192.0.2.133 shutdown", "not known"),
    # In the global table: hk1-r1.
    ("hk1-r1", "in-hk1-a in\n", "in-hk1-up1 in\n", "access of"),
    ("hk1-r1", " permit icmp any host 192.0.2.2\n remark PIM", " permit ip any host 192.0.2.2\n remark PIM", "access of"),
    ("hk1-r1", " deny ip any host 192.0.2.2\n", " permit ip any host 192.0.2.2\n", "access of"),
    ("hk1-r1", "^65010(_65010)*$", "^65010_", "neighbors"),
    ("hk1-r1", "seq 5 deny 0.0.0.0/0 le 32", "seq 5 permit 0.0.0.0/0 le 32", "neighbors"),
    ("hk1-r1", " bgp safe-ebgp-policy\n", "", "may do without policy"),
    ("hk1-r1", " ttl-security hops 1\n", " ttl-security hops 2\n", "is not known"),
    ("hk1-r1", "reachable-via rx", "reachable-via any", "reverse_path"),
    ("hk1-r1", "no ip redirects\n", "no ip unreachables\n", "is not known"),
    ("hk1-r1", " permit 224.0.31.2\n", " permit any\n", "groups"),
    ("hk1-r1", " ip pim passive", " ip pim sparse-mode", "no border of BSR"),
    ("hk1-r1", "ip pim bsr-border", "ip pim bfd", "no border of BSR"),
    ("hk1-r1", "no ip pim autorp\n", "", "Auto-RP"),
    ("hk1-r1", " no bfd echo\n", "", "echoes"),
    ("hk1-r1", "ip access-list extended rp-registers\n deny ip any any\n", "ip access-list extended rp-registers\n", "no entry"),
    ("hk1-r1", "ip msdp sa-filter out 198.51.100.250\n", "", "may be told"),
    ("hk1-r1", "  police rate 400 pps\n", "  police rate 40000 pps\n", "control_plane"),
    ("hk1-r1", " match protocol arp\n", "", "ARP has no bound"),
    ("hk1-r1", " match protocol arp\n", " match access-group name copp-icmp\n", "ARP has no bound"),
    ("hk1-r2", " spanning-tree portfast\n", "", "vlans"),
    ("hk1-r1", "   exceed-action drop\n", "   exceed-action transmit\n", "no bound that drops"),
    ("hk1-r1", " transport input ssh", " transport input ssh telnet", "not for SSH alone"),
    ("hk1-r1", "default group management local", "default local", "logins and shells"),
    ("hk1-r1", "authentication publickey keyboard", "authentication publickey password", "something else than their keys"),
    ("hk1-r1", "ntp trusted-key 3\n", "ntp trusted-key 4\n", "not asked for, not there or not trusted"),
    ("hk1-r1", "interface GigabitEthernet0/0/8\n description unused\n shutdown\n", "", "shut"),
    ("hk1-r1", "interface GigabitEthernet0/0/1\n description carries hk1-a\n no ip address\n no shutdown\n", "", "not up"),
    ("hk1-r1", "hostname hk1-r1", "hostname hk1-r1\nip http server", "is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "told"), CHANGES, ids=lambda value: None)
def test_the_reader_notices_what_a_mistake_of_the_template_would_change(
    name: str, old: str, new: str, told: str, folder: Path
) -> None:
    router, text = everywhere(folder)[name]
    assert old in text
    assert any(told in each for each in read_back(router, text.replace(old, new, 1)))


def test_a_line_that_cannot_be_read_is_told_without_its_secret(folder: Path) -> None:
    router, text = everywhere(folder)["hk1-r1"]
    number = text.splitlines().index(" neighbor 192.0.2.1 password 0 cme-a-secret") + 1
    [told] = read_back(router, text.replace("password 0 cme-a-secret", "password 9 cme-a-secret"))
    assert told == f"cannot be read: line {number}: neighbor …: is not known here"


def test_without_sources_ssh_is_left_to_the_interfaces_which_let_nobody_in(folder: Path) -> None:
    fabric = compiled(plain(Platform.IOS_XE), folder)
    for router in site_routers(fabric):
        text = rendered(fabric)[f"{router.name}/ios-xe.conf"].text
        assert "access-class" not in text
        assert read_back(router, text) == []
        own = router.interface(router.management.source_interface or "").address.ip
        opened = text.replace(f" deny ip any host {own}\n", f" remark {own}\n", 1)
        assert any("let somebody to SSH" in told for told in read_back(router, opened)), (
            "an address of the router's own"
        )


def test_users_without_servers_log_in_by_key_alone(folder: Path) -> None:
    document = everything(Platform.IOS_XE)
    del document["management"]["aaa"]
    fabric = compiled(document, folder)
    for router in site_routers(fabric):
        text = rendered(fabric)[f"{router.name}/ios-xe.conf"].text
        assert "\nip ssh server algorithm authentication publickey\n" in text
        assert "\naaa authorization exec default local\n" in text
        assert read_back(router, text) == []
        assert grammars.check_text("ios-xe", text) == []


def test_radius_servers_are_asked_at_their_ports(folder: Path) -> None:
    fabric = compiled(with_radius(everything(Platform.IOS_XE)), folder)
    text = rendered(fabric)["hk1-r2/ios-xe.conf"].text
    assert (
        "\nradius server radius-1\n address ipv4 10.0.0.10 auth-port 1812 acct-port 1813\n key 0 aaa-key-secret\n"
        in text
    )
    assert "\n ip vrf forwarding market-data\n ip radius source-interface Vlan311\n" in text


def test_static_uplinks_are_routes_with_their_distance(folder: Path) -> None:
    document = plain(Platform.IOS_XE)
    for site in document["sites"].values():
        for uplink in site["uplinks"].values():
            uplink["routing"] = "static"
    document["sites"]["hk1"]["routers"]["hk1-r1"]["vrf"] = "feeds"
    fabric = compiled(document, folder)
    texts = {router.name: rendered(fabric)[f"{router.name}/ios-xe.conf"].text for router in site_routers(fabric)}
    assert "\nip route vrf feeds 10.8.0.0 255.255.0.0 GigabitEthernet0/0/2.201 192.0.2.129 100\n" in texts["hk1-r1"]
    assert "\nip route 10.8.0.0 255.255.0.0 GigabitEthernet0/0/2.202 192.0.2.133 " in texts["hk1-r2"]
    for router in site_routers(fabric):
        assert read_back(router, texts[router.name]) == []
        assert grammars.check_text("ios-xe", texts[router.name]) == []


# ---------------------------------------------------------------- what the view refuses


def in_ios_terms(router: Router, folder: Path) -> object:
    fabric = compiled(everything(Platform.IOS_XE), folder)
    return ios_xe_router(router, RouterSecrets(fabric, router, SecretResolver({})))


def with_route(router: Router) -> Router:
    route = Route(IPv4Network("10.8.0.0/16"), router.interfaces[0].address.ip, router.interfaces[0].name, metric=255)
    return replace(router, routes=(route,))


def with_slow_answers(router: Router) -> Router:
    assert router.multicast is not None
    igmp = tuple(replace(each, max_response_ds=15) for each in router.multicast.igmp)
    return replace(router, multicast=replace(router.multicast, igmp=igmp))


def with_one_name_for_two_lists(router: Router) -> Router:
    assert router.multicast is not None
    name, groups = router.multicast.boundaries[0][1].name, (IPv4Network("239.9.0.0/16"),)
    igmp = tuple(replace(each, groups=Prefixes(name, groups)) for each in router.multicast.igmp)
    return replace(router, multicast=replace(router.multicast, igmp=igmp))


def with_one_name_for_two_kinds(router: Router) -> Router:
    assert router.multicast is not None
    boundaries = tuple(
        (interface, replace(held, name="in-hk1-a")) for interface, held in router.multicast.boundaries[1:]
    )
    return replace(router, multicast=replace(router.multicast, boundaries=boundaries))


REFUSED = [
    (with_route, "metric 255 is no distance"),
    (with_slow_answers, "15 tenths of a second"),
    (with_one_name_for_two_lists, "two lists of different content are called carried-groups"),
    (with_one_name_for_two_kinds, "in-hk1-a is the name of two kinds of list"),
]


@pytest.mark.parametrize(("changed", "told"), REFUSED, ids=lambda value: getattr(value, "__name__", None))
def test_what_ios_has_no_words_for_is_refused(changed: Callable[[Router], Router], told: str, folder: Path) -> None:
    router, _ = everywhere(folder)["hk1-r1"]
    with pytest.raises(RenderError, match=told):
        in_ios_terms(changed(router), folder)


def test_a_key_that_is_no_key_is_told_for_each_router(folder: Path) -> None:
    document = everything(Platform.IOS_XE)
    document["management"]["users"]["netops"]["ssh-key"] = "ssh-ed25519 AAAAB netops"
    with pytest.raises(RenderError) as refused:
        rendered(compiled(document, folder))
    assert len(refused.value.problems) == 4
    assert all("the SSH key of netops is not base64" in str(problem) for problem in refused.value.problems)


def test_a_second_address_is_secondary(folder: Path) -> None:
    router, _ = everywhere(folder)["gz1-r1"]
    first, *others = router.interfaces
    both = replace(first, addresses=(*first.addresses, IPv4Interface("198.51.100.1/30")))
    fabric = compiled(everything(Platform.IOS_XE), folder)
    changed = replace(router, interfaces=(both, *others))
    files = render_fabric(
        replace(fabric, routers=tuple(changed if each.name == "gz1-r1" else each for each in fabric.routers)),
        SecretResolver(dict.fromkeys(("CME_A", "CME_B", "UPLINK", "AO_KEY", "MSDP", "NTP_KEY", "AAA_KEY"), "not-told")),
    )
    [text] = [file.text for file in files if str(file.path) == "gz1-r1/ios-xe.conf"]
    assert "\n ip address 198.51.100.1 255.255.255.252 secondary\n" in text
    assert read_back(changed, text) == []
    assert grammars.check_text("ios-xe", text) == []


# ---------------------------------------------------------------- templates of the plan's own


def test_own_blocks_add_to_neighbours_wherever_their_sessions_stand(tmp_path: Path) -> None:
    own = '{% extends "lanecast/ios-xe/ios-xe.conf.j2" %}\n'
    for block, indent in (("neighbor", " "), ("neighbor_in_vrf", "  ")):
        added = f"{indent}neighbor {{{{ peer.neighbor.address }}}} soft-reconfiguration inbound\n"
        own += f"{{% block {block} %}}\n{{{{ super() }}}}{added}{{% endblock %}}\n"
    (tmp_path / "mine/ios-xe").mkdir(parents=True)
    (tmp_path / "mine/ios-xe/ios-xe.conf.j2").write_text(own)
    document = {**plain(Platform.IOS_XE), "templates": "mine"}
    document["sites"]["hk1"]["routers"]["hk1-r2"]["vrf"] = "feeds"
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(document, sort_keys=False))
    files = rendered(compile_plan(load_plan(plan), {}))
    for name, indent in (("hk1-r1", " "), ("hk1-r2", "  ")):
        text = files[f"{name}/ios-xe.conf"].text
        assert text.count(f"\n{indent}neighbor ") >= text.count(" soft-reconfiguration inbound\n") == 2
        assert grammars.check_text("ios-xe", text) == []
