"""The audit log: who received what and when, one JSON line an event, each holding the hash of the line before.

A change in the middle of the log breaks the chain. Whoever can write the whole log can forge a whole chain, so the last
hash is told to the service's own log whenever the relay starts, moves on to a new file and ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FIRST = "0" * 64
"""What stands for the hash of the line before the first."""

LOG_MODE = 0o640
READ_BACK_BYTES = 65_536

COUNTED = ("datagrams", "bytes", "answers", "answer_bytes", "answers_limited")
"""Of a subscriber's counters, those in the log. Answers are those to its re-requests, and not in ``datagrams``."""

Record = dict[str, Any]


class AuditLogInUse(Exception):
    """Another relay writes the same log."""


def moment(at_s: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line_hash(line: bytes) -> str:
    """Of a line with its end."""
    return hashlib.sha256(line).hexdigest()


@dataclass(slots=True)
class _Tail:
    """How a log ends: the last whole line's hash, and whether half a line follows (a crash while writing)."""

    previous: str
    torn: bool


class AuditLog:
    """One file that is appended to. What ``append`` returned from is on the disk."""

    def __init__(self, path: Path) -> None:
        """Raises ``OSError`` naming the file, and :class:`AuditLogInUse`."""
        self.path = path
        self._file = _open(path)
        tail = _tail(self._file)
        self.previous = tail.previous
        if tail.torn:
            os.write(self._file.fileno(), b"\n")

    def append(self, records: Iterable[Record]) -> None:
        """Write and sync all of ``records``, or none of them; raise ``OSError``."""
        lines, previous = [], self.previous
        for record in records:
            line = json.dumps({**record, "previous": previous}, separators=(",", ":")).encode() + b"\n"
            lines.append(line)
            previous = line_hash(line)
        descriptor = self._file.fileno()
        before = os.fstat(descriptor).st_size
        try:
            written = 0
            content = b"".join(lines)
            while written < len(content):
                written += os.write(descriptor, content[written:])
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
        self.previous = previous

    def moved(self) -> bool:
        """Whether another program has put the log away, so that a new one is due."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self._file.fileno())
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def reopen(self) -> None:
        """Go on in a new file at the path; the chain goes on. Raises like the constructor; then the old one stays."""
        fresh = _open(self.path)
        self._file.close()
        self._file = fresh

    def close(self) -> None:
        """Close the file; nothing is pending."""
        self._file.close()


def _open(path: Path) -> io.FileIO:
    try:
        file = io.FileIO(
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, LOG_MODE), "r+"
        )
    except OSError as error:
        raise OSError(error.errno, f"cannot write the audit log {path}: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise AuditLogInUse(f"{path}: another relay writes this audit log; name another one") from None
    # So that a crash cannot take the new file itself away.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file


def _tail(file: io.FileIO) -> _Tail:
    end = os.fstat(file.fileno()).st_size
    content, start = b"", end
    while start > 0 and content.rstrip(b"\n").count(b"\n") < 2:
        length = min(READ_BACK_BYTES, start)
        start -= length
        content = os.pread(file.fileno(), length, start) + content
    if not content:
        return _Tail(FIRST, False)
    *whole, rest = content.split(b"\n")
    kept = [line for line in whole if line]
    return _Tail(line_hash(kept[-1] + b"\n") if kept else FIRST, bool(rest))
