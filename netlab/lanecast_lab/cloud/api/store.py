"""Everything that the cloud holds, in one SQLite file. What was answered survives ``kill -9`` of the server."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LAYOUT = 1
"""Of the tables below; a file of another layout is refused."""

TABLES = """
CREATE TABLE IF NOT EXISTS resources (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    parent TEXT,
    body TEXT NOT NULL,
    gone_at REAL
);
CREATE INDEX IF NOT EXISTS by_kind ON resources (kind, account, region, seq);
CREATE INDEX IF NOT EXISTS by_parent ON resources (parent, kind, seq);
CREATE INDEX IF NOT EXISTS by_end ON resources (gone_at) WHERE gone_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS tokens (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    service TEXT NOT NULL,
    token TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    reply TEXT NOT NULL,
    kept_at REAL NOT NULL,
    PRIMARY KEY (account, region, service, token)
);
CREATE INDEX IF NOT EXISTS by_age ON tokens (kept_at);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
LOOKED_UP = ("instanceId", "nexthopId", "channelId", "zoneId")
"""Fields by which others are found: each has an index."""

FILE = "cloud.sqlite"
CHANGE = "change"
"""The setting that counts the transactions that changed something."""

COLUMNS = "seq, key, kind, account, region, parent, body, gone_at"


class StateError(Exception):
    """The state directory cannot be used."""


@dataclass(slots=True)
class Resource:
    """One thing that the cloud holds. ``body`` has the API's own field names; with ``_`` in front they are never shown.

    ``parent`` is what it is part of (a subnet's VPC, a rule's gateway). ``gone_at``: when its deletion will be done, in
    seconds of Unix time.
    """

    key: str
    kind: str
    account: str
    region: str
    parent: str | None
    body: dict[str, Any]
    gone_at: float | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose resources, and where."""

    account: str
    region: str


@cache
def _field(name: str) -> str:
    """A field of the body in SQL. Names are those of this package, never a request's."""
    if not name.replace("_", "").isalnum():
        raise ValueError(name)
    return f"json_extract(body, '$.{name}')"


def _index(equal: Mapping[str, Any] | None) -> str:
    """SQLite prefers the index of kinds, because of its order; a field that has an index of its own is far narrower."""
    name = next((name for name in LOOKED_UP if name in (equal or {})), None)
    return f"INDEXED BY by_{name}" if name else ""


def _resource(row: tuple[Any, ...]) -> Resource:
    seq, key, kind, account, region, parent, body, gone_at = row
    return Resource(key, kind, account, region, parent, json.loads(body), gone_at, seq)


def _lock(directory: Path) -> int:
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StateError(f"{directory}: another emulated cloud is using it") from None
    return lock


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Nobody else has the state directory in the meantime; raises :class:`StateError` when somebody does."""
    lock = _lock(directory)
    try:
        yield
    finally:
        os.close(lock)


class Store:
    """The tables, for one thread at a time. Reads see no resource whose deletion is done."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._lock = _lock(directory)
        try:
            self._open(directory / FILE)
        except sqlite3.Error as error:
            raise StateError(f"{directory / FILE}: {error}") from None
        self.now = 0.0
        self.change = int(self.setting(CHANGE) or 0)
        self.on_change: Callable[[], None] = lambda: None
        """Called after each transaction that changed something; it must return at once."""

    def _open(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, cached_statements=256)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a committed write is on the disk before it is answered
        layout = self._db.execute("PRAGMA user_version").fetchone()[0]
        if layout not in (0, LAYOUT):
            raise StateError(f"{file}: its layout is {layout}, this version reads {LAYOUT}")
        self._db.executescript(TABLES)
        for name in LOOKED_UP:
            self._db.execute(f"CREATE INDEX IF NOT EXISTS by_{name} ON resources (kind, {_field(name)})")
        self._db.execute(f"PRAGMA user_version = {LAYOUT}")

    def close(self) -> None:
        """Let go of the file, so that another server can have it."""
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def transaction(self, now: float) -> Iterator[None]:
        """All of what is written inside, or nothing of it. ``now``: seconds of Unix time, for everything inside."""
        self.now = now
        before = self._db.total_changes
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("DELETE FROM resources WHERE gone_at <= ?", (now,))
            yield
            changed = self._db.total_changes != before
            if changed:
                self._keep(CHANGE, self.change + 1)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        if changed:
            self.change += 1
            self.on_change()

    @contextmanager
    def reading(self, now: float) -> Iterator[None]:
        """Reads as of ``now``; one thread, so nothing changes in between."""
        self.now = now
        yield

    def add(self, resource: Resource) -> Resource:
        """Keep a new resource."""
        cursor = self._db.execute(
            "INSERT INTO resources (key, kind, account, region, parent, body) VALUES (?, ?, ?, ?, ?, ?)",
            (
                resource.key,
                resource.kind,
                resource.account,
                resource.region,
                resource.parent,
                json.dumps(resource.body, separators=(",", ":")),
            ),
        )
        resource.seq = cursor.lastrowid or 0
        return resource

    def save(self, resource: Resource) -> None:
        """Keep what changed in a resource."""
        self._db.execute(
            "UPDATE resources SET parent = ?, body = ?, gone_at = ? WHERE key = ?",
            (resource.parent, json.dumps(resource.body, separators=(",", ":")), resource.gone_at, resource.key),
        )

    def remove(self, resource: Resource) -> None:
        """Forget a resource at once."""
        self._db.execute("DELETE FROM resources WHERE key = ?", (resource.key,))

    def remove_tree(self, resource: Resource) -> None:
        """Forget a resource and everything that is part of it."""
        for part in self._db.execute(f"SELECT {COLUMNS} FROM resources WHERE parent = ?", (resource.key,)).fetchall():
            self.remove_tree(_resource(part))
        self.remove(resource)

    def get(self, kind: str, key: str, scope: Scope | None = None) -> Resource | None:
        """A resource by its key; with a scope, only when it is there."""
        row = self._db.execute(
            f"SELECT {COLUMNS} FROM resources WHERE key = ? AND kind = ? AND (gone_at IS NULL OR gone_at > ?)",
            (key, kind, self.now),
        ).fetchone()
        if row is None or (scope and (row[3], row[4]) != (scope.account, scope.region)):
            return None
        return _resource(row)

    def find(
        self,
        kind: str,
        scope: Scope | None = None,
        parent: str | None = None,
        equal: Mapping[str, Any] | None = None,
        after: int = 0,
        limit: int = -1,
    ) -> list[Resource]:
        """Resources of a kind in the order in which they were made, whose body has these values."""
        clauses, values = self._where(kind, scope, parent, equal)
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM resources {_index(equal)} WHERE {clauses} AND seq > ? ORDER BY seq LIMIT ?",
            (*values, after, limit),
        )
        return [_resource(row) for row in rows]

    def keys(self, kind: str, scope: Scope, field: str, value: str) -> list[str]:
        """The keys of those whose field, which is one that is looked up, has this value."""
        rows = self._db.execute(
            f"SELECT key FROM resources INDEXED BY by_{field} WHERE kind = ? AND {_field(field)} = ?"
            " AND account = ? AND region = ? AND (gone_at IS NULL OR gone_at > ?) ORDER BY seq",
            (kind, value, scope.account, scope.region, self.now),
        )
        return [str(row[0]) for row in rows]

    def count(
        self, kind: str, scope: Scope | None = None, parent: str | None = None, equal: Mapping[str, Any] | None = None
    ) -> int:
        """How many ``find`` would return."""
        clauses, values = self._where(kind, scope, parent, equal)
        query = f"SELECT count(*) FROM resources {_index(equal)} WHERE {clauses}"
        return int(self._db.execute(query, values).fetchone()[0])

    def parts_with(self, parent: str, field: str) -> list[tuple[str, str, str]]:
        """Value, kind and key of the parts of ``parent`` that have a field."""
        rows = self._db.execute(
            f"SELECT {_field(field)}, kind, key FROM resources WHERE parent = ? AND (gone_at IS NULL OR gone_at > ?)"
            f" AND {_field(field)} IS NOT NULL",
            (parent, self.now),
        )
        return [(str(value), str(kind), str(key)) for value, kind, key in rows]

    def count_parts_with(self, parent: str, field: str) -> int:
        """How many parts of ``parent`` have a field."""
        row = self._db.execute(
            f"SELECT count(*) FROM resources WHERE parent = ? AND (gone_at IS NULL OR gone_at > ?)"
            f" AND {_field(field)} IS NOT NULL",
            (parent, self.now),
        ).fetchone()
        return int(row[0])

    def children(self, parent: str) -> list[Resource]:
        """Everything that is part of ``parent``."""
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM resources WHERE parent = ? AND (gone_at IS NULL OR gone_at > ?) ORDER BY seq",
            (parent, self.now),
        )
        return [_resource(row) for row in rows]

    def _where(
        self, kind: str, scope: Scope | None, parent: str | None, equal: Mapping[str, Any] | None
    ) -> tuple[str, list[Any]]:
        clauses, values = ["kind = ?", "(gone_at IS NULL OR gone_at > ?)"], [kind, self.now]
        if scope:
            clauses.append("account = ? AND region = ?")
            values += [scope.account, scope.region]
        if parent is not None:
            clauses.append("parent = ?")
            values.append(parent)
        for name, value in (equal or {}).items():
            clauses.append(f"{_field(name)} = ?")
            values.append(value)
        return " AND ".join(clauses), values

    def kept_reply(self, scope: Scope, service: str, token: str) -> tuple[str, str] | None:
        """Fingerprint and reply that were kept for a client token."""
        row = self._db.execute(
            "SELECT fingerprint, reply FROM tokens WHERE account = ? AND region = ? AND service = ? AND token = ?",
            (scope.account, scope.region, service, token),
        ).fetchone()
        return (row[0], row[1]) if row else None

    def keep_reply(self, scope: Scope, service: str, token: str, fingerprint: str, reply: str) -> None:
        """Keep what was answered to a client token."""
        self._db.execute(
            "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?)",
            (scope.account, scope.region, service, token, fingerprint, reply, self.now),
        )

    def renew_reply(self, scope: Scope, service: str, token: str) -> None:
        """A client token came again: it is kept from now on."""
        self._db.execute(
            "UPDATE tokens SET kept_at = ? WHERE account = ? AND region = ? AND service = ? AND token = ?",
            (self.now, scope.account, scope.region, service, token),
        )

    def forget_replies(self, before: float) -> None:
        """Forget the client tokens that are older."""
        self._db.execute("DELETE FROM tokens WHERE kept_at < ?", (before,))

    def setting(self, name: str) -> Any:
        """A setting of the server's own, or None."""
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_setting(self, name: str, value: Any) -> None:
        """Keep a setting of the server's own, in the transaction that there is, or in one of its own."""
        if self._db.in_transaction:
            self._keep(name, value)
            return
        with self.transaction(self.now):
            self._keep(name, value)

    def _keep(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))
