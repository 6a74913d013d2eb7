"""What a declaration of a resource is made of. Everything else of the provider follows from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lanecast_infra.provider.calls import Call

Values = dict[str, Any]
"""Fields by their names in Pulumi, which are camelCase as in the API."""

Test = Callable[[Any], str | None]
"""Takes a value that is known; says what is wrong with it, or None."""


class Kind(Enum):
    """The type of a field."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRINGS = "array"
    """A list of strings."""
    TAGS = "object"
    """A map of strings."""


class Change(Enum):
    """What a change of a field means for the resource."""

    UPDATE = "changed in place"
    REPLACE = "a change makes a new one"
    FIXED = "cannot be changed: the API has no call for it, and a new one would be a pity"


@dataclass(frozen=True, slots=True)
class Field:
    """An input of a resource, which is also an output."""

    name: str
    kind: Kind
    doc: str
    source: str
    """Where the field is known from: the SDK's call and parameter."""
    required: bool = False
    change: Change = Change.UPDATE
    default: Any = None
    """Taken when the program does not say; None when there is none."""
    named: bool = False
    """Defaults to the name that the resource has in the program."""
    assigned: bool = False
    """The cloud chooses when the program does not say."""
    unit: str | None = None
    secret: bool = False
    unordered: bool = False
    """The order of a list has no meaning."""
    tests: tuple[Test, ...] = ()

    def replaced(self) -> Field:
        """The field, where a change of it makes a new resource."""
        return replace(self, change=Change.REPLACE)


@dataclass(frozen=True, slots=True)
class Output:
    """What only the cloud knows."""

    name: str
    kind: Kind
    doc: str
    source: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What an error code means here."""

    field: str | None
    what_to_do: str


@dataclass(frozen=True, slots=True)
class States:
    """The states of a resource that changes in its own time; any other than these is waited through."""

    ready: frozenset[str]
    failed: frozenset[str] = frozenset()
    output: str = "status"


@dataclass(frozen=True, slots=True)
class Resource:
    """One type of resource: its fields, and the calls that make, find, read, change and remove it."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    create: Callable[[Call, Values], str | None]
    """Makes it and returns its id, or None where the API tells none: it is found then. Repeated with the same tokens
    it must make nothing twice."""
    read: Callable[[Call, str], Values | None]
    """Its live fields and outputs; those that the API does not tell are absent. None when it is gone."""
    delete: Callable[[Call, str, Values], None]
    update: Callable[[Call, str, Values, Values], None] | None = None
    """Takes the old inputs and the new ones."""
    finish: Callable[[Call, str, Values], None] | None = None
    """What its creation leaves to later calls; runs when it is ready, and may run again."""
    find: Callable[[Call, Values], str | None] | None = None
    """For what is made without a client token: the one that has these inputs' unique fields."""
    outputs: tuple[Output, ...] = ()
    states: States | None = None
    gone: frozenset[str] = frozenset({"NoSuchObject"})
    """Error codes that mean that it is not there."""
    busy: frozenset[str] = frozenset()
    """Error codes that pass: something of it, or something that depends on it, is still on its way."""
    unique: tuple[str, ...] = ()
    """Fields of which two resources cannot have the same (or, of addresses, overlapping) values at a time: a
    replacement that keeps them deletes first."""
    unique_when: str | None = None
    """They are unique only where this field is said."""
    busy_for_s: float = 30.0
    """How long what stands in the way may take."""
    rules: tuple[Callable[[Values], list[tuple[str, str]]], ...] = ()
    """Tests over several fields: field and reason. A field that is unknown is absent from the values."""
    advice: tuple[tuple[str, Advice], ...] = ()
    """By error code."""
    takes_s: int = 600
    """How long making, changing and removing may take when the program does not say."""

    @property
    def token(self) -> str:
        """The type as programs name it."""
        return f"baiducloud:index:{self.name}"

    def field(self, name: str) -> Field | None:
        """The field of that name."""
        return next((one for one in self.fields if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Function:
    """A question to the cloud."""

    name: str
    doc: str
    arguments: tuple[Field, ...]
    results: tuple[Output, ...]
    ask: Callable[[Call, Values], Values]

    @property
    def token(self) -> str:
        """The function as programs name it."""
        return f"baiducloud:index:{self.name}"
