"""Dedicated lines and their channels with BFD and route rules: ``EtClient`` of the SDK.

Replies are bce-sdk-go's ``EtDcphyDetail``, ``EtChannelResult`` and ``EtChannelRouteRule``. [docs] ``vlanId`` is
read as a number. No call reads what BFD is set to.
"""

from __future__ import annotations

from ipaddress import IPv4Interface

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
    refuse_leaving,
    shown,
    whole_number,
)
from lanecast_lab.cloud.api.errors import denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.states import settled, state_at
from lanecast_lab.cloud.api.store import Resource, Scope, Store
from lanecast_lab.cloud.data_plane.status import read_status

LINE, CHANNEL, RULE = "et-line", "et-channel", "et-route-rule"
ISPS = ("ISP_CMCC", "ISP_CUCC", "ISP_CTC", "ISP_CHH", "ISP_OTHER")
INTERFACES = ("1G", "10G", "100G")
"""[docs] Of a line: its carrier and its port."""

ROUTE_TYPES = ("static-route", "bgp")
NEXT_HOPS = {"etGateway": "et-gateway", "etChannel": CHANNEL}
VLANS = (2, 4009)
"""[docs] Beside 0, which is no tag."""

LONGEST_KEY = 80
"""[assumed] Of a BGP session's key: what TCP MD5 takes in Linux."""

LAST_ASN = 2**32 - 1
"""RFC 6793."""

MOST_ROUTES = 2**32 - 1
"""[assumed] Of what BGP may bring: what a router can be told."""

LINE_STATES = ("ack-wait", "accept", "building", "established")
CHANNEL_STATES = ("ack-wait", "building", "established")
"""[docs] The states' names; [assumed] which of them a line or channel goes through, and that each takes one delay."""

DELETABLE = ("established", "pay-wait", "reject")


def ensure_line(store: Store, scope: Scope, line_id: str) -> None:
    """A line that is there already, as the lines of a plan are: nobody makes a line by a call."""
    if store.get(LINE, line_id) is None:
        body = {"id": line_id, "name": line_id, "status": settled("established"), "isp": "ISP_OTHER", "intfType": "10G"}
        store.add(Resource(line_id, LINE, scope.account, scope.region, None, {**_LINE_DEFAULTS, **body}))


_LINE_DEFAULTS: JsonObject = {
    "description": "",
    "expireTime": "",
    "apType": "SINGLE",
    "apAddr": "",
    "userName": "",
    "userPhone": "",
    "userEmail": "",
    "userIdc": "",
    "tags": [],
}


def _line(context: Context) -> Resource:
    return context.require(LINE, context.path["etId"], "dedicated line")


def _channel(context: Context) -> Resource:
    found = context.require(CHANNEL, context.path["etChannelId"], "channel")
    if found.parent != _line(context).key:
        raise no_such("channel", found.key)
    return found


def channel_status(context: Context, channel: Resource) -> str:
    """Its state now."""
    return state_at(channel.body["status"], context.now)


def _show_line(context: Context, line: Resource) -> JsonObject:
    return {**shown(line.body), "status": state_at(line.body["status"], context.now)}


def _show_channel(context: Context, channel: Resource) -> JsonObject:
    status = channel_status(context, channel)
    up = status == "established" and not {channel.key, channel.parent} & context.outages
    record = {**shown(channel.body), "status": status}
    if channel.body["routeType"] == "bgp":
        record["bgpStatus"] = "up" if up and _has_routes(context, channel) else "down"
    return record


def _has_routes(context: Context, channel: Resource) -> bool:
    """Whether the site has announced something to the gateway of the data plane; true where there is none."""
    gateways = context.store.find("et-gateway", equal={"channelId": channel.key})
    found = [read_status(context.store.directory, gateway.key) for gateway in gateways]
    seen = [one for one in found if one is not None]
    return not seen or any(one.get("learned") for one in seen)


def create_line(context: Context) -> JsonObject:
    """Apply for a line."""
    body = context.body
    one_of("isp", body["isp"], ISPS)
    one_of("intfType", body["intfType"], INTERFACES)
    line_id = new_id("dcphy")
    record = {**_LINE_DEFAULTS, **{name: body[name] for name in body if name in _SHOWN_OF_LINE}}
    context.make(LINE, line_id, {"id": line_id, **record, "status": context.passing(*LINE_STATES)})
    return {"id": line_id}


def list_lines(context: Context) -> JsonObject:
    """Pages of lines, or all that are in one state."""
    if wanted := context.query.get("status"):
        lines = context.store.find(LINE, context.scope)
        chosen = [line for line in lines if state_at(line.body["status"], context.now) == wanted]
        return page_of(context, "ets", chosen, lambda line: _show_line(context, line))
    return page(context, LINE, "ets", lambda line: _show_line(context, line))


def get_line(context: Context) -> JsonObject:
    """One line."""
    return _show_line(context, _line(context))


def update_line(context: Context) -> None:
    """Change name, description and who is asked."""
    line = _line(context)
    line.body |= {name: value for name, value in context.body.items() if name in _SHOWN_OF_LINE}
    context.store.save(line)


def _check_link(body: JsonObject) -> None:
    """Both addresses are in one network, with its length."""
    ends = []
    for name in ("baiduAddress", "customerAddress"):
        try:
            ends.append(IPv4Interface(body[name]))
            if str(ends[-1]) != body[name]:
                raise ValueError(name)
        except ValueError:
            raise inappropriate(f"{name}: {body[name]!r} is no address with length, as 192.0.2.1/30 is") from None
    if ends[0].network != ends[1].network or ends[0].ip == ends[1].ip:
        raise inappropriate(f"customerAddress: {ends[1]} is not the other end of {ends[0]}")


def _check_channel(body: JsonObject) -> None:
    _check_link(body)
    one_of("routeType", body["routeType"], ROUTE_TYPES)
    if body["vlanId"] != 0:
        between("vlanId", body["vlanId"], *VLANS)
    if body["routeType"] == "bgp":
        if not body.get("bgpAsn"):
            raise inappropriate("bgpAsn: is missing")
        if not 1 <= (whole_number(body["bgpAsn"]) or 0) <= LAST_ASN:
            raise inappropriate(f"bgpAsn: {body['bgpAsn']!r} is no number from 1 to {LAST_ASN}")
    if body["routeType"] == "static-route" and not body.get("networks"):
        raise inappropriate("networks: is missing")
    for network in body.get("networks", []):
        cidr("networks", network)
    key = body.get("bgpKey") or ""
    if len(key) > LONGEST_KEY or not (key.isascii() and (key + "x").isprintable()) or " " in key:
        raise inappropriate(f"bgpKey: has to be up to {LONGEST_KEY} printable ASCII characters without blanks")


def _first_states(context: Context, line: Resource, vlan: int, but: str = "") -> list[list[object]]:
    """A channel whose VLAN is taken is rejected; it can be submitted again with another one."""
    taken = context.store.find(CHANNEL, parent=line.key, equal={"vlanId": vlan})
    if any(one.key != but and channel_status(context, one) != "reject" for one in taken):
        return context.passing("ack-wait", "reject")
    return context.passing(*CHANNEL_STATES)


def create_channel(context: Context) -> JsonObject:
    """A channel of a line that is established."""
    line, body = _line(context), context.body
    if (state := state_at(line.body["status"], context.now)) != "established":
        raise denied(f"dedicated line {line.key} is {state}, not established")
    _check_channel(body)
    context.quotas.check("et-channel", context.store.count(CHANNEL, parent=line.key))
    channel_id = new_id("dedicatedconn")
    record: JsonObject = {
        "id": channel_id,
        "name": body["name"],
        "description": body.get("description", ""),
        "authorizedUsers": body.get("authorizedUsers", []),
        "baiduAddress": body["baiduAddress"],
        "customerAddress": body["customerAddress"],
        "routeType": body["routeType"],
        "networks": body.get("networks", []),
        "vlanId": body["vlanId"],
        "bgpAsn": body.get("bgpAsn", ""),
        "bgpKey": body.get("bgpKey", ""),
        "enableIpv6": body.get("enableIpv6", 0),
        "tags": body.get("tags", []),
        "status": _first_states(context, line, body["vlanId"]),
    }
    context.make(CHANNEL, channel_id, record, parent=line.key)
    return {"id": channel_id}


def get_channels(context: Context) -> JsonObject:
    """A line's channels, or one of them."""
    line = _line(context)
    found = context.store.find(CHANNEL, parent=line.key)
    if wanted := context.query.get("etChannelId"):
        found = [channel for channel in found if channel.key == wanted]
        if not found:
            raise no_such("channel", wanted)
    return {"etChannels": [_show_channel(context, channel) for channel in found]}


def recommit_channel(context: Context) -> None:
    """Submit a rejected channel with static routes again."""
    channel, body = _channel(context), context.body
    if (state := channel_status(context, channel)) != "reject":
        raise denied(f"channel {channel.key} is {state}, not reject")
    if body["routeType"] != "static-route":
        raise denied(f"channel {channel.key}: only one with static routes can be submitted again")
    _check_channel(body)
    channel.body |= body
    channel.body["status"] = _first_states(context, _line(context), body["vlanId"], channel.key)
    context.store.save(channel)


def update_channel(context: Context) -> None:
    """Change name, description, and how many routes BGP may bring."""
    channel = _channel(context)
    if "bgpRouteLimit" in context.body:
        between("bgpRouteLimit", context.body["bgpRouteLimit"], 1, MOST_ROUTES)
    channel.body |= context.body
    context.store.save(channel)


def delete_channel(context: Context) -> None:
    """When no gateway is bound to it."""
    channel = _channel(context)
    if (state := channel_status(context, channel)) not in DELETABLE:
        raise denied(f"channel {channel.key} is {state}, none of {', '.join(DELETABLE)}")
    for gateway in context.store.find("et-gateway", equal={"channelId": channel.key}):
        raise in_use(f"channel {channel.key} is bound to gateway {gateway.key}")
    for attached in context.store.find("csn-attachment", equal={"instanceId": channel.key}):
        raise in_use(f"channel {channel.key} is attached to cloud smart network {attached.parent}")
    for rule in context.store.children(channel.key):
        context.store.remove(rule)
    context.leave(channel, "closed")


def _change_routes(context: Context, add: bool) -> None:
    channel, body = _channel(context), context.body
    if body["routeType"] != channel.body["routeType"]:
        raise inappropriate(f"routeType: channel {channel.key} has {channel.body['routeType']}")
    networks = body.get("networks", [])
    for network in networks:
        cidr("networks", network)
    there = channel.body["networks"]
    if missing := [one for one in networks if not add and one not in there]:
        raise no_such(f"network of channel {channel.key}", missing[0])
    kept = [one for one in there if one not in networks]
    channel.body["networks"] = kept + networks if add else kept
    context.store.save(channel)


def add_routes(context: Context) -> None:
    """More networks behind the channel."""
    _change_routes(context, add=True)


def remove_routes(context: Context) -> None:
    """Fewer networks behind the channel."""
    _change_routes(context, add=False)


def _change_users(context: Context, add: bool) -> None:
    channel, users = _channel(context), context.body["authorizedUsers"]
    kept = [one for one in channel.body["authorizedUsers"] if one not in users]
    channel.body["authorizedUsers"] = kept + users if add else kept
    context.store.save(channel)


def add_users(context: Context) -> None:
    """More accounts that may use the channel."""
    _change_users(context, add=True)


def remove_users(context: Context) -> None:
    """Fewer accounts that may use the channel."""
    _change_users(context, add=False)


def _check_bfd(body: JsonObject) -> None:
    """[docs] The ranges."""
    between("detectMultiplier", body["detectMultiplier"], 3, 10)
    for name in ("sendInterval", "receivInterval"):
        between(name, body[name], 200, 1000)


def create_bfd(context: Context) -> None:
    """Watch the channel."""
    channel = _channel(context)
    _check_bfd(context.body)
    if "_bfd" in channel.body:
        raise denied(f"channel {channel.key} has BFD already")
    channel.body["_bfd"] = context.body
    context.store.save(channel)


def update_bfd(context: Context) -> None:
    """Watch it at another rate."""
    channel = _channel(context)
    _check_bfd(context.body)
    if "_bfd" not in channel.body:
        raise no_such("BFD of channel", channel.key)
    channel.body["_bfd"] = context.body
    context.store.save(channel)


def delete_bfd(context: Context) -> None:
    """Watch it no longer."""
    channel = _channel(context)
    if channel.body.pop("_bfd", None) is None:
        raise no_such("BFD of channel", channel.key)
    context.store.save(channel)


def _rule(context: Context) -> Resource:
    found = context.require(RULE, context.path["routeRuleId"], "route rule")
    if found.parent != _channel(context).key:
        raise no_such("route rule", found.key)
    return found


def create_rule(context: Context) -> JsonObject:
    """Where what comes from the line goes."""
    channel, body = _channel(context), context.body
    refuse_leaving(channel, f"channel {channel.key}")
    cidr("destAddress", body["destAddress"])
    one_of("nexthopType", body["nexthopType"], NEXT_HOPS)
    context.require_lasting(NEXT_HOPS[body["nexthopType"]], body["nexthopId"], body["nexthopType"])
    for other in context.store.find(RULE, parent=channel.key, equal={"destAddress": body["destAddress"]}):
        if other.body["nexthopId"] == body["nexthopId"]:
            raise denied(f"route rule {other.key} has the same destination and next hop")
    rule_id = new_id("dcrr")
    record = {
        "routeRuleId": rule_id,
        "ipVersion": body.get("ipVersion", 4),
        "destAddress": body["destAddress"],
        "nexthopType": body["nexthopType"],
        "nexthopId": body["nexthopId"],
        "description": body.get("description", ""),
        "routeProto": "static",
    }
    context.make(RULE, rule_id, record, parent=channel.key)
    return {"routeRuleId": rule_id}


def list_rules(context: Context) -> JsonObject:
    """Pages of a channel's route rules."""
    wanted = context.query.get("destAddress")
    equal = {"destAddress": wanted} if wanted else None
    return page(context, RULE, "routeRules", lambda rule: shown(rule.body), _channel(context).key, equal)


def update_rule(context: Context) -> None:
    """Change the description."""
    rule = _rule(context)
    rule.body["description"] = context.body["description"]
    context.store.save(rule)


def delete_rule(context: Context) -> None:
    """Forget the rule."""
    context.store.remove(_rule(context))


_SHOWN_OF_LINE = {"name", "isp", "intfType", *_LINE_DEFAULTS}
_LINE_CREATE = fields(
    "name! isp! intfType! apType! apAddr! userName! userPhone! userEmail! userIdc! description tags:[{}]"
)
_CHANNEL_FIELDS = (
    "baiduAddress! customerAddress! name! routeType! vlanId:n! networks:[] authorizedUsers:[] description bgpAsn bgpKey"
    " enableIpv6:i tags:[{}]"
)
_BFD = fields("detectMultiplier:i! sendInterval:i! receivInterval:i!")
_RULE_CREATE = fields("destAddress! nexthopType! nexthopId! ipVersion:i description")
_ROUTES, _USERS = fields("routeType! networks:[] ipv6Networks:[]"), fields("authorizedUsers:[]!")
_LINES = "/v1/et"
_CHANNELS = _LINES + "/{etId}/channel"
_ONE = _CHANNELS + "/{etChannelId}"
_RULES = _ONE + "/route/rule"

SERVICE = Service(
    "et",
    (
        Call("create_et_dcphy", "POST", _LINES + "/init", create_line, _LINE_CREATE),
        Call("list_et_dcphy", "GET", _LINES, list_lines),
        Call("list_et_dcphy_detail", "GET", _LINES + "/{etId}", get_line),
        Call(
            "update_et_dcphy",
            "PUT",
            _LINES + "/{etId}",
            update_line,
            fields("name description userName userPhone userEmail"),
        ),
        Call("create_et_channel", "POST", _CHANNELS, create_channel, fields(_CHANNEL_FIELDS)),
        Call("get_et_channel", "GET", _CHANNELS, get_channels),
        Call("recommit_et_channel", "PUT", _ONE, recommit_channel, fields(_CHANNEL_FIELDS), "reCreate"),
        Call(
            "update_et_channel",
            "PUT",
            _ONE,
            update_channel,
            fields("name description bgpRouteLimit:i"),
            "modifyAttribute",
        ),
        Call("delete_et_channel", "DELETE", _ONE, delete_channel),
        Call("add_et_channel_routes", "PUT", _ONE, add_routes, _ROUTES, "addRoutes"),
        Call("remove_et_channel_routes", "PUT", _ONE, remove_routes, _ROUTES, "removeRoutes"),
        Call("add_et_channel_users", "PUT", _ONE, add_users, _USERS, "addUsers"),
        Call("remove_et_channel_users", "PUT", _ONE, remove_users, _USERS, "removeUsers"),
        Call("create_et_channel_bfd", "POST", _ONE + "/bfd", create_bfd, _BFD),
        Call("update_et_channel_bfd", "PUT", _ONE + "/bfd", update_bfd, _BFD),
        Call("delete_et_channel_bfd", "DELETE", _ONE + "/bfd", delete_bfd),
        Call("create_et_channel_route_rule", "POST", _RULES, create_rule, _RULE_CREATE),
        Call("list_et_channel_route_rules", "GET", _RULES, list_rules),
        Call("update_et_channel_route_rule", "PUT", _RULES + "/{routeRuleId}", update_rule, fields("description!")),
        Call("delete_et_channel_route_rule", "DELETE", _RULES + "/{routeRuleId}", delete_rule),
    ),
)
