"""The cloud's side of a lab: what a topology asks of it, and the one that is built from the compiler's expectation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lanecast.cloud_state import CloudPeering
from lanecast.fabric import Fabric, Link
from lanecast_lab import instances
from lanecast_lab.cloud.data_plane import expected
from lanecast_lab.cloud.data_plane.model import port_name
from lanecast_lab.cloud.data_plane.reconciler import Reconciler
from lanecast_lab.errors import LabError
from lanecast_lab.judge import Check
from lanecast_lab.node import Node, prepare
from lanecast_lab.wires import End, Wire
from lanecast_templates.user_data import USER_DATA

Say = Callable[[str], None]
"""Tells the person which phase has begun."""


class CloudSide(Protocol):
    """The cloud's nodes, and where the site's uplinks end."""

    given: bool
    """Whether its nodes come with everything that runs on them, gateways included, and the lab must not touch that."""
    timings: dict[str, float]
    """Seconds that steps of its own took."""

    def nodes(self, directory: Path) -> list[Node]:
        """Every node, of which those that the lab makes have folders under ``directory``."""

    def delayed(self) -> list[Wire]:
        """The links inside of it whose delay the lab measures."""

    def uplink_end(self, link: Link, address: str) -> End:
        """Where an uplink ends; ``address`` is the gateway's on it."""

    def configure(self) -> None:
        """Do what has to wait until the uplinks are connected."""

    def start_instances(self, rendered: Callable[[str], Path]) -> None:
        """Start instances from their user data; ``rendered`` says where the files of a node are."""

    def services(self) -> dict[str, int]:
        """Processes beside the nodes that ``lab exec`` can go to, by name."""

    def finish(self, say: Say, report: Path) -> list[Check]:
        """After the traffic: what the verdict shall say of the cloud; its logs go to the report."""

    def stop(self) -> None:
        """End what the cloud runs beside its nodes."""


@dataclass(slots=True)
class FabricCloud:
    """The cloud as the compiler expects it, with a router that the lab runs as each gateway."""

    fabric: Fabric
    given: bool = False
    timings: dict[str, float] = field(default_factory=dict)
    _reconciler: Reconciler | None = None
    _nodes: dict[str, Node] = field(default_factory=dict)

    def nodes(self, directory: Path) -> list[Node]:
        state = directory.parent / "cloud"
        state.mkdir()
        self._reconciler = Reconciler(state, lambda: None)
        self._reconciler.apply(expected.describe(self.fabric.cloud))
        if problems := self._reconciler.problems():
            raise LabError("the cloud could not be built: " + "; ".join(problems))
        own = {one.name for each in (self.fabric.cloud.vpcs, self.fabric.cloud.instances) for one in each}
        own |= {one.name for one in self.fabric.cloud.gateways}
        self._nodes = {key: built.namespace for key, built in self._reconciler.built.items() if key in own}
        for node in self._nodes.values():
            prepare(node)
        return list(self._nodes.values())

    def delayed(self) -> list[Wire]:
        wires = (self._measurable(peering) for peering in self.fabric.cloud.peerings if peering.delay_ns)
        return [wire for wire in wires if wire is not None]

    def _measurable(self, peering: CloudPeering) -> Wire | None:
        """A peering, from the address of one router in a subnet to the other's, when routes lead there and back."""
        ends = []
        for own, other in ((peering.first, peering.second), (peering.second, peering.first)):
            routes = next(vpc.routes for vpc in self.fabric.cloud.vpcs if vpc.name == other)
            networks = [route.prefix for route in routes if route.target == peering.name]
            subnets = next(vpc.subnets for vpc in self.fabric.cloud.vpcs if vpc.name == own)
            reached = [each.gateway for each in subnets if any(each.gateway in network for network in networks)]
            if not reached:
                return None
            ends.append(End(self._nodes[own], port_name("p", peering.name), str(reached[0])))
        return Wire(peering.name, ends[0], ends[1], peering.delay_ns)

    def uplink_end(self, link: Link, address: str) -> End:
        name, interface = link.ends[1]
        return End(self._nodes[name], interface, address)

    def configure(self) -> None:
        return

    def start_instances(self, rendered: Callable[[str], Path]) -> None:
        for instance in self.fabric.cloud.instances:
            user_data = rendered(instance.name) / USER_DATA
            if user_data.exists():
                instances.start(self._nodes[instance.name], user_data.read_text())

    def services(self) -> dict[str, int]:
        """Subnets' switches, by the subnets' names."""
        assert self._reconciler is not None  # the lab asks for nodes first
        built = self._reconciler.built
        subnets = [subnet.name for vpc in self.fabric.cloud.vpcs for subnet in vpc.subnets]
        return {name: built[name].namespace.pid for name in subnets}

    def finish(self, say: Say, report: Path) -> list[Check]:
        return []

    def stop(self) -> None:
        if self._reconciler is not None:
            self._reconciler.close()
