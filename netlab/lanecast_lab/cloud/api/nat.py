"""NAT gateways with their SNAT and DNAT rules: ``NatClient`` of the SDK.

Replies are bce-sdk-go's ``NAT``, ``SnatRule`` and ``DnatRule``; states are its ``NAT_STATUS_*``.
"""

from __future__ import annotations

from dataclasses import replace

from lanecast_lab.cloud.api import eip, nat_addresses, route
from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    Handler,
    JsonObject,
    Service,
    address,
    between,
    checked,
    cidr,
    fields,
    new_id,
    one_of,
    shown,
)
from lanecast_lab.cloud.api.errors import denied, inappropriate, no_such
from lanecast_lab.cloud.api.nat_addresses import BINDINGS, MOST_EIPS, check_count, end_state
from lanecast_lab.cloud.api.nat_ports import PortSpan, check_ports
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.states import state_at
from lanecast_lab.cloud.api.store import Resource

KIND, SNAT, DNAT = "nat", "snat-rule", "dnat-rule"
OTHER_PORTS = {
    "publicPort": "publicPortRange",
    "publicPortRange": "publicPort",
    "privatePort": "privatePortRange",
    "privatePortRange": "privatePort",
}
"""A rule has a port or a range on each side: the one that comes replaces the other."""

PROTOCOLS = ("TCP", "UDP", "all")
MOST_CU = 100
"""[assumed] Capacity units of one gateway."""


def _require(context: Context) -> Resource:
    """The gateway of the path. The code is [tf]."""
    return context.require(KIND, context.path["natId"], "NAT gateway", "NoSuchNat")


def _status(context: Context, nat: Resource) -> str:
    return state_at(nat.body["status"], context.now)


def _require_idle(context: Context) -> Resource:
    """The gateway, while nothing else is being done to it."""
    nat = _require(context)
    nat_addresses.require_idle(context, nat)
    return nat


def _show(context: Context, nat: Resource) -> JsonObject:
    status = _status(context, nat)
    if status == "active" and nat.key in context.outages:
        status = "down"
    return {**shown(nat.body), "status": status}


def create(context: Context) -> JsonObject:
    """Of a size, or with capacity units. Its addresses have to be free."""
    body = context.body
    vpc = context.require("vpc", body["vpcId"], "VPC")
    if ("spec" in body) == ("cuNum" in body):
        raise inappropriate("spec: give either spec or cuNum")
    if "spec" in body:
        one_of("spec", body["spec"], MOST_EIPS)
        if body.get("bindEips"):
            raise inappropriate("bindEips: only a NAT gateway with cuNum has them")
    else:
        between("cuNum", body["cuNum"], 1, MOST_CU)
    context.quotas.check("nat", context.store.count(KIND, parent=vpc.key))
    nat_id = new_id("nat")
    record: JsonObject = {
        "id": nat_id,
        "name": body["name"],
        "natType": "normal" if "spec" in body else "enhanced",
        "vpcId": vpc.key,
        "spec": body.get("spec", ""),
        "cuNum": body.get("cuNum", 0),
        **{name: body.get(name, []) for name in BINDINGS},
        "paymentTiming": body.get("billing", {}).get("paymentTiming", "Postpaid"),
        "expiredTime": "",
        "deleteProtect": body.get("deleteProtect", False),
        "tags": body.get("tags", []),
    }
    check_count(record)
    record["status"] = context.passing("building", end_state(record))
    context.make(KIND, nat_id, record, parent=vpc.key)
    for name in BINDINGS:
        for one in record[name]:
            eip.attach(context, one, "NAT", nat_id)
    return {"natId": nat_id}


def list_all(context: Context) -> JsonObject:
    """Pages of gateways, of a VPC or by id or name."""
    names = {"natId": "id", "name": "name"}
    equal = {field: context.query[name] for name, field in names.items() if context.query.get(name)}
    parent = context.query.get("vpcId") or None
    if ip := context.query.get("ip"):
        found = context.store.find(KIND, context.scope, parent, equal)
        chosen = [one for one in found if any(ip in one.body[name] for name in BINDINGS)]
        return page_of(context, "nats", chosen, lambda one: _show(context, one))
    return page(context, KIND, "nats", lambda one: _show(context, one), parent, equal)


def get(context: Context) -> JsonObject:
    """One gateway."""
    return _show(context, _require(context))


def update(context: Context) -> None:
    """Change the name."""
    nat = _require(context)
    nat.body["name"] = context.body["name"]
    context.store.save(nat)


def resize(context: Context) -> None:
    """Change the capacity units."""
    nat = _require_idle(context)
    if nat.body["natType"] != "enhanced":
        raise denied(f"NAT gateway {nat.key} has a size, not capacity units")
    between("cuNum", context.body["cuNum"], 1, MOST_CU)
    nat.body |= {"cuNum": context.body["cuNum"], "status": context.passing("configuring", end_state(nat.body))}
    context.store.save(nat)


def _binding(context: Context) -> tuple[str, list[str]]:
    """Which of the three lists a request changes, and the addresses."""
    given = [name for name in BINDINGS if context.body.get(name)]
    if len(given) != 1:
        raise inappropriate(f"give exactly one of {', '.join(BINDINGS)}")
    return given[0], context.body[given[0]]


def bind(context: Context) -> None:
    """Add addresses."""
    nat = _require_idle(context)
    name, wanted = _binding(context)
    if name == "bindEips" and nat.body["natType"] != "enhanced":
        raise denied(f"bindEips: NAT gateway {nat.key} has no capacity units")
    nat_addresses.add(context, nat, name, wanted)
    for one in wanted:
        eip.attach(context, one, "NAT", nat.key)


def unbind(context: Context) -> None:
    """Take addresses away that no rule uses."""
    nat = _require_idle(context)
    name, wanted = _binding(context)
    nat_addresses.remove(context, nat, name, wanted)
    for one in wanted:
        eip.detach(context, one)


def protect(context: Context) -> None:
    """Forbid or allow deletion."""
    nat = _require(context)
    nat.body["deleteProtect"] = context.body["deleteProtect"]
    context.store.save(nat)


def delete(context: Context) -> None:
    """When no route needs it. Its rules go with it, its addresses are free again."""
    nat = _require_idle(context)
    if nat.body["deleteProtect"]:
        raise denied(f"NAT gateway {nat.key} is protected from deletion")
    route.check_not_a_next_hop(context, nat.key)
    for rule in context.store.children(nat.key):
        context.store.remove(rule)
    for name in BINDINGS:
        for one in nat.body[name]:
            eip.detach(context, one)
        nat.body[name] = []
    context.leave(nat, "deleting")


def _show_rule(context: Context, rule: Resource) -> JsonObject:
    return {**shown(rule.body), "status": state_at(rule.body["status"], context.now)}


def _list_rules(context: Context, kind: str) -> JsonObject:
    return page(context, kind, "rules", lambda one: _show_rule(context, one), _require(context).key)


def _rule(context: Context, kind: str, called: str) -> Resource:
    rule = context.require(kind, context.path["ruleId"], called)
    if rule.parent != _require(context).key:
        raise no_such(called, rule.key)
    return rule


def _make_rule(context: Context, nat: Resource, kind: str, record: JsonObject) -> JsonObject:
    context.quotas.check("nat-rule", context.store.count(kind, parent=nat.key))
    rule_id = new_id("rule")
    context.make(kind, rule_id, {"ruleId": rule_id, **record}, parent=nat.key)
    return {"ruleId": rule_id}


def _check_snat(context: Context, nat: Resource, rule: JsonObject, but: str = "") -> None:
    cidr("sourceCIDR", rule["sourceCIDR"])
    if not rule["publicIpsAddress"]:
        raise inappropriate("publicIpsAddress: is empty")
    usable = [*nat.body["eips"], *nat.body["bindEips"]]
    if missing := [one for one in rule["publicIpsAddress"] if one not in usable]:
        raise no_such(f"address among the eips and bindEips of NAT gateway {nat.key}", missing[0], "EipNotFound")
    for other in context.store.find(SNAT, parent=nat.key, equal={"sourceCIDR": rule["sourceCIDR"]}):
        if other.key != but:
            raise denied(f"SNAT rule {other.key} has the same sourceCIDR")


def create_snat(context: Context) -> JsonObject:
    """Sources of a range leave by these addresses."""
    nat = _require(context)
    _check_snat(context, nat, context.body)
    return _make_rule(context, nat, SNAT, {**context.body, "status": context.passing("configuring", "active")})


def _make_each(context: Context, name: str, make: Handler) -> list[str]:
    """All of the rules of a list, or none: what one is refused for ends the transaction."""
    rules, wanted = context.body[name], _RULE_FIELDS[name]
    if not rules:
        raise inappropriate(f"{name}: is empty")
    made = []
    for rule in rules:
        reply = make(replace(context, body=checked(rule, wanted, f"{name}.")))
        made.append(str((reply or {})["ruleId"]))
    return made


def create_snats(context: Context) -> JsonObject:
    """Several SNAT rules. [go] ``BatchCreateNatGatewaySnatRuleResult``; the gateway is named in the body."""
    context.path["natId"] = context.body["natId"]
    return {"snatRuleIds": _make_each(context, "snatRules", create_snat)}


def create_dnats(context: Context) -> JsonObject:
    """Several DNAT rules. [go] ``BatchCreateNatGatewayDnatRuleResult``."""
    return {"ruleIds": _make_each(context, "rules", create_dnat)}


def list_snat(context: Context) -> JsonObject:
    """Pages of a gateway's SNAT rules."""
    return _list_rules(context, SNAT)


def update_snat(context: Context) -> None:
    """Change anything of a rule."""
    rule = _rule(context, SNAT, "SNAT rule")
    changed = {**rule.body, **context.body, "status": context.passing("configuring", "active")}
    _check_snat(context, _require(context), changed, rule.key)
    rule.body = changed
    context.store.save(rule)


def delete_snat(context: Context) -> None:
    """Forget the rule."""
    context.store.remove(_rule(context, SNAT, "SNAT rule"))


def _check_dnat(context: Context, nat: Resource, rule: JsonObject, but: str = "") -> None:
    one_of("protocol", rule["protocol"], PROTOCOLS)
    address("privateIpAddress", rule["privateIpAddress"])
    if rule["publicIpAddress"] not in [*nat.body["dnatEips"], *nat.body["bindEips"]]:
        where = f"address among the dnatEips and bindEips of NAT gateway {nat.key}"
        raise no_such(where, rule["publicIpAddress"], "EipNotFound")
    span = check_ports(rule)
    for other in context.store.find(DNAT, parent=nat.key, equal={"publicIpAddress": rule["publicIpAddress"]}):
        if other.key != but and span.meets(PortSpan.of(other.body)):
            raise denied(f"DNAT rule {other.key} has the same address, protocol and port")


def create_dnat(context: Context) -> JsonObject:
    """What arrives at a public address and port goes to a private one."""
    nat = _require(context)
    _check_dnat(context, nat, context.body)
    record = {"ruleName": "", **context.body, "status": context.passing("configuring", "active")}
    return _make_rule(context, nat, DNAT, record)


def list_dnat(context: Context) -> JsonObject:
    """Pages of a gateway's DNAT rules."""
    return _list_rules(context, DNAT)


def update_dnat(context: Context) -> None:
    """Change anything of a rule."""
    rule = _rule(context, DNAT, "DNAT rule")
    kept = {name: value for name, value in rule.body.items() if OTHER_PORTS.get(name) not in context.body}
    changed = {**kept, **context.body, "status": context.passing("configuring", "active")}
    _check_dnat(context, _require(context), changed, rule.key)
    rule.body = changed
    context.store.save(rule)


def delete_dnat(context: Context) -> None:
    """Forget the rule."""
    context.store.remove(_rule(context, DNAT, "DNAT rule"))


_CREATE = fields(
    "name! vpcId! spec cuNum:n eips:[] dnatEips:[] bindEips:[] billing:{} tags:[{}] resourceGroupId deleteProtect:b"
)
_EIPS = fields("eips:[] dnatEips:[] bindEips:[]")
_PORTS = "publicPort:n privatePort:n publicPortRange privatePortRange"
_SNAT = fields("ruleName! publicIpsAddress:[]! sourceCIDR!")
_DNAT = fields(f"ruleName publicIpAddress! privateIpAddress! protocol! {_PORTS}")
_RULE_FIELDS = {"snatRules": _SNAT, "rules": _DNAT}
_ONE = "/v1/nat/{natId}"
_SNATS, _DNATS = _ONE + "/snatRule", _ONE + "/dnatRule"

SERVICE = Service(
    "nat",
    (
        Call("create_nat", "POST", "/v1/nat", create, _CREATE),
        Call("list_nats", "GET", "/v1/nat", list_all),
        Call("get_nat", "GET", _ONE, get),
        Call("update_nat", "PUT", _ONE, update, fields("name!")),
        Call("resize_nat", "PUT", _ONE, resize, fields("cuNum:n!"), "resize"),
        Call("bind_eip, bind_dnat_eip, enhance_nat_bind_eip", "PUT", _ONE, bind, _EIPS, "bind"),
        Call("unbind_eip, unbind_dnat_eip, enhance_nat_unbind_eip", "PUT", _ONE, unbind, _EIPS, "unbind"),
        Call("update_delete_protect", "PUT", _ONE + "/deleteProtect", protect, fields("deleteProtect:b!")),
        Call("delete_nat", "DELETE", _ONE, delete),
        Call("create_snat_rule", "POST", _SNATS, create_snat, _SNAT),
        Call(
            "batch_create_snat_rule",
            "POST",
            "/v1/nat/snatRule/batchCreate",
            create_snats,
            fields("natId! snatRules:[{}]!"),
        ),
        Call("list_snat_rule", "GET", _SNATS, list_snat),
        Call(
            "update_snat_rule",
            "PUT",
            _SNATS + "/{ruleId}",
            update_snat,
            fields("ruleName publicIpsAddress:[] sourceCIDR"),
        ),
        Call("delete_snat_rule", "DELETE", _SNATS + "/{ruleId}", delete_snat),
        Call("create_dnat_rule", "POST", _DNATS, create_dnat, _DNAT),
        Call("batch_create_dnat_rule", "POST", _DNATS + "/batchCreate", create_dnats, fields("rules:[{}]!")),
        Call("list_dnat_rule", "GET", _DNATS, list_dnat),
        Call(
            "update_dnat_rule",
            "PUT",
            _DNATS + "/{ruleId}",
            update_dnat,
            fields(f"ruleName publicIpAddress privateIpAddress protocol {_PORTS}"),
        ),
        Call("delete_dnat_rule", "DELETE", _DNATS + "/{ruleId}", delete_dnat),
    ),
)
