"""The cloud's part: VPCs with their routes, peerings, dedicated-line gateways and instances."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network

from lanecast.cloud_state import (
    CloudGateway,
    CloudInstance,
    CloudLoadBalancer,
    CloudPeering,
    CloudRegion,
    CloudRoute,
    CloudSharedAddress,
    CloudState,
    CloudSubnet,
    CloudVpc,
)
from lanecast.compiler import filters
from lanecast.compiler.context import Context
from lanecast.compiler.exchanges import link_name
from lanecast.compiler.kernel_settings import router_settings
from lanecast.compiler.site_interfaces import tcp_ao
from lanecast.compiler.timing import bfd, seconds
from lanecast.plan.layout import SiteLayout, link_ends, preferred_uplinks, reachable_vpcs, uplink_router, vpc_cidr
from lanecast.plan.model import BridgeMethod, Platform, Uplink, Vpc
from lanecast.router import (
    Bgp,
    BgpNeighbor,
    Firewall,
    Interface,
    InterfaceRole,
    Prefixes,
    Route,
    Router,
    RouterRole,
)

TRANSFER_POOL = IPv4Network("169.254.0.0/16")
"""Between a gateway and its VPC's router: link-local (RFC 3927), seen by no one else."""

GATEWAY_VPC_INTERFACE = "vpc"


def cloud_state(
    context: Context,
    instances: list[CloudInstance],
    shared_addresses: list[CloudSharedAddress],
    balancers: list[CloudLoadBalancer],
) -> CloudState:
    """Everything that the plan's regions hold."""
    plan = context.plan
    vpcs = [
        _vpc(context, f"{region_name}.{vpc_name}", region_name, vpc, instances)
        for region_name, region in plan.regions.items()
        for vpc_name, vpc in region.vpcs.items()
    ]
    peerings = [
        CloudPeering(
            name, peering.between[0], peering.between[1], peering.delay_ns, peering.bandwidth_bps, peering.dns_sync
        )
        for name, peering in plan.peerings.items()
    ]
    gateways = [_gateway(context, layout, name) for layout, name in _uplinks(context)]
    return CloudState(
        vpcs=tuple(sorted(vpcs, key=lambda vpc: vpc.name)),
        peerings=tuple(sorted(peerings, key=lambda peering: peering.name)),
        gateways=tuple(sorted(gateways, key=lambda gateway: gateway.name)),
        instances=tuple(sorted(instances, key=lambda instance: instance.name)),
        regions=tuple(
            CloudRegion(name, region.cloud.provider, region.cloud.region)
            for name, region in sorted(plan.regions.items())
        ),
        shared_addresses=tuple(sorted(shared_addresses, key=lambda address: address.name)),
        load_balancers=tuple(sorted(balancers, key=lambda balancer: balancer.name)),
    )


def _uplinks(context: Context) -> Iterator[tuple[SiteLayout, str]]:
    """Every uplink of the plan, each site's preferred one first."""
    for layout in context.layouts.values():
        for name in preferred_uplinks(layout.site):
            yield layout, name


def _vpc(context: Context, name: str, region: str, vpc: Vpc, instances: list[CloudInstance]) -> CloudVpc:
    subnets = tuple(
        CloudSubnet(f"{name}.{subnet_name}", subnet.cidr, subnet.zone, next(iter(subnet.cidr.hosts())))
        for subnet_name, subnet in sorted(vpc.subnets.items())
    )
    routes = tuple(_routes(context, name, instances))
    return CloudVpc(name, region, vpc.cidr, subnets, routes, _is_transit(context, name))


def _is_transit(context: Context, vpc: str) -> bool:
    bridges = context.plan.bridges.values()
    return any(bridge.via == vpc and bridge.method is BridgeMethod.TRANSIT for bridge in bridges)


def _destinations(context: Context, vpc: str, peers: list[str], instances: list[CloudInstance]) -> list[IPv4Network]:
    """What of ``vpc`` a VPC routes to: all of it, or where another of its peers has the same addresses each host."""
    cidr = vpc_cidr(context.plan, vpc)
    if not any(cidr.overlaps(vpc_cidr(context.plan, other)) for other in peers if other != vpc):
        return [cidr]
    hosts = {instance.address.ip for instance in instances if instance.subnet.rpartition(".")[0] == vpc}
    for bridge in context.plan.bridges.values():
        hosts |= {offer.at.address for offer in bridge.offers.values() if offer.in_ == vpc}
    return [IPv4Network(host) for host in sorted(hosts)]


def _routes(context: Context, vpc: str, instances: list[CloudInstance]) -> Iterator[CloudRoute]:
    """Peered VPCs, then the sites' LANs: by a gateway of this VPC, or else by the peering towards one."""
    reachable = reachable_vpcs(context.plan, vpc)
    for other, peering in sorted(reachable.items()):
        if peering is not None:
            for prefix in _destinations(context, other, list(reachable), instances):
                yield CloudRoute(prefix, peering)
    targets: dict[IPv4Network, str] = {}
    for through_peering in (False, True):
        for layout, name in _uplinks(context):
            landing = layout.site.uplinks[name].to
            peering = reachable.get(landing)
            if landing in reachable and (peering is not None) is through_peering:
                lan = context.segment(layout.name, uplink_router(layout.site, name), "lan")
                targets.setdefault(lan, peering or f"{name}-gateway")
    for lan, target in sorted(targets.items()):
        yield CloudRoute(lan, target)


def _local_cidrs(context: Context, uplink: Uplink) -> tuple[IPv4Network, ...]:
    return tuple(sorted(vpc_cidr(context.plan, vpc) for vpc in reachable_vpcs(context.plan, uplink.to)))


def _gateway(context: Context, layout: SiteLayout, name: str) -> CloudGateway:
    uplink = layout.site.uplinks[name]
    return CloudGateway(
        name=f"{name}-gateway",
        uplink=name,
        vpc=uplink.to,
        address=IPv4Interface(f"{link_ends(uplink.link)[0]}/{uplink.link.prefixlen}"),
        vlan=uplink.vlan,
        local_cidrs=_local_cidrs(context, uplink),
        physical_line=uplink.physical_line,
        router=f"{name}-gateway",
    )


def transfer_links(gateways: tuple[CloudGateway, ...]) -> dict[str, IPv4Network]:
    """The network between each gateway and its VPC's router: the VPC's router has the first address."""
    return dict(zip((gateway.name for gateway in gateways), TRANSFER_POOL.subnets(new_prefix=30), strict=False))


def gateway_routers(context: Context, gateways: tuple[CloudGateway, ...]) -> Iterator[Router]:
    """The cloud's end of each uplink, as a router that the lab can run."""
    transfers = transfer_links(gateways)
    uplinks = {name: (layout, name) for layout, name in _uplinks(context)}
    for gateway in gateways:
        layout, name = uplinks[gateway.uplink]
        yield _gateway_router(context, layout, name, gateway, transfers[gateway.name])


def _gateway_router(
    context: Context, layout: SiteLayout, name: str, gateway: CloudGateway, transfer: IPv4Network
) -> Router:
    uplink = layout.site.uplinks[name]
    vpc_side, own_side = link_ends(transfer)
    outside = Interface(link_name(name), InterfaceRole.UPLINK, (gateway.address,), name, bfd=bfd(uplink.bfd))
    inside = Interface(
        GATEWAY_VPC_INTERFACE, InterfaceRole.CLOUD, (IPv4Interface(f"{own_side}/{transfer.prefixlen}"),), uplink.to
    )
    lan = context.segment(layout.name, uplink_router(layout.site, name), "lan")
    neighbor = link_ends(uplink.link)[1]
    routes = [Route(cidr, vpc_side, inside.name) for cidr in gateway.local_cidrs]
    rules = [filters.icmp(outside), filters.icmp(inside)]
    if uplink.routing == "bgp":
        rules.append(filters.bgp(outside, neighbor))
        rules += filters.bfd(outside, neighbor, Platform.FRR)
    else:
        routes.append(Route(lan, neighbor, outside.name))
    return Router(
        name=gateway.name,
        role=RouterRole.GATEWAY,
        place=uplink.to,
        platform=Platform.FRR,
        interfaces=(outside, inside),
        routes=tuple(routes),
        bgp=_gateway_bgp(context, layout, name, gateway, lan) if uplink.routing == "bgp" else None,
        multicast=None,
        firewall=Firewall((outside.name, inside.name), tuple(rules)),
        sysctls=router_settings((outside, inside), context.plan.multicast),
    )


def _gateway_bgp(context: Context, layout: SiteLayout, name: str, gateway: CloudGateway, lan: IPv4Network) -> Bgp:
    uplink = layout.site.uplinks[name]
    asn = context.site_asn(layout.name)
    timers = context.plan.timers
    return Bgp(
        asn=context.region_asn(uplink.to.split(".")[0]),
        router_id=gateway.address.ip,
        networks=gateway.local_cidrs,
        neighbors=(
            BgpNeighbor(
                node=uplink_router(layout.site, name),
                description=f"{layout.name} over {name}",
                address=link_ends(uplink.link)[1],
                asn=asn,
                interface=link_name(name),
                accept=Prefixes(f"from-{name}", (lan,)),
                announce=Prefixes(f"to-{name}", gateway.local_cidrs),
                accept_as_paths=f"as-{asn}",
                maximum_prefixes=1 + 10,
                password=uplink.password,
                tcp_ao=tcp_ao(uplink.tcp_ao),
                bfd=uplink.bfd is not None,
            ),
        ),
        keepalive_s=seconds(timers.bgp_keepalive_ns),
        hold_s=seconds(timers.bgp_hold_ns),
        connect_retry_s=seconds(timers.bgp_connect_retry_ns),
    )
