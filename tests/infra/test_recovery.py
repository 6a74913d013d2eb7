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
from engine_processes import descendants
from region_runs import LINES, Regions

from lanecast_infra.deployment import file_backend, recovery
from lanecast_infra.deployment.engine import Engine
from lanecast_infra.deployment.recovery import Holder


@pytest.fixture
def lines() -> tuple[str, ...]:
    return LINES


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
    started = descendants(engine.pid)
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
    for one in started:  # a language host would look for its engine for minutes yet
        one.kill()


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


def test_an_interrupt_ends_waiting_for_another_run_and_begins_none(regions: Regions) -> None:
    assert regions.infra("preview", "--stack", "bj").code == 0
    with waiting_process("pulumi") as holder:
        lock = locked_by(regions, holder.pid, "bj")
        words = [sys.executable, "-m", "lanecast", "infra", "up", str(regions.plan), "--stack", "bj"]
        process = subprocess.Popen(
            words, cwd=regions.folder, env=regions.environment, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        said = next(line for line in process.stderr if "who works on it" in line)
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=20)[1]
        assert (process.returncode, "the next run goes on from here" in said) == (130, True), said
        assert lock.exists()
    assert regions.held()["vpcs"] == []


def locked_by(regions: Regions, pid: int, stack: str) -> Path:
    """A stack's lock, as Pulumi writes it, of a process of this machine."""
    lock = regions.folder / f"backend/.pulumi/locks/organization/lanecast/{stack}/{pid}.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    who = {"pid": pid, "username": "root", "hostname": socket.gethostname(), "timestamp": "2026-01-01T00:00:00Z"}
    lock.write_text(json.dumps(who))
    return lock


def test_a_lock_of_the_dead_is_cleared_and_one_that_came_meanwhile_is_left(regions: Regions) -> None:
    """Two who waited for the same run: the first to go on has locked the stack when the second clears."""
    assert regions.infra("preview", "--stack", "bj").code == 0
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead = locked_by(regions, ended.pid, "bj")
    told = regions.pulumi("up", "--yes", "--skip-preview", "--stack", "bj").err
    live = locked_by(regions, os.getpid(), "bj")
    recovery.free(Engine(regions.folder, regions.environment), "bj", told, lambda text, fleeting: None)
    assert (dead.exists(), live.exists()) == (False, True), told


def test_half_a_line_of_an_engine_that_is_killed_is_none(tmp_path: Path) -> None:
    script = tmp_path / "pulumi"
    script.write_text('#!/bin/sh\nprintf \'{"sequence": 1, "diagnosticEv\'\nkill -9 $$\n')
    script.chmod(0o755)
    outcome = Engine(tmp_path, {"PATH": f"{tmp_path}:{os.environ['PATH']}"}).run("hk", "up", (), lambda *_: None)
    assert not outcome.succeeded


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


def test_what_a_kill_left_half_written_is_removed(regions: Regions) -> None:
    assert regions.infra("preview", "--stack", "bj").code == 0
    kept = regions.folder / "backend/.pulumi"
    attributes = kept / "stacks/lanecast/bj.json.attrs"
    whole = attributes.read_text()
    left = [kept / "stacks/lanecast/bj.json.18eb87d9c96833f7.tmp"]
    left += [kept / "locks/organization/lanecast/bj/0.json.18eb87d9c96833f7.tmp"]
    for path in (attributes, *left):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert "EOF" in regions.pulumi("stack", "export", "--stack", "bj").err
    done = regions.infra("up", "--stack", "bj")
    assert done.stacks["bj"]["error"] is None, done.err
    assert "removed what a killed run left half written: 0.json." in done.err
    assert json.loads(attributes.read_text()).keys() == json.loads(whole).keys()
    assert not any(path.exists() for path in left)
    next((kept / "history/lanecast/bj").glob("*.history.json.attrs")).write_text("")
    assert "EOF" in regions.pulumi("stack", "history", "--stack", "bj").err
    assert regions.infra("status", "--stack", "bj").stacks["bj"]["last_result"] == "succeeded"


def test_what_is_being_written_is_left_to_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here/.pulumi/stacks"
    folder.mkdir(parents=True)
    (tmp_path / "Pulumi.yaml").write_text("name: lanecast\nbackend: {url: 'file://./here'}\n")
    written, dead = folder / "hk.json.attrs", folder / "gz.json.attrs"
    for path in (written, dead):
        path.write_text("")
    monkeypatch.setattr("time.sleep", lambda _: written.write_text("{}"))
    assert file_backend.clear_torn(Engine(tmp_path, {})) == [dead.name]
    assert (written.read_text(), dead.exists()) == ("{}", False)
    assert file_backend.clear_torn(Engine(tmp_path, {"PULUMI_BACKEND_URL": "s3://bucket"})) == []
