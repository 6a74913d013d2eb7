"""Entries of IOS XE's lists: actions, addresses with wildcards, ports."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import NoReturn

from lanecast_templates.readers.facts import AccessFacts, Range

ANYWHERE = IPv4Network("0.0.0.0/0")
PORTS = {"bgp": 179, "ntp": 123, "tacacs": 49}
"""Names that IOS has for ports, as far as these texts use them (command reference of ``permit``)."""

Words = tuple[str, ...]


def unknown(words: Words) -> NoReturn:
    """What no block expects."""
    raise ValueError("is not known here")


def permits_by(action: str) -> bool:
    """Whether ``permit`` or ``deny`` stands there."""
    if action not in ("permit", "deny"):
        raise ValueError(f"{action} is neither permit nor deny")
    return action == "permit"


def prefix_range(prefix: str, longest: list[str]) -> Range:
    """``192.0.2.0/24``, or with ``le 32`` behind it."""
    network = IPv4Network(prefix)
    match longest:
        case []:
            return network, network.prefixlen
        case ["le", length]:
            return network, int(length)
        case _:
            unknown(tuple(longest))


def standard_entry(words: Words) -> tuple[bool, IPv4Network]:
    """``permit 192.0.2.0 0.0.0.255``; a number before it would change nothing of its meaning."""
    action, *rest = words[1:] if words[0].isdecimal() else words
    network, left = _end(rest if len(rest) != 1 or rest == ["any"] else ["host", *rest])
    if left:
        unknown(words)
    return permits_by(action), network


def extended_entry(words: Words) -> AccessFacts:
    """``permit tcp host 192.0.2.1 any eq bgp``."""
    action, protocol, *rest = words[1:] if words[0].isdecimal() else words
    source, rest = _end(rest)
    source_port, rest = _port(rest)
    destination, rest = _end(rest)
    destination_port, rest = _port(rest)
    if rest:
        unknown(words)
    return AccessFacts(permits_by(action), protocol, source, destination, source_port, destination_port)


def _end(words: list[str]) -> tuple[IPv4Network, list[str]]:
    """``any``, ``host ADDRESS`` or an address with its wildcard, and what stands behind it."""
    match words:
        case ["any", *rest]:
            return ANYWHERE, rest
        case ["host", address, *rest]:
            return IPv4Network(address), rest
        case [address, wildcard, *rest]:
            mask = IPv4Address(2**32 - 1 - int(IPv4Address(wildcard)))
            return IPv4Network(f"{address}/{mask}"), rest
        case _:
            raise ValueError("expected an address")


def _port(words: list[str]) -> tuple[int | None, list[str]]:
    match words:
        case ["eq", port, *rest]:
            return PORTS[port] if port in PORTS else int(port), rest
        case _:
            return None, words
