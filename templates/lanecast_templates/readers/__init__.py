"""Reads rendered configurations back: a reader a platform, each apart from the templates that wrote the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lanecast.plan.model import Platform
from lanecast.router import Router
from lanecast_templates.readers import eos, frr, h3c_comware, huawei_vrp, ios_xe, junos, nx_os, vyos
from lanecast_templates.readers.facts import Facts, differences, expected

READERS: Mapping[Platform, Callable[[str], Facts]] = {
    Platform.EOS: eos.read,
    Platform.FRR: frr.read,
    Platform.H3C_COMWARE: h3c_comware.read,
    Platform.HUAWEI_VRP: huawei_vrp.read,
    Platform.IOS_XE: ios_xe.read,
    Platform.JUNOS: junos.read,
    Platform.NX_OS: nx_os.read,
    Platform.VYOS: vyos.read,
}
"""What reads a platform's text. Raises :class:`ValueError`, with the line, for what it cannot read."""


def read_back(router: Router, text: str) -> list[str]:
    """What a router's text says other than the router, one line each; raises ``KeyError`` without a reader."""
    try:
        found = READERS[router.platform](text)
    except ValueError as error:
        return [f"cannot be read: {error}"]
    return differences(expected(router), found)
