"""VPCs: ``VpcClient`` of the SDK.

Replies are those of bce-sdk-go, services/vpc/model.go: ``ShowVPCModel``, ``ListVPCResult``; ``relay`` is from the docs.
"""

from __future__ import annotations

from typing import Any

from lanecast_lab.cloud.api import security_group, subnet
from lanecast_lab.cloud.api.calls import Call, Context, JsonObject, Service, cidr, fields, new_id, shown, timestamp
from lanecast_lab.cloud.api.errors import cidr_conflict, denied, in_use, inappropriate
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.store import Resource

KIND = "vpc"
LONGEST_NAME = 65
"""[docs] Characters of a name."""

LONGEST_DESCRIPTION = 200
"""[docs: create VPC] Characters of a description."""

OWN_PARTS = frozenset({"route-table"})
"""What comes and goes with a VPC; everything else that is part of it has to be deleted first."""


def require(context: Context, vpc_id: str) -> Resource:
    """The VPC, or the refusal that there is none."""
    return context.require(KIND, vpc_id, "VPC")


def networks(vpc: Resource) -> list[str]:
    """All of its CIDRs, the first one first."""
    return [vpc.body["cidr"], *vpc.body["secondaryCidr"]]


def check_name(name: str) -> None:
    """[docs] 1 to 65 characters, ``default`` is the cloud's own."""
    if len(name) > LONGEST_NAME or name == "default":
        raise inappropriate(f"name: {name!r} has more than {LONGEST_NAME} characters, or is the word default")


def _check_description(text: str) -> None:
    if len(text) > LONGEST_DESCRIPTION:
        raise inappropriate(f"description: has more than {LONGEST_DESCRIPTION} characters")


def _check_cidr(name: str, text: str) -> None:
    if cidr(name, text).prefixlen > 28:
        raise inappropriate(f"{name}: {text} is smaller than a /28")


def _show(vpc: Resource) -> JsonObject:
    return shown(vpc.body)


def create(context: Context) -> JsonObject:
    """[docs] Makes the VPC with its one route table and its first security group."""
    body = context.body
    check_name(body["name"])
    _check_description(body.get("description", ""))
    _check_cidr("cidr", body["cidr"])
    context.quotas.check("vpc", context.store.count(KIND, context.scope))
    vpc_id = new_id("vpc")
    record: JsonObject = {
        "vpcId": vpc_id,
        "name": body["name"],
        "cidr": body["cidr"],
        "ipv6Cidr": "",
        "createdTime": timestamp(context.now),
        "description": body.get("description", ""),
        "isDefault": False,
        "relay": False,
        "enableIpv6": body.get("enableIpv6", False),
        "secondaryCidr": [],
        "tags": body.get("tags", []),
    }
    context.make(KIND, vpc_id, record)
    context.make("route-table", new_id("rt"), {}, parent=vpc_id)
    security_group.make_default(context, vpc_id)
    return {"vpcId": vpc_id}


def list_all(context: Context) -> JsonObject:
    """Pages of VPCs; ``vpcIds`` (separated by commas) and ``isDefault`` choose among them."""
    equal: dict[str, Any] = {}
    if (default := context.query.get("isDefault", "")) != "":
        equal["isDefault"] = default.lower() == "true"
    if ids := context.query.get("vpcIds"):
        wanted = (context.store.get(KIND, vpc_id, context.scope) for vpc_id in ids.split(","))
        return page_of(context, "vpcs", wanted, _show)
    return page(context, KIND, "vpcs", _show, equal=equal)


def get(context: Context) -> JsonObject:
    """One VPC with its subnets."""
    vpc = require(context, context.path["vpcId"])
    subnets = [subnet.show(context, one) for one in context.store.find(subnet.KIND, parent=vpc.key)]
    return {"vpc": {**_show(vpc), "subnets": subnets}}


def update(context: Context) -> None:
    """Change name, description, secondary CIDRs."""
    vpc = require(context, context.path["vpcId"])
    check_name(context.body["name"])
    _check_description(context.body.get("description", ""))
    if "secondaryCidr" in context.body:
        _check_secondary(context, vpc, context.body["secondaryCidr"])
    vpc.body |= context.body
    context.store.save(vpc)


def _check_secondary(context: Context, vpc: Resource, wanted: list[str]) -> None:
    context.quotas.check("secondary-cidr", 0, len(wanted))
    for text in wanted:
        _check_cidr("secondaryCidr", text)
    ranges = [cidr("cidr", text) for text in (vpc.body["cidr"], *wanted)]
    for index, one in enumerate(ranges):
        if overlapping := [other for other in ranges[index + 1 :] if one.overlaps(other)]:
            raise cidr_conflict(f"secondaryCidr: {overlapping[0]} overlaps {one}")
    for part in context.store.find(subnet.KIND, parent=vpc.key):
        inside = cidr("cidr", part.body["cidr"])
        if not any(inside.subnet_of(one) for one in ranges):
            raise in_use(f"secondaryCidr: subnet {part.key} has {inside}")


def delete(context: Context) -> None:
    """Only when nothing is part of it any more. The code is the one that the Terraform provider waits on. [tf]"""
    vpc = require(context, context.path["vpcId"])
    parts = context.store.children(vpc.key)
    if holding := [part for part in parts if part.kind not in OWN_PARTS and not part.body.get("_default")]:
        names = ", ".join(f"{part.kind} {part.body.get('_id', part.key)}" for part in holding[:5])
        raise in_use(f"VPC {vpc.key} still holds {names}", "NotAllowDeleteVpc")
    for attached in context.store.find("csn-attachment", equal={"instanceId": vpc.key}):
        raise in_use(f"VPC {vpc.key} is attached to cloud smart network {attached.parent}", "NotAllowDeleteVpc")
    context.store.remove_tree(vpc)


def open_relay(context: Context) -> None:
    """Let the VPC pass on what comes from one peering to another. Two such VPCs cannot be peered. [docs]"""
    vpc = require(context, context.path["vpcId"])
    for peering in context.store.find("peering", context.scope, parent=vpc.key):
        other = context.store.get(KIND, peering.body["peerVpcId"])
        if other is not None and other.body["relay"]:
            raise denied(f"VPC {other.key}, which is peered with {vpc.key}, is a relay already")
    vpc.body["relay"] = True
    context.store.save(vpc)


def shutdown_relay(context: Context) -> None:
    """The VPC passes nothing on any more."""
    vpc = require(context, context.path["vpcId"])
    vpc.body["relay"] = False
    context.store.save(vpc)


_CREATE = fields("name! cidr! description enableIpv6:b tags:[{}]")
_UPDATE = fields("name! description enableIpv6:b secondaryCidr:[]")

SERVICE = Service(
    "vpc",
    (
        Call("create_vpc", "POST", "/v1/vpc", create, _CREATE),
        Call("list_vpcs", "GET", "/v1/vpc", list_all),
        Call("get_vpc", "GET", "/v1/vpc/{vpcId}", get),
        Call("update_vpc", "PUT", "/v1/vpc/{vpcId}", update, _UPDATE, "modifyAttribute"),
        Call("delete_vpc", "DELETE", "/v1/vpc/{vpcId}", delete),
        Call("open_relay", "PUT", "/v1/vpc/openRelay/{vpcId}", open_relay),
        Call("shutdown_relay", "PUT", "/v1/vpc/shutdownRelay/{vpcId}", shutdown_relay),
    ),
)
