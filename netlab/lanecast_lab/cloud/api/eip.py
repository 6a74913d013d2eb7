"""Elastic addresses: ``EipClient`` of the SDK. Replies are bce-sdk-go's ``EipModel``; states are [tf].

NAT gateways use ``attach`` and ``detach``; what an address is bound to stands in its own record.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from lanecast_lab.cloud.api import nat_addresses
from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    between,
    fields,
    one_of,
    refuse_leaving,
    shown,
    timestamp,
)
from lanecast_lab.cloud.api.errors import denied, no_such
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.states import state_at
from lanecast_lab.cloud.api.store import Resource

KIND = "eip"
POOL = IPv4Network("198.18.0.0/15")
"""[assumed] Where addresses come from: a range that the Internet does not route (RFC 2544)."""

INSTANCE_KINDS = {"BCC": ("instance",), "BLB": ("blb", "app-blb"), "NAT": ("nat",)}
MOST_MBPS = 1000
"""[assumed] Of one address."""


def require(context: Context, address: str) -> Resource:
    """The elastic address, or the refusal that there is none. The code is [tf]."""
    return context.require(KIND, address, "elastic address", "EipNotFound")


def status(context: Context, eip: Resource) -> str:
    """Its state now."""
    return state_at(eip.body["status"], context.now)


def of_instance(context: Context, instance_id: str) -> list[str]:
    """The addresses that are bound to something."""
    return context.store.keys(KIND, context.scope, "instanceId", instance_id)


def attach(context: Context, address: str, instance_type: str, instance_id: str) -> None:
    """Bind an address that is free."""
    eip = require(context, address)
    if (state := status(context, eip)) != "available":
        raise denied(f"elastic address {address} is {state}, not available")
    eip.body |= {
        "instanceType": instance_type,
        "instanceId": instance_id,
        "status": context.passing("binding", "binded"),
    }
    context.store.save(eip)


def detach(context: Context, address: str) -> None:
    """Unbind an address."""
    eip = require(context, address)
    eip.body |= {"instanceType": "", "instanceId": "", "status": context.passing("unbinding", "available")}
    context.store.save(eip)


def _show(context: Context, eip: Resource) -> JsonObject:
    return {**shown(eip.body), "status": status(context, eip)}


def _next_address(context: Context) -> str:
    """The address after the one that was given last, so that none is used again soon."""
    number = int(context.store.setting("eip-number") or 0)
    while True:
        number = number % (POOL.num_addresses - 2) + 1
        address = str(IPv4Address(int(POOL.network_address) + number))
        if context.store.get(KIND, address) is None:
            context.store.set_setting("eip-number", number)
            return address


def create(context: Context) -> JsonObject:
    """An address that is bound to nothing."""
    body = context.body
    between("bandwidthInMbps", body["bandwidthInMbps"], 1, MOST_MBPS)
    context.quotas.check("eip", context.store.count(KIND, context.scope))
    billing = body.get("billing", {})
    address = _next_address(context)
    record = {
        "name": body.get("name", ""),
        "eip": address,
        "eipId": "ip-" + address.replace(".", "-"),
        "status": context.passing("creating", "available"),
        "eipInstanceType": "normal",
        "instanceType": "",
        "instanceId": "",
        "shareGroupId": "",
        "bandwidthInMbps": body["bandwidthInMbps"],
        "paymentTiming": billing.get("paymentTiming", "Postpaid"),
        "billingMethod": billing.get("billingMethod", "ByBandwidth"),
        "createTime": timestamp(context.now),
        "expireTime": "",
        "deleteProtect": body.get("deleteProtect", False),
        "tags": body.get("tags", []),
    }
    context.make(KIND, address, record)
    return {"eip": address}


def list_all(context: Context) -> JsonObject:
    """Pages of addresses; by address, name, state, or what they are bound to."""
    names = ("eip", "name", "instanceType", "instanceId")
    equal = {name: context.query[name] for name in names if context.query.get(name)}
    wanted, ids = context.query.get("status"), context.query.get("eipIds")
    if wanted or ids:
        found = [
            one
            for one in context.store.find(KIND, context.scope, equal=equal)
            if wanted in (None, "", status(context, one)) and (not ids or one.body["eipId"] in ids.split(","))
        ]
        return page_of(context, "eipList", found, lambda one: _show(context, one))
    return page(context, KIND, "eipList", lambda one: _show(context, one), equal=equal)


def resize(context: Context) -> None:
    """Change the bandwidth."""
    eip = require(context, context.path["eip"])
    between("newBandwidthInMbps", context.body["newBandwidthInMbps"], 1, MOST_MBPS)
    if (state := status(context, eip)) not in ("available", "binded"):
        raise denied(f"elastic address {eip.key} is {state}")
    eip.body |= {
        "bandwidthInMbps": context.body["newBandwidthInMbps"],
        "status": context.passing("updating", state),
    }
    context.store.save(eip)


def bind(context: Context) -> None:
    """Bind to an instance, a load balancer or a NAT gateway of the region."""
    body = context.body
    one_of("instanceType", body["instanceType"], INSTANCE_KINDS)
    kinds = INSTANCE_KINDS[body["instanceType"]]
    found = (context.store.get(kind, body["instanceId"], context.scope) for kind in kinds)
    target = next((one for one in found if one), None)
    if target is None:
        raise no_such(kinds[0], body["instanceId"])
    refuse_leaving(target, f"{target.kind} {target.key}")
    if target.kind == "nat":
        nat_addresses.require_idle(context, target)
        name = "bindEips" if target.body["natType"] == "enhanced" else "eips"
        nat_addresses.add(context, target, name, [context.path["eip"]])
    elif holding := of_instance(context, target.key):
        raise denied(f"{target.kind} {target.key} has {holding[0]} already")
    attach(context, context.path["eip"], body["instanceType"], target.key)


def unbind(context: Context) -> None:
    """Let go of what it is bound to."""
    eip = require(context, context.path["eip"])
    if (state := status(context, eip)) != "binded":
        raise denied(f"elastic address {eip.key} is {state}, not binded")
    if eip.body["instanceType"] == "NAT":
        nat = context.require("nat", eip.body["instanceId"], "NAT gateway", "NoSuchNat")
        nat_addresses.require_idle(context, nat)
        name = next(name for name in nat_addresses.BINDINGS if eip.key in nat.body[name])
        nat_addresses.remove(context, nat, name, [eip.key])
    detach(context, eip.key)


def protect(context: Context) -> None:
    """Forbid or allow release."""
    eip = require(context, context.path["eip"])
    eip.body["deleteProtect"] = context.body["deleteProtect"]
    context.store.save(eip)


def release(context: Context) -> None:
    """Give back an address that is bound to nothing."""
    eip = require(context, context.path["eip"])
    if eip.body["deleteProtect"]:
        raise denied(f"elastic address {eip.key} is protected from deletion")
    if (state := status(context, eip)) != "available":
        raise denied(f"elastic address {eip.key} is {state}, not available")
    context.leave(eip, "deleting")


_CREATE = fields("bandwidthInMbps:i! name billing:{} tags:[{}] routeType ipVersion resourceGroupId deleteProtect:b")
_ONE = "/v1/eip/{eip}"

SERVICE = Service(
    "eip",
    (
        Call("create_eip", "POST", "/v1/eip", create, _CREATE),
        Call("list_eips", "GET", "/v1/eip", list_all),
        Call("resize_eip", "PUT", _ONE, resize, fields("newBandwidthInMbps:i!"), "resize"),
        Call("bind_eip", "PUT", _ONE, bind, fields("instanceType! instanceId! instanceIp"), "bind"),
        Call("unbind_eip", "PUT", _ONE, unbind, (), "unbind"),
        Call("update_eip_delete_protect", "PUT", _ONE + "/deleteProtect", protect, fields("deleteProtect:b!")),
        Call("release_eip", "DELETE", _ONE, release),
    ),
    endpoint="eip",
)
