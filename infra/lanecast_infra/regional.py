"""One region of the compiled cloud, in the provider's own words: what its stack makes, and what it takes from others.

Everything is decided here and checked by ``policy`` before a component makes anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lanecast.cloud_state import CloudGateway, CloudPeering, CloudRoute, CloudState, CloudSubnet, CloudVpc

PROVIDER: Final = "baidu"
BITS_IN_MBIT: Final = 1_000_000

Tags = dict[str, str]


class UnknownRegionError(Exception):
    """The plan has no region of that name."""

    def __init__(self, region: str, known: list[str]) -> None:
        super().__init__(f"the plan has no region {region}: set lanecast:region to one of {', '.join(known)}")


class OtherProviderError(Exception):
    """A region is in a cloud that this program does not know."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What another region's stack makes: its kind is the name of that stack's output, by which it is found."""

    region: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} of stack {self.region}"


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet; ``name`` is the plan's."""

    name: str
    cidr: str
    zone: str
    tags: Tags


@dataclass(frozen=True, slots=True)
class RouteRule:
    """A rule of a VPC's route table. ``target`` is the plan's name of what ``kind`` names."""

    name: str
    destination: str
    kind: str
    target: str
    elsewhere: Elsewhere | None
    """Set where another stack makes the target."""


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC with its parts."""

    name: str
    cidr: str
    subnets: tuple[Subnet, ...]
    rules: tuple[RouteRule, ...]
    tags: Tags


@dataclass(frozen=True, slots=True)
class Peering:
    """A peering that this region makes, being its first VPC's."""

    name: str
    local_vpc: str
    peer_vpc: str
    peer_code: str
    """The provider's word for the peer's region."""
    elsewhere: Elsewhere | None
    """Set where the peer is in another stack."""
    bandwidth_mbps: int
    dns_sync: bool
    tags: Tags


@dataclass(frozen=True, slots=True)
class Regional:
    """Everything that one stack is about."""

    plan: str
    region: str
    code: str
    vpcs: tuple[Vpc, ...]
    peerings: tuple[Peering, ...]
    left_out: tuple[str, ...]
    """What the plan wants and nothing makes, each with its reason."""

    @property
    def needed(self) -> tuple[Elsewhere, ...]:
        """What it takes from other stacks."""
        rules = (rule.elsewhere for vpc in self.vpcs for rule in vpc.rules)
        peers = (peering.elsewhere for peering in self.peerings)
        return tuple(sorted({one for one in (*rules, *peers) if one}, key=str))


PEERINGS: Final = "peerings"
VPCS: Final = "vpcs"
GATEWAYS: Final = "gateways"
"""Kinds of what one stack exports by name."""


def regional(state: CloudState, plan: str, region: str) -> Regional:
    """The part of ``region``. Raises :class:`UnknownRegionError` and :class:`OtherProviderError`."""
    regions = {one.name: one for one in state.regions}
    if region not in regions:
        raise UnknownRegionError(region, sorted(regions))
    if (provider := regions[region].provider) != PROVIDER:
        raise OtherProviderError(f"region {region} is in the cloud of {provider}, of which this program knows nothing")
    return _Maker(state, plan, region).made()


@dataclass(frozen=True, slots=True)
class _Maker:
    state: CloudState
    plan: str
    region: str

    def made(self) -> Regional:
        vpcs = tuple(self._vpc(vpc) for vpc in self.state.vpcs if vpc.region == self.region)
        inside = {vpc.name for vpc in vpcs}
        gateways = [gateway for gateway in self.state.gateways if gateway.vpc in inside]
        return Regional(
            plan=self.plan,
            region=self.region,
            code=self._code(self.region),
            vpcs=vpcs,
            peerings=tuple(self._peering(one) for one in self.state.peerings if one.first in inside),
            left_out=tuple(self._left_out(gateways)),
        )

    def _tags(self, name: str) -> Tags:
        return {"lanecast-plan": self.plan, "lanecast-name": name}

    def _code(self, region: str) -> str:
        return next(one.code for one in self.state.regions if one.name == region)

    def _region_of(self, vpc: str) -> str:
        return next(one.region for one in self.state.vpcs if one.name == vpc)

    def _elsewhere(self, vpc: str, kind: str, name: str) -> Elsewhere | None:
        """Where to take what the stack of that VPC's region makes; None when it is this one."""
        region = self._region_of(vpc)
        return None if region == self.region else Elsewhere(region, kind, name)

    def _vpc(self, vpc: CloudVpc) -> Vpc:
        subnets = tuple(self._subnet(one) for one in vpc.subnets)
        rules = tuple(rule for one in vpc.routes if (rule := self._rule(vpc, one)))
        return Vpc(vpc.name, str(vpc.cidr), subnets, rules, self._tags(vpc.name))

    def _subnet(self, subnet: CloudSubnet) -> Subnet:
        zone = f"cn-{self._code(self.region)}-{subnet.zone}"  # [docs] as every zone of the provider is spelt
        return Subnet(subnet.name, str(subnet.cidr), zone, self._tags(subnet.name))

    def _rule(self, vpc: CloudVpc, route: CloudRoute) -> RouteRule | None:
        """A rule is named by where it leads, so that another next hop changes it and no other rule does."""
        peering = next((one for one in self.state.peerings if one.name == route.target), None)
        if peering is None:
            return None
        elsewhere = self._elsewhere(peering.first, PEERINGS, peering.name)
        return RouteRule(f"{vpc.name}-to-{route.prefix}", str(route.prefix), PEERINGS, peering.name, elsewhere)

    def _peering(self, peering: CloudPeering) -> Peering:
        return Peering(
            name=peering.name,
            local_vpc=peering.first,
            peer_vpc=peering.second,
            peer_code=self._code(self._region_of(peering.second)),
            elsewhere=self._elsewhere(peering.second, VPCS, peering.second),
            bandwidth_mbps=-(-peering.bandwidth_bps // BITS_IN_MBIT),
            dns_sync=peering.dns_sync,
            tags=self._tags(peering.name),
        )

    def _left_out(self, gateways: list[CloudGateway]) -> Iterator[str]:
        for gateway in gateways:
            reason = (
                "the provider has no dedicated-line gateway yet"
                if gateway.physical_line
                else f"the plan names no physical-line for uplink {gateway.uplink}"
            )
            yield f"gateway {gateway.name}, and the routes to it: {reason}"
