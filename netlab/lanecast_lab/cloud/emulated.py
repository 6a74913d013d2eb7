"""The emulated cloud as a lab's cloud side: its API and data plane, and the regions that Pulumi makes in it.

Nothing of the cloud is built from the plan here. What Pulumi declared, the emulator has, and its data plane built; the
lab only brings its sites' uplinks to the patch panels of the dedicated lines, and looks for its instances by name.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lanecast.fabric import Fabric, Link
from lanecast_lab import services, waits
from lanecast_lab.cloud.api import bcc, et, et_gateway, vpc
from lanecast_lab.cloud.comparison import differences
from lanecast_lab.cloud.data_plane.looking import RunningDataPlane, RunningNode, read_registry
from lanecast_lab.cloud.data_plane.snapshot import Reader, Snapshot, Surroundings
from lanecast_lab.cloud.held import comparable, held
from lanecast_lab.cloud.side import Say
from lanecast_lab.errors import LabError
from lanecast_lab.judge import Check
from lanecast_lab.node import Node
from lanecast_lab.wires import End, Wire

ASYNC_DELAY_S: Final = "0.2"
"""What asynchronous work takes: long enough that Pulumi has to wait for it, short enough to wait with it."""

SERVED: Final = (vpc.KIND, bcc.KIND, et_gateway.KIND)
"""The data plane's kinds of nodes that have the plan's names."""

LANECAST: Final = (sys.executable, "-m", "lanecast.cli")


@dataclass(slots=True)
class EmulatedCloud:
    """The cloud of one lab. ``directory``: where the emulator and Pulumi keep everything, in the lab's own memory."""

    fabric: Fabric
    plan: Path
    directory: Path
    destroy: bool = True
    """Whether Pulumi takes everything down again at the end, and nothing may be left."""
    given: bool = True
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds that Pulumi took."""
    _server: subprocess.Popen[str] | None = None
    _environment: dict[str, str] = field(default_factory=dict)
    _differences: list[str] = field(default_factory=list)
    _plugs: dict[tuple[int, str], End] = field(default_factory=dict)
    """The uplinks' ends, by VLAN and dedicated line."""

    def begin(self, say: Say) -> None:
        """Serve the cloud and let Pulumi make every region in it. Raises :class:`LabError`."""
        self._refuse_uplinks_without_lines()
        self.directory.mkdir(parents=True)
        self._lanecast("infra", "init", str(self._project))
        say("starting the emulated cloud")
        self._serve()
        say(f"pulumi up of {', '.join(region.name for region in self.fabric.cloud.regions)}")
        started = time.monotonic()
        self._infra("up", "--no-protect")
        self.timings["pulumi_up_s"] = time.monotonic() - started

    def change(self, command: str, say: Say) -> None:
        """Run a command of the person's own against the cloud. Raises :class:`LabError` when it fails."""
        say(f"running {command}")
        self._run(shlex.split(command), command)

    def nodes(self, directory: Path) -> list[Node]:
        """VPC routers, instances and gateways of the plan as the data plane has them."""
        snapshot, running = self._applied()
        self._differences = differences(comparable(self.fabric.cloud), held(snapshot))
        there = {one.name: one for one in running.nodes if one.kind in SERVED}
        if missing := sorted({one.name for one in self.fabric.cloud.instances} - there.keys()):
            raise LabError(
                f"the cloud has no instance {', '.join(missing)}; how it differs from the plan:\n"
                + "\n".join(self._differences)
            )
        return [self._node(name, one, directory / name) for name, one in sorted(there.items())]

    @staticmethod
    def _node(name: str, there: RunningNode, directory: Path) -> Node:
        directory.mkdir(parents=True, exist_ok=True)
        return Node(name, there.pid, directory)

    def delayed(self) -> list[Wire]:
        """None: what the API cannot say is not looked for in what it holds."""
        return []

    def uplink_end(self, link: Link, address: str) -> End:
        """A new port of the dedicated line's patch panel."""
        gateway = next(one for one in self.fabric.cloud.gateways if one.name == link.ends[1][0])
        panel = next((one for one in read_registry(self._state).nodes if one.id == gateway.physical_line), None)
        if panel is None:
            raise LabError(f"{link.name}: the cloud has no dedicated line {gateway.physical_line}")
        directory = self.directory / "panels" / panel.id
        directory.mkdir(parents=True, exist_ok=True)
        end = End(Node(panel.id, panel.pid, directory), f"site{gateway.vlan}", address)
        self._plugs[gateway.vlan, panel.id] = end
        return end

    def configure(self) -> None:
        """Put each uplink's port into the bridge of its VLAN."""
        for (vlan, _), end in self._plugs.items():
            end.node.run("ip", "link", "set", end.interface, "master", f"vlan{vlan}")

    def start_instances(self, rendered: Callable[[str], Path]) -> None:
        """The data plane has started them, from the user data that they were made with."""

    def services(self) -> dict[str, int]:
        """The API: ``lanecast lab exec cloud`` is where its endpoint answers."""
        assert self._server is not None  # begun
        return {"cloud": self._server.pid}

    def finish(self, say: Say, report: Path) -> list[Check]:
        """Whether the cloud was what the plan expects, and whether Pulumi leaves nothing of it."""
        checks = [_none("cloud as planned", self._differences, "differences", "field by field")]
        try:
            if self.destroy:
                checks.append(self._destroyed(say))
        finally:
            for log in (self._log, self._pulumi_log):
                shutil.copyfile(log, report / log.name)
        return checks

    def _destroyed(self, say: Say) -> Check:
        say("pulumi destroy")
        started = time.monotonic()
        self._infra("destroy", "--remove")
        self.timings["pulumi_destroy_s"] = time.monotonic() - started
        snapshot, running = self._applied()
        left = [f"{one.kind} {one.key}" for one in snapshot.all() if one.kind != et.LINE]
        left += [f"namespace {one.namespace}" for one in running.nodes if one.kind != et.LINE]
        return _none("cloud empty after pulumi destroy", left, "resources", "dedicated lines stay")

    def stop(self) -> None:
        """End the server, which removes its namespaces."""
        if self._server is not None:
            services.stop(self._server)

    @property
    def _project(self) -> Path:
        return self.directory / "project"

    @property
    def _state(self) -> Path:
        return self.directory / "state"

    @property
    def _log(self) -> Path:
        return self.directory / "cloud.log"

    @property
    def _pulumi_log(self) -> Path:
        return self.directory / "pulumi.log"

    def _refuse_uplinks_without_lines(self) -> None:
        without = [one.uplink for one in self.fabric.cloud.gateways if one.physical_line is None]
        if without:
            raise LabError(
                "Pulumi makes a gateway for uplinks with a physical-line only; the plan names none for "
                f"{', '.join(without)}: add it, or run the lab with --cloud fabric"
            )

    def _serve(self) -> None:
        key, secret = secrets.token_hex(16), secrets.token_hex(16)
        codes = {region.name: region.code for region in self.fabric.cloud.regions}
        lines = sorted(
            {f"{codes[one.vpc.partition('.')[0]]}={one.physical_line}" for one in self.fabric.cloud.gateways}
        )
        options = [word for line in lines for word in ("--physical-line", line)]
        for peering in self.fabric.cloud.peerings:
            options += ["--peering-delay", f"{peering.name}={peering.delay_ns // 1000}us"]
        command = [
            *LANECAST, "cloud", "serve", "--listen", "127.0.0.1:0", "--state", str(self._state), "--data-plane",
            "--async-delay", ASYNC_DELAY_S, *options,
        ]  # fmt: skip
        with self._log.open("w") as log:
            self._server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "LANECAST_CLOUD_ACCESS_KEYS": f"{key}:{secret}"},
            )
        assert self._server.stdout is not None  # asked for
        announced = self._server.stdout.readline().split()
        if not announced:
            raise LabError(f"the emulated cloud did not start: {self._log.read_text()[-2000:]}")
        self._environment = {
            "BAIDUCLOUD_ENDPOINT": announced[0],
            "BAIDUCLOUD_ACCESS_KEY": key,
            "BAIDUCLOUD_SECRET_KEY": secret,
            "PULUMI_BACKEND_URL": f"file://{self.directory}/pulumi",
            "PULUMI_HOME": str(self.directory / "pulumi-home"),
            "PULUMI_CONFIG_PASSPHRASE": secrets.token_hex(16),
            "TMPDIR": str(self.directory / "tmp"),
        }
        for folder in ("pulumi", "tmp"):
            (self.directory / folder).mkdir()
        settings = self.directory / "environment"
        settings.touch(mode=0o600)
        settings.write_text("".join(f"export {name}={shlex.quote(text)}\n" for name, text in self._environment.items()))

    def _infra(self, command: str, *options: str) -> None:
        answer = self._lanecast(
            "infra", command, str(self.plan), "--project", str(self._project), "--json", *options, check=False
        )
        try:
            told = json.loads(answer)
        except json.JSONDecodeError:
            raise LabError(f"lanecast infra {command}: {self._pulumi_log.read_text()[-2000:]}") from None
        if not told["passed"]:
            wrong = [
                f"{one['stack']}: {text}" for one in told["stacks"] for text in (one["error"], *one["waiting"]) if text
            ]
            raise LabError(f"pulumi {command} did not come to its end:\n" + "\n".join(wrong))

    def _lanecast(self, *words: str, check: bool = True) -> str:
        return self._run([*LANECAST, *words], f"lanecast {' '.join(words[:2])}", check)

    def _run(self, command: list[str], what: str, check: bool = True) -> str:
        with self._pulumi_log.open("a") as log:
            done = subprocess.run(
                command,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=False,
            )
        if check and done.returncode:
            raise LabError(f"{what}: exit status {done.returncode}: {self._pulumi_log.read_text()[-2000:]}")
        return done.stdout

    def _applied(self) -> tuple[Snapshot, RunningDataPlane]:
        """The store once all of its states have ended, and the data plane that has applied them."""
        reader = Reader(self._state)
        found: list[tuple[Snapshot, RunningDataPlane]] = []

        def missing() -> list[str]:
            running = read_registry(self._state)
            snapshot = reader.read(running.as_of, Surroundings())
            if snapshot.next_end() is not None:
                return ["asynchronous work goes on"]
            if running.change < snapshot.change:
                return [f"change {running.change} is applied, of {snapshot.change}"]
            found.append((snapshot, running))
            return list(running.problems)

        try:
            waits.until("the cloud's data plane", waits.DATA_PLANE_S, missing)
        finally:
            reader.close()
        return found[-1]


def _none(name: str, found: list[str], unit: str, detail: str) -> Check:
    """A check that passes when nothing was found."""
    shown = "; ".join(found[:20]) + (f"; and {len(found) - 20} more" if len(found) > 20 else "")
    return Check(name, not found, 0, len(found), unit, shown or detail)
