"""Elastic addresses: public addresses that machines, load balancers and NAT gateways use."""

from __future__ import annotations

from typing import Final

from baidubce.services.eip.eip_client import EipClient
from baidubce.services.eip.model import Billing

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import between, one_of
from lanecast_infra.provider.declarations.common import (
    changed,
    chosen,
    live_tags,
    name_field,
    spelt_tags,
    status_output,
    tags_field,
)
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Output, Resource, States, Values

NOT_BOUND: Final = "available"
BOUND: Final = "binded"


def _create(call: Call, inputs: Values) -> str:
    reply = call.ask(
        EipClient,
        "create_eip",
        bandwidth_in_mbps=inputs["bandwidthInMbps"],
        name=inputs["name"],
        billing=Billing("Postpaid", inputs["billingMethod"]),
        tags=spelt_tags(inputs.get("tags")),
        client_token=call.token("eip"),
    )
    return str(reply["eip"])


def _read(call: Call, address: str) -> Values | None:
    found = call.ask(EipClient, "list_eips", eip=address).get("eipList") or []
    if not found:
        return None
    eip = found[0]
    live = chosen(eip, ("name", "bandwidthInMbps", "billingMethod", "status"))
    live |= {"instanceType": eip.get("instanceType") or None, "instanceId": eip.get("instanceId") or None}
    return {**live, **live_tags(eip), "address": address}


def _finish(call: Call, address: str, inputs: Values) -> None:
    if "instanceId" in inputs:
        _bind(call, address, inputs["instanceType"], inputs["instanceId"])


def _update(call: Call, address: str, old: Values, new: Values) -> None:
    if changed(old, new, "bandwidthInMbps"):
        call.ask(EipClient, "resize_eip", eip=address, new_bandwidth_in_mbps=new["bandwidthInMbps"])
    if "instanceId" in old and "instanceId" not in new:
        _unbind(call, address)


def _bind(call: Call, address: str, instance_type: str, instance_id: str) -> None:
    def left_to_do() -> str | None:
        live = _read(call, address) or {}
        state, bound_to = live.get("status"), live.get("instanceId")
        if state == BOUND and bound_to == instance_id:
            return None
        if state == BOUND:
            call.try_once(EipClient, "unbind_eip", eip=address)
        elif state == NOT_BOUND:
            call.try_once(EipClient, "bind_eip", eip=address, instance_type=instance_type, instance_id=instance_id)
        return f"it is {state}, not yet bound to {instance_id}"

    call.until(left_to_do)


def _unbind(call: Call, address: str) -> None:
    def left_to_do() -> str | None:
        state = (_read(call, address) or {"status": NOT_BOUND})["status"]
        if state == BOUND:
            call.try_once(EipClient, "unbind_eip", eip=address)
        return None if state == NOT_BOUND else f"it is {state}, not yet free"

    call.until(left_to_do)


def _delete(call: Call, address: str, inputs: Values) -> None:
    if "instanceId" in inputs:
        _unbind(call, address)
    call.ask(EipClient, "release_eip", eip=address)


def _binding_mistakes(values: Values) -> list[tuple[str, str]]:
    if ("instanceId" in values) != ("instanceType" in values):
        return [("instanceType", "instanceType and instanceId are given together")]
    return []


EIP: Final = Resource(
    name="Eip",
    doc="An elastic address. Its id is the address. NAT gateways bind theirs themselves.",
    fields=(
        name_field("create_eip: name").replaced(),
        Field(
            "bandwidthInMbps",
            Kind.INTEGER,
            "How much it carries.",
            "create_eip: bandwidth_in_mbps; the range [docs]",
            unit="Mbit/s",
            required=True,
            tests=(between(1, 1000),),
        ),
        Field(
            "billingMethod",
            Kind.STRING,
            "What is paid for.",
            "eip.model.Billing: billing_method",
            default="ByBandwidth",
            change=Change.REPLACE,
            tests=(one_of("ByBandwidth", "ByTraffic"),),
        ),
        Field(
            "instanceType",
            Kind.STRING,
            "What kind of thing it is bound to.",
            "bind_eip: instance_type",
            assigned=True,
            tests=(one_of("BCC", "BLB"),),
        ),
        Field("instanceId", Kind.STRING, "What it is bound to.", "bind_eip: instance_id", assigned=True),
        tags_field("create_eip: tags"),
    ),
    outputs=(
        Output("address", Kind.STRING, "The address.", "create_eip: eip"),
        status_output("list_eips: status [tf]"),
    ),
    create=_create,
    read=_read,
    finish=_finish,
    update=_update,
    delete=_delete,
    states=States(frozenset({NOT_BOUND, BOUND}), frozenset({"paused"})),
    gone=frozenset({"NoSuchObject", "EipNotFound"}),
    busy=frozenset({"OperationDenied"}),
    rules=(_binding_mistakes,),
    advice=(
        ("OperationDenied", Advice("instanceId", "it is bound, or being bound, to something that no program knows of")),
    ),
)

RESOURCES: Final = (EIP,)
