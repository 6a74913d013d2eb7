"""Junos beyond what every platform is held to: what the fixed plans do not ask for, and what reader and grammar refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from platform_plans import SECRETS, compiled, everything, plain, site_routers

from lanecast.plan.model import Platform
from lanecast.router import ANYWHERE, AccessList, AccessRule, ControlPlaneClass, Router
from lanecast_templates.errors import RenderError
from lanecast_templates.grammars import check_text
from lanecast_templates.readers import read_back
from lanecast_templates.readers.junos import read
from lanecast_templates.renderer import SECRET_MODE, RenderedFile, SecretResolver, render_fabric
from lanecast_templates.views.junos_lists import control_filter, packet_filters

GOLDEN = Path(__file__).parent / "golden_platforms/junos"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def routers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Router]:
    """What the golden texts of the plan that asks for everything have to say."""
    fabric = compiled(everything(Platform.JUNOS), tmp_path_factory.mktemp("junos"))
    return {router.name: router for router in site_routers(fabric)}


@cache
def golden(router: str, kind: str = "everything") -> str:
    return (GOLDEN / kind / f"{router}.conf").read_text()


def rendered(document: Document, folder: Path, secrets: dict[str, str]) -> dict[str, tuple[Router, RenderedFile]]:
    """The site's routers and their files, by the router's name."""
    fabric = compiled(document, folder)
    files = {str(file.path): file for file in render_fabric(fabric, SecretResolver({**SECRETS, **secrets}))}
    return {router.name: (router, files[f"{router.name}/junos.conf"]) for router in site_routers(fabric)}


def text_of(document: Document, folder: Path, router: str = "hk1-r1", **secrets: str) -> str:
    """A router's text, which its grammar takes and its reader reads back."""
    held, file = rendered(document, folder, secrets)[router]
    assert check_text("junos", file.text) == []
    assert read_back(held, file.text) == []
    return file.text


# What the fixed plans do not ask for


def test_static_routes_come_behind_what_bgp_knows(tmp_path: Path) -> None:
    document = plain(Platform.JUNOS)
    document["sites"]["hk1"]["uplinks"]["hk1-up1"]["routing"] = "static"
    text = text_of(document, tmp_path)
    route = "route 10.8.0.0/16 {\n            qualified-next-hop 192.0.2.129 {\n                preference 270;\n"
    assert route in text, "BGP's own preference is 170"
    assert "neighbor 192.0.2.129" not in text


def test_two_circuits_of_a_router_share_a_port_and_its_boundaries(tmp_path: Path) -> None:
    document = plain(Platform.JUNOS)
    site = document["sites"]["hk1"]
    site["routers"]["hk1-r1"]["circuits"] = ["hk1-a", "hk1-c"]
    site["circuits"]["hk1-c"] = {**site["circuits"]["hk1-a"], "vlan": 103, "link": "192.0.2.32/30", "role": "backup"}
    site["routers"]["hk1-r1"]["ports"]["hk1-c"] = "xe-0/0/1"
    text = text_of(document, tmp_path)
    assert text.count("    xe-0/0/1 {\n") == 1
    assert "import [ boundary-hk1-a boundary-hk1-c ];" in text


def test_ports_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    document = everything(Platform.JUNOS)
    document["sites"]["hk1"]["routers"]["hk1-r1"]["unused-ports"] = ["xe-0/0/10", "xe-0/0/9", "ge-1/0/0", "ae2", "ae10"]
    text = text_of(document, tmp_path)
    ports = ["ae2", "ae10", "ge-1/0/0", "xe-0/0/1", "xe-0/0/2", "xe-0/0/3", "xe-0/0/4", "xe-0/0/9", "xe-0/0/10", "lo0"]
    places = [text.index(f"\n    {port} {{\n") for port in ports]
    assert places == sorted(places)


def test_without_management_networks_ssh_is_off_and_the_management_port_is_left_alone(tmp_path: Path) -> None:
    text = text_of(plain(Platform.JUNOS), tmp_path)
    assert "services" not in text
    assert "destination-port 22;" not in text
    assert text.count("interface fxp0.0;") == 1
    assert "interface fxp0.0;" not in golden("hk1-r1"), "where the plan says who may log in, nobody else may"


SOURCES = (IPv4Network("10.0.0.5/32"), IPv4Network("10.0.0.6/32"))
ODD = "s3cret|with\"odd\\marks#in'it{;}?"


def test_odd_secrets_are_read_back(tmp_path: Path) -> None:
    text = text_of(everything(Platform.JUNOS), tmp_path, CME_A=ODD, UPLINK=ODD, MSDP=ODD, AAA_KEY=ODD)
    assert text.count("s3cret|with") == 5


def test_an_odd_secret_stands_between_quotes_in_a_file_for_its_owner(tmp_path: Path) -> None:
    document = plain(Platform.JUNOS)
    document["sites"]["hk1"]["circuits"]["hk1-a"]["password"] = {"environment": "CME_A"}
    file = rendered(document, tmp_path, {"CME_A": ODD})["hk1-r1"][1]
    assert '"s3cret|with\\"odd\\\\marks#in\'it{;}?";' in file.text
    assert file.mode == SECRET_MODE


def _first_router(document: Document, **given: object) -> None:
    document["sites"]["hk1"]["routers"]["hk1-r1"].update(given)


REFUSED: dict[str, tuple[Callable[[Document], object], str]] = {
    "keepalives": (
        lambda plan: plan.update({"timers": {"bgp-keepalive": "2s", "bgp-hold": "9s"}}),
        "keepalives of BGP are a third of the hold time on Junos",
    ),
    "hellos": (lambda plan: plan.update({"timers": {"pim-hello": "300s"}}), "hellos of PIM every 300 s are too seldom"),
    "queries": (lambda plan: plan.update({"timers": {"igmp-query-interval": "1s"}}), "IGMP queries every 1 s"),
    "seldom queries": (
        lambda plan: plan.update({"timers": {"igmp-query-interval": "1025s"}}),
        "IGMP queries every 1025 s",
    ),
    "two kinds of interfaces on a port": (
        lambda plan: plan["sites"]["hk1"]["routers"]["hk1-r1"]["ports"].update({"lan": "xe-0/0/1"}),
        "xe-0/0/1 has interfaces with and without a tag",
    ),
    "the name of an instance": (
        lambda plan: _first_router(plan, vrf="default"),
        "hk1-r1: default is a name that Junos keeps for itself",
    ),
    "root": (
        lambda plan: plan["management"]["users"].update({"root": {"ssh-key": "ssh-ed25519 AAAA"}}),
        "root is a user that Junos keeps for itself",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_junos_has_no_words_for_is_refused(case: str, tmp_path: Path) -> None:
    change, said = REFUSED[case]
    document = everything(Platform.JUNOS)
    change(document)
    fabric = compiled(document, tmp_path)
    with pytest.raises(RenderError) as refused:
        render_fabric(fabric, SecretResolver(SECRETS))
    assert any(said in str(problem) for problem in refused.value.problems)


def test_a_key_that_junos_would_write_otherwise_is_refused_and_not_shown(tmp_path: Path) -> None:
    fabric = compiled(everything(Platform.JUNOS), tmp_path)
    with pytest.raises(RenderError) as refused:
        render_fabric(fabric, SecretResolver({**SECRETS, "NTP_KEY": "a&b-is-odd"}))
    [problem] = dict.fromkeys(refused.value.problems)
    assert problem.place == ("management", "ntp", "key", "secret")
    assert "a&b" not in str(problem)


def test_any_address_is_no_one_of_several(routers: dict[str, Router]) -> None:
    """A term with several sources would lose the wider one, or the narrower ones, where one of them is any address."""
    rules = tuple(AccessRule("NTP", True, "udp", source, source_port=123) for source in (ANYWHERE, *SOURCES))
    class_ = ControlPlaneClass("ntp", rules, 1000)
    router = replace(routers["hk1-r1"], access_lists=(AccessList("in", rules),), control_plane=(class_,))
    [listed] = packet_filters(router)
    assert [term.sources for term in listed.terms] == [(), SOURCES]
    assert [term.sources for term in control_filter(router).terms if term.source_port] == [(), SOURCES]


@pytest.mark.parametrize("router", ["hk1-r1", "hk1-r2"])
def test_blocks_can_be_replaced_wherever_they_stand(router: str, tmp_path: Path) -> None:
    """Also those that stand deeper in a VRF, and with what they held before."""
    own = tmp_path / "mine/junos/junos.conf.j2"
    own.parent.mkdir(parents=True)
    own.write_text(
        '{% extends "lanecast/junos/junos.conf.j2" %}\n'
        "{% block neighbor %}\n{{ super() }}                local-address 192.0.2.9;\n{% endblock %}\n"
        "{% block multicast %}\n{{ super() }}{% endblock %}\n"
        '{% block more %}\nsnmp {\n    location "{{ router.name }}";\n}\n{% endblock %}\n'
    )
    document = {**everything(Platform.JUNOS), "templates": "mine"}
    text = rendered(document, tmp_path, {})[router][1].text
    deeper = " " * (8 if router == "hk1-r2" else 0)
    added = f"{deeper}                local-address 192.0.2.9;\n"
    assert text.count(added) == 2
    more = f'snmp {{\n    location "{router}";\n}}\n'
    assert text.endswith(more)
    assert text.replace(added, "").removesuffix(more) == golden(router)


# What the reader refuses or finds: a change of a golden text, and what is said of it

CHANGED = {
    "an unknown statement": (
        "hk1-r1",
        "    no-redirects;\n",
        "    no-redirects;\n    telnet;\n",
        "telnet: not understood",
    ),
    "a statement twice": ("hk1-r1", "peer-as 65010;", "peer-as 65010;\n peer-as 65011;", "peer-as: not understood"),
    "two terms of one name, of which Junos makes one": (
        "hk1-r1",
        "term bgp-answers {",
        "term bgp {",
        "bgp: said twice",
    ),
    "braces": ("hk1-r1", "        vlan-tagging;\n", "        vlan-tagging;\n    }\n", "closes no block"),
    "far BGP": ("hk1-r1", "ttl-except 255;", "ttl-except 254;", "port and ttl-except are understood for"),
    "GTSM of one end alone": ("hk1-r1", "                ttl 255;\n", "                ttl 1;\n", "gtsm True"),
    "GTSM behind what lets BGP in": (
        "hk1-r1",
        "            term bgp-from-afar {\n",
        "            term early {\n                from {\n                    protocol tcp;\n                }\n"
        "                then {\n                    policer control-bgp;\n                    accept;\n"
        "                }\n            }\n            term bgp-from-afar {\n",
        "gtsm True",
    ),
    "a neighbour of another AS in between": ("hk1-r1", '"65010+"', '"65010 .*"', "accept_paths_of 65010"),
    "what is learnt is passed on": ("hk1-r1", "protocol direct;", "protocol bgp;", "not connected directly"),
    "a policy that lets the rest pass": (
        "hk1-r1",
        "    policy-statement rp-registers {\n        then reject;",
        "    policy-statement rp-registers {\n        then accept;",
        "rp-registers does not end in rejecting",
    ),
    "a range that no address is in": ("hk1-r1", "239.4.0.0/16 orlonger", "239.4.0.0/16 exact", "no address is in"),
    "a list of another interface": (
        "hk1-r1",
        "interface xe-0/0/1.101;\n            }\n            then reject;",
        "interface xe-0/0/3.0;\n            }\n            then reject;",
        "boundaries: ",
    ),
    "a boundary without its end": (
        "hk1-r1",
        "                interface xe-0/0/3.0;\n            }\n            then reject;",
        "                interface xe-0/0/3.0;\n            }\n            then accept;",
        "does not bound one interface",
    ),
    "IGMP that PIM brings along": (
        "hk1-r1",
        "        interface xe-0/0/1.101 {\n            disable;\n        }\n",
        "",
        "igmp: has interface xe-0/0/1.101, version 2",
    ),
    "IGMP alone towards hosts": (
        "hk1-r1",
        "        interface xe-0/0/3.0 {\n            mode sparse;\n            hello-interval 1;\n"
        "            neighbor-policy pim-neighbors-hk1-r1-multicast;\n        }\n",
        "",
        "pim: lacks interface xe-0/0/3",
    ),
    "any neighbour towards hosts": (
        "hk1-r2",
        "                    neighbor-policy pim-neighbors-hk1-r2-multicast;\n",
        "",
        "pim: has interface irb.310, passive False, hello_s 1, neighbors None",
    ),
    "a port of the plan that is left alone": (
        "hk1-r1",
        "            term everything-else {\n                then {\n                    count everything-else;\n"
        "                    discard;\n                }\n            }\n        }\n    }\n",
        "            term more {\n                from {\n                    interface xe-0/0/4.0;\n                }\n"
        "                then accept;\n            }\n        }\n    }\n",
        "a term for what comes in by xe-0/0/4.0 alone",
    ),
    "a bound of each term": ("hk1-r1", "        filter-specific;\n", "", "bounds each of its terms"),
    "a bound of no whole packets": ("hk1-r1", "bandwidth-limit 8192000;", "bandwidth-limit 8m;", "no whole number"),
    "the rest let in": (
        "hk1-r1",
        "                    count everything-else;\n                    discard;\n                }\n"
        "            }\n        }\n    }\n",
        "                    accept;\n                }\n            }\n        }\n    }\n",
        "is not dropped",
    ),
    "one loopback without a guard": (
        "hk1-r2",
        "                filter {\n                    input control-plane;\n                }\n                address 10",
        "                address 10",
        "not all units of lo0 have the same filter",
    ),
    "a protocol of another instance's interface": (
        "hk1-r2",
        "virtual-router;\n        interface xe-0/0/1.102;\n",
        "virtual-router;\n",
        "no interface of the routing instance leads to 192.0.2.5",
    ),
    "an interface that nothing leads from": (
        "hk1-r2",
        "                interface xe-0/0/1.102 {\n                    mode",
        "                interface xe-0/0/13.0 {\n                    mode",
        "is not in the routing instance that uses it",
    ),
    "servers asked in another instance": (
        "hk1-r2",
        "            source-address 10.200.0.65;\n            routing-instance market-data;\n",
        "            source-address 10.200.0.65;\n",
        "where that address is",
    ),
    "local passwords beside servers": (
        "hk1-r1",
        "authentication-order tacplus;",
        "authentication-order [ tacplus password ];",
        "authentication-order does not name the servers",
    ),
    "a key that is not trusted": ("hk1-r1", "trusted-key 3;", "trusted-key 4;", "the one key that is trusted"),
    "two numbers for one key": ("hk1-r2", "recv-id 7;", "recv-id 8;", "no key of TCP-AO with one number"),
    "a port that may pose as a router": ("hk1-r2", "host-only-interface;", "", "may pose as a router's"),
    "snooping at its own pace": (
        "hk1-r2",
        "                query-interval 5;",
        "                query-interval 125;",
        "has other intervals than the querier",
    ),
    "a port that is routed in a VLAN": (
        "hk1-r2",
        "        encapsulation ethernet-bridge;\n",
        "",
        "its family and the port's encapsulation do not fit",
    ),
    "a unit without a tag": ("hk1-r1", "            vlan-id 101;\n", "", "its tag and the port's tagging do not fit"),
    "a list that is nowhere": ("hk1-r1", "input in-hk1-a;", "input in-hk1-z;", "in-hk1-z is defined nowhere"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_the_reader_sees_a_change(case: str, routers: dict[str, Router]) -> None:
    name, old, new, said = CHANGED[case]
    text = golden(name)
    assert old in text
    assert read_back(routers[name], text) == []
    told = read_back(routers[name], text.replace(old, new, 1))
    assert any(said in each for each in told), told


def test_the_reader_shows_no_secret_of_a_statement_that_it_does_not_know() -> None:
    text = golden("hk1-r1").replace('authentication-key "', 'authentication-keys "')
    with pytest.raises(ValueError, match=r"line \d+: authentication-keys") as refused:
        read(text)
    assert not any(secret in str(refused.value) for secret in SECRETS.values())


# What the grammar says of rules that no planted text has: a change of a golden text, and the line that it is told at

ATTRIBUTES = """
                ao-attribute {
                    send-id 7;
                    recv-id 7;
                    tcp-ao-option enabled;
                    cryptographic-algorithm hmac-sha-1-96;
                }
"""
WRONG = {
    "a key of TCP-AO without its attributes": ("hk1-r2", f"algorithm ao;{ATTRIBUTES}", "algorithm ao;\n"),
    "a number that TCP-AO has no room for": ("hk1-r2", "send-id 7;", "send-id 256;"),
    "an algorithm that TCP-AO has not": ("hk1-r2", "hmac-sha-1-96;", "hmac-sha-256;"),
    "TCP-AO that is neither on nor off": ("hk1-r2", "tcp-ao-option enabled;", "tcp-ao-option on;"),
    "a bridged port with tags": (
        "hk1-r2",
        "        encapsulation ethernet-bridge;",
        "        encapsulation ethernet-bridge; vlan-tagging;",
    ),
    "a bridged unit of a routed port": (
        "hk1-r1",
        "            vlan-id 101;",
        "            vlan-id 101; family bridge;",
    ),
    "a server in an instance that is nowhere": (
        "hk1-r2",
        "            routing-instance market-data;",
        "            routing-instance elsewhere;",
    ),
    "time from an instance that is nowhere": (
        "hk1-r2",
        "        source-address 10.200.0.65 routing-instance market-data;",
        "        source-address 10.200.0.65 routing-instance elsewhere;",
    ),
    "no policy, and no action": ("hk1-r1", "receive reject-always;", "receive never;"),
    "a scope policy in an instance": (
        "hk1-r2",
        "            multicast {\n",
        "            multicast { scope-policy boundary-hk1-b;\n",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_grammar_tells_a_mistake_at_its_line(case: str) -> None:
    name, old, new = WRONG[case]
    text = golden(name)
    assert check_text("junos", text) == []
    line = text[: text.index(old)].count("\n") + 1
    assert line in {finding.line for finding in check_text("junos", text.replace(old, new, 1))}
