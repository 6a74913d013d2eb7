"""Slowing down who guesses: failed attempts by source, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

FAILURES = 10
"""How many failed attempts a source has at once."""

ONE_MORE_EVERY_S = 6.0
"""After so long it has one more: 10 a minute."""

SOURCES = 4096
"""How many sources are remembered; the one that failed longest ago is forgotten first."""


@dataclass(slots=True)
class _Bucket:
    failures: float
    at_s: float


class Throttle:
    """Times are ``CLOCK_MONOTONIC``, in seconds."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, source: str, now_s: float) -> float:
        """How long the source has to wait before its next attempt; 0 when it need not."""
        bucket = self._buckets.get(source)
        if bucket is None:
            return 0.0
        failures = self._left(bucket, now_s)
        return 0.0 if failures <= FAILURES - 1 else (failures - (FAILURES - 1)) * ONE_MORE_EVERY_S

    def failed(self, source: str, now_s: float) -> None:
        """Count a failed attempt."""
        bucket = self._buckets.pop(source, None)
        failures = 0.0 if bucket is None else self._left(bucket, now_s)
        self._buckets[source] = _Bucket(failures + 1, now_s)
        while len(self._buckets) > SOURCES:
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)

    @staticmethod
    def _left(bucket: _Bucket, now_s: float) -> float:
        return max(0.0, bucket.failures - (now_s - bucket.at_s) / ONE_MORE_EVERY_S)
