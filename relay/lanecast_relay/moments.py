"""Where in a journal a replay begins and ends, as a person writes it: a time, a time of day, or a number."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

NANOSECONDS = 10**9
DAY_NS = 86_400 * NANOSECONDS

_FRACTION = r"(?:\.(\d{1,9}))?"
_TIME_OF_DAY = re.compile(rf"^(\d\d):(\d\d):(\d\d){_FRACTION}$")
_TIMESTAMP = re.compile(rf"^(\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d:\d\d){_FRACTION}(Z|[+-]\d\d:\d\d)?$")

EXPECTED = (
    "expected a time such as 2026-11-23T16:40:16.5Z, a time of day (UTC) such as 16:40:16.5, or a sequence number "
    "such as 120000"
)


def is_number(text: str) -> bool:
    """Whether ``text`` is a sequence number."""
    return text.isascii() and text.isdigit()


def read_time_ns(text: str, not_before_ns: int) -> int:
    """Return the moment in nanoseconds since 1970 (UTC); raise ``ValueError`` with what was expected.

    A time of day is the first such moment at or after ``not_before_ns``; a timestamp without zone is UTC.
    """
    if (match := _TIME_OF_DAY.match(text)) is not None:
        hours, minutes, seconds = (int(part) for part in match.groups()[:3])
        if hours > 23 or minutes > 59 or seconds > 59:
            raise ValueError(EXPECTED)
        of_day_ns = (hours * 3600 + minutes * 60 + seconds) * NANOSECONDS + _fraction_ns(match[4])
        return not_before_ns + (of_day_ns - not_before_ns) % DAY_NS
    if (match := _TIMESTAMP.match(text)) is None:
        raise ValueError(EXPECTED)
    try:
        moment = datetime.fromisoformat(match[1] + (match[3] or "Z"))
    except ValueError:
        raise ValueError(EXPECTED) from None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * NANOSECONDS + _fraction_ns(match[2])


def write_time(time_ns: int) -> str:
    """Return nanoseconds since 1970 as a timestamp that :func:`read_time_ns` takes."""
    moment = datetime.fromtimestamp(time_ns // NANOSECONDS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % NANOSECONDS:09d}Z"


def _fraction_ns(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))
