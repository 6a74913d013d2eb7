"""The one process of a lab, first in its own mount, network and process namespaces: when it goes, so does everything.

Started by ``lanecast_lab.session`` as ``python -m lanecast_lab.supervisor NAME``; reads a request on standard input and
answers with events on standard output (``lanecast_lab.request``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from lanecast.fabric import Fabric
from lanecast_lab import request as protocol
from lanecast_lab.cloud.emulated import EmulatedCloud
from lanecast_lab.cloud.side import CloudSide, FabricCloud
from lanecast_lab.errors import LabError
from lanecast_lab.loading import load_fabric
from lanecast_lab.network import Network, bring_up, collect_logs, tear_down
from lanecast_lab.request import LAB_DIRECTORY, LEDGER, REPORT_DIRECTORY, CloudSource, RunRequest
from lanecast_lab.run import LabRun, prepare_traffic, summary
from lanecast_templates.renderer import SecretResolver

AUTOGROUP = Path("/proc/self/autogroup")
HIGHEST_PRIORITY = -20


def emit(kind: str, **values: object) -> None:
    """Tell the command one thing; a command that is gone does not matter to a lab that was asked to stay up."""
    try:
        print(protocol.event(kind, **values), flush=True)
    except BrokenPipeError:
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 - for the rest of this process


def _say(text: str) -> None:
    emit("phase", text=text, at_s=round(time.monotonic(), 3))


def make_private() -> None:
    """Give the lab folders of its own in memory and its own view of the kernel's devices."""
    for folder in protocol.PRIVATE_FOLDERS:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True)
    subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for made in (LAB_DIRECTORY, REPORT_DIRECTORY, *protocol.RUNTIME_FOLDERS):
        made.mkdir(parents=True, exist_ok=True)


def take_precedence() -> list[str]:
    """Let the lab run before other work of this machine: it measures time. Returns what to note where that is refused.

    Sessions compete as groups where the kernel groups them (sched(7), autogrouping), and processes within a group.
    """
    refused = []
    for what, settle in (
        ("priority", lambda: os.setpriority(os.PRIO_PROCESS, 0, HIGHEST_PRIORITY)),
        ("session's priority", lambda: AUTOGROUP.exists() and AUTOGROUP.write_text(f"{HIGHEST_PRIORITY}\n")),
    ):
        try:
            settle()
        except OSError as error:
            refused.append(f"the lab runs beside this machine's other work: its {what} stays ({error.strerror})")
    return refused


def write_ledger(request: RunRequest, fabric: Fabric, network: Network | None) -> None:
    """Say who this lab is, for ``lab status`` and ``lab exec``: it lives and dies with the lab's own memory."""
    nodes = {}
    if network is not None:
        nodes = {name: node.pid for name, node in sorted(network.topology.nodes.items())}
        nodes |= network.topology.cloud.services()
    ledger = {"name": request.name, "plan": request.plan, "keep_up": request.keep_up, "nodes": nodes}
    LEDGER.write_text(json.dumps(ledger))


def begin_cloud(request: RunRequest, fabric: Fabric) -> CloudSide:
    """The cloud's side that is asked for; an emulated one is there with its regions."""
    if request.cloud == CloudSource.FABRIC:
        return FabricCloud(fabric)
    cloud = EmulatedCloud(fabric, Path(request.plan), LAB_DIRECTORY / "cloud", request.destroy)
    cloud.begin(_say)
    if request.cloud_change:
        cloud.change(request.cloud_change, _say)
    return cloud


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def supervise(request: RunRequest) -> None:
    """Bring the lab up, run its traffic or keep it, and take it down."""
    fabric, notes = load_fabric(request.plan)
    traffic = None if request.keep_up else prepare_traffic(fabric, request, _say)
    make_private()
    write_ledger(request, fabric, None)
    notes += take_precedence()
    built: list[Network] = []
    try:
        cloud = begin_cloud(request, fabric)
        secrets = SecretResolver(directory=Path(request.plan).parent)
        network = bring_up(fabric, cloud, secrets, LAB_DIRECTORY, _say, built.append)
        network.notes += notes
        write_ledger(request, fabric, network)
        if traffic is None:
            emit("up", name=request.name, nodes=sorted(network.topology.nodes), timings=network.timings)
            signal.pause()
        else:
            run = LabRun(network, traffic, request, _say, lambda **progress: emit("progress", **progress))
            emit("done", report=str(REPORT_DIRECTORY), **summary(run.execute(), request))
            sys.stdin.readline()  # the command has copied the report
    except BaseException:
        for network in built:
            collect_logs(network, REPORT_DIRECTORY)
        raise
    finally:
        for network in built:
            tear_down(network)


def main() -> int:
    """Run one lab; 0 when it ended as asked, 2 when it could not be done."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    request = RunRequest.decode(sys.stdin.readline())
    try:
        supervise(request)
    except KeyboardInterrupt:
        return 0
    except LabError as error:
        emit("failed", message=str(error), report=str(REPORT_DIRECTORY))
        sys.stdin.readline()
        return 2
    except Exception as error:
        traceback.print_exc()
        emit("failed", message=f"{type(error).__name__}: {error}", report=str(REPORT_DIRECTORY))
        sys.stdin.readline()
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
