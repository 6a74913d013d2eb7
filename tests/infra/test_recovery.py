"""A run that is killed, and what `lanecast infra` makes of what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud
from region_runs import Regions

from lanecast_infra.deployment import recovery
from lanecast_infra.deployment.recovery import Holder


@pytest.fixture
def regions(cloud: EmulatedCloud, tmp_path: Path) -> Regions:
    return Regions(cloud, tmp_path / "project")


def begin(regions: Regions) -> subprocess.Popen[bytes]:
    """A `pulumi up` of a region of which some is made and some is under way."""
    assert regions.infra("preview", "--stack", "hk").code == 0
    regions.cloud.set_faults({"kind": "delay", "path": "/v1/subnet", "method": "POST", "seconds": 3})
    words = ["pulumi", "up", "--yes", "--skip-preview", "--stack", "hk", "--non-interactive"]
    process = subprocess.Popen(
        words, cwd=regions.folder, env=regions.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    call = regions.cloud.call("hkg")
    for _ in call.pauses():
        if call.ask(VpcClient, "list_vpcs")["vpcs"] and any(regions.cloud.struck()):
            break
        assert process.poll() is None
    return process


def test_a_run_that_was_killed_is_gone_on_with_and_nothing_is_made_twice(regions: Regions) -> None:
    engine = begin(regions)
    engine.kill()
    engine.wait()
    locked = regions.pulumi("up", "--yes", "--skip-preview", "--stack", "hk")
    assert "the stack is currently locked by" in locked.err
    regions.cloud.set_faults()
    done = regions.infra("up", "--stack", "hk", "--no-protect")
    assert done.stacks["hk"]["error"] is None, done.err
    held = regions.held()
    assert (held["vpcs"], held["subnets"]) == (["hk.hub"], ["hk.hub.apps"])
    state = json.loads(regions.pulumi("stack", "export", "--stack", "hk").out)["deployment"]
    assert not state.get("pending_operations")
    after = regions.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes", "--stack", "hk")
    assert after.code == 0, after.out
    assert regions.infra("destroy", "--stack", "hk").code == 0
    assert regions.held()["vpcs"] == []


def test_a_run_that_goes_on_is_waited_for(regions: Regions) -> None:
    engine = begin(regions)
    done = regions.infra("up", "--stack", "hk", "--no-protect")
    assert engine.wait(5) == 0
    assert done.stacks["hk"]["error"] is None, done.err
    assert regions.held()["vpcs"] == ["hk.hub"]


def test_an_interrupt_ends_the_engine_and_keeps_what_it_made(regions: Regions) -> None:
    assert regions.infra("preview", "--stack", "hk").code == 0
    regions.cloud.set_faults({"kind": "delay", "path": "/v1/subnet", "method": "POST", "seconds": 3})
    words = [sys.executable, "-m", "lanecast", "infra", "up", str(regions.plan), "--stack", "hk", "--no-protect"]
    process = subprocess.Popen(words, cwd=regions.folder, env=regions.environment, stderr=subprocess.PIPE, text=True)
    for _ in regions.cloud.call("hkg").pauses():
        if any(regions.cloud.struck()):
            break
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, "the next run goes on from here" in said) == (130, True), said
    regions.cloud.set_faults()
    done = regions.infra("up", "--stack", "hk")
    assert done.stacks["hk"]["error"] is None, done.err
    assert (regions.held()["vpcs"], regions.held()["subnets"]) == (["hk.hub"], ["hk.hub.apps"])


@contextmanager
def waiting_process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with these words in its command line, which runs until the end of the block."""
    command = [sys.executable, "-c", "print(flush=True); input()", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.communicate(b"\n")


def test_who_holds_a_lock_is_dead_when_the_process_is_gone_or_is_another_program() -> None:
    here = socket.gethostname()
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert Holder("root", here, ended.pid).is_dead
    assert Holder("root", here, os.getpid()).is_dead
    with waiting_process("pulumi") as held:
        assert not Holder("root", here, held.pid).is_dead
    unburied = subprocess.Popen([sys.executable, "-c", "", "pulumi"], stdout=subprocess.PIPE)
    assert unburied.stdout
    unburied.stdout.read()
    os.waitid(os.P_PID, unburied.pid, os.WEXITED | os.WNOWAIT)
    assert Holder("root", here, unburied.pid).is_dead
    unburied.wait()


def test_a_process_of_an_engine_that_is_gone_is_a_survivor_and_one_whose_engine_listens_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as engine:
        address = f"127.0.0.1:{engine.getsockname()[1]}"
        with waiting_process("pulumi-resource-baiducloud", address) as child:
            assert child.pid not in set(recovery.survivors())
            engine.close()
            assert child.pid in set(recovery.survivors())
    assert child.pid not in set(recovery.survivors())
