"""Who receives what from where: instances, ports, and the relay that arbitrates beside an application."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

from lanecast.cloud_state import CloudInstance
from lanecast.compiler.context import Context
from lanecast.compiler.kernel_settings import receive_buffer_setting
from lanecast.compiler.management import cloud_management
from lanecast.compiler.sites import CONTROL_SOCKET, metrics_endpoint
from lanecast.fabric import (
    Application,
    Delivery,
    Host,
    HostRole,
)
from lanecast.plan.layout import cloud_ways, layout_of_relay, subnet_cidr, uplink_router
from lanecast.plan.model import Subscriber
from lanecast.router import (
    INSTANCE_INTERFACE,
    Firewall,
    Interface,
    InterfaceRole,
)
from lanecast_relay.config import model as relay_model
from lanecast_relay.config.model import Endpoint
from lanecast_relay.config.quantity import nanoseconds

LOOPBACK = IPv4Address("127.0.0.1")


def cloud_instances(context: Context) -> list[CloudInstance]:
    """Every subscriber's instances: ``name-1`` to ``name-count``."""
    found = []
    for name, subscriber in sorted(context.plan.subscribers.items()):
        cidr = subnet_cidr(context.plan, subscriber.subnet)
        for number in range(1, subscriber.count + 1):
            instance = f"{name}-{number}"
            found.append(CloudInstance(instance, subscriber.subnet, context.instance_address(instance, cidr)))
    return found


def _instances_of(context: Context) -> Iterator[tuple[str, Subscriber, CloudInstance]]:
    instances = {instance.name: instance for instance in cloud_instances(context)}
    for name, subscriber in sorted(context.plan.subscribers.items()):
        for number in range(1, subscriber.count + 1):
            yield name, subscriber, instances[f"{name}-{number}"]


def _carrying(context: Context, subscriber: Subscriber, feed: str) -> list[str]:
    """The relays of a subscriber that carry a feed, by name."""
    return sorted(
        relay for relay in subscriber.relays if feed in layout_of_relay(context.layouts, relay).site.relays[relay].feeds
    )


def deliveries(context: Context) -> list[Delivery]:
    """Every relay's copy of every feed to every instance, with its way and delay."""
    found = []
    for name, subscriber, instance in _instances_of(context):
        for feed in sorted(subscriber.feeds):
            relays = _carrying(context, subscriber, feed)
            over: Counter[str] = Counter()
            for relay in relays:
                suffix = f".{relay}" if len(relays) > 1 else ""
                endpoints = {
                    channel: Endpoint(instance.address.ip, context.port(f"{feed}.{channel}{suffix}"))
                    for channel in _channels(context, feed)
                }
                path, delay_ns, bridge = _way(context, relay, subscriber)
                sent_to = endpoints
                if bridge is not None:
                    stands_for = {channel: f"{instance.name}.{feed}.{channel}.{relay}" for channel in endpoints}
                    sent_to = _translated(context, bridge, stands_for, over[bridge])
                    over[bridge] += 1
                found.append(Delivery(instance.name, name, feed, relay, endpoints, path, delay_ns, sent_to, bridge))
    return found


def _translated(context: Context, bridge: str, stands_for: dict[str, str], rank: int) -> dict[str, Endpoint]:
    """Where a bridge takes a copy, by channel; the copies of one feed to an instance go to its addresses in turn."""
    planned = context.plan.bridges[bridge]
    return {channel: context.translated(bridge, planned, what, rank) for channel, what in stands_for.items()}


def _channels(context: Context, feed: str) -> list[str]:
    return sorted(next(iter(context.plan.feeds[feed].lines.values())).groups)


def _way(context: Context, relay: str, subscriber: Subscriber) -> tuple[tuple[str, ...], int, str | None]:
    """The names on a relay's way to a subscriber's VPC, the delay of its links one way, and who translates."""
    layout = layout_of_relay(context.layouts, relay)
    uplink_name = layout.uplink_of_relay(relay)
    uplink = layout.site.uplinks[uplink_name]
    router = uplink_router(layout.site, uplink_name)
    vpc = subscriber.subnet.rpartition(".")[0]
    way = cloud_ways(context.plan, uplink.to)[vpc]
    delay_ns = uplink.delay_ns + sum(context.plan.peerings[peering].delay_ns for peering in way.peerings)
    path = (f"{router}-switch", router, uplink_name, *way.steps)
    return path, delay_ns, way.bridge if way.translated else None


def applications(context: Context, found: list[Delivery]) -> list[Application]:
    """Where each instance's application reads: beside its own relay on loopback, or where the one relay sends."""
    result = []
    for name, subscriber, instance in _instances_of(context):
        for feed in sorted(subscriber.feeds):
            copies = [copy for copy in found if copy.instance == instance.name and copy.feed == feed]
            endpoints = copies[0].endpoints
            if len(copies) > 1:
                endpoints = {channel: Endpoint(LOOPBACK, context.port(f"{feed}.{channel}")) for channel in endpoints}
            result.append(Application(instance.name, name, feed, endpoints))
    return result


def subscriber_hosts(context: Context, found: list[Delivery], apps: list[Application]) -> Iterator[Host]:
    """The instances as hosts, each with its own relay where several relays feed it."""
    for _, subscriber, instance in _instances_of(context):
        own = [delivery for delivery in found if delivery.instance == instance.name]
        reads = [application for application in apps if application.instance == instance.name]
        interface = Interface(INSTANCE_INTERFACE, InterfaceRole.CLOUD, (instance.address,), subscriber.subnet)
        yield Host(
            name=instance.name,
            role=HostRole.SUBSCRIBER,
            place=subscriber.subnet,
            interfaces=(interface,),
            routes=(),
            # The application's own ports are not the plan's to know: security groups filter for an instance.
            firewall=Firewall((), ()),
            sysctls=(receive_buffer_setting(),),
            relay=_second_stage(context, interface, own, reads),
            management=cloud_management(context.plan.management),
        )


def _second_stage(
    context: Context, interface: Interface, own: list[Delivery], reads: list[Application]
) -> relay_model.RelayFile | None:
    """The relay beside the application, for the feeds that more than one relay sends; None when there is none."""
    feeds = {}
    for application in reads:
        copies = [delivery for delivery in own if delivery.feed == application.feed]
        if len(copies) == 1:
            continue
        skew_ns = max(copy.delay_ns for copy in copies) - min(copy.delay_ns for copy in copies)
        feed = context.plan.feeds[application.feed]
        feeds[application.feed] = relay_model.Feed(
            protocol=feed.protocol,
            # Each site's relay may itself have waited that long for its other line before its copy left. While it asks
            # a re-request server it holds what follows, so that takes no time here: its copy comes late, and whole.
            hole_wait_ns=nanoseconds(2 * feed.hole_wait_ns + skew_ns),
            # The exchange's servers are out of reach from the cloud. Where the site's relays answer requests
            # themselves (the relay file's re-requests), `recovery` here is to name them.
            lines={
                copy.relay: relay_model.Line(unicast=relay_model.UnicastLine(listen=copy.endpoints)) for copy in copies
            },
        )
    if not feeds:
        return None
    return relay_model.RelayFile(
        version=1,
        name=own[0].instance,
        control_socket=CONTROL_SOCKET,
        metrics=metrics_endpoint(context.plan, interface),
        feeds=feeds,
        subscribers={
            "application": relay_model.Subscriber(
                feeds={read.feed: read.endpoints for read in reads if read.feed in feeds}
            ),
        },
    )
