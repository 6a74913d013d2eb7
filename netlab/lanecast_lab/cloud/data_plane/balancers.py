"""Load balancers: a node each, with a port in every subnet in which it has something to do.

A backend sees its clients' own addresses. [docs] Its answers therefore have to be brought back to the balancer, which
they passed on the way in: the switch of the backend's subnet does that, for flows that a balancer's port has brought.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from typing import Any

from lanecast_lab.cloud.api import app_blb
from lanecast_lab.cloud.api import app_server_groups as groups
from lanecast_lab.cloud.api.blb import BACKEND, KIND, LISTENER
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.balancer_rules import (
    CHECKER,
    PROCESS_ID,
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
    for kind, read in ((KIND, _plain), (app_blb.KIND, _application)):
        for blb in snapshot.of(kind):
            if snapshot.state(blb) in ("available", "updating") and blb.body["subnetId"] in draft.subnets:
                _add(draft, blb, read(snapshot, blb), joined)
    for subnet_id, ports in joined.items():
        _bring_back(draft.subnets[subnet_id], ports)


def _add(draft: Draft, blb: Resource, settings: Settings, joined: dict[str, list[tuple[str, Interface]]]) -> None:
    snapshot, home, balancer = draft.snapshot, blb.body["subnetId"], settings.balancer
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
            kind=blb.kind,
            name=blb.body["name"],
            region=blb.region,
            interfaces=tuple(interfaces),
            sysctls=SYSCTLS,
            routes=tuple(routes),
            programs=(_program(settings),),
        )
    )


def _program(settings: Settings) -> Program:
    return Program(
        role="balancer",
        command=(sys.executable, "-m", "lanecast_lab.cloud.data_plane.balancer_program", DIRECTORY),
        files=(File(SETTINGS, settings.text()),),
        reload=("sh", "-c", f"kill -HUP $(cat {DIRECTORY}/{PROCESS_ID})"),
        ready="ready",
    )


def _plain(snapshot: Snapshot, blb: Resource) -> Settings:
    """Every listener has every backend, and asks it by its own check."""
    backends = tuple(
        Backend(one.body["instanceId"], one.body["privateIp"], one.body["weight"])
        for one in snapshot.parts(blb.key, BACKEND)
    )
    listeners: list[Listener] = []
    checks: dict[str, Check] = {}
    for resource in snapshot.parts(blb.key, LISTENER):
        body = resource.body
        listener = _listener(body, body["backendPort"], backends)
        listeners.append(listener)
        check = _Asked(
            kind=_kind(listener.kind, body.get("healthCheckType")),
            port=body.get("healthCheckPort") or listener.backend_port,
            interval_s=body["healthCheckInterval"],
            timeout_s=body["healthCheckTimeoutInSecond"],
            unhealthy_after=body["unhealthyThreshold"],
            healthy_after=body["healthyThreshold"],
            path=body.get("healthCheckURI"),
            text=body.get("healthCheckString"),
            host=body.get("healthCheckHost"),
            statuses=body.get("healthCheckNormalStatus"),
        )
        checks |= {target(listener, one): check.of(one.address) for one in backends}
    return Settings(Balancer(blb.key, blb.body["address"], tuple(listeners)), checks)


def _application(snapshot: Snapshot, blb: Resource) -> Settings:
    """The first policy of a listener that is for everything says which group of servers it has, and on which port.

    Policies for some requests alone are left out: listeners here do not look into what they pass on.
    """
    listeners: list[Listener] = []
    checks: dict[str, Check] = {}
    for resource in snapshot.parts(blb.key, app_blb.LISTENER):
        policies = sorted(snapshot.parts(resource.key, groups.POLICY), key=lambda one: int(one.body["priority"]))
        policy = next((one.body for one in policies if _is_for_everything(one.body["ruleList"])), None)
        group = policy["appServerGroupId"] if policy else ""
        backends = tuple(
            Backend(one.body["instanceId"], one.body["privateIp"], one.body["weight"])
            for one in snapshot.parts(group, groups.SERVER)
        )
        listener = _listener(resource.body, policy["backendPort"] if policy else 0, backends)
        listeners.append(listener)
        port = next(
            (one.body for one in snapshot.parts(group, groups.PORT) if one.body["port"] == listener.backend_port), None
        )
        if port is None or port.get("enableHealthCheck") is False:
            continue
        check = _Asked(
            kind=_kind(listener.kind, port["healthCheck"]),
            port=port["healthCheckPort"],
            interval_s=port["healthCheckIntervalInSecond"],
            timeout_s=port["healthCheckTimeoutInSecond"],
            unhealthy_after=port["healthCheckDownRetry"],
            healthy_after=port["healthCheckUpRetry"],
            path=port.get("healthCheckUrlPath"),
            text=port.get("udpHealthCheckString"),
            host=port.get("healthCheckHost"),
            statuses=port.get("healthCheckNormalStatus"),
        )
        checks |= {target(listener, one): check.of(one.address) for one in backends}
    return Settings(Balancer(blb.key, blb.body["address"], tuple(listeners)), checks)


def _is_for_everything(rules: list[dict[str, str]]) -> bool:
    return all(rule["value"] == "*" for rule in rules)


def _listener(body: dict[str, Any], backend_port: int, backends: tuple[Backend, ...]) -> Listener:
    field, default = SESSION_TIMEOUTS[body["_type"]]
    return Listener(
        kind=body["_type"],
        port=body["listenerPort"],
        backend_port=backend_port,
        scheduler=body["scheduler"],
        session_timeout_s=body.get(field) or default,
        backends=backends,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A check in the API's words, whoever is asked."""

    kind: Kind
    port: int
    interval_s: int
    timeout_s: int
    unhealthy_after: int
    healthy_after: int
    path: str | None
    text: str | None
    host: str | None
    statuses: str | None

    def of(self, address: str) -> Check:
        """The same of one backend."""
        return Check(
            kind=self.kind,
            address=address,
            port=0 if self.kind is Kind.ICMP else self.port,
            interval_s=self.interval_s,
            timeout_s=self.timeout_s,
            unhealthy_after=self.unhealthy_after,
            healthy_after=self.healthy_after,
            text=(self.path if self.kind is Kind.HTTP else self.text) or "",
            host=self.host or "",
            good_statuses=good_statuses(self.statuses or "http_2xx|http_3xx"),
            source=CHECKER,
        )


def _kind(listener: str, asked: str | None) -> Kind:
    """[docs] By default a listener's own protocol."""
    try:
        return Kind((asked or listener).upper())
    except ValueError:
        return Kind(listener)


def good_statuses(text: str) -> tuple[int, ...]:
    """The classes of ``http_2xx|http_3xx``."""
    classes = (re.match("(?:http_)?([0-9])", part) for part in text.split("|"))
    return tuple(sorted(int(found[1]) for found in classes if found))


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
