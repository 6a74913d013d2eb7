"""High-availability virtual addresses: ``HavipClient`` of the SDK. Replies are bce-sdk-go's ``HaVip``.

Such an address belongs to a subnet, and any of the instances bound to it may take it by gratuitous ARP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from lanecast_lab.cloud.api import eip, route, subnet
from lanecast_lab.cloud.api.calls import Call, Context, JsonObject, Service, fields, new_id, one_of, shown, timestamp
from lanecast_lab.cloud.api.errors import denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.holders import heard_holders
from lanecast_lab.cloud.data_plane.model import station_of

KIND = "havip"
SERVER, INTERFACE = "SERVER", "ENI"
TYPES = (SERVER, INTERFACE)
"""[SDK, docs] What can be bound: instances, and elastic network interfaces."""

INTERFACE_PREFIX = "eni-"
"""Of an instance's own interface, whose id ends like the instance's. No call here makes others."""


def require(context: Context) -> Resource:
    """The address that the path names, or the refusal that there is none."""
    return context.require(KIND, context.path["haVipId"], "high-availability virtual address")


def _instance_id(bound: str, kind: str) -> str:
    """Of what is bound: the instance itself, or the one whose own interface it is."""
    return "i-" + bound.removeprefix(INTERFACE_PREFIX) if kind == INTERFACE else bound


Heard = Callable[[str], dict[str, str]]
"""By a VPC's id, the hardware address of each address that its router has heard of."""


def _hearing(context: Context) -> Heard:
    """Each router is asked once for a request."""
    return cache(partial(heard_holders, context.store.directory))


def _show(context: Context, heard: Heard, havip: Resource) -> JsonObject:
    """[docs] ``available``, or ``bound`` to instances."""
    master = _master(context, heard, havip)
    bound = [
        {"instanceId": one, "instanceType": kind, "master": _instance_id(one, kind) == master}
        for one, kind in havip.body["_bound"]
    ]
    public = eip.of_instance(context, havip.key)
    return {
        **shown(havip.body),
        "status": "bound" if bound else "available",
        "publicIpAddress": public[0] if public else "",
        "bindedInstances": bound,
    }


def _master(context: Context, heard: Heard, havip: Resource) -> str | None:
    """[assumed] The instance that announced the address last and runs; none where there is no data plane."""
    running = [one for bound in havip.body["_bound"] if (one := context.running(_instance_id(*bound)))]
    if not running:
        return None
    station = heard(havip.body["vpcId"]).get(havip.body["privateIpAddress"])
    holding = (one.key for one in running if station_of(one.parent or "", one.body["internalIp"]) == station)
    return next(holding, None)


def create(context: Context) -> JsonObject:
    """An address of a subnet; [docs] an empty one is chosen by the cloud. Names as the docs have them."""
    body = context.body
    place = subnet.require(context, body["subnetId"])
    context.quotas.check("havip", context.store.count(KIND, context.scope, equal={"vpcId": place.parent}))
    taken = subnet.take_address(context, place, body.get("privateIpAddress") or None)
    havip_id = new_id(KIND)
    record: JsonObject = {
        "haVipId": havip_id,
        "name": body["name"],
        "description": body.get("description", ""),
        "vpcId": place.parent,
        "subnetId": place.key,
        "privateIpAddress": taken,
        "createdTime": timestamp(context.now),
        "_address": taken,
        "_bound": [],
    }
    context.make(KIND, havip_id, record, parent=place.key)
    return {"haVipId": havip_id}


def list_all(context: Context) -> JsonObject:
    """Pages of addresses, of one VPC when the query says so."""
    vpc_id = context.query.get("vpcId")
    equal = {"vpcId": vpc_id} if vpc_id else None
    return page(context, KIND, "haVips", partial(_show, context, _hearing(context)), equal=equal)


def get(context: Context) -> JsonObject:
    """One address."""
    return _show(context, _hearing(context), require(context))


def update(context: Context) -> None:
    """Change name and description."""
    havip = require(context)
    havip.body |= context.body
    context.store.save(havip)


def delete(context: Context) -> None:
    """[assumed] Only when nothing is bound to it and no route leads to it."""
    havip = require(context)
    if bound := havip.body["_bound"]:
        raise in_use(f"{havip.key} is still bound to {', '.join(one for one, _ in bound)}")
    if public := eip.of_instance(context, havip.key):
        raise in_use(f"{havip.key} is still bound to elastic address {public[0]}")
    route.check_not_a_next_hop(context, havip.key)
    context.store.remove(havip)


def _instance_of(context: Context, name: str, kind: str) -> Resource:
    """The instance that is bound, or whose interface is."""
    if kind == INTERFACE and not name.startswith(INTERFACE_PREFIX):
        raise no_such("elastic network interface", name)
    called = "instance" if kind == SERVER else "elastic network interface of instance"
    return context.require_lasting("instance", _instance_id(name, kind), called)


def _wanted(context: Context) -> list[tuple[str, str]]:
    kind = context.body["instanceType"]
    one_of("instanceType", kind, TYPES)
    if not (names := list(dict.fromkeys(context.body["instanceIds"]))):
        raise inappropriate("instanceIds: is empty")
    return [(name, kind) for name in names]


def attach(context: Context) -> None:
    """[docs] Instances of the same VPC, five at most. [assumed] All of them or none; in any subnet."""
    havip, wanted = require(context), _wanted(context)
    bound = [tuple(one) for one in havip.body["_bound"]]
    for one in wanted:
        vpc_id = _instance_of(context, *one).body["vpcId"]
        if vpc_id != havip.body["vpcId"]:
            raise denied(f"{one[0]} is in VPC {vpc_id}, {havip.key} in {havip.body['vpcId']}")
        if one in bound:
            raise denied(f"{one[0]} is bound to {havip.key} already")
    context.quotas.check("havip-instance", len(bound), len(wanted))
    havip.body["_bound"] = [*bound, *wanted]
    context.store.save(havip)


def detach(context: Context) -> None:
    """Let go of instances. [assumed] All of them or none."""
    havip, wanted = require(context), _wanted(context)
    bound = [tuple(one) for one in havip.body["_bound"]]
    for one in wanted:
        if one not in bound:
            raise no_such(f"{one[1]} bound to {havip.key}", one[0])
    havip.body["_bound"] = [one for one in bound if one not in wanted]
    context.store.save(havip)


def bind_public(context: Context) -> None:
    """Bind an elastic address that is free; one at a time."""
    havip = require(context)
    if holding := eip.of_instance(context, havip.key):
        raise denied(f"{havip.key} has {holding[0]} already")
    eip.attach(context, context.body["publicIpAddress"], "HAVIP", havip.key)


def unbind_public(context: Context) -> None:
    """Let go of the elastic address."""
    havip = require(context)
    holding = eip.of_instance(context, havip.key)
    if not holding:
        raise denied(f"{havip.key} has no elastic address")
    if (state := eip.status(context, eip.require(context, holding[0]))) != "binded":
        raise denied(f"elastic address {holding[0]} is {state}, not binded")
    eip.detach(context, holding[0])


def forget_instance(context: Context, instance: Resource) -> None:
    """[assumed] An instance that is released is bound to nothing any more."""
    own = {instance.key, INTERFACE_PREFIX + instance.key.removeprefix("i-")}
    for havip in context.store.find(KIND, context.scope, equal={"vpcId": instance.body["vpcId"]}):
        left = [one for one in havip.body["_bound"] if one[0] not in own]
        if left != havip.body["_bound"]:
            havip.body["_bound"] = left
            context.store.save(havip)


_ALL = "/v1/havip"
_ONE = _ALL + "/{haVipId}"
_BOUND = fields("instanceIds:[]! instanceType!")

SERVICE = Service(
    "havip",
    (
        Call("create_havip", "POST", _ALL, create, fields("name! subnetId! privateIpAddress description")),
        Call("get_havip_detail_list", "GET", _ALL, list_all),
        Call("get_havip_detail", "GET", _ONE, get),
        Call("update_havip", "PUT", _ONE, update, fields("name! description"), "modifyAttribute"),
        Call("delete_havip", "DELETE", _ONE, delete),
        Call("havip_attach_instance", "PUT", _ONE, attach, _BOUND, "attach"),
        Call("havip_detach_instance", "PUT", _ONE, detach, _BOUND, "detach"),
        Call("havip_bind_public_ip", "PUT", _ONE, bind_public, fields("publicIpAddress!"), "bindPublicIp"),
        Call("havip_unbind_public_ip", "PUT", _ONE, unbind_public, (), "unbindPublicIp"),
    ),
)
