"""Leases: what a token's holder asked for and was given, for a while. Pure: times come in, nothing is opened.

``now_ns`` is ``CLOCK_MONOTONIC`` in nanoseconds, ``wall_s`` is seconds since 1970. A lease ends when its period does or
its token does, whichever is first.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from pydantic import Field

from lanecast_relay.access.destinations import refusal
from lanecast_relay.access.tokens import Admitted, Claims
from lanecast_relay.config.fields import Channel, EndpointText, Name, Strict
from lanecast_relay.config.model import Delivery, Limit, Protocol, RelayFile, Subscriber
from lanecast_relay.config.quantity import nanoseconds

LEASE_ID_BYTES = 8

Leases = dict[str, "Lease"]
"""By id. Replaced as a whole, so that a change which the engine refuses leaves the old one."""


class LeaseRefused(Exception):
    """The token is right, and what was asked for is not given; ``status`` is the answer's (RFC 9110, section 15)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class LeaseRequest(Strict):
    """What a holder asks for."""

    feed: Name
    channels: dict[Channel, EndpointText] = Field(min_length=1)
    delivery: Delivery = Delivery.NATIVE


@dataclass(frozen=True, slots=True)
class Lease:
    """What was given."""

    id: str
    admitted: Admitted
    request: LeaseRequest
    due_ns: int

    @property
    def claims(self) -> Claims:
        """What the token says that it was given for."""
        return self.admitted.claims

    @property
    def name(self) -> str:
        """What the counters call it; a subscriber of the file has no colon in its name."""
        return f"lease:{self.claims.sub}:{self.id}"

    @property
    def holder(self) -> tuple[str, str]:
        """Who may renew and end it."""
        return self.claims.iss, self.claims.sub

    def ended(self, now_ns: int, wall_s: float) -> str | None:
        """Why it is over; None while it is not."""
        if wall_s >= self.claims.exp:
            return "token expired"
        return "not renewed" if now_ns >= self.due_ns else None

    def subscriber(self) -> Subscriber:
        """What the engine is told."""
        limit = self.claims.limits.get(self.request.feed)
        limits = {} if limit is None else {self.request.feed: _limit(limit.datagrams_per_second, limit.bits_per_second)}
        feeds = {self.request.feed: dict(self.request.channels)}
        return Subscriber(feeds=feeds, delivery=self.request.delivery, limits=limits)


def _limit(datagrams_per_second: int | None, bits_per_second: int | None) -> Limit:
    return Limit(
        rate_pps=None if datagrams_per_second is None else nanoseconds(datagrams_per_second),
        bandwidth_bps=None if bits_per_second is None else nanoseconds(bits_per_second),
    )


def due_ns(claims: Claims, period_ns: int, now_ns: int, wall_s: float) -> int:
    """When a lease that is given or renewed now is over."""
    return now_ns + min(period_ns, max(0, int((claims.exp - wall_s) * 1e9)))


@dataclass(frozen=True, slots=True)
class Rules:
    """What a file allows; ``is_local`` says whether an address is one of this machine's."""

    relay: RelayFile
    is_local: Callable[[IPv4Address], bool]

    def withdrawn(self, admitted: Admitted, wall_s: float) -> str | None:
        """Why a token is no longer good, though it was when it was verified; None while it is."""
        claims, api = admitted.claims, self.relay.api
        issuer = None if api is None else api.issuers.get(claims.iss)
        if api is None or issuer is None or issuer.public_key != admitted.key or claims.jti in api.revoked:
            return "token revoked"
        return "token expired" if wall_s >= claims.exp else None

    def give(self, leases: Leases, admitted: Admitted, request: LeaseRequest, now_ns: int, wall_s: float) -> Lease:
        """The lease that ``request`` gets; raise :class:`LeaseRefused`.

        One that the same token has already goes on, with the allowance that it has left; one that is just the same, but
        of another token of the holder, is replaced.
        """
        claims, api = admitted.claims, self.relay.api
        if api is None or "lease" not in claims.scope:
            raise LeaseRefused(403, "the token is not one for leases")
        others = [lease for lease in leases.values() if not _same(lease, claims, request)]
        self._named(claims, request)
        self._free(request, others)
        self._counted(claims, request, others)
        due = due_ns(claims, api.period_ns, now_ns, wall_s)
        for lease in leases.values():
            if lease.request == request and lease.admitted == admitted:
                return replace(lease, due_ns=due)
        return Lease(secrets.token_hex(LEASE_ID_BYTES), admitted, request, due)

    def lost(self, lease: Lease, leases: Iterable[Lease], wall_s: float) -> str | None:
        """Why a lease that was given under another file ends under this one; None when it goes on."""
        reason = self.withdrawn(lease.admitted, wall_s)
        if reason is not None:
            return reason
        try:
            self._named(lease.claims, lease.request)
            self._free(lease.request, [other for other in leases if other.id != lease.id])
        except LeaseRefused as refused:
            return f"reload: {refused}"
        return None

    def _named(self, claims: Claims, request: LeaseRequest) -> None:
        """The token names it all, the file has it, and it can be sent there."""
        channels = claims.feeds.get(request.feed, ())
        unnamed = [name for name in request.channels if channels != "*" and name not in channels]
        if unnamed:
            raise LeaseRefused(403, f"the token does not name {request.feed}: {', '.join(sorted(unnamed))}")
        feed = self.relay.feeds.get(request.feed)
        unknown = [name for name in request.channels if feed is None or name not in feed.channels]
        if feed is None or unknown:
            raise LeaseRefused(404, f"the relay does not have {request.feed}: {', '.join(sorted(unknown))}")
        for to in request.channels.values():
            reason = refusal(to, claims.destinations, self.is_local)
            if reason is not None:
                raise LeaseRefused(403, reason)
        if feed.protocol is Protocol.RAW and request.delivery is Delivery.MOLD:
            raise LeaseRefused(422, f"{request.feed} is raw, which has no numbers to pack anew by: take native")
        if feed.protocol is Protocol.RAW and request.feed in claims.limits:
            raise LeaseRefused(422, f"{request.feed} is raw, so the token's limit could not be declared to anybody")

    def _free(self, request: LeaseRequest, others: Iterable[Lease]) -> None:
        """Nobody else receives there, and no two channels go to one address (design, decision 4)."""
        wanted = list(request.channels.values())
        taken = {to for lease in others for to in lease.request.channels.values()}
        for subscriber in self.relay.subscribers.values():
            taken.update(to for channels in subscriber.feeds.values() for to in channels.values())
        twice = sorted({to for to in wanted if wanted.count(to) > 1 or to in taken})
        if twice:
            raise LeaseRefused(409, f"in use: {', '.join(str(to) for to in twice)}")

    def _counted(self, claims: Claims, request: LeaseRequest, others: list[Lease]) -> None:
        mine = [lease for lease in others if (lease.claims.iss, lease.claims.jti) == (claims.iss, claims.jti)]
        if len(mine) >= claims.leases:
            raise LeaseRefused(429, f"the token is good for {claims.leases} leases at a time: end one first")
        # So that the limit holds for the token, and not for each of its leases.
        if request.feed in claims.limits and any(lease.request.feed == request.feed for lease in mine):
            raise LeaseRefused(429, f"the token's limit for {request.feed} allows one lease of it at a time")
        if self.relay.api is not None and len(others) >= self.relay.api.leases:
            raise LeaseRefused(503, "the relay has given as many leases as it may")


def renewed(lease: Lease, claims: Claims, period_ns: int, now_ns: int, wall_s: float) -> Lease:
    """The lease for another period. Only the token that it was given for renews it; raise :class:`LeaseRefused`."""
    if (claims.iss, claims.jti) != (lease.claims.iss, lease.claims.jti):
        raise LeaseRefused(403, "the lease was given for another token: ask for it anew with this one")
    return replace(lease, due_ns=due_ns(lease.claims, period_ns, now_ns, wall_s))


def _same(lease: Lease, claims: Claims, request: LeaseRequest) -> bool:
    return lease.holder == (claims.iss, claims.sub) and lease.request == request


def replaced(leases: Leases, fresh: Lease) -> Leases:
    """``leases`` with ``fresh`` in place of one that is just the same."""
    kept = {id_: lease for id_, lease in leases.items() if not _same(lease, fresh.claims, fresh.request)}
    return kept | {fresh.id: fresh}


def with_leases(relay: RelayFile, leases: Mapping[str, Lease]) -> RelayFile:
    """The file with leases among its subscribers, for the engine."""
    given = {lease.name: lease.subscriber() for lease in leases.values()}
    return relay.model_copy(update={"subscribers": {**relay.subscribers, **given}})
