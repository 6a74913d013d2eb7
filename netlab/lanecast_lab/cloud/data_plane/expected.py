"""What the compiler expects of a cloud, in the store's words: so a lab without an API has the same data plane.

Ids are the plan's names. A dedicated-line gateway is a node that the lab completes: it is joined to its VPC's router
here, and everything towards the site is the lab's. Instances are in no security group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from typing import Any

from lanecast.cloud_state import CloudPeering, CloudState, CloudVpc
from lanecast.compiler.cloud import GATEWAY_VPC_INTERFACE, transfer_links
from lanecast.plan.layout import link_ends
from lanecast_lab.cloud.api import bcc, havip, peering, route, subnet, vpc
from lanecast_lab.cloud.api.states import settled
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane import instances, peerings, subnets, vpcs
from lanecast_lab.cloud.data_plane.draft import Draft
from lanecast_lab.cloud.data_plane.model import Description, Hop, Interface, Node, port_name
from lanecast_lab.cloud.data_plane.snapshot import Snapshot, Surroundings

GATEWAY = "gateway"
EVERYWHERE = "0.0.0.0/0"


def describe(state: CloudState) -> Description:
    """The data plane of what is expected."""
    delays = {one.name: one.delay_ns for one in state.peerings if one.delay_ns}
    draft = Draft(Snapshot(resources(state), 0.0, Surroundings(peering_delays_ns=delays)))
    parts: tuple[Callable[[Draft], None], ...] = (
        instances.describe,
        peerings.describe,
        lambda draft: _gateways(draft, state),
        subnets.describe,
        vpcs.describe,
    )
    for part in parts:
        part(draft)
    return draft.description()


def _gateways(draft: Draft, state: CloudState) -> None:
    """Each is joined by a network of its own, whose far end the gateway's own configuration has."""
    networks: dict[str, IPv4Network] = transfer_links(state.gateways)
    for gateway in state.gateways:
        network = networks[gateway.name]
        near, far = link_ends(network)
        port = Interface(port_name("g", gateway.name), (f"{near}/{network.prefixlen}",))
        router = draft.vpcs[gateway.vpc]
        router.interfaces.append(port)
        router.next_hops[gateway.name] = Hop(port.name, str(far))
        draft.link(gateway.name, (gateway.vpc, port.name), (gateway.name, GATEWAY_VPC_INTERFACE))
        own = Interface(GATEWAY_VPC_INTERFACE)
        draft.add(Node(gateway.name, GATEWAY, gateway.name, router.resource.region, interfaces=(own,)))


def resources(state: CloudState) -> list[Resource]:
    """Every resource that has a part in the data plane, in the words of the API."""
    found = [one for each in state.vpcs for one in _vpc(each, state)]
    for each in state.peerings:
        found += _peering(each)
    for instance in state.instances:
        body = {
            "name": instance.name,
            "internalIp": str(instance.address.ip),
            "zoneName": "",
            "status": settled("Running"),
            "_groups": [],
            "_userData": "",
        }
        found.append(_resource(bcc.KIND, instance.name, instance.subnet, body))
    for shared in state.shared_addresses:
        body = {
            "vpcId": shared.subnet.rpartition(".")[0],
            "privateIpAddress": str(shared.address),
            "_bound": [[name, havip.SERVER] for name in shared.instances],
        }
        found.append(_resource(havip.KIND, shared.name, shared.subnet, body))
    return found


def _resource(kind: str, key: str, parent: str | None, body: dict[str, Any]) -> Resource:
    return Resource(key, kind, "", "", parent, body)


def _vpc(expected: CloudVpc, state: CloudState) -> Iterator[Resource]:
    name = expected.name
    body = {"name": name, "cidr": str(expected.cidr), "secondaryCidr": [], "relay": expected.transit}
    yield _resource(vpc.KIND, name, None, body)
    for part in expected.subnets:
        yield _resource(subnet.KIND, part.name, name, {"name": part.name, "cidr": str(part.cidr)})
    table = f"{name}.routes"
    yield _resource(route.TABLE, table, name, {})
    through_peerings = {one.name for one in state.peerings}
    for each in expected.routes:
        rule = {
            "sourceAddress": EVERYWHERE,
            "destinationAddress": str(each.prefix),
            "nexthopType": "peerConn" if each.target in through_peerings else "dcGateway",
            "nexthopId": each.target,
            "ipVersion": "4",
        }
        yield _resource(route.KIND, f"{table}.{each.prefix}", table, rule)


def _peering(expected: CloudPeering) -> Iterator[Resource]:
    ends = (expected.first, expected.second)
    for role, (own, other) in ((peering.INITIATOR, ends), (peering.ACCEPTOR, ends[::-1])):
        body = {
            "peerConnId": expected.name,
            "role": role,
            "status": settled("active"),
            "localVpcId": own,
            "peerVpcId": other,
            "localIfName": expected.name,
            "description": "",
        }
        yield _resource(peering.KIND, f"{expected.name}:{role}", own, body)
