"""A run that is killed or cancelled: the next one finds what was begun, and makes nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud
from engine_processes import descendants
from engine_runs import Runs, environment

from lanecast_infra.baiducloud import PeerConnection, Vpc

PROGRAM = """
import test_interrupted_runs
test_interrupted_runs.peered()
"""
PROJECT = "name: lanecast-tests\nruntime: python\n"
WITHIN_S = 60


def peered() -> None:
    hub, core = Vpc("hub", cidr="10.8.0.0/16"), Vpc("core", cidr="10.16.0.0/16")
    PeerConnection(
        "hub-core", bandwidth_in_mbps=100, local_vpc_id=hub.id, peer_vpc_id=core.id, peer_region="hkg", dns_sync=True
    )


def start(runs: Runs, *arguments: str) -> subprocess.Popen[str]:
    """The real command with the real language host, on the stack of ``runs``."""
    runs.open(peered)
    (runs.folder / "Pulumi.yaml").write_text(PROJECT + f"backend: {{url: 'file://{runs.folder}/backend'}}\n")
    (runs.folder / "__main__.py").write_text(PROGRAM)
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, **environment(runs.folder), **runs.variables, "PYTHONPATH": path}
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    command = ["pulumi", *arguments, "--stack", runs.stack, "--non-interactive"]
    return subprocess.Popen(
        command, cwd=runs.folder, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def peerings(cloud: EmulatedCloud) -> list[str]:
    vpcs = cloud.ask(VpcClient, "list_vpcs")["vpcs"]
    found = [
        one
        for vpc in vpcs
        for one in cloud.call().pages(PeerConnClient, "list_peerconns", "peerConns", vpc_id=vpc["vpcId"])
    ]
    return sorted({one["peerConnId"] for one in found})


def wait_for_a_peering(cloud: EmulatedCloud, run: subprocess.Popen[str]) -> None:
    """Until the cloud has begun to make it."""
    until = time.monotonic() + WITHIN_S
    while not peerings(cloud):
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < until, "no peering was begun"


@pytest.mark.parametrize("async_delay_s", [3.0])
@pytest.mark.parametrize("victim", ["engine", "provider"])
def test_a_killed_run_is_finished_by_the_next(
    runs: Runs, cloud: EmulatedCloud, victim: str, async_delay_s: float
) -> None:
    run = start(runs, "up", "--yes", "--skip-preview")
    wait_for_a_peering(cloud, run)
    started = descendants(run.pid)
    providers = [one for one in started if one.is_provider]
    assert len(providers) == 1
    if victim == "engine":
        run.kill()
    else:
        providers[0].kill()
    run.wait(timeout=WITHIN_S)
    begun = peerings(cloud)
    stack = runs.open(peered)
    if victim == "engine":
        until = time.monotonic() + WITHIN_S
        while providers[0].is_alive:  # it ends when it sees that the engine is gone
            assert time.monotonic() < until
        stack.cancel()
    for one in started:  # a language host would look for its engine for minutes yet
        one.kill()
    runs.refresh(peered, clear_pending_creates=True)
    runs.up(peered)
    assert peerings(cloud) == begun
    assert len(cloud.ask(VpcClient, "list_vpcs")["vpcs"]) == 2
    assert runs.up(peered).steps == {}
    runs.destroy(peered)
    assert cloud.ask(VpcClient, "list_vpcs")["vpcs"] == []


@pytest.mark.parametrize("async_delay_s", [30.0])
def test_a_cancelled_run_stops_waiting_and_keeps_what_it_began(
    runs: Runs, cloud: EmulatedCloud, async_delay_s: float
) -> None:
    run = start(runs, "up", "--yes", "--skip-preview")
    wait_for_a_peering(cloud, run)
    begun = time.monotonic()
    run.send_signal(signal.SIGINT)
    text, _ = run.communicate(timeout=WITHIN_S)
    assert time.monotonic() - begun < 20, "it waited for the peering"
    assert run.returncode != 0
    kept = runs.state(peered)
    assert kept["hub-core"]["id"] in peerings(cloud)
    assert "it was cancelled" in kept["hub-core"]["initErrors"][0], text
