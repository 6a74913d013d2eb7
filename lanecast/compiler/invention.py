"""Values that a plan leaves open: chosen once, by purpose, and kept beside the plan in its lock file.

A value is found by the purpose that it serves, never by position, so adding something to a plan moves nothing else.
What a lock file holds is kept while the plan allows it; otherwise, and for what it lacks, the first free candidate of
the pool is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol, TypeVar

Value = TypeVar("Value", int, IPv4Address, IPv4Network)
Value_co = TypeVar("Value_co", int, IPv4Address, IPv4Network, covariant=True)


class Candidates(Protocol[Value_co]):
    """What may be chosen, in order of preference; equal ones are the same candidates."""

    def __iter__(self) -> Iterator[Value_co]: ...

    def __contains__(self, value: object, /) -> bool: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Subnets:
    """The networks of one length in a network, from its beginning."""

    network: IPv4Network
    prefix_length: int

    def __iter__(self) -> Iterator[IPv4Network]:
        return self.network.subnets(new_prefix=self.prefix_length)

    def __contains__(self, value: object, /) -> bool:
        return (
            isinstance(value, IPv4Network) and value.prefixlen == self.prefix_length and value.subnet_of(self.network)
        )


@dataclass(frozen=True, slots=True)
class SpreadPorts:
    """Ports of a range, those first that leave ``rest`` when divided by ``parts``."""

    ports: range
    parts: int
    rest: int

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self.ports, key=lambda port: (port % self.parts != self.rest, port)))

    def __contains__(self, value: object, /) -> bool:
        return value in self.ports


class PoolExhaustedError(Exception):
    """A pool has no free value left for a purpose."""

    def __init__(self, purpose: str, pool: str) -> None:
        super().__init__(f"{purpose}: nothing free is left in {pool}")
        self.purpose = purpose


class Inventions:
    """The invented values of one compilation. A purpose reads ``pool/what``; values of a pool never repeat."""

    def __init__(self, locked: Mapping[str, str] | None) -> None:
        self._locked = dict(locked or {})
        self._taken: dict[str, set[str]] = {}
        """By pool: what is not to be invented anew."""
        self._used: dict[str, set[str]] = {}
        """By pool: what the plan writes or this compilation has given out."""
        for purpose, value in self._locked.items():
            self._taken.setdefault(purpose.partition("/")[0], set()).add(value)
        self._rest: dict[object, Iterator[object]] = {}
        """By pool and candidates: those that were not looked at yet."""
        self.values: dict[str, str] = {}

    def reserve(self, pool: str, values: Iterable[object]) -> None:
        """Keep ``values``, which the plan itself writes, from being invented a second time."""
        written = {str(value) for value in values}
        self._taken.setdefault(pool, set()).update(written)
        self._used.setdefault(pool, set()).update(written)

    def choose(self, pool: str, what: str, candidates: Candidates[Value], read: Callable[[str], Value]) -> Value:
        """Return the value of ``what``: the locked one, or else the first candidate that nothing else holds.

        A locked value that is no candidate any more, or that something else has by now, is not taken.
        Raises :class:`PoolExhaustedError` when no candidate is free.
        """
        purpose = f"{pool}/{what}"
        if purpose in self.values:
            return read(self.values[purpose])
        text = self._kept(pool, purpose, candidates, read) or self._first_free(pool, candidates)
        if text is None:
            raise PoolExhaustedError(what, pool)
        self._taken.setdefault(pool, set()).add(text)
        self._used.setdefault(pool, set()).add(text)
        self.values[purpose] = text
        return read(text)

    def _kept(self, pool: str, purpose: str, candidates: Candidates[Value], read: Callable[[str], Value]) -> str | None:
        """The locked value, where it still can be had."""
        text = self._locked.get(purpose)
        if text is None or text in self._used.get(pool, ()):
            return None
        try:
            value = read(text)
        except ValueError:
            return None
        return text if str(value) == text and value in candidates else None

    def _first_free(self, pool: str, candidates: Candidates[Value]) -> str | None:
        # Nothing that was taken becomes free again, so the search goes on where the last one ended.
        key = (pool, candidates)
        for candidate in self._rest.setdefault(key, iter(candidates)):
            if str(candidate) not in self._taken.get(pool, ()):
                return str(candidate)
        return None
