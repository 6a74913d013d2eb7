"""Whether a resource's inputs are right, before anything is asked of the cloud."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from lanecast_infra.provider.model import Change, Field, Kind, Resource, Test, Values
from lanecast_infra.provider.wire import UNKNOWN, is_unknown, known

Mistake = tuple[str, str]
"""A property and what is wrong with it."""


def check(resource: Resource, name: str, given: Values, before: Values | None = None) -> tuple[Values, list[Mistake]]:
    """The inputs with defaults, and every mistake. ``before`` holds the inputs of one that is there already."""
    names = [field.name for field in resource.fields]
    mistakes = [
        (one, f"{resource.name} has no such property{_nearest(one, names)}") for one in given if one not in names
    ]
    values: Values = {}
    for field in resource.fields:
        value = given.get(field.name, name if field.named else field.default)
        value = list(value) if isinstance(value, tuple) else value
        if value is None:
            if field.required:
                mistakes.append((field.name, "is required"))
            continue
        values[field.name] = value
        mistakes += [(field.name, text) for text in value_mistakes(field, value)]
    if not mistakes:
        told = [mistake for rule in resource.rules for mistake in rule(known(values))]
        # What is not known yet is given all the same, and nobody knows what is wrong with it.
        mistakes = [(field, text) for field, text in told if not is_unknown(values.get(field))]
    if before is not None and not mistakes:
        mistakes = _fixed_that_change(resource, before, values)
    return values, mistakes


def value_mistakes(field: Field, value: Any) -> list[str]:
    """What is wrong with one value; nothing is, as far as it is unknown."""
    if value is UNKNOWN:
        return []
    if wrong := _type_mistake(field.kind, value):
        return [wrong]
    if is_unknown(value):
        return []
    return [text for test in field.tests if (text := test(value))]


def _type_mistake(kind: Kind, value: Any) -> str | None:
    fits = {
        Kind.STRING: isinstance(value, str),
        Kind.INTEGER: isinstance(value, int) and not isinstance(value, bool),
        Kind.BOOLEAN: isinstance(value, bool),
        Kind.STRINGS: isinstance(value, list) and all(isinstance(one, str) or one is UNKNOWN for one in value),
        Kind.TAGS: isinstance(value, dict) and all(isinstance(one, str) or one is UNKNOWN for one in value.values()),
    }
    words = {Kind.STRING: "a string", Kind.INTEGER: "an integer", Kind.BOOLEAN: "true or false"}
    words |= {Kind.STRINGS: "a list of strings", Kind.TAGS: "a map of strings"}
    return None if fits[kind] else f"must be {words[kind]}"


def _nearest(name: str, names: Sequence[str]) -> str:
    found = get_close_matches(name, names, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _fixed_that_change(resource: Resource, before: Values, values: Values) -> list[Mistake]:
    return [
        (field.name, f"cannot be changed once the {resource.name} is there: the API has no call for it")
        for field in resource.fields
        if field.change is Change.FIXED and field.name in values and values[field.name] != before.get(field.name)
    ]


def cidr(value: str) -> str | None:
    """An IPv4 network in its exact spelling."""
    try:
        network = IPv4Network(value, strict=False)
    except ValueError:
        return f"{value!r} is no IPv4 network such as 10.8.0.0/16"
    return None if str(network) == value else f"{value!r} has host bits or an odd spelling: write {network}"


def address(value: str) -> str | None:
    """An IPv4 address."""
    try:
        IPv4Address(value)
    except AddressValueError:
        return f"{value!r} is no IPv4 address"
    return None


def each(test: Test) -> Test:
    """The test for every item of a list."""
    return lambda values: next((text for one in values if (text := test(one))), None)


def one_of(*allowed: str) -> Test:
    """One of these words."""
    return lambda value: None if value in allowed else f"{value!r} is none of {', '.join(allowed)}"


def between(low: int, high: int) -> Test:
    """A number from ``low`` to ``high``, both included."""
    return lambda value: None if low <= value <= high else f"{value} is not from {low} to {high}"


def characters(low: int, high: int) -> Test:
    """A text of so many characters."""
    return lambda value: (
        None if low <= len(value) <= high else f"has {len(value)} characters; {low} to {high} are allowed"
    )


def prefix_between(low: int, high: int) -> Test:
    """A network whose mask is that long."""
    return lambda value: (
        None if low <= int(value.rpartition("/")[2]) <= high else f"{value}: the mask must be /{low} to /{high}"
    )


def interface(value: str) -> str | None:
    """An IPv4 address with the length of its network."""
    try:
        if "/" not in value:
            raise AddressValueError(value)
        IPv4Interface(value)
    except ValueError:
        return f"{value!r} is no address with length such as 192.0.2.1/30"
    return None


def network_or_all(value: str) -> str | None:
    """A network, an address, or the word all."""
    if value == "all":
        return None
    try:
        IPv4Network(value)
    except ValueError:
        return f"{value!r} is no IPv4 network or address, nor the word all"
    return None


def ports_or_all(value: str) -> str | None:
    """A port, a range of ports, or the word all."""
    ends = value.split("-")
    numbers = [int(one) for one in ends if one.isascii() and one.isdigit()]
    right = len(ends) == len(numbers) <= 2 and 0 <= numbers[0] <= numbers[-1] <= 65535
    return None if value == "all" or right else f"{value!r} is no port such as 443 or 80-90, nor the word all"
