"""One mistake each, made in a plan that is right, against the exact words that a person gets to read.

``LANECAST_UPDATE_GOLDEN=1`` rewrites the golden files in ``mistakes/``; the diff is the review.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lanecast.plan.loader import load_plan
from lanecast.plan.model import Plan
from lanecast.plan.stand_ins import Variant, fields_of, stand_in
from lanecast_relay.config.document import DocumentError, Problem

GOLDEN = Path(__file__).parent / "mistakes"
BASE = files("lanecast").joinpath("example-plan.yaml").read_text(encoding="utf-8")


def asking(servers: str, more: str = "") -> tuple[str, str]:
    """The edit that gives the feed re-request servers."""
    return "hole-wait: 20ms", f"hole-wait: 20ms\n    recovery: {{servers: {{{servers}}}{more}}}"


SPARSE = "rendezvous: {address: 198.51.100.99, groups: [239.20.0.0/16]"
ROUTER_1 = "router-1: {platform: frr, circuits: [circuit-a], uplinks: [uplink-1], ports: {circuit-a: eth1, uplink-1: eth2, multicast: eth3, lan: eth4}}"
ROUTER_2 = "      router-2: {platform: frr, circuits: [circuit-b]"


def router_1(platform: str, ports: str, more: str = "") -> tuple[str, str]:
    """The edit that makes the first router another one."""
    return (
        ROUTER_1,
        f"router-1: {{platform: {platform}, circuits: [circuit-a], uplinks: [uplink-1], ports: {{{ports}}}{more}}}",
    )


NEXUS = "circuit-a: Ethernet1/1, uplink-1: Ethernet1/2, multicast: Ethernet1/3, lan: Ethernet1/4"
SEGMENTS = "multicast: {vlan: 310, access-ports: [Ethernet1/11]}, lan: {vlan: 311, access-ports: [Ethernet1/12]}"

BRIDGED = """
  far: {cloud: {provider: baidu, region: bj}, vpcs: {core: {cidr: 10.10.0.0/16, subnets: {apps: {cidr: 10.10.2.0/24, zone: a}}}}}
  middle: {cloud: {provider: baidu, region: gz}, vpcs: {core: {cidr: 10.9.0.0/16, subnets: {bridge: {cidr: 10.9.1.0/24, zone: a}, tiny: {cidr: 10.9.2.0/29, zone: a}}}}}
peerings:
  near-middle: {between: [region1.vpc1, middle.core], delay: 8ms, bandwidth: 1G}
  middle-far: {between: [middle.core, far.core], delay: 16ms, bandwidth: 1G}
bridges:
  near-far: {from: region1.vpc1, via: middle.core, to: far.core, method: nat, subnet: middle.core.bridge}
"""
"""What follows the only region of the plan: two more, and a bridge from it through the second to the third."""


def bridged(old: str = "", new: str = "") -> tuple[str, str]:
    """The edit that adds a bridge, with something of it replaced."""
    assert old in BRIDGED
    return "\nsubscribers:\n", BRIDGED.replace(old, new) + "\nsubscribers:\n"


def balanced(balancer: str) -> tuple[str, str]:
    """The edit that puts a load balancer before the subscriber."""
    return "from: [relay-1, relay-2]}", f"from: [relay-1, relay-2], load-balancer: {{{balancer}}}}}"


MISTAKES = {
    "bridge-at-an-end-with-itself": bridged("to: far.core", "to: region1.vpc1"),
    "bridge-beside-a-peering": bridged("bridges:\n", "  near-far: {between: [far.core, region1.vpc1], delay: 20ms, bandwidth: 1G}\nbridges:\n"),
    "bridge-in-a-small-subnet": bridged("subnet: middle.core.bridge", "subnet: middle.core.tiny, count: 4"),
    "bridge-in-another-vpc": bridged("subnet: middle.core.bridge", "subnet: far.core.apps"),
    "bridge-of-two-in-transit": bridged("method: nat", "method: transit, count: 2"),
    "bridge-offers-what-is-elsewhere": bridged("middle.core.bridge}", 'middle.core.bridge, offers: {a: {in: middle.core, at: "10.9.1.5:80"}, b: {in: far.core, at: "10.8.2.5:80"}, c: {in: far.core, at: "10.8.2.5:80"}}}'),
    "bridge-over-shared-addresses-in-transit": ("\nsubscribers:\n", BRIDGED.replace("10.10.", "10.8.").replace("nat, subnet: middle.core.bridge", "transit") + "\nsubscribers:\n"),
    "bridge-to-nowhere": bridged("to: far.core", "to: far.cor"),
    "bridge-transit-beside-transit": ("\nsubscribers:\n", BRIDGED.replace("nat, subnet: middle.core.bridge", "transit").replace("peerings:\n", "  other: {cloud: {provider: baidu, region: su}, vpcs: {core: {cidr: 10.11.0.0/16, subnets: {apps: {cidr: 10.11.2.0/24, zone: a}}}}}\npeerings:\n  far-other: {between: [far.core, other.core], delay: 1ms, bandwidth: 1G}\n") + "  middle-other: {from: middle.core, via: far.core, to: other.core, method: transit}\n\nsubscribers:\n"),
    "bridge-twice": ("\nsubscribers:\n", BRIDGED + "  again: {from: far.core, via: middle.core, to: region1.vpc1, subnet: middle.core.bridge}\n\nsubscribers:\n"),
    "bridge-without-a-peering": bridged("  middle-far: {between: [middle.core, far.core], delay: 16ms, bandwidth: 1G}\n"),
    "bridge-without-a-subnet": bridged(", subnet: middle.core.bridge"),
    "bridge-without-an-instance": bridged("middle.core.bridge}", "middle.core.bridge, count: 0}"),
    "peered-twice": bridged("bridges:\n", "  again: {between: [middle.core, region1.vpc1], delay: 9ms, bandwidth: 1G}\nbridges:\n"),
    "uplink-bfd-the-cloud-does-not-take": ("delay: 1ms, bandwidth: 1G, routing: bgp, role: primary", "delay: 1ms, bandwidth: 1G, routing: bgp, bfd: {interval: 150ms, multiplier: 12}, role: primary"),
    "uplink-vlan-the-cloud-does-not-take": ("vlan: 201", "vlan: 4010"),
    "balancer-of-another-subnet": balanced("listeners: {api: {port: 8443, clients: [10.8.0.0/16]}}, address: 10.8.3.9"),
    "balancer-at-the-clouds-own-address": balanced("listeners: {api: {port: 8443, clients: [10.8.0.0/16]}}, address: 10.8.2.1"),
    "balancer-open-to-everybody": balanced("listeners: {api: {port: 8443, clients: [0.0.0.0/0]}}"),
    "balancer-whose-clients-get-no-answer": balanced("listeners: {api: {port: 8443, clients: [10.8.0.0/16, 172.16.0.0/12]}}"),
    "balancer-where-another-is": ("from: [relay-1, relay-2]}\n", "from: [relay-1, relay-2], load-balancer: &balancer {address: 10.8.2.9, listeners: {api: {port: 8443, clients: [10.8.0.0/16]}}}}\n  second: {subnet: region1.vpc1.apps, count: 1, feeds: [quotes], from: [relay-1, relay-2], load-balancer: {address: 10.8.2.9, listeners: {api: {port: 8443, clients: [10.8.0.0/16]}}}}\n".replace("&balancer ", "")),
    "balancer-with-one-port-twice": balanced("listeners: {api: {port: 8443, clients: [10.8.0.0/16]}, web: {port: 8443, backend-port: 80, clients: [10.8.0.0/16]}}"),
    "balancer-without-a-listener": balanced("listeners: {}"),
    "authentication-twice": ("carries: [quotes.A]}", "carries: [quotes.A], password: {environment: A}, tcp-ao: {key-id: 1, secret: {environment: B}}}"),
    "bfd-too-fast": ("carries: [quotes.A]}", "carries: [quotes.A], bfd: {interval: 20ms, multiplier: 2}}"),
    "bfd-of-odd-length": ("carries: [quotes.A]}", "carries: [quotes.A], bfd: {interval: 100500us}}"),
    "frr-cannot": (ROUTER_1, ROUTER_1.replace("frr,", "frr, vrf: market-data, unused-ports: [eth9], switch: {multicast: {vlan: 5, access-ports: [eth5]}, lan: {vlan: 6, access-ports: [eth6]}},")),
    "frr-cannot-manage": ("promises:\n", "management: {aaa: {protocol: radius, servers: [10.0.0.1], key: {environment: K}}, users: {netops: {ssh-key: ssh-ed25519 AAAA}}}\npromises:\n"),
    "frr-with-msdp": ("rendezvous: none}", SPARSE + ", msdp: {}}}"),
    "platform-unknown": router_1("ios-xr", NEXUS),
    "port-in-use": router_1("nx-os", NEXUS, ", unused-ports: [Ethernet1/3]"),
    "port-of-another-platform": router_1("nx-os", NEXUS.replace("Ethernet1/3", "eth3")),
    "ports-missing": router_1("nx-os", "circuit-a: Ethernet1/1"),
    "rendezvous-in-ssm": ("rendezvous: none}", SPARSE.replace("239.20.0.0/16", "239.10.128.0/17") + "}}"),
    "rendezvous-of-no-groups": ("rendezvous: none}", SPARSE.replace("239.20.0.0/16", "198.51.0.0/16") + "}}"),
    "rendezvous-outside-prefixes": ("rendezvous: none}", SPARSE + "}, prefixes: [198.51.100.0/27]}"),
    "rendezvous-unknown": ("rendezvous: none}", "rendezvous: nowhere}"),
    "site-rendezvous-for-nothing": ("    circuits:\n", "    rendezvous: 10.255.255.1\n    circuits:\n"),
    "ssh-key-private": ("promises:\n", "management: {users: {netops: {ssh-key: '-----BEGIN OPENSSH PRIVATE KEY-----'}}}\npromises:\n"),
    "static-and-bfd": ("delay: 1ms, bandwidth: 1G, routing: bgp, role: primary", "delay: 1ms, bandwidth: 1G, routing: static, bfd: {}, password: {environment: A}, role: primary"),
    "static-join-of-another-line": (ROUTER_1, ROUTER_1.replace("frr,", "frr, static-joins: [quotes.B, quotes.C],")),
    "management-out-of-reach": ("promises:\n", "management: {ssh-from: [10.8.0.0/24, 10.0.0.0/24], syslog: [10.8.2.7, 10.99.0.1]}\npromises:\n"),
    "switch-and-ports": router_1("nx-os", NEXUS, f", switch: {{{SEGMENTS}}}"),
    "switch-of-one-vlan": router_1("nx-os", "circuit-a: Ethernet1/1, uplink-1: Ethernet1/2", f", switch: {{{SEGMENTS.replace('311', '310').replace('1/12', '1/2')}}}"),
    "asn-of-exchange-and-site": ("asn: 65101", "asn: 65010"),
    "asn-of-the-cloud": ("asn: 65101", "asn: 45085"),
    "asn-zero": ("asn: 65010", "asn: 0"),
    "bandwidth-without-unit": ("delay: 2ms, bandwidth: 100M", "delay: 2ms, bandwidth: 100"),
    "capacity-of-circuit": ("delay: 2ms, bandwidth: 100M", "delay: 2ms, bandwidth: 2M"),
    "capacity-of-uplink": ("delay: 1ms, bandwidth: 1G, routing: bgp, role: primary", "delay: 1ms, bandwidth: 2M, routing: bgp, role: primary"),
    "channel-on-one-line": ('groups: {main: "239.10.2.1:20001"}', 'groups: {other: "239.10.2.1:20001"}'),
    "circuit-on-no-router": ("circuits: [circuit-a], uplinks: [uplink-1]", "circuits: [], uplinks: [uplink-1]"),
    "delay-without-unit": ("delay: 3ms", "delay: 3"),
    "duplicate-key": ("  exchange: {asn: 65010, rendezvous: none}", "  exchange: {asn: 65010}\n  exchange: {asn: 65011}"),
    "group-not-multicast": ("239.10.1.1:20001", "192.0.2.77:20001"),
    "group-link-local": ("239.10.1.1:20001", "224.0.0.5:20001"),
    "group-outside-ssm": ("239.10.1.1:20001", "239.11.1.1:20001"),
    "instances-beyond-subnet": ("count: 1", "count: 250"),
    "line-on-no-circuit": ("carries: [quotes.B]", "carries: [quotes.A]"),
    "link-not-aligned": ("link: 192.0.2.4/30", "link: 192.0.2.5/30"),
    "link-too-large": ("link: 192.0.2.4/30", "link: 192.0.2.16/29"),
    "links-overlap": ("link: 192.0.2.4/30", "link: 192.0.2.0/30"),
    "long-interface-name": ("ports: {circuit-a: eth1,", "ports: {circuit-a: enp0s31f6port12,"),
    "memberships": ("ssm-ranges: [232.0.0.0/8, 239.10.0.0/16]", "ssm-ranges: [232.0.0.0/8, 239.10.0.0/16]\n  memberships: 1"),
    "misspelt-key": ("carries: [quotes.B]", "carry: [quotes.B]"),
    "misspelt-protocol": ("protocol: moldudp64", "protocol: moldudp"),
    "name-of-an-inner-interface": ("circuit-a", "source0"),
    "name-of-a-folder": ("relay-1", "hand-over"),
    "name-of-a-segment": ("circuit-a", "router-1-lan"),
    "name-of-a-switch": ("relay-1", "router-1-switch"),
    "one-port-for-two": ("multicast: eth3, lan: eth4", "multicast: eth3, lan: eth3"),
    "pool-overlaps-vpc": ("cidr: 10.8.0.0/16", "cidr: 10.200.0.0/14"),
    "prefix-overlaps-vpc": ("rendezvous: none}", "rendezvous: none, prefixes: [198.51.100.0/24, 10.8.0.0/15]}"),
    "promise-for-no-feed": ("  quotes: {p99: 60ms", "  qoutes: {p99: 60ms"),
    "raw-with-two-lines": ("protocol: moldudp64", "protocol: raw"),
    "recovery-in-a-vpc": asking("main: [198.51.100.12:26400, 10.8.2.5:26400]"),
    "recovery-of-another-channel": asking("other: [198.51.100.12:26400, 198.51.100.22:26400]"),
    "recovery-of-cme": ("protocol: moldudp64 # or cme-mdp3, raw", "protocol: cme-mdp3\n    recovery: {servers: {main: [198.51.100.12:26400, 198.51.100.22:26400]}}"),
    "recovery-server-is-a-group": asking("main: [198.51.100.12:26400, 239.10.1.1:26400]"),
    "recovery-server-twice": asking("main: [198.51.100.12:26400, 198.51.100.12:26400]"),
    "recovery-server-without-port": asking("main: [198.51.100.12:26400, 198.51.100.22]"),
    "recovery-too-short": asking("main: [198.51.100.12:26400, 198.51.100.22:26400]", ", wait: 21ms, retry: 15ms"),
    "recovery-with-no-server": asking("main: []"),
    "recovery-with-one-server": asking("main: [198.51.100.12:26400]"),
    "relay-without-line": ("carries: [quotes.A]", "carries: [quotes.C]"),
    "relay-twice": ("from: [relay-1, relay-2]", "from: [relay-1, relay-2, relay-1]"),
    "same-uplink-for-both": ("relay-2: {feeds: [quotes], uplink: uplink-2}", "relay-2: {feeds: [quotes], uplink: uplink-1}"),
    "capacity-of-two-lines": ("bandwidth: 100M, carries: [quotes.A]}", "bandwidth: 5M, carries: [quotes.A, quotes.B]}"),
    "share-above-one": ("availability: 99.999%", "availability: 100.1%"),
    "source-in-a-link": ("source: 198.51.100.11", "source: 192.0.2.2"),
    "source-multicast": ("source: 198.51.100.11", "source: 239.1.1.1"),
    "subnet-outside-vpc": ("cidr: 10.8.2.0/24", "cidr: 10.9.2.0/24"),
    "tab": ("exchanges:\n", "exchanges:\n\t\n\tx: 1\n"),
    "two-circuits-of-an-exchange": (f"{ROUTER_1}\n{ROUTER_2}", f"{ROUTER_1}\n{ROUTER_2}".replace("[circuit-a]", "[circuit-a, circuit-b]").replace("circuits: [circuit-b]", "circuits: []")),
    "unknown-exchange": ("    exchange: exchange\n", "    exchange: exchnage\n"),
    "unknown-feed-line": ("carries: [quotes.B]", "carries: [quotes.b]"),
    "unknown-port-purpose": ("ports: {circuit-b: eth1", "ports: {circuitb: eth1"),
    "unknown-relay": ("from: [relay-1, relay-2]", "from: [relay-1, relay-3]"),
    "unknown-subnet": ("subnet: region1.vpc1.apps", "subnet: region1.vpc1.app"),
    "unknown-uplink": ("uplink: uplink-2}", "uplink: uplink-3}"),
    "unreachable-vpc": ("        subnets:\n          apps", "        subnets:\n          other: {cidr: 10.8.3.0/24, zone: a}\n      vpc2:\n        cidr: 10.9.0.0/16\n        subnets:\n          apps"),
    "vlan-out-of-range": ("vlan: 102", "vlan: 4095"),
    "wrong-version": ("lanecast: 1\n", "lanecast: 2\n"),
}  # fmt: skip


def problems_of(text: str, directory: Path) -> list[Problem]:
    path = directory / "plan.yaml"
    path.write_text(text)
    try:
        return list(load_plan(path).warnings)
    except DocumentError as error:
        return error.problems


def told(problems: list[Problem], directory: Path) -> str:
    return "".join(f"{problem}\n" for problem in problems).replace(f"{directory}/", "")


def test_the_base_is_right(tmp_path: Path) -> None:
    assert problems_of(BASE, tmp_path) == []


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_these_words(name: str, tmp_path: Path) -> None:
    old, new = MISTAKES[name]
    assert old in BASE, "the edit no longer fits the base plan"
    text = told(problems_of(BASE.replace(old, new), tmp_path), tmp_path)
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("LANECAST_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text, "the mistake was not noticed"
    assert text == golden.read_text()


TOGETHER = (
    "asn-of-exchange-and-site",
    "bandwidth-without-unit",
    "capacity-of-uplink",
    "duplicate-key",
    "group-link-local",
    "misspelt-protocol",
    "share-above-one",
    "subnet-outside-vpc",
    "unknown-exchange",
    "unknown-feed-line",
    "unknown-port-purpose",
    "vlan-out-of-range",
)
"""Mistakes of form, of names and of how entries fit together, some of them in one entry."""


def test_every_mistake_of_a_plan_is_reported_in_one_run_by_line(tmp_path: Path) -> None:
    text = BASE
    for name in TOGETHER:
        old, new = MISTAKES[name]
        assert old in text, f"{name}: the edits are to be in each other's way nowhere"
        text = text.replace(old, new)
    problems = problems_of(text, tmp_path)
    said = {(problem.path, problem.message) for problem in problems}
    alone = {
        (problem.path, problem.message)
        for name in TOGETHER
        for problem in problems_of(BASE.replace(*MISTAKES[name]), tmp_path)
    }
    assert said == alone, "a mistake hides none of the others and makes none"
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)


@settings(max_examples=60, deadline=None)
@given(chosen=st.sets(st.sampled_from(sorted(set(MISTAKES) - {"tab", "unreachable-vpc"})), min_size=2, max_size=3))
def test_a_mistake_of_form_hides_no_other(chosen: set[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("plan")
    text = BASE
    for name in sorted(chosen):
        old, new = MISTAKES[name]
        if old not in text:
            return  # the edits are in each other's way
        text = text.replace(old, new)
    told_together = fields(problems_of(text, directory))
    for name in chosen & INDEPENDENT:
        assert fields(problems_of(BASE.replace(*MISTAKES[name]), directory)) <= told_together, name


def fields(problems: list[Problem]) -> set[str]:
    """The last key of each place: another edit may have renamed what is around it."""
    return {problem.path.rpartition(".")[2] for problem in problems}


INDEPENDENT = {
    "asn-zero",
    "bandwidth-without-unit",
    "delay-without-unit",
    "group-link-local",
    "group-not-multicast",
    "link-too-large",
    "links-overlap",
    "misspelt-key",
    "misspelt-protocol",
    "promise-for-no-feed",
    "share-above-one",
    "subnet-outside-vpc",
    "unknown-exchange",
    "unknown-port-purpose",
    "unknown-relay",
    "unknown-uplink",
    "vlan-out-of-range",
    "wrong-version",
}
"""Mistakes that stay mistakes whatever else is wrong."""


@pytest.mark.parametrize("variant", [0, 1])
def test_every_field_has_a_stand_in(variant: Variant) -> None:
    """A required field that a plan leaves out gets a value that the model takes."""
    required = {name: field for name, field in fields_of(Plan).items() if field.is_required()}
    Plan.model_validate({name: stand_in(name, field, variant) for name, field in required.items()})


def test_what_a_misspelt_key_holds_is_checked_as_if_it_were_spelt_right(tmp_path: Path) -> None:
    problems = problems_of(BASE.replace("carries: [quotes.B]", "carry: [quotes.A]"), tmp_path)
    assert "feeds.quotes.lines.B" in {problem.path for problem in problems}, "no circuit carries it"


SERVERS = asking("main: [198.51.100.12:26400, 198.51.100.22:26400]")


def test_servers_of_the_exchange_are_right(tmp_path: Path) -> None:
    assert problems_of(BASE.replace(*SERVERS), tmp_path) == []


def test_servers_are_the_exchange_s_own(tmp_path: Path) -> None:
    """Each wrong server is told, also beside one that is no address at all."""
    servers = asking("main: [198.51.100.12:26400, 203.0.113.9:26400, 198.51.100.22, 203.0.113.9:26400]")
    text = BASE.replace(*servers).replace("asn: 65010, rendezvous: none", "asn: 65010, prefixes: [198.51.100.0/24]")
    told_of = [(problem.path, problem.message) for problem in problems_of(text, tmp_path)]
    place = "feeds.quotes.recovery.servers.main"
    assert [path for path, _ in told_of] == [f"{place}.1", f"{place}.2", f"{place}.3", f"{place}.3"]
    assert "in none of the prefixes of exchange (198.51.100.0/24)" in told_of[0][1]
    assert "address:port" in told_of[1][1]
    assert {"203.0.113.9:26400 stands twice"} < {message for _, message in told_of[2:]}


def test_an_address_is_of_one_exchange(tmp_path: Path) -> None:
    text = BASE.replace(*asking("main: [198.51.100.12:26400, 198.51.100.31:26400]"))
    news = 'exchange: other, protocol: moldudp64, peak: {rate: 1 pps, bytes: 90}, lines: {A: {source: 198.51.100.31, groups: {main: "239.10.3.1:20001"}}}'  # fmt: skip
    text = text.replace("feeds:\n", f"feeds:\n  news: {{{news}}}\n", 1)
    text = text.replace("exchanges:\n", "exchanges:\n  other: {asn: 65011}\n", 1)
    messages = [problem.message for problem in problems_of(text, tmp_path)]
    assert "198.51.100.31 is an address of other already" in messages


def test_a_line_cannot_have_the_name_of_what_servers_answer(tmp_path: Path) -> None:
    text = (
        BASE.replace(*SERVERS)
        .replace("      A: {source", "      recovery: {source")
        .replace("quotes.A", "quotes.recovery")
    )
    (problem,) = problems_of(text, tmp_path)
    assert problem.path == "feeds.quotes.lines.recovery"
    assert "give this line another name" in problem.message


@pytest.mark.parametrize(("promise", "severity"), [("survives: any-one-circuit", "error"), ("p99: 1s", "warning")])
def test_lines_that_share_a_circuit_share_its_fate(promise: str, severity: str, tmp_path: Path) -> None:
    news = 'exchange: exchange, protocol: raw, peak: {rate: 1 pps, bytes: 9}, lines: {A: {source: 198.51.100.31, groups: {main: "239.10.3.1:20001"}}}'  # fmt: skip
    text = BASE.replace("feeds:\n", f"feeds:\n  news: {{{news}}}\n", 1).replace(
        "carries: [quotes.B]", "carries: [news.A]"
    )
    text = text.replace("carries: [quotes.A]", "carries: [quotes.A, quotes.B]")
    text = text.replace("p99: 60ms, availability: 99.999%, survives: any-one-failure", promise)
    (problem,) = problems_of(text, tmp_path)
    assert problem.severity == severity
    assert "circuit circuit-a" in problem.message


def test_raw_comes_by_one_way(tmp_path: Path) -> None:
    text = BASE.replace("protocol: moldudp64", "protocol: raw").replace("carries: [quotes.B]", "carries: [quotes.A]")
    text = "".join(line for line in text.splitlines(keepends=True) if "B: {source" not in line)
    text = text.replace("availability: 99.999%, survives: any-one-failure", "availability: 99.999%")
    assert {problem.path for problem in problems_of(text, tmp_path)} == {
        "sites.site1.relays.relay-1.feeds.0",
        "sites.site1.relays.relay-2.feeds.0",
        "subscribers.app.feeds.0",
    }


def test_a_name_that_is_none_hides_nothing(tmp_path: Path) -> None:
    text = BASE.replace("site1:", "Site_1:").replace("asn: 65101", "asn: 65010")
    problems = problems_of(text, tmp_path)
    assert {problem.path for problem in problems} == {"sites.Site_1", "sites.Site_1.asn"}, problems


LINES = BASE.splitlines(keepends=True)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_edit_makes_it_crash(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(lines) - 1))
        other = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                lines[place] = ""
            case 1:
                lines[place], lines[other] = lines[other], lines[place]
            case 2:
                lines[place] = lines[place].replace(
                    "quotes", data.draw(st.sampled_from(["quote", "relay-1", "a.b.c", "1"]))
                )
            case _:
                lines[place] = lines[place].replace(
                    ": ", data.draw(st.sampled_from([": [", ":", ": 7 #", ": {} #"])), 1
                )
    problems_of("".join(lines), tmp_path_factory.mktemp("edit"))
