"""What is rendered for Linux, in a real kernel: settings, addresses, routes and packet filters, applied twice."""

from __future__ import annotations

import json
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
from lanecast_templates.renderer import SecretResolver, render_fabric
from lanecast_templates.views.linux import device_unit

PROOF = Path(__file__).with_name("linux_proof.py")
TWO_SITES = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
ISOLATED = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
APPLIED_BY = {
    "60-lanecast.conf": ["sysctl", "-q", "-p"],
    "network.ip": ["ip", "-batch"],
    "nftables.conf": ["nft", "-f"],
}
"""How the lab, a unit or a distribution's own service applies a file."""


@cache
def fabric() -> Fabric:
    return compile_plan(load_plan(TWO_SITES), {})


@cache
def rendered() -> dict[str, str]:
    """Every file's text, by path, without ``counterparts/``."""
    return {str(f.path).removeprefix("counterparts/"): f.text for f in render_fabric(fabric(), SecretResolver({}))}


def proof(node: Router | Host, folder: Path, **more: Any) -> dict[str, Any]:
    apply = []
    for name, command in APPLIED_BY.items():
        for path, text in rendered().items():
            if path.startswith(f"{node.name}/") and path.endswith(f"/{name}"):
                (folder / name).write_text(text)
                apply.append((str(folder / name), command))
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


def _destination(prefix: str) -> str:
    """A prefix as ``ip`` prints it."""
    return "default" if prefix == "0.0.0.0/0" else prefix.removesuffix("/32")


def test_a_unit_waits_for_devices_by_systemd_s_own_names() -> None:
    assert device_unit("hk1-a") == "sys-subsystem-net-devices-hk1\\x2da.device"
    if shutil.which("systemd-escape"):
        for name in ("eth0", "hk1-a", "enp3s0.101", "a_b"):
            path = f"/sys/subsystem/net/devices/{name}"
            said = subprocess.check_output(["systemd-escape", "--path", "--suffix=device", path], text=True)
            assert device_unit(name) == said.strip()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("unit", ["lanecast-relay.service", "lanecast-network.service", "lanecast-links.service"])
def test_systemd_knows_every_line_of_a_unit(unit: str, tmp_path: Path) -> None:
    text = next(text for path, text in rendered().items() if path.endswith(f"/{unit}"))
    # The programs and other units of a box are not on this machine: what is asked is whether a setting is misspelt.
    (tmp_path / unit).write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / unit)],
        capture_output=True, text=True, check=False,
    ).stderr  # fmt: skip
    misspelt = [line for line in said.splitlines() if unit in line and ("Unknown" in line or "Failed to parse" in line)]
    assert not misspelt
