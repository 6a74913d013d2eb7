"""A router in FRR's own terms: lists with sequence numbers, one record an interface, spellings by version.

Everything that a template would otherwise have to work out is worked out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from lanecast.fabric import Bgp, BgpNeighbor, Interface, MulticastRouting, Prefixes, Route, Router
from lanecast_templates.errors import RenderError

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
    boundary="ip multicast boundary oil {}",
    enforce_first_as="neighbor {} enforce-first-as",
)

SPELLINGS = {
    "8.4": _FRR_8_4,
    # Up to 10.1 what PIM says outside of interfaces stands at the top.
    "9.1": replace(_FRR_8_4, version="9.1"),
    # 10.0 enforces the first AS unless told otherwise (FRRouting/frr pull request 14661).
    # 10.2 moved PIM's own lines into ``router pim`` (16269) and always shows them there.
    # After that came MSDP passwords, filters and limits (12459, 12484, 17521), allowed neighbours (17914), limits of
    # IGMP (18032, release notes of 10.4) and router alert (18202): all of them are in 10.4.
    "10.4": replace(
        _FRR_8_4,
        version="10.4",
        enforce_first_as=None,
        pim_block="router pim",
        ssm_list="ssm prefix-list {}",
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
    """An interface and which multicast protocols run on it."""

    interface: Interface
    pim: bool
    passive: bool
    igmp: bool
    boundary: str | None


@dataclass(frozen=True, slots=True)
class FrrNeighbor:
    """A neighbour and its password, where it has one."""

    neighbor: BgpNeighbor
    password: str | None


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
    ssm_list: str | None
    bgp: Bgp | None
    neighbors: tuple[FrrNeighbor, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The neighbours' passwords."""
        return tuple(neighbor.password for neighbor in self.neighbors if neighbor.password is not None)

    @property
    def daemons(self) -> dict[str, bool]:
        """Which daemons the router needs, in FRR's own order; what is not needed does not run."""
        return {
            "zebra": True,
            "bgpd": self.bgp is not None,
            "staticd": bool(self.routes),
            "pimd": self.multicast is not None,
        }


def frr_router(router: Router, version: str, password: Callable[[BgpNeighbor], str | None]) -> FrrRouter:
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
        ssm_list=SSM_LIST if multicast else None,
        bgp=router.bgp,
        neighbors=tuple(FrrNeighbor(neighbor, password(neighbor)) for neighbor in _neighbors(router)),
    )


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
    passive = multicast is not None and interface.name in multicast.passive_interfaces
    return FrrInterface(
        interface,
        pim=passive or (multicast is not None and interface.name in multicast.pim_interfaces),
        passive=passive,
        igmp=multicast is not None and interface.name in multicast.igmp_interfaces,
        boundary=boundary.name if boundary else None,
    )


def _named_prefixes(router: Router) -> Iterator[Prefixes]:
    if router.multicast is not None:
        # FRR matches a group as a host prefix: without the longest length a range would match no group.
        yield Prefixes(SSM_LIST, router.multicast.ssm_ranges, longer=IPv4Address(0).max_prefixlen)
        yield from (prefixes for _, prefixes in router.multicast.boundaries)
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
