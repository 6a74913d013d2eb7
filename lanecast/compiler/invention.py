"""Values that a plan leaves open: chosen once, by purpose, and kept beside the plan in its lock file.

A value is found by the purpose that it serves, never by position, so adding something to a plan moves nothing else.
What a lock file holds is kept while the plan allows it; otherwise, and for what it lacks, the first free candidate of
the pool is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

Value = TypeVar("Value", int, IPv4Address, IPv4Network)


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
        self.values: dict[str, str] = {}

    def reserve(self, pool: str, values: Iterable[object]) -> None:
        """Keep ``values``, which the plan itself writes, from being invented a second time."""
        written = {str(value) for value in values}
        self._taken.setdefault(pool, set()).update(written)
        self._used.setdefault(pool, set()).update(written)

    def choose(self, pool: str, what: str, candidates: Iterable[Value], read: Callable[[str], Value]) -> Value:
        """Return the value of ``what``: the locked one, or else the first candidate that nothing else holds.

        A locked value that is no candidate any more, or that something else has by now, is not taken.
        Raises :class:`PoolExhaustedError` when no candidate is free.
        """
        purpose = f"{pool}/{what}"
        if purpose in self.values:
            return read(self.values[purpose])
        used, taken = self._used.setdefault(pool, set()), self._taken.setdefault(pool, set())
        free: str | None = None
        text = None
        for candidate in map(str, candidates):
            if candidate == self._locked.get(purpose) and candidate not in used:
                text = candidate
                break
            if free is None and candidate not in taken:
                free = candidate
                if purpose not in self._locked:
                    break
        text = text or free
        if text is None:
            raise PoolExhaustedError(what, pool)
        taken.add(text)
        used.add(text)
        self.values[purpose] = text
        return read(text)
