"""Our EOS text against Arista's own renderer of it, command by command in its context.

No grammar of ours covers EOS; its oracle is pyavd, which is made to say the same from the same router.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import eos_proof
import pytest
from platform_plans import compiled, everything, plain, rendered, site_routers, with_radius

from lanecast.plan.model import Platform
from lanecast.router import Router


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
