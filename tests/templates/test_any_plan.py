"""Plans made by hypothesis, on routers of any platform: no crash, no gap, no unresolved name, no secret in the open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from generated_plans import SECRET, Document, plans, properties
from hypothesis import given
from hypothesis import strategies as st
from platform_plans import PORTS, SECRETS, compiled, site_routers, ssh_key

from lanecast.plan.model import Platform
from lanecast.platforms import FACTS, Feature
from lanecast_templates import grammars
from lanecast_templates.readers import read_back
from lanecast_templates.renderer import SECRET_MODE, SecretResolver, render_fabric
from lanecast_templates.router_templates import OTHERS, router_templates

KNOWN = {**SECRETS, SECRET: "not-to-be-guessed"}
PLATFORMS = sorted({*OTHERS, Platform.FRR}, key=lambda platform: platform.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any-plan")


@st.composite
def on_any_platforms(draw: st.DrawFn) -> Document:
    """A plan whose routers are of any platform, with some of what all of them can do."""
    document: Document = draw(plans())
    used: set[Platform] = set()
    for site in document["sites"].values():
        platforms = [draw(_router(site, router)) for router in site["routers"].values()]
        used.update(platforms)
        draw(_lines(site, _abilities(platforms)))
    draw(_management(document, used))
    return document


def _abilities(platforms: list[Platform]) -> set[Feature]:
    """What all of them can do."""
    return set(Feature).difference(*(FACTS[platform].lacks for platform in platforms))


@st.composite
def _router(draw: st.DrawFn, site: Document, router: Document) -> Platform:
    platform = draw(st.sampled_from(PLATFORMS))
    can = _abilities([platform])
    ports = iter(range(1, 60))
    purposes = [*router["circuits"], *site["uplinks"], "multicast", "lan"]
    router["platform"] = platform.value
    router["ports"] = {purpose: PORTS[platform].format(next(ports)) for purpose in purposes}
    if Feature.SWITCH in can and draw(st.booleans()):
        del router["ports"]["multicast"], router["ports"]["lan"]
        vlans = {"multicast": 3310, "lan": 3311}
        router["switch"] = {
            purpose: {"vlan": vlan, "access-ports": [PORTS[platform].format(next(ports)) for _ in range(2)]}
            for purpose, vlan in vlans.items()
        }
    if Feature.VRF in can and draw(st.booleans()):
        router["vrf"] = draw(st.sampled_from(["market-data", "Feeds", "a"]))
    if Feature.UNUSED_PORTS in can and draw(st.booleans()):
        router["unused-ports"] = [PORTS[platform].format(next(ports)) for _ in range(draw(st.integers(1, 3)))]
    if Feature.STATIC_JOINS in can and draw(st.booleans()):
        carried = [line for name in router["circuits"] for line in site["circuits"][name]["carries"]]
        router["static-joins"] = draw(st.lists(st.sampled_from(carried), min_size=1, unique=True))
    return platform


@st.composite
def _lines(draw: st.DrawFn, site: Document, can: set[Feature]) -> None:
    for line in (*site["circuits"].values(), *site["uplinks"].values()):
        # What the cloud takes of a dedicated line is narrower than what routers take.
        least_ms, multipliers = (200, (3, 10)) if "to" in line else (50, (3, 50))
        if line.get("routing") == "static":
            continue
        if Feature.BFD in can and draw(st.booleans()):
            line["bfd"] = {
                "interval": f"{draw(st.integers(least_ms, 999))}ms",
                "multiplier": draw(st.integers(*multipliers)),
            }
        if Feature.TCP_AO in can and "password" not in line and draw(st.booleans()):
            algorithm = draw(st.sampled_from(["hmac-sha-1-96", "aes-128-cmac-96"]))
            line["tcp-ao"] = {
                "key-id": draw(st.integers(0, 255)),
                "algorithm": algorithm,
                "secret": {"environment": "AO_KEY"},
            }
    for circuit in site["circuits"].values():
        if Feature.DR_PRIORITY in can and draw(st.booleans()):
            circuit["dr-priority"] = draw(st.integers(1, 4_294_967_295))


@st.composite
def _management(draw: st.DrawFn, document: Document, platforms: set[Platform]) -> None:
    can = _abilities(list(platforms))
    managed: dict[str, Any] = document.setdefault("management", {})
    if draw(st.booleans()):
        number: int = draw(st.integers(1, 2))
        managed["ntp"] = {"servers": ["198.18.0.5", "198.18.0.6"][:number]}
        if Feature.NTP_KEY in can and draw(st.booleans()):
            managed["ntp"]["key"] = {"id": draw(st.integers(1, 65534)), "secret": {"environment": "NTP_KEY"}}
    if Feature.SYSLOG in can and draw(st.booleans()):
        managed["syslog"] = ["198.18.0.8"]
    protocols = [name for name, each in (("tacacs+", Feature.TACACS), ("radius", Feature.RADIUS)) if each in can]
    if draw(st.booleans()) and protocols:
        secret = {"environment": "AAA_KEY"}
        managed["aaa"] = {"protocol": draw(st.sampled_from(protocols)), "servers": ["198.18.0.10"], "key": secret}
    if Feature.USERS in can and draw(st.booleans()):
        key = ssh_key(platforms)
        managed["users"] = {"netops": {"ssh-key": key}, "audit": {"ssh-key": key}}


@properties
@given(on_any_platforms())
def test_any_plan_on_any_platforms(folder: Path, document: Document) -> None:
    fabric = compiled(document, folder)
    files = render_fabric(fabric, SecretResolver(KNOWN))
    assert len({file.path for file in files}) == len(files)
    for file in files:
        assert not re.search(r"Undefined|\bNone\b|<[a-z_]+\.[A-Z]", file.text), file.path
        holds = [name for name, secret in KNOWN.items() if secret in file.text]
        assert not holds or file.mode == SECRET_MODE, f"{file.path} holds {holds}"
    by_path = {str(file.path): file.text for file in files}
    for router in site_routers(fabric):
        text = by_path[f"{router.name}/{router_templates(router.platform).main}"]
        assert read_back(router, text) == [], router.name
        if router.platform.value in grammars.platforms():
            assert grammars.check_text(router.platform.value, text) == [], router.name
