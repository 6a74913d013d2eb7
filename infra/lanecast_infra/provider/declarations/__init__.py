"""Every resource and function that the provider has."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from lanecast_infra.provider.declarations import (
    addresses,
    balancers,
    dedicated_lines,
    machines,
    names,
    nat,
    networks,
    peerings,
    questions,
    security,
    shared_addresses,
)
from lanecast_infra.provider.model import Resource

MODULES: Final[dict[str, tuple[Resource, ...]]] = {
    "networks": networks.RESOURCES,
    "peerings": peerings.RESOURCES,
    "nat": nat.RESOURCES,
    "addresses": addresses.RESOURCES,
    "dedicated_lines": dedicated_lines.RESOURCES,
    "security": security.RESOURCES,
    "machines": machines.RESOURCES,
    "shared_addresses": shared_addresses.RESOURCES,
    "balancers": balancers.RESOURCES,
    "names": names.RESOURCES,
}
"""By the module that holds their typed classes."""
RESOURCES: Final = MappingProxyType({one.token: one for resources in MODULES.values() for one in resources})
FUNCTIONS: Final = MappingProxyType({one.token: one for one in questions.FUNCTIONS})
