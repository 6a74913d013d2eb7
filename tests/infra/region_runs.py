"""A plan's regions brought up as a person would: by `lanecast infra` and `pulumi`, in a project folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from baidubce.services.route.route_client import RouteClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import ACCESS_KEY, SECRET_KEY, EmulatedCloud
from engine_runs import ROOT, environment

EXAMPLE = ROOT / "examples/three-regions.yaml"
LINES = ("hkg=dcphy-4tq7w2hk1a9m", "hkg=dcphy-8zc3n5hk1b6v")
"""The physical lines that it names."""
CODES = {"hk": "hkg", "gz": "gz", "bj": "bj"}
"""The provider's word for each of the example's regions."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """What it printed with --json."""
        assert self.out, self.err
        return dict(json.loads(self.out))

    @property
    def stacks(self) -> dict[str, dict[str, Any]]:
        """The report's part of each stack."""
        return {one["stack"]: one for one in self.report["stacks"]}


@dataclass(slots=True)
class Regions:
    """A project folder with a plan, a backend of files, and an emulated cloud."""

    cloud: EmulatedCloud
    folder: Path
    plan_name: str = EXAMPLE.name
    example: Path = EXAMPLE
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "infra").mkdir(parents=True)
        (self.folder / "backend").mkdir()
        shutil.copy(ROOT / "Pulumi.yaml", self.folder)
        shutil.copy(ROOT / "infra/__main__.py", self.folder / "infra")
        shutil.copy(self.example, self.plan)
        self.environment = {
            **os.environ,
            **(found := environment(self.folder)),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{found['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "BAIDUCLOUD_ACCESS_KEY": ACCESS_KEY,
            "BAIDUCLOUD_SECRET_KEY": SECRET_KEY,
            "BAIDUCLOUD_ENDPOINT": self.cloud.endpoint,
        }
        self.lock()

    @property
    def plan(self) -> Path:
        """The plan, a copy of the example."""
        return self.folder / self.plan_name

    def edit(self, old: str, new: str) -> None:
        """Change the plan."""
        text = self.plan.read_text()
        assert text.count(old) == 1, old
        self.plan.write_text(text.replace(old, new))

    def lock(self) -> None:
        """`lanecast lock`: what the plan leaves open stays."""
        assert self._run([sys.executable, "-m", "lanecast", "lock", str(self.plan)]).code == 0

    def infra(self, command: str, *flags: str) -> Finished:
        """`lanecast infra COMMAND PLAN --json`."""
        words = [sys.executable, "-m", "lanecast", "infra", command, str(self.plan), "--json", *flags]
        return self._run(words)

    def pulumi(self, *words: str) -> Finished:
        """`pulumi …` in the project's folder."""
        return self._run(["pulumi", *words, "--non-interactive", "--color", "never"])

    def outputs(self, stack: str) -> dict[str, Any]:
        """A stack's outputs."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", "--stack", stack).out))

    def held(self) -> dict[str, list[str]]:
        """What the cloud holds, by kind: names, and where routes lead."""
        found: dict[str, list[str]] = {"vpcs": [], "subnets": [], "peerings": [], "routes": []}
        for code in CODES.values():
            call = self.cloud.call(code)
            for vpc in call.pages(VpcClient, "list_vpcs", "vpcs"):
                found["vpcs"].append(vpc["name"])
                for one in call.pages(PeerConnClient, "list_peerconns", "peerConns", vpc_id=vpc["vpcId"]):
                    found["peerings"] += [one["peerConnId"]] if one["role"] == "initiator" else []
                for rule in call.pages(RouteClient, "get_route_rule", "routeRules", vpcId=vpc["vpcId"]):
                    if rule["nexthopType"] == "peerConn":
                        found["routes"].append(f"{vpc['name']}-to-{rule['destinationAddress']}")
            found["subnets"] += [one["name"] for one in call.pages(SubnetClient, "list_subnets", "subnets")]
        return {kind: sorted(names) for kind, names in found.items()}

    def _run(self, words: Sequence[str]) -> Finished:
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=280, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr)
