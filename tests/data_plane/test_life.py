"""How a data plane begins and ends: restarts, kills, neighbours, faults, and what starts in instances."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.blb_client import BlbClient
from cloud_under_test import Emulator
from data_plane_under_test import NAMES, DataPlane, processes_in, remains

from lanecast_lab.cloud.data_plane.namespaces import Namespaces

pytestmark = pytest.mark.lab


def _lanecast(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lanecast", "cloud", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _pair(plane: DataPlane) -> dict[str, str]:
    made = {"vpc": plane.a_vpc("10.0.0.0/16")}
    made["subnet"] = plane.a_subnet(made["vpc"], "10.0.1.0/24")
    made |= {name: plane.an_instance(made["subnet"], name) for name in ("one", "two")}
    return made


def test_a_killed_server_leaves_what_the_next_one_replaces(plane: DataPlane) -> None:
    made = _pair(plane)
    plane.settle()
    nodes = plane.registry()["nodes"]
    left_behind = subprocess.Popen([*plane.inside("one"), "sleep", "600"])
    plane.stop(signal.SIGKILL)
    assert (NAMES / made["one"]).exists(), "it was killed"
    plane.start()
    plane.settle()
    assert left_behind.wait(5) == -signal.SIGKILL
    assert plane.pings("one", plane.address("two"))
    assert [node["id"] for node in nodes] == [node["id"] for node in plane.registry()["nodes"]]


def test_a_restart_builds_what_the_state_says(plane: DataPlane) -> None:
    _pair(plane)
    plane.settle()
    assert plane.stop() == 0
    plane.start()
    plane.settle()
    assert plane.pings("one", plane.address("two"))


def test_clean_removes_what_a_killed_server_left_and_nothing_else(start: Callable[..., DataPlane]) -> None:
    plane, other = start(state="killed"), start(state="other")
    made, others = _pair(plane), _pair(other)
    plane.settle()
    other.settle()
    refused = _lanecast("clean", "--state", str(plane.state))
    assert refused.returncode == 2
    assert "another emulated cloud is using it" in refused.stderr
    namespaces = plane.namespaces()
    processes = processes_in(namespaces)
    plane.stop(signal.SIGKILL)
    shown = _lanecast("status", "--state", str(plane.state))
    assert shown.returncode == 2
    assert "was killed" in shown.stderr
    # somebody else's namespace has one of the names by now
    taken = NAMES / made["two"]
    subprocess.run(["umount", str(taken)], check=True)
    taken.unlink()
    subprocess.run(["ip", "netns", "add", made["two"]], check=True)
    try:
        done = _lanecast("clean", "--state", str(plane.state))
        assert done.returncode == 0, done.stderr
        assert taken.exists()
    finally:
        subprocess.run(["ip", "netns", "delete", made["two"]], check=True)
    assert not remains([name for name in namespaces if name != made["two"]], processes)
    assert sorted(place.name for place in plane.state.iterdir() if "sqlite" not in place.name) == ["lock"]
    assert other.pings("one", other.address("two"))
    assert (NAMES / others["one"]).exists()


def test_a_server_without_a_data_plane_removes_what_a_killed_one_left(plane: DataPlane) -> None:
    """Also what it had found out: nobody asks backends any more."""
    made = _pair(plane)
    blbs = plane.client(BlbClient)
    balancer = blbs.create_loadbalancer(made["vpc"], made["subnet"]).blb_id
    blbs.add_backend_servers(balancer, [{"instanceId": made["one"], "weight": 1}])
    blbs.create_tcp_listener(balancer, 80, 80, "RoundRobin")

    def status() -> str:
        return str(plane.client(BlbClient).describe_backend_servers(balancer).backend_server_list[0].status)

    plane.eventually(status, "Dead")
    plane.settle()
    namespaces = plane.namespaces()
    processes = processes_in(namespaces)
    plane.stop(signal.SIGKILL)
    plane.without("--data-plane")
    plane.start()
    try:
        assert not remains(namespaces, processes)
        assert status() == "Alive"
    finally:
        assert Emulator.stop(plane) == 0


def test_two_servers_of_the_same_resources_do_not_collide(start: Callable[..., DataPlane], tmp_path: Path) -> None:
    first = start(state="first")
    _pair(first)
    first.settle()
    first.stop()
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "cloud.sqlite").write_bytes((tmp_path / "first" / "cloud.sqlite").read_bytes())
    first.start()
    second = start(state="second")
    for plane in (first, second):
        plane.settle()
        assert plane.pings("one", plane.address("two"))
    assert second.namespaces() == [f"{name}.2" for name in first.namespaces()]
    second.stop()
    assert first.pings("one", first.address("two"))


def test_what_is_deleted_is_removed(plane: DataPlane) -> None:
    made = _pair(plane)
    plane.settle()
    namespace = str(plane.node("two")["namespace"])
    processes = processes_in([namespace])
    running = subprocess.Popen([*plane.inside("two"), "sleep", "600"])
    plane.client(BccClient).release_instance(made["two"])
    plane.settle()
    assert running.wait(5) == -signal.SIGKILL
    assert not remains([namespace], processes)
    assert "i-" + made["two"][2:] not in plane.run(made["subnet"], "ip", "-o", "link")


def test_a_zone_or_an_instance_that_is_down_is_unplugged_and_comes_back(plane: DataPlane) -> None:
    made = _pair(plane)
    plane.an_instance(plane.a_subnet(made["vpc"], "10.0.2.0/24", "b"), "three")
    plane.settle()
    three = plane.address("three")
    for _ in range(2):
        assert plane.pings("one", three)
        plane.admin("PUT", settings={"down": ["cn-bj-b"]})
        plane.settle()
        assert not plane.pings("one", three)
        assert plane.pings("one", plane.address("two"))
        plane.admin("DELETE")
        plane.settle()
    bcc = plane.client(BccClient)
    bcc.stop_instance(made["two"])
    plane.settle()
    assert not plane.pings("one", plane.address("two"))
    bcc.start_instance(made["two"])
    plane.settle()
    assert plane.pings("one", plane.address("two"))


def test_a_peering_that_is_down_carries_nothing_until_it_is_up(start: Callable[..., DataPlane]) -> None:
    plane = start("--peering-delay", "slow=5ms")
    vpcs = [plane.a_vpc(f"10.{index}.0.0/16") for index in range(3)]
    for index, vpc in enumerate(vpcs):
        plane.an_instance(plane.a_subnet(vpc, f"10.{index}.1.0/24"), f"in-{index}")
    peerings = [plane.a_peering(vpcs[0], vpcs[1], "fast"), plane.a_peering(vpcs[0], vpcs[2], "slow")]
    for index, peering in enumerate(peerings, start=1):
        plane.a_route(vpcs[0], f"10.{index}.0.0/16", "peerConn", peering)
        plane.a_route(vpcs[index], "10.0.0.0/16", "peerConn", peering)
    plane.settle()
    for _ in range(2):
        for index, peering in enumerate(peerings, start=1):
            assert plane.pings("in-0", f"10.{index}.1.2")
            plane.admin("PUT", settings={"down": [peering]})
            plane.settle()
            assert not plane.pings("in-0", f"10.{index}.1.2")
            assert plane.pings("in-0", f"10.{3 - index}.1.2")
            plane.admin("DELETE")
            plane.settle()


USER_DATA = """#cloud-config
packages: []
write_files:
- path: /etc/lanecast-test/file
  permissions: '0640'
  content: |
    hello
- path: /etc/nftables.conf
  permissions: '0644'
  content: |
    table inet own { chain input { type filter hook input priority 0; icmp type echo-request drop; }; }
runcmd:
- [systemctl, restart, nftables]
- [sh, -c, 'date +%s%N >> /etc/lanecast-test/began']
"""

SCRIPT = """#!/bin/sh
sleep 600 &
echo $$ >> /etc/lanecast-ran
"""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_user_data_is_done_once_for_an_instance(plane: DataPlane) -> None:
    made = _pair(plane)
    guarded = plane.an_instance(made["subnet"], "guarded", user_data=_encoded(USER_DATA))
    scripted = plane.an_instance(made["subnet"], "scripted", user_data=_encoded(SCRIPT))
    plane.settle()
    folder = plane.state / "nodes"
    _await(lambda: (folder / guarded / "etc/lanecast-test/began").exists())
    _await(lambda: (folder / scripted / "etc/lanecast-ran").exists())
    assert plane.run("guarded", "cat", "/etc/lanecast-test/file") == "hello\n"
    assert not Path("/etc/lanecast-test").exists()
    assert not Path("/etc/lanecast-ran").exists()
    assert not plane.pings("one", plane.address("guarded"))
    bcc = plane.client(BccClient)
    for instance in (guarded, scripted):
        bcc.reboot_instance(instance)
    plane.settle()
    assert len(plane.run("guarded", "cat", "/etc/lanecast-test/began").splitlines()) == 1
    assert len((folder / scripted / "etc/lanecast-ran").read_text().splitlines()) == 1
    assert not plane.pings("one", plane.address("guarded")), "its own filter is its own"
    plane.run("guarded", "nft", "delete", "table", "inet", "own")
    assert plane.pings("one", plane.address("guarded"))


def _await(reached: Callable[[], bool], within_s: float = 3.0) -> None:
    end = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_user_data_cannot_do_is_a_problem_of_that_instance_alone(plane: DataPlane) -> None:
    made = _pair(plane)
    bad = plane.an_instance(made["subnet"], "bad", user_data=_encoded("#cloud-config\nbootcmd: [x]\n"))
    plane.settle(problems=True)
    assert plane.pings("one", plane.address("bad"))
    shown = _lanecast("status", "--state", str(plane.state), "--json")
    assert shown.returncode == 1
    assert json.loads(shown.stdout)["problems"] == [f"{bad}: user data: bootcmd is not run here"]
    assert "bootcmd is not run here" in plane.log()


@pytest.mark.parametrize(
    "user_data",
    [
        "#cloud-config\nruncmd:\n- [sleep, 1]\n",
        "#cloud-config\nwrite_files: null\n",
        "#cloud-config\nwrite_files:\n- {path: /etc/a, permissions: rw, content: x}\n",
    ],
    ids=["number", "null", "mode"],
)
def test_user_data_that_nobody_thought_of_is_a_problem_too(plane: DataPlane, user_data: str) -> None:
    bad = plane.an_instance(_pair(plane)["subnet"], "bad", user_data=_encoded(user_data))
    plane.settle(problems=True)
    [problem] = plane.registry()["problems"]
    assert problem.startswith(f"{bad}: user data: ")


def test_looking_inside(plane: DataPlane) -> None:
    made = _pair(plane)
    plane.settle()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    assert {made["vpc"], made["subnet"], made["one"], made["two"]} <= set(listed)
    shown = _lanecast("status", "--state", str(plane.state))
    assert shown.returncode == 0, shown.stderr
    assert made["one"] in shown.stdout
    state = ("--state", str(plane.state))
    for word in ("one", made["one"]):
        done = _lanecast("exec", *state, word, "--", "ip", "-o", "-4", "address", "show", "eth0")
        assert done.returncode == 0, done.stderr
        assert f" {plane.address('one')}/24 " in done.stdout
    assert _lanecast("exec", *state, "one", "--", "sh", "-c", "exit 7").returncode == 7
    missing = _lanecast("exec", *state, "nobody", "--", "true")
    assert missing.returncode == 2
    assert "nobody: no node has this id or name" in missing.stderr


def test_a_node_whose_holder_dies_is_made_anew(plane: DataPlane) -> None:
    made = [plane.a_vpc(f"10.{index}.0.0/16") for index in range(2)]
    for index, vpc in enumerate(made):
        plane.an_instance(plane.a_subnet(vpc, f"10.{index}.1.0/24"), f"in-{index}")
    peering = plane.a_peering(made[0], made[1])
    for index, vpc in enumerate(made):
        plane.a_route(vpc, f"10.{1 - index}.0.0/16", "peerConn", peering)
    plane.settle()
    for victim in ("in-1", made[1]):
        assert plane.pings("in-0", "10.1.1.2")
        before = plane.node(victim)["pid"]
        subprocess.run(["kill", "-9", str(before)], check=True)
        _await(lambda victim=victim, before=before: plane.node(victim)["pid"] != before)  # type: ignore[misc]
        assert plane.pings("in-0", "10.1.1.2"), victim


def test_a_namespace_that_gets_no_name_is_let_go(tmp_path: Path) -> None:
    """The data plane tries again every second: each try would leave one."""

    def children() -> list[str]:
        return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()

    namespaces, before = Namespaces(tmp_path), children()
    try:
        with pytest.raises(FileNotFoundError):
            namespaces.make("no/such-folder", tmp_path / "node")
        assert children() == before
    finally:
        namespaces.remove_all()


def test_a_registry_that_cannot_be_written_does_not_end_the_data_plane(tmp_path: Path) -> None:
    plane = DataPlane(tmp_path / "state", "--data-plane", "--async-delay", "0")
    try:
        made = _pair(plane)
        plane.settle()
        in_the_way = plane.state / "data-plane.json.new"
        in_the_way.mkdir()
        plane.an_instance(made["subnet"], "three")
        _await(lambda: "IsADirectoryError" in plane.log())
        assert (NAMES / made["one"]).exists()
        in_the_way.rmdir()
        plane.settle()
        assert plane.pings("one", plane.address("three"))
        assert plane.stop() == 0
    finally:
        plane.end()


def test_what_somebody_breaks_in_a_node_is_made_anew_when_it_is_in_the_way(plane: DataPlane) -> None:
    made = _pair(plane)
    plane.settle()
    plane.run("two", "ip", "link", "delete", "eth0")
    plane.client(BccClient).release_instance(made["two"])
    plane.an_instance(made["subnet"], "three")
    _await(lambda: plane.has_name("three") and plane.pings("one", plane.address("three")), within_s=10)
    _await(lambda: not plane.registry()["problems"])


def test_a_wrong_option_ends_before_anything_is_made(tmp_path: Path) -> None:
    listen = ("--listen", "127.0.0.1:0", "--state", str(tmp_path / "state"))
    for options, said in (
        (("--data-plane", "--peering-delay", "slow"), "has to be NAME=TIME"),
        (("--peering-delay", "slow=5ms"), "needs --data-plane"),
    ):
        done = _lanecast("serve", *listen, *options)
        assert done.returncode == 2
        assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "state").exists()
