"""Which addresses a lease may have: those that its token names, and none that would harm others or the relay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network

from lanecast_relay.config.fields import Endpoint
from lanecast_relay.config.model import RelayFile

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
    own: frozenset[Endpoint],
    is_local: Callable[[IPv4Address], bool],
) -> str | None:
    """Why nothing may be sent to ``to``; None when it may. ``own`` is where the relay listens."""
    for network, words in NEVER:
        if to.address in network:
            return f"{to} is {words}"
    if not any(_names(one, to) for one in allowed):
        return f"the token does not name {to}"
    listening = {endpoint.address for endpoint in own if endpoint.port == to.port}
    if to.address in listening or (any(address.is_unspecified for address in listening) and is_local(to.address)):
        return f"the relay itself listens on {to}"
    return None


def _names(allowed: IPv4Network | Endpoint, to: Endpoint) -> bool:
    if isinstance(allowed, Endpoint):
        return allowed == to
    if to.address not in allowed:
        return False
    ends = (allowed.network_address, allowed.broadcast_address)
    return allowed.prefixlen >= POINT_TO_POINT_BITS or to.address not in ends


def own_endpoints(relay: RelayFile) -> frozenset[Endpoint]:
    """Where the relay of that file listens, TCP included: an address has one owner."""
    return frozenset(_own_endpoints(relay))


def _own_endpoints(relay: RelayFile) -> Iterator[Endpoint]:
    if relay.metrics is not None:
        yield relay.metrics
    if relay.api is not None:
        yield relay.api.listen
    for feed in relay.feeds.values():
        for line in feed.lines.values():
            yield from line.endpoints.values()
        if feed.re_requests is not None:
            yield from feed.re_requests.listen.values()
