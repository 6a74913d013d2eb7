"""A running network, built, configured and converged: ``lab run`` sends traffic through it, ``lab up`` keeps it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lanecast.fabric import (
    Fabric,
    HostRole,
    is_in_the_cloud,
)
from lanecast.router import RouterRole
from lanecast_lab import services, states
from lanecast_lab.cloud.side import CloudSide, Say
from lanecast_lab.errors import LabError
from lanecast_lab.frr import FrrRouter
from lanecast_lab.node import Node, run
from lanecast_lab.topology import Topology, build
from lanecast_lab.wires import MeasuredDelay, measure_delay
from lanecast_templates.renderer import RenderError, SecretResolver, node_folder, render_fabric

WORKERS = 4
"""Commands in nodes mostly wait for the kernel or a daemon; more at once gain nothing on two cores."""


@dataclass(slots=True)
class Network:
    """What runs, and how long each step of getting there took, in seconds."""

    fabric: Fabric
    topology: Topology
    routers: dict[str, FrrRouter]
    relays: list[services.RelayProcess] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What the verdict should say of how the lab ran."""
    delays: dict[str, MeasuredDelay] = field(default_factory=dict)
    """What each delayed link really does one way, by name."""

    def node(self, name: str) -> Node:
        """The node of that name; raises ``KeyError``."""
        return self.topology.nodes[name]


def rendered_directory(rendered: Path, fabric: Fabric, name: str) -> Path:
    """Where the rendered files of a node are."""
    node = next(node for node in fabric.nodes() if node.name == name)
    return rendered / node_folder(node).parent / name


def bring_up(
    fabric: Fabric,
    cloud: CloudSide,
    secrets: SecretResolver,
    directory: Path,
    say: Say,
    partial: Callable[[Network], None],
) -> Network:
    """Build and start everything beside the cloud, join it to that, and wait until it has converged.

    ``partial`` gets the network as soon as something of it exists, so that a failure can still be cleaned up after.
    Raises :class:`~lanecast_lab.errors.LabError`.
    """
    rendered = directory / "rendered"
    write_rendered(fabric, secrets, rendered)
    started = time.monotonic()
    say("building the topology")
    topology = build(fabric, cloud, directory / "nodes")
    routers = {
        router.name: FrrRouter(router, topology.nodes[router.name], rendered_directory(rendered, fabric, router.name))
        for router in fabric.routers
        if not (cloud.given and router.role is RouterRole.GATEWAY)
    }
    network = Network(fabric, topology, routers)
    partial(network)
    ports = {node.name: {interface.name for interface in node.interfaces} for node in fabric.nodes()}
    cloud.start_instances(lambda name: rendered_directory(rendered, fabric, name))
    with ThreadPoolExecutor(WORKERS) as pool:
        list(
            pool.map(
                lambda node: services.apply_settings(
                    topology.nodes[node.name], rendered_directory(rendered, fabric, node.name), ports[node.name]
                ),
                (node for node in fabric.nodes() if not (cloud.given and is_in_the_cloud(node))),
            )
        )
    network.timings["build_s"] = time.monotonic() - started
    started = time.monotonic()
    say("starting routers")
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(FrrRouter.start, routers.values()))
    network.timings["routers_s"] = time.monotonic() - started
    say("starting relays")
    _start_relays(network, rendered)
    say("waiting for routing to converge")
    network.timings |= states.converge_unicast(routers)
    network.timings |= states.converge_bridges(topology)
    say("waiting for multicast to converge")
    network.timings |= states.converge_multicast(topology, routers)
    network.timings["converge_s"] = time.monotonic() - started
    say("measuring link delays")
    _measure_delays(network)
    return network


def write_rendered(fabric: Fabric, secrets: SecretResolver, directory: Path) -> None:
    """Write every rendered file of the network, counterparts included; raise :class:`LabError` when one cannot be."""
    try:
        files = render_fabric(fabric, secrets)
    except RenderError as error:
        raise LabError(str(error)) from None
    for file in files:
        path = directory / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
        path.chmod(file.mode)


def _start_relays(network: Network, rendered: Path) -> None:
    for host in services.relay_hosts(network.fabric.hosts, HostRole.RELAY):
        directory = rendered_directory(rendered, network.fabric, host.name)
        network.relays.append(services.start_relay(host, network.node(host.name), directory))
    beside_applications = services.relay_hosts(network.fabric.hosts, HostRole.SUBSCRIBER)
    if not network.topology.cloud.given:
        network.relays += [services.started_relay(host, network.node(host.name)) for host in beside_applications]
    for relay in network.relays:
        relay.await_ready()
    if network.topology.cloud.given and beside_applications:
        network.timings["cloud_relays_s"] = states.await_ports(network.topology, beside_applications)
        network.notes.append("relays on instances are the cloud's: their counters are not in relays.json")


def _measure_delays(network: Network) -> None:
    delayed = network.topology.delayed()
    with ThreadPoolExecutor(len(delayed) or 1) as pool:
        measured = pool.map(measure_delay, delayed)
        network.delays = dict(zip((wire.name for wire in delayed), measured, strict=True))


def tear_down(network: Network) -> dict[str, Any]:
    """End what runs, in order; the kernel removes the rest with the lab's namespaces. Returns relays' counters."""
    counters = {relay.host.name: relay.stop() for relay in network.relays if relay.process.poll() is None}
    network.relays.clear()
    if network.topology.delay_line is not None:
        network.topology.delay_line.stop()
    network.topology.mininet.stop()
    network.topology.cloud.stop()
    return counters


def collect_logs(network: Network, report: Path) -> None:
    """Write one log a node into the report: what its processes said, then its routing daemons'."""
    for name, node in network.topology.nodes.items():
        parts = [f"== {log.name}\n{log.read_text(errors='replace')}" for log in sorted(node.directory.glob("*.log"))]
        if name in network.routers:
            parts.append(network.routers[name].logs())
        (report / f"{name}.log").write_text("".join(parts))
    run(["chmod", "-R", "u+rwX", str(report)])
