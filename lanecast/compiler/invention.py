"""Values that a plan leaves open: chosen once, by purpose, and kept beside the plan in its lock file.

A value is found by the purpose that it serves, never by position, so adding something to a plan moves nothing else.
What a lock file holds is taken as it stands; what it lacks is the first free candidate of its pool.
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
        for purpose, value in self._locked.items():
            self._taken.setdefault(purpose.partition("/")[0], set()).add(value)
        self.values: dict[str, str] = {}

    def reserve(self, pool: str, values: Iterable[object]) -> None:
        """Keep ``values``, which the plan itself writes, from being invented a second time."""
        self._taken.setdefault(pool, set()).update(str(value) for value in values)

    def choose(self, pool: str, what: str, candidates: Iterable[Value], read: Callable[[str], Value]) -> Value:
        """Return the value of ``what``: the locked one, or else the first candidate that nothing else holds.

        Raises :class:`PoolExhaustedError` when no candidate is free.
        """
        purpose = f"{pool}/{what}"
        if purpose in self.values:
            return read(self.values[purpose])
        text = self._locked.get(purpose)
        if text is None:
            taken = self._taken.setdefault(pool, set())
            text = next((str(candidate) for candidate in candidates if str(candidate) not in taken), None)
            if text is None:
                raise PoolExhaustedError(what, pool)
            taken.add(text)
        self.values[purpose] = text
        return read(text)
