"""The store as of one moment: what is there, in which state, and when the next state ends."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lanecast_lab.cloud.api.states import state_at
from lanecast_lab.cloud.api.store import CHANGE, COLUMNS, FILE, Resource


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else the data plane depends on, beside the store. Delays are one-way, by a peering's name or id."""

    outages: frozenset[str] = frozenset()
    peering_delays_ns: Mapping[str, int] = field(default_factory=dict)


class Snapshot:
    """Resources that are there at ``now`` (seconds of Unix time), in the order in which they were made."""

    def __init__(
        self,
        resources: Iterable[Resource],
        now: float,
        surroundings: Surroundings | None = None,
        change: int = 0,
    ) -> None:
        self.now = now
        self.change = change
        self.surroundings = surroundings or Surroundings()
        self._kinds: dict[str, list[Resource]] = defaultdict(list)
        self._keys: dict[str, Resource] = {}
        self._fields: dict[tuple[str, str], dict[str, list[Resource]]] = {}
        self._parts: dict[tuple[str, str], list[Resource]] = defaultdict(list)
        for resource in resources:
            if resource.gone_at is not None and resource.gone_at <= now:
                continue
            self._kinds[resource.kind].append(resource)
            self._keys[resource.key] = resource
            if resource.parent is not None:
                self._parts[resource.parent, resource.kind].append(resource)

    def all(self) -> list[Resource]:
        """Every resource."""
        return list(self._keys.values())

    def of(self, kind: str) -> list[Resource]:
        """Every resource of a kind."""
        return list(self._kinds.get(kind, ()))

    def get(self, kind: str, key: str) -> Resource | None:
        """The resource of that kind and key, when it is there."""
        found = self._keys.get(key)
        return found if found is not None and found.kind == kind else None

    def parts(self, parent: str, kind: str) -> list[Resource]:
        """The resources of a kind that are part of ``parent``."""
        return list(self._parts.get((parent, kind), ()))

    def having(self, kind: str, field: str, value: str) -> list[Resource]:
        """The resources of a kind whose field has a value, or has it in its list."""
        if (kind, field) not in self._fields:
            index = self._fields[kind, field] = defaultdict(list)
            for resource in self._kinds.get(kind, ()):
                held = resource.body[field]
                for one in held if isinstance(held, list) else (held,):
                    index[one].append(resource)
        return list(self._fields[kind, field].get(value, ()))

    def state(self, resource: Resource, field: str = "status") -> str:
        """Which state it is in."""
        return state_at(resource.body[field], self.now)

    def is_down(self, *names: str) -> bool:
        """Whether a fault says that one of these names (ids, zones) is down."""
        return not self.surroundings.outages.isdisjoint(names)

    def next_end(self) -> float | None:
        """When the next state ends, or the next deletion is done."""
        ends = (end for resource in self._keys.values() for end in _ends(resource) if end > self.now)
        return min(ends, default=None)


def _ends(resource: Resource) -> Iterable[float]:
    if resource.gone_at is not None:
        yield resource.gone_at
    for value in resource.body.values():
        if isinstance(value, list):
            for pair in value:
                if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], int | float):
                    yield pair[1]


class Reader:
    """Reads the store's file by a connection of its own, for one thread."""

    def __init__(self, state: Path) -> None:
        self._db = sqlite3.connect(f"{(state / FILE).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._parsed: dict[str, tuple[str, dict[str, Any]]] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def read(self, now: float, surroundings: Surroundings) -> Snapshot:
        """Everything as of ``now``, in one transaction."""
        self._db.execute("BEGIN")
        try:
            rows = self._db.execute(f"SELECT {COLUMNS} FROM resources ORDER BY seq").fetchall()
            counted = self._db.execute("SELECT value FROM settings WHERE name = ?", (CHANGE,)).fetchone()
        finally:
            self._db.execute("COMMIT")
        before, self._parsed = self._parsed, {}
        resources = [self._resource(row, before) for row in rows]
        return Snapshot(resources, now, surroundings, int(counted[0]) if counted else 0)

    def _resource(self, row: tuple[Any, ...], before: Mapping[str, tuple[str, dict[str, Any]]]) -> Resource:
        """Bodies that did not change are not parsed again."""
        seq, key, kind, account, region, parent, text, gone_at = row
        known = before.get(key)
        body = known[1] if known is not None and known[0] == text else json.loads(text)
        self._parsed[key] = (text, body)
        return Resource(key, kind, account, region, parent, body, gone_at, seq)
