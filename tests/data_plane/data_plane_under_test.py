"""``lanecast cloud serve --data-plane`` in a process of its own, the SDK to drive it, and commands in its nodes."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from baidubce.services.bcc import bcc_model
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_under_test import Emulator

APPLIED_WITHIN_S = 10.0
"""A bound for what does not come, on a machine that has other work. ``test_speed`` is about how fast it comes."""

SPEC, IMAGE = "bcc.g5.c2m8", "m-lanecast-debian"
EVERYWHERE = "0.0.0.0/0"
CHANGE_HEADER = "x-lanecast-change"


NAMES = Path("/run/netns")


def interfaces_here() -> set[str]:
    """The interfaces of the tests' own namespace, where a data plane makes none."""
    return {place.name for place in Path("/sys/class/net").iterdir()}


Life = tuple[int, str]
"""A process: its id, and when it began, in the kernel's ticks."""


def _began(pid: int) -> str:
    """When a process began; empty when it has ended and nobody has asked how yet."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def processes_in(namespaces: list[str]) -> set[Life]:
    """The processes in namespaces of these names."""
    numbers = {(NAMES / name).stat().st_ino for name in namespaces}
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if (entry / "ns/net").stat().st_ino in numbers:
                    found.add((int(entry.name), _began(int(entry.name))))
    return found


def remains(namespaces: list[str], processes: set[Life]) -> list[str]:
    """Which of these namespaces and processes are still there. Numbers of namespaces are given to others at once."""
    left = [name for name in namespaces if (NAMES / name).exists()]
    for pid, began in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if _began(pid) == began:
                left.append(f"process {pid}")
    return left


class DataPlane(Emulator):
    """A server with a data plane."""

    def registry(self) -> dict[str, Any]:
        """What it says of itself."""
        read: dict[str, Any] = json.loads((self.state / "data-plane.json").read_text())
        return read

    def change(self) -> int:
        """The number of the store's last change."""
        _, headers, _ = self.send("GET", "/_lanecast/faults", authorization="")
        return int(headers[CHANGE_HEADER])

    def settle(self, within_s: float = APPLIED_WITHIN_S, problems: bool = False) -> float:
        """Wait until everything that was asked for is applied; the seconds that it took."""
        wanted, begun = self.change(), time.time()
        while not (self.state / "data-plane.json").exists() or not self._is_applied(wanted, begun, problems):
            assert time.time() < begun + within_s, (wanted, self._said(), self.log())
            time.sleep(0.005)
        return time.time() - begun

    def _is_applied(self, change: int, begun: float, problems: bool) -> bool:
        registry = self.registry()
        return registry["change"] >= change and bool(registry["problems"]) == problems

    def _said(self) -> Any:
        path = self.state / "data-plane.json"
        return json.loads(path.read_text()) if path.exists() else "no registry"

    def node(self, key: str) -> dict[str, Any]:
        """A node of the registry, by its id or name."""
        found = [node for node in self.registry()["nodes"] if key in (node["id"], node["name"])]
        assert len(found) == 1, (key, self.registry()["nodes"])
        return dict(found[0])

    def has(self, key: str) -> bool:
        """Whether there is such a node."""
        return any(key == node["id"] for node in self.registry()["nodes"])

    def has_name(self, name: str) -> bool:
        """Whether a node is called so."""
        return any(name == node["name"] for node in self.registry()["nodes"])

    def address(self, key: str) -> str:
        """A node's first address."""
        return str(self.node(key)["addresses"][0])

    def inside(self, key: str) -> list[str]:
        """The beginning of a command line that runs in a node."""
        return ["nsenter", f"--target={self.node(key)['pid']}", "--net", "--mount", "--"]

    def run(self, key: str, *command: str) -> str:
        """What a command in a node prints; it has to succeed."""
        done = subprocess.run([*self.inside(key), *command], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def pings(self, key: str, address: str, *options: str) -> bool:
        """Whether a ping from a node is answered."""
        command = ["ping", "-n", "-c", "3", "-i", "0.05", "-W", "0.3", *options, address]
        done = subprocess.run([*self.inside(key), *command], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode == 0

    @contextlib.contextmanager
    def probe(self, key: str, *arguments: str) -> Iterator[Callable[[], str]]:
        """``probes.py`` in a node, once it says that it is ready; what is given waits for its end and returns what it
        said."""
        command = [*self.inside(key), sys.executable, str(Path(__file__).parent / "probes.py"), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process.stdout.read
        finally:
            process.terminate()
            process.communicate()

    def namespaces(self) -> list[str]:
        """The names of the nodes' namespaces."""
        return [str(node["namespace"]) for node in self.registry()["nodes"]]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; when it is not killed, nothing is left of it."""
        namespaces = self.namespaces() if how is signal.SIGTERM else []
        processes = processes_in(namespaces)
        status = super().stop(how)
        assert not remains(namespaces, processes)
        if how is signal.SIGTERM:
            assert sorted(place.name for place in self.state.iterdir()) == ["cloud.sqlite", "lock"]
        return status

    def end(self) -> None:
        """Leave nothing, after a test that failed."""
        if self.running():
            super().stop(signal.SIGKILL)
        if (self.state / "data-plane-ledger.json").exists():
            command = [sys.executable, "-m", "lanecast", "cloud", "clean", "--state", str(self.state)]
            subprocess.run(command, check=True, timeout=60)

    # -- resources

    def a_vpc(self, cidr: str, name: str = "vpc", region: str = "bj") -> str:
        """A VPC."""
        made: str = self.client(VpcClient, region).create_vpc(name, cidr).vpc_id
        return made

    def a_subnet(self, vpc: str, cidr: str, zone: str = "a", region: str = "bj", name: str = "subnet") -> str:
        """A subnet."""
        subnets = self.client(SubnetClient, region)
        made: str = subnets.create_subnet(name, f"cn-{region}-{zone}", cidr, vpc).subnet_id
        return made

    def an_instance(self, subnet: str, name: str, region: str = "bj", **more: Any) -> str:
        """An instance."""
        bcc = self.client(BccClient, region)
        made: str = bcc.create_instance_by_spec(SPEC, IMAGE, subnet_id=subnet, name=name, **more).instance_ids[0]
        return made

    def a_group(self, vpc: str, *rules: Any, region: str = "bj") -> str:
        """A security group with these rules alone."""
        bcc = self.client(BccClient, region)
        made: str = bcc.create_security_group("group", list(rules), vpc_id=vpc, desc="").security_group_id
        return made

    def a_peering(self, vpc: str, other: str, name: str = "", regions: tuple[str, str] = ("bj", "bj")) -> str:
        """A peering."""
        peerings = self.client(PeerConnClient, regions[0])
        made: str = peerings.create_peerconn(10, vpc, other, regions[1], local_if_name=name).peer_conn_id
        return made

    def a_route(
        self, vpc: str, destination: str, kind: str, hop: str, region: str = "bj", source: str = EVERYWHERE
    ) -> str:
        """A route rule."""
        routes = self.client(RouteClient, region)
        table = routes.get_route(vpc_id=vpc).route_table_id
        made: str = routes.create_route(table, source, destination, kind, "", hop).route_rule_id
        return made


def rule(direction: str, protocol: str = "", ports: str = "", source: str = "", group: str = "") -> Any:
    """A rule of a security group."""
    return bcc_model.SecurityGroupRuleModel(
        direction=direction, protocol=protocol, portRange=ports, sourceIp=source, sourceGroupId=group, ethertype="IPv4"
    )


ANYTHING_OUT = rule("egress")
