"""Channels of dedicated lines, with BFD and BGP, and the gateways that join them to VPCs."""

from __future__ import annotations

from typing import Any, Final

from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import between, cidr, each, interface, one_of
from lanecast_infra.provider.declarations.common import (
    changed,
    chosen,
    description_field,
    first,
    joined,
    live_tags,
    name_field,
    parts_of,
    spelt_tags,
    status_output,
    tags_field,
)
from lanecast_infra.provider.failures import CloudError
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Output, Resource, States, Values

BFD: Final = ("bfdDetectMultiplier", "bfdSendInterval", "bfdReceiveInterval")
HEALTH_CHECK: Final = ("healthCheckInterval", "healthThreshold", "unhealthThreshold")
IDENTITY: Final = ("etId", "channelId")
FREE: Final = "unconfigured"
BOUND: Final = "running"


def _create_channel(call: Call, inputs: Values) -> str:
    reply = call.ask(
        EtClient,
        "create_et_channel",
        et_id=inputs["etId"],
        local_ip=inputs["baiduAddress"],
        name=inputs["name"],
        remote_ip=inputs["customerAddress"],
        route_type=inputs["routeType"],
        vlan_id=inputs["vlanId"],
        description=inputs["description"],
        networks=inputs["networks"] or None,
        bgp_asn=inputs.get("bgpAsn"),
        bgp_key=inputs.get("bgpKey"),
        tags=spelt_tags(inputs.get("tags")),
        client_token=call.token("channel"),
    )
    return joined(inputs["etId"], reply["id"])


CHANNEL_NAMES: Final = ("name", "description", "baiduAddress", "customerAddress", "routeType", "networks", "status")


def _read_channel(call: Call, identity: str) -> Values | None:
    line, channel = parts_of(identity, *IDENTITY)
    reply = call.ask(EtClient, "get_et_channel", et_id=line, et_channel_id=channel)
    found = first(reply.get("etChannels") or [], id=channel)
    if found is None or found.get("status") == "closed":
        return None
    live = {**chosen(found, CHANNEL_NAMES), **live_tags(found), "etId": line, "channelId": channel}
    live |= {"vlanId": int(found["vlanId"]), "bgpAsn": str(found.get("bgpAsn") or "") or None}
    return {**live, "bgpStatus": found.get("bgpStatus", "")}


def _finish_channel(call: Call, identity: str, inputs: Values) -> None:
    line, channel = parts_of(identity, *IDENTITY)
    live = (_read_channel(call, identity) or {}).get("networks") or []
    missing = [one for one in inputs["networks"] if one not in live]
    surplus = [one for one in live if one not in inputs["networks"]]
    for method, networks in (("add_et_channel_routes", missing), ("remove_et_channel_routes", surplus)):
        if networks:
            kind = inputs["routeType"]
            call.ask(EtClient, method, et_id=line, et_channel_id=channel, route_type=kind, networks=networks)
    if BFD[0] in inputs:
        _set_bfd(call, line, channel, inputs)


def _set_bfd(call: Call, line: str, channel: str, inputs: Values) -> None:
    """No call tells what BFD is set to: it is made, or changed where that is refused because it is there."""
    values: dict[str, Any] = dict(
        zip(("detect_multiplier", "send_interval", "receive_interval"), (inputs[name] for name in BFD), strict=True)
    )
    try:
        call.ask(EtClient, "create_et_channel_bfd", et_id=line, et_channel_id=channel, **values)
    except CloudError as error:
        if error.code != "OperationDenied":
            raise
        call.ask(EtClient, "update_et_channel_bfd", et_id=line, et_channel_id=channel, **values)


def _update_channel(call: Call, identity: str, old: Values, new: Values) -> None:
    line, channel = parts_of(identity, *IDENTITY)
    if changed(old, new, "name", "description"):
        texts = {"name": new["name"], "description": new["description"]}
        call.ask(EtClient, "update_et_channel", et_id=line, et_channel_id=channel, **texts)
    if BFD[0] in old and BFD[0] not in new:
        call.ask(EtClient, "delete_et_channel_bfd", et_id=line, et_channel_id=channel)


def _delete_channel(call: Call, identity: str, inputs: Values) -> None:
    line, channel = parts_of(identity, *IDENTITY)
    call.ask(EtClient, "delete_et_channel", et_id=line, et_channel_id=channel)


def _together(names: tuple[str, ...], values: Values) -> list[tuple[str, str]]:
    missing = [name for name in names if name not in values]
    if 0 < len(missing) < len(names):
        return [(name, f"is missing: {', '.join(names)} are given together") for name in missing]
    return []


def _channel_mistakes(values: Values) -> list[tuple[str, str]]:
    mistakes = _together(BFD, values)
    if values.get("routeType") == "bgp" and "bgpAsn" not in values:
        mistakes.append(("bgpAsn", "is required with routeType bgp"))
    if values.get("routeType") == "static-route" and values.get("networks") == []:
        mistakes.append(("networks", "is required with routeType static-route"))
    return mistakes


def _vlan(value: int) -> str | None:
    return None if value == 0 or 2 <= value <= 4009 else f"{value} is neither 0 (no tag) nor from 2 to 4009"


def _link_field(name: str, doc: str, source: str) -> Field:
    return Field(
        name, Kind.STRING, doc, f"create_et_channel: {source}", required=True, change=Change.REPLACE, tests=(interface,)
    )


def _bfd_field(name: str, doc: str, unit: str | None, low: int, high: int) -> Field:
    source = "create_et_channel_bfd; the range [docs]"
    return Field(name, Kind.INTEGER, doc, source, unit=unit, tests=(between(low, high),))


CHANNEL: Final = Resource(
    name="DedicatedLineChannel",
    doc="A VLAN of a dedicated line, with its two addresses and how it routes. Its id is etId/channelId.",
    fields=(
        name_field("create_et_channel: name"),
        Field(
            "etId", Kind.STRING, "The physical line.", "create_et_channel: et_id", required=True, change=Change.REPLACE
        ),
        _link_field("baiduAddress", "The cloud's end, such as 192.0.2.129/30.", "local_ip"),
        _link_field("customerAddress", "The site's end.", "remote_ip"),
        Field(
            "vlanId",
            Kind.INTEGER,
            "The VLAN, or 0 for none.",
            "create_et_channel: vlan_id; the range [docs]",
            required=True,
            change=Change.REPLACE,
            tests=(_vlan,),
        ),
        Field(
            "routeType",
            Kind.STRING,
            "How routes are known.",
            "create_et_channel: route_type; the words [docs]",
            required=True,
            change=Change.REPLACE,
            tests=(one_of("static-route", "bgp"),),
        ),
        Field(
            "networks",
            Kind.STRINGS,
            "The site's networks, with static routes.",
            "create_et_channel: networks; add_, remove_et_channel_routes",
            default=(),
            unordered=True,
            tests=(each(cidr),),
        ),
        Field(
            "bgpAsn",
            Kind.STRING,
            "The site's AS number; the cloud's is 45085.",
            "create_et_channel: bgp_asn",
            change=Change.REPLACE,
        ),
        Field(
            "bgpKey",
            Kind.STRING,
            "The session's MD5 key.",
            "create_et_channel: bgp_key",
            change=Change.REPLACE,
            secret=True,
        ),
        _bfd_field("bfdDetectMultiplier", "How many packets BFD may miss.", None, 3, 10),
        _bfd_field("bfdSendInterval", "How often BFD sends.", "milliseconds", 200, 1000),
        _bfd_field("bfdReceiveInterval", "How often BFD expects to receive.", "milliseconds", 200, 1000),
        description_field("create_et_channel: description"),
        tags_field("create_et_channel: tags"),
    ),
    outputs=(
        Output("channelId", Kind.STRING, "The channel's own id.", "create_et_channel: id"),
        status_output("get_et_channel: status [docs]"),
        Output("bgpStatus", Kind.STRING, "Whether the BGP session is up; empty without BGP.", "get_et_channel"),
    ),
    create=_create_channel,
    read=_read_channel,
    finish=_finish_channel,
    update=_update_channel,
    delete=_delete_channel,
    states=States(frozenset({"established"}), frozenset({"reject", "stopped", "deleted", "pay-wait"})),
    busy=frozenset({"OperationDenied", "ResourceNeedRelease"}),
    unique=("etId", "vlanId"),
    rules=(_channel_mistakes,),
    advice=(
        ("ResourceNeedRelease", Advice(None, "unbind the gateway that uses the channel first")),
        ("NoSuchObject", Advice("etId", "name a line of this region and account: ask getPhysicalLines")),
        ("OperationDenied", Advice("etId", "the line or the channel is not established yet: look in the console")),
    ),
    takes_s=1800,
)


def _create_gateway(call: Call, inputs: Values) -> str:
    reply = call.ask(
        EtGatewayClient,
        "create_et_gateway",
        name=inputs["name"],
        vpc_id=inputs["vpcId"],
        speed=inputs["speed"],
        et_id=inputs.get("etId"),
        channel_id=inputs.get("channelId"),
        local_cidrs=inputs["localCidrs"] or None,
        description=inputs["description"],
        tags=spelt_tags(inputs.get("tags")),
        client_token=call.token("gateway"),
    )
    return str(reply["etGatewayId"])


def _read_gateway(call: Call, gateway_id: str) -> Values:
    gateway = call.ask(EtGatewayClient, "get_et_gateway", et_gateway_id=gateway_id)
    live = chosen(gateway, ("name", "vpcId", "speed", "description", "status"))
    live |= {name: gateway.get(name) or None for name in ("etId", "channelId", *HEALTH_CHECK)}
    return {**live, **live_tags(gateway), "localCidrs": gateway.get("localCidrs") or []}


def _update_gateway(call: Call, gateway_id: str, old: Values, new: Values) -> None:
    if changed(old, new, "name", "description", "speed"):
        texts = {name: new[name] for name in ("name", "description", "speed")}
        call.ask(EtGatewayClient, "update_et_gateway", et_gateway_id=gateway_id, **texts)
    if HEALTH_CHECK[0] in old and HEALTH_CHECK[0] not in new:
        _bring_binding(call, gateway_id, None, None, [])  # only that takes a health check away


def _finish_gateway(call: Call, gateway_id: str, inputs: Values) -> None:
    _bring_binding(call, gateway_id, inputs.get("etId"), inputs.get("channelId"), inputs["localCidrs"])
    live = _read_gateway(call, gateway_id)
    if "channelId" in inputs and sorted(live["localCidrs"]) != sorted(inputs["localCidrs"]):
        cidrs = inputs["localCidrs"]
        call.ask(EtGatewayClient, "update_et_gateway", et_gateway_id=gateway_id, local_cidrs=cidrs)
    if HEALTH_CHECK[0] in inputs and changed(live, inputs, *HEALTH_CHECK):
        call.ask(
            EtGatewayClient,
            "create_health_check",
            et_gateway_id=gateway_id,
            health_check_interval=inputs["healthCheckInterval"],
            health_check_threshold=inputs["healthThreshold"],
            unhealth_threshold=inputs["unhealthThreshold"],
            health_check_type="ICMP",
            auto_generate_route_rule=inputs["autoGenerateRouteRule"],
        )


def _bring_binding(call: Call, gateway_id: str, line: str | None, channel: str | None, cidrs: list[str]) -> None:
    def left_to_do() -> str | None:
        live = _read_gateway(call, gateway_id)
        state = live["status"]
        if state not in (FREE, BOUND):
            return f"it is {state}"
        if live["channelId"] == channel:
            return None
        if state == BOUND:
            call.try_once(EtGatewayClient, "unbind_et", et_gateway_id=gateway_id)
        else:
            wanted: dict[str, Any] = {"et_id": line, "channel_id": channel, "local_cidrs": cidrs}
            call.try_once(EtGatewayClient, "bind_et", et_gateway_id=gateway_id, **wanted)
        return f"it is {state} with channel {live['channelId']}, not {channel}"

    call.until(left_to_do)


def _delete_gateway(call: Call, gateway_id: str, inputs: Values) -> None:
    call.ask(EtGatewayClient, "delete_et_gateway", et_gateway_id=gateway_id)


def _gateway_mistakes(values: Values) -> list[tuple[str, str]]:
    return _together(("etId", "channelId"), values) + _together(HEALTH_CHECK, values)


def _health_field(name: str, doc: str, unit: str | None, low: int, high: int) -> Field:
    source = "create_health_check; the range [docs]"
    return Field(name, Kind.INTEGER, doc, source, unit=unit, tests=(between(low, high),))


GATEWAY: Final = Resource(
    name="DedicatedLineGateway",
    doc="A VPC's gateway to a channel of a dedicated line.",
    fields=(
        name_field("create_et_gateway: name"),
        Field("vpcId", Kind.STRING, "The VPC.", "create_et_gateway: vpc_id", required=True, change=Change.REPLACE),
        Field(
            "speed",
            Kind.INTEGER,
            "How much it carries.",
            "create_et_gateway: speed",
            unit="Mbit/s",
            required=True,
            tests=(between(1, 10_000),),
        ),
        Field("etId", Kind.STRING, "The physical line.", "create_et_gateway, bind_et: et_id"),
        Field("channelId", Kind.STRING, "The channel of that line.", "create_et_gateway, bind_et: channel_id"),
        Field(
            "localCidrs",
            Kind.STRINGS,
            "The cloud's networks that the site reaches by it.",
            "create_et_gateway: local_cidrs",
            default=(),
            unordered=True,
            tests=(each(cidr),),
        ),
        _health_field("healthCheckInterval", "How often the site's end is probed.", "seconds", 1, 60),
        _health_field("healthThreshold", "How many answers make it healthy.", None, 2, 5),
        _health_field("unhealthThreshold", "How many missing answers make it unhealthy.", None, 2, 5),
        Field(
            "autoGenerateRouteRule",
            Kind.BOOLEAN,
            "Whether the health check brings the route that it needs.",
            "create_health_check: auto_generate_route_rule",
            default=True,
        ),
        description_field("create_et_gateway: description"),
        tags_field("create_et_gateway: tags"),
    ),
    outputs=(status_output("get_et_gateway: status [docs]"),),
    create=_create_gateway,
    read=_read_gateway,
    finish=_finish_gateway,
    update=_update_gateway,
    delete=_delete_gateway,
    states=States(frozenset({FREE, BOUND}), frozenset({"down", "deleted"})),
    busy=frozenset({"OperationDenied", "ResourceNeedRelease"}),
    rules=(_gateway_mistakes,),
    advice=(
        ("ResourceNeedRelease", Advice(None, "remove the route rules that lead to it first")),
        (
            "OperationDenied",
            Advice("channelId", "it has to be established and in no other gateway of the VPC"),
        ),
    ),
)

RESOURCES: Final = (CHANNEL, GATEWAY)
