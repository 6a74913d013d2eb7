"""Pulumi's property values: protobuf structures in which unknown and secret values have a spelling of their own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from lanecast_infra.provider.model import Values

# Pulumi's protocol: sdk/proto/go, "special signatures" of property values.
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value that a preview cannot know yet."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN: Final = Unknown()


def unpack(properties: Struct) -> tuple[Values, frozenset[str]]:
    """The plain values, and the names of those that are, or hold, secrets. An absent value is left out."""
    values: Values = {}
    secrets = set()
    for name, raw in MessageToDict(properties).items():
        value, is_secret = _plain(raw)
        if value is None:
            continue
        values[name] = value
        if is_secret:
            secrets.add(name)
    return values, frozenset(secrets)


def pack(values: Values, secrets: Collection[str] = ()) -> Struct:
    """The structure for the engine, with the named values marked as secrets."""
    packed = Struct()
    packed.update({name: _wrapped(value, name in secrets) for name, value in values.items() if value is not None})
    return packed


def is_unknown(value: Any) -> bool:
    """Whether the value, or a part of it, is not known yet."""
    if isinstance(value, dict):
        return any(is_unknown(one) for one in value.values())
    if isinstance(value, list):
        return any(is_unknown(one) for one in value)
    return value is UNKNOWN


def known(values: Values) -> Values:
    """Those that are known altogether."""
    return {name: value for name, value in values.items() if not is_unknown(value)}


def _plain(raw: Any) -> tuple[Any, bool]:
    if isinstance(raw, dict):
        if raw.get(SIGNATURE) == SECRET:
            return _plain(raw.get("value"))[0], True
        parts = {name: _plain(one) for name, one in raw.items()}
        return {name: value for name, (value, _) in parts.items()}, any(secret for _, secret in parts.values())
    if isinstance(raw, list):
        items = [_plain(one) for one in raw]
        return [value for value, _ in items], any(secret for _, secret in items)
    if raw == UNKNOWN_TEXT:
        return UNKNOWN, False
    if isinstance(raw, float) and raw.is_integer():
        return int(raw), False
    return raw, False


def _wrapped(value: Any, is_secret: bool) -> Any:
    text = _spelt(value)
    return {SIGNATURE: SECRET, "value": text} if is_secret else text


def _spelt(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _spelt(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelt(one) for one in value]
    return UNKNOWN_TEXT if value is UNKNOWN else value
