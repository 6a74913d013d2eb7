"""Our EOS text against Arista's own renderer of it, command by command in its context.

No grammar of ours covers EOS; its oracle is pyavd, which is made to say the same from the same router.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import eos_proof
import pytest
from platform_plans import compiled, everything, plain, rendered, site_routers, with_radius

from lanecast.plan.model import Platform
from lanecast.router import Prefixes, Router
from lanecast_templates.errors import RenderError
from lanecast_templates.renderer import SecretResolver
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.eos import eos_router


def with_static_uplinks(document: dict[str, Any]) -> dict[str, Any]:
    for site in document["sites"].values():
        for uplink in site["uplinks"].values():
            uplink["routing"] = "static"
    return document


def without_vrfs(document: dict[str, Any]) -> dict[str, Any]:
    """pyavd knows less of neighbours in VRFs."""
    for site in document["sites"].values():
        for router in site["routers"].values():
            router.pop("vrf", None)
    return document


PLANS = {
    "plain": lambda: plain(Platform.EOS),
    "everything": lambda: everything(Platform.EOS),
    "radius": lambda: with_radius(everything(Platform.EOS)),
    "without a VRF": lambda: without_vrfs(everything(Platform.EOS)),
    "static": lambda: with_static_uplinks(plain(Platform.EOS)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("eos")


@cache
def texts(plan: str, folder: Path) -> tuple[tuple[Router, str], ...]:
    fabric = compiled(PLANS[plan](), folder)
    files = rendered(fabric)
    return tuple((router, files[f"{router.name}/eos.conf"].text) for router in site_routers(fabric))


@pytest.mark.parametrize("plan", PLANS)
def test_every_command_is_pyavds_or_has_its_source(plan: str, folder: Path) -> None:
    for router, text in texts(plan, folder):
        assert eos_proof.unexplained(router, text) == [], router.name


@pytest.mark.parametrize("plan", PLANS)
def test_commands_stand_in_pyavds_order(plan: str, folder: Path) -> None:
    """Which is that of ``show running-config``, in which a router takes them when the file is loaded."""
    for router, text in texts(plan, folder):
        ours, theirs = eos_proof.order_of_what_both_have(router, text)
        assert ours == theirs, router.name


def test_every_difference_of_the_table_is_one(folder: Path) -> None:
    found: dict[str, list[eos_proof.Pair]] = {"ours": [], "pyavd": []}
    for plan in PLANS:
        for router, text in texts(plan, folder):
            for side, pairs in eos_proof.different(router, text).items():
                found[side] += pairs
    for side, differences in eos_proof.known_differences().items():
        for each in differences:
            assert each.source
            assert any(each.explains(pair) for pair in found[side]), (side, each.line.pattern)
    theirs = [eos_proof.pyavd_text(router) for plan in PLANS for router, _ in texts(plan, folder)]
    for spelled in eos_proof.respelled():
        assert spelled.source
        assert any(spelled.pyavd.search(text) for text in theirs), spelled.pyavd.pattern


def test_commands_are_told_apart_by_their_context() -> None:
    text = "interface Ethernet1\n   shutdown\n!\nrouter bgp 1\n   vrf a\n      shutdown\n   bgp\nend\n"
    assert eos_proof.pairs(text) == [
        ((), "interface Ethernet1"),
        (("interface Ethernet1",), "shutdown"),
        ((), "router bgp 1"),
        (("router bgp 1",), "vrf a"),
        (("router bgp 1", "vrf a"), "shutdown"),
        (("router bgp 1",), "bgp"),
        ((), "end"),
    ]


@pytest.mark.parametrize("plan", ["plain", "everything"])
def test_a_command_too_many_too_few_or_elsewhere_is_told(plan: str, folder: Path) -> None:
    router, text = texts(plan, folder)[0]
    for broken in (
        text.replace("   no switchport\n", "", 1),
        text.replace("ip routing\n", "ip routing\nip source-route\n", 1),
        text.replace(" action deny\n", " action permit\n", 1),
        text.replace("   routing\n", "routing\n", 1),
    ):
        assert broken != text
        assert eos_proof.unexplained(router, broken) != []


def test_a_plan_that_names_nobody_cuts_off_no_management_port(folder: Path) -> None:
    document = plain(Platform.EOS)
    document["sites"]["hk1"]["routers"]["hk1-r2"]["vrf"] = "market-data"
    fabric = compiled(document, folder)
    first, second = (rendered(fabric)[f"hk1-r{number}/eos.conf"].text for number in (1, 2))
    rules = [line.split(maxsplit=1)[1] for line in first.splitlines() if line.endswith("eq 22")]
    own = sorted(address.ip for each in fabric.router("hk1-r1").interfaces for address in each.addresses)
    assert rules == [*(f"deny tcp any host {each} eq 22" for each in own), "permit tcp any any eq 22"]
    assert "management ssh\n   idle-timeout 15\n!" in first
    assert "management ssh\n   idle-timeout 15\n!" in second, "not in the VRF, and elsewhere as before"
    assert "eq 22" not in second


@pytest.mark.parametrize(
    ("section", "value", "told"),
    [
        ("timers", {"bgp-hold": "9000s"}, "BGP's hold time is 9000; EOS takes 3 to 7200"),
        ("timers", {"bgp-keepalive": "4000s", "bgp-hold": "7200s"}, "BGP's keepalive interval is 4000"),
        ("timers", {"pim-hello": "70000s"}, "PIM's hello interval on Ethernet1.101 is 70000"),
        ("exchanges", None, "the bound of active sources of 198.51.100.250 is 50000; EOS takes 0 to 40000"),
        ("sites", None, "EOS calls the global table default"),
    ],
)
def test_what_eos_does_not_take_is_told_before_anything_is_written(
    section: str, value: dict[str, str] | None, told: str, tmp_path: Path
) -> None:
    document = everything(Platform.EOS)
    match section:
        case "exchanges":
            document["exchanges"]["cme"]["rendezvous"]["msdp"]["maximum-active-sources"] = 50_000
        case "sites":
            document["sites"]["hk1"]["routers"]["hk1-r2"]["vrf"] = "default"
        case _:
            document[section] = value
    fabric = compiled(document, tmp_path)
    with pytest.raises(RenderError) as refused:
        rendered(fabric)
    assert told in str(refused.value)


def test_registers_from_some_senders_alone_are_told(folder: Path) -> None:
    router = next(router for router, _ in texts("everything", folder) if router.name == "hk1-r1")
    assert router.multicast is not None
    senders = Prefixes("rp-registers", (IPv4Network("198.51.100.0/24"),))
    points = tuple(replace(point, register_sources=senders) for point in router.multicast.rendezvous_points)
    asked = replace(router, multicast=replace(router.multicast, rendezvous_points=points))
    secrets = RouterSecrets(compiled(everything(Platform.EOS), folder), asked, SecretResolver({}))
    with pytest.raises(RenderError, match=r"cannot take registers for 10\.255\.255\.1 from some senders alone"):
        eos_router(asked, secrets)
