"""The files of bridges' instances: what nft makes of them, who stands in for whom, and that user data brings all of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric, Host
from lanecast.plan.loader import load_plan
from lanecast.plan.model import SecretReference
from lanecast.router import Management, Ntp
from lanecast_templates.box_files import render_user_data
from lanecast_templates.oracles.check import PROGRAMS
from lanecast_templates.renderer import RenderedFile, SecretResolver, render_fabric
from lanecast_templates.user_data import USER_DATA, UserDataError, read_user_data

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples/three-regions.yaml"
NAMES = ["hk-bj-bridge-1", "hk-bj-bridge-2"]
PROTOCOLS = {"udp": 17, "tcp": 6}


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return compile_plan(load_plan(EXAMPLE), {})


@pytest.fixture(scope="module")
def files(fabric: Fabric) -> dict[str, RenderedFile]:
    return {str(file.path): file for file in render_fabric(fabric, SecretResolver({}))}


def host_of(fabric: Fabric, name: str) -> Host:
    return next(host for host in fabric.hosts if host.name == name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.lab
def test_nft_translates_what_the_fabric_says(name: str, fabric: Fabric, files: dict[str, RenderedFile]) -> None:
    """As the kernel lists it after it has loaded the file, once for each end."""
    script = "nft -f - && nft -j -n list table inet lanecast"
    said = subprocess.run(
        ["unshare", "--net", "sh", "-c", script],
        input=files[f"{name}/etc/nftables.conf"].text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    listed = json.loads(said.stdout)["nftables"]
    maps = {each["map"]["name"]: each["map"]["elem"] for each in listed if "map" in each}
    nat = host_of(fabric, name).nat
    assert nat is not None
    by_direction = {}
    for number, direction in enumerate(nat.directions, start=1):
        by_direction[direction.name] = {pair(element) for element in maps[f"translations_{number}"]}
        wanted = {
            (
                (str(each.at.address), PROTOCOLS[each.protocol], each.at.port),
                (str(each.target.address), each.target.port),
            )
            for each in direction.translations
        }
        assert by_direction[direction.name] == wanted
    into_bj = {
        (str(delivery.sent_to[channel]), str(target))
        for delivery in fabric.deliveries
        if delivery.path[-1] == "bj.core"
        for channel, target in delivery.endpoints.items()
    }
    said_of_feeds = {
        (f"{at}:{port}", f"{to}:{to_port}") for (at, protocol, port), (to, to_port) in by_direction["hk.hub to bj.core"]
    }
    assert into_bj < said_of_feeds
    assert len(said_of_feeds - into_bj) == 1, "and the offer"


def pair(element: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What stands for what, in an element of a map."""
    key, value = element
    protocols = {"udp": 17, "tcp": 6}
    return tuple(protocols.get(part, part) for part in key["concat"]), tuple(value["concat"])


@pytest.mark.parametrize("name", [*NAMES, "quotes-bj-1", "audit-bj-1"])
def test_user_data_brings_every_file(name: str, files: dict[str, RenderedFile]) -> None:
    data = read_user_data(files[f"{name}/{USER_DATA}"].text)
    rendered = {
        "/" + path.partition("/")[2]: (file.text.expandtabs(4), file.mode)
        for path, file in files.items()
        if path.startswith(f"{name}/etc/")
    }
    brought = {str(file.path): (file.text, file.mode) for file in data.files}
    assert brought == {path: rendered[path] for path in brought}
    assert set(rendered) - set(brought) == set()
    if name in NAMES:
        assert brought["/etc/keepalived/lanecast-take-over"][1] == 0o755


def test_the_first_start_takes_what_is_brought_into_use(files: dict[str, RenderedFile]) -> None:
    bridge, relay, plain = (
        read_user_data(files[f"{name}/{USER_DATA}"].text) for name in (NAMES[0], "quotes-bj-1", "audit-bj-1")
    )
    settings = ("sysctl", "-p", "/etc/sysctl.d/61-lanecast-machine.conf")
    assert bridge.packages == ("nftables", "keepalived", "conntrack")
    assert bridge.commands == (
        ("sysctl", "-p", "/etc/sysctl.d/60-lanecast.conf"),
        ("systemctl", "enable", "nftables", "keepalived"),
        ("systemctl", "restart", "nftables", "keepalived"),
    )
    assert (relay.packages, plain.packages) == ((), ())
    assert relay.commands == (
        settings,
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable", "lanecast-relay"),
        ("systemctl", "restart", "lanecast-relay"),
    )
    assert plain.commands == (settings,)


def test_one_instances_user_data_is_what_is_rendered_with_all_the_others(
    fabric: Fabric, files: dict[str, RenderedFile]
) -> None:
    for name in (*NAMES, "quotes-bj-1"):
        assert render_user_data(fabric, host_of(fabric, name), SecretResolver({})) == files[f"{name}/{USER_DATA}"]


def test_user_data_with_a_secret_is_as_secret(fabric: Fabric) -> None:
    key = SecretReference(environment="KEY")
    ntp = Ntp(servers=(IPv4Address("10.10.2.250"),), key_id=7, key=key)
    host = replace(host_of(fabric, "audit-bj-1"), management=Management(ntp=ntp))
    held = render_user_data(fabric, host, SecretResolver({"KEY": "known-to-the-clock"}))
    assert "known-to-the-clock" in held.text
    assert held.mode == 0o600
    assert ("systemctl", "restart", "chrony") in read_user_data(held.text).commands
    plain = render_user_data(fabric, host_of(fabric, "audit-bj-1"), SecretResolver({}))
    assert plain.mode == 0o644


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("packages: []\n", "first line"),
        ("#cloud-config\nbootcmd: [[reboot]]\n", "bootcmd is not run here"),
        ("#cloud-config\nruncmd: [reboot]\n", "as lists"),
        ("#cloud-config\nwrite_files: [{path: /a, content: x, append: true}]\n", "write_files takes"),
    ],
)
def test_what_the_lab_would_not_run_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UserDataError, match=reason):
        read_user_data(text)


@pytest.mark.parametrize("name", NAMES)
def test_keepalived_takes_its_file_and_no_other(name: str, files: dict[str, RenderedFile], tmp_path: Path) -> None:
    program = PROGRAMS["etc/keepalived/keepalived.conf"]
    right = files[f"{name}/etc/keepalived/keepalived.conf"].text
    for text, taken in ((right, True), (right.replace("priority", "prioritty"), False)):
        path = tmp_path / "keepalived.conf"
        path.write_text(text)
        command = ["unshare", "--map-root-user", "--net", *program.command, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert said
        assert (
            [line for line in said if program.refusal.search(line)] == []
            if taken
            else any(map(program.refusal.search, said))
        )
