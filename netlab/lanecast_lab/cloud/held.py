"""What the emulated cloud holds, in the words of ``CloudState``: the compiler's expectation is compared with that.

Names are the tags that the program gives; what has none goes by its id, and so no plan expects it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Final

from lanecast.cloud_state import (
    NAME_TAG,
    CloudGateway,
    CloudInstance,
    CloudListener,
    CloudLoadBalancer,
    CloudPeering,
    CloudRoute,
    CloudSharedAddress,
    CloudState,
    CloudSubnet,
    CloudVpc,
)
from lanecast_lab.cloud.api import bcc, blb, et, et_gateway, havip, peering, route, subnet, vpc
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

EVERYWHERE: Final = "0.0.0.0/0"
BITS_IN_MBIT: Final = 1_000_000

NOT_HELD: Final = """\
how far regions are apart, which uplink of the plan a dedicated line is and which router stands for its gateway, what
the plan calls a region, which instance holds a shared address first, what a load balancer's listeners are called and
who may use them: no API has a word for these"""
"""What a comparison leaves out."""


def held(snapshot: Snapshot) -> CloudState:
    """Everything that is there, each tuple sorted by name. What no cloud holds is empty (:data:`NOT_HELD`)."""
    return _Reader(snapshot).state()


def comparable(expected: CloudState) -> CloudState:
    """An expectation without what no cloud holds."""
    return CloudState(
        vpcs=tuple(replace(one, region="", routes=tuple(sorted(one.routes, key=_of_route))) for one in expected.vpcs),
        peerings=tuple(replace(one, delay_ns=0) for one in expected.peerings),
        gateways=tuple(replace(one, uplink="", router=None) for one in expected.gateways),
        instances=expected.instances,
        shared_addresses=tuple(
            replace(one, instances=tuple(sorted(one.instances))) for one in expected.shared_addresses
        ),
        load_balancers=tuple(
            replace(one, instances=tuple(sorted(one.instances)), listeners=_listeners(one.listeners))
            for one in expected.load_balancers
        ),
    )


def _listeners(found: Iterable[CloudListener]) -> tuple[CloudListener, ...]:
    return tuple(sorted((replace(one, name="", clients=()) for one in found), key=lambda one: one.port))


def _of_route(one: CloudRoute) -> tuple[IPv4Network, str]:
    return one.prefix, one.target


def _name(resource: Resource) -> str:
    tags = {tag["tagKey"]: tag["tagValue"] for tag in resource.body.get("tags") or ()}
    return str(tags.get(NAME_TAG, resource.key))


class _Reader:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def state(self) -> CloudState:
        return CloudState(
            vpcs=tuple(sorted(self._vpcs(), key=lambda one: one.name)),
            peerings=tuple(sorted(self._peerings(), key=lambda one: one.name)),
            gateways=tuple(sorted(self._gateways(), key=lambda one: one.name)),
            instances=tuple(sorted(self._instances(), key=lambda one: one.name)),
            shared_addresses=tuple(sorted(self._shared_addresses(), key=lambda one: one.name)),
            load_balancers=tuple(sorted(self._load_balancers(), key=lambda one: one.name)),
        )

    def _name_of(self, kind: str, key: str) -> str:
        found = self._snapshot.get(kind, key)
        return key if found is None else _name(found)

    def _vpcs(self) -> Iterator[CloudVpc]:
        for one in self._snapshot.of(vpc.KIND):
            subnets = (self._subnet(part) for part in self._snapshot.parts(one.key, subnet.KIND))
            yield CloudVpc(
                name=_name(one),
                region="",
                cidr=IPv4Network(one.body["cidr"]),
                subnets=tuple(sorted(subnets, key=lambda each: each.name)),
                routes=tuple(sorted(self._routes(one.key), key=_of_route)),
                transit=one.body["relay"],
            )

    @staticmethod
    def _subnet(one: Resource) -> CloudSubnet:
        cidr = IPv4Network(one.body["cidr"])
        zone = one.body["zoneName"].rpartition("-")[2]
        return CloudSubnet(_name(one), cidr, zone, next(iter(cidr.hosts())))

    def _routes(self, vpc_id: str) -> Iterator[CloudRoute]:
        """Rules of the VPC's table, by what they lead to; of several targets for one destination each is one."""
        for table in self._snapshot.parts(vpc_id, "route-table"):
            for rule in self._snapshot.parts(table.key, route.KIND):
                target = self._target(rule.body.get("_hop") or rule.body["nexthopId"])
                source = rule.body["sourceAddress"]
                if source != EVERYWHERE:  # no plan expects one that is for a part of the VPC alone
                    target += f" from {source}"
                yield CloudRoute(IPv4Network(rule.body["destinationAddress"]), target)

    def _target(self, key: str) -> str:
        sides = self._snapshot.having(peering.KIND, "peerConnId", key)
        return self._peering_name(key) if sides else self._name_of(et_gateway.KIND, key)

    def _peering_name(self, key: str) -> str:
        """Either side may have the tag."""
        sides = self._snapshot.having(peering.KIND, "peerConnId", key)
        return next((name for one in sides if (name := _name(one)) != one.key), key)

    def _peerings(self) -> Iterator[CloudPeering]:
        for one in self._snapshot.of(peering.KIND):
            if one.body["role"] == "initiator":
                yield CloudPeering(
                    name=self._peering_name(one.body["peerConnId"]),
                    first=self._name_of(vpc.KIND, one.body["localVpcId"]),
                    second=self._name_of(vpc.KIND, one.body["peerVpcId"]),
                    delay_ns=0,
                    bandwidth_bps=one.body["bandwidthInMbps"] * BITS_IN_MBIT,
                    dns_sync=self._snapshot.state(one, "dnsStatus") == "open",
                )

    def _gateways(self) -> Iterator[CloudGateway]:
        for one in self._snapshot.of(et_gateway.KIND):
            channel = self._snapshot.get(et.CHANNEL, one.body["channelId"])
            if channel is not None:  # a gateway without a channel is no end of a dedicated line yet
                yield CloudGateway(
                    name=_name(one),
                    uplink="",
                    vpc=self._name_of(vpc.KIND, one.body["vpcId"]),
                    address=IPv4Interface(channel.body["baiduAddress"]),
                    vlan=channel.body["vlanId"],
                    local_cidrs=tuple(sorted(IPv4Network(cidr) for cidr in one.body["localCidrs"])),
                    physical_line=channel.parent,
                    router=None,
                )

    def _instances(self) -> Iterator[CloudInstance]:
        for one in self._snapshot.of(bcc.KIND):
            network = self._subnet_network(one.body["subnetId"])
            address = IPv4Interface(f"{one.body['internalIp']}/{network.prefixlen}")
            yield CloudInstance(_name(one), self._name_of(subnet.KIND, one.body["subnetId"]), address)

    def _subnet_network(self, key: str) -> IPv4Network:
        found = self._snapshot.get(subnet.KIND, key)
        assert found is not None  # the API refuses to delete a subnet that has instances
        return IPv4Network(found.body["cidr"])

    def _shared_addresses(self) -> Iterator[CloudSharedAddress]:
        for one in self._snapshot.of(havip.KIND):
            bound = (self._name_of(bcc.KIND, each) for each, _ in one.body["_bound"])
            yield CloudSharedAddress(
                one.body["name"],
                self._name_of(subnet.KIND, one.body["subnetId"]),
                IPv4Address(one.body["privateIpAddress"]),
                tuple(sorted(bound)),
            )

    def _load_balancers(self) -> Iterator[CloudLoadBalancer]:
        for one in self._snapshot.of(blb.KIND):
            listeners = (
                CloudListener("", part.body["listenerPort"], part.body["backendPort"], ())
                for part in self._snapshot.parts(one.key, blb.LISTENER)
            )
            behind = (
                self._name_of(bcc.KIND, part.body["instanceId"]) for part in self._snapshot.parts(one.key, blb.BACKEND)
            )
            yield CloudLoadBalancer(
                name=_name(one),
                subnet=self._name_of(subnet.KIND, one.body["subnetId"]),
                address=IPv4Address(one.body["address"]),
                instances=tuple(sorted(behind)),
                listeners=_listeners(listeners),
            )
