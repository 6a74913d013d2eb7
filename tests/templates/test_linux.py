"""What is rendered for Linux, in a real kernel: settings, addresses, routes and packet filters, applied twice."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lanecast.compiler import compile_plan
from lanecast.fabric import (
    Fabric,
    Host,
    HostRole,
)
from lanecast.plan.loader import load_plan
from lanecast.router import Router
from lanecast_templates.networkd_files import NETDEV, NETWORK, NetworkdError, NetworkdFiles, read_files
from lanecast_templates.networkd_files import NETWORKD as KEYS_OF_NETWORKD
from lanecast_templates.renderer import SecretResolver, render_fabric

PROOF = Path(__file__).with_name("linux_proof.py")
TWO_SITES = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
ISOLATED = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
APPLIED_BY = {
    "sysctl.d/60-lanecast.conf": ["sysctl", "-q", "-p"],
    "nftables.conf": ["nft", "-f"],
}
"""How the lab or a distribution's own service applies a file."""

NETWORKD = Path("/lib/systemd/systemd-networkd")


@cache
def fabric() -> Fabric:
    return compile_plan(load_plan(TWO_SITES), {})


@cache
def rendered() -> dict[str, str]:
    """Every file's text, by path, without ``counterparts/``."""
    return {str(f.path).removeprefix("counterparts/"): f.text for f in render_fabric(fabric(), SecretResolver({}))}


def networkd_texts(node: Router | Host) -> dict[str, str]:
    folder = f"{node.name}/etc/systemd/network/"
    return {path.removeprefix(folder): text for path, text in rendered().items() if path.startswith(folder)}


def networkd_files(node: Router | Host) -> NetworkdFiles:
    return read_files(networkd_texts(node))


def proof(node: Router | Host, folder: Path, **more: Any) -> dict[str, Any]:
    names = {interface.name for interface in node.interfaces}
    (folder / "networkd").write_text("".join(f"{line}\n" for line in networkd_files(node).commands(names)))
    apply = [(str(folder / "networkd"), ["ip", "-batch"])]
    for name, command in APPLIED_BY.items():
        for path, text in rendered().items():
            if path == f"{node.name}/etc/{name}":
                (folder / Path(name).name).write_text(text)
                apply.append((str(folder / Path(name).name), command))
    question = {
        "apply": apply,
        "interfaces": [interface.name for interface in node.interfaces],
        "settings": [setting.name for setting in node.sysctls if not setting.machine_wide],
        "filtered": bool(node.firewall.interfaces),
        **more,
    }
    command = [*ISOLATED, sys.executable, str(PROOF)]
    result = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    answers: dict[str, Any] = json.loads(result.stdout)
    return answers


@pytest.mark.lab
@pytest.mark.skipif(shutil.which("nft") is None, reason="nftables is not on this machine")
@pytest.mark.parametrize("name", [node.name for node in fabric().nodes()])
def test_the_kernel_takes_every_file_twice(name: str, tmp_path: Path) -> None:
    node = next(node for node in fabric().nodes() if node.name == name)
    seen = proof(node, tmp_path)
    assert seen["settings"] == {s.name: s.value for s in node.sysctls if not s.machine_wide}
    assert "table inet theirs" in seen["tables"], "another's table is gone"
    assert ("table inet lanecast" in seen["tables"]) is bool(node.firewall.interfaces)
    for rule in node.firewall.rules:
        assert seen["rules"].count(f'iifname "{rule.interface}"') >= 1
        assert seen["counters"][rule.comment] == 0
    if isinstance(node, Host) and node.role is not HostRole.SUBSCRIBER:
        wanted = {interface.name: [str(address) for address in interface.addresses] for interface in node.interfaces}
        assert {name: seen["addresses"][name] for name in wanted} == wanted
        routes = {(r["dst"], r["gateway"], r["dev"], r["metric"]) for r in seen["routes"] if "gateway" in r}
        assert routes == {(_destination(str(r.prefix)), str(r.via), r.interface, r.metric) for r in node.routes}


@pytest.mark.lab
@pytest.mark.skipif(shutil.which("nft") is None, reason="nftables is not on this machine")
def test_a_port_whose_cable_is_out_gives_way_to_the_next_metric(tmp_path: Path) -> None:
    node = next(node for node in fabric().hosts if node.name == "hk1-relay-1")
    ways = sorted((route.metric, route.interface) for route in node.routes if str(route.prefix) == "10.8.0.0/16")
    assert len(ways) == 2
    seen = proof(node, tmp_path, unplug=(ways[0][1], "10.8.2.10"))
    assert seen["ways"] == [interface for _, interface in ways]


def _destination(prefix: str) -> str:
    """A prefix as ``ip`` prints it."""
    return "default" if prefix == "0.0.0.0/0" else prefix.removesuffix("/32")


@pytest.mark.skipif(not NETWORKD.exists(), reason="systemd-networkd is not on this machine")
def test_networkd_knows_every_key_that_is_written() -> None:
    program = NETWORKD.read_bytes()
    written = {
        (section, key) for table in (NETWORK, NETDEV, KEYS_OF_NETWORKD) for section in table for key in table[section]
    }
    assert ("Network", "ConfigureWithoutCarrier") in written
    # Its own table of keys, as it was compiled.
    assert [
        f"{section}.{key}" for section, key in sorted(written) if f"\0{section}.{key}\0".encode() not in program
    ] == []


def plainly(text: str) -> list[tuple[str, str]]:
    """The lines of a file of sections, each with its section, by a reader of its own."""
    found, section = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line
        elif line and line[0] != "#":
            found.append((section, line))
    return found


@pytest.mark.parametrize(
    "name", [node.name for node in fabric().nodes() if isinstance(node, Host) or node.role == "site"]
)
def test_networkd_is_told_of_the_plans_interfaces_and_of_nothing_by_itself(name: str) -> None:
    node = next(node for node in fabric().nodes() if node.name == name)
    texts = networkd_texts(node)
    if isinstance(node, Host) and node.role is HostRole.SUBSCRIBER:
        assert texts == {}, "a cloud gives its instances their addresses"
        return
    networks = {path: plainly(text) for path, text in texts.items() if path.endswith(".network")}
    ports = {interface.name for interface in node.interfaces}
    parents = {interface.parent for interface in node.interfaces if interface.parent is not None}
    assert sorted(networks) == sorted(f"10-lanecast-{port}.network" for port in ports | parents)
    for path, lines in networks.items():
        assert ("[Match]", f"Name={path.removeprefix('10-lanecast-').removesuffix('.network')}") in lines
        assert [line for _, line in lines if line.startswith("Name=")] == [lines[0][1]]
        for silent in ("DHCP", "LinkLocalAddressing", "IPv6AcceptRA", "LLMNR", "MulticastDNS", "LLDP", "EmitLLDP"):
            assert ("[Network]", f"{silent}=no") in lines
        assert (("[Network]", "KeepConfiguration=yes") in lines) is isinstance(node, Router)
    for interface in node.interfaces:
        lines = networks[f"10-lanecast-{interface.name}.network"]
        # FRR has the addresses and routes of its routers in frr.conf: each fact has one home.
        expected = [] if isinstance(node, Router) else [str(address) for address in interface.addresses]
        assert [line.removeprefix("Address=") for section, line in lines if line.startswith("Address=")] == expected
        if interface.parent is not None:
            assert ("[Network]", f"VLAN={interface.name}") in networks[f"10-lanecast-{interface.parent}.network"]
            device = plainly(texts[f"10-lanecast-{interface.name}.netdev"])
            assert device == [
                ("[NetDev]", f"Name={interface.name}"),
                ("[NetDev]", "Kind=vlan"),
                ("[VLAN]", f"Id={interface.vlan}"),
            ]
    routes = [line for lines in networks.values() for section, line in lines if section == "[Route]"]
    told = [] if isinstance(node, Router) else [
        line
        for port in sorted(ports)
        for route in node.routes
        if route.interface == port
        for line in (f"Destination={route.prefix}", f"Gateway={route.via}", f"Metric={route.metric}")
    ]  # fmt: skip
    assert routes == told


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("[Match]", "[Macth]"), "10-a.network:1: no section is called Macth"),
        (("Name=a\n", ""), "10-a.network:1: [Match] has no Name"),
        (("Name=a\n", "Name=a b\n"), "10-a.network:2: Name: expected one word"),
        (("VLAN=a.5", "VLAN=a.6"), "10-a.5.netdev:1: no .network file has VLAN=a.5"),
        (("VLAN=a.5", "VLAN=a.5\nVLAN=a.6"), "10-a.network:1: VLAN=a.6 has no .netdev file"),
        (("/24", ""), "10-a.network:6: Address: expected an address and its prefix length"),
        (("192.0.2.1/24", "192.0.2.256/24"), "10-a.network:6: Address: "),
        (("DHCP=no", "DHCP=off"), "10-a.network:7: DHCP: expected yes or no"),
        (("DHCP=no", "DHCP=no\nDHCP=yes"), "10-a.network:8: a second DHCP in [Network]"),
        (("DHCP=no", "[Network]\nDHCP=no"), "10-a.network:7: expected one section [Network]"),
        (("198.51.100.0/24", "198.51.100.1/24"), "10-a.network:10: Destination: "),
        (("Metric=100\n", ""), "10-a.network:9: [Route] has no Metric"),
        (("Metric=100", "Metric=4294967296"), "10-a.network:12: Metric: expected a number from 0 to 4294967295"),
        (("Kind=vlan", "Kind=bridge"), "10-a.5.netdev:1: a.5 is no VLAN"),
    ],
)  # fmt: skip
def test_a_networkd_file_that_says_something_else_is_refused_with_its_line(edit: tuple[str, str], said: str) -> None:
    files = {
        "10-a.network": "[Match]\nName=a\n\n[Network]\nVLAN=a.5\nAddress=192.0.2.1/24\nDHCP=no\n\n"
        "[Route]\nDestination=198.51.100.0/24\nGateway=192.0.2.2\nMetric=100\n",
        "10-a.5.netdev": "[NetDev]\nName=a.5\nKind=vlan\n\n[VLAN]\nId=5\n",
    }
    assert list(read_files(files).commands({"a"})) == [
        "address replace 192.0.2.1/24 dev a",
        "link set dev a up",
        "route replace 198.51.100.0/24 via 192.0.2.2 dev a metric 100",
    ]
    assert sum(edit[0] in text for text in files.values()) == 1
    with pytest.raises(NetworkdError, match=re.escape(said)):
        read_files({name: text.replace(*edit) for name, text in files.items()})


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_knows_every_line_of_the_relays_unit(tmp_path: Path) -> None:
    unit = "lanecast-relay.service"
    text = next(text for path, text in rendered().items() if path.endswith(f"/{unit}"))
    # The programs and other units of a box are not on this machine: what is asked is whether a setting is misspelt.
    (tmp_path / unit).write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / unit)],
        capture_output=True, text=True, check=False,
    ).stderr  # fmt: skip
    misspelt = [line for line in said.splitlines() if unit in line and ("Unknown" in line or "Failed to parse" in line)]
    assert not misspelt
