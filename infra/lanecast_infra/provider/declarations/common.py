"""Fields and calls that many declarations share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from lanecast_infra.provider.checks import characters
from lanecast_infra.provider.failures import NotSettledError
from lanecast_infra.provider.model import Change, Field, Kind, Output, Values

SEPARATOR: Final = "/"
"""Between the parts of an id, where the API needs more than one to find a resource."""


def name_field(source: str, longest: int = 65) -> Field:
    """[docs] Names have up to 65 characters."""
    return Field("name", Kind.STRING, "Its name.", source, named=True, tests=(characters(1, longest),))


def description_field(source: str) -> Field:
    """[docs] Descriptions have up to 200 characters."""
    return Field("description", Kind.STRING, "What it is for.", source, default="", tests=(characters(0, 200),))


def tags_field(source: str) -> Field:
    """Tags are given when a resource is made; the networks' APIs have no call that changes them."""
    return Field("tags", Kind.TAGS, "Tags: a value by key.", source, change=Change.FIXED)


def status_output(source: str) -> Output:
    """The state of what changes in its own time."""
    return Output("status", Kind.STRING, "Its state.", source)


def spelt_tags(tags: dict[str, str] | None) -> list[dict[str, str]] | None:
    """Tags as the API writes them."""
    return [{"tagKey": key, "tagValue": value} for key, value in sorted(tags.items())] if tags else None


def live_tags(reply: Values) -> Values:
    """Tags as programs write them; nothing when the API does not tell."""
    if "tags" not in reply:
        return {}
    return {"tags": {one["tagKey"]: one["tagValue"] for one in reply["tags"] or []}}


def chosen(reply: Values, names: Iterable[str]) -> Values:
    """Those fields that the reply has."""
    return {name: reply[name] for name in names if name in reply}


def changed(old: Values, new: Values, *names: str) -> bool:
    """Whether one of the fields differs."""
    return any(old.get(name) != new.get(name) for name in names)


def joined(*parts: str) -> str:
    """An id of several parts."""
    return SEPARATOR.join(parts)


def parts_of(identity: str, *names: str) -> Sequence[str]:
    """The parts of such an id. An import may have it wrong: then it is told what it is made of."""
    parts = identity.split(SEPARATOR)
    if len(parts) != len(names) or not all(parts):
        raise NotSettledError(f"{identity!r} is no id of it: it is {SEPARATOR.join(names)}")
    return parts


def first(items: Iterable[Values], **wanted: Any) -> Values | None:
    """The first item that has these values."""
    return next((one for one in items if all(one.get(name) == value for name, value in wanted.items())), None)


class Tag:
    """A tag where the SDK wants an object, of which it sends the attributes."""

    def __init__(self, key: str, value: str) -> None:
        self.tagKey = key
        self.tagValue = value
