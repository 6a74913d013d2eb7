"""Load balancers before what subscribers' applications answer themselves."""

from __future__ import annotations

from lanecast.cloud_state import CloudListener, CloudLoadBalancer
from lanecast.compiler.context import Context
from lanecast.plan.layout import subnet_cidr


def load_balancers(context: Context) -> list[CloudLoadBalancer]:
    """Every subscriber's that has one."""
    found = []
    for name, subscriber in sorted(context.plan.subscribers.items()):
        balancer = subscriber.load_balancer
        if balancer is None:
            continue
        chosen = balancer.address or context.balancer_address(name, subnet_cidr(context.plan, subscriber.subnet))
        listeners = tuple(
            CloudListener(key, one.port, one.backend_port or one.port, tuple(sorted(one.clients)))
            for key, one in sorted(balancer.listeners.items())
        )
        instances = tuple(f"{name}-{number}" for number in range(1, subscriber.count + 1))
        found.append(CloudLoadBalancer(f"{name}-balancer", subscriber.subnet, chosen, instances, listeners))
    return found
