"""Private DNS zones and records: ``LdClient`` of the SDK (package ``localdns``). A service without regions.

Replies are bce-sdk-go's services/localDns/model.go: ``GetPrivateZoneResponse``, ``Zone``, ``Record``.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    address,
    between,
    fields,
    new_id,
    one_of,
    shown,
    timestamp,
)
from lanecast_lab.cloud.api.errors import denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.regions import REGIONS
from lanecast_lab.cloud.api.store import Resource, Scope

KIND, RECORD, BINDING = "private-zone", "private-record", "private-zone-binding"
ZONE_NAME = re.compile(r"^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$")
HOST_NAME = re.compile(
    r"^(@|\*|(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*)$"
)
TYPES = ("A", "AAAA", "CNAME", "MX", "TXT", "PTR", "SRV")
TTL_S, LEAST_TTL_S, MOST_TTL_S = 60, 5, 24 * 3600
"""[docs] The default; [assumed] the range."""


def _zone(context: Context) -> Resource:
    return context.require(KIND, context.path["zoneId"], "private zone")


def _record(context: Context) -> Resource:
    return context.require(RECORD, context.path["recordId"], "record")


def _bindings(context: Context, zone: Resource) -> list[Resource]:
    return context.store.find(BINDING, equal={"zoneId": zone.key})


def _show(context: Context, zone: Resource) -> JsonObject:
    return {**shown(zone.body), "recordCount": context.store.count(RECORD, parent=zone.key)}


def _show_bound(context: Context, binding: Resource) -> JsonObject:
    vpc = context.store.get("vpc", binding.parent or "")
    name = vpc.body["name"] if vpc else ""
    return {"vpcId": binding.parent, "vpcName": name, "vpcRegion": binding.region}


def create_zone(context: Context) -> JsonObject:
    """A zone that no VPC is bound to yet. Its name is unique in an account. [assumed]"""
    name = context.body["zoneName"].lower().rstrip(".")
    if not ZONE_NAME.fullmatch(name):
        raise inappropriate(f"zoneName: {context.body['zoneName']!r} is no domain name")
    for other in context.store.find(KIND, context.scope, equal={"zoneName": name}):
        raise denied(f"private zone {other.key} has this name already")
    context.quotas.check("private-zone", context.store.count(KIND, context.scope))
    zone_id, now = new_id("zone"), timestamp(context.now)
    context.make(KIND, zone_id, {"zoneId": zone_id, "zoneName": name, "createTime": now, "updateTime": now})
    return {"zoneId": zone_id}


def list_zones(context: Context) -> JsonObject:
    """Pages of zones."""
    return page(context, KIND, "zones", lambda zone: _show(context, zone))


def get_zone(context: Context) -> JsonObject:
    """One zone with the VPCs that use it."""
    zone = _zone(context)
    bound = [_show_bound(context, one) for one in _bindings(context, zone)]
    return {**_show(context, zone), "bindVpcs": bound}


def delete_zone(context: Context) -> None:
    """When no VPC uses it; its records go with it."""
    zone = _zone(context)
    if bound := _bindings(context, zone):
        raise in_use(f"private zone {zone.key} is bound to VPC {bound[0].parent}")
    context.store.remove_tree(zone)


def _vpcs(context: Context) -> list[Resource]:
    """The VPCs of a request, which may be in any region."""
    body = context.body
    one_of("region", body["region"], REGIONS)
    if not body["vpcIds"]:
        raise inappropriate("vpcIds: is empty")
    scope, found = Scope(context.scope.account, body["region"]), []
    for vpc_id in body["vpcIds"]:
        vpc = context.store.get("vpc", vpc_id, scope)
        if vpc is None:
            raise no_such("VPC", vpc_id)
        found.append(vpc)
    return found


def bind(context: Context) -> None:
    """Let VPCs resolve the zone's names. One that does already is left as it is."""
    zone = _zone(context)
    there = {one.parent for one in _bindings(context, zone)}
    for vpc in _vpcs(context):
        if vpc.key not in there:
            key = f"{zone.key}:{vpc.key}"
            body = {"zoneId": zone.key, "_id": zone.key}
            context.store.add(Resource(key, BINDING, vpc.account, vpc.region, vpc.key, body))


def unbind(context: Context) -> None:
    """These VPCs resolve the zone's names no longer."""
    zone = _zone(context)
    there = {one.parent: one for one in _bindings(context, zone)}
    for vpc in _vpcs(context):
        if vpc.key not in there:
            raise no_such(f"VPC of private zone {zone.key}", vpc.key)
        context.store.remove(there[vpc.key])


def _check_ipv6(value: str) -> None:
    try:
        IPv6Address(value)
    except AddressValueError:
        raise inappropriate(f"value: {value!r} is no IPv6 address") from None


def _check_record(context: Context, zone_id: str, record: JsonObject, but: str = "") -> None:
    if not HOST_NAME.fullmatch(record["rr"].lower()):
        raise inappropriate(f"rr: {record['rr']!r} is no host name, nor @ nor *")
    one_of("type", record["type"], TYPES)
    between("ttl", record["ttl"], LEAST_TTL_S, MOST_TTL_S)
    if record["type"] == "A":
        address("value", record["value"])
    if record["type"] == "AAAA":
        _check_ipv6(record["value"])
    equal = {name: record[name] for name in ("rr", "type")}
    for other in context.store.find(RECORD, parent=zone_id, equal=equal):
        if other.key != but and (other.body["value"] == record["value"] or record["type"] == "CNAME"):
            raise denied(f"record {other.key} says the same")


def add_record(context: Context) -> JsonObject:
    """A record, in use at once."""
    zone = _zone(context)
    record = {"ttl": TTL_S, "priority": 0, "description": "", **context.body}
    _check_record(context, zone.key, record)
    context.quotas.check("private-record", context.store.count(RECORD, parent=zone.key))
    record_id = new_id("record")
    context.make(RECORD, record_id, {"recordId": record_id, **record, "status": "enable"}, parent=zone.key)
    _touch(context, zone)
    return {"recordId": record_id}


def _touch(context: Context, zone: Resource) -> None:
    zone.body["updateTime"] = timestamp(context.now)
    context.store.save(zone)


def list_records(context: Context) -> JsonObject:
    """Pages of a zone's records; by type, by name or a part of it, by a part of the value. [SDK]"""
    zone, rr, value = _zone(context), context.query.get("rr", ""), context.query.get("value", "")
    mode = context.query.get("searchMode") or "EXACT"
    one_of("searchMode", mode, ("EXACT", "LIKE"))
    names = ("rr", "type") if mode == "EXACT" else ("type",)
    equal = {name: context.query[name] for name in names if context.query.get(name)}
    if not value and mode == "EXACT":
        return page(context, RECORD, "records", lambda record: shown(record.body), zone.key, equal)
    found = context.store.find(RECORD, parent=zone.key, equal=equal)
    chosen = [one for one in found if rr in one.body["rr"] and value in one.body["value"]]
    return page_of(context, "records", chosen, lambda record: shown(record.body))


def update_record(context: Context) -> None:
    """Change everything of a record."""
    record = _record(context)
    changed = {**record.body, **context.body}
    _check_record(context, record.parent or "", changed, record.key)
    record.body = changed
    context.store.save(record)


def _switch(context: Context, status: str) -> None:
    record = _record(context)
    record.body["status"] = status
    context.store.save(record)


def enable_record(context: Context) -> None:
    """Answer with the record again."""
    _switch(context, "enable")


def disable_record(context: Context) -> None:
    """Keep the record, and do not answer with it."""
    _switch(context, "pause")


def delete_record(context: Context) -> None:
    """Forget the record."""
    context.store.remove(_record(context))


_RECORD = fields("rr! value! type! ttl:i priority:i description")
_VPCS = fields("region! vpcIds:[]!")
_ZONES = "/v1/privatezone"
_ZONE = _ZONES + "/{zoneId}"
_ONE = _ZONES + "/record/{recordId}"

SERVICE = Service(
    "privatezone",
    (
        Call("create_private_zone", "POST", _ZONES, create_zone, fields("zoneName!")),
        Call("list_private_zone", "GET", _ZONES, list_zones),
        Call("get_private_zone", "GET", _ZONE, get_zone),
        Call("delete_private_zone", "DELETE", _ZONE, delete_zone),
        Call("bind_vpc", "PUT", _ZONE, bind, _VPCS, "bind"),
        Call("unbind_vpc", "PUT", _ZONE, unbind, _VPCS, "unbind"),
        Call("add_record", "POST", _ZONE + "/record", add_record, _RECORD),
        Call("list_record", "GET", _ZONE + "/record", list_records),
        Call("update_record", "PUT", _ONE, update_record, _RECORD),
        Call("enable_record", "PUT", _ONE, enable_record, (), "enable"),
        Call("disable_record", "PUT", _ONE, disable_record, (), "disable"),
        Call("delete_record", "DELETE", _ONE, delete_record),
    ),
    regional=False,
    endpoint="privatezone",
)
