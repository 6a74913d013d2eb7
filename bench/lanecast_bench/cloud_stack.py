"""How long the real engine takes with the provider and the emulated cloud for a stack of many resources."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lanecast_bench import cloud_program, machine
from lanecast_bench.cloud_server import ACCESS_KEY, REGION, SECRET_KEY, CloudServer
from lanecast_bench.processes import BenchError
from lanecast_bench.tools import ROOT

BUILT = ROOT / "build" / "pulumi" / "bin"
STACK = "bench"
QUOTAS = {"vpc": 1000, "instance": 10_000}
PROGRAM = "from lanecast_bench.cloud_program import make\n\nmake()\n"
SETTLED = ("up", "--yes", "--skip-preview")


@dataclass(frozen=True, slots=True)
class StackTimes:
    """Seconds that each command took, and how many resources there were."""

    resources: int
    up_s: float
    unchanged_s: float
    refresh_s: float
    destroy_s: float
    others_share: float
    """Of all processors, what others used while the stack was made."""


@dataclass(frozen=True, slots=True)
class _Project:
    folder: Path
    environment: dict[str, str]

    def run(self, *words: str) -> float:
        """Seconds that `pulumi` takes; what it says where it fails is in the error."""
        began = time.monotonic()
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"pulumi {' '.join(words)}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return time.monotonic() - began


def measure(folder: Path, cloud: CloudServer, resources: int) -> StackTimes:
    """Make, look again, compare and remove that many resources at least; ``folder`` is for the project's files."""
    networks = -(-resources // cloud_program.A_NETWORK)
    project = _project(folder, cloud)
    project.run("stack", "init", STACK)
    project.run("config", "set", "bench:networks", str(networks))
    before = _others_s()
    up_s = project.run(*SETTLED)
    others_share = (_others_s() - before) / up_s / (os.cpu_count() or 1)
    unchanged_s = project.run(*SETTLED, "--expect-no-changes")
    refresh_s = project.run("refresh", "--yes", "--skip-preview")
    destroy_s = project.run("destroy", "--yes", "--skip-preview")
    return StackTimes(networks * cloud_program.A_NETWORK, up_s, unchanged_s, refresh_s, destroy_s, others_share)


def _others_s() -> float:
    """Processor time so far of what is not of this session."""
    return machine.cpu_seconds({os.getsid(0)})[1]


def _project(folder: Path, cloud: CloudServer) -> _Project:
    (folder / "backend").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: lanecast-bench\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM)
    path = os.pathsep.join([str(Path(sys.executable).parent), str(BUILT), os.environ["PATH"]])
    return _Project(
        folder,
        {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "of a benchmark",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
            "BAIDUCLOUD_ACCESS_KEY": ACCESS_KEY,
            "BAIDUCLOUD_SECRET_KEY": SECRET_KEY,
            "BAIDUCLOUD_REGION": REGION,
            "BAIDUCLOUD_ENDPOINT": cloud.endpoint,
        },
    )
