"""Making, reading, changing and removing one resource, whatever the API, the network or a kill does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, TypeVar

from lanecast_infra.provider.calls import Call, seed_of
from lanecast_infra.provider.differences import same
from lanecast_infra.provider.failures import STOPS, CancelledError, CloudError, NotSettledError
from lanecast_infra.provider.model import Change, Resource, Values

APPEARS_WITHIN_S: Final = 5.0
"""A resource that was just made may not be readable yet."""
MOST_GENERATIONS: Final = 20
GONE: Final = "it is gone: it was removed by something else"
THEN: Final = "Run `pulumi refresh`, then `pulumi up`"
Answer = TypeVar("Answer")


@dataclass(slots=True)
class HalfMadeError(Exception):
    """It is there, but not all of what was asked for is."""

    identity: str
    live: Values
    reason: Exception


def create(resource: Resource, call: Call, urn: str, inputs: Values, previous: Collection[str]) -> tuple[str, Values]:
    """Make it, or find what an earlier run that got no answer made. ``previous`` are ids of what it replaces.

    The cloud answers a token that it knows with what it made then. When that is gone by now, or is what is replaced,
    the next generation's token asks for a new one; a run after a kill passes through the same generations.
    """
    for generation in range(MOST_GENERATIONS):
        call.seed = seed_of(urn, inputs, generation)
        identity = _made(resource, call, inputs, previous)
        if identity is None or identity in previous:
            continue
        if (seen := _appears(resource, call, identity)) is None:
            continue
        try:
            live = _settle(resource, call, identity, seen)
            if resource.finish:
                resource.finish(call, identity, inputs)
                live = _settle(resource, call, identity)
            return identity, live
        except STOPS as error:
            raise HalfMadeError(identity, _last_seen(resource, call, identity), error) from error
    raise NotSettledError(
        f"{MOST_GENERATIONS} of it were made and are gone: something removes them as they are made. "
        "Stop it, then run it again"
    )


def read(resource: Resource, call: Call, identity: str) -> Values | None:
    """What is there now; None when nothing is."""
    try:
        return resource.read(call, identity)
    except CloudError as error:
        if error.code in resource.gone:
            return None
        raise


def update(resource: Resource, call: Call, identity: str, old: Values, new: Values) -> Values:
    """Bring it from the old inputs to the new ones, and finish what its making left undone."""
    seen = read(resource, call, identity)
    if seen is None:
        raise NotSettledError(f"{GONE}. {THEN}")
    try:
        _settle(resource, call, identity, seen)
        if resource.update:
            update_it = resource.update
            _while_busy(resource, call, lambda: update_it(call, identity, old, new))
        if resource.finish:
            resource.finish(call, identity, new)
        return _settle(resource, call, identity)
    except STOPS as error:
        raise HalfMadeError(identity, _last_seen(resource, call, identity), error) from error


def delete(resource: Resource, call: Call, identity: str, inputs: Values) -> None:
    """Remove it and wait until it is gone; fine when it is gone already."""
    try:
        _while_busy(resource, call, lambda: resource.delete(call, identity, inputs))
    except CloudError as error:
        if error.code not in resource.gone:
            raise
    live = None
    for _ in call.pauses():
        if (live := read(resource, call, identity)) is None:
            return
        call.say(f"waiting until it is gone{_state(resource, live)}")
    raise NotSettledError(f"it is still there{_state(resource, live or {})}; run `pulumi destroy` or `pulumi up` again")


def inputs_of(resource: Resource, live: Values, before: Values | None) -> Values:
    """The inputs that would have made what is live; ``before`` are those that did, None for what is imported."""
    found: Values = {}
    for field in resource.fields:
        value, old = live.get(field.name), (before or {}).get(field.name)
        if field.name not in live or same(field, old, value):
            value = old
        elif old is None and field.assigned and (before is not None or field.change is Change.UPDATE):
            continue  # the cloud chose it; an import takes what a replacement would have to be given
        if value not in (None, "", [], {}) or old is not None:
            found[field.name] = value
    return found


def _made(resource: Resource, call: Call, inputs: Values, previous: Collection[str]) -> str | None:
    """The id of one that was made now or, where the API takes no token, before. None when an earlier run made it and
    it is gone by now."""
    if resource.find is None:
        return _while_busy(resource, call, lambda: resource.create(call, inputs))
    for _ in call.pauses():
        found = resource.find(call, inputs)
        if found is not None and found not in previous:
            return _adopted(resource, call, found, inputs)
        try:
            made = _while_busy(resource, call, lambda: resource.create(call, inputs))
            return made or _soon(call, lambda: resource.find(call, inputs) if resource.find else None)
        except CloudError as error:
            if not error.ambiguous:
                raise
            call.say(f"looking whether it was made: {error}")
    raise NotSettledError("no answer told whether it was made; run it again")


def _adopted(resource: Resource, call: Call, identity: str, inputs: Values) -> str:
    """The id, if what is there is what would be made: then an earlier run made it and got no answer."""
    live = read(resource, call, identity) or {}
    other = [
        f"{field.name} is {live[field.name]!r}, not {inputs[field.name]!r}"
        for field in resource.fields
        if field.name in live and field.name in inputs and not same(field, live[field.name], inputs[field.name])
    ]
    if other:
        raise NotSettledError(
            f"one is there already, {identity}, and it is another: {'; '.join(other)}. "
            f"Remove it, or take it over with `pulumi import {resource.token} NAME {identity}`"
        )
    return identity


def _appears(resource: Resource, call: Call, identity: str) -> Values | None:
    """What is there, as soon as it is; None when nothing comes."""
    return _soon(call, lambda: read(resource, call, identity))


def _soon(call: Call, look: Callable[[], Answer | None]) -> Answer | None:
    """What is seen in a little while, or None."""
    until = time.monotonic() + APPEARS_WITHIN_S
    for _ in call.pauses():
        if (seen := look()) is not None:
            return seen
        if time.monotonic() > until:
            break
    return None


def _settle(resource: Resource, call: Call, identity: str, seen: Values | None = None) -> Values:
    """Wait until it is in one of its resting states; ``seen`` is what was read just now."""
    live: Values | None = None
    for _ in call.pauses():
        live, seen = seen or read(resource, call, identity), None
        if live is None:
            raise NotSettledError(f"{GONE} while it was worked on. {THEN}")
        state = str(live.get(resource.states.output)) if resource.states else ""
        if resource.states is None or state in resource.states.ready:
            return live
        if state in resource.states.failed:
            raise NotSettledError(f"it is {state}, which it does not leave by itself: remove it and run it again")
        call.say(f"waiting for {' or '.join(sorted(resource.states.ready))}: it is {state}")
    raise NotSettledError(
        f"its time is over{_state(resource, live or {})}; run it again, or give it longer by customTimeouts"
    )


def _while_busy(resource: Resource, call: Call, act: Callable[[], Answer]) -> Answer:
    """Act, again and again while what stands in the way is on its way out."""
    until = time.monotonic() + resource.busy_for_s
    for left in call.pauses():
        try:
            return act()
        except CloudError as error:
            if error.code not in resource.busy or time.monotonic() > until or left < 1:
                raise
            call.say(f"waiting for what stands in the way: {error}")
    raise NotSettledError("its time is over; run it again, or give it longer by customTimeouts")


def _last_seen(resource: Resource, call: Call, identity: str) -> Values:
    """What is there after something went wrong, as far as that can still be told."""
    try:
        return read(resource, call, identity) or {}
    except (CloudError, CancelledError):
        return {}


def _state(resource: Resource, live: Values) -> str:
    return f": it is {live.get(resource.states.output)}" if resource.states else ""
