"""Pages: ``marker`` and ``maxKeys`` in the query, ``isTruncated`` and ``nextMarker`` in the reply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lanecast_lab.cloud.api.calls import Context, JsonObject, whole_number
from lanecast_lab.cloud.api.errors import inappropriate
from lanecast_lab.cloud.api.store import Resource, Scope

MOST_KEYS = 1000
"""[docs] The default, and the most that a page has."""


def asked_page(query: Mapping[str, str]) -> tuple[int, int]:
    """After which number the page begins, and how many it may have. Empty values count as absent."""
    most = whole_number(query.get("maxKeys") or str(MOST_KEYS))
    if not most:
        raise inappropriate(f"maxKeys: {query['maxKeys']!r} is no number of 1 and more")
    after = whole_number(query.get("marker") or "0")
    if after is None:
        raise inappropriate(f"marker: {query['marker']!r} was not made by this cloud")
    return after, min(most, MOST_KEYS)


def page(
    context: Context,
    kind: str,
    name: str,
    show: Callable[[Resource], JsonObject],
    parent: str | None = None,
    equal: Mapping[str, Any] | None = None,
    scope: Scope | None = None,
) -> JsonObject:
    """One page of resources under ``name``, those of the request's own scope unless another is given."""
    after, most = asked_page(context.query)
    found = context.store.find(kind, scope or context.scope, parent, equal, after, most + 1)
    return _page(context, name, found, most, show)


def page_of(
    context: Context, name: str, chosen: Iterable[Resource | None], show: Callable[[Resource], JsonObject]
) -> JsonObject:
    """One page of resources that were chosen by more than what the store looks up. None stands for one that is gone."""
    after, most = asked_page(context.query)
    found = {one.seq: one for one in chosen if one and one.seq > after}
    return _page(context, name, [found[seq] for seq in sorted(found)], most, show)


def _page(
    context: Context, name: str, found: list[Resource], most: int, show: Callable[[Resource], JsonObject]
) -> JsonObject:
    shown, more = found[:most], len(found) > most
    reply: JsonObject = {
        name: [show(resource) for resource in shown],
        "marker": context.query.get("marker", ""),
        "maxKeys": most,
        "isTruncated": more,
    }
    if more:
        reply["nextMarker"] = str(shown[-1].seq)
    return reply
