"""Instances: a node each, with one interface in its subnet."""

from __future__ import annotations

from lanecast_lab.cloud.api.bcc import user_data_of
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.draft import TO_SUBNET, Draft, gateway_of, subnet_port
from lanecast_lab.cloud.data_plane.model import WITHOUT_IPV6, Hop, Node, Route
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

KIND = "instance"
HAVIP = "havip"
EVERYWHERE = "0.0.0.0/0"


SYSCTLS = (
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    *WITHOUT_IPV6,
)
"""Those that a new namespace would have from the machine. What user data sets comes later and stays."""


def is_running(snapshot: Snapshot, instance: Resource) -> bool:
    """Whether it runs, and its zone is not down."""
    return snapshot.state(instance) == "Running" and not snapshot.is_down(instance.key, instance.body["zoneName"])


def describe(draft: Draft) -> None:
    """A node for each instance; one that does not run keeps its node and is unplugged."""
    snapshot = draft.snapshot
    for instance in snapshot.of(KIND):
        subnet = snapshot.get("subnet", instance.parent or "")
        if subnet is None:
            continue
        interface = draft.join_subnet(
            subnet.key,
            instance.key,
            "i",
            (instance.body["internalIp"],),
            sources=_sources(snapshot, instance),
            groups=tuple(instance.body["_groups"]) or None,
            up=is_running(snapshot, instance),
        )
        draft.add(
            Node(
                key=instance.key,
                kind="instance",
                name=instance.body["name"],
                region=instance.region,
                interfaces=(interface,),
                sysctls=SYSCTLS,
                routes=(Route(EVERYWHERE, (Hop(TO_SUBNET, gateway_of(subnet)),)),),
                user_data=_user_data(instance),
                booted=snapshot.state(instance) == "Running",
            )
        )
        if is_running(snapshot, instance):
            draft.vpcs[subnet.parent or ""].next_hops[instance.key] = Hop(
                subnet_port(subnet.key), instance.body["internalIp"]
            )
    for havip in snapshot.of(HAVIP):
        if havip.parent in draft.subnets:
            hop = Hop(subnet_port(havip.parent), havip.body["privateIpAddress"])
            draft.vpcs[havip.body["vpcId"]].next_hops[havip.key] = hop


def _user_data(instance: Resource) -> str:
    """[SDK] It is sent as base64; what is none is taken as it stands."""
    text: str = instance.body["_userData"]
    try:
        return user_data_of(instance).decode()
    except UnicodeDecodeError:
        return text


def _sources(snapshot: Snapshot, instance: Resource) -> tuple[str, ...]:
    """What it may send from besides its own address: the shared addresses that it may hold, and what routes say to be
    behind it or these."""
    interface = "eni-" + instance.key.removeprefix("i-")
    shared = {
        havip.key: f"{havip.body['privateIpAddress']}/32"
        for havip in snapshot.parts(instance.parent or "", HAVIP)
        if any(bound in (instance.key, interface) for bound, _ in havip.body["_bound"])
    }
    behind = {
        rule.body["destinationAddress"]
        for hop in (instance.key, *shared)
        for rule in snapshot.having("route-rule", "nexthopId", hop)
    }
    return (*sorted(shared.values()), *sorted(behind))
