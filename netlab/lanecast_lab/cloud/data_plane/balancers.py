"""Load balancers: a node each, with a port in every subnet in which it has something to do.

A backend sees its clients' own addresses. [docs] Its answers therefore have to be brought back to the balancer, which
they passed on the way in: the switch of the backend's subnet does that, for flows that a balancer's port has brought.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from lanecast_lab.cloud.api.blb import BACKEND, KIND, LISTENER
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.balancer_rules import (
    CHECKER,
    SETTINGS,
    Backend,
    Balancer,
    Listener,
    Settings,
    target,
)
from lanecast_lab.cloud.data_plane.draft import TO_SUBNET, Draft, SubnetDraft, gateway_of
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
    port_name,
)
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

EVERYWHERE = "0.0.0.0/0"
SYSCTLS = (
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    ("net.ipv4.conf.all.arp_ignore", "1"),
    *WITHOUT_IPV6,
)
PORT_PREFIX = "b"
SESSION_TIMEOUTS = {"TCP": ("tcpSessionTimeout", 900), "UDP": ("udpSessionTimeout", 90), "HTTP": ("", 900)}
"""The field of each kind of listener, and [docs] what holds without one."""

FIRST_BALANCER_BIT = 8
"""Connection marks of a subnet's switch: those below are its security groups'."""

ABOVE, BELOW = 0xFFFF0000, 0x0000FFFF


def describe(draft: Draft) -> None:
    """A node for each load balancer, once it is made."""
    snapshot = draft.snapshot
    joined: dict[str, list[tuple[str, Interface]]] = {}
    for blb in snapshot.of(KIND):
        if snapshot.state(blb) in ("available", "updating") and blb.body["subnetId"] in draft.subnets:
            _add(draft, blb, joined)
    for subnet_id, ports in joined.items():
        _bring_back(draft.subnets[subnet_id], ports)


def _add(draft: Draft, blb: Resource, joined: dict[str, list[tuple[str, Interface]]]) -> None:
    snapshot, home = draft.snapshot, blb.body["subnetId"]
    balancer = _balancer(snapshot, blb)
    places = {
        one.instance: instance.parent or ""
        for one in balancer.backends
        if (instance := snapshot.get("instance", one.instance))
    }
    interfaces, routes = [], [Route(EVERYWHERE, (Hop(TO_SUBNET, gateway_of(draft.subnets[home].resource)),))]
    others = sorted(set(places.values()) - {home})
    for number, subnet_id in enumerate([home, *others]):
        name = TO_SUBNET if subnet_id == home else f"eth{number}"
        here = [one for one in balancer.backends if places.get(one.instance) == subnet_id]
        interface = draft.join_subnet(
            subnet_id,
            blb.key,
            PORT_PREFIX,
            (balancer.address,) if subnet_id == home else (),
            sources=(EVERYWHERE,),
            up=not snapshot.is_down(blb.key),
            interface=name,
        )
        macs = {port.key: port.mac for port in draft.subnets[subnet_id].ports}
        known = tuple((one.address, macs[one.instance]) for one in here)
        interfaces.append(replace(interface, neighbors=known))
        if subnet_id != home:
            routes += [Route(f"{one.address}/32", (Hop(name),)) for one in here]
        joined.setdefault(subnet_id, []).append((blb.key, interface))
    draft.add(
        Node(
            key=blb.key,
            kind=KIND,
            name=blb.body["name"],
            region=blb.region,
            interfaces=tuple(interfaces),
            sysctls=SYSCTLS,
            routes=tuple(routes),
            programs=(_program(Settings(balancer, dict(_checks(snapshot, blb, balancer)))),),
        )
    )


def _program(settings: Settings) -> Program:
    return Program(
        role="balancer",
        command=(sys.executable, "-m", "lanecast_lab.cloud.data_plane.balancer_program", DIRECTORY),
        files=(File(SETTINGS, settings.text()),),
        reload=("sh", "-c", f"kill -HUP $(cat {DIRECTORY}/balancer.pid)"),
        ready="ready",
    )


def _balancer(snapshot: Snapshot, blb: Resource) -> Balancer:
    return Balancer(
        blb.key,
        blb.body["address"],
        tuple(_listener(one) for one in snapshot.parts(blb.key, LISTENER)),
        tuple(
            Backend(one.body["instanceId"], one.body["privateIp"], one.body["weight"])
            for one in snapshot.parts(blb.key, BACKEND)
        ),
    )


def _listener(listener: Resource) -> Listener:
    body = listener.body
    field, default = SESSION_TIMEOUTS[body["_type"]]
    return Listener(
        kind=body["_type"],
        port=body["listenerPort"],
        backend_port=body["backendPort"],
        scheduler=body["scheduler"],
        session_timeout_s=body.get(field) or default,
    )


def _checks(snapshot: Snapshot, blb: Resource, balancer: Balancer) -> Iterator[tuple[str, Check]]:
    """Every listener asks every backend."""
    for resource in snapshot.parts(blb.key, LISTENER):
        body, listener = resource.body, _listener(resource)
        kind = _kind(listener.kind, body.get("healthCheckType"))
        for backend in balancer.backends:
            yield (
                target(listener, backend),
                Check(
                    kind=kind,
                    address=backend.address,
                    port=0 if kind is Kind.ICMP else body.get("healthCheckPort") or listener.backend_port,
                    interval_s=body["healthCheckInterval"],
                    timeout_s=body["healthCheckTimeoutInSecond"],
                    unhealthy_after=body["unhealthyThreshold"],
                    healthy_after=body["healthyThreshold"],
                    text=body.get("healthCheckURI" if kind is Kind.HTTP else "healthCheckString") or "",
                    host=body.get("healthCheckHost") or "",
                    good_statuses=good_statuses(body.get("healthCheckNormalStatus") or "http_2xx|http_3xx"),
                    source=CHECKER,
                ),
            )


def _kind(listener: str, asked: str | None) -> Kind:
    """[docs] By default a listener's own protocol."""
    try:
        return Kind((asked or listener).upper())
    except ValueError:
        return Kind(listener)


def good_statuses(text: str) -> tuple[int, ...]:
    """The classes of ``http_2xx|http_3xx``."""
    digits = (part.removeprefix("http_")[:1] for part in text.split("|"))
    return tuple(sorted(int(digit) for digit in digits if digit.isdigit()))


def _bring_back(subnet: SubnetDraft, ports: list[tuple[str, Interface]]) -> None:
    """Answers to flows that came by a balancer's port leave by it, whatever hardware address they are sent to.

    The port is known to the bridge and the flow to connection tracking, so a packet's mark carries what one knows to
    the other (its upper half, which has no meaning yet when a packet has just come in).
    """
    arrived, back, tracked = [], [], []
    for number, (key, interface) in enumerate(ports, start=1):
        mark, flow = number << 16, number << FIRST_BALANCER_BIT
        arrived.append(f'ether type ip iifname "{port_name(PORT_PREFIX, key)}" meta mark set meta mark or {mark:#x}')
        back.append(
            f"meta mark and {ABOVE:#x} == {mark:#x} ether daddr set {interface.mac}"
            f" meta mark set meta mark and {BELOW:#x}"
        )
        tracked += [
            f"meta mark and {ABOVE:#x} == {mark:#x} ct state new ct mark set ct mark or {flow:#x}",
            f"ct direction reply ct mark and 0xffffff00 == {flow:#x} meta mark set meta mark or {mark:#x} accept",
        ]
    subnet.tables["bridge balancers"] = "\n".join(
        [
            "chain arrived {",
            "type filter hook prerouting priority -200;",
            *arrived,
            "}",
            "chain back {",
            "type filter hook prerouting priority 100;",
            *back,
            "}",
        ]
    )
    subnet.tables["ip balancers"] = "\n".join(
        [
            "chain tracked {",
            "type filter hook prerouting priority mangle;",
            *tracked,
            f"meta mark and {ABOVE:#x} != 0 meta mark set meta mark and {BELOW:#x}",
            "}",
        ]
    )
