"""Whether sites have a way to who manages them: routers know their own segments, exchanges, and VPCs behind uplinks."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from lanecast.plan.checks.context import CheckContext
from lanecast.plan.layout import announced_prefixes, reachable_vpcs, vpc_cidr
from lanecast_relay.config.document import PathKey, Problem


def ways(context: CheckContext) -> Iterator[Problem]:
    """Every network and server of ``management`` is where each site's routers have a route to."""
    for place, network in _managing(context):
        without = [
            site for site in context.plan.sites if not any(network.subnet_of(known) for known in _known(context, site))
        ]
        if without:
            message = (
                f"routers of {', '.join(sorted(without))} have no route to {network}: they know their own segments "
                "(pools.sites), their exchanges, and the VPCs behind their uplinks"
            )
            yield context.warning(message, *place)


def _managing(context: CheckContext) -> Iterator[tuple[tuple[PathKey, ...], IPv4Network]]:
    managed = context.plan.management
    here: tuple[PathKey, ...] = ("management",)
    networks = {"ssh-from": managed.ssh_from, "metrics-from": managed.metrics_from}
    for key, listed in networks.items():
        yield from ((((*here, key, index)), network) for index, network in enumerate(listed))
    servers = {
        ("ntp", "servers"): managed.ntp.servers if managed.ntp else [],
        ("syslog",): managed.syslog,
        ("aaa", "servers"): managed.aaa.servers if managed.aaa else [],
    }
    for keys, addresses in servers.items():
        yield from (((*here, *keys, index), IPv4Network(address)) for index, address in enumerate(addresses))


def _known(context: CheckContext, site_name: str) -> Iterator[IPv4Network]:
    """What every router of a site can reach: a VPC counts only where each of the site's uplinks leads to it."""
    site = context.plan.sites[site_name]
    yield context.plan.pools.sites
    reached = [set(reachable_vpcs(context.plan, uplink.to)) for uplink in site.uplinks.values()]
    for vpc in set.intersection(*reached):
        yield vpc_cidr(context.plan, vpc)
    for exchange in {circuit.exchange for circuit in site.circuits.values()}:
        yield from announced_prefixes(context.plan, exchange)
