"""Plans for each platform: the example of two sites with other routers, plainly or with everything that they can do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan
from lanecast.plan.model import Platform
from lanecast.platforms import FACTS, Feature
from lanecast.router import Router, RouterRole
from lanecast_templates.renderer import RenderedFile, SecretResolver, render_fabric

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples/two-sites.yaml"
PORTS = {
    Platform.FRR: "eth{}",
    Platform.EOS: "Ethernet{}",
    Platform.IOS_XE: "GigabitEthernet0/0/{}",
    Platform.NX_OS: "Ethernet1/{}",
    Platform.JUNOS: "xe-0/0/{}",
    Platform.HUAWEI_VRP: "GigabitEthernet0/1/{}",
    Platform.H3C_COMWARE: "GigabitEthernet1/0/{}",
    Platform.VYOS: "eth{}",
}
SECRETS = {
    name: f"{name.lower()}-secret".replace("_", "-")
    for name in ("CME_A", "CME_B", "UPLINK", "AO_KEY", "MSDP", "NTP_KEY", "AAA_KEY")
}
"""By the environment variable that the plans name; no value occurs in a text for any other reason."""

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1VyXbBqcMiKjLqTVZKTTxV1DRC5HyOEhxWF4IlZKhv netops@example"
ECDSA_KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBE62Vw9ukUCGf+0S1LBeSagfVA7U"
    "SbVRiyjxCkmqntj7wRtCRyb2pRXQ2n+9RGpQPCSWGg1+aRjxjGLn8oS65Qk= netops@example"
)
"""For routers that take no Ed25519 keys."""


def plain(platform: Platform) -> dict[str, Any]:
    """The example with every router of ``platform``."""
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    for site in document["sites"].values():
        for router in site["routers"].values():
            router["platform"] = platform.value
            purposes = [*router["circuits"], *router["uplinks"], "multicast", "lan"]
            router["ports"] = {purpose: PORTS[platform].format(number) for number, purpose in enumerate(purposes, 1)}
    return document


def everything(platform: Platform, also: frozenset[Feature] = frozenset()) -> dict[str, Any]:
    """The same, with all that a plan can ask for and the platform does not lack, and ``also`` what it does."""
    document = plain(platform)
    can = set(Feature) - set(FACTS[platform].lacks) | also
    sites = document["sites"]
    circuit_a, circuit_b = sites["hk1"]["circuits"]["hk1-a"], sites["hk1"]["circuits"]["hk1-b"]
    uplinks = [uplink for site in sites.values() for uplink in site["uplinks"].values()]
    first, second = sites["hk1"]["routers"]["hk1-r1"], sites["hk1"]["routers"]["hk1-r2"]
    if Feature.PASSWORD in can:
        circuit_a["password"] = {"environment": "CME_A"}
        circuit_b["password"] = {"environment": "CME_B"}
        uplinks[0]["password"] = {"environment": "UPLINK"}
    if Feature.TCP_AO in can:
        uplinks[1]["tcp-ao"] = {"key-id": 7, "secret": {"environment": "AO_KEY"}}
    if Feature.BFD in can:
        circuit_a["bfd"] = {"interval": "300ms", "multiplier": 3}
        uplinks[0]["bfd"] = {"interval": "250ms", "multiplier": 4}
    if Feature.DR_PRIORITY in can:
        circuit_a["dr-priority"] = 200
    if Feature.STATIC_JOINS in can:
        first["static-joins"] = ["cme-310.A"]
    if Feature.VRF in can:
        second["vrf"] = "market-data"
    if Feature.SWITCH in can:
        ports = [PORTS[platform].format(number) for number in range(11, 15)]
        for purpose in ("multicast", "lan"):
            del second["ports"][purpose]
        second["switch"] = {
            "multicast": {"vlan": 310, "access-ports": ports[:2]},
            "lan": {"vlan": 311, "access-ports": ports[2:]},
        }
    if Feature.UNUSED_PORTS in can:
        first["unused-ports"] = [PORTS[platform].format(number) for number in (8, 9)]
    if Feature.RENDEZVOUS_POINT in can:
        document["exchanges"]["nasdaq"]["rendezvous"] = {"address": "203.0.113.14", "groups": ["239.3.0.0/16"]}
    if Feature.MSDP in can:
        document["exchanges"]["cme"]["rendezvous"] = {
            "address": "198.51.100.250",
            "groups": ["239.4.0.0/16"],
            "msdp": {"maximum-active-sources": 50},
        }
        if Feature.MSDP_PASSWORD in can:
            document["exchanges"]["cme"]["rendezvous"]["msdp"]["password"] = {"environment": "MSDP"}
        sites["hk1"]["rendezvous"] = "10.255.255.1"
    document["management"] = _management(platform, can)
    return document


def _management(platform: Platform, can: set[Feature]) -> dict[str, Any]:
    managed: dict[str, Any] = {"ssh-from": ["10.0.0.0/24", "10.0.7.1/32"], "ntp": {"servers": ["10.0.0.5", "10.0.0.6"]}}
    if Feature.NTP_KEY in can:
        managed["ntp"]["key"] = {"id": 3, "secret": {"environment": "NTP_KEY"}}
    if Feature.PTP in can:
        managed["ptp"] = {"domain": 24}
    if Feature.SYSLOG in can:
        managed["syslog"] = ["10.0.0.8", "10.0.0.9"]
    if Feature.RADIUS in can:
        managed["aaa"] = {
            "protocol": "radius",
            "servers": ["10.0.0.10", "10.0.0.11"],
            "key": {"environment": "AAA_KEY"},
        }
    if Feature.TACACS in can:
        managed["aaa"] = {
            "protocol": "tacacs+",
            "servers": ["10.0.0.10", "10.0.0.11"],
            "key": {"environment": "AAA_KEY"},
        }
    if Feature.USERS in can:
        managed["users"] = {"netops": {"ssh-key": ssh_key([platform])}}
    return managed


def ssh_key(platforms: Iterable[Platform]) -> str:
    """A public key that all of them take."""
    kind = SSH_KEY.partition(" ")[0]
    return SSH_KEY if all(FACTS[platform].ssh_keys.fullmatch(kind) for platform in platforms) else ECDSA_KEY


def with_radius(document: dict[str, Any]) -> dict[str, Any]:
    """The plan with RADIUS in place of TACACS+."""
    servers = {"protocol": "radius", "servers": ["10.0.0.10", "10.0.0.11"], "key": {"environment": "AAA_KEY"}}
    return {**document, "management": {**document["management"], "aaa": servers}}


def compiled(document: dict[str, Any], folder: Path) -> Fabric:
    """The plan through the loader, with all its checks, and the compiler."""
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return compile_plan(load_plan(path), {})


def rendered(fabric: Fabric) -> dict[str, RenderedFile]:
    """Every rendered file by its path."""
    return {str(file.path): file for file in render_fabric(fabric, SecretResolver(SECRETS))}


def site_routers(fabric: Fabric) -> list[Router]:
    """The routers that are ours to configure."""
    return [router for router in fabric.routers if router.role is RouterRole.SITE]
