"""What it takes to come from a resource's old inputs to its new ones, decided for each field."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network
from typing import Any

from lanecast_infra.provider.model import Change, Field, Resource, Values
from lanecast_infra.provider.wire import is_unknown


class How(Enum):
    """How a field differs."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs."""

    field: Field
    how: How

    @property
    def replaces(self) -> bool:
        """Whether it takes a new resource."""
        return self.field.change is Change.REPLACE


def differences(
    resource: Resource, old: Values, new: Values, ignored: frozenset[str] = frozenset(), live: Values | None = None
) -> list[Difference]:
    """Every field that differs. What the program does not say is not compared where the cloud chose it.

    ``live`` is what was last seen: a program may say at last what the cloud chose.
    """
    found = []
    for field in resource.fields:
        before, after = old.get(field.name), new.get(field.name)
        if before is None and field.assigned and after is not None:
            before = (live or {}).get(field.name)
        if field.name in ignored or same(field, before, after) or _is_left_alone(field, after):
            continue
        how = How.ADD if before is None else How.DELETE if after is None else How.UPDATE
        found.append(Difference(field, how))
    return found


def _is_left_alone(field: Field, after: Any) -> bool:
    """What the cloud chose, or was once told, and a program that says nothing of it: no reason for a new resource."""
    return field.assigned and after is None and field.change is Change.REPLACE


def same(field: Field, before: Any, after: Any) -> bool:
    """Whether two values of a field mean the same; an unknown one is never known to."""
    if is_unknown(before) or is_unknown(after):
        return False
    before, after = _meant(field, before), _meant(field, after)
    if field.unordered and before is not None and after is not None:
        return sorted(before) == sorted(after)
    return bool(before == after)


def _meant(field: Field, value: Any) -> Any:
    """What is not said means the default; an empty text, list or map means nothing."""
    value = field.default if value is None else value
    return None if value in ("", (), [], {}) else value


def deletes_first(resource: Resource, old: Values, new: Values) -> bool:
    """Whether a replacement cannot stand beside what it replaces."""
    if resource.unique_when and new.get(resource.unique_when) is None:
        return False
    return bool(resource.unique) and all(_collide(old.get(name), new.get(name)) for name in resource.unique)


def _collide(before: Any, after: Any) -> bool:
    if is_unknown(after) or is_unknown(before) or before == after:
        return True
    try:
        return IPv4Network(before).overlaps(IPv4Network(after))
    except (ValueError, TypeError):
        return False
