"""Which files a router of each platform has, and which templates and view they are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from lanecast.plan.model import Platform
from lanecast.router import Router
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.frr import DEFAULT_VERSION, frr_router


@dataclass(frozen=True, slots=True)
class RouterTemplates:
    """How the files of a platform's router are made."""

    variable: str
    """The name under which templates find the view."""
    view: Callable[[Router, RouterSecrets], object]
    """Puts a router in the platform's own terms. Raises ``RenderError`` for what it has no words for."""
    files: Mapping[str, str]
    """Path below the node's folder → template."""
    is_linux: bool = False
    """Whether the node's packet filter, kernel settings and links are files of ours as well."""


FRR_FILES = {f"etc/frr/{name}": f"frr/{name}.j2" for name in ("frr.conf", "daemons", "vtysh.conf")}

OTHERS: Mapping[Platform, RouterTemplates] = {}
"""Platforms whose routers are no Linux boxes of ours."""


def router_templates(platform: Platform, frr_version: str = DEFAULT_VERSION) -> RouterTemplates:
    """How routers of ``platform`` are rendered. Raises :class:`RenderError` where there are no templates for it."""
    if platform is Platform.FRR:
        return RouterTemplates("frr", partial(frr_router, frr_version), FRR_FILES, is_linux=True)
    if platform not in OTHERS:
        raise RenderError(f"{platform} has no templates; there are {', '.join([Platform.FRR, *OTHERS])}")
    return OTHERS[platform]
