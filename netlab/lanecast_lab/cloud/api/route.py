"""Route tables and rules: ``RouteClient`` of the SDK. A VPC has one table; no call makes or deletes it.

Replies are bce-sdk-go's ``GetRouteTableResult`` and ``RouteRule``.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from lanecast_lab.cloud.api.calls import Call, Context, JsonObject, Service, checked, cidr, fields, new_id
from lanecast_lab.cloud.api.errors import cidr_conflict, denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.store import Resource

TABLE = "route-table"
KIND = "route-rule"
EVERYWHERE = IPv4Network("0.0.0.0/0")
PATH_TYPES = ("ecmp", "ha:active", "ha:standby")
NEXT_HOPS = {"custom": "instance", "nat": "nat", "dcGateway": "et-gateway", "peerConn": "peering"}
"""The types of next hops whose resources this cloud has, with the kind of resource."""

WITHOUT_RESOURCE = ("defaultGateway",)
NOT_EMULATED = ("vpn", "enic", "havip", "ipv6gateway")
"""Types that the real cloud has, and whose resources this one cannot make, so that none can be found."""


def check_not_a_next_hop(context: Context, hop_id: str, vpc_id: str | None = None) -> None:
    """Refuse to let go of something that a route rule points at; of one VPC's rules when it is named. [assumed]"""
    for hop in context.store.find("next-hop", equal={"id": hop_id}):
        rule = context.store.get(KIND, hop.parent or "")
        if rule is None or (vpc_id and rule.body["_vpc"] != vpc_id):
            continue
        raise in_use(f"{hop_id} is the next hop of route rule {rule.key}")


def _hops(context: Context, vpc: Resource, multiple: bool = True) -> list[JsonObject]:
    """The next hops of a request, each checked."""
    body = context.body
    listed = [
        checked(hop, fields("nexthopId nexthopType! pathType"), "nextHopList.") for hop in body.get("nextHopList", [])
    ]
    if listed and not multiple:
        raise inappropriate("nextHopList: only a rule with one next hop can be updated")
    if not listed:
        if "nexthopType" not in body:
            raise inappropriate("nexthopType: is missing, and so is nextHopList")
        listed = [{"nexthopType": body["nexthopType"], "nexthopId": body.get("nexthopId", "")}]
    elif {hop["nexthopType"] for hop in listed} != {"dcGateway"}:
        raise inappropriate("nextHopList: several next hops have to be of type dcGateway")
    elif any(hop.get("pathType") not in PATH_TYPES for hop in listed):
        raise inappropriate(f"nextHopList.pathType: has to be one of {', '.join(PATH_TYPES)}")
    for hop in listed:
        _check_hop(context, vpc, hop["nexthopType"], hop.get("nexthopId", ""))
    return listed


def _check_hop(context: Context, vpc: Resource, kind: str, hop_id: str) -> None:
    if kind in WITHOUT_RESOURCE:
        return
    if kind in NOT_EMULATED:
        raise no_such(f"{kind} next hop", hop_id)
    if kind not in NEXT_HOPS:
        known = (*NEXT_HOPS, *WITHOUT_RESOURCE, *NOT_EMULATED)
        raise inappropriate(f"nexthopType: has to be one of {', '.join(sorted(known))}")
    if kind == "peerConn":
        there = bool(context.store.find("peering", context.scope, vpc.key, {"peerConnId": hop_id}))
    else:
        found = context.store.get(NEXT_HOPS[kind], hop_id, context.scope)
        there = found is not None and found.body.get("vpcId") == vpc.key
    if not there:
        raise no_such(f"{kind} next hop of VPC {vpc.key}", hop_id)


def _check_addresses(context: Context, vpc: Resource, source: str, destination: str) -> None:
    ranges = [IPv4Network(one) for one in (vpc.body["cidr"], *vpc.body["secondaryCidr"])]
    origin, target = cidr("sourceAddress", source), cidr("destinationAddress", destination)
    if origin != EVERYWHERE and not any(origin.subnet_of(one) for one in ranges):
        raise cidr_conflict(f"sourceAddress: {origin} is neither 0.0.0.0/0 nor inside VPC {vpc.key}")
    if target != EVERYWHERE and any(target.overlaps(one) for one in ranges):
        raise cidr_conflict(f"destinationAddress: {target} overlaps VPC {vpc.key}")


def _check_unique(context: Context, table: str, source: str, destination: str, but: str = "") -> None:
    equal = {"sourceAddress": source, "destinationAddress": destination}
    for rule in context.store.find(KIND, parent=table, equal=equal):
        if rule.key != but:
            raise denied(f"route rule {rule.key} has the same source and destination")


def _keep_hops(context: Context, rule: Resource) -> None:
    for old in context.store.children(rule.key):
        context.store.remove(old)
    for hop in rule.body["_hops"]:
        if hop.get("nexthopId"):
            context.make("next-hop", new_id("nh"), {"id": hop["nexthopId"]}, parent=rule.key)


def _show(rule: Resource) -> JsonObject:
    shown = {name: value for name, value in rule.body.items() if not name.startswith("_")}
    hops = rule.body["_hops"]
    shown |= {
        "routeTableId": rule.parent,
        "nexthopId": hops[0].get("nexthopId", ""),
        "nexthopType": hops[0]["nexthopType"],
    }
    if "pathType" in hops[0]:
        shown["nextHopList"] = hops
    return shown


def _table(context: Context) -> Resource:
    """The table that a query names, by its own id or its VPC's."""
    if table_id := context.query.get("routeTableId"):
        return context.require(TABLE, table_id, "route table")
    if vpc_id := context.query.get("vpcId"):
        context.require("vpc", vpc_id, "VPC")
        return context.store.find(TABLE, parent=vpc_id)[0]
    raise inappropriate("routeTableId: is missing, and so is vpcId")


def create(context: Context) -> JsonObject:
    """Source and destination are unique in a table."""
    body = context.body
    table = context.require(TABLE, body["routeTableId"], "route table")
    vpc = context.require("vpc", table.parent or "", "VPC")
    _check_addresses(context, vpc, body["sourceAddress"], body["destinationAddress"])
    _check_unique(context, table.key, body["sourceAddress"], body["destinationAddress"])
    context.quotas.check("route-rule", context.store.count(KIND, parent=table.key))
    rule_id = new_id("rr")
    shown = {
        "routeRuleId": rule_id,
        "sourceAddress": body["sourceAddress"],
        "destinationAddress": body["destinationAddress"],
        "description": body.get("description", ""),
        "ipVersion": body.get("ipVersion", "4"),
        "_hops": _hops(context, vpc),
        "_vpc": vpc.key,
    }
    _keep_hops(context, context.make(KIND, rule_id, shown, parent=table.key))
    return {"routeRuleId": rule_id}


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
    if "pathType" in rule.body["_hops"][0]:
        raise denied(f"route rule {rule.key} has several next hops")
    changed = {**rule.body, **{name: context.body[name] for name in _CHANGED if name in context.body}}
    _check_addresses(context, vpc, changed["sourceAddress"], changed["destinationAddress"])
    _check_unique(context, rule.parent or "", changed["sourceAddress"], changed["destinationAddress"], rule.key)
    if {"nexthopType", "nexthopId", "nextHopList"} & context.body.keys():
        before = rule.body["_hops"][0]
        context.body = {"nexthopType": before["nexthopType"], "nexthopId": before.get("nexthopId", ""), **context.body}
        changed["_hops"] = _hops(context, vpc, multiple=False)
    rule.body = changed
    context.store.save(rule)
    _keep_hops(context, rule)


def switch(context: Context) -> None:
    """The active and the standby next hop change places."""
    rule = context.require(KIND, context.path["routeRuleId"], "route rule")
    other = {"ha:active": "ha:standby", "ha:standby": "ha:active"}
    if not all(hop.get("pathType") in other for hop in rule.body["_hops"]):
        raise denied(f"route rule {rule.key} has no active and standby next hop")
    for hop in rule.body["_hops"]:
        hop["pathType"] = other[hop["pathType"]]
    context.store.save(rule)


def delete(context: Context) -> None:
    """Forget the rule."""
    rule = context.require(KIND, context.path["routeRuleId"], "route rule")
    context.store.remove_tree(rule)


_CHANGED = ("sourceAddress", "destinationAddress", "description", "ipVersion")
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
