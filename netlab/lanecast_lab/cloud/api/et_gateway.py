"""Dedicated-line gateways: ``EtGatewayClient`` of the SDK. Replies are bce-sdk-go's ``EtGatewayDetail``."""

from __future__ import annotations

from ipaddress import IPv4Interface

from lanecast_lab.cloud.api import et, route
from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    between,
    cidr,
    fields,
    new_id,
    one_of,
    shown,
    timestamp,
)
from lanecast_lab.cloud.api.errors import denied, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.states import state_at
from lanecast_lab.cloud.api.store import Resource

KIND = "et-gateway"
FREE, BOUND = "unconfigured", "running"
"""[docs] ``running``; [assumed] what a gateway without a channel is called."""

SPEEDS_MBPS = (2, 100_000)
"""[docs: ET, usage restrictions] Of one gateway."""


def _require(context: Context) -> Resource:
    return context.require(KIND, context.path["etGatewayId"], "dedicated-line gateway")


def _status(context: Context, gateway: Resource) -> str:
    return state_at(gateway.body["status"], context.now)


def _show(context: Context, gateway: Resource) -> JsonObject:
    status = _status(context, gateway)
    if status == BOUND and {gateway.key, gateway.body["channelId"], gateway.body["etId"]} & context.outages:
        status = "down"
    return {**shown(gateway.body), "status": status}


def _check_channel(context: Context, vpc_id: str, line_id: str, channel_id: str) -> None:
    """The channel is established, and no other gateway of the VPC has it. [docs]"""
    channel = context.store.get(et.CHANNEL, channel_id, context.scope)
    if channel is None or channel.parent != line_id:
        raise no_such(f"channel of dedicated line {line_id}", channel_id)
    if (state := et.channel_status(context, channel)) != "established":
        raise denied(f"channel {channel_id} is {state}, not established")
    for other in context.store.find(KIND, parent=vpc_id, equal={"channelId": channel_id}):
        raise denied(f"channel {channel_id} is bound to gateway {other.key} of the same VPC")


def _check_cidrs(cidrs: list[str]) -> None:
    for text in cidrs:
        cidr("localCidrs", text)


def create(context: Context) -> JsonObject:
    """With or without a channel."""
    body = context.body
    vpc = context.require("vpc", body["vpcId"], "VPC")
    between("speed", body["speed"], *SPEEDS_MBPS)
    _check_cidrs(body.get("localCidrs", []))
    context.quotas.check("et-gateway", context.store.count(KIND, parent=vpc.key))
    line_id, channel_id = body.get("etId", ""), body.get("channelId", "")
    if bool(line_id) != bool(channel_id):
        raise inappropriate(f"{'channelId' if line_id else 'etId'}: is missing: a channel is named with its line")
    if line_id:
        _check_channel(context, vpc.key, line_id, channel_id)
    gateway_id = new_id("dcgw")
    record = {
        "etGatewayId": gateway_id,
        "name": body["name"],
        "status": context.passing("building", BOUND if channel_id else FREE),
        "speed": body["speed"],
        "createTime": timestamp(context.now),
        "description": body.get("description", ""),
        "vpcId": vpc.key,
        "etId": line_id,
        "channelId": channel_id,
        "localCidrs": body.get("localCidrs", []),
        "tags": body.get("tags", []),
    }
    context.make(KIND, gateway_id, record, parent=vpc.key)
    return {"etGatewayId": gateway_id}


def list_all(context: Context) -> JsonObject:
    """Pages of a VPC's gateways."""
    vpc_id = context.query.get("vpcId") or None
    if vpc_id:
        context.require("vpc", vpc_id, "VPC")
    names = ("etGatewayId", "name")
    equal = {name: context.query[name] for name in names if context.query.get(name)}
    if wanted := context.query.get("status"):
        found = context.store.find(KIND, context.scope, vpc_id, equal)
        chosen = [one for one in found if _show(context, one)["status"] == wanted]
        return page_of(context, "etGateways", chosen, lambda one: _show(context, one))
    return page(context, KIND, "etGateways", lambda one: _show(context, one), vpc_id, equal)


def get(context: Context) -> JsonObject:
    """One gateway."""
    return _show(context, _require(context))


def update(context: Context) -> None:
    """Change name, description, bandwidth; the CIDRs only while it runs. [go]"""
    gateway, body = _require(context), context.body
    if "speed" in body:
        between("speed", body["speed"], *SPEEDS_MBPS)
    if "localCidrs" in body:
        _check_cidrs(body["localCidrs"])
        if (state := _status(context, gateway)) != BOUND:
            raise denied(f"localCidrs: gateway {gateway.key} is {state}, not {BOUND}")
    gateway.body |= body
    context.store.save(gateway)


def bind(context: Context) -> None:
    """Give it a channel."""
    gateway, body = _require(context), context.body
    if (state := _status(context, gateway)) != FREE:
        raise denied(f"gateway {gateway.key} is {state}, not {FREE}")
    _check_channel(context, gateway.body["vpcId"], body["etId"], body["channelId"])
    _check_cidrs(body.get("localCidrs", []))
    gateway.body |= {**body, "status": context.passing("configuring", BOUND)}
    context.store.save(gateway)


def unbind(context: Context) -> None:
    """Take the channel away, and with it the CIDRs and the health check. [docs]"""
    gateway = _require(context)
    if (state := _status(context, gateway)) != BOUND:
        raise denied(f"gateway {gateway.key} is {state}, not {BOUND}")
    kept = {name: value for name, value in gateway.body.items() if not name.lower().startswith(("health", "unhealth"))}
    gateway.body = {**kept, "etId": "", "channelId": "", "localCidrs": []}
    gateway.body["status"] = context.passing("configuring", FREE)
    context.store.save(gateway)
    _remove_probe_routes(context, gateway)


def create_health_check(context: Context) -> None:
    """Probe the customer's end. [docs] The ranges, and that a route for the probe is made unless that is refused."""
    gateway, body = _require(context), context.body
    if (state := _status(context, gateway)) != BOUND:
        raise denied(f"gateway {gateway.key} is {state}, not {BOUND}")
    one_of("healthCheckType", body.get("healthCheckType", "ICMP"), ("ICMP",))
    between("healthCheckInterval", body["healthCheckInterval"], 1, 60)
    for name in ("healthThreshold", "unhealthThreshold"):
        between(name, body[name], 2, 5)
    channel = context.require(et.CHANNEL, gateway.body["channelId"], "channel")
    gateway.body |= {
        "healthCheckSourceIp": body.get("healthCheckSourceIp", str(IPv4Interface(channel.body["baiduAddress"]).ip)),
        "healthCheckDestIp": str(IPv4Interface(channel.body["customerAddress"]).ip),
        "healthCheckType": body.get("healthCheckType", "ICMP"),
        "healthCheckInterval": body["healthCheckInterval"],
        "healthThreshold": body["healthThreshold"],
        "unhealthThreshold": body["unhealthThreshold"],
    }
    context.store.save(gateway)
    _remove_probe_routes(context, gateway)
    if body.get("autoGenerateRouteRule", True):
        _make_probe_route(context, gateway)


def _make_probe_route(context: Context, gateway: Resource) -> None:
    table = context.store.find(route.TABLE, parent=gateway.parent)[0]
    record = {
        "routeRuleId": new_id("rr"),
        "sourceAddress": "0.0.0.0/0",
        "destinationAddress": gateway.body["healthCheckDestIp"] + "/32",
        "description": "health check",
        "ipVersion": "4",
        "nexthopId": gateway.key,
        "nexthopType": "dcGateway",
        "_vpc": gateway.parent,
        "_group": gateway.key,
        "_probe": gateway.key,
    }
    context.make(route.KIND, record["routeRuleId"], record, parent=table.key)


def _remove_probe_routes(context: Context, gateway: Resource) -> None:
    for rule in context.store.find(route.KIND, context.scope, equal={"_probe": gateway.key}):
        context.store.remove(rule)


def delete(context: Context) -> None:
    """When no route needs it; its channel is free again at once."""
    gateway = _require(context)
    if (state := _status(context, gateway)) not in (FREE, BOUND):
        raise denied(f"gateway {gateway.key} is {state}")
    _remove_probe_routes(context, gateway)
    route.check_not_a_next_hop(context, gateway.key)
    for rule in context.store.find(et.RULE, equal={"nexthopId": gateway.key}):
        context.store.remove(rule)
    gateway.body["channelId"] = ""
    context.leave(gateway, "deleting")


_CREATE = fields("name! vpcId! speed:i! etId channelId localCidrs:[] description tags:[{}] resourceGroupId")
_UPDATE = fields("name description speed:i localCidrs:[]")
_CHECK = fields(
    "healthCheckInterval:i! healthThreshold:i! unhealthThreshold:i! healthCheckSourceIp healthCheckType"
    " healthCheckPort:i autoGenerateRouteRule:b dcphyId channelId subnetId"
)
_ONE = "/v1/etGateway/{etGatewayId}"

SERVICE = Service(
    "etGateway",
    (
        Call("create_et_gateway", "POST", "/v1/etGateway", create, _CREATE),
        Call("list_et_gateway", "GET", "/v1/etGateway", list_all),
        Call("get_et_gateway", "GET", _ONE, get),
        Call("update_et_gateway", "PUT", _ONE, update, _UPDATE),
        Call("bind_et", "PUT", _ONE, bind, fields("etId! channelId! localCidrs:[]"), "bind"),
        Call("unbind_et", "PUT", _ONE, unbind, (), "unbind"),
        Call("create_health_check", "POST", _ONE + "/healthCheck", create_health_check, _CHECK),
        Call("delete_et_gateway", "DELETE", _ONE, delete),
    ),
)
