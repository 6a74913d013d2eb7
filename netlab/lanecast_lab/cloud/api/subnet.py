"""Subnets: ``SubnetClient`` of the SDK. Replies are bce-sdk-go's ``Subnet`` and ``ListSubnetResult``."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from lanecast_lab.cloud.api.calls import Call, Context, JsonObject, Service, cidr, fields, new_id, one_of, timestamp
from lanecast_lab.cloud.api.errors import ApiError, cidr_conflict, in_use, inappropriate
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.regions import check_zone
from lanecast_lab.cloud.api.store import Resource

KIND = "subnet"
TYPES = ("BCC", "BCC_NAT", "BBC")
"""[go] ``SubnetType``."""

RESERVED = 3
"""[assumed] The network's own address, the router's behind it, and the last one."""


def require(context: Context, subnet_id: str) -> Resource:
    """The subnet, or the refusal that there is none."""
    return context.require(KIND, subnet_id, "subnet")


def network(subnet: Resource) -> IPv4Network:
    """Its addresses."""
    return IPv4Network(subnet.body["cidr"])


def used_addresses(context: Context, subnet: Resource) -> dict[IPv4Address, str]:
    """Addresses that something has, with what."""
    parts = context.store.parts_with(subnet.key, "_address")
    return {IPv4Address(address): f"{kind} {key}" for address, kind, key in parts}


def take_address(context: Context, subnet: Resource, wanted: str | None) -> str:
    """The wanted address when it is free, else the lowest free one. The first two and the last are the cloud's own."""
    inside = network(subnet)
    used = used_addresses(context, subnet)
    usable = range(int(inside.network_address) + 2, int(inside.broadcast_address))
    if wanted is not None:
        try:
            chosen = IPv4Address(wanted)
        except ValueError:
            raise inappropriate(f"{wanted!r} is no IPv4 address") from None
        if int(chosen) not in usable:
            raise inappropriate(f"{wanted} is not among the addresses of subnet {subnet.key} ({inside})")
        if chosen in used:
            raise in_use(f"{wanted} belongs to {used[chosen]}")
        return wanted
    free = next((number for number in usable if IPv4Address(number) not in used), None)
    if free is None:
        raise ApiError(413, "LimitExceeded", f"subnet {subnet.key} ({inside}) has no free address")
    return str(IPv4Address(free))


def show(context: Context, subnet: Resource) -> JsonObject:
    """A subnet as the API shows it."""
    free = network(subnet).num_addresses - RESERVED - context.store.count_parts_with(subnet.key, "_address")
    count = max(free, 0)
    return {**subnet.body, "vpcId": subnet.parent, "availableIp": count, "availableUnreservedIp": count}


def create(context: Context) -> JsonObject:
    """A subnet is inside one CIDR of its VPC and overlaps no other."""
    body = context.body
    vpc = context.require("vpc", body["vpcId"], "VPC")
    check_zone(body["zoneName"], context.scope.region, context.region_is_named)
    wanted = cidr("cidr", body["cidr"])
    if wanted.prefixlen > 29:
        raise inappropriate(f"cidr: {wanted} is smaller than a /29")
    ranges = [vpc.body["cidr"], *vpc.body["secondaryCidr"]]
    if not any(wanted.subnet_of(IPv4Network(one)) for one in ranges):
        raise cidr_conflict(f"cidr: {wanted} is not inside {' or '.join(ranges)} of VPC {vpc.key}")
    others = context.store.find(KIND, parent=vpc.key)
    if overlapping := next((one for one in others if network(one).overlaps(wanted)), None):
        raise cidr_conflict(f"cidr: {wanted} overlaps {overlapping.body['cidr']} of subnet {overlapping.key}")
    one_of("subnetType", body.get("subnetType", "BCC"), TYPES)
    context.quotas.check("subnet", len(others))
    subnet_id = new_id("sbn")
    shown = {
        "subnetId": subnet_id,
        "name": body["name"],
        "zoneName": body["zoneName"],
        "cidr": body["cidr"],
        "ipv6Cidr": "",
        "createdTime": timestamp(context.now),
        "subnetType": body.get("subnetType", "BCC"),
        "description": body.get("description", ""),
        "enableIpv6": body.get("enableIpv6", False),
        "tags": body.get("tags", []),
    }
    context.make(KIND, subnet_id, shown, parent=vpc.key)
    return {"subnetId": subnet_id}


def list_all(context: Context) -> JsonObject:
    """Pages of subnets, of one VPC, zone or type when the query says so."""
    names = ("zoneName", "subnetType")
    equal: dict[str, Any] = {name: context.query[name] for name in names if context.query.get(name)}
    if ids := context.query.get("subnetIds"):
        found = (context.store.get(KIND, one, context.scope) for one in ids.split(","))
        return page_of(context, "subnets", found, lambda one: show(context, one))
    parent = context.query.get("vpcId") or None
    return page(context, KIND, "subnets", lambda one: show(context, one), parent, equal)


def get(context: Context) -> JsonObject:
    """One subnet."""
    return {"subnet": show(context, require(context, context.path["subnetId"]))}


def update(context: Context) -> None:
    """Change name and description."""
    subnet = require(context, context.path["subnetId"])
    subnet.body |= context.body
    context.store.save(subnet)


def delete(context: Context) -> None:
    """Only when nothing is in it; ACL rules go with it. The code is what the Terraform provider waits on. [tf]"""
    subnet = require(context, context.path["subnetId"])
    parts = context.store.children(subnet.key)
    if holding := [part for part in parts if part.kind != "acl-rule"]:
        names = ", ".join(f"{part.kind} {part.key}" for part in holding[:5])
        raise in_use(f"subnet {subnet.key} still holds {names}", "SUBNET_INUSE")
    context.store.remove_tree(subnet)


_CREATE = fields("name! zoneName! cidr! vpcId! subnetType description enableIpv6:b vpcSecondaryCidr tags:[{}]")

SERVICE = Service(
    "subnet",
    (
        Call("create_subnet", "POST", "/v1/subnet", create, _CREATE),
        Call("list_subnets", "GET", "/v1/subnet", list_all),
        Call("get_subnet", "GET", "/v1/subnet/{subnetId}", get),
        Call(
            "update_subnet",
            "PUT",
            "/v1/subnet/{subnetId}",
            update,
            fields("name! description enableIpv6:b"),
            "modifyAttribute",
        ),
        Call("delete_subnet", "DELETE", "/v1/subnet/{subnetId}", delete),
    ),
)
