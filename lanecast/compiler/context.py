"""What every part of one compilation shares: the plan, its layout and the values invented for it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.compiler.invention import Inventions, SpreadPorts, Subnets
from lanecast.plan.layout import FIRST_INSTANCE_OFFSET, SiteLayout, subnet_cidr
from lanecast.plan.model import Bridge, Plan
from lanecast.plan.providers import PROVIDERS
from lanecast_relay.config.model import Endpoint

PRIVATE_ASNS = range(64512, 65535)
"""RFC 6996: the two-byte private range."""

SUBSCRIBER_PORTS = range(20000, 32768)
"""Below Linux's ephemeral ports: net.ipv4.ip_local_port_range starts at 32768."""

VIRTUAL_ROUTERS = range(1, 256)
"""RFC 5798, section 5.2.3."""

SEGMENT_PREFIX_LENGTH = 27
"""A segment holds a router and up to 29 relays."""


@dataclass(frozen=True, slots=True)
class Context:
    """One compilation."""

    plan: Plan
    layouts: dict[str, SiteLayout]
    inventions: Inventions

    def site_asn(self, site: str) -> int:
        """A site's AS number: the plan's, or one from the private range."""
        return self.plan.sites[site].asn or self.inventions.choose("asn", f"sites.{site}", PRIVATE_ASNS, int)

    def region_asn(self, region: str) -> int:
        """The AS number of a region's dedicated-line gateways, which is the provider's."""
        return PROVIDERS[self.plan.regions[region].cloud.provider].asn

    def segment(self, site: str, router: str, purpose: str) -> IPv4Network:
        """The address range of a router's ``multicast`` or ``lan`` segment."""
        blocks = Subnets(self.plan.pools.sites, SEGMENT_PREFIX_LENGTH)
        return self.inventions.choose("segment", f"sites.{site}.{router}.{purpose}", blocks, IPv4Network)

    def segment_address(self, segment: IPv4Network, site: str, purpose: str, node: str) -> IPv4Interface:
        """A relay's address in a segment; the router has the first one."""
        candidates = tuple(segment.hosts())[1:]
        what = f"sites.{site}.{purpose}.{node}"
        address = self.inventions.choose("address", what, candidates, IPv4Address)
        return IPv4Interface(f"{address}/{segment.prefixlen}")

    def router_address(self, segment: IPv4Network) -> IPv4Interface:
        """The router's address in its segment: the first."""
        return IPv4Interface(f"{next(iter(segment.hosts()))}/{segment.prefixlen}")

    def port(self, what: str) -> int:
        """The UDP port at subscribers of a feed's channel, or of one relay's copy of it."""
        return self.inventions.choose("port", what, SUBSCRIBER_PORTS, int)

    def bridge_address(self, what: str, subnet: IPv4Network) -> IPv4Interface:
        """The fixed address of a bridge's instance, or one that its instances share."""
        return self._address_in(subnet, f"bridges.{what}")

    def shared_addresses(self, name: str, bridge: Bridge) -> tuple[IPv4Address, ...]:
        """The addresses of a bridge that flows are sent to: one for each of its instances."""
        assert bridge.subnet is not None  # it translates
        cidr = subnet_cidr(self.plan, bridge.subnet)
        numbers = range(1, bridge.count + 1)
        return tuple(self.bridge_address(f"{name}.shared.{number}", cidr).ip for number in numbers)

    def translated(self, name: str, bridge: Bridge, what: str, rank: int) -> Endpoint:
        """The address and port of a bridge that stand for ``what``; ``rank`` spreads what belongs together over its
        addresses. The port says which address it is, so that the lock file keeps both."""
        ports = SpreadPorts(SUBSCRIBER_PORTS, bridge.count, rank % bridge.count)
        port = self.inventions.choose(f"bridge-port.{name}", what, ports, int)
        return Endpoint(self.shared_addresses(name, bridge)[port % bridge.count], port)

    def virtual_router(self, subnet: str, what: str) -> int:
        """VRRP's number for a shared address, of its own in the subnet."""
        return self.inventions.choose(f"virtual-router.{subnet}", f"bridges.{what}", VIRTUAL_ROUTERS, int)

    def instance_address(self, instance: str, subnet: IPv4Network) -> IPv4Interface:
        """An instance's fixed address in its subnet."""
        return self._address_in(subnet, f"subscribers.{instance}")

    def balancer_address(self, subscriber: str, subnet: IPv4Network) -> IPv4Address:
        """The address of a subscriber's load balancer."""
        return self._address_in(subnet, f"load-balancers.{subscriber}").ip

    def _address_in(self, subnet: IPv4Network, what: str) -> IPv4Interface:
        """An address in a subnet, of which the first is the VPC router's."""
        hosts = tuple(subnet.hosts())
        candidates = hosts[FIRST_INSTANCE_OFFSET - 1 :] or hosts[1:]
        address = self.inventions.choose("address", what, candidates, IPv4Address)
        return IPv4Interface(f"{address}/{subnet.prefixlen}")
