"""One region of the compiled cloud, in the provider's own words: what its stack makes, and what it takes from others.

Everything is decided here and checked by ``policy`` before a component makes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from lanecast.cloud_state import (
    NAME_TAG,
    PLAN_TAG,
    CloudGateway,
    CloudListener,
    CloudLoadBalancer,
    CloudPeering,
    CloudRoute,
    CloudState,
    CloudSubnet,
    CloudVpc,
)
from lanecast.fabric import Fabric, Host, HostRole
from lanecast.plan.model import SecretReference
from lanecast.router import Bfd, Router
from lanecast_infra.access import (
    GroupRule,
    ListRule,
    access_list,
    balanced_rules,
    bridge_rules,
    clients_of,
    managers_of,
    subscriber_rules,
)

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
    access_list: tuple[ListRule, ...]
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
    transit: bool
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
class Gateway:
    """A dedicated-line gateway of a VPC, with the channel of the physical line that it is on."""

    name: str
    vpc: str
    physical_line: str
    vlan: int
    cloud_address: str
    site_address: str
    site_asn: int | None
    """With BGP; None with static routes."""
    password: SecretReference | None
    site_networks: tuple[str, ...]
    """What is behind the site's end; the API takes it with static routes only."""
    bfd: Bfd | None
    speed_mbps: int
    local_cidrs: tuple[str, ...]
    tags: Tags


@dataclass(frozen=True, slots=True)
class Machine:
    """An instance with its fixed address."""

    host: Host
    address: str
    tags: Tags

    @property
    def name(self) -> str:
        """The plan's."""
        return self.host.name

    @property
    def subnet(self) -> str:
        """Where it is."""
        return self.host.place


@dataclass(frozen=True, slots=True)
class SharedAddress:
    """An address that one of several machines holds at a time; they agree between them which."""

    name: str
    subnet: str
    address: str
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Balancer:
    """A load balancer before all machines of a pool."""

    name: str
    subnet: str
    address: str
    listeners: tuple[CloudListener, ...]
    tags: Tags


@dataclass(frozen=True, slots=True)
class Pool:
    """Instances in one VPC, a subscriber's or a bridge's, and what may reach them."""

    name: str
    vpc: str
    rules: tuple[GroupRule, ...]
    machines: tuple[Machine, ...]
    tags: Tags
    shared: tuple[SharedAddress, ...] = ()
    """A bridge's."""
    balancer: Balancer | None = None
    """A subscriber's that has one."""


@dataclass(frozen=True, slots=True)
class Regional:
    """Everything that one stack is about."""

    plan: str
    region: str
    code: str
    vpcs: tuple[Vpc, ...]
    peerings: tuple[Peering, ...]
    gateways: tuple[Gateway, ...]
    pools: tuple[Pool, ...]
    """Of subscribers."""
    bridges: tuple[Pool, ...]
    """Of bridges that translate."""
    left_out: tuple[str, ...]
    """What the plan wants and nothing makes, each with its reason."""

    @property
    def needed(self) -> tuple[Elsewhere, ...]:
        """What it takes from other stacks."""
        rules = (rule.elsewhere for vpc in self.vpcs for rule in vpc.rules)
        peers = (peering.elsewhere for peering in self.peerings)
        return tuple(sorted({one for one in (*rules, *peers) if one}, key=str))


PEERINGS: Final = "peerings"
FIRST_ENDS: Final = "peeringFirstEnds"
SECOND_ENDS: Final = "peeringSecondEnds"
VPCS: Final = "vpcs"
GATEWAYS: Final = "gateways"
"""Kinds of what one stack exports by name. A route into a peering names the interface that its own VPC has of it, and
the stack of the peering's first VPC knows both."""


def regional(fabric: Fabric, region: str) -> Regional:
    """The part of ``region``. Raises :class:`UnknownRegionError` and :class:`OtherProviderError`."""
    regions = {one.name: one for one in fabric.cloud.regions}
    if region not in regions:
        raise UnknownRegionError(region, sorted(regions))
    if (provider := regions[region].provider) != PROVIDER:
        raise OtherProviderError(f"region {region} is in the cloud of {provider}, of which this program knows nothing")
    return _Maker(fabric, region).made()


@dataclass(frozen=True, slots=True)
class _Maker:
    fabric: Fabric
    region: str

    @property
    def state(self) -> CloudState:
        return self.fabric.cloud

    def made(self) -> Regional:
        vpcs = tuple(self._vpc(vpc) for vpc in self.state.vpcs if vpc.region == self.region)
        inside = {vpc.name for vpc in vpcs}
        gateways = [gateway for gateway in self.state.gateways if gateway.vpc in inside]
        return Regional(
            plan=self.fabric.name,
            region=self.region,
            code=self._code(self.region),
            vpcs=vpcs,
            peerings=tuple(self._peering(one) for one in self.state.peerings if one.first in inside),
            gateways=tuple(self._gateway(one, one.physical_line) for one in gateways if one.physical_line),
            pools=tuple(self._pools(inside)),
            bridges=tuple(self._bridges(inside)),
            left_out=tuple(
                f"gateway {one.name}, and the routes to it: the plan names no physical-line for uplink {one.uplink}"
                for one in gateways
                if not one.physical_line
            ),
        )

    def _tags(self, name: str) -> Tags:
        return {PLAN_TAG: self.fabric.name, NAME_TAG: name}

    def _code(self, region: str) -> str:
        return next(one.code for one in self.state.regions if one.name == region)

    def _region_of(self, vpc: str) -> str:
        return next(one.region for one in self.state.vpcs if one.name == vpc)

    def _elsewhere(self, vpc: str, kind: str, name: str) -> Elsewhere | None:
        """Where to take what the stack of that VPC's region makes; None when it is this one."""
        region = self._region_of(vpc)
        return None if region == self.region else Elsewhere(region, kind, name)

    def _vpc(self, vpc: CloudVpc) -> Vpc:
        subnets = tuple(self._subnet(vpc, one) for one in vpc.subnets)
        rules = tuple(rule for one in vpc.routes if (rule := self._rule(vpc, one)))
        return Vpc(vpc.name, str(vpc.cidr), subnets, rules, vpc.transit, self._tags(vpc.name))

    def _subnet(self, vpc: CloudVpc, subnet: CloudSubnet) -> Subnet:
        zone = f"cn-{self._code(self.region)}-{subnet.zone}"  # [docs] as every zone of the provider is spelt
        managers = managers_of(one for one in self.fabric.hosts if one.place == subnet.name)
        clients = clients_of(one for one in self.state.load_balancers if one.subnet == subnet.name)
        allowed = access_list(vpc, subnet, [*managers, *clients])
        return Subnet(subnet.name, str(subnet.cidr), zone, allowed, self._tags(subnet.name))

    def _rule(self, vpc: CloudVpc, route: CloudRoute) -> RouteRule | None:
        """A rule is named by where it leads, so that another next hop changes it and no other rule does.

        None where the target is a gateway that is left out.
        """
        name, prefix = f"{vpc.name}-to-{route.prefix}", str(route.prefix)
        if peering := next((one for one in self.state.peerings if one.name == route.target), None):
            end = FIRST_ENDS if vpc.name == peering.first else SECOND_ENDS
            elsewhere = self._elsewhere(peering.first, end, peering.name)
            return RouteRule(name, prefix, end, peering.name, elsewhere)
        gateway = next(one for one in self.state.gateways if one.name == route.target)
        elsewhere = self._elsewhere(gateway.vpc, GATEWAYS, gateway.name)
        return RouteRule(name, prefix, GATEWAYS, gateway.name, elsewhere) if gateway.physical_line else None

    def _peering(self, peering: CloudPeering) -> Peering:
        return Peering(
            name=peering.name,
            local_vpc=peering.first,
            peer_vpc=peering.second,
            peer_code=self._code(self._region_of(peering.second)),
            elsewhere=self._elsewhere(peering.second, VPCS, peering.second),
            bandwidth_mbps=_mbps(peering.bandwidth_bps),
            dns_sync=peering.dns_sync,
            tags=self._tags(peering.name),
        )

    def _gateway(self, gateway: CloudGateway, physical_line: str) -> Gateway:
        router = self.fabric.router(gateway.router or gateway.name)
        outside = next(one for one in router.interfaces if gateway.address in one.addresses)
        neighbor = router.bgp.neighbors[0] if router.bgp else None
        network = gateway.address.network
        site = next(one for one in network.hosts() if one != gateway.address.ip)
        link = next(one for one in self.fabric.links if one.name == gateway.uplink)
        return Gateway(
            name=gateway.name,
            vpc=gateway.vpc,
            physical_line=physical_line,
            vlan=gateway.vlan,
            cloud_address=str(gateway.address),
            site_address=f"{site}/{network.prefixlen}",
            site_asn=neighbor.asn if neighbor else None,
            password=neighbor.password if neighbor else None,
            site_networks=tuple(_behind(router, outside.name)) if neighbor is None else (),
            bfd=outside.bfd,
            speed_mbps=_mbps(link.bandwidth_bps or 0),
            local_cidrs=tuple(str(one) for one in gateway.local_cidrs),
            tags=self._tags(gateway.name),
        )

    def _pools(self, inside: set[str]) -> Iterator[Pool]:
        named = {one.instance: one.subscriber for one in self.fabric.applications}
        for name, hosts in self._instances(inside, HostRole.SUBSCRIBER, lambda host: named[host.name]):
            own = {host.name for host in hosts}
            balancer = next((one for one in self.state.load_balancers if own.issuperset(one.instances)), None)
            rules = (*subscriber_rules(self.fabric, name, hosts), *(balanced_rules(balancer) if balancer else ()))
            pool = self._pool(name, hosts, tuple(sorted(rules, key=lambda rule: rule.name)))
            yield replace(pool, balancer=self._balancer(balancer)) if balancer else pool

    def _balancer(self, one: CloudLoadBalancer) -> Balancer:
        return Balancer(one.name, one.subnet, str(one.address), one.listeners, self._tags(one.name))

    def _bridges(self, inside: set[str]) -> Iterator[Pool]:
        for name, hosts in self._instances(inside, HostRole.BRIDGE, lambda host: host.nat.bridge if host.nat else ""):
            own = {host.name for host in hosts}
            shared = tuple(
                SharedAddress(one.name, one.subnet, str(one.address), one.instances)
                for one in self.state.shared_addresses
                if own.issuperset(one.instances)
            )
            yield replace(self._pool(name, hosts, bridge_rules(name, hosts)), shared=shared)

    def _instances(
        self, inside: set[str], role: HostRole, belongs_to: Callable[[Host], str]
    ) -> Iterator[tuple[str, list[Host]]]:
        """The instances of a role by what they belong to; these are in one subnet."""
        found: dict[str, list[Host]] = {}
        for host in self.fabric.hosts:
            if host.role is role and host.place.rpartition(".")[0] in inside:
                found.setdefault(belongs_to(host), []).append(host)
        yield from sorted(found.items())

    def _pool(self, name: str, hosts: list[Host], rules: tuple[GroupRule, ...]) -> Pool:
        machines = tuple(Machine(one, str(one.interfaces[0].addresses[0].ip), self._tags(one.name)) for one in hosts)
        return Pool(name, hosts[0].place.rpartition(".")[0], rules, machines, self._tags(name))


def _behind(router: Router, interface: str) -> Iterator[str]:
    return (str(route.prefix) for route in router.routes if route.interface == interface)


def _mbps(bits_per_second: int) -> int:
    """In whole Mbit/s, never less than asked for."""
    return -(-bits_per_second // BITS_IN_MBIT)
