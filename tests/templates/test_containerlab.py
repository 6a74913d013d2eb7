"""The containerlab topology: whole, wired as the plan is, and run in namespaces as containerlab would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from platform_plans import compiled, everything, plain, site_routers
from typer.testing import CliRunner

from lanecast.cli import build_app
from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan
from lanecast.plan.model import Platform
from lanecast_templates.formats.containerlab_kinds import KINDS
from lanecast_templates.formats.containerlab_topology import containerlab_topology
from lanecast_templates.renderer import RenderedFile

PROOF = Path(__file__).with_name("containerlab_proof.py")
TWO_SITES = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
ISOLATED = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
IMAGE = re.compile(r"\$\{[A-Z_]+:=[a-z0-9./_-]+(:[A-Za-z0-9._-]+)?\}")
"""containerlab expands variables of the shell, with a value where there is none."""


def render(plan: Path, out: Path, *more: str) -> Any:
    result = CliRunner().invoke(
        build_app(["render"]), ["render", str(plan), "-o", str(out), "--format", "containerlab", *more]
    )
    assert result.exit_code == 0, result.stderr
    return yaml.safe_load((out / f"{plan.stem}.clab.yml").read_text()), result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clab")
    render(TWO_SITES, folder)
    return folder


@pytest.fixture(scope="module")
def topology(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((folder / "two-sites.clab.yml").read_text())
    assert sorted(document) == ["name", "topology"]
    assert document["name"] == "two-sites"
    return dict(document["topology"])


def test_every_box_of_the_plan_is_a_node_with_files_that_are_there(folder: Path, topology: dict[str, Any]) -> None:
    plan = yaml.safe_load(TWO_SITES.read_text())
    wanted = {name for site in plan["sites"].values() for part in ("routers", "relays") for name in site[part]}
    wanted |= {f"{name}-switch" for site in plan["sites"].values() for name in site["routers"]}
    wanted |= {f"{name}-gateway" for site in plan["sites"].values() for name in site["uplinks"]}
    wanted |= {f"{exchange}-{what}" for exchange in plan["exchanges"] for what in ("router", "source")}
    wanted |= {f"{region}.{vpc}" for region, held in plan["regions"].items() for vpc in held["vpcs"]}
    wanted |= {f"{name}-{number + 1}" for name, held in plan["subscribers"].items() for number in range(held["count"])}
    assert set(topology["nodes"]) == wanted
    for node in topology["nodes"].values():
        assert node["kind"] == "linux"
        assert IMAGE.fullmatch(node["image"])
        for bind in node.get("binds", []):
            source, target, mode = bind.split(":")
            assert mode == "ro"
            assert source.endswith(target)
            assert (folder / source).is_file()


def test_the_other_files_are_those_of_the_plain_format(folder: Path, tmp_path: Path) -> None:
    arguments = ["render", str(TWO_SITES), "-o", str(tmp_path)]
    assert CliRunner().invoke(build_app(["render"]), arguments).exit_code == 0
    plain = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    manifest = ".lanecast-rendered.json"
    assert set(there) - set(plain) == {"two-sites.clab.yml"}
    assert {n: t for n, t in plain.items() if n != manifest} == {n: there[n] for n in plain if n != manifest}


def test_every_port_is_plugged_in_once(topology: dict[str, Any]) -> None:
    ends = Counter(end for link in topology["links"] for end in link["endpoints"])
    assert [end for end, count in ends.items() if count > 1] == []
    assert all(len(end.partition(":")[2]) <= 15 for end in ends), "Linux: IFNAMSIZ"
    assert {end.partition(":")[0] for end in ends} == set(topology["nodes"])


def pings() -> list[tuple[str, str]]:
    """Over every circuit, uplink and segment, from every instance to its VPC, and over every peering both ways."""
    fabric = compile_plan(load_plan(TWO_SITES), {})
    address = {(node.name, port.name): port.address.ip for node in fabric.nodes() for port in node.interfaces}
    wanted = [(first[0], str(address[second])) for link in fabric.links for first, second in [link.ends]]
    wanted += [
        (node, str(address[segment.attachments[0]]))
        for segment in fabric.segments
        for node, _ in segment.attachments[1:]
    ]
    by_vpc = {instance.subnet.rpartition(".")[0]: instance for instance in fabric.cloud.instances}
    for peering in fabric.cloud.peerings:
        first, second = by_vpc[peering.first], by_vpc[peering.second]
        wanted += [(first.name, str(second.address.ip)), (second.name, str(first.address.ip))]
    subnets = {subnet.name: subnet.gateway for vpc in fabric.cloud.vpcs for subnet in vpc.subnets}
    return wanted + [(instance.name, str(subnets[instance.subnet])) for instance in fabric.cloud.instances]


def run(topology: Path, ping: list[tuple[str, str]]) -> list[bool]:
    question = json.dumps({"topology": str(topology), "ping": ping})
    done = subprocess.run(
        [*ISOLATED, sys.executable, str(PROOF)],
        input=question,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[bool] = json.loads(done.stdout)
    return answers


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_run_as_containerlab_would_everyone_reaches_the_other_end_of_each_line(folder: Path) -> None:
    wanted = pings()
    assert len(wanted) > 30
    answers = run(folder / "two-sites.clab.yml", wanted)
    assert [ping for ping, reached in zip(wanted, answers, strict=True) if not reached] == []


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_lines_that_are_vlans_of_one_port_get_a_switch_between(tmp_path: Path) -> None:
    text = TWO_SITES.read_text().replace(
        "hk1-r1: {platform: frr, circuits: [hk1-a], uplinks: [hk1-up1]}",
        "hk1-r1: {platform: frr, circuits: [hk1-a], uplinks: [hk1-up1], ports: {hk1-a: eth1, hk1-up1: eth1}}",
    )
    plan = tmp_path / "two-sites.yaml"
    plan.write_text(text)
    document, _ = render(plan, tmp_path / "out")
    links = [link["endpoints"] for link in document["topology"]["links"]]
    ends = Counter(end for link in links for end in link)
    assert [end for end, count in ends.items() if count > 1] == []
    between = {end for link in links for end in link if any(other.startswith("hk1-r1-eth1-lines:") for other in link)}
    assert {"hk1-r1:eth1", "cme-router:hk1-a-trunk", "hk1-up1-gateway:hk1-up1-trunk"} <= between
    assert run(tmp_path / "out/two-sites.clab.yml", [("hk1-r1", "192.0.2.1"), ("hk1-r1", "192.0.2.129")]) == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("platform", "port", "container"),
    [
        ("eos", "Ethernet1", "eth1"),
        ("eos", "Ethernet49/1", "eth49_1"),
        ("eos", "Port-Channel1", None),
        ("ios-xe", "GigabitEthernet1", None),
        ("ios-xe", "GigabitEthernet2", "eth1"),
        ("ios-xe", "GigabitEthernet0/0/0", None),
        ("nx-os", "Ethernet1/1", "eth1"),
        ("nx-os", "Ethernet2/1", None),
        ("junos", "ge-0/0/0", "eth1"),
        ("junos", "xe-0/0/0", None),
        ("huawei-vrp", "Ethernet1/0/0", "eth1"),
        ("huawei-vrp", "GigabitEthernet0/1/0", None),
        ("vyos", "eth0", None),
        ("vyos", "eth3", "eth3"),
    ],
)
def test_ports_of_vendors_images_are_containerlabs(platform: str, port: str, container: str | None) -> None:
    assert KINDS[platform].container_port(port) == container
    assert KINDS[platform].container_port(KINDS[platform].example) == "eth1"


SUBSTITUTES = {
    Platform.EOS: ("Ethernet{}", "Ethernet{}"),
    Platform.IOS_XE: ("GigabitEthernet0/0/{}", "GigabitEthernet{}"),
    Platform.NX_OS: ("Ethernet1/{}", "Ethernet1/{}"),
    Platform.JUNOS: ("xe-0/0/{}", "ge-0/0/{}"),
    Platform.VYOS: ("eth{}", "eth{}"),
}
"""Ports of the plans for each platform, and what its image has in their place."""


def with_image_ports(platform: Platform, document: dict[str, Any]) -> dict[str, Any]:
    before, after = SUBSTITUTES[platform]
    text = yaml.safe_dump(document, sort_keys=False)
    for number in range(20, 0, -1):
        text = re.sub(rf"\b{re.escape(before.format(number))}\b", f"@{number}@", text)
    read: dict[str, Any] = yaml.safe_load(re.sub("@([0-9]+)@", lambda n: after.format(int(n[1]) + 1), text))
    return read


def of_vendors(fabric: Fabric) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The topology of a network whose routers' configurations stand beside it, whatever is in them."""
    files = [RenderedFile(PurePosixPath(router.name, "router.conf"), "!\n") for router in site_routers(fabric)]
    made = containerlab_topology(fabric, files)
    [text] = [file.text for file in made.files if file.path.name == "plan.clab.yml"]
    assert all(f"# Note: {note}\n" in text for note in made.notes)
    return dict(yaml.safe_load(text)["topology"]), made.notes


@pytest.mark.parametrize("platform", SUBSTITUTES, ids=lambda platform: platform.value)
@pytest.mark.parametrize("kind", [plain, everything])
def test_vendors_routers_start_with_their_configuration_and_are_wired_at_the_images_ports(
    kind: Any, platform: Platform, tmp_path: Path
) -> None:
    fabric = compiled(with_image_ports(platform, kind(platform)), tmp_path)
    topology, notes = of_vendors(fabric)
    starts_with = KINDS[platform.value].starts_with
    assert len(notes) == (0 if starts_with else len(site_routers(fabric)))
    assert {link_end for link in topology["links"] for link_end in link["endpoints"]}
    ends = Counter(end for link in topology["links"] for end in link["endpoints"])
    assert [end for end, count in ends.items() if count > 1] == []
    for router in site_routers(fabric):
        node = topology["nodes"][router.name]
        assert node["kind"] == KINDS[platform.value].name
        if starts_with:
            assert node["startup-config"] == f"{router.name}/router.conf"
        else:
            assert node["binds"] == [f"{router.name}/router.conf:/config/lanecast.conf:ro"]
            assert any(note.startswith(f"{router.name} starts without a configuration") for note in notes)
        assert IMAGE.fullmatch(node["image"])
        plugged = {end.partition(":")[2] for end in ends if end.startswith(f"{router.name}:")}
        ports = {each.parent or each.name for each in router.interfaces if each.kind in ("port", "subinterface")}
        hosts = {
            host.name for host in fabric.hosts for port in host.interfaces if port.attached_to.startswith(router.name)
        }
        access = {port for vlan in router.vlans for port in vlan.ports[: len(hosts)]}
        assert plugged == {KINDS[platform.value].container_port(port) for port in ports | access}
    if any(router.vlans for router in fabric.routers):
        # What the router switches itself needs no switch.
        assert "hk1-r2-switch" not in topology["nodes"]
        port = KINDS[platform.value].container_port(SUBSTITUTES[platform][1].format(12))
        assert {f"hk1-r2:{port}", "hk1-relay-1:mc-hk1-r2"} in [set(link["endpoints"]) for link in topology["links"]]


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        (Platform.H3C_COMWARE, "hk1-r1 is left out: containerlab has no h3c-comware"),
        (Platform.IOS_XE, "hk1-r1 is left out: cisco_c8000v has no port GigabitEthernet0/0/1, GigabitEthernet0/0/2"),
        (Platform.HUAWEI_VRP, "its first is Ethernet1/0/0"),
    ],
    ids=lambda value: value.value if isinstance(value, Platform) else None,
)
def test_a_router_that_cannot_run_there_is_left_out_with_its_wires_and_said_to_be(
    platform: Platform, said: str, tmp_path: Path
) -> None:
    fabric = compiled(plain(platform), tmp_path)
    topology, notes = of_vendors(fabric)
    assert any(said in note for note in notes)
    left_out = {router.name for router in site_routers(fabric)}
    assert len(notes) == len(left_out)
    assert not left_out & set(topology["nodes"])
    ends = {end.partition(":")[0] for link in topology["links"] for end in link["endpoints"]}
    assert not left_out & ends
    assert ends <= set(topology["nodes"])
