"""Route tables and rules: ``RouteClient`` of the SDK. A VPC has one table; no call makes or deletes it.

Replies are bce-sdk-go's ``GetRouteTableResult`` and ``RouteRule``.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    checked,
    cidr,
    fields,
    new_id,
    one_of,
    refuse_leaving,
    shown,
)
from lanecast_lab.cloud.api.errors import cidr_conflict, denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.store import Resource

TABLE = "route-table"
KIND = "route-rule"
EVERYWHERE = IPv4Network("0.0.0.0/0")
LONGEST_DESCRIPTION = 200
"""[docs: create route rule] Characters of a description."""

NEXT_HOPS = {"custom": "instance", "nat": "nat", "dcGateway": "et-gateway", "peerConn": "peering", "havip": "havip"}
"""The types of next hops whose resources this cloud has, with the kind of resource."""

IP_VERSIONS = ("4",)
"""[docs] 6 is the other one; IPv6 is not emulated."""

WITHOUT_RESOURCE = ("defaultGateway",)
NOT_EMULATED = ("vpn", "enic", "ipv6gateway")
"""Types that the real cloud has, and whose resources this one cannot make, so that none can be found."""


def check_not_a_next_hop(context: Context, hop_id: str, *more_ids: str) -> None:
    """Refuse to let go of something that a route rule points at, in whichever region the rule is. [assumed]"""
    for one in (hop_id, *more_ids):
        for rule in context.store.find(KIND, equal={"nexthopId": one}):
            raise in_use(f"{hop_id} is the next hop of route rule {rule.key}")


def _hops(context: Context, vpc: Resource) -> list[JsonObject]:
    """The next hops of a request, each checked."""
    body, wanted = context.body, fields("nexthopId nexthopType! pathType")
    listed = [checked(hop, wanted, "nextHopList.") for hop in body.get("nextHopList", [])]
    if not listed:
        if "nexthopType" not in body:
            raise inappropriate("nexthopType: is missing, and so is nextHopList")
        listed = [{"nexthopType": body["nexthopType"], "nexthopId": body.get("nexthopId", "")}]
    else:
        _check_path_types(listed)
    return [_with_hop(context, vpc, {"nexthopId": "", **hop}) for hop in listed]


def _check_path_types(hops: list[JsonObject]) -> None:
    """[docs] Several next hops are dedicated-line gateways: all alike, or an active and a standby one."""
    if {hop["nexthopType"] for hop in hops} != {"dcGateway"}:
        raise inappropriate("nextHopList: several next hops have to be of type dcGateway")
    types = sorted(str(hop.get("pathType")) for hop in hops)
    if types != ["ha:active", "ha:standby"] and set(types) != {"ecmp"}:
        raise inappropriate("nextHopList.pathType: has to be ecmp throughout, or ha:active and ha:standby")


def _with_hop(context: Context, vpc: Resource, rule: JsonObject) -> JsonObject:
    """A rule with what it leads to. What leads to no resource names none."""
    hop = _found_hop(context, vpc, rule["nexthopType"], rule["nexthopId"])
    return {**rule, "_hop": hop, "nexthopId": rule["nexthopId"] if hop else ""}


def _found_hop(context: Context, vpc: Resource, kind: str, hop_id: str) -> str:
    """The id of the resource that a rule leads to, or "" where there is none.

    [docs: create route rule] A peering is named by this VPC's interface of it (``qpif-…``); [assumed] its id will do.
    """
    if kind in WITHOUT_RESOURCE:
        return ""
    if kind in NOT_EMULATED:
        raise no_such(f"{kind} next hop", hop_id)
    if kind not in NEXT_HOPS:
        known = (*NEXT_HOPS, *WITHOUT_RESOURCE, *NOT_EMULATED)
        raise inappropriate(f"nexthopType: has to be one of {', '.join(sorted(known))}")
    if kind == "peerConn":
        sides = context.store.find("peering", context.scope, vpc.key)
        found = next((one for one in sides if hop_id in (one.body["localIfId"], one.body["peerConnId"])), None)
    else:
        found = context.store.get(NEXT_HOPS[kind], hop_id, context.scope)
    if found is None or (kind != "peerConn" and found.body.get("vpcId") != vpc.key):
        raise no_such(f"{kind} next hop of VPC {vpc.key}", hop_id)
    refuse_leaving(found, f"nexthopId: {hop_id}")
    return str(found.body["peerConnId"]) if kind == "peerConn" else hop_id


def _check_addresses(context: Context, vpc: Resource, source: str, destination: str) -> None:
    """[docs: create route rule] Where a source may be, and where a destination may not."""
    ranges = [IPv4Network(one) for one in (vpc.body["cidr"], *vpc.body["secondaryCidr"])]
    origin, target = cidr("sourceAddress", source), cidr("destinationAddress", destination)
    subnets = [IPv4Network(one.body["cidr"]) for one in context.store.find("subnet", parent=vpc.key)]
    if origin != EVERYWHERE and not any(origin.subnet_of(one) for one in subnets):
        raise cidr_conflict(f"sourceAddress: {origin} is neither 0.0.0.0/0 nor inside a subnet of VPC {vpc.key}")
    if target != EVERYWHERE and any(target.overlaps(one) for one in ranges):
        raise cidr_conflict(f"destinationAddress: {target} overlaps VPC {vpc.key}")


def _check_words(rule: JsonObject) -> None:
    one_of("ipVersion", rule.get("ipVersion", "4"), IP_VERSIONS)
    if len(rule.get("description", "")) > LONGEST_DESCRIPTION:
        raise inappropriate(f"description: has more than {LONGEST_DESCRIPTION} characters")


def _check_unique(context: Context, table: str, rule: JsonObject) -> None:
    """Source and destination are unique in a table; the next hops of one several-hop rule share them."""
    equal = {name: rule[name] for name in ("sourceAddress", "destinationAddress")}
    for other in context.store.find(KIND, parent=table, equal=equal):
        if other.body["_group"] != rule["_group"]:
            raise denied(f"route rule {other.key} has the same source and destination")


def _show(rule: Resource) -> JsonObject:
    return {**shown(rule.body), "routeTableId": rule.parent}


def _table(context: Context) -> Resource:
    """The table that a query names, by its own id or its VPC's."""
    if table_id := context.query.get("routeTableId"):
        return context.require(TABLE, table_id, "route table")
    if vpc_id := context.query.get("vpcId"):
        context.require("vpc", vpc_id, "VPC")
        return context.store.find(TABLE, parent=vpc_id)[0]
    raise inappropriate("routeTableId: is missing, and so is vpcId")


def create(context: Context) -> JsonObject:
    """Makes a rule for each next hop. [go] ``CreateRouteRuleResult`` has ``routeRuleIds`` for several."""
    body = context.body
    table = context.require(TABLE, body["routeTableId"], "route table")
    vpc = context.require("vpc", table.parent or "", "VPC")
    _check_addresses(context, vpc, body["sourceAddress"], body["destinationAddress"])
    _check_words(body)
    hops = _hops(context, vpc)
    context.quotas.check("route-rule", context.store.count(KIND, parent=table.key), len(hops))
    made = [new_id("rr") for _ in hops]
    for rule_id, hop in zip(made, hops, strict=True):
        record = {
            "routeRuleId": rule_id,
            "sourceAddress": body["sourceAddress"],
            "destinationAddress": body["destinationAddress"],
            "description": body.get("description", ""),
            "ipVersion": body.get("ipVersion", "4"),
            **hop,
            "_vpc": vpc.key,
            "_group": made[0],
        }
        _check_unique(context, table.key, record)
        context.make(KIND, rule_id, record, parent=table.key)
    return {"routeRuleId": made[0], **({"routeRuleIds": made} if len(made) > 1 else {})}


def get_table(context: Context) -> JsonObject:
    """A table with all of its rules."""
    table = _table(context)
    rules = [_show(rule) for rule in context.store.find(KIND, parent=table.key)]
    return {"routeTableId": table.key, "vpcId": table.parent, "routeRules": rules}


def list_rules(context: Context) -> JsonObject:
    """Pages of a table's rules."""
    return page(context, KIND, "routeRules", _show, _table(context).key)


def update(context: Context) -> None:
    """Everything but the table can change; only rules with one next hop. [docs]"""
    rule = context.require(KIND, context.path["routeRuleId"], "route rule")
    vpc = context.require("vpc", rule.body["_vpc"], "VPC")
    if "pathType" in rule.body or "nextHopList" in context.body:
        raise denied(f"route rule {rule.key}: only a rule with one next hop can be updated")
    changed = {**rule.body, **context.body}
    _check_words(changed)
    _check_addresses(context, vpc, changed["sourceAddress"], changed["destinationAddress"])
    _check_unique(context, rule.parent or "", changed)
    rule.body = _with_hop(context, vpc, changed)
    context.store.save(rule)


def switch(context: Context) -> None:
    """The active and the standby next hop change places."""
    rule = context.require(KIND, context.path["routeRuleId"], "route rule")
    other = {"ha:active": "ha:standby", "ha:standby": "ha:active"}
    if rule.body.get("pathType") not in other:
        raise denied(f"route rule {rule.key} has no active and standby next hop")
    for one in context.store.find(KIND, parent=rule.parent, equal={"_group": rule.body["_group"]}):
        one.body["pathType"] = other[one.body["pathType"]]
        context.store.save(one)


def delete(context: Context) -> None:
    """Forget the rule."""
    context.store.remove(context.require(KIND, context.path["routeRuleId"], "route rule"))


_RULE = "nexthopType nexthopId description ipVersion nextHopList:[{}]"
_CREATE = fields(f"routeTableId! sourceAddress! destinationAddress! {_RULE}")
_UPDATE = fields(f"sourceAddress destinationAddress {_RULE}")

SERVICE = Service(
    "route",
    (
        Call("get_route", "GET", "/v1/route", get_table),
        Call("get_route_rule", "GET", "/v1/route/rule", list_rules),
        Call("create_route", "POST", "/v1/route/rule", create, _CREATE),
        Call("update_route", "PUT", "/v1/route/rule/{routeRuleId}", update, _UPDATE),
        Call("switch_route", "PUT", "/v1/route/rule/{routeRuleId}", switch, (), "switchRouteHA"),
        Call("delete_route", "DELETE", "/v1/route/rule/{routeRuleId}", delete),
    ),
)
