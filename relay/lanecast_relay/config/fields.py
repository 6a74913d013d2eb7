"""What the sections of a relay's file are made of: strict models, endpoints and names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema

from lanecast_relay.config.endpoint import split_endpoint


class Strict(BaseModel):
    """A model whose YAML keys are spelled with hyphens and which refuses keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        alias_generator=lambda name: re.sub(r"-(ns|bytes|bps|pps)$", "", name.replace("_", "-")),
    )


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An IPv4 address and a UDP port, written ``224.0.31.1:14310``."""

    address: IPv4Address
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def read_endpoint(value: object) -> Endpoint:
    """Return ``address:port`` as an :class:`Endpoint`; raise ``ValueError`` with what was expected."""
    return value if isinstance(value, Endpoint) else Endpoint(*split_endpoint(str(value)))


EndpointText = Annotated[
    Endpoint,
    BeforeValidator(read_endpoint),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+){3}:\d+$", "examples": ["224.0.31.1:14310"]}),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
LineName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,60}$")]
Channel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,30}$")]
