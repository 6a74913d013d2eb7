"""Who may reach a subnet and an instance: access lists, which keep no state, and security groups, which do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final
from zlib import crc32

from lanecast.cloud_state import CloudSubnet, CloudVpc
from lanecast.fabric import Delivery, Fabric, Host
from lanecast.router import InterfaceRole

ANYWHERE: Final = "all"
"""The provider's word for every address, port or protocol."""
PROVIDERS_OWN: Final = (IPv4Network("169.254.0.0/16"), IPv4Network("100.64.0.0/10"))
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


def access_list(vpc: CloudVpc, subnet: CloudSubnet, managers: Iterable[IPv4Network]) -> tuple[ListRule, ...]:
    """Into a subnet comes what its VPC has a way back to, the cloud's own services and ``managers``; nothing else."""
    sources = sorted({vpc.cidr, *(route.prefix for route in vpc.routes), *PROVIDERS_OWN, *managers})
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


def group_rules(fabric: Fabric, subscriber: str, instances: Iterable[Host]) -> tuple[GroupRule, ...]:
    """What a subscriber's instances take: their relays' copies, pings from these, and SSH from who manages them."""
    rules = {}
    copies = [one for one in fabric.deliveries if one.subscriber == subscriber]
    for copy in copies:
        source = _source(fabric, copy)
        for channel, endpoint in copy.endpoints.items():
            remark = f"{copy.feed} {channel} of {copy.relay}"
            name = f"{subscriber}-{copy.relay}-{endpoint.port}"
            rules[name] = GroupRule(name, "udp", source, endpoint.port, remark)
        ping = f"{subscriber}-{copy.relay}-icmp"
        rules[ping] = GroupRule(ping, "icmp", source, None, f"path of {copy.relay}")
    for manager in sorted(managers_of(instances)):
        name = f"{subscriber}-ssh-{manager}"
        rules[name] = GroupRule(name, "tcp", str(manager), SSH, "management")
    return tuple(rules[name] for name in sorted(rules))


def managers_of(hosts: Iterable[Host]) -> Iterator[IPv4Network]:
    """From where SSH is allowed to any of them."""
    yield from {source for host in hosts for source in host.management.ssh_sources}


def _source(fabric: Fabric, copy: Delivery) -> str:
    """Where an instance sees a relay's copy come from: the relay's address towards the cloud."""
    relay = next(host for host in fabric.hosts if host.name == copy.relay)
    lan = next(one for one in relay.interfaces if one.role is InterfaceRole.LAN)
    return f"{lan.addresses[0].ip}/32"
