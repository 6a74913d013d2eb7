"""Where things are, read once from the plan: who carries what, through which router, in which order of preference."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from zlib import crc32

from lanecast.plan.model import BridgeMethod, Circuit, Feed, Plan, Role, Site, SwitchedVlan, Uplink
from lanecast.platforms import FACTS
from lanecast_relay.config.model import INTERFACE_NAME_CHARACTERS, Endpoint

FIRST_INSTANCE_OFFSET = 10
"""Clouds keep the first addresses of a subnet for themselves; instances start at the tenth where there is room."""


COUNTERPARTS, HAND_OVER, PROMETHEUS = "counterparts", "hand-over", "prometheus"
"""Folders that are rendered beside those of the nodes: what others run, what others are told, who watches."""

SEGMENT_PORTS = {"multicast": "mc", "lan": "lan"}
"""What an interface on a segment of each purpose is called unless the plan gives a port."""


def short_interface_name(name: str) -> str:
    """Return ``name``, or a stable stand-in that Linux takes, for interfaces that only the lab ever sees."""
    if len(name) <= INTERFACE_NAME_CHARACTERS:
        return name
    return f"{name[:8]}-{crc32(name.encode()) & 0xFFFFFF:06x}"


def link_ends(link: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    """The provider's and the site's address of a /30 or /31: the provider has the first, as is the custom."""
    hosts = list(link.hosts())
    return hosts[0], hosts[1]


def uplink_router(site: Site, uplink_name: str) -> str:
    """The router that an uplink is on: the one that names it, or else the one whose circuits have its role."""
    named = [name for name, router in site.routers.items() if uplink_name in router.uplinks]
    if named:
        return named[0]
    role = site.uplinks[uplink_name].role
    return next(
        name
        for name, router in sorted(site.routers.items())
        if any(site.circuits[circuit].role is role for circuit in router.circuits)
    )


def preferred_uplinks(site: Site) -> list[str]:
    """A site's uplinks, the primary ones first, then by name."""
    return sorted(site.uplinks, key=lambda name: (site.uplinks[name].role is not Role.PRIMARY, name))


@dataclass(frozen=True, slots=True)
class SiteLayout:
    """One site's boxes and ways."""

    name: str
    site: Site
    plan: Plan

    def router_of_circuit(self, circuit_name: str) -> str:
        """The router that a circuit ends on."""
        return next(name for name, router in self.site.routers.items() if circuit_name in router.circuits)

    def circuits_of(self, router_name: str) -> dict[str, Circuit]:
        """A router's circuits, by name."""
        return {name: self.site.circuits[name] for name in sorted(self.site.routers[router_name].circuits)}

    def uplinks_of(self, router_name: str) -> dict[str, Uplink]:
        """A router's uplinks, the preferred first."""
        return {
            name: self.site.uplinks[name]
            for name in preferred_uplinks(self.site)
            if uplink_router(self.site, name) == router_name
        }

    def uplink_of_relay(self, relay_name: str) -> str:
        """The uplink by which a relay's copies leave."""
        return self.site.relays[relay_name].uplink or preferred_uplinks(self.site)[0]

    def routers_of_line(self, feed_line: str) -> list[str]:
        """The routers with a circuit that carries ``feed.line``, by name."""
        return sorted(
            {
                self.router_of_circuit(name)
                for name, circuit in self.site.circuits.items()
                if feed_line in circuit.carries
            }
        )

    def routers_towards(self, exchange: str) -> list[str]:
        """The routers with a circuit to an exchange, by name."""
        return sorted(
            {self.router_of_circuit(name) for name, held in self.site.circuits.items() if held.exchange == exchange}
        )

    def recovered_feeds(self, exchange: str) -> list[str]:
        """The feeds of an exchange that relays of the site ask for again, by name."""
        taken = {feed for relay in self.site.relays.values() for feed in relay.feeds}
        return sorted(
            name
            for name in taken
            if self.plan.feeds[name].exchange == exchange and self.plan.feeds[name].recovery is not None
        )

    def port(self, router_name: str, purpose: str, default: str) -> str:
        """The port of a router for a purpose: the plan's hardware name, or one made of the purpose."""
        return self.site.routers[router_name].ports.get(purpose, default)

    def switched_vlan(self, router_name: str, purpose: str) -> SwitchedVlan | None:
        """The VLAN that a router's ``multicast`` or ``lan`` segment is, where the router itself switches it."""
        switch = self.site.routers[router_name].switch
        return None if switch is None else {"multicast": switch.multicast, "lan": switch.lan}[purpose]

    def segment_interface(self, router_name: str, purpose: str) -> str:
        """The interface of a router on its ``multicast`` or ``lan`` segment."""
        switched = self.switched_vlan(router_name, purpose)
        called = FACTS[self.site.routers[router_name].platform].vlan_interface
        if switched is None or called is None:
            return self.port(router_name, purpose, SEGMENT_PORTS[purpose])
        return called.format(switched.vlan)

    def relay_port(self, relay_name: str, purpose: str, router_name: str) -> str:
        """The interface of a relay host towards a router's segment: ``multicast`` or ``lan``."""
        prefix = SEGMENT_PORTS[purpose]
        ports = self.site.relays[relay_name].ports
        return ports.get(f"{purpose}.{router_name}", f"{prefix}-{router_name}")


def site_layouts(plan: Plan) -> dict[str, SiteLayout]:
    """Every site's layout, by name."""
    return {name: SiteLayout(name, plan.sites[name], plan) for name in sorted(plan.sites)}


def layout_of_relay(layouts: dict[str, SiteLayout], relay_name: str) -> SiteLayout:
    """The site that a relay stands at; relay names are unique in a plan."""
    return next(layout for layout in layouts.values() if relay_name in layout.site.relays)


def announced_prefixes(plan: Plan, exchange_name: str) -> tuple[IPv4Network, ...]:
    """What an exchange announces: the prefixes that the plan gives, or a host route for each source, re-request server
    and rendezvous point."""
    given = plan.exchanges[exchange_name].prefixes
    if given:
        return tuple(sorted(given))
    rendezvous = plan.exchanges[exchange_name].rendezvous
    own = () if rendezvous is None else (IPv4Network(rendezvous.address),)
    return tuple(sorted({*hosts_of(plan, exchange_name), *own}))


def hosts_of(plan: Plan, exchange_name: str) -> tuple[IPv4Network, ...]:
    """An exchange's sources and re-request servers, as host routes."""
    feeds = [feed for feed in plan.feeds.values() if feed.exchange == exchange_name]
    servers = {IPv4Network(server.address) for feed in feeds for server in servers_of(feed)}
    return tuple(sorted({*sources_of(plan, exchange_name), *servers}))


def servers_of(feed: Feed) -> list[Endpoint]:
    """A feed's re-request servers, each once, channel by channel in the order in which they are asked."""
    channels = sorted(feed.recovery.servers.items()) if feed.recovery is not None else []
    return list(dict.fromkeys(server for _, servers in channels for server in servers))


def sources_of(plan: Plan, exchange_name: str) -> tuple[IPv4Network, ...]:
    """The sources of an exchange's feeds, as host routes."""
    return tuple(
        sorted(
            {
                IPv4Network(line.source)
                for feed in plan.feeds.values()
                if feed.exchange == exchange_name
                for line in feed.lines.values()
            }
        )
    )


def carried_channels(plan: Plan, feed_lines: list[str]) -> tuple[tuple[IPv4Address, IPv4Address], ...]:
    """The (group, source) pairs of these lines (``feed.line``), each once."""
    found = set()
    for feed_line in feed_lines:
        feed, _, name = feed_line.partition(".")
        line = plan.feeds[feed].lines[name]
        found |= {(group.address, line.source) for group in line.groups.values()}
    return tuple(sorted(found))


def carried_groups(plan: Plan, feed_lines: list[str]) -> tuple[IPv4Network, ...]:
    """The groups of these lines (``feed.line``), as host prefixes."""
    return tuple(sorted({IPv4Network(group) for group, _ in carried_channels(plan, feed_lines)}))


@dataclass(frozen=True, slots=True)
class CloudWay:
    """How traffic that entered the cloud at one VPC gets to another."""

    vpcs: tuple[str, ...]
    """Every VPC on the way, the ends included."""
    peerings: tuple[str, ...]
    """Between them, in the same order."""
    bridge: str | None = None
    """The bridge that joins the two peerings; None where there is at most one."""
    translated: bool = False
    """The bridge translates: the far VPC's own addresses cannot be reached, only the bridge's."""

    @property
    def steps(self) -> tuple[str, ...]:
        """The names on the way from the first VPC on: VPC, peering, VPC, and the bridge where it translates."""
        found = [self.vpcs[0]]
        for index, peering in enumerate(self.peerings, start=1):
            found += [peering, self.vpcs[index]]
            if self.translated and index == 1 and self.bridge is not None:
                found.append(self.bridge)
        return tuple(found)


def peering_between(plan: Plan, first: str, second: str) -> str | None:
    """The peering of two VPCs."""
    return next((name for name, held in sorted(plan.peerings.items()) if set(held.between) == {first, second}), None)


def cloud_ways(plan: Plan, vpc: str) -> dict[str, CloudWay]:
    """The way to each VPC that traffic entering at ``vpc`` gets to: itself, its peers, the far ends of bridges."""
    ways = {vpc: CloudWay((vpc,), ())}
    for name, peering in sorted(plan.peerings.items()):
        first, second = peering.between
        if vpc in (first, second):
            other = second if vpc == first else first
            ways.setdefault(other, CloudWay((vpc, other), (name,)))
    for name, bridge in sorted(plan.bridges.items()):
        if vpc in bridge.ends:
            far = bridge.to if vpc == bridge.from_ else bridge.from_
            near_peering, far_peering = peering_between(plan, vpc, bridge.via), peering_between(plan, bridge.via, far)
            if near_peering is not None and far_peering is not None:
                translated = bridge.method is BridgeMethod.NAT
                ways.setdefault(far, CloudWay((vpc, bridge.via, far), (near_peering, far_peering), name, translated))
    return ways


def reachable_vpcs(plan: Plan, vpc: str) -> dict[str, str | None]:
    """The VPCs whose addresses can be reached from ``vpc``, with the first peering there (None: ``vpc`` itself)."""
    ways = cloud_ways(plan, vpc).items()
    return {other: next(iter(way.peerings), None) for other, way in ways if not way.translated}


def vpc_cidr(plan: Plan, vpc: str) -> IPv4Network:
    """The address range of ``region.vpc``."""
    region, name = vpc.split(".")
    return plan.regions[region].vpcs[name].cidr


def subnet_cidr(plan: Plan, subnet: str) -> IPv4Network:
    """The address range of ``region.vpc.subnet``."""
    region, vpc, name = subnet.split(".")
    return plan.regions[region].vpcs[vpc].subnets[name].cidr


def bridge_instance(bridge: str, number: int) -> str:
    """What a bridge's instance is called, from 1."""
    return f"{bridge}-bridge-{number}"
