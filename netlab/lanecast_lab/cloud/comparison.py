"""How two states of a cloud differ, field by field, in words that name the field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from lanecast.cloud_state import CloudState


def differences(expected: CloudState, found: CloudState) -> list[str]:
    """Each field in which ``found`` is not as expected; none when both are the same."""
    return [
        text
        for one in fields(CloudState)
        for text in _of(one.name, getattr(expected, one.name), getattr(found, one.name))
    ]


def _of(place: str, expected: object, found: object) -> Iterator[str]:
    if expected == found:
        return
    if isinstance(expected, tuple) and isinstance(found, tuple) and _named(expected) and _named(found):
        yield from _of_parts(place, _by_name(expected), _by_name(found))
    elif is_dataclass(expected) and type(expected) is type(found):
        for one in fields(expected):
            yield from _of(f"{place}.{one.name}", getattr(expected, one.name), getattr(found, one.name))
    else:
        yield f"{place}: expected {_shown(expected)}, found {_shown(found)}"


def _of_parts(place: str, expected: dict[str, object], found: dict[str, object]) -> Iterator[str]:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"{place} {name}: missing"
        elif name not in expected:
            yield f"{place} {name}: not expected"
        else:
            yield from _of(f"{place} {name}", expected[name], found[name])


def _name(part: object) -> str | None:
    """What a part is known by: its name, or where a route leads."""
    if not is_dataclass(part):
        return None
    prefix = getattr(part, "prefix", None)
    return getattr(part, "name", None if prefix is None else f"to {prefix}")


def _named(parts: tuple[object, ...]) -> bool:
    return all(_name(part) is not None for part in parts)


def _by_name(parts: tuple[object, ...]) -> dict[str, object]:
    """Several parts of one name stay together, so that none hides another."""
    found: dict[str, list[object]] = {}
    for part in parts:
        found.setdefault(str(_name(part)), []).append(part)
    return {name: those[0] if len(those) == 1 else tuple(map(str, those)) for name, those in found.items()}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "nothing" if value is None else str(value)
