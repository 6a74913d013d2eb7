"""Which addresses a lease may have: those that its token names, and none that would harm others or the relay."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from lanecast_relay.config.fields import Endpoint

NEVER = (
    (IPv4Network("0.0.0.0/8"), "an address of this network (RFC 1122, section 3.2.1.3)"),
    (IPv4Network("127.0.0.0/8"), "a loopback address"),
    (IPv4Network("169.254.0.0/16"), "a link-local address (RFC 3927)"),
    (IPv4Network("224.0.0.0/4"), "a multicast address"),
    (IPv4Network("240.0.0.0/4"), "a reserved or broadcast address"),
)
"""What no token makes good."""

POINT_TO_POINT_BITS = 31
"""RFC 3021: a network of 31 bits has no broadcast address."""


def refusal(
    to: Endpoint,
    allowed: tuple[IPv4Network | Endpoint, ...],
    is_local: Callable[[IPv4Address], bool],
) -> str | None:
    """Why nothing may be sent to ``to``; None when it may."""
    for network, words in NEVER:
        if to.address in network:
            return f"{to} is {words}"
    if not any(_names(one, to) for one in allowed):
        return f"the token does not name {to}"
    # Whatever the port: services beside the relay trust what comes from their own machine.
    return f"{to.address} is an address of the relay's own machine or a broadcast" if is_local(to.address) else None


def _names(allowed: IPv4Network | Endpoint, to: Endpoint) -> bool:
    if isinstance(allowed, Endpoint):
        return allowed == to
    if to.address not in allowed:
        return False
    ends = (allowed.network_address, allowed.broadcast_address)
    return allowed.prefixlen >= POINT_TO_POINT_BITS or to.address not in ends
