"""How a call is declared: its method, path, flag and fields, and the function that does it."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any
from urllib.parse import unquote

from lanecast_lab.cloud.api.errors import ApiError, denied, inappropriate, invalid_uri, no_such
from lanecast_lab.cloud.api.quotas import Quotas
from lanecast_lab.cloud.api.states import Schedule, passing, settled, state_at
from lanecast_lab.cloud.api.store import Resource, Scope, Store

LONGEST_NUMBER = 18
"""Digits that fit 64 bits."""

JsonObject = dict[str, Any]
ALPHABET = string.ascii_lowercase + string.digits


class Kind(Enum):
    """The JSON types of fields."""

    STRING = "a string"
    INTEGER = "an integer"
    BOOLEAN = "true or false"
    STRINGS = "a list of strings"
    INTEGERS = "a list of integers"
    NUMBER = "a number"
    """An integer, or its digits as a string: the vendor's SDKs differ."""
    OBJECT = "an object"
    OBJECTS = "a list of objects"

    def accepts(self, value: object) -> bool:
        """Whether a value that was sent has this type."""
        element = {Kind.STRINGS: Kind.STRING, Kind.INTEGERS: Kind.INTEGER, Kind.OBJECTS: Kind.OBJECT}.get(self)
        if element is not None:
            return isinstance(value, list) and all(element.accepts(one) for one in value)
        if self is Kind.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        if self is Kind.NUMBER:
            return Kind.INTEGER.accepts(value) or (isinstance(value, str) and whole_number(value) is not None)
        return isinstance(value, {Kind.STRING: str, Kind.BOOLEAN: bool, Kind.OBJECT: dict}[self])


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body. ``null`` counts as absent, since the SDK sends it so."""

    name: str
    kind: Kind = Kind.STRING
    required: bool = False


def fields(text: str) -> tuple[Field, ...]:
    """Fields in the notation of the facts about this API: ``name! cidr! enableIpv6:b eips:[] cuNum:i tags:[{}]``."""
    kinds = {
        "": Kind.STRING,
        "i": Kind.INTEGER,
        "n": Kind.NUMBER,
        "b": Kind.BOOLEAN,
        "[]": Kind.STRINGS,
        "[i]": Kind.INTEGERS,
        "{}": Kind.OBJECT,
        "[{}]": Kind.OBJECTS,
    }
    made = []
    for word in text.split():
        name, _, kind = word.rstrip("!").partition(":")
        made.append(Field(name, kinds[kind], required=word.endswith("!")))
    return tuple(made)


def checked(body: Mapping[str, Any], wanted: Iterable[Field], place: str = "") -> JsonObject:
    """The wanted fields of a body. Others are ignored, as the vendor says that they are."""
    found: JsonObject = {}
    for one in wanted:
        value = body.get(one.name)
        name = place + one.name
        if value is None:
            if one.required:
                raise inappropriate(f"{name}: is missing")
            continue
        if not one.kind.accepts(value):
            raise inappropriate(f"{name}: has to be {one.kind.value}")
        if one.required and value == "":
            raise inappropriate(f"{name}: is empty")
        found[one.name] = int(value) if one.kind is Kind.NUMBER else value
    return found


@dataclass(slots=True)
class Context:
    """One signed request, with what a call needs to do it. Times are seconds of Unix time."""

    store: Store
    scope: Scope
    region_is_named: bool
    now: float
    delay_s: float
    quotas: Quotas
    outages: frozenset[str]
    query: dict[str, str]
    path: dict[str, str] = field(default_factory=dict)
    body: JsonObject = field(default_factory=dict)
    endpoint: str = ""

    def require(self, kind: str, key: str, called: str, code: str = "NoSuchObject") -> Resource:
        """The resource of this account and region; raises when there is none."""
        found = self.store.get(kind, key, self.scope)
        if found is None:
            raise no_such(called, key, code)
        return found

    def require_lasting(self, kind: str, key: str, called: str) -> Resource:
        """The same, unless it is being deleted: nothing can begin to need it then, since nobody would look again."""
        found = self.require(kind, key, called)
        refuse_leaving(found, f"{called} {key}")
        return found

    def running(self, instance_id: str) -> Resource | None:
        """The instance, if it runs and its zone is not down."""
        found = self.store.get("instance", instance_id)
        if found is None or found.body["zoneName"] in self.outages:
            return None
        return found if state_at(found.body["status"], self.now) == "Running" else None

    def make(self, kind: str, key: str, body: JsonObject, parent: str | None = None) -> Resource:
        """Keep a new resource of this account and region."""
        return self.store.add(Resource(key, kind, self.scope.account, self.scope.region, parent, body))

    def passing(self, *states: str) -> Schedule:
        """States that begin now, each but the last taking the asynchronous delay."""
        return passing(self.now, self.delay_s, *states) if self.delay_s > 0 else settled(states[-1])

    def leave(self, resource: Resource, *states: str) -> None:
        """Delete a resource: it shows ``states`` for the asynchronous delay, then it is gone."""
        if self.delay_s > 0:
            resource.body["status"] = settled(states[-1])
            resource.gone_at = self.now + self.delay_s
            self.store.save(resource)
        else:
            self.store.remove(resource)


Handler = Callable[[Context], JsonObject | None]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API. ``flag`` is the query's key that tells calls of one path apart.

    ``source`` says where method, path and fields are known from: ``tried`` is the request that the SDK sent.
    """

    name: str
    method: str
    path: str
    handler: Handler
    fields: tuple[Field, ...] = ()
    flag: str = ""
    source: str = "tried"

    @property
    def writes(self) -> bool:
        """Whether the call may change something."""
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class Service:
    """Calls that belong together. A service without regions keeps its resources in one place.

    ``endpoint``: the first word of the host name that the real cloud answers them at. Services that share it share
    their client tokens.
    """

    name: str
    calls: tuple[Call, ...]
    regional: bool = True
    endpoint: str = "bcc"


class Router:
    """Finds the call that a request is for."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._calls: dict[int, list[tuple[tuple[str, ...], Call, Service]]] = {}
        for service in services:
            for call in service.calls:
                words = tuple(call.path.strip("/").split("/"))
                self._calls.setdefault(len(words), []).append((words, call, service))

    def find(self, method: str, path: str, query: Mapping[str, str]) -> tuple[Call, Service, dict[str, str]]:
        """The call, its service, and what stands in the variable parts of its path, which is as it was sent."""
        words = tuple(unquote(word) for word in path.strip("/").split("/"))
        matching = []
        for pattern, call, service in self._calls.get(len(words), ()):
            if all(word == part or (part[:1] == "{" and word) for part, word in zip(pattern, words, strict=True)):
                literal = sum(part[:1] != "{" for part in pattern)
                matching.append((literal, pattern, call, service))
        if not matching:
            raise invalid_uri(f"no call has the path {path!r}")
        most = max(literal for literal, *_ in matching)
        here = [entry for entry in matching if entry[2].method == method and entry[0] == most]
        if not here:
            raise ApiError(405, "MethodNotAllowed", f"no call has the method {method} at {path!r}")
        chosen = next((entry for entry in here if entry[2].flag and entry[2].flag in query), None)
        chosen = chosen or next((entry for entry in here if not entry[2].flag), None)
        if chosen is None:
            flags = ", ".join(entry[2].flag for entry in here)
            raise invalid_uri(f"{method} {path!r} needs one of these in its query: {flags}")
        _, pattern, call, service = chosen
        return call, service, {part[1:-1]: word for part, word in zip(pattern, words, strict=True) if part[:1] == "{"}


def new_id(prefix: str) -> str:
    """An identifier as the cloud makes them: ``vpc-`` and twelve letters and digits."""
    return prefix + "-" + "".join(secrets.choice(ALPHABET) for _ in range(12))


def whole_number(text: str) -> int | None:
    """The number that a text of up to 18 plain digits is."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


def one_of(name: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise inappropriate(f"{name}: has to be one of {', '.join(choices)}")


def between(name: str, value: int, low: int, high: int) -> None:
    """Refuse a value outside a range."""
    if not low <= value <= high:
        raise inappropriate(f"{name}: has to be from {low} to {high}")


def timestamp(now: float) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(body: Mapping[str, Any]) -> JsonObject:
    """What of a resource's body is the API's."""
    return {name: value for name, value in body.items() if not name.startswith("_")}


def refuse_leaving(found: Resource, called: str) -> None:
    """Raise where a resource is being deleted."""
    if found.gone_at is not None:
        raise denied(f"{called} is being deleted")


def cidr(name: str, text: str) -> IPv4Network:
    """A CIDR as the API takes it: exact, no host bits, its length in plain digits, so that a range has one spelling."""
    try:
        network = IPv4Network(text)
        if str(network) != text:
            raise ValueError(text)
    except ValueError:
        raise inappropriate(f"{name}: {text!r} is no IPv4 CIDR") from None
    return network


def address(name: str, text: str) -> IPv4Address:
    """A plain IPv4 address."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise inappropriate(f"{name}: {text!r} is no IPv4 address") from None
