"""What is rendered, in real FRR daemons: nothing is refused, and what the Fabric asks for is what runs.

The expectations are read from the Fabric, never from the rendered text: a line that a template forgets is noticed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from platform_plans import compiled, everything, rendered

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan
from lanecast.plan.model import Platform
from lanecast.router import (
    BgpNeighbor,
    InterfaceKind,
    InterfaceRole,
    Prefixes,
    Router,
)
from lanecast_templates.frr_configuration import complaints, missing_lines
from lanecast_templates.frr_daemons import DAEMON_ORDER
from lanecast_templates.renderer import RenderedFile, SecretResolver, render_fabric

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not Path("/usr/lib/frr/pimd").exists(), reason="FRR is not on this machine"),
]

PROOF = Path(__file__).with_name("frr_proof.py")
TWO_SITES = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
ODD_PASSWORD = "s3cret|with\"odd!marks#in'it?"
SECRETS = SecretResolver({"HK1_A": ODD_PASSWORD, "HK1_UP1": "another-one"})
WITHIN_S = 20
"""How long FRR may take until its interfaces are up; it takes less than a second."""

ISOLATED = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]


@cache
def two_sites() -> Fabric:
    return compile_plan(load_plan(TWO_SITES), {})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Fabric:
    """The same network with passwords and a static uplink."""
    text = TWO_SITES.read_text()
    text = text.replace("carries: [cme-310.A]}", "carries: [cme-310.A], password: {environment: HK1_A}}")
    text = text.replace(
        "bandwidth: 1G, routing: bgp, role: primary}",
        "bandwidth: 1G, routing: bgp, role: primary, password: {environment: HK1_UP1}}",
        1,
    )
    text = text.replace("delay: 9ms, bandwidth: 1G, routing: bgp", "delay: 9ms, bandwidth: 1G, routing: static")
    plan = tmp_path_factory.mktemp("guarded") / "plan.yaml"
    plan.write_text(text)
    return compile_plan(load_plan(plan), {})


def files_of(fabric: Fabric, router: str) -> dict[str, RenderedFile]:
    """A router's FRR files, by name."""
    files = render_fabric(fabric, SECRETS)
    return {file.path.name: file for file in files if file.path.parent.parts[-3:] == (router, "etc", "frr")}


@dataclass(frozen=True)
class Seen:
    """What FRR made of a configuration."""

    asked: str
    answers: dict[str, Any] = field(repr=False)


def proof(router: Router, files: dict[str, RenderedFile], folder: Path, text: str | None = None, **more: Any) -> Seen:
    """Run a router's files, or ``text`` in place of its configuration."""
    asked = files["frr.conf"].text if text is None else text
    configuration = folder / "frr.conf"
    configuration.write_text(asked)
    enabled = [line.partition("=")[0] for line in files["daemons"].text.splitlines() if line.endswith("=yes")]
    multicast = router.multicast
    question = {
        "configuration": str(configuration),
        "interfaces": [each.name for each in router.interfaces if each.kind is not InterfaceKind.LOOPBACK],
        "daemons": [daemon for daemon in DAEMON_ORDER if daemon in {*enabled, "staticd"}],
        "pim": [pim.interface for pim in multicast.pim] if multicast else [],
        "igmp": [igmp.interface for igmp in multicast.igmp] if multicast else [],
        "within_s": WITHIN_S,
        "static_routes": len({route.prefix for route in router.routes}),
        **more,
    }
    command = [*ISOLATED, sys.executable, str(PROOF)]
    result = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return Seen(asked, json.loads(result.stdout))


def wrong(router: Router, seen: Seen) -> list[str]:
    """Everything in which FRR differs from what the Fabric asks for."""
    found = [f"vtysh said: {line}" for line in complaints(seen.answers["said"])]
    found += [f"not running: {line}" for line in missing_lines(seen.asked, seen.answers["running"])]
    return [*found, *_differences(router, seen.answers), *_unlisted(router, seen.answers["running"])]


def _differences(router: Router, answers: dict[str, Any]) -> Iterator[str]:
    yield from _multicast_differences(router, answers)
    for neighbor in router.bgp.neighbors if router.bgp else ():
        yield from _neighbor_differences(router, neighbor, answers.get("bgp", {}).get(str(neighbor.address)))
    if router.bgp is not None:
        originated = set(answers.get("bgp_table", {}).get("routes", {}))
        if originated != {str(network) for network in router.bgp.networks}:
            yield f"originates {sorted(originated)}"
    distances = {(str(route.prefix), route.metric) for route in router.routes}
    installed = {(prefix, route["distance"]) for prefix, ways in answers["static"].items() for route in ways}
    if distances != installed:
        yield f"static routes are {sorted(installed)}"


def _multicast_differences(router: Router, answers: dict[str, Any]) -> Iterator[str]:
    multicast = router.multicast
    if multicast is None:
        return
    asked = {pim.interface: pim for pim in multicast.pim}
    pim = answers["pim"]
    if set(pim) != set(asked):
        yield f"PIM runs on {sorted(pim)}"
    for name, state in pim.items():
        if state["state"] != "up" or state.get("passive", False) is not asked[name].passive:
            yield f"{name}: PIM is {state['state']}, passive {state.get('passive', False)}"
        if not asked[name].passive and state["helloPeriod"] != asked[name].hello_s:
            yield f"{name}: hello every {state['helloPeriod']} s"
    igmp = {name: state for name, state in answers["igmp"].items() if not state.get("mtraceOnly")}
    timers_asked = {each.interface: (3, each.query_interval_s, each.max_response_ds * 100) for each in multicast.igmp}
    if set(igmp) != set(timers_asked):
        yield f"IGMP runs on {sorted(igmp)}"
    for name, state in igmp.items():
        timers = (state["version"], state["timerQueryInterval"], state["timerQueryResponseIntervalMsec"])
        if timers != timers_asked[name]:
            yield f"{name}: IGMP version, query interval and response time are {timers}"


def _neighbor_differences(router: Router, neighbor: BgpNeighbor, state: dict[str, Any] | None) -> Iterator[str]:
    if state is None or router.bgp is None:
        yield f"no neighbor {neighbor.address}"
        return
    unicast = state["addressFamilyInfo"].get("ipv4Unicast", {})
    pairs = {
        "remote AS": (state["remoteAs"], neighbor.asn),
        "own AS": (state["localAs"], router.bgp.asn),
        "hold time": (state["bgpTimerConfiguredHoldTimeMsecs"], router.bgp.hold_s * 1000),
        "keepalive": (state["bgpTimerConfiguredKeepAliveIntervalMsecs"], router.bgp.keepalive_s * 1000),
        "connect retry": (state["connectRetryTimer"], router.bgp.connect_retry_s),
        "hops away (RFC 5082)": (state.get("externalBgpNbrMaxHopsAway"), 1),
        "password": (bool(state.get("authenticationEnabled")), neighbor.password is not None),
        "accepted": (unicast.get("incomingUpdatePrefixFilterList"), neighbor.accept.name),
        "announced": (unicast.get("outgoingUpdatePrefixFilterList"), neighbor.announce.name),
        "AS paths": (unicast.get("incomingUpdateAsPathFilterList"), neighbor.accept_as_paths),
        "maximum prefixes": (unicast.get("prefixAllowedMax"), neighbor.maximum_prefixes),
    }
    for what, (measured, wanted) in pairs.items():
        if measured != wanted:
            yield f"{neighbor.address}: {what}: {measured} instead of {wanted}"


def _by_context(running: str) -> dict[str, list[str]]:
    """The lines of a running configuration below the top one that they stand under."""
    lines: dict[str, list[str]] = {}
    context = ""
    for line in running.splitlines():
        context = context if line.startswith(" ") else line
        lines.setdefault(context, []).append(line.strip())
    return lines


def _unlisted(router: Router, running: str) -> Iterator[str]:
    """What no answer in JSON shows, from the running configuration: lists, boundaries and what BGP insists on."""
    lines = _by_context(running)
    named: list[Prefixes] = []
    if router.multicast is not None:
        named += [Prefixes("ssm-ranges", router.multicast.ssm_ranges, 32), *dict(router.multicast.boundaries).values()]
        if "ip pim ssm prefix-list ssm-ranges" not in lines:
            yield "no SSM range"
        for name, boundary in router.multicast.boundaries:
            if f"ip multicast boundary oil {boundary.name}" not in lines[f"interface {name}"]:
                yield f"{name} has no boundary {boundary.name}"
    if router.bgp is not None:
        bgp = lines[f"router bgp {router.bgp.asn}"]
        if "no bgp ebgp-requires-policy" in bgp:
            yield "BGP requires no policy (RFC 8212)"
        for neighbor in router.bgp.neighbors:
            named += [neighbor.accept, neighbor.announce]
            if f"neighbor {neighbor.address} enforce-first-as" not in bgp:
                yield f"{neighbor.address}: does not enforce the first AS (RFC 4271, 6.3)"
            expression = f"^{neighbor.asn}(_{neighbor.asn})*$"
            if _entries(lines, f"bgp as-path access-list {neighbor.accept_as_paths}") != [("permit", expression)]:
                yield f"AS-path list {neighbor.accept_as_paths} is not {expression}"
    for prefixes in named:
        entries = _entries(lines, f"ip prefix-list {prefixes.name}")
        found = {value for action, value in entries if action == "permit"}
        if found != _permitted(prefixes) or not entries:
            yield f"prefix list {prefixes.name} permits {sorted(found)}"


def _entries(lines: dict[str, list[str]], beginning: str) -> list[tuple[str, str]]:
    """What a list permits and denies: FRR prints ``beginning seq 5 permit value``."""
    own = [
        line.removeprefix(f"{beginning} seq ").split(maxsplit=2) for line in lines if line.startswith(f"{beginning} ")
    ]
    return [(action, value) for _, action, value in own]


def _permitted(prefixes: Prefixes) -> set[str]:
    longest = prefixes.longer or 0
    return {f"{prefix} le {longest}" if longest > prefix.prefixlen else str(prefix) for prefix in prefixes.permitted}


@pytest.mark.parametrize("name", [router.name for router in two_sites().routers])
def test_frr_runs_what_the_fabric_asks_for(name: str, tmp_path: Path) -> None:
    router = two_sites().router(name)
    assert wrong(router, proof(router, files_of(two_sites(), name), tmp_path)) == []


@pytest.mark.parametrize("name", ["cme-router", "hk1-r1", "hk1-r2", "hk1-up1-gateway", "hk1-up2-gateway"])
def test_passwords_and_static_uplinks(guarded: Fabric, name: str, tmp_path: Path) -> None:
    router = guarded.router(name)
    assert wrong(router, proof(router, files_of(guarded, name), tmp_path)) == []


@pytest.fixture(scope="module")
def everything_asked(tmp_path_factory: pytest.TempPathFactory) -> Fabric:
    """The network with BFD, static joins, a DR priority, a rendezvous point and passwords."""
    return compiled(everything(Platform.FRR), tmp_path_factory.mktemp("everything"))


@pytest.mark.parametrize("name", ["cme-router", "gz1-r1", "hk1-r1", "hk1-r2", "hk1-up1-gateway", "nasdaq-router"])
def test_everything_that_a_plan_can_ask_for(everything_asked: Fabric, name: str, tmp_path: Path) -> None:
    router = everything_asked.router(name)
    files = {
        file.path.name: file
        for path, file in rendered(everything_asked).items()
        if path.endswith((f"{name}/etc/frr/frr.conf", f"{name}/etc/frr/daemons"))
    }
    assert wrong(router, proof(router, files, tmp_path)) == []


BREAKAGES = {
    "an unknown command": ("ip igmp version 3", "ip igmp verzion 3", "Unknown command"),
    "PIM forgotten": ("\n ip pim\n ip pim hello 1\n", "\n", "PIM runs on"),
    "not passive": (" ip pim passive\n", "", "passive False"),
    "another hello": ("ip pim hello 1", "ip pim hello 7", "hello every 7 s"),
    "IGMP forgotten": (
        "\n ip igmp\n ip igmp version 3\n ip igmp query-max-response-time 10\n ip igmp query-interval 5\n",
        "\n",
        "IGMP runs on []",
    ),
    "an older IGMP": ("ip igmp version 3", "ip igmp version 2", "are (2, 5, 1000)"),
    "timers in the order that FRR refuses": (
        " ip igmp query-max-response-time 10\n ip igmp query-interval 5\n",
        " ip igmp query-interval 5\n ip igmp query-max-response-time 10\n",
        "not running: interface mc: ip igmp query-interval 5",
    ),
    "no boundary": (" ip multicast boundary oil carried-groups\n", "", "mc has no boundary carried-groups"),
    "another boundary": (
        "carried-groups seq 5 permit 224.0.31.1/32",
        "carried-groups seq 5 permit 224.0.0.0/4",
        "carried-groups permits",
    ),
    "an open list": ("out-hk1-a seq 5 deny any", "out-hk1-a seq 5 permit any", "out-hk1-a permits"),
    "no SSM range": ("ip pim ssm prefix-list ssm-ranges\n", "", "no SSM range"),
    "a range of no group": ("232.0.0.0/8 le 32", "232.0.0.0/8", "ssm-ranges permits"),
    "no accept list": (" prefix-list from-hk1-a in\n", " activate\n", "accepted: None"),
    "no announce list": (" prefix-list to-hk1-a out\n", " activate\n", "announced: None"),
    "no AS-path list": (" filter-list as-65010 in\n", " activate\n", "AS paths: None"),
    "another AS path": ("^65010(_65010)*$", ".*", "as-65010 is not"),
    "no limit of prefixes": (" maximum-prefix ", " weight ", "maximum prefixes: None"),
    "no first AS enforced": (" enforce-first-as\n", " disable-connected-check\n", "does not enforce"),
    "no GTSM": (" ttl-security hops 1\n", " ebgp-multihop 2\n", "hops away (RFC 5082): 2"),
    "no password": (f" password {ODD_PASSWORD}\n", " disable-connected-check\n", "password: False"),
    "another hold time": ("timers bgp 3 9", "timers bgp 4 12", "hold time: 12000"),
    "no policy required": ("bgp ebgp-requires-policy", "no bgp ebgp-requires-policy", "requires no policy"),
    "nothing originated": ("\n  network ", "\n  !network ", "originates []"),
}
"""What a template could get wrong, as (right, wrong) text, and what then has to be said."""


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_wrong_template_is_noticed(guarded: Fabric, breakage: str, tmp_path: Path) -> None:
    router = guarded.router("hk1-r1")
    files = files_of(guarded, router.name)
    right, broken, expected = BREAKAGES[breakage]
    assert right in files["frr.conf"].text
    text = files["frr.conf"].text.replace(right, broken)
    assert any(expected in said for said in wrong(router, proof(router, files, tmp_path, text, within_s=3)))


def test_only_groups_that_are_carried_can_be_joined(tmp_path: Path) -> None:
    """The multicast boundary (STIG AMLS-L3-000130): FRR keeps no membership of a group that its list does not permit."""
    router = two_sites().router("hk1-r1")
    segment = next(i for i in router.interfaces if i.role is InterfaceRole.MULTICAST)
    host = list(segment.address.network.hosts())[-1]
    assert host != segment.address.ip
    carried = next(line for line in two_sites().feed("cme-310").lines if line.name == "A")
    elsewhere = next(line for line in two_sites().feed("nasdaq-itch").lines if line.name == "A")
    joins = [(str(group.address), str(line.source)) for line in (elsewhere, carried) for group in line.groups.values()]
    seen = proof(
        router, files_of(two_sites(), router.name), tmp_path,
        interface=segment.name, host=f"{host}/{segment.address.network.prefixlen}", joins=joins,
    )  # fmt: skip
    found = set(seen.answers["memberships"].get(segment.name, {}))
    assert {str(group.address) for group in carried.groups.values()} <= found
    assert not found & {str(group.address) for group in elsewhere.groups.values()}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = set(Path("/var/tmp").iterdir()), set(Path("/run").iterdir())
    router = two_sites().router("hk1-up1-gateway")
    proof(router, files_of(two_sites(), router.name), tmp_path)
    assert (set(Path("/var/tmp").iterdir()), set(Path("/run").iterdir())) == before
    assert shutil.which("ip") is not None
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout)
    assert not {link["ifname"] for link in links} & {interface.name for interface in router.interfaces}
