"""Bridges that translate: their instances, the addresses that these share, and what stands for what at the far end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from lanecast.cloud_state import CloudInstance, CloudSharedAddress
from lanecast.compiler import filters
from lanecast.compiler.context import Context
from lanecast.compiler.kernel_settings import bridge_settings
from lanecast.compiler.management import cloud_management
from lanecast.fabric import BridgeOffer, Delivery, Host, HostRole
from lanecast.nat_bridge import Direction, NatBridge, SharedAddress, Translation
from lanecast.plan.layout import bridge_instance, reachable_vpcs, subnet_cidr, uplink_router, vpc_cidr
from lanecast.plan.model import Bridge, BridgeMethod
from lanecast.router import INSTANCE_INTERFACE, Firewall, FirewallRule, Interface, InterfaceRole

HIGHEST_PRIORITY = 200
PRIORITY_STEP = 50
"""Between an address's first holder and the next: more than enough for VRRP to tell them apart."""


def translating(context: Context) -> Iterator[tuple[str, Bridge, str]]:
    """Every bridge that translates, by name, with the subnet of its instances."""
    for name, bridge in sorted(context.plan.bridges.items()):
        if bridge.method is BridgeMethod.NAT and bridge.subnet is not None:
            yield name, bridge, bridge.subnet


def bridge_instances(context: Context) -> list[CloudInstance]:
    """Every bridge's instances."""
    return [
        CloudInstance(
            bridge_instance(name, number),
            subnet,
            context.bridge_address(f"{name}.{number}", subnet_cidr(context.plan, subnet)),
        )
        for name, bridge, subnet in translating(context)
        for number in range(1, bridge.count + 1)
    ]


def shared_addresses(context: Context) -> list[CloudSharedAddress]:
    """The addresses that bridges' instances hold for each other: one for each instance, which holds it first."""
    found = []
    for name, bridge, subnet in translating(context):
        instances = [bridge_instance(name, number) for number in range(1, bridge.count + 1)]
        for index, address in enumerate(context.shared_addresses(name, bridge)):
            holders = tuple(instances[index:] + instances[:index])
            found.append(CloudSharedAddress(f"{name}-shared-{index + 1}", subnet, address, holders))
    return found


def bridge_offers(context: Context) -> list[BridgeOffer]:
    """What bridges offer besides feeds, and where the other end reaches it."""
    found = []
    for name, bridge, _ in translating(context):
        for rank, (offer_name, offer) in enumerate(sorted(bridge.offers.items())):
            other = bridge.to if offer.in_ == bridge.from_ else bridge.from_
            at = context.translated(name, bridge, f"offers.{offer_name}", rank)
            found.append(BridgeOffer(name, offer_name, offer.protocol.value, offer.in_, offer.at, other, at))
    return found


@dataclass(frozen=True, slots=True)
class _Translated:
    """A translation with the VPC that it leads to."""

    into: str
    translation: Translation


def bridge_hosts(context: Context, deliveries: list[Delivery], offers: list[BridgeOffer]) -> Iterator[Host]:
    """The instances of bridges as hosts."""
    instances = {instance.name: instance for instance in bridge_instances(context)}
    for name, bridge, subnet in translating(context):
        own = [instances[bridge_instance(name, number)] for number in range(1, bridge.count + 1)]
        directions = tuple(_directions(context, name, bridge, deliveries, offers))
        for index, instance in enumerate(own):
            peers = tuple(other.address.ip for other in own if other is not instance)
            nat = NatBridge(
                bridge=name,
                interface=INSTANCE_INTERFACE,
                own_address=instance.address.ip,
                peers=peers,
                shared=tuple(_shared(context, name, bridge, subnet, index)),
                directions=directions,
            )
            interface = Interface(INSTANCE_INTERFACE, InterfaceRole.CLOUD, (instance.address,), subnet)
            rules = [filters.icmp(interface), *filters.ssh(interface, sorted(context.plan.management.ssh_from))]
            networks = tuple(filters.host_network(peer) for peer in peers)
            if peers:
                rules.append(FirewallRule("VRRP from the other instances", INSTANCE_INTERFACE, "vrrp", networks))
            yield Host(
                name=instance.name,
                role=HostRole.BRIDGE,
                place=subnet,
                interfaces=(interface,),
                routes=(),
                firewall=Firewall((INSTANCE_INTERFACE,), tuple(rules)),
                sysctls=bridge_settings((interface,)),
                management=cloud_management(context.plan.management),
                nat=nat,
            )


def _shared(context: Context, name: str, bridge: Bridge, subnet: str, index: int) -> Iterator[SharedAddress]:
    for held_first, address in enumerate(context.shared_addresses(name, bridge)):
        priority = HIGHEST_PRIORITY - PRIORITY_STEP * ((index - held_first) % bridge.count)
        yield SharedAddress(address, context.virtual_router(subnet, f"{name}.{held_first + 1}"), priority)


def _directions(
    context: Context, name: str, bridge: Bridge, deliveries: list[Delivery], offers: list[BridgeOffer]
) -> Iterator[Direction]:
    translated = [*_feeds(name, deliveries), *_offered(name, offers)]
    for near, far in (bridge.ends, bridge.ends[::-1]):
        into = [each.translation for each in translated if each.into == far]
        if into:
            ordered = tuple(sorted(into, key=lambda each: (each.at.port, each.protocol)))
            yield Direction(f"{near} to {far}", _sources(context, bridge, near, far), ordered)


def _feeds(name: str, deliveries: list[Delivery]) -> Iterator[_Translated]:
    for delivery in deliveries:
        if delivery.bridge == name:
            for channel, target in delivery.endpoints.items():
                purpose = f"{delivery.feed} {channel} from {delivery.relay} to {delivery.instance}"
                yield _Translated(delivery.path[-1], Translation(purpose, "udp", delivery.sent_to[channel], target))


def _offered(name: str, offers: list[BridgeOffer]) -> Iterator[_Translated]:
    for offer in offers:
        if offer.bridge == name:
            yield _Translated(offer.vpc, Translation(f"offer {offer.name}", offer.protocol, offer.at, offer.target))


def _sources(context: Context, bridge: Bridge, near: str, far: str) -> tuple[IPv4Network, ...]:
    """An end's own range, and the LANs of sites whose uplinks get to the bridge on its side."""
    found = {vpc_cidr(context.plan, near)}
    for layout in context.layouts.values():
        for uplink_name, uplink in layout.site.uplinks.items():
            if uplink.to != far and bridge.via in reachable_vpcs(context.plan, uplink.to):
                found.add(context.segment(layout.name, uplink_router(layout.site, uplink_name), "lan"))
    return tuple(sorted(found))
