"""Quantities that a person writes with their unit (``20ms``, ``100M``, ``20000 pps``, ``99.999%``).

Each is read into an integer or an exact fraction whose unit stands in the field's name; a bare number is refused,
because it says nothing about the unit that the person meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

NANOSECONDS_PER = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
BITS_PER_SECOND_PER = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BYTES_PER = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}

_NUMBER = r"(\d+(?:\.\d+)?)"


@dataclass(frozen=True, slots=True)
class _Unit:
    """How one kind of quantity is written: its regular expression, its factors and an example for the error."""

    kind: str
    factors: dict[str, int]
    example: str

    def pattern(self) -> str:
        units = "|".join(re.escape(unit) for unit in sorted(self.factors, key=len, reverse=True))
        return rf"^{_NUMBER}\s*({units})$"

    def read(self, value: object) -> int:
        """Return ``value`` in the unit's base; raise ``ValueError`` with what was expected."""
        if not isinstance(value, str):
            raise ValueError(f"expected a {self.kind} with its unit, such as {self.example}")
        match = re.match(self.pattern(), value.strip())
        if match is None:
            raise ValueError(f"expected a {self.kind} such as {self.example} (units: {', '.join(self.factors)})")
        base = Decimal(match[1]) * self.factors[match[2]]
        if base != base.to_integral_value():
            raise ValueError(f"a {self.kind} finer than its smallest unit")
        return int(base)

    def write(self, base: int) -> str:
        """Return ``base`` in the largest unit that holds it exactly."""
        unit, factor = max(
            ((name, factor) for name, factor in self.factors.items() if base % factor == 0 and name != "µs"),
            key=lambda item: item[1] if base else -item[1],
        )
        return f"{base // factor}{unit}"


DURATION = _Unit("duration", NANOSECONDS_PER, "20ms")
BANDWIDTH = _Unit("bandwidth", BITS_PER_SECOND_PER, "100M")
SIZE = _Unit("size", BYTES_PER, "64MiB")
PACKET_RATE = _Unit("packet rate", {"pps": 1, "kpps": 1000}, "20000 pps")


def read_share(value: object) -> Decimal:
    """Return ``99.999%`` as the exact share 0.99999; raise ``ValueError`` for anything else."""
    if not isinstance(value, str) or (match := re.match(rf"^{_NUMBER}\s*%$", value.strip())) is None:
        raise ValueError("expected a percentage such as 99.999%")
    share = Decimal(match[1]) / 100
    if share > 1:
        raise ValueError("expected a percentage of at most 100%")
    return share


@dataclass(frozen=True, slots=True)
class Burst:
    """So many packets within so long: ``100 per ms``."""

    packets: int
    within_ns: int


def read_burst(value: object) -> Burst:
    """Return ``100 per ms`` as a :class:`Burst`; raise ``ValueError`` for anything else."""
    if isinstance(value, Burst):
        return value
    match = re.match(r"^(\d+)\s+per\s+(\d*)\s*(ns|us|ms|s)$", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a burst such as 100 per ms")
    return Burst(int(match[1]), int(match[2] or 1) * NANOSECONDS_PER[match[3]])


def _schema(unit: _Unit) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": unit.pattern(), "examples": [unit.example]})


def _reader(unit: _Unit) -> BeforeValidator:
    # An int comes only from our own code (defaults, compiled configurations): documents hold text, see document.py.
    return BeforeValidator(lambda value: value if isinstance(value, _Base) else unit.read(value))


class _Base(int):
    """An integer already in base units; tells compiled values from a person's bare number."""


def nanoseconds(value: int) -> int:
    """Mark ``value`` as nanoseconds for a model field that would refuse a bare number."""
    return _Base(value)


def size_in_bytes(value: int) -> int:
    """The same for a size."""
    return _Base(value)


DurationNs = Annotated[int, _reader(DURATION), PlainSerializer(DURATION.write, return_type=str), _schema(DURATION)]
BitsPerSecond = Annotated[
    int, _reader(BANDWIDTH), PlainSerializer(BANDWIDTH.write, return_type=str), _schema(BANDWIDTH)
]
SizeBytes = Annotated[int, _reader(SIZE), PlainSerializer(SIZE.write, return_type=str), _schema(SIZE)]
PacketsPerSecond = Annotated[
    int, _reader(PACKET_RATE), PlainSerializer(PACKET_RATE.write, return_type=str), _schema(PACKET_RATE)
]
Share = Annotated[
    Decimal,
    BeforeValidator(read_share),
    PlainSerializer(lambda share: f"{(share * 100).normalize():f}%", return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^{_NUMBER}\s*%$", "examples": ["99.999%"]}),
]
BurstSize = Annotated[
    Burst,
    BeforeValidator(read_burst),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\s+per\s+\d*\s*(ns|us|ms|s)$", "examples": ["100 per ms"]}),
]
