"""Asynchronous states: a schedule of states with the times at which they end, so that a restart goes on where it was.

A schedule is what stands in the store: a list of ``[state, end]``, ends in seconds of Unix time, the last one None.
"""

from __future__ import annotations

from typing import Any

Schedule = list[list[Any]]


def settled(state: str) -> Schedule:
    """A state that stays."""
    return [[state, None]]


def passing(now: float, delay_s: float, *states: str) -> Schedule:
    """Every state but the last takes ``delay_s``, counted from ``now``; the last stays."""
    ends = [now + delay_s * (index + 1) for index in range(len(states) - 1)]
    return [*([state, end] for state, end in zip(states, ends, strict=False)), [states[-1], None]]


def state_at(schedule: Schedule, now: float) -> str:
    """The state that holds at ``now``."""
    return next(str(state) for state, end in schedule if end is None or now < end)


def is_settled(schedule: Schedule, now: float) -> bool:
    """Whether the last state is reached."""
    return state_at(schedule, now) == str(schedule[-1][0])
