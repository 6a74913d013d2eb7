"""The compiler: plan in, Fabric out. It decides everything; back ends walk what it decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TypeVar

from pydantic import BaseModel

from lanecast.compiler.bridges import bridge_hosts, bridge_instances, bridge_offers, shared_addresses
from lanecast.compiler.cloud import cloud_state, gateway_routers
from lanecast.compiler.context import Context
from lanecast.compiler.deliveries import applications, cloud_instances, deliveries, subscriber_hosts
from lanecast.compiler.exchanges import exchange_router, source_host, source_links
from lanecast.compiler.invention import Inventions
from lanecast.compiler.load_balancers import load_balancers
from lanecast.compiler.routers import site_router
from lanecast.compiler.sites import relay_host, site_links, site_segments
from lanecast.fabric import (
    Delivery,
    Fabric,
    Feed,
    FeedLine,
    Host,
    Recovery,
    Segment,
)
from lanecast.lockfile import read_lock, require_all_kept
from lanecast.plan.layout import SiteLayout, site_layouts
from lanecast.plan.loader import LoadedPlan
from lanecast.plan.model import Plan
from lanecast_relay.config import model as relay_model

__all__ = ["compile_network", "compile_plan"]


def compile_plan(loaded: LoadedPlan, locked: Mapping[str, str] | None = None) -> Fabric:
    """Compile a loaded plan with what its lock file keeps, or with ``locked`` instead.

    Raises ``DocumentError`` when the lock file lacks a value that the plan needs: choosing it now would not keep it.
    """
    path = loaded.document.path
    kept = read_lock(path) if locked is None else None
    fabric = compile_network(loaded.plan, loaded.name, kept if locked is None else locked)
    if kept is not None:
        require_all_kept(path, kept, fabric.invented)
    own = loaded.plan.templates
    return fabric if own is None else replace(fabric, templates=path.parent / own)


def compile_network(plan: Plan, name: str, locked: Mapping[str, str] | None = None) -> Fabric:
    """Decide everything that ``plan`` leaves open.

    ``plan`` has passed ``lanecast.plan.checks``. ``locked`` holds values invented before, by purpose (the lock file).
    The same plan and lock give the same Fabric. Raises :class:`~lanecast.compiler.invention.PoolExhaustedError`
    when a pool of the plan is too small.
    """
    plan = _in_order(plan)
    inventions = Inventions(locked)
    inventions.reserve("asn", _written_asns(plan))
    inventions.reserve("address", _written_addresses(plan))
    context = Context(plan, site_layouts(plan), inventions)
    ways = deliveries(context)
    apps = applications(context, ways)
    offers = bridge_offers(context)
    instances = [*cloud_instances(context), *bridge_instances(context)]
    cloud = cloud_state(context, instances, shared_addresses(context), load_balancers(context))
    exchanges = sorted({circuit.exchange for site in plan.sites.values() for circuit in site.circuits.values()})
    routers = [exchange_router(context, exchange) for exchange in exchanges]
    routers += gateway_routers(context, cloud.gateways)
    hosts = [source_host(context, exchange) for exchange in exchanges]
    hosts += subscriber_hosts(context, ways, apps)
    hosts += bridge_hosts(context, ways, offers)
    segments: list[Segment] = []
    links = [link for exchange in exchanges for link in source_links(context, exchange)]
    for layout in context.layouts.values():
        relays = _relays(context, layout, ways)
        routers += [site_router(context, layout, router) for router in sorted(layout.site.routers)]
        hosts += relays
        segments += site_segments(context, layout, relays)
        links += site_links(layout)
    return Fabric(
        name=name,
        feeds=tuple(_feed(plan, feed) for feed in sorted(plan.feeds)),
        routers=tuple(sorted(routers, key=lambda router: router.name)),
        hosts=tuple(sorted(hosts, key=lambda host: host.name)),
        segments=tuple(segments),
        links=tuple(sorted(links, key=lambda link: link.name)),
        cloud=cloud,
        deliveries=tuple(ways),
        applications=tuple(apps),
        offers=tuple(offers),
        site_regions={name: site.region for name, site in sorted(plan.sites.items())},
        invented=dict(sorted(inventions.values.items())),
    )


Model = TypeVar("Model", bound=BaseModel)


def _in_order(model: Model) -> Model:
    """A model whose mappings are sorted by name: in which order a plan's entries stand decides nothing."""

    def ordered(value: object) -> object:
        if isinstance(value, BaseModel):
            return _in_order(value)
        if isinstance(value, dict):
            return {key: ordered(value[key]) for key in sorted(value)}
        return value

    return model.model_copy(update={name: ordered(value) for name, value in model})


def _written_asns(plan: Plan) -> list[int]:
    exchanges = [exchange.asn for exchange in plan.exchanges.values()]
    sites = [site.asn for site in plan.sites.values() if site.asn is not None]
    return exchanges + sites


def _written_addresses(plan: Plan) -> list[IPv4Address]:
    """Addresses in VPCs that the plan itself gives to something."""
    offers = [offer.at.address for bridge in plan.bridges.values() for offer in bridge.offers.values()]
    balancers = [subscriber.load_balancer for subscriber in plan.subscribers.values()]
    return offers + [one.address for one in balancers if one is not None and one.address is not None]


def _relays(context: Context, layout: SiteLayout, ways: list[Delivery]) -> list[Host]:
    return [relay_host(context, layout, relay, ways) for relay in sorted(layout.site.relays)]


def _feed(plan: Plan, name: str) -> Feed:
    feed = plan.feeds[name]
    burst = feed.peak.burst
    return Feed(
        name=name,
        exchange=feed.exchange,
        protocol=feed.protocol,
        rate_pps=feed.peak.rate_pps,
        payload_bytes=feed.peak.size_bytes,
        burst_packets=burst.packets if burst else 1,
        burst_within_ns=burst.within_ns if burst else 0,
        hole_wait_ns=feed.hole_wait_ns,
        lines=tuple(
            FeedLine(
                line_name, line.source, dict(sorted(line.groups.items())), _circuits_of(plan, f"{name}.{line_name}")
            )
            for line_name, line in sorted(feed.lines.items())
        ),
        promise=plan.promises.get(name),
        recovery=_recovery(feed.recovery),
    )


def _recovery(recovery: relay_model.Recovery | None) -> Recovery | None:
    if recovery is None:
        return None
    servers = {channel: tuple(asked) for channel, asked in sorted(recovery.servers.items())}
    return Recovery(servers, recovery.wait_ns, recovery.retry_ns)


def _circuits_of(plan: Plan, feed_line: str) -> tuple[str, ...]:
    return tuple(
        sorted(
            name
            for site in plan.sites.values()
            for name, circuit in site.circuits.items()
            if feed_line in circuit.carries
        )
    )
