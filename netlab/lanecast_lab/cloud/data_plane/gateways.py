"""Dedicated-line gateways: a node each, between its VPC's router and the patch panel of a physical line.

Where the channel has BGP the node runs FRR, with the configuration that the lab's own gateways have
(``lanecast.router.Router``, spelled by the project's templates); otherwise its routes are the channel's networks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.plan.model import Platform, SecretReference
from lanecast.router import (
    Bfd,
    Bgp,
    BgpNeighbor,
    Firewall,
    InterfaceRole,
    Prefixes,
    Router,
    RouterRole,
)
from lanecast.router import (
    Interface as RouterInterface,
)
from lanecast_lab.cloud.api.et import CHANNEL, RULE
from lanecast_lab.cloud.api.et_gateway import BOUND, KIND
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.draft import NEXT_ROUTER, TO_VPC, Draft
from lanecast_lab.cloud.data_plane.gateway_settings import (
    CONFIGURATION,
    DAEMONS,
    LINE,
    PROCESS_ID,
    SETTINGS,
    VPC_PORT,
    Settings,
)
from lanecast_lab.cloud.data_plane.health import Check, Kind
from lanecast_lab.cloud.data_plane.model import (
    DIRECTORY,
    WITHOUT_IPV6,
    File,
    Hop,
    Interface,
    Node,
    Program,
    Route,
    hardware_address,
)
from lanecast_lab.cloud.data_plane.snapshot import Snapshot
from lanecast_templates.environment import Templates
from lanecast_templates.router_secrets import NodeSecrets, RouterSecrets
from lanecast_templates.secrets import SecretResolver
from lanecast_templates.views.frr import DEFAULT_VERSION, frr_router

CLOUD_ASN = 45085
"""[docs] The cloud's own, on every channel."""

MOST_ROUTES = 100
"""[docs: ET, usage restrictions] What BGP may bring when the channel says nothing."""

KEEPALIVE_S, HOLD_S, CONNECT_RETRY_S = 20, 60, 5
"""[assumed] BGP's timers at the cloud's end; the hold time is the smaller one of both ends (RFC 4271)."""

EVERYTHING = IPv4Network("0.0.0.0/0")
SYSCTLS = (
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    *WITHOUT_IPV6,
)
HEADER = "Written by lanecast's emulated cloud from what its API was told."
FILE_MODE, SECRET_MODE = 0o644, 0o600
KEY = "bgp-key"


@dataclass(frozen=True, slots=True)
class Gateway:
    """What of a gateway and its channel decides about packets."""

    key: str
    vpc: str
    channel: str
    cloud_address: IPv4Interface
    site_address: IPv4Interface
    vlan: int
    local_cidrs: tuple[IPv4Network, ...]
    site_networks: tuple[IPv4Network, ...]
    site_asn: int | None
    """With BGP; None with static routes."""
    bfd: Bfd | None
    most_routes: int


def describe(draft: Draft) -> None:
    """A node for each gateway whose channel is there. [assumed] Of several on one channel the oldest has the line."""
    taken: set[str] = set()
    for resource in draft.snapshot.of(KIND):
        if draft.snapshot.state(resource) != BOUND or resource.body["vpcId"] not in draft.vpcs:
            continue
        channel = draft.snapshot.get(CHANNEL, resource.body["channelId"])
        if channel is None or channel.key in taken or draft.snapshot.state(channel) != "established":
            continue
        taken.add(channel.key)
        _add(draft, resource, channel)


def _add(draft: Draft, resource: Resource, channel: Resource) -> None:
    gateway = read_gateway(draft.snapshot, resource, channel)
    line_is_up = not draft.snapshot.is_down(channel.key, channel.parent or "")
    down = draft.snapshot.is_down(gateway.key) or not line_is_up
    router, cable = draft.join_router(gateway.vpc, gateway.key, "g", interface=VPC_PORT)
    draft.vpcs[gateway.vpc].next_hops[gateway.key] = Hop(router.name, NEXT_ROUTER)
    draft.join_line(channel.parent or "", gateway.vlan, gateway.key, LINE, up=line_is_up)
    vpc = Interface(TO_VPC, mac=cable.mac, bridge=True, neighbors=cable.neighbors)
    line = Interface(LINE, (str(gateway.cloud_address),), hardware_address(gateway.key, LINE), up=not down)
    # the gateway's own program plugs it in
    port = replace(cable, up=False, master=TO_VPC, neighbors=())
    settings = Settings(gateway.site_asn is not None, down, _check(resource))
    draft.add(
        Node(
            key=gateway.key,
            kind=KIND,
            name=resource.body["name"],
            region=resource.region,
            interfaces=(vpc, port, line),
            sysctls=SYSCTLS,
            routes=tuple(_routes(gateway)),
            programs=(_program(gateway, channel, settings),),
        )
    )


def read_gateway(snapshot: Snapshot, resource: Resource, channel: Resource) -> Gateway:
    """The gateway with its channel. [assumed] Without local CIDRs it is for its whole VPC."""
    body = channel.body
    local = resource.body["localCidrs"]
    if not local and (vpc := snapshot.get("vpc", resource.body["vpcId"])):
        local = [vpc.body["cidr"], *vpc.body["secondaryCidr"]]
    ruled = [
        rule.body["destAddress"] for rule in snapshot.parts(channel.key, RULE) if rule.body["nexthopId"] == resource.key
    ]
    bgp = body["routeType"] == "bgp"
    timers = body.get("_bfd")
    return Gateway(
        key=resource.key,
        vpc=resource.body["vpcId"],
        channel=channel.key,
        cloud_address=IPv4Interface(body["baiduAddress"]),
        site_address=IPv4Interface(body["customerAddress"]),
        vlan=int(body["vlanId"]),
        local_cidrs=tuple(sorted({IPv4Network(one) for one in (*local, *ruled)})),
        site_networks=() if bgp else tuple(sorted({IPv4Network(one) for one in body["networks"]})),
        site_asn=int(body["bgpAsn"]) if bgp else None,
        bfd=_bfd(timers) if bgp and timers else None,
        most_routes=body.get("bgpRouteLimit") or MOST_ROUTES,
    )


def _bfd(timers: dict[str, int]) -> Bfd:
    """Routers here have one interval for both directions: the slower one breaks no promise."""
    return Bfd(max(timers["sendInterval"], timers["receivInterval"]), timers["detectMultiplier"])


def _check(resource: Resource) -> Check | None:
    """The health check that was asked for. [docs]"""
    body = resource.body
    if "healthCheckDestIp" not in body:
        return None
    return Check(
        kind=Kind.ICMP,
        address=body["healthCheckDestIp"],
        interval_s=body["healthCheckInterval"],
        timeout_s=body["healthCheckInterval"],
        unhealthy_after=body["unhealthThreshold"],
        healthy_after=body["healthThreshold"],
    )


def _routes(gateway: Gateway) -> Iterator[Route]:
    for cidr in gateway.local_cidrs:
        yield Route(str(cidr), (Hop(TO_VPC, NEXT_ROUTER),))
    for network in gateway.site_networks:
        if network not in gateway.local_cidrs:
            yield Route(str(network), (Hop(LINE, str(gateway.site_address.ip)),))


def _program(gateway: Gateway, channel: Resource, settings: Settings) -> Program:
    files = [File(SETTINGS, settings.text())]
    if gateway.site_asn is not None:
        key: str = channel.body["bgpKey"]
        configuration, daemons = frr_files(gateway_router(gateway, bool(key)), key)
        files += [File(CONFIGURATION, configuration, SECRET_MODE if key else FILE_MODE), File(DAEMONS, daemons)]
    module = "lanecast_lab.cloud.data_plane.gateway_program"
    return Program(
        role="gateway",
        command=("unshare", "--mount", "--propagation", "private", "--", sys.executable, "-m", module, DIRECTORY),
        files=tuple(files),
        reload=("sh", "-c", f"kill -HUP $(cat {DIRECTORY}/{PROCESS_ID})"),
        ready="ready",
    )


def gateway_router(gateway: Gateway, has_key: bool) -> Router:
    """The gateway as a router whose configuration the project's templates spell. Its static routes are the kernel's."""
    outside = RouterInterface(LINE, InterfaceRole.UPLINK, (gateway.cloud_address,), gateway.channel, bfd=gateway.bfd)
    asn = gateway.site_asn
    assert asn is not None  # asked for with BGP only
    neighbor = BgpNeighbor(
        node=gateway.channel,
        description=f"{gateway.channel} VLAN {gateway.vlan}",
        address=gateway.site_address.ip,
        asn=asn,
        interface=LINE,
        accept=Prefixes("from-site", (EVERYTHING,), longer=IPv4Address(0).max_prefixlen),
        announce=Prefixes("to-site", gateway.local_cidrs),
        accept_as_paths=f"as-{asn}",
        maximum_prefixes=gateway.most_routes,
        password=SecretReference(environment=KEY) if has_key else None,
        bfd=gateway.bfd is not None,
    )
    return Router(
        name=gateway.key,
        role=RouterRole.GATEWAY,
        place=gateway.vpc,
        platform=Platform.FRR,
        interfaces=(outside,),
        routes=(),
        bgp=Bgp(
            asn=CLOUD_ASN,
            router_id=gateway.cloud_address.ip,
            networks=gateway.local_cidrs,
            neighbors=(neighbor,),
            keepalive_s=KEEPALIVE_S,
            hold_s=HOLD_S,
            connect_retry_s=CONNECT_RETRY_S,
        ),
        multicast=None,
        firewall=Firewall((), ()),
        sysctls=(),
    )


class _ChannelSecrets(RouterSecrets):
    """The one secret of a gateway: what its channel was given."""

    def __init__(self, router: Router, key: str) -> None:
        NodeSecrets.__init__(self, router.management, SecretResolver({KEY: key}))

    def _line_of(self, neighbor: BgpNeighbor) -> tuple[str, ...]:
        return (neighbor.node,)


@lru_cache(maxsize=256)
def frr_files(router: Router, key: str) -> tuple[str, str]:
    """The texts of frr.conf, which holds the key, and of daemons."""
    secrets = _ChannelSecrets(router, key)
    view = frr_router(DEFAULT_VERSION, router, secrets)
    values = {"frr": view, "header": HEADER, "holds_secret": bool(secrets.values)}
    return _templates().render("frr/frr.conf.j2", **values), _templates().render("frr/daemons.j2", **values)


@lru_cache(maxsize=1)
def _templates() -> Templates:
    return Templates()
