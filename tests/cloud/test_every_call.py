"""Of every call that is declared: the SDK has it, a test drives it, and no junk breaks it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.app_blb_client import AppBlbClient
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.csn.csn_client import CsnClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.esg.esg_client import EsgClient
from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.localdns.ld_client import LdClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.acl_client import AclClient
from baidubce.services.vpc.nat_client import NatClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_under_test import Cloud

from lanecast_lab.cloud.api.calls import Call, Kind
from lanecast_lab.cloud.api.quotas import DEFAULTS
from lanecast_lab.cloud.api.services import SERVICES

ROOT = Path(__file__).parents[2]
CLIENTS: dict[str, Any] = {
    "vpc": VpcClient,
    "subnet": SubnetClient,
    "route": RouteClient,
    "peerconn": PeerConnClient,
    "eip": EipClient,
    "nat": NatClient,
    "et": EtClient,
    "etGateway": EtGatewayClient,
    "securityGroup": BccClient,
    "enterpriseSecurityGroup": EsgClient,
    "acl": AclClient,
    "bcc": BccClient,
    "havip": HavipClient,
    "blb": BlbClient,
    "appblb": AppBlbClient,
    "privatezone": LdClient,
    "csn": CsnClient,
}
TESTS = "\n".join(path.read_text() for path in sorted(Path(__file__).parent.glob("*.py")) if path != Path(__file__))


DECLARED = [(service.name, call) for service in SERVICES for call in service.calls]


def methods(call: Call) -> list[str]:
    """The SDK's methods that a call answers; one word behind them says what they are called with."""
    return [name.split()[0] for name in call.name.split(", ")]


@pytest.mark.parametrize(("service", "call"), DECLARED, ids=lambda value: getattr(value, "name", value))
def test_the_sdk_has_it_and_a_test_drives_it(service: str, call: Call) -> None:
    for method in methods(call):
        assert callable(getattr(CLIENTS[service], method, None)), method
        assert re.search(rf"\.{method}\b", TESTS), f"no test calls {method}"


def test_the_document_has_every_call_and_quota() -> None:
    lines = (ROOT / "docs/emulated-cloud.md").read_text().splitlines()
    for service in SERVICES:
        names = ", ".join(f"`{name}`" for call in service.calls for name in call.name.split(", "))
        assert f"| {service.name} | {names} |" in lines
    for name, quota in DEFAULTS.items():
        assert f"| `{name}` | {quota.limit} | {quota.text} | {quota.source} |" in lines


JUNK: dict[Kind, list[Any]] = {
    Kind.STRING: ["", "x" * 5000, "²", "0", "-", "10.0.0.0/99", "::/0", "1-", "'; --", "\x00", "🐘", "9" * 5000],
    Kind.INTEGER: [0, -1, 10**30, 2**63],
    Kind.NUMBER: [0, "9" * 5000, "²", -1],
    Kind.BOOLEAN: [True],
    Kind.STRINGS: [[], [""], ["²"], ["x"] * 1000],
    Kind.INTEGERS: [[], [-1], [10**30]],
    Kind.OBJECT: [{}, {"direction": "²"}, {"paymentTiming": 1}],
    Kind.OBJECTS: [[], [{}], [{"port": "²", "type": "²"}], [{"weight": 10**30, "instanceId": "²"}]],
}


@pytest.mark.parametrize(("service", "call"), DECLARED, ids=lambda value: getattr(value, "name", value))
def test_no_junk_breaks_it(shared_emulator: Cloud, service: str, call: Call) -> None:
    path = re.sub(r"{\w+}", "x%00%27%F0%9F%90%98", call.path)
    rounds = max((len(JUNK[field.kind]) for field in call.fields), default=1)
    for number in range(rounds):
        body = {field.name: JUNK[field.kind][number % len(JUNK[field.kind])] for field in call.fields}
        query = {call.flag: ""} if call.flag else {}
        query |= dict.fromkeys(("marker", "maxKeys", "listenerPort", "vpcId"), ("²", "9" * 5000, "")[number % 3])
        status, _, content = shared_emulator.send(call.method, path, query, json.dumps(body).encode())
        assert status < 500, content
        if status != 200:
            assert set(json.loads(content)) == {"code", "message", "requestId"}


VPC = b'{"name": "x", "cidr": "10.0.0.0/16", "tags": [{"tagKey": '


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "\\ud800", "cidr": "10.0.0.0/16"}',
        b"[" * 100_000,
        b'{"a": ' * 50_000,
        VPC + b"NaN}]}",
        VPC + b"-Infinity}]}",
        VPC + b"1e999}]}",
        VPC + b"[" * 900 + b"]" * 900 + b"}]}",
    ],
)
def test_no_odd_json_breaks_it(shared_emulator: Cloud, body: bytes) -> None:
    status, _, content = shared_emulator.send("POST", "/v1/vpc", {}, body)
    assert (status, json.loads(content)["code"]) == (400, "MalformedJSON")
