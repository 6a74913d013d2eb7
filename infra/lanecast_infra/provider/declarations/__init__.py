"""Every resource and function that the provider has."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from lanecast_infra.provider.declarations import networks, peerings
from lanecast_infra.provider.model import Function

MODULES: Final = {"networks": networks.RESOURCES, "peerings": peerings.RESOURCES}
"""By the module that holds their typed classes."""
RESOURCES: Final = MappingProxyType({one.token: one for resources in MODULES.values() for one in resources})
FUNCTIONS: Final[MappingProxyType[str, Function]] = MappingProxyType({})
