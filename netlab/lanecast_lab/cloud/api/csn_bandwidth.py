"""The bandwidth of cloud smart networks: what was bought, and how much of it two regions have between them."""

from __future__ import annotations

from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    between,
    fields,
    new_id,
    one_of,
    shown,
    timestamp,
)
from lanecast_lab.cloud.api.errors import denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.regions import REGIONS
from lanecast_lab.cloud.api.store import Resource

KIND, LIMIT = "csn-bandwidth", "csn-bandwidth-limit"
MOST_MBPS = 10_000
AREAS = ("China", "Asia-Pacific")
INTERWORK_TYPES = ("center", "center-edge", "edge-edge")
"""[docs: create bandwidth package] The most, the areas, and what is connected."""

UNITS_A_MBPS = 100
"""[assumed] What a price says: the emulated cloud sells nothing."""


def of_network(context: Context, csn_id: str) -> list[Resource]:
    """The bandwidths that are bound to a network."""
    return context.store.find(KIND, context.scope, equal={"csnId": csn_id})


def _require(context: Context) -> Resource:
    return context.require(KIND, context.path["csnBpId"], "bandwidth")


def _limits(context: Context, bandwidth: Resource) -> list[Resource]:
    return context.store.find(LIMIT, context.scope, bandwidth.key)


def _used(context: Context, bandwidth: Resource, but: str = "") -> int:
    return sum(int(one.body["bandwidth"]) for one in _limits(context, bandwidth) if one.key != but)


def _show(context: Context, bandwidth: Resource) -> JsonObject:
    return {**shown(bandwidth.body), "usedBandwidth": _used(context, bandwidth)}


def _check(body: JsonObject) -> None:
    between("bandwidth", body["bandwidth"], 1, MOST_MBPS)
    for name in ("geographicA", "geographicB"):
        one_of(name, body[name], AREAS)
    one_of("interworkType", body.get("interworkType", "center"), INTERWORK_TYPES)


def create(context: Context) -> JsonObject:
    """Bandwidth between two areas, bound to nothing."""
    body = context.body
    _check(body)
    context.quotas.check("csn-bandwidth", context.store.count(KIND, context.scope))
    bandwidth_id = new_id("csnBp")
    record = {
        "csnBpId": bandwidth_id,
        "name": body["name"],
        "bandwidth": body["bandwidth"],
        "csnId": "",
        "interworkType": body.get("interworkType", "center"),
        "interworkRegion": f"{body['geographicA']}-{body['geographicB']}",
        "status": "active",
        "paymentTiming": body["billing"].get("paymentTiming", "Postpaid"),
        "expireTime": "",
        "createdTime": timestamp(context.now),
        "tags": body.get("tags", []),
    }
    context.make(KIND, bandwidth_id, record)
    return {"csnBpId": bandwidth_id}


def list_all(context: Context) -> JsonObject:
    """Pages of bandwidths."""
    return page(context, KIND, "csnBps", lambda one: _show(context, one))


def get(context: Context) -> JsonObject:
    """One bandwidth."""
    return _show(context, _require(context))


def update(context: Context) -> None:
    """Change the name."""
    bandwidth = _require(context)
    bandwidth.body["name"] = context.body["name"]
    context.store.save(bandwidth)


def resize(context: Context) -> None:
    """More or less, but not less than what regions have of it."""
    bandwidth, wanted = _require(context), context.body["bandwidth"]
    between("bandwidth", wanted, 1, MOST_MBPS)
    if (used := _used(context, bandwidth)) > wanted:
        raise denied(f"bandwidth: {used} Mbit/s of {bandwidth.key} are in use")
    bandwidth.body["bandwidth"] = wanted
    context.store.save(bandwidth)


def bind(context: Context) -> None:
    """Give it to a network."""
    bandwidth = _require(context)
    network = context.require("csn", context.body["csnId"], "cloud smart network")
    if bandwidth.body["csnId"]:
        raise denied(f"bandwidth {bandwidth.key} is bound to cloud smart network {bandwidth.body['csnId']}")
    bandwidth.body["csnId"] = network.key
    context.store.save(bandwidth)


def unbind(context: Context) -> None:
    """Take it from its network, when no regions have any of it."""
    bandwidth = _require(context)
    if bandwidth.body["csnId"] != context.body["csnId"]:
        raise no_such(f"bandwidth {bandwidth.key} at cloud smart network", context.body["csnId"])
    if _limits(context, bandwidth):
        raise in_use(f"bandwidth {bandwidth.key} is in use between regions")
    bandwidth.body["csnId"] = ""
    context.store.save(bandwidth)


def delete(context: Context) -> None:
    """When it is bound to nothing."""
    bandwidth = _require(context)
    if bandwidth.body["csnId"]:
        raise in_use(f"bandwidth {bandwidth.key} is bound to cloud smart network {bandwidth.body['csnId']}")
    context.store.remove_tree(bandwidth)


def price(context: Context) -> JsonObject:
    """What it would cost."""
    wanted = context.body.get("bandwidth", 1)
    _check({**context.body, "bandwidth": wanted})
    return {"price": str(wanted * UNITS_A_MBPS)}


def _limit_key(context: Context, bandwidth: Resource) -> str:
    """One for each pair of regions, whichever is named first."""
    regions = sorted((context.body["localRegion"], context.body["peerRegion"]))
    for region in regions:
        one_of("region", region, REGIONS)
    if regions[0] == regions[1]:
        raise inappropriate("peerRegion: is the same as localRegion")
    return f"{bandwidth.key}:{regions[0]}:{regions[1]}"


def _check_limit(context: Context, bandwidth: Resource, key: str) -> None:
    between("bandwidth", context.body["bandwidth"], 1, MOST_MBPS)
    if _used(context, bandwidth, key) + context.body["bandwidth"] > bandwidth.body["bandwidth"]:
        raise denied(f"bandwidth: {bandwidth.key} has {bandwidth.body['bandwidth']} Mbit/s in all")


def create_limit(context: Context) -> None:
    """Give two regions a part of it."""
    bandwidth = _require(context)
    if not bandwidth.body["csnId"]:
        raise denied(f"bandwidth {bandwidth.key} is bound to no cloud smart network")
    key = _limit_key(context, bandwidth)
    if context.store.get(LIMIT, key):
        raise denied(f"bandwidth {bandwidth.key} has a part for these two regions already")
    _check_limit(context, bandwidth, key)
    record = {"csnBpId": bandwidth.key, "csnId": bandwidth.body["csnId"], **context.body}
    context.make(LIMIT, key, record, parent=bandwidth.key)


def _require_limit(context: Context) -> tuple[Resource, Resource]:
    bandwidth = _require(context)
    found = context.store.get(LIMIT, _limit_key(context, bandwidth))
    if found is None:
        regions = f"{context.body['localRegion']} and {context.body['peerRegion']}"
        raise no_such(f"part of bandwidth {bandwidth.key} between", regions)
    return bandwidth, found


def update_limit(context: Context) -> None:
    """Another part."""
    bandwidth, limit = _require_limit(context)
    _check_limit(context, bandwidth, limit.key)
    limit.body["bandwidth"] = context.body["bandwidth"]
    context.store.save(limit)


def delete_limit(context: Context) -> None:
    """Nothing for these two regions."""
    context.store.remove(_require_limit(context)[1])


def list_limits(context: Context) -> JsonObject:
    """All parts of a bandwidth. [docs] This list has no pages."""
    return {"bpLimits": [shown(one.body) for one in _limits(context, _require(context))]}


def list_limits_of_network(context: Context) -> JsonObject:
    """All parts of a network's bandwidths."""
    network = context.require("csn", context.path["csnId"], "cloud smart network")
    found = context.store.find(LIMIT, context.scope, equal={"csnId": network.key})
    return {"bpLimits": [shown(one.body) for one in found]}


_ALL = "/v1/csn/bp"
_ONE = _ALL + "/{csnBpId}"
_LIMITS = _ONE + "/limit"
_PAIR = "localRegion! peerRegion!"
_CREATE = fields("name! bandwidth:i! geographicA! geographicB! billing:{}! interworkType tags:[{}]")

CALLS = (
    Call("create_csn_bp", "POST", _ALL, create, _CREATE),
    Call("list_csn_bp", "GET", _ALL, list_all),
    Call("get_csn_bp", "GET", _ONE, get),
    Call("update_csn_bp", "PUT", _ONE, update, fields("name!")),
    Call("resize_csn_bp", "PUT", _ONE, resize, fields("bandwidth:i!"), "resize"),
    Call("bind_csn_bp", "PUT", _ONE, bind, fields("csnId!"), "bind"),
    Call("unbind_csn_bp", "PUT", _ONE, unbind, fields("csnId!"), "unbind"),
    Call("delete_csn_bp", "DELETE", _ONE, delete),
    Call("get_csn_bp_price", "POST", _ALL + "/price", price, fields("name bandwidth:i geographicA! geographicB!")),
    Call("create_csn_bp_limit", "POST", _LIMITS, create_limit, fields(f"{_PAIR} bandwidth:i!")),
    Call("list_csn_bp_limit", "GET", _LIMITS, list_limits),
    Call("update_csn_bp_limit", "PUT", _LIMITS, update_limit, fields(f"{_PAIR} bandwidth:i!")),
    Call("delete_csn_bp_limit", "POST", _LIMITS + "/delete", delete_limit, fields(_PAIR)),
    Call("list_csn_bp_limit_by_csn_id", "GET", "/v1/csn/{csnId}/bp/limit", list_limits_of_network),
)
