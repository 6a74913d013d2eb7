"""Slowing down who guesses: failed attempts by source, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

FAILURES = 10
"""How many failed attempts a source has at once."""

ONE_MORE_EVERY_S = 6.0
"""After so long it has one more: 10 a minute."""

WRONG_CODES = 100
"""How many wrong one-time codes of one subject all sources together have at once: far more than one source has, so that
nobody keeps its holder out from one address."""

ONE_MORE_CODE_EVERY_S = 60.0
"""After so long they have one more. Of a million codes three are good at a time (RFC 6238, section 5.2), so whoever has
a stolen token and any number of addresses hits one on less than one day in two hundred (RFC 4226, section 7.3)."""

REMEMBERED = 4096
"""How many of each kind are remembered; what was used longest ago is forgotten first."""


@dataclass(slots=True)
class _Bucket:
    failures: float
    at_s: float


class Throttle:
    """Failures of whoever they are counted for. Times are ``CLOCK_MONOTONIC``, in seconds."""

    def __init__(self, failures: int = FAILURES, one_more_every_s: float = ONE_MORE_EVERY_S) -> None:
        self._most = failures
        self._one_more_every_s = one_more_every_s
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, who: str, now_s: float) -> float:
        """How long ``who`` has to wait before the next attempt; 0 when it need not. Never more than until one more."""
        bucket = self._buckets.get(who)
        if bucket is None:
            return 0.0
        return max(0.0, self._left(bucket, now_s) - (self._most - 1)) * self._one_more_every_s

    def failed(self, who: str, now_s: float) -> None:
        """Count a failed attempt. Failing on while there is none left costs nothing more."""
        bucket = self._buckets.pop(who, None)
        failures = 0.0 if bucket is None else self._left(bucket, now_s)
        self._buckets[who] = _Bucket(min(self._most, failures + 1), now_s)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)

    def _left(self, bucket: _Bucket, now_s: float) -> float:
        return max(0.0, bucket.failures - (now_s - bucket.at_s) / self._one_more_every_s)


class CodeThrottle:
    """Wrong one-time codes of a subject from all sources together; each source has its own :class:`Throttle` before.

    A source that had a code of the subject right is not held to it, so that who guesses from many addresses with a
    stolen token does not keep the holder out.
    """

    def __init__(self) -> None:
        self._subjects = Throttle(WRONG_CODES, ONE_MORE_CODE_EVERY_S)
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait_s(self, subject: str, source: str, now_s: float) -> float:
        """How long a code of ``subject`` from ``source`` is not looked at; 0 when it is."""
        return 0.0 if (subject, source) in self._proven else self._subjects.wait_s(subject, now_s)

    def failed(self, subject: str, now_s: float) -> None:
        """A code was wrong."""
        self._subjects.failed(subject, now_s)

    def was_right(self, subject: str, source: str) -> None:
        """The code was right."""
        self._proven[subject, source] = None
        self._proven.move_to_end((subject, source))
        while len(self._proven) > REMEMBERED:
            self._proven.popitem(last=False)
