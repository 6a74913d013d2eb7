"""Values that stand in for wrong or missing ones while the rest of a plan is checked.

Each field has two, and a plan is checked with either: what is said of both is not the stand-in's doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal, get_args, get_origin

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from lanecast.plan.model import AaaProtocol, Plan
from lanecast_relay.config.document import PathKey

Variant = Literal[0, 1]
"""Which of the two stand-ins."""

NAME = ("stand-in-1", "stand-in-2")
"""A name that nothing has: the check of names then takes one that something has."""

LEAVES: dict[str, tuple[Any, Any]] = {
    "lanecast": (1, 1),
    "asn": (4_200_000_001, 4_200_000_002),
    "exchange": NAME,
    "protocol": ("moldudp64", "cme-mdp3"),
    "rate": ("1 pps", "2 pps"),
    "bytes": (1, 2),
    "source": ("198.18.0.1", "198.18.0.2"),
    "servers": ("198.18.0.3:1", "198.18.0.4:2"),
    "groups": ("232.255.255.1:1", "232.255.255.2:2"),
    "region": NAME,
    "mode": ("multicast", "multicast"),
    "vlan": (4093, 4094),
    "link": ("198.18.255.0/30", "198.19.255.252/30"),
    "delay": ("1us", "2us"),
    "bandwidth": ("1000G", "2000G"),
    "carries": ("stand-in-1.A", "stand-in-2.B"),
    "to": ("stand-in-1.vpc", "stand-in-2.vpc"),
    "platform": ("frr", "nx-os"),
    "feeds": NAME,
    "cidr": ("198.18.0.0/17", "198.19.0.0/17"),
    "zone": NAME,
    "provider": ("baidu", "baidu"),
    "between": ("stand-in-1.vpc", "stand-in-2.vpc"),
    "via": ("stand-in-1.vpc", "stand-in-2.vpc"),
    "in": ("stand-in-1.vpc", "stand-in-2.vpc"),
    "at": ("198.18.0.9:1", "198.18.0.10:2"),
    "subnet": ("stand-in-1.vpc.subnet", "stand-in-2.vpc.subnet"),
    "from": NAME,
    # Fields with a default: without them the default holds, which the second one differs from.
    "ports": ("eth98", "eth99"),
    "ssm-ranges": ("224.0.0.0/4", "224.0.0.0/4"),
    "memberships": (4096, 4096),
    "prefixes": ("0.0.0.0/0", "0.0.0.0/0"),
    "access-ports": ("eth98", "eth99"),
    "unused-ports": ("eth96", "eth97"),
    "port": (8443, 9443),
    "clients": ("198.18.0.0/17", "198.19.0.0/17"),
    "address": ("198.18.0.5", "198.18.0.6"),
    "key-id": (1, 2),
    "id": (1, 2),
    "domain": (1, 2),
    "ssh-key": ("ssh-ed25519 AAAA", "ssh-ed25519 BBBB"),
    "ssh-from": ("198.18.0.0/17", "198.19.0.0/17"),
    "syslog": ("198.18.0.7", "198.18.0.8"),
    "static-joins": ("stand-in-1.A", "stand-in-2.B"),
    "sites": ("198.18.128.0/17", "198.19.128.0/17"),
}
"""By the field's name as it is written; an element's value where the field is a list or a mapping."""

OF_ANOTHER_KIND: dict[tuple[str, Any], tuple[Any, Any]] = {
    ("protocol", AaaProtocol): ("tacacs+", "radius"),
    ("servers", IPv4Address): ("198.18.0.3", "198.18.0.4"),
    ("from", str): ("stand-in-1.vpc", "stand-in-2.vpc"),
    ("groups", IPv4Network): ("239.255.0.0/17", "239.255.128.0/17"),
}
"""Where one name is of several kinds: by the field's name and the type of what stands there."""

REPEATED = {"between": 2}
"""Lists with more than one element."""


def written_name(name: str, field: FieldInfo) -> str:
    """A field's name as a plan spells it."""
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        return str(alias.choices[0])
    return str(alias) if alias is not None else name


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that a plan spells."""
    return {written_name(name, field): field for name, field in model.model_fields.items()}


def model_in(annotation: object) -> type[BaseModel] | None:
    """The model inside ``dict[str, X]``, ``list[X]``, ``X | None`` or ``X``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (model_in(part) for part in reversed(get_args(annotation)))
    return next((model for model in found if model is not None), None)


@dataclass(frozen=True, slots=True)
class Located:
    """What the model has at a place of a plan."""

    name: str
    """The field, as it is written."""
    field: FieldInfo
    annotation: Any
    """The type of what stands there: the field's, or that of an entry of it where it is a list or a mapping."""

    @property
    def element(self) -> bool:
        """Whether the place is one entry of the field, or an entry of one."""
        return self.annotation is not self.field.annotation

    @property
    def model(self) -> type[BaseModel] | None:
        """The model whose keys stand at the place; None where a plain value or a collection does."""
        return None if self.is_collection else model_in(self.annotation)

    @property
    def is_collection(self) -> bool:
        """Whether a list or a mapping of named entries stands at the place."""
        return get_origin(self.annotation) in (dict, list)


def locate(path: tuple[PathKey, ...]) -> Located | None:
    """The field at a place; None where the model has no such key."""
    model: type[BaseModel] | None = Plan
    found: Located | None = None
    for key in path:
        if found is not None and found.is_collection:
            found = Located(found.name, found.field, get_args(found.annotation)[-1])
        else:
            field = fields_of(model).get(str(key)) if model else None
            if field is None:
                return None
            found = Located(str(key), field, field.annotation)
        model = found.model
    return found


def stand_in(name: str, field: FieldInfo, variant: Variant) -> Any:
    """A whole field's stand-in; raises ``KeyError`` where there is none, being a field with a default."""
    return element_stand_in(name, field.annotation, variant)


def element_stand_in(name: str, annotation: Any, variant: Variant) -> Any:
    """The stand-in of what has this type in a field: its value, an entry of it, or an entry of one."""
    if get_origin(annotation) is dict:
        return {NAME[variant]: element_stand_in(name, get_args(annotation)[-1], variant)}
    if get_origin(annotation) is list:
        return [element_stand_in(name, get_args(annotation)[-1], variant)] * REPEATED.get(name, 1)
    model = model_in(annotation)
    if model is None:
        return (OF_ANOTHER_KIND.get((name, annotation)) or LEAVES[name])[variant]
    required = {key: inner for key, inner in fields_of(model).items() if inner.is_required()}
    return {key: stand_in(key, inner, variant) for key, inner in required.items()}
