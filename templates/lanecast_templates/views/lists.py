"""What the lists of every platform are made from: prefixes and AS paths that a router's neighbours are held against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

from lanecast.router import Prefixes, Router
from lanecast_templates.errors import RenderError


def neighbor_prefixes(router: Router) -> Iterator[Prefixes]:
    """What neighbours may tell and are told."""
    for neighbor in router.neighbors:
        yield neighbor.accept
        yield neighbor.announce


def by_name(router: Router, named: Iterable[Prefixes]) -> list[tuple[str, Prefixes]]:
    """Lists by name, each once. Raises :class:`RenderError` for two of one name that differ."""
    lists: dict[str, Prefixes] = {}
    for prefixes in named:
        if lists.setdefault(prefixes.name, prefixes) != prefixes:
            raise RenderError(f"{router.name}: two prefix lists of different content are called {prefixes.name}")
    return sorted(lists.items())


def longest(prefix: IPv4Network, longer: int | None) -> int | None:
    """The longest prefix in it that is meant; None where it is the prefix alone."""
    return longer if longer is not None and longer > prefix.prefixlen else None


def accepted_paths(router: Router) -> list[tuple[str, int]]:
    """(list, AS): paths of the neighbour's own AS alone, however often it stands there (RFC 7454, section 6.1.1).

    Raises :class:`RenderError` for a list of two AS numbers.
    """
    asns: dict[str, int] = {}
    for neighbor in router.neighbors:
        if asns.setdefault(neighbor.accept_as_paths, neighbor.asn) != neighbor.asn:
            raise RenderError(f"{router.name}: AS-path list {neighbor.accept_as_paths} is asked for two AS numbers")
    return sorted(asns.items())


def path_expression(asn: int) -> str:
    """Such paths, for platforms whose ``_`` stands between AS numbers."""
    return f"^{asn}(_{asn})*$"
