"""EOS's ``router bgp``, as a text has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from lanecast_templates.readers.eos_lines import ADDRESS, PREFIX, Commands, Line, address
from lanecast_templates.readers.eos_lists import Lists
from lanecast_templates.readers.facts import NeighborFacts

OWN_MAXIMUM_ROUTES = 12000
"""EOS's own bound for a neighbour."""


@dataclass(slots=True)
class Neighbor:
    """What lines of a neighbour say."""

    line: Line
    asn: int | None = None
    route_map_in: str | None = None
    route_map_out: str | None = None
    maximum_routes: int = OWN_MAXIMUM_ROUTES
    hops: int | None = None
    bfd: bool = False
    first_as: bool = False
    password: bool = False
    profile: str | None = None
    active: bool = False


@dataclass(slots=True)
class Instance:
    """BGP in one VRF."""

    router_id: IPv4Address | None = None
    keepalive_s: int = 60
    hold_s: int = 180
    neighbors: dict[IPv4Address, Neighbor] = field(default_factory=dict)
    networks: set[IPv4Network] = field(default_factory=set)
    denied_without_policy: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Bgp:
    """The whole block, with the instance of each VRF."""

    line: Line
    asn: int
    activates_by_itself: bool = True
    instances: dict[str | None, Instance] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A neighbour, and the shared secret that its session needs."""

    line: Line
    facts: NeighborFacts
    profile: str | None


@dataclass(frozen=True, slots=True)
class BgpFacts:
    """What the block says."""

    asn: int | None
    router_id: IPv4Address | None
    networks: frozenset[IPv4Network]
    neighbors: tuple[Found, ...]


def register(top: Commands) -> None:
    """Add BGP's block to the configuration's commands; the reader has ``bgp``."""
    top.says(r"router bgp (\d+)", opens=True)(_bgp)


def facts(bgp: Bgp | None, vrf: str | None, lists: Lists) -> BgpFacts:
    """What the block says of the VRF. Raises :class:`ValueError` for what it says of another."""
    if bgp is None:
        return BgpFacts(None, None, frozenset(), ())
    others = [name for name, each in bgp.instances.items() if name != vrf and each.neighbors]
    if others:
        raise bgp.line.wrong(f"there are neighbours in {others[0] or 'the global table'}")
    instance = bgp.instances.get(vrf, Instance())
    found = tuple(_found(bgp, instance, lists))
    return BgpFacts(bgp.asn, instance.router_id, frozenset(instance.networks), found)


def _found(bgp: Bgp, instance: Instance, lists: Lists) -> Iterator[Found]:
    for peer, held in instance.neighbors.items():
        if held.asn is None:
            raise held.line.wrong("the neighbour has no AS")
        if not (held.active or bgp.activates_by_itself):
            raise held.line.wrong("the neighbour is not activated")
        if instance.denied_without_policy != {"in", "out"}:
            raise held.line.wrong("without a policy everything passes (RFC 8212)")
        accept, own_as = lists.ranges(held.line, held.route_map_in)
        announce, _ = lists.ranges(held.line, held.route_map_out)
        yield Found(
            held.line,
            NeighborFacts(
                address=peer,
                asn=held.asn,
                accept=accept,
                announce=announce,
                accept_paths_of=own_as,
                maximum_prefixes=held.maximum_routes,
                keepalive_s=instance.keepalive_s,
                hold_s=instance.hold_s,
                authentication="tcp-ao" if held.profile else "md5" if held.password else None,
                gtsm=held.hops == 1,
                first_as=held.first_as,
                bfd=held.bfd,
            ),
            held.profile,
        )


def _bgp(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.bgp = Bgp(line, int(groups[0]))
    _BGP.read((held.bgp, held.bgp.instances.setdefault(None, Instance())), line.block)


Here = tuple[Bgp, Instance]

_BGP = Commands("BGP's block")
_FAMILY = Commands("an address family of BGP")
_NEIGHBOR = Commands("what is said of a BGP neighbour")


@_BGP.says(r"no bgp default ipv4-unicast")
def _inactive(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    held[0].activates_by_itself = False


@_BGP.says(r"vrf (\S+)", opens=True)
def _vrf(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    _BGP.read((held[0], held[0].instances.setdefault(groups[0], Instance())), line.block)


@_BGP.says(rf"router-id ({ADDRESS})")
def _router_id(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    held[1].router_id = address(groups[0])


@_BGP.says(r"timers bgp (\d+) (\d+)")
def _timers(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    held[1].keepalive_s, held[1].hold_s = int(groups[0]), int(groups[1])


def _missing_policy(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    held[1].denied_without_policy.add(groups[0])


for _context in (_BGP, _FAMILY):
    _context.says(r"bgp missing-policy direction (in|out) action deny")(_missing_policy)


@_BGP.says(rf"neighbor ({ADDRESS}) (.+)")
def _neighbor(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    neighbor = held[1].neighbors.setdefault(address(groups[0]), Neighbor(line))
    _NEIGHBOR.read(neighbor, [Line(line.number, groups[1])])


for _pattern, _name, _kind in (
    (r"remote-as (\d+)", "asn", int),
    (r"route-map (\S+) in", "route_map_in", str),
    (r"route-map (\S+) out", "route_map_out", str),
    (r"maximum-routes (\d+)", "maximum_routes", int),
    (r"ttl maximum-hops (\d+)", "hops", int),
    (r"bfd", "bfd", True),
    (r"enforce-first-as", "first_as", True),
    (r"password 0 \S+", "password", True),
    (r"password shared-secret profile (\S+) algorithm (?:hmac-sha1-96|aes-128-cmac-96)", "profile", str),
):
    _NEIGHBOR.sets(_pattern, _name, _kind)

_NEIGHBOR.silent(r"description .+")


@_BGP.says(r"address-family ipv4", opens=True)
def _family(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    _FAMILY.read(held, line.block)


@_FAMILY.says(rf"neighbor ({ADDRESS}) activate")
def _activate(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    held[1].neighbors.setdefault(address(groups[0]), Neighbor(line)).active = True


@_FAMILY.says(rf"network ({PREFIX})")
def _network(held: Here, line: Line, groups: tuple[str, ...]) -> None:
    held[1].networks.add(IPv4Network(groups[0]))
