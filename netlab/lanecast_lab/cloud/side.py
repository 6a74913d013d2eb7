"""The cloud's side of a lab: what a topology asks of it, and the one that is built from the compiler's expectation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lanecast.cloud_state import CloudState
from lanecast.fabric import Fabric, Link
from lanecast.router import RouterRole
from lanecast_lab import instances
from lanecast_lab.cloud import reconciler
from lanecast_lab.judge import Check
from lanecast_lab.node import Node, hold_namespace, prepare
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

    def wires(self) -> list[Wire]:
        """The links inside of it that the lab has to connect."""

    def uplink_end(self, link: Link, address: str) -> End:
        """Where an uplink ends; ``address`` is the gateway's on it."""

    def configure(self) -> None:
        """Give everything addresses and routes, once the links are connected."""

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
    _gateways: dict[str, Node] = field(default_factory=dict)
    _made: reconciler.CloudNodes = field(default_factory=reconciler.CloudNodes)

    @property
    def _state(self) -> CloudState:
        return self.fabric.cloud

    def nodes(self, directory: Path) -> list[Node]:
        for router in self.fabric.routers:
            if router.role is RouterRole.GATEWAY:
                node = hold_namespace(router.name, directory / router.name)
                prepare(node)
                self._gateways[router.name] = node
        self._made = reconciler.build(self._state, self._gateways, directory)
        return [*self._gateways.values(), *self._made.nodes()]

    def wires(self) -> list[Wire]:
        return self._made.wires

    def uplink_end(self, link: Link, address: str) -> End:
        name, interface = link.ends[1]
        return End(self._gateways[name], interface, address)

    def configure(self) -> None:
        reconciler.configure(self._state, self._made)

    def start_instances(self, rendered: Callable[[str], Path]) -> None:
        for name, node in sorted(self._made.instances.items()):
            user_data = rendered(name) / USER_DATA
            if user_data.exists():
                instances.start(node, user_data.read_text())

    def services(self) -> dict[str, int]:
        return {}

    def finish(self, say: Say, report: Path) -> list[Check]:
        return []

    def stop(self) -> None:
        return
