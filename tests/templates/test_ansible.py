"""The project for Ansible: everything that is rendered, for its box and no other, and put there by Ansible itself.

What should arrive is what the plain format writes into a folder a node.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from platform_plans import SECRETS as PLATFORM_SECRETS
from platform_plans import everything
from typer.testing import CliRunner

from lanecast.cli import build_app
from lanecast.plan.model import Platform
from lanecast_templates.formats.ansible_project import CONNECTIONS, PLAYBOOKS
from lanecast_templates.router_templates import OTHERS
from lanecast_templates.user_data import USER_DATA

TWO_SITES = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
SECRETS = {"HK1_A": "bgp-s3cret", "NTP_KEY": "ntp-s3cret"}
MANAGEMENT = """
management: {ssh-from: [10.0.0.0/24], metrics-from: [10.0.0.0/24], ntp: {servers: [10.0.0.5], key: {id: 3, secret: {environment: NTP_KEY}}}, ptp: {domain: 24}, syslog: [10.0.0.8]}
"""
NEEDS_ANSIBLE = pytest.mark.skipif(
    importlib.util.find_spec("ansible") is None, reason="ansible-core is not in this environment"
)
ELSEWHERE = ("counterparts", "hand-over", "prometheus")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "two-sites.yaml"
    text = TWO_SITES.read_text().replace(
        "carries: [cme-310.A]}", "carries: [cme-310.A], password: {environment: HK1_A}}"
    )
    path.write_text(text + MANAGEMENT)
    return path


def render(plan: Path, out: Path, form: str) -> Path:
    arguments = ["render", str(plan), "-o", str(out), "--format", form]
    result = CliRunner().invoke(build_app(["render"]), arguments, env=SECRETS)
    assert result.exit_code == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def project(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(plan, tmp_path_factory.mktemp("project"), "ansible")


@pytest.fixture(scope="module")
def boxes(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, tuple[bytes, int]]]:
    """By box: its files' content and mode, by path, as the plain format writes them.

    User data is for an instance's first start, which is not a playbook's.
    """
    out = render(plan, tmp_path_factory.mktemp("plain"), "files")
    folders = [path for path in out.iterdir() if path.is_dir() and path.name not in ELSEWHERE]
    held = {folder.name: tree(folder) for folder in folders}
    return {box: {path: file for path, file in files.items() if path != USER_DATA} for box, files in held.items()}


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): (p.read_bytes(), stat.S_IMODE(p.stat().st_mode)) for p in files}


def variables(project: Path, box: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((project / f"host_vars/{box}.yaml").read_text())
    return read


def groups(project: Path) -> dict[str, set[str]]:
    children = yaml.safe_load((project / "inventory.yaml").read_text())["all"]["children"]
    return {name: set(held["hosts"]) for name, held in children.items()}


def test_groups_are_sites_regions_roles_and_platforms(plan: Path, project: Path, boxes: dict[str, Any]) -> None:
    asked = yaml.safe_load(plan.read_text())
    found = groups(project)
    assert set().union(*found.values()) == set(boxes)
    routers = {name for site in asked["sites"].values() for name in site["routers"]}
    relays = {name for site in asked["sites"].values() for name in site["relays"]}
    instances = set(boxes) - routers - relays
    assert found["role_router"] == found["platform_frr"] == routers
    assert found["role_relay"] == relays
    assert found["role_subscriber"] == instances
    assert found["platform_linux"] == relays | instances
    for name, site in asked["sites"].items():
        assert found[f"site_{name}"] == set(site["routers"]) | set(site["relays"])
    for name in asked["regions"]:
        there = {each for each, held in asked["subscribers"].items() if held["subnet"].startswith(f"{name}.")}
        assert found[f"region_{name}"] == {box for box in instances if box.rpartition("-")[0] in there}
    assert len(found) == 5 + len(asked["sites"]) + len(asked["regions"])


def test_every_file_of_a_box_is_there_once_with_its_place_and_mode(project: Path, boxes: dict[str, Any]) -> None:
    for box, wanted in boxes.items():
        entries = variables(project, box)["lanecast_files"]
        there = {
            entry["dest"].removeprefix("/"): ((project / entry["src"]).read_bytes(), int(entry["mode"], 8))
            for entry in entries
        }
        assert len(there) == len(entries)
        assert there == wanted
        for entry in entries:
            assert stat.S_IMODE((project / entry["src"]).stat().st_mode) == int(entry["mode"], 8)
            assert entry["secret"] is (entry["mode"] == "0600")
    assert {
        path.parts[0] for path in (each.relative_to(project / "files") for each in (project / "files").rglob("*"))
    } == set(boxes)


def test_secrets_stand_only_in_files_that_are_named_secret(project: Path, boxes: dict[str, Any]) -> None:
    secret = {project / e["src"] for box in boxes for e in variables(project, box)["lanecast_files"] if e["secret"]}
    for word in SECRETS.values():
        holding = {path for path in project.rglob("*") if path.is_file() and word.encode() in path.read_bytes()}
        assert holding
        assert holding <= secret


OF_BRIDGES = {"Reload keepalived", "Forget translated flows"}
"""Handlers that only a bridge's instances have files for."""


def test_a_bridge_s_instances_get_their_files_and_forget_flows_of_older_rules(tmp_path: Path) -> None:
    project = render(TWO_SITES.parent / "three-regions.yaml", tmp_path / "project", "ansible")
    held = variables(project, "hk-bj-bridge-2")
    notified = {entry["dest"]: set(entry["notify"]) for entry in held["lanecast_files"]}
    assert "/user-data.yaml" not in notified, "it is for the first start"
    assert notified["/etc/nftables.conf"] == {"Load the packet filter", "Forget translated flows"}
    assert notified["/etc/keepalived/keepalived.conf"] == {"Reload keepalived"}
    assert set(held["lanecast_services"]) == {"keepalived", "nftables"}
    holds = (project / "files/hk-bj-bridge-2/etc/keepalived/keepalived.conf").read_text()
    assert held["lanecast_shared_addresses"]
    assert all(f"{address}/32" in holds for address in held["lanecast_shared_addresses"])


def test_handlers_and_services_that_files_name_are_there(project: Path, boxes: dict[str, Any]) -> None:
    [play] = yaml.safe_load((project / "playbooks/linux.yaml").read_text())
    handlers = {handler["name"] for handler in play["handlers"]} | {
        h["listen"] for h in play["handlers"] if "listen" in h
    }
    told = {name for box in boxes for e in variables(project, box)["lanecast_files"] for name in e["notify"]}
    assert told <= handlers
    own = {handler["name"] for handler in play["handlers"] if "listen" not in handler}
    assert own | {h["listen"] for h in play["handlers"] if "listen" in h} == told | OF_BRIDGES | {
        "Configure interfaces"
    }
    services = {box: set(variables(project, box)["lanecast_services"]) for box in boxes}
    clock = {"chrony", "lanecast-ptp4l", "lanecast-phc2sys", "rsyslog"}
    assert services["hk1-r1"] == {"frr", "nftables", "systemd-networkd"} | clock
    assert services["hk1-relay-1"] == {"lanecast-relay", "nftables", "systemd-networkd"} | clock
    assert services["quotes-hk-1"] == {"lanecast-relay"}


@pytest.mark.skipif(shutil.which("nft") is None, reason="nftables is not on this machine")
@pytest.mark.skipif(shutil.which("vtysh") is None, reason="FRR is not on this machine")
@pytest.mark.parametrize(
    ("dest", "edit"),
    [("/etc/nftables.conf", (b"iifname", b"iifnam")), ("/etc/frr/frr.conf", (b"ip pim hello", b"ip pim helo"))],
)
def test_what_a_box_is_asked_first_refuses_a_mistake(
    dest: str, edit: tuple[bytes, bytes], project: Path, tmp_path: Path
) -> None:
    [entry] = [entry for entry in variables(project, "hk1-r1")["lanecast_files"] if entry["dest"] == dest]
    text = (project / entry["src"]).read_bytes()
    assert edit[0] in text
    for name, content, taken in (("right", text, True), ("wrong", text.replace(*edit, 1), False)):
        (tmp_path / name).write_bytes(content)
        command = (entry["validate"] % (tmp_path / name)).split()
        assert (
            subprocess.run(["unshare", "--net", *command], capture_output=True, check=False).returncode == 0
        ) is taken


def ansible(program: str, project: Path, *arguments: str) -> str:
    """What a program of Ansible prints; it must succeed."""
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(project.parent / "ansible"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_PIPELINING": "1",
    }
    # As the program of that name does, whatever is installed beside it.
    command = [sys.executable, "-m", f"ansible.cli.{program}", "-i", "inventory.yaml", *arguments]
    done = subprocess.run(
        command,
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def put(project: Path, root: Path, *more: str) -> str:
    extra = {
        "lanecast_root": str(root),
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
    }
    return ansible("playbook", project, "site.yaml", "-e", json.dumps(extra), *more)


@NEEDS_ANSIBLE
def test_ansible_reads_the_inventory(project: Path, boxes: dict[str, Any]) -> None:
    listed = json.loads(ansible("inventory", project, "--list"))
    assert set(listed["_meta"]["hostvars"]) == set(boxes)
    assert {name: set(held["hosts"]) for name, held in listed.items() if "hosts" in held} == groups(project)
    host = listed["_meta"]["hostvars"]["hk1-relay-1"]
    assert host["ansible_connection"] == "ssh"
    assert host["lanecast_files"] == variables(project, "hk1-relay-1")["lanecast_files"]


@NEEDS_ANSIBLE
def test_ansible_puts_every_file_in_its_place_and_takes_away_what_a_plan_no_longer_has(
    plan: Path, project: Path, boxes: dict[str, Any], tmp_path: Path
) -> None:
    root, box = tmp_path / "root", "hk1-r1"
    network = root / "etc/systemd/network"
    network.mkdir(parents=True)
    (network / "80-mine.network").write_text("mine")
    said = put(project, root, "-l", box, "--diff", "-vv")
    assert not [word for word in SECRETS.values() if word in said]
    there = tree(root)
    assert there.pop("etc/systemd/network/80-mine.network")[0] == b"mine"
    assert there == boxes[box]
    changed = plan.with_name("changed.yaml")
    changed.write_text(plan.read_text().replace("vlan: 101", "vlan: 131"))
    other = render(changed, tmp_path / "project", "ansible")
    put(other, root, "-l", box)
    wanted = {
        e["dest"].removeprefix("/"): (other / e["src"]).read_bytes() for e in variables(other, box)["lanecast_files"]
    }
    assert "etc/systemd/network/10-lanecast-hk1-a.131.netdev" in wanted
    assert {path: content for path, (content, _) in tree(root).items()} == wanted | {
        "etc/systemd/network/80-mine.network": b"mine"
    }


@NEEDS_ANSIBLE
def test_a_second_time_changes_nothing(project: Path, boxes: dict[str, Any], tmp_path: Path) -> None:
    put(project, tmp_path, "-l", "quotes-hk-1")
    assert tree(tmp_path) == boxes["quotes-hk-1"]
    again = put(project, tmp_path, "-l", "quotes-hk-1")
    assert re.search(r"quotes-hk-1 +: ok=\d+ +changed=0 +unreachable=0 +failed=0", again)


@pytest.mark.parametrize("platform", sorted(OTHERS), ids=lambda platform: platform.value)
def test_a_vendors_router_has_its_configuration_and_what_speaks_to_it(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(everything(platform)))
    arguments = ["render", str(path), "-o", str(tmp_path / "out"), "--format", "ansible"]
    result = CliRunner().invoke(build_app(["render"]), arguments, env=PLATFORM_SECRETS)
    assert result.exit_code == 0, result.stderr
    out, connection = tmp_path / "out", CONNECTIONS[platform.value]
    children = yaml.safe_load((out / "inventory.yaml").read_text())["all"]["children"]
    group = children[f"platform_{platform.value.replace('-', '_')}"]
    assert group["vars"] == dict(connection.variables)
    for router in group["hosts"]:
        held = variables(out, router)
        configuration = out / held["lanecast_configuration"]
        assert router in configuration.read_text()
        has_secret = any(word in configuration.read_text() for word in PLATFORM_SECRETS.values())
        assert held["lanecast_secret"] is has_secret
        assert stat.S_IMODE(configuration.stat().st_mode) == (0o600 if has_secret else 0o644)
    playbooks = [entry["import_playbook"] for entry in yaml.safe_load((out / "site.yaml").read_text())]
    assert playbooks == sorted(["playbooks/linux.yaml", f"playbooks/{connection.playbook}.yaml"])
    assert all((out / name).is_file() for name in playbooks)
    if connection.collection is None:
        assert f"note: no maintained collection speaks to {platform.value}" in result.stderr
    else:
        named = yaml.safe_load((out / "requirements.yaml").read_text())
        assert named == {"collections": [{"name": connection.collection}]}


@pytest.mark.parametrize("platform", list(Platform), ids=lambda platform: platform.value)
def test_every_platform_has_a_playbook_for_its_group_and_one_configuration_at_a_time(platform: Platform) -> None:
    connection = CONNECTIONS[platform.value]
    [play] = yaml.safe_load((PLAYBOOKS / f"{connection.playbook}.yaml").read_text())
    assert f"platform_{platform.value.replace('-', '_')}" in play["hosts"].split(":")
    assert (play["serial"], play["max_fail_percentage"]) == (1, 0), "two that stand in for each other at once"
    modules = {key for task in play["tasks"] for key in task if "." in key and not key.startswith("ansible.builtin.")}
    assert {module.rpartition(".")[0] for module in modules} == ({connection.collection} - {None})
