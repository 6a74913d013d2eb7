"""Which files a router of each platform has, and which templates and view they are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from lanecast.plan.model import Platform
from lanecast.router import Router
from lanecast_templates.errors import RenderError
from lanecast_templates.router_secrets import RouterSecrets
from lanecast_templates.views.eos import eos_router
from lanecast_templates.views.frr import DEFAULT_VERSION, frr_router
from lanecast_templates.views.h3c_comware import comware_router
from lanecast_templates.views.huawei_vrp import vrp_router
from lanecast_templates.views.ios_xe import ios_xe_router
from lanecast_templates.views.junos import junos_router
from lanecast_templates.views.nx_os import nx_os_router
from lanecast_templates.views.vyos import vyos_router


@dataclass(frozen=True, slots=True)
class RouterTemplates:
    """How the files of a platform's router are made."""

    variable: str
    """The name under which templates find the view."""
    view: Callable[[Router, RouterSecrets], object]
    """Puts a router in the platform's own terms. Raises ``RenderError`` for what it has no words for."""
    files: Mapping[str, str]
    """Path below the node's folder → template; the configuration itself is the first."""
    is_linux: bool = False
    """Whether the node's packet filter, kernel settings and links are files of ours as well."""

    @property
    def main(self) -> str:
        """The path of the configuration itself."""
        return next(iter(self.files))


FRR_FILES = {f"etc/frr/{name}": f"frr/{name}.j2" for name in ("frr.conf", "daemons", "vtysh.conf")}

OTHERS: Mapping[Platform, RouterTemplates] = {
    Platform.EOS: RouterTemplates("router", eos_router, {"eos.conf": "eos/eos.conf.j2"}),
    Platform.H3C_COMWARE: RouterTemplates(
        "router", comware_router, {"h3c-comware.conf": "h3c-comware/h3c-comware.conf.j2"}
    ),
    Platform.HUAWEI_VRP: RouterTemplates("router", vrp_router, {"huawei-vrp.conf": "huawei-vrp/huawei-vrp.conf.j2"}),
    Platform.IOS_XE: RouterTemplates("router", ios_xe_router, {"ios-xe.conf": "ios-xe/ios-xe.conf.j2"}),
    Platform.JUNOS: RouterTemplates("router", junos_router, {"junos.conf": "junos/junos.conf.j2"}),
    Platform.NX_OS: RouterTemplates("router", nx_os_router, {"nx-os.conf": "nx-os/nx-os.conf.j2"}),
    Platform.VYOS: RouterTemplates("router", vyos_router, {"vyos.conf": "vyos/vyos.conf.j2"}),
}
"""Platforms whose routers are no Linux boxes of ours."""


def router_templates(platform: Platform, frr_version: str = DEFAULT_VERSION) -> RouterTemplates:
    """How routers of ``platform`` are rendered. Raises :class:`RenderError` where there are no templates for it."""
    if platform is Platform.FRR:
        return RouterTemplates("frr", partial(frr_router, frr_version), FRR_FILES, is_linux=True)
    if platform not in OTHERS:
        raise RenderError(f"{platform} has no templates; there are {', '.join([Platform.FRR, *OTHERS])}")
    return OTHERS[platform]
