"""Who may reach a subnet and an instance: access lists, which keep no state, and security groups, which do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final
from zlib import crc32

from lanecast.cloud_state import CloudLoadBalancer, CloudSubnet, CloudVpc
from lanecast.fabric import Delivery, Fabric, Host
from lanecast.nat_bridge import Direction

ANYWHERE: Final = "all"
"""The provider's word for every address, port or protocol."""
SHARED_SPACE: Final = IPv4Network("100.64.0.0/10")
PROVIDERS_OWN: Final = (IPv4Network("169.254.0.0/16"), SHARED_SPACE)
"""Where a cloud's own services answer its instances from: link-local (RFC 3927), shared address space (RFC 6598)."""
LAST_POSITION: Final = 5000
"""[docs] An access list's positions are 1 to 5000."""
SSH: Final = 22


@dataclass(frozen=True, slots=True)
class ListRule:
    """A rule of a subnet's access list for what comes in."""

    name: str
    position: int
    allow: bool
    source: str


@dataclass(frozen=True, slots=True)
class GroupRule:
    """Something that a security group lets in."""

    name: str
    protocol: str
    source: str
    port: int | None
    remark: str
    last_port: int | None = None
    """Set where it is for several ports, from ``port`` on."""

    @property
    def ports(self) -> str:
        """As the provider spells them."""
        if self.port is None:
            return ANYWHERE
        return str(self.port) if self.last_port in (None, self.port) else f"{self.port}-{self.last_port}"


def access_list(vpc: CloudVpc, subnet: CloudSubnet, others: Iterable[IPv4Network]) -> tuple[ListRule, ...]:
    """Into a subnet comes what its VPC has a way back to, the cloud's own services and ``others``; nothing else."""
    sources = sorted({vpc.cidr, *(route.prefix for route in vpc.routes), *PROVIDERS_OWN, *others})
    rules = [
        ListRule(f"{subnet.name}-from-{source}", position, True, str(source))
        for source, position in _positions(sources).items()
    ]
    return (*rules, ListRule(f"{subnet.name}-from-elsewhere", LAST_POSITION, False, ANYWHERE))


def _positions(sources: list[IPv4Network]) -> dict[IPv4Network, int]:
    """A place for each that follows from itself, so that another one moves none; whoever collides takes the next."""
    taken: dict[int, IPv4Network] = {}
    for source in sources:
        position = 1 + crc32(str(source).encode()) % (LAST_POSITION - 1)
        while position in taken:
            position = 1 + position % (LAST_POSITION - 1)
        taken[position] = source
    return {source: position for position, source in taken.items()}


def subscriber_rules(fabric: Fabric, subscriber: str, instances: Sequence[Host]) -> tuple[GroupRule, ...]:
    """What a subscriber's instances take: their copies and pings from whoever these come from, and who manages them."""
    rules = {}
    for copy in (one for one in fabric.deliveries if one.subscriber == subscriber):
        for channel, endpoint in copy.endpoints.items():
            remark = f"{copy.feed} {channel} of {copy.relay}"
            for source in _sources(fabric, copy, channel):
                name = f"{subscriber}-{copy.relay}-{endpoint.port}-from-{source}"
                rules[name] = GroupRule(name, "udp", _host(source), endpoint.port, remark)
                ping = f"{subscriber}-icmp-from-{source}"
                rules[ping] = GroupRule(ping, "icmp", _host(source), None, f"path of {copy.bridge or copy.relay}")
    rules |= {one.name: one for one in _managing(subscriber, instances)}
    return tuple(rules[name] for name in sorted(rules))


def bridge_rules(bridge: str, instances: Sequence[Host]) -> tuple[GroupRule, ...]:
    """What a bridge's instances take: what they translate, pings from there, each other, and who manages them.

    Ports are a range for each source: a group has room for a hundred rules, and the instances themselves know which
    ports of it stand for something.
    """
    rules = []
    for instance in instances:
        assert instance.nat is not None  # by the caller
        rules += [rule for direction in instance.nat.directions for rule in _translated(bridge, direction)]
        # The API knows no VRRP: what it cannot name it lets through or not with everything else.
        rules += [
            GroupRule(f"{bridge}-vrrp-{peer}", ANYWHERE, _host(peer), None, "VRRP from another instance")
            for peer in instance.nat.peers
        ]
    rules += _managing(bridge, instances)
    named = {one.name: one for one in rules}
    return tuple(named[name] for name in sorted(named))


def balanced_rules(balancer: CloudLoadBalancer) -> Iterator[GroupRule]:
    """What instances take through their load balancer: clients as themselves, or by the balancer's address, and probes.

    [docs] A balancer of the fourth layer keeps the clients' addresses; where probes come from is assumed.
    """
    for listener in balancer.listeners:
        probes = (f"{balancer.address}/32", str(SHARED_SPACE))
        for source in (*map(str, listener.clients), *probes):
            name = f"{balancer.name}-{listener.name}-from-{source}"
            yield GroupRule(name, "tcp", source, listener.backend_port, f"{listener.name} through {balancer.name}")


def clients_of(balancers: Iterable[CloudLoadBalancer]) -> Iterator[IPv4Network]:
    """Who may use any of them."""
    yield from {network for balancer in balancers for listener in balancer.listeners for network in listener.clients}


def _translated(bridge: str, direction: Direction) -> Iterator[GroupRule]:
    for source in direction.sources:
        for protocol in sorted({one.protocol for one in direction.translations}):
            ports = [one.at.port for one in direction.translations if one.protocol == protocol]
            name = f"{bridge}-{protocol}-{source}"
            yield GroupRule(name, protocol, str(source), min(ports), direction.name, max(ports))
        yield GroupRule(f"{bridge}-icmp-{source}", "icmp", str(source), None, direction.name)


def _managing(name: str, instances: Iterable[Host]) -> Iterator[GroupRule]:
    for host in instances:
        for source in host.management.ssh_sources:
            yield GroupRule(f"{name}-ssh-{source}", "tcp", str(source), SSH, "management")
        if host.relay is not None and host.relay.metrics is not None:
            for source in host.management.metrics_sources:
                yield GroupRule(f"{name}-metrics-{source}", "tcp", str(source), host.relay.metrics.port, "counters")


def managers_of(hosts: Iterable[Host]) -> Iterator[IPv4Network]:
    """From where any of them is managed."""
    yield from {IPv4Network(rule.source) for rule in _managing("", hosts)}


def _host(address: IPv4Address) -> str:
    return f"{address}/32"


def _sources(fabric: Fabric, copy: Delivery, channel: str) -> list[IPv4Address]:
    """Where an instance may see a copy come from: an address of the bridge that translates, or whichever of the relay's
    addresses it leaves by, while everything works and while something does not."""
    sent_to = copy.sent_to[channel].address
    if copy.bridge is not None:
        return [sent_to]
    relay = next(host for host in fabric.hosts if host.name == copy.relay)
    leaves_by = {route.interface for route in relay.routes if sent_to in route.prefix}
    return sorted(one.address.ip for one in relay.interfaces if one.name in leaves_by)
