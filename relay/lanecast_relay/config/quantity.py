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

from lanecast_relay.config.units import BANDWIDTH as BANDWIDTH
from lanecast_relay.config.units import DURATION as DURATION
from lanecast_relay.config.units import NANOSECONDS_PER, NUMBER, Unit
from lanecast_relay.config.units import PACKET_RATE as PACKET_RATE
from lanecast_relay.config.units import SIZE as SIZE


def read_share(value: object) -> Decimal:
    """Return ``99.999%`` as the exact share 0.99999; raise ``ValueError`` for anything else."""
    if not isinstance(value, str) or (match := re.match(rf"^{NUMBER}\s*%$", value.strip())) is None:
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


def _schema(unit: Unit) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": unit.pattern(), "examples": [unit.example]})


def _reader(unit: Unit) -> BeforeValidator:
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
    WithJsonSchema({"type": "string", "pattern": rf"^{NUMBER}\s*%$", "examples": ["99.999%"]}),
]
BurstSize = Annotated[
    Burst,
    BeforeValidator(read_burst),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\s+per\s+\d*\s*(ns|us|ms|s)$", "examples": ["100 per ms"]}),
]
