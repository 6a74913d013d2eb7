"""A router in FRR's own terms: lists with sequence numbers, one record an interface, spellings by version.

Everything that a template would otherwise have to work out is worked out here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from lanecast.router import (
    Bgp,
    BgpNeighbor,
    IgmpInterface,
    Interface,
    MulticastRouting,
    PimInterface,
    Prefixes,
    RendezvousPoint,
    Route,
    Router,
)
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets

SEQUENCE_STEP = 5
"""FRR's own step between entries of a list."""

SSM_LIST = "ssm-ranges"

MAXIMUM_DISTANCE = 254
"""FRR's distances are 1 to 255, and 255 means unreachable."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """What changes its words between versions of FRR; ``{}`` is the value. None: that version has no words for it."""

    version: str
    ssm_list: str
    rendezvous_point: str
    """``{}`` is the address, then a range of groups."""
    register_list: str
    igmp_join: str
    """``{}`` is the group, then the source."""
    boundary: str
    enforce_first_as: str | None
    """None: it is the default, which FRR does not show."""
    pim_block: str | None = None
    """The block that PIM's lines outside of interfaces stand in; None: they stand at the top."""
    pim_neighbors: str | None = None
    """Whom an interface takes for a PIM neighbour, by prefix list."""
    igmp_max_groups: str | None = None
    igmp_max_sources: str | None = None
    igmp_router_alert: str | None = None
    msdp_password: str | None = None
    """``{}`` is the peer, then the value; so for the two below."""
    msdp_sa_filter: str | None = None
    """An access list; ``in`` or ``out`` follows."""
    msdp_sa_limit: str | None = None


_FRR_8_4 = Spelling(
    version="8.4.4",
    ssm_list="ip pim ssm prefix-list {}",
    rendezvous_point="ip pim rp {} {}",
    register_list="ip pim register-accept-list {}",
    igmp_join="ip igmp join {} {}",
    boundary="ip multicast boundary oil {}",
    enforce_first_as="neighbor {} enforce-first-as",
)

SPELLINGS = {
    "8.4": _FRR_8_4,
    # Up to 10.1 what PIM says outside of interfaces stands at the top.
    "9.1": replace(_FRR_8_4, version="9.1"),
    # 10.0 enforces the first AS unless told otherwise (FRRouting/frr pull request 14661).
    # 10.2 moved PIM's own lines into ``router pim`` (16269), always shows them there, and says join-group (16450).
    # After that came MSDP passwords, filters and limits (12459, 12484, 17521), allowed neighbours (17914), limits of
    # IGMP (18032, release notes of 10.4) and router alert (18202): all of them are in 10.4.
    "10.4": replace(
        _FRR_8_4,
        version="10.4",
        enforce_first_as=None,
        pim_block="router pim",
        ssm_list="ssm prefix-list {}",
        rendezvous_point="rp {} {}",
        register_list="register-accept-list {}",
        igmp_join="ip igmp join-group {} {}",
        pim_neighbors="ip pim allowed-neighbors prefix-list {}",
        igmp_max_groups="ip igmp max-groups {}",
        igmp_max_sources="ip igmp max-sources {}",
        igmp_router_alert="ip igmp require-router-alert",
        msdp_password="msdp peer {} password {}",
        msdp_sa_filter="msdp peer {} sa-filter {}",
        msdp_sa_limit="msdp peer {} sa-limit {}",
    ),
}
"""By version. Only 8.4 is run by the tests; the others are written from FRR's documentation and changes."""
DEFAULT_VERSION = "8.4"


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """One line of a prefix list; ``longest`` is set where longer prefixes match as well."""

    sequence: int
    action: str
    prefix: str
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A prefix list. What no entry permits is denied, by FRR itself."""

    name: str
    entries: tuple[PrefixEntry, ...]


@dataclass(frozen=True, slots=True)
class AsPathList:
    """An AS-path list of one regular expression."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class FrrInterface:
    """An interface and what of multicast runs on it."""

    interface: Interface
    pim: PimInterface | None
    igmp: IgmpInterface | None
    boundary: str | None
    pim_profile: str | None
    """PIM's BFD profile."""


@dataclass(frozen=True, slots=True)
class BfdProfile:
    """Timers that sessions share. A neighbour with GTSM has a session over several hops, which must be told from how
    far a packet may come (RFC 5883, section 5); a single hop's needs no such word (RFC 5881, section 5)."""

    name: str
    interval_ms: int
    multiplier: int
    minimum_ttl: int | None


SINGLE_HOP_PROFILE = "circuit-{}"
GTSM_PROFILE = "neighbor-{}"
GTSM_TTL = 254
"""What a directly connected neighbour's packets have left at least: 255, less the one that this end takes off."""


@dataclass(frozen=True, slots=True)
class FrrNeighbor:
    """A neighbour and its password, where it has one."""

    neighbor: BgpNeighbor
    password: str | None
    bfd_profile: str | None


@dataclass(frozen=True, slots=True)
class FrrRouter:
    """Everything that frr.conf and daemons are spelled from."""

    name: str
    spelling: Spelling
    interfaces: tuple[FrrInterface, ...]
    prefix_lists: tuple[PrefixList, ...]
    as_path_lists: tuple[AsPathList, ...]
    routes: tuple[Route, ...]
    multicast: MulticastRouting | None
    rendezvous_points: tuple[RendezvousPoint, ...]
    register_list: str | None
    """Senders whose registers are taken, where the router is a rendezvous point."""
    ssm_list: str | None
    bfd_profiles: tuple[BfdProfile, ...]
    bgp: Bgp | None
    neighbors: tuple[FrrNeighbor, ...]

    @property
    def daemons(self) -> dict[str, bool]:
        """Which daemons the router needs, in FRR's own order; what is not needed does not run."""
        return {
            "zebra": True,
            "bgpd": self.bgp is not None,
            "staticd": bool(self.routes),
            "pimd": self.multicast is not None,
            "bfdd": bool(self.bfd_profiles),
        }


def frr_router(version: str, router: Router, secrets: RouterSecrets) -> FrrRouter:
    """Return ``router`` in FRR's terms. Raises :class:`RenderError` for what that version cannot say."""
    if version not in SPELLINGS:
        raise RenderError(f"{router.name}: FRR {version} is not known; known: {', '.join(SPELLINGS)}")
    _check_distances(router)
    multicast = router.multicast
    boundaries = dict(multicast.boundaries) if multicast else {}
    return FrrRouter(
        name=router.name,
        spelling=SPELLINGS[version],
        interfaces=tuple(_interface(interface, multicast, boundaries) for interface in router.interfaces),
        prefix_lists=_prefix_lists(router),
        as_path_lists=_as_path_lists(router),
        routes=router.routes,
        multicast=multicast,
        rendezvous_points=multicast.rendezvous_points if multicast else (),
        register_list=next((filter_.name for filter_ in _register_filters(router)), None),
        ssm_list=SSM_LIST if multicast else None,
        bfd_profiles=tuple(_bfd_profiles(router)),
        bgp=router.bgp,
        neighbors=tuple(_neighbor(neighbor, secrets.password(neighbor)) for neighbor in _neighbors(router)),
    )


def _neighbor(neighbor: BgpNeighbor, password: str | None) -> FrrNeighbor:
    return FrrNeighbor(neighbor, password, GTSM_PROFILE.format(neighbor.interface) if neighbor.bfd else None)


def _bfd_profiles(router: Router) -> Iterator[BfdProfile]:
    circuits = {pim.interface for pim in router.multicast.pim if pim.bfd} if router.multicast else set()
    neighbors = {neighbor.interface for neighbor in _neighbors(router) if neighbor.bfd}
    for interface in router.interfaces:
        if interface.bfd is None:
            continue
        timers = interface.bfd.interval_ms, interface.bfd.multiplier
        if interface.name in circuits:
            yield BfdProfile(SINGLE_HOP_PROFILE.format(interface.name), *timers, None)
        if interface.name in neighbors:
            yield BfdProfile(GTSM_PROFILE.format(interface.name), *timers, GTSM_TTL)


def _register_filters(router: Router) -> Iterator[Prefixes]:
    for point in router.multicast.rendezvous_points if router.multicast else ():
        if point.register_sources is not None:
            yield point.register_sources


def _neighbors(router: Router) -> tuple[BgpNeighbor, ...]:
    return router.bgp.neighbors if router.bgp else ()


def _check_distances(router: Router) -> None:
    wrong = [route for route in router.routes if not 1 <= route.metric <= MAXIMUM_DISTANCE]
    if wrong:
        raise RenderError(
            *(
                f"{router.name}: route {route.prefix}: metric {route.metric} is no distance (1 to {MAXIMUM_DISTANCE})"
                for route in wrong
            )
        )


def _interface(
    interface: Interface, multicast: MulticastRouting | None, boundaries: dict[str, Prefixes]
) -> FrrInterface:
    boundary = boundaries.get(interface.name)
    pim = {each.interface: each for each in multicast.pim} if multicast else {}
    igmp = {each.interface: each for each in multicast.igmp} if multicast else {}
    return FrrInterface(
        interface,
        pim=pim.get(interface.name),
        igmp=igmp.get(interface.name),
        boundary=boundary.name if boundary else None,
        pim_profile=SINGLE_HOP_PROFILE.format(interface.name)
        if interface.name in pim and pim[interface.name].bfd
        else None,
    )


def _named_prefixes(router: Router) -> Iterator[Prefixes]:
    if router.multicast is not None:
        # FRR matches a group as a host prefix: without the longest length a range would match no group.
        yield Prefixes(SSM_LIST, router.multicast.ssm_ranges, longer=IPv4Address(0).max_prefixlen)
        yield from (prefixes for _, prefixes in router.multicast.boundaries)
        yield from _register_filters(router)
    for neighbor in _neighbors(router):
        yield neighbor.accept
        yield neighbor.announce


def _prefix_lists(router: Router) -> tuple[PrefixList, ...]:
    lists: dict[str, Prefixes] = {}
    for prefixes in _named_prefixes(router):
        if lists.setdefault(prefixes.name, prefixes) != prefixes:
            raise RenderError(f"{router.name}: two prefix lists of different content are called {prefixes.name}")
    return tuple(PrefixList(name, tuple(_entries(prefixes))) for name, prefixes in sorted(lists.items()))


def _entries(prefixes: Prefixes) -> Iterator[PrefixEntry]:
    for index, prefix in enumerate(prefixes.permitted, start=1):
        yield PrefixEntry(index * SEQUENCE_STEP, "permit", str(prefix), _longest(prefix, prefixes.longer))
    if not prefixes.permitted:
        # A list that does not exist, or has no entry, permits in some places of FRR: it has to say what it means.
        yield PrefixEntry(SEQUENCE_STEP, "deny", "any")


def _longest(prefix: IPv4Network, longer: int | None) -> int | None:
    return longer if longer is not None and longer > prefix.prefixlen else None


def _as_path_lists(router: Router) -> tuple[AsPathList, ...]:
    """Paths of the neighbour's own AS alone, however often it stands there (RFC 7454, 6.1.1: no other's routes)."""
    asns: dict[str, int] = {}
    for neighbor in _neighbors(router):
        if asns.setdefault(neighbor.accept_as_paths, neighbor.asn) != neighbor.asn:
            raise RenderError(f"{router.name}: AS-path list {neighbor.accept_as_paths} is asked for two AS numbers")
    return tuple(AsPathList(name, f"^{asn}(_{asn})*$") for name, asn in sorted(asns.items()))
