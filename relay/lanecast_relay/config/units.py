"""How quantities are written: units, read into integers and written back. Whoever only reads them loads no pydantic."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

NANOSECONDS_PER = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
BITS_PER_SECOND_PER = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BYTES_PER = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}

NUMBER = r"(\d+(?:\.\d+)?)"


class Unit(NamedTuple):
    """How one kind of quantity is written: its regular expression, its factors and an example for the error."""

    kind: str
    factors: dict[str, int]
    example: str

    def pattern(self) -> str:
        units = "|".join(re.escape(unit) for unit in sorted(self.factors, key=len, reverse=True))
        return rf"^{NUMBER}\s*({units})$"

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


DURATION = Unit("duration", NANOSECONDS_PER, "20ms")
BANDWIDTH = Unit("bandwidth", BITS_PER_SECOND_PER, "100M")
SIZE = Unit("size", BYTES_PER, "64MiB")
PACKET_RATE = Unit("packet rate", {"pps": 1, "kpps": 1000}, "20000 pps")
