"""Junk in single fields of calls that are right otherwise: each is done or refused, and the data plane reads the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lanecast_lab.cloud.api.calls import Context, JsonObject, Router, checked
from lanecast_lab.cloud.api.errors import ApiError
from lanecast_lab.cloud.api.et import ensure_line
from lanecast_lab.cloud.api.quotas import Quotas
from lanecast_lab.cloud.api.services import SERVICES
from lanecast_lab.cloud.api.store import Scope, Store
from lanecast_lab.cloud.data_plane.description import describe
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

LINE, NOW = "dcphy-junk", 1_800_000_000.0
SCOPE = Scope("account", "bj")
ROUTER = Router(SERVICES)
WORDS = [
    "",
    "\u00b2",
    "\uff18\uff10",
    "80\n",
    "-5",
    "10.0.1.0/255.255.255.0",
    "0.0.0.0/0",
    "80-90-100",
    "\u4f60\u597d",
    "\0",
    "9" * 5000,
    f"bcc.g5.c{'9' * 5000}m8",
    "http_\u00b2xx",
    "AS65001",
    "10.0.1.0/024",
]
NUMBERS = (-1, 0, 65536, 10**30)

RULE = {"protocol": "tcp", "direction": "ingress", "portRange": "80", "sourceIp": "10.0.0.0/8"}
ACL = {
    "subnetId": "{sbn}",
    "protocol": "tcp",
    "sourceIpAddress": "all",
    "destinationIpAddress": "10.0.1.0/24",
    "sourcePort": "all",
    "destinationPort": "80",
    "position": 1,
    "direction": "ingress",
    "action": "allow",
}
CHANNEL = {
    "baiduAddress": "192.0.2.1/30",
    "customerAddress": "192.0.2.2/30",
    "name": "c",
    "routeType": "bgp",
    "vlanId": 5,
    "bgpAsn": "65001",
    "bgpKey": "key",
}
LISTENER = {"listenerPort": 80, "backendPort": 80, "scheduler": "RoundRobin"}
HEALTH = {"healthCheckInterval": 3, "healthThreshold": 3, "unhealthThreshold": 3}
PORT = {"sgId": "{sg}", "port": 80, "type": "HTTP", "healthCheckPort": 80, "healthCheckNormalStatus": "http_2xx"}
POLICY = {"appServerGroupId": "{sg}", "backendPort": 80, "priority": 1, "ruleList": [{"key": "*", "value": "*"}]}
STEPS: list[tuple[str, str, dict[str, str], JsonObject, dict[str, str]]] = [
    ("POST", "/v1/vpc", {}, {"name": "a", "cidr": "10.0.0.0/16"}, {"vpc": "vpcId"}),
    ("POST", "/v1/vpc", {}, {"name": "b", "cidr": "10.1.0.0/16"}, {"other": "vpcId"}),
    (
        "POST",
        "/v1/subnet",
        {},
        {"name": "s", "zoneName": "cn-bj-a", "cidr": "10.0.1.0/24", "vpcId": "{vpc}"},
        {"sbn": "subnetId"},
    ),
    (
        "POST",
        "/v2/instanceBySpec",
        {},
        {"spec": "bcc.g5.c2m8", "imageId": "m", "subnetId": "{sbn}", "userData": "#!/bin/sh"},
        {"i": "instanceIds"},
    ),
    (
        "POST",
        "/v2/securityGroup",
        {},
        {"name": "g", "vpcId": "{vpc}", "rules": [RULE]},
        {"g": "securityGroupId"},
    ),
    ("POST", "/v1/acl/rule", {}, {"aclRules": [ACL]}, {}),
    ("POST", "/v1/eip", {}, {"bandwidthInMbps": 1}, {"eip": "eip"}),
    (
        "POST",
        "/v1/nat",
        {},
        {"name": "n", "vpcId": "{vpc}", "cuNum": 1, "bindEips": ["{eip}"]},
        {"nat": "natId"},
    ),
    (
        "POST",
        "/v1/nat/{nat}/snatRule",
        {},
        {"ruleName": "r", "publicIpsAddress": ["{eip}"], "sourceCIDR": "10.0.1.0/24"},
        {},
    ),
    (
        "POST",
        "/v1/nat/{nat}/dnatRule",
        {},
        {
            "publicIpAddress": "{eip}",
            "privateIpAddress": "10.0.1.2",
            "protocol": "TCP",
            "publicPortRange": "80-81",
            "privatePortRange": "90-91",
        },
        {},
    ),
    ("POST", "/v1/et/{line}/channel", {}, CHANNEL, {"channel": "id"}),
    ("PUT", "/v1/et/{line}/channel/{channel}", {"modifyAttribute": ""}, {"bgpRouteLimit": 100}, {}),
    (
        "POST",
        "/v1/etGateway",
        {},
        {"name": "g", "vpcId": "{vpc}", "speed": 10, "etId": "{line}", "channelId": "{channel}", "localCidrs": []},
        {"gateway": "etGatewayId"},
    ),
    ("POST", "/v1/etGateway/{gateway}/healthCheck", {}, HEALTH, {}),
    (
        "POST",
        "/v1/peerconn",
        {},
        {"bandwidthInMbps": 10, "localVpcId": "{vpc}", "peerVpcId": "{other}", "peerRegion": "bj"},
        {"peerconn": "peerConnId"},
    ),
    ("POST", "/v1/blb", {}, {"vpcId": "{vpc}", "subnetId": "{sbn}"}, {"lb": "blbId"}),
    (
        "POST",
        "/v1/blb/{lb}/backendserver",
        {},
        {"backendServerList": [{"instanceId": "{i}", "weight": 1}]},
        {},
    ),
    (
        "POST",
        "/v1/blb/{lb}/HTTPlistener",
        {},
        {**LISTENER, "healthCheckNormalStatus": "http_2xx", "healthCheckPort": 80},
        {},
    ),
    ("POST", "/v1/blb/{lb}/UDPlistener", {}, {**LISTENER, "udpSessionTimeout": 90}, {}),
    ("POST", "/v1/appblb", {}, {"vpcId": "{vpc}", "subnetId": "{sbn}"}, {"alb": "blbId"}),
    (
        "POST",
        "/v1/appblb/{alb}/HTTPlistener",
        {},
        {"listenerPort": 80, "scheduler": "Hash"},
        {},
    ),
    ("POST", "/v1/appblb/{alb}/appservergroup", {}, {"name": "s"}, {"sg": "id"}),
    ("POST", "/v1/appblb/{alb}/appservergroupport", {}, PORT, {}),
    ("POST", "/v1/appblb/{alb}/policys", {}, {"listenerPort": 80, "appPolicyVos": [POLICY]}, {}),
]
"""Calls that build on one another, and which fields of their answers are the ids that words in braces stand for."""


class _Undone(Exception):
    """What was done is not to be kept."""


class Somewhere:
    """A cloud in this process, with a dedicated line."""

    def __init__(self, state: Path) -> None:
        self.store = Store(state)
        self.ids = {"line": LINE}
        with self.store.transaction(NOW):
            ensure_line(self.store, SCOPE, LINE)

    def filled(self, text: str) -> str:
        return re.sub(r"{(\w+)}", lambda found: self.ids[found[1]], text)

    def perform(self, method: str, path: str, query: dict[str, str], body: JsonObject) -> JsonObject:
        """What the application does with a request that is signed."""
        call, _, variables = ROUTER.find(method, self.filled(path), query)
        context = Context(self.store, SCOPE, True, NOW, 0.0, Quotas(), frozenset(), query, variables)
        context.body = checked(body, call.fields)
        return call.handler(context) or {}

    def is_done(self, method: str, path: str, query: dict[str, str], body: JsonObject) -> bool:
        """Whether it is done, and what there is then can be described. Nothing of it is kept."""
        try:
            with self.store.transaction(NOW):
                self.perform(method, path, query, body)
                describe(Snapshot([one for kind in KINDS for one in self.store.find(kind)], NOW))
                raise _Undone
        except _Undone:
            return True
        except ApiError:
            return False


KINDS = [
    "vpc",
    "route-table",
    "route-rule",
    "subnet",
    "acl-rule",
    "security-group",
    "security-group-rule",
    "instance",
    "eip",
    "nat",
    "snat-rule",
    "dnat-rule",
    "et-line",
    "et-channel",
    "et-gateway",
    "peering",
    "blb",
    "blb-listener",
    "blb-backend",
    "app-blb",
    "app-blb-listener",
    "app-server-group",
    "app-server-group-port",
    "app-policy",
]


def _junk(value: Any) -> Iterator[Any]:
    """The value with one thing in it replaced by junk."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: junk} for junk in _junk(inner))
    elif isinstance(value, list):
        yield []
        yield from ([junk] for inner in value[:1] for junk in _junk(inner))
    else:
        yield from WORDS if isinstance(value, str) else NUMBERS


@pytest.fixture
def somewhere(tmp_path: Path) -> Iterator[Somewhere]:
    found = Somewhere(tmp_path)
    yield found
    found.store.close()


def test_junk_in_one_field_is_refused_or_done(somewhere: Somewhere) -> None:
    outcomes = []
    for method, path, query, template, kept in STEPS:
        right: JsonObject = json.loads(somewhere.filled(json.dumps(template)))
        outcomes += [somewhere.is_done(method, path, query, body) for body in _junk(right)]
        assert somewhere.is_done(method, path, query, right)
        with somewhere.store.transaction(NOW):
            answer = somewhere.perform(method, path, query, right)
        for word, field in kept.items():
            value = answer[field]
            somewhere.ids[word] = value[0] if isinstance(value, list) else value
    assert outcomes.count(False) > 500
    assert outcomes.count(True) > 100
