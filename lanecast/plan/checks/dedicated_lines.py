"""What the cloud takes of the channel of a dedicated line, which an uplink is: narrower than what routers take."""

from __future__ import annotations

from collections.abc import Iterator

from lanecast.plan.checks.context import CheckContext
from lanecast.plan.model import Uplink
from lanecast.plan.providers import PROVIDERS, Provider
from lanecast_relay.config.document import PathKey, Problem

MILLISECOND_NS = 10**6


def channels(context: CheckContext) -> Iterator[Problem]:
    """An uplink's VLAN and BFD timers are such that the cloud's end can have them."""
    for site_name, site in context.plan.sites.items():
        for name, uplink in site.uplinks.items():
            provider = context.plan.regions[uplink.to.partition(".")[0]].cloud.provider
            for key, message in _refused(uplink, PROVIDERS[provider]):
                yield context.error(message, "sites", site_name, "uplinks", name, *key)


def _refused(uplink: Uplink, limits: Provider) -> Iterator[tuple[tuple[PathKey, ...], str]]:
    first, last = limits.vlans
    if not first <= uplink.vlan <= last:
        yield ("vlan",), f"{limits.title} takes VLANs {first} to {last} on a dedicated line, found {uplink.vlan}"
    if uplink.bfd is None:
        return
    shortest, longest = limits.bfd_interval_ms
    if not shortest * MILLISECOND_NS <= uplink.bfd.interval_ns <= longest * MILLISECOND_NS:
        found = f"{uplink.bfd.interval_ns / MILLISECOND_NS:g}ms"
        message = f"{limits.title} takes {shortest}ms to {longest}ms on a dedicated line, found {found}"
        yield ("bfd", "interval"), message
    least, most = limits.bfd_multiplier
    if not least <= uplink.bfd.multiplier <= most:
        message = f"{limits.title} takes {least} to {most} on a dedicated line, found {uplink.bfd.multiplier}"
        yield ("bfd", "multiplier"), message
