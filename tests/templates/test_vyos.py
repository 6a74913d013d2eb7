"""VyOS beyond what every platform is tested for: its packet filter, logins, and what it refuses to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_plans import SECRETS, compiled, everything, plain, rendered, site_routers, with_radius

from lanecast.fabric import Fabric
from lanecast.plan.model import Platform
from lanecast.router import Firewall, FirewallRule, ForwardRule, Router
from lanecast_relay.config.document import DocumentError
from lanecast_relay.config.model import Endpoint
from lanecast_templates.environment import Templates
from lanecast_templates.errors import RenderError
from lanecast_templates.grammars import check_text
from lanecast_templates.readers import read_back, vyos
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.secrets import SecretResolver
from lanecast_templates.views.vyos import vyos_router

TEMPLATES = Templates()


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Fabric:
    return compiled(everything(Platform.VYOS), tmp_path_factory.mktemp("vyos"))


def spelled(fabric: Fabric, router: Router, secrets: dict[str, str] = SECRETS) -> str:
    view = vyos_router(router, RouterSecrets(fabric, router, SecretResolver(secrets)))
    return TEMPLATES.render("vyos/vyos.conf.j2", router=view, holds_secret=True, header="A test.")


def text_of(document: dict[str, Any], folder: Path, router: str = "hk1-r1") -> str:
    return rendered(compiled(document, folder))[f"{router}/vyos.conf"].text


# ------------------------------------------------------------------ the packet filter

LINES = ("eth1.101", "eth3", "eth4", "eth2.201")
networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.sampled_from([8, 24, 31, 32]),
)
some_networks = st.lists(networks, max_size=3, unique=True).map(tuple)
some_endpoints = st.lists(
    st.builds(
        lambda number, port: Endpoint(address=IPv4Address(number), port=port),
        st.integers(int(IPv4Address("10.1.0.0")), int(IPv4Address("10.1.0.7"))),
        st.sampled_from([5000, 5001]),
    ),
    max_size=5,
    unique=True,
).map(tuple)
accepted = st.builds(
    FirewallRule,
    comment=st.just(""),
    interface=st.sampled_from(LINES),
    protocol=st.sampled_from(["tcp", "udp"]),
    sources=some_networks,
    destinations=some_networks,
    ports=st.lists(st.integers(1, 65535), max_size=3, unique=True).map(tuple),
    rate_pps=st.none() | st.integers(1, 5000),
)
forwarded = st.builds(
    ForwardRule,
    comment=st.just(""),
    interface=st.sampled_from(LINES),
    out=st.sampled_from(LINES),
    sources=some_networks,
    source_endpoints=some_endpoints,
    destinations=some_networks,
    destination_endpoints=some_endpoints,
    answers=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(rules=st.lists(accepted, max_size=6), passing=st.lists(forwarded, max_size=4))
def test_any_filter_is_read_back_and_taken(
    fabric: Fabric, rules: list[FirewallRule], passing: list[ForwardRule]
) -> None:
    firewall = Firewall(
        LINES,
        tuple(replace(rule, comment=f"to {index}, here") for index, rule in enumerate(rules)),
        guarded=LINES[:1],
        forwarded=tuple(replace(rule, comment=f"by {index}, here") for index, rule in enumerate(passing)),
    )
    router = replace(fabric.router("hk1-r1"), firewall=firewall)
    text = spelled(fabric, router)
    assert [each for each in read_back(router, text) if not each.startswith("management")] == []
    assert check_text("vyos", text) == []


def test_endpoints_of_one_port_share_a_rule_and_others_do_not(fabric: Fabric) -> None:
    ends = tuple(
        Endpoint(address=IPv4Address(each), port=port)
        for each, port in (("10.1.0.1", 5), ("10.1.0.2", 5), ("10.1.0.3", 6))
    )
    passing = ForwardRule("lines of hk1-a", "eth1.101", "eth3", destination_endpoints=ends)
    router = replace(fabric.router("hk1-r1"), firewall=Firewall(LINES, (), guarded=LINES[:1], forwarded=(passing,)))
    lines = spelled(fabric, router).splitlines()
    rule = "set firewall ipv4 forward filter rule"
    assert f"{rule} 20 destination group address-group 'lines-of-hk1-a-to-5'" in lines
    assert f"{rule} 20 destination port '5'" in lines
    assert f"{rule} 30 destination address '10.1.0.3'" in lines
    assert f"{rule} 30 destination port '6'" in lines


def test_two_groups_of_one_name_are_refused(fabric: Fabric) -> None:
    def of(comment: str, *addresses: str) -> FirewallRule:
        return FirewallRule(comment, "eth4", "tcp", tuple(IPv4Network(each) for each in addresses), ports=(22,))

    rules = (of("SSH in", "10.0.0.1", "10.0.0.2"), of("SSH, in", "10.0.0.1", "10.0.0.3"))
    router = replace(fabric.router("hk1-r1"), firewall=Firewall(LINES, rules))
    with pytest.raises(RenderError, match="two groups of different content are called SSH-in"):
        spelled(fabric, router)


def test_bfd_of_a_neighbor_with_gtsm_comes_by_the_port_of_several_hops(fabric: Fabric) -> None:
    lines = spelled(fabric, fabric.router("hk1-r1")).splitlines()
    assert "set protocols bfd profile bgp-eth1-101 minimum-ttl '254'" in lines
    assert "set protocols bfd profile pim-eth1-101 minimum-ttl '254'" not in lines
    assert sum("destination port '3784,4784'" in line for line in lines) == 4  # two interfaces; to accept, and above it


# --------------------------------------------------- what a reader must not take for it

RULE = "set firewall ipv4 input filter rule"
CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "a known connection is not bounded": (
        lambda text: text.replace(f"{RULE} 120 ", f"{RULE} 15 "),
        "what exceeds it is not dropped",
    ),
    "what exceeds a bound comes in": (
        lambda text: text.replace(f"{RULE} 31 action 'drop'", f"{RULE} 31 action 'accept'"),
        "what exceeds it is not dropped",
    ),
    "the drop is of somebody else": (
        lambda text: text.replace(f"{RULE} 31 source address '192.0.2.1'", f"{RULE} 31 source address '192.0.2.2'"),
        "what exceeds it is not dropped",
    ),
    "a burst is longer": (lambda text: text.replace("burst '1000'", "burst '9000'"), "the burst is not what"),
    "what no rule has comes in": (
        lambda text: text.replace(
            "ipv4 input filter default-action 'drop'", "ipv4 input filter default-action 'accept'"
        ),
        "what no rule has is not dropped",
    ),
    "one more interface is passed by": (
        lambda text: text.replace(
            "interface-group planned interface 'eth4'", "interface-group planned interface 'eth5'"
        ),
        "filtered: lacks eth4",
    ),
    "the planned interfaces are passed by": (
        lambda text: text.replace("inbound-interface group '!planned'", "inbound-interface group 'planned'"),
        "a group of interfaces is read only with '!'",
    ),
    "more than answers": (
        lambda text: text + f"{RULE} 120 state new\n",
        "is more or less than answers",
    ),
    "IPv6 comes in": (
        lambda text: (
            text
            + "set firewall ipv6 input filter rule 20 action 'accept'\n"
            + "set firewall ipv6 input filter rule 20 inbound-interface name 'eth4'\n"
        ),
        "IPv6 input: rule 20 lets something in",
    ),
    "IPv6 is forwarded": (lambda text: text.replace("set system ipv6 disable-forwarding\n", ""), "guarded: lacks"),
    "a channel more": (
        lambda text: text.replace("destination address '224.0.31.2'", "destination address '224.0.31.0/24'"),
        "forwarded: has",
    ),
    "a list denies a part": (
        lambda text: text.replace("from-hk1-a rule 10 action 'permit'", "from-hk1-a rule 10 action 'deny'"),
        "denies a part",
    ),
    "a list goes on behind its end": (
        lambda text: (
            text
            + "set policy prefix-list to-hk1-a rule 20 action 'permit'\nset policy prefix-list to-hk1-a rule 20 prefix '10.0.0.0/8'\n"
        ),
        "nothing reaches rule 20",
    ),
    "BFD from afar": (lambda text: text.replace("minimum-ttl '254'", "minimum-ttl '1'"), "neighbors: lacks"),
    "who a server refuses comes in": (
        lambda text: text.replace("security-mode 'mandatory'", "security-mode 'optional'"),
        "local users count though a server refuses",
    ),
    "redirects are taken": (
        lambda text: text.replace("receive-redirects 'disable'", "receive-redirects 'enable'"),
        "no_redirects: lacks",
    ),
    "directed broadcasts of an interface": (
        lambda text: text + "set interfaces ethernet eth4 ip enable-directed-broadcast\n",
        "set interfaces ethernet eth4 ip …: is not known",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_filter_that_lets_more_through_is_not_read_as_ours(fabric: Fabric, change: str) -> None:
    router = fabric.router("hk1-r1")
    text = spelled(fabric, router)
    changed, told = CHANGES[change][0](text), CHANGES[change][1]
    assert changed != text
    assert told in "\n".join(read_back(router, changed))


@pytest.mark.parametrize(
    "line",
    ["set system login user netops authentication plaintext-password 'hunter22'", "set x 'hunter22", "hunter22"],
)
def test_a_line_that_is_not_known_is_told_without_its_last_word(fabric: Fabric, line: str) -> None:
    text = spelled(fabric, fabric.router("hk1-r1"))
    with pytest.raises(ValueError, match=rf"^line {text.count(chr(10)) + 1}\b") as told:
        vyos.read(f"{text}{line}\n")
    assert "hunter22" not in str(told.value)


# ------------------------------------------------------------------------- logins


def test_radius_servers_are_asked_in_the_order_of_the_plan(tmp_path: Path) -> None:
    document = with_radius(everything(Platform.VYOS))
    document["management"]["aaa"]["servers"] = ["10.0.0.11", "10.0.0.10"]
    fabric = compiled(document, tmp_path)
    router = fabric.router("hk1-r1")
    text = spelled(fabric, router)
    assert "set system login radius server 10.0.0.11 priority '10'\n" in text
    assert "set system login radius server 10.0.0.10 priority '20'\n" in text
    assert read_back(router, text) == []


def test_tacacs_servers_that_would_be_asked_in_another_order_are_refused(tmp_path: Path) -> None:
    document = everything(Platform.VYOS)
    document["management"]["aaa"]["servers"] = ["10.0.0.11", "10.0.0.10"]
    with pytest.raises(RenderError, match=r"^management\.aaa\.servers: hk1-r1: VyOS asks TACACS") as refused:
        spelled(fabric := compiled(document, tmp_path), fabric.router("hk1-r1"))
    assert [problem.place for problem in refused.value.problems] == [("management", "aaa", "servers")]


def test_more_servers_than_vyos_takes_are_refused(tmp_path: Path) -> None:
    document = with_radius(everything(Platform.VYOS))
    document["management"]["aaa"]["servers"] = [f"10.0.0.{number}" for number in range(10, 19)]
    with pytest.raises(RenderError, match="at most 8 servers"):
        spelled(fabric := compiled(document, tmp_path), fabric.router("hk1-r1"))


@pytest.mark.parametrize(("without", "by_key_alone"), [([], False), (["aaa"], True), (["aaa", "users"], False)])
def test_passwords_are_for_who_is_asked_of_a_server(tmp_path: Path, without: list[str], *, by_key_alone: bool) -> None:
    document = everything(Platform.VYOS)
    for each in without:
        del document["management"][each]
    text = text_of(document, tmp_path)
    assert ("set service ssh disable-password-authentication\n" in text) == by_key_alone
    assert check_text("vyos", text) == []


def test_ssh_is_not_asked_for_where_nobody_may_reach_it(tmp_path: Path) -> None:
    document = everything(Platform.VYOS)
    del document["management"]["ssh-from"]
    text = text_of(document, tmp_path)
    assert "service ssh" not in text
    assert "port '22'" not in text


@pytest.mark.parametrize("secret", ["CME_A", "AAA_KEY"])
def test_a_secret_that_would_end_its_quotes_is_refused_and_not_told(fabric: Fabric, secret: str) -> None:
    with pytest.raises(RenderError) as refused:
        spelled(fabric, fabric.router("hk1-r1"), {**SECRETS, secret: "hunter'22"})
    assert "single quote" in str(refused.value)
    assert "hunter" not in str(refused.value)


# ---------------------------------------------------------------- what a plan cannot ask


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"vrf": "market-data"}, "no PIM in a VRF"),
        ({"ports": {"hk1-a": "bond0", "hk1-up1": "eth2", "multicast": "eth3", "lan": "eth4"}}, "bond0"),
    ],
)
def test_what_vyos_lacks_is_a_mistake_of_the_plan(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    document = plain(Platform.VYOS)
    document["sites"]["hk1"]["routers"]["hk1-r1"].update(change)
    with pytest.raises(DocumentError) as mistakes:
        compiled(document, tmp_path)
    assert told in str(mistakes.value)


def test_static_uplinks_become_static_routes(tmp_path: Path) -> None:
    document = plain(Platform.VYOS)
    document["sites"]["hk1"]["uplinks"]["hk1-up1"]["routing"] = "static"
    fabric = compiled(document, tmp_path)
    router = fabric.router("hk1-r1")
    text = spelled(fabric, router)
    assert "set protocols static route 10.8.0.0/16 next-hop 192.0.2.129 distance '100'\n" in text
    assert read_back(router, text) == []
    assert check_text("vyos", text) == []


def test_blocks_of_ones_own_stand_in_for_ours(fabric: Fabric, tmp_path: Path) -> None:
    own = tmp_path / "vyos/vyos.conf.j2"
    own.parent.mkdir()
    own.write_text(
        '{% extends "lanecast/vyos/vyos.conf.j2" %}\n'
        "{% block interface %}\n{{ super() }}{{ path }} mtu '9000'\n{% endblock %}\n"
        "{% block forward %}\n{{ super() }}set firewall ipv4 forward filter default-log\n{% endblock %}\n"
    )
    router = fabric.router("hk1-r1")
    view = vyos_router(router, RouterSecrets(fabric, router, SecretResolver(SECRETS)))
    text = Templates(tmp_path).render("vyos/vyos.conf.j2", router=view, holds_secret=True, header="A test.")
    more = [f"set interfaces {port} mtu '9000'" for port in ("ethernet eth1 vif 101", "ethernet eth3", "ethernet eth4")]
    more += ["set interfaces ethernet eth2 vif 201 mtu '9000'", "set firewall ipv4 forward filter default-log"]
    ours = spelled(fabric, router).splitlines()
    assert [line for line in text.splitlines() if line not in more] == ours
    assert set(more) <= set(text.splitlines())


def test_every_router_sets_the_bound_of_memberships(fabric: Fabric) -> None:
    for router in site_routers(fabric):
        assert "set system sysctl parameter net.ipv4.igmp_max_memberships value '256'\n" in spelled(fabric, router)
