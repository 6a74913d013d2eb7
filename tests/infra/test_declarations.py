"""What follows from the declarations: checks, differences, schema, typed classes. No engine and no cloud is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from lanecast_infra.provider import classes
from lanecast_infra.provider.checks import check
from lanecast_infra.provider.configuration import VARIABLES, check_settings, settings_from
from lanecast_infra.provider.declarations import FUNCTIONS, RESOURCES
from lanecast_infra.provider.differences import deletes_first, differences
from lanecast_infra.provider.failures import GENERAL, CloudError, explain
from lanecast_infra.provider.lifecycle import inputs_of
from lanecast_infra.provider.model import Change, Field, Kind, Output, Resource, Values
from lanecast_infra.provider.schema import schema
from lanecast_infra.provider.wire import SECRET, SIGNATURE, UNKNOWN, UNKNOWN_TEXT, pack, unpack

ROOT = Path(__file__).parent.parent.parent

VPC: Values = {"cidr": "10.8.0.0/16"}
SUBNET: Values = {"vpcId": "vpc-1", "cidr": "10.8.1.0/24", "zoneName": "cn-hkg-a"}
ROUTE: Values = {"routeTableId": "rt-1", "destinationAddress": "10.16.0.0/16", "nexthopType": "peerConn"}
PEERING: Values = {"bandwidthInMbps": 100, "localVpcId": "vpc-1", "peerVpcId": "vpc-2", "peerRegion": "gz"}
NAT: Values = {"vpcId": "vpc-1", "spec": "small"}
SNAT: Values = {"natId": "nat-1", "sourceCidr": "10.8.1.0/24", "publicIpAddresses": ["198.18.0.1"]}
DNAT: Values = {"natId": "nat-1", "publicIpAddress": "198.18.0.1", "privateIpAddress": "10.8.1.5", "protocol": "TCP"}
EIP: Values = {"bandwidthInMbps": 10}
CHANNEL: Values = {
    "etId": "dcphy-1",
    "baiduAddress": "192.0.2.129/30",
    "customerAddress": "192.0.2.130/30",
    "vlanId": 201,
    "routeType": "bgp",
    "bgpAsn": "65001",
}
GATEWAY: Values = {"vpcId": "vpc-1", "speed": 1000}
GROUP: Values = {"vpcId": "vpc-1"}
RULE: Values = {"securityGroupId": "g-1", "direction": "ingress"}
ACL: Values = {"subnetId": "sbn-1", "direction": "ingress", "position": 1, "action": "deny"}
INSTANCE: Values = {"spec": "bcc.g5.c2m8", "imageId": "m-1", "subnetId": "sbn-1"}
BALANCER: Values = {"vpcId": "vpc-1", "subnetId": "sbn-1"}
LISTENER: Values = {"blbId": "lb-1", "protocol": "TCP", "listenerPort": 443, "backendPort": 8443}
BACKEND: Values = {"blbId": "lb-1", "instanceId": "i-1"}
HAVIP: Values = {"subnetId": "sbn-1"}
ZONE: Values = {"zoneName": "lane.internal"}
RECORD: Values = {"zoneId": "zone-1", "rr": "front", "type": "A", "value": "10.8.1.20"}
RIGHT = {
    "Vpc": VPC,
    "Subnet": SUBNET,
    "RouteRule": ROUTE,
    "PeerConnection": PEERING,
    "NatGateway": NAT,
    "SnatRule": SNAT,
    "DnatRule": DNAT,
    "Eip": EIP,
    "DedicatedLineChannel": CHANNEL,
    "DedicatedLineGateway": GATEWAY,
    "SecurityGroup": GROUP,
    "SecurityGroupRule": RULE,
    "NetworkAclRule": ACL,
    "Instance": INSTANCE,
    "HaVip": HAVIP,
    "LoadBalancer": BALANCER,
    "LoadBalancerListener": LISTENER,
    "LoadBalancerBackend": BACKEND,
    "PrivateZone": ZONE,
    "Record": RECORD,
}
"""The least that each resource needs."""
TEXTS = {Kind.STRING: "x", Kind.INTEGER: 1, Kind.BOOLEAN: True, Kind.STRINGS: ["x"], Kind.TAGS: {"a": "b"}}


def declared(name: str) -> Resource:
    return RESOURCES[f"baiducloud:index:{name}"]


def checked(name: str, **changes: Any) -> Values:
    """The inputs with these changes, after the check; a change to None leaves the field out."""
    given = {field: value for field, value in {**RIGHT[name], **changes}.items() if value is not None}
    values, mistakes = check(declared(name), "purpose", given)
    assert mistakes == []
    return values


def test_every_resource_is_tried_here() -> None:
    assert set(RIGHT) == {one.name for one in RESOURCES.values()}


@pytest.mark.parametrize("name", RIGHT)
def test_the_least_is_enough_and_less_is_not(name: str) -> None:
    checked(name)
    for field in declared(name).fields:
        if field.required:
            given = {one: value for one, value in RIGHT[name].items() if one != field.name}
            assert (field.name, "is required") in check(declared(name), "purpose", given)[1]


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_unknown_is_no_mistake(name: str) -> None:
    unknown: Values = {field.name: UNKNOWN for field in declared(name).fields if field.required}
    assert check(declared(name), "purpose", unknown)[1] == []


@pytest.mark.parametrize("name", RIGHT)
def test_values_of_another_type_are_mistakes(name: str) -> None:
    for field in declared(name).fields:
        wrong = 1 if field.kind is not Kind.INTEGER else "1"
        mistakes = check(declared(name), "purpose", {**RIGHT[name], field.name: wrong})[1]
        assert [text for one, text in mistakes if one == field.name and text.startswith("must be ")], field.name


@pytest.mark.parametrize(
    ("name", "changes", "property_name", "text"),
    [
        ("Vpc", {"cidr": "10.8.0.1/16"}, "cidr", "write 10.8.0.0/16"),
        ("Vpc", {"cidr": "10.8.0.0/30"}, "cidr", "the mask must be /8 to /28"),
        ("Vpc", {"cdir": "10.8.0.0/16"}, "cdir", "did you mean cidr?"),
        ("Vpc", {"secondaryCidrs": ["10.9.0.0/33"]}, "secondaryCidrs", "is no IPv4 network"),
        ("Vpc", {"name": "n" * 66}, "name", "has 66 characters; 1 to 65 are allowed"),
        ("Subnet", {"subnetType": "BCCC"}, "subnetType", "is none of BCC, BCC_NAT, BBC"),
        ("RouteRule", {"nexthopId": "a", "nexthopIds": ["a", "b"]}, "nexthopIds", "either nexthopId or nexthopIds"),
        ("RouteRule", {"nexthopIds": ["a"]}, "nexthopIds", "write nexthopId"),
        ("PeerConnection", {"bandwidthInMbps": 0}, "bandwidthInMbps", "0 is not from 1 to 10000"),
        ("NatGateway", {"cuNum": 2}, "cuNum", "either spec or cuNum"),
        ("NatGateway", {"bindEips": ["198.18.0.1"]}, "bindEips", "only a gateway with cuNum"),
        ("SnatRule", {"publicIpAddresses": []}, "publicIpAddresses", "is empty"),
        ("DnatRule", {"protocol": "all", "publicPort": 1}, "publicPort", "a rule for all protocols has no ports"),
        ("DnatRule", {"publicPort": 1, "publicPortRange": "1-2"}, "publicPortRange", "either publicPort or"),
        ("Eip", {"instanceId": "i-1"}, "instanceType", "are given together"),
        ("DedicatedLineChannel", {"baiduAddress": "192.0.2.129"}, "baiduAddress", "no address with length"),
        ("DedicatedLineChannel", {"vlanId": 1}, "vlanId", "neither 0 (no tag) nor from 2 to 4009"),
        ("DedicatedLineChannel", {"bgpAsn": None}, "bgpAsn", "is required with routeType bgp"),
        ("DedicatedLineChannel", {"bfdSendInterval": 100}, "bfdSendInterval", "100 is not from 200 to 1000"),
        ("DedicatedLineChannel", {"bfdSendInterval": 300}, "bfdReceiveInterval", "are given together"),
        ("DedicatedLineChannel", {"routeType": "static-route"}, "networks", "is required with routeType static-route"),
        ("DedicatedLineGateway", {"etId": "dcphy-1"}, "channelId", "are given together"),
        ("DedicatedLineGateway", {"healthCheckInterval": 61}, "healthCheckInterval", "61 is not from 1 to 60"),
        ("SecurityGroupRule", {"destIp": "10.0.0.0/8"}, "destIp", "means nothing in a rule for ingress"),
        ("SecurityGroupRule", {"portRange": "90-80"}, "portRange", "is no port such as 443 or 80-90"),
        ("NetworkAclRule", {"position": 5001}, "position", "5001 is not from 1 to 5000"),
        ("HaVip", {"instanceIds": ["a", "b", "c", "d", "e", "f"]}, "instanceIds", "has 6 instances; 5 are the most"),
        ("HaVip", {"instanceIds": ["a", "a"]}, "instanceIds", "names one twice"),
        ("HaVip", {"instanceType": "NAT"}, "instanceType", "is none of SERVER, ENI"),
        ("LoadBalancerListener", {"healthCheckUri": "/"}, "healthCheckUri", "is for HTTP listeners"),
        ("LoadBalancerBackend", {"weight": 101}, "weight", "101 is not from 0 to 100"),
        ("Record", {"priority": 1}, "priority", "is for MX records"),
    ],
)
def test_mistakes_are_told_by_property(name: str, changes: Values, property_name: str, text: str) -> None:
    given = {field: value for field, value in {**RIGHT[name], **changes}.items() if value is not None}
    mistakes = check(declared(name), "purpose", given)[1]
    assert [one for one, told in mistakes if one == property_name and text in told], mistakes


def test_what_is_not_known_yet_is_given_all_the_same() -> None:
    """Before a channel is made its gateway is previewed with an id that nobody knows."""
    given = {**RIGHT["DedicatedLineGateway"], "etId": "dcphy-1", "channelId": UNKNOWN}
    assert check(declared("DedicatedLineGateway"), "purpose", given)[1] == []


def test_tags_cannot_be_changed_since_no_call_does() -> None:
    before = checked("Vpc", tags={"plan": "a"})
    mistakes = check(declared("Vpc"), "purpose", {**VPC, "tags": {"plan": "b"}}, before)[1]
    assert mistakes == [("tags", "cannot be changed once the Vpc is there: the API has no call for it")]


@pytest.mark.parametrize("name", RIGHT)
def test_every_field_differs_as_it_is_declared(name: str) -> None:
    old = checked(name)
    for field in declared(name).fields:
        new = {**old, field.name: TEXTS[field.kind] if old.get(field.name) != TEXTS[field.kind] else "y"}
        (found,) = differences(declared(name), old, new)
        assert (found.field.name, found.replaces) == (field.name, field.change is Change.REPLACE)
        assert differences(declared(name), old, new, frozenset({field.name})) == []
        (unknown,) = differences(declared(name), old, {**old, field.name: UNKNOWN})
        assert unknown.replaces == (field.change is Change.REPLACE)
    assert differences(declared(name), old, old) == []


REPLACED = {
    "Vpc": {"cidr"},
    "Subnet": {"vpcId", "cidr", "zoneName", "subnetType"},
    "RouteRule": {"routeTableId", "sourceAddress", "destinationAddress", "nexthopIds", "pathType"},
    "PeerConnection": {"localVpcId", "peerVpcId", "peerRegion", "peerAccountId"},
    "NatGateway": {"vpcId", "spec"},
    "SnatRule": {"natId"},
    "DnatRule": {"natId"},
    "Eip": {"name", "billingMethod"},
    "DedicatedLineChannel": {
        "etId",
        "baiduAddress",
        "customerAddress",
        "vlanId",
        "routeType",
        "bgpAsn",
        "bgpKey",
    },
    "DedicatedLineGateway": {"vpcId"},
    "SecurityGroup": {"name", "vpcId", "description"},
    "SecurityGroupRule": {"securityGroupId", "direction", "ethertype"},
    "NetworkAclRule": {"subnetId", "direction"},
    "Instance": {"spec", "imageId", "subnetId", "internalIp", "userData", "keypairId"},
    "HaVip": {"subnetId", "privateIpAddress"},
    "LoadBalancer": {"vpcId", "subnetId", "address"},
    "LoadBalancerListener": {"blbId", "protocol", "listenerPort"},
    "LoadBalancerBackend": {"blbId", "instanceId"},
    "PrivateZone": {"zoneName"},
    "Record": {"zoneId"},
}
"""What takes a new resource; everything else is changed in place, but for tags."""


def test_what_takes_a_new_resource() -> None:
    found = {
        one.name: {field.name for field in one.fields if field.change is Change.REPLACE} for one in RESOURCES.values()
    }
    assert found == REPLACED


@pytest.mark.parametrize(
    ("name", "changes", "first"),
    [
        ("Vpc", {"cidr": "10.8.0.0/17"}, False),  # two VPCs may have the same addresses
        ("Subnet", {"cidr": "10.8.1.0/25"}, True),
        ("Subnet", {"cidr": "10.8.2.0/24"}, False),
        ("Subnet", {"zoneName": "cn-hkg-b"}, True),
        ("Subnet", {"vpcId": UNKNOWN}, True),
        ("RouteRule", {"nexthopIds": ["a", "b"]}, True),
        ("RouteRule", {"destinationAddress": "10.24.0.0/16"}, False),
        ("PeerConnection", {"peerRegion": "bj"}, True),
        ("DedicatedLineChannel", {"bgpKey": "x"}, True),
        ("DedicatedLineChannel", {"vlanId": 202}, False),
        ("Instance", {"spec": "bcc.g5.c4m16"}, False),
        ("Instance", {"internalIp": "10.8.1.9"}, False),
        ("HaVip", {"subnetId": "sbn-2"}, False),
    ],
)
def test_a_replacement_that_cannot_stand_beside_the_old_one_deletes_it_first(
    name: str, changes: Values, first: bool
) -> None:
    old = checked(name)
    assert deletes_first(declared(name), old, {**old, **changes}) is first


def test_a_machine_that_keeps_its_address_is_deleted_first() -> None:
    old = checked("Instance", internalIp="10.8.1.9")
    assert deletes_first(declared("Instance"), old, {**old, "spec": "bcc.g5.c4m16"})


def test_what_the_cloud_chose_is_no_difference() -> None:
    old, live = checked("LoadBalancer"), {**checked("LoadBalancer"), "address": "10.8.1.9", "status": "available"}
    assert inputs_of(declared("LoadBalancer"), live, old) == {
        name: value for name, value in old.items() if value != ""
    } | {"description": ""}
    said = {**old, "address": "10.8.1.9"}
    assert [one.replaces for one in differences(declared("LoadBalancer"), old, said)] == [True]
    assert differences(declared("LoadBalancer"), old, said, live=live) == []
    imported = inputs_of(declared("LoadBalancer"), live, None)
    assert imported["address"] == "10.8.1.9"
    assert differences(declared("LoadBalancer"), imported, old) == []


def test_an_import_takes_nothing_over_that_the_cloud_chose_and_may_change() -> None:
    live = {"name": "out", "bandwidthInMbps": 10, "instanceType": "NAT", "instanceId": "nat-1", "status": "binded"}
    assert inputs_of(declared("Eip"), live, None) == {"name": "out", "bandwidthInMbps": 10}


def test_drift_shows_in_the_inputs_and_the_order_of_sets_does_not() -> None:
    old = checked("NatGateway", eips=["198.18.0.1", "198.18.0.2"])
    live = {**old, "eips": ["198.18.0.2", "198.18.0.1"], "name": "by hand"}
    found = inputs_of(declared("NatGateway"), live, old)
    assert (found["eips"], found["name"]) == (["198.18.0.1", "198.18.0.2"], "by hand")
    assert [one.field.name for one in differences(declared("NatGateway"), found, old)] == ["name"]


def test_properties_come_and_go_as_the_engine_spells_them() -> None:
    packed = Struct()
    secret = {SIGNATURE: SECRET, "value": "hidden"}
    packed.update({"a": secret, "b": UNKNOWN_TEXT, "c": ["x", UNKNOWN_TEXT], "d": {"e": secret}, "n": None, "i": 3})
    values, secrets = unpack(packed)
    assert values == {"a": "hidden", "b": UNKNOWN, "c": ["x", UNKNOWN], "d": {"e": "hidden"}, "i": 3}
    assert secrets == {"a", "d"}
    again, same = unpack(pack(values, secrets))
    assert (again, same) == (values, secrets)
    assert pack({"a": "hidden"}, {"a"})["a"][SIGNATURE] == SECRET


def test_the_schema_says_what_is_secret_required_and_replaced() -> None:
    spelt = schema()
    assert set(spelt["resources"]) == set(RESOURCES)
    assert set(spelt["functions"]) == set(FUNCTIONS)
    channel = spelt["resources"]["baiducloud:index:DedicatedLineChannel"]
    assert channel["inputProperties"]["bgpKey"]["secret"]
    assert channel["inputProperties"]["vlanId"] == {
        "type": "integer",
        "description": "The VLAN, or 0 for none. A change makes a new one.",
        "willReplaceOnChanges": True,
    }
    assert "vlanId" in channel["requiredInputs"]
    assert {"status", "bgpStatus", "channelId"} <= set(channel["required"])
    assert spelt["config"]["variables"]["secretKey"]["secret"]


def test_every_field_names_its_source() -> None:
    for resource in RESOURCES.values():
        parts: list[Field | Output] = [*resource.fields, *resource.outputs]
        for one in parts:
            assert one.source, (resource.name, one.name)
            assert one.doc.endswith("."), (resource.name, one.name)


def test_the_typed_classes_are_those_of_the_declarations() -> None:
    """`python -m lanecast_infra.provider.classes` brings them up to date."""
    written = {path.name: path.read_text() for path in classes.FOLDER.glob("*.py")}
    assert written == classes.files()


REQUEST = "2f8c0e5b"


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("code", [*GENERAL, "TooManyRequests", "InappropriateJSON", "SomethingNew"])
def test_an_error_names_resource_code_request_and_what_to_do(name: str, code: str) -> None:
    error = CloudError("a_call", 400, code, "it cannot be", REQUEST)
    text = explain(declared(name), "purpose", "made", error)
    assert text.startswith(f'{name} "purpose" could not be made')
    assert f"a_call: {code}: it cannot be (request {REQUEST}). What to do: " in text
    assert text.endswith(".")


def test_an_error_names_the_field_that_the_message_begins_with_or_that_the_code_is_about() -> None:
    def told(code: str, message: str) -> str:
        return explain(declared("RouteRule"), "r", "made", CloudError("create_route", 409, code, message, REQUEST))

    assert "could not be made: sourceAddress: create_route: " in told("CidrConflict", "sourceAddress: is not inside")
    assert "could not be made: destinationAddress: create_route: " in told("CidrConflict", "overlaps")
    assert "could not be made: create_route: " in told("InappropriateJSON", "elephant: has to be grey")


def test_every_advice_is_about_a_field_that_there_is() -> None:
    for resource in RESOURCES.values():
        for code, advice in resource.advice:
            assert advice.field is None or resource.field(advice.field), (resource.name, code)
            assert not advice.what_to_do.endswith(".")


def test_settings() -> None:
    assert check_settings({"region": "hkg", "endpoint": "http://127.0.0.1:8080/"}) == []
    ((name, text),) = check_settings({"endpoint": "http://127.0.0.1:8080/region/hkg"})
    assert (name, "Host header, not in a path" in text) == ("endpoint", True)
    assert check_settings({"regoin": "hkg"})[0][0] == "regoin"
    environment = {"BAIDUCLOUD_ACCESS_KEY": "ak", "BAIDUCLOUD_SECRET_KEY": "hidden", "BAIDUCLOUD_REGION": "gz"}
    settings = settings_from({"region": "hkg"}, environment)
    assert not isinstance(settings, str)
    assert (settings.access_key, settings.region, settings.endpoint) == ("ak", "hkg", None)
    assert "hidden" not in repr(settings)
    assert "baiducloud:accessKey is missing" in str(settings_from({}, {}))


def test_the_page_names_everything_that_there_is() -> None:
    page = (ROOT / "docs/cloud-provider.md").read_text()
    names = [*(one.name for one in RESOURCES.values()), *(classes.snake(one.name) for one in FUNCTIONS.values())]
    names += [f"baiducloud:{setting}" for setting in VARIABLES] + list(VARIABLES.values())
    assert not [name for name in names if f"`{name}`" not in page]
