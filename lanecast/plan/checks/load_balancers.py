"""Load balancers before subscribers: their ports, their address, and whether who may use them gets an answer."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from lanecast.plan.checks.context import CheckContext
from lanecast.plan.layout import reachable_vpcs, subnet_cidr, vpc_cidr
from lanecast.plan.model import LoadBalancer
from lanecast_relay.config.document import PathKey, Problem

Place = tuple[PathKey, ...]


def balancers(context: CheckContext) -> Iterator[Problem]:
    """Every mistake of a load balancer."""
    for name, subscriber in context.plan.subscribers.items():
        if (balancer := subscriber.load_balancer) is not None:
            place = ("subscribers", name, "load-balancer")
            yield from _address(context, subscriber.subnet, balancer, place)
            yield from _ports(context, balancer, place)
            yield from _clients(context, subscriber.subnet, balancer, place)


def _address(context: CheckContext, subnet: str, balancer: LoadBalancer, place: Place) -> Iterator[Problem]:
    cidr = subnet_cidr(context.plan, subnet)
    if balancer.address is None:
        return
    first, last = cidr.network_address, cidr.broadcast_address
    if balancer.address not in cidr:
        yield context.error(f"{balancer.address} is not in {subnet} ({cidr})", *place, "address")
    elif balancer.address in (first, first + 1, last):
        yield context.error(f"{balancer.address} is the cloud's own in {subnet} ({cidr})", *place, "address")


def addresses(context: CheckContext) -> Iterator[Problem]:
    """No two load balancers have the same address."""
    taken: dict[IPv4Address, tuple[str, Place]] = {}
    for name, subscriber in context.plan.subscribers.items():
        balancer = subscriber.load_balancer
        if balancer is None or balancer.address is None:
            continue
        place: Place = ("subscribers", name, "load-balancer", "address")
        if balancer.address in taken and taken[balancer.address][0] == subscriber.subnet:
            message = f"{balancer.address} is another load balancer's"
            yield context.error(message, *place, related=taken[balancer.address][1])
        taken.setdefault(balancer.address, (subscriber.subnet, place))


def _ports(context: CheckContext, balancer: LoadBalancer, place: Place) -> Iterator[Problem]:
    taken: dict[int, Place] = {}
    for name, listener in balancer.listeners.items():
        own: Place = (*place, "listeners", name, "port")
        if listener.port in taken:
            yield context.error(f"{listener.port} is another listener's", *own, related=taken[listener.port])
        taken.setdefault(listener.port, own)


def _clients(context: CheckContext, subnet: str, balancer: LoadBalancer, place: Place) -> Iterator[Problem]:
    """Whoever is let in has to get an answer: the VPC has a way to its own range, to VPCs and to the sites behind."""
    vpc = subnet.rpartition(".")[0]
    reached = reachable_vpcs(context.plan, vpc)
    known = [vpc_cidr(context.plan, one) for one in reached]
    landings = {uplink.to for site in context.plan.sites.values() for uplink in site.uplinks.values()}
    if landings & set(reached):
        known.append(context.plan.pools.sites)
    for name, listener in balancer.listeners.items():
        for index, network in enumerate(listener.clients):
            own = (*place, "listeners", name, "clients", index)
            if network.prefixlen == 0:
                yield context.error("lets everybody in: name the networks of those who use it", *own)
            elif not any(network.subnet_of(one) for one in known):
                yield context.error(f"{network} gets no answer: {vpc} knows {_listed(known)}", *own)


def _listed(networks: list[IPv4Network]) -> str:
    return ", ".join(str(network) for network in sorted(networks))
