"""Peerings: a link between two VPCs' routers, for as long as they are active."""

from __future__ import annotations

from lanecast_lab.cloud.api.peering import ACCEPTOR, INITIATOR, KIND
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.draft import NEXT_ROUTER, Draft
from lanecast_lab.cloud.data_plane.model import Hop, Interface, Node, hardware_address, port_name
from lanecast_lab.cloud.data_plane.snapshot import Snapshot


def describe(draft: Draft) -> None:
    """A link for each peering; one that a fault takes down keeps it, and its ports are down."""
    for peering in draft.snapshot.of(KIND):
        if peering.body["role"] == INITIATOR and draft.snapshot.state(peering) in ("active", "updating"):
            _connect(draft, peering)


def _connect(draft: Draft, peering: Resource) -> None:
    key: str = peering.body["peerConnId"]
    vpcs = (peering.body["localVpcId"], peering.body["peerVpcId"])
    if not draft.vpcs.keys() >= set(vpcs):
        return
    up = not draft.snapshot.is_down(key)
    delay_ns = delay_of(draft.snapshot, peering)
    port = port_name("p", key)
    macs = {vpc: hardware_address(key, vpc) for vpc in vpcs}
    for vpc, other in (vpcs, vpcs[::-1]):
        router = draft.vpcs[vpc]
        neighbors = ((NEXT_ROUTER, macs[other]),)
        router.interfaces.append(Interface(port, mac=macs[vpc], up=up, neighbors=neighbors, plain=delay_ns > 0))
        router.peering_ports.append(port)
        if up:
            router.next_hops[key] = Hop(port, NEXT_ROUTER)
    if delay_ns:
        wire = Node(key, "peering", peering.body["localIfName"] or key, peering.region)
        draft.delayed_link(wire, (vpcs[0], port), (vpcs[1], port), delay_ns)
    else:
        draft.link(key, (vpcs[0], port), (vpcs[1], port))


def delay_of(snapshot: Snapshot, peering: Resource) -> int:
    """The one-way delay that was asked for by the peering's id, description, or a name of its interfaces; else none."""
    key = peering.body["peerConnId"]
    sides = [snapshot.get(KIND, f"{key}:{role}") for role in (INITIATOR, ACCEPTOR)]
    names = [key]
    for side in sides:
        if side is not None:
            names += [side.body["localIfName"], side.body["description"]]
    delays = snapshot.surroundings.peering_delays_ns
    return next((delays[name] for name in names if name in delays), 0)
