"""Security groups and their rules: ``BccClient`` of the SDK. Replies are bce-sdk-go's ``SecurityGroupModel``."""

from __future__ import annotations

import re
from ipaddress import IPv4Network

from lanecast_lab.cloud.api.calls import Call, Context, JsonObject, Service, checked, fields, new_id, one_of, shown
from lanecast_lab.cloud.api.errors import ApiError, denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.store import Resource

KIND, RULE = "security-group", "security-group-rule"
DIRECTIONS = ("ingress", "egress")
PROTOCOLS = ("", "all", "tcp", "udp", "icmp")
"""[SDK] An empty protocol is every one."""

PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
LAST_PORT = 65535
SAME = (
    "direction",
    "ethertype",
    "protocol",
    "portRange",
    "sourceIp",
    "sourceGroupId",
    "destIp",
    "destGroupId",
    "remark",
)
"""[docs: authorize, and revoke, a security group rule] What makes two rules the same one."""


def check_port_range(name: str, text: str, every: tuple[str, ...]) -> None:
    """A port, a range ``80-90``, or one of the words for every port."""
    if text in every:
        return
    found = PORT_RANGE.fullmatch(text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not first <= last <= LAST_PORT:
        raise inappropriate(f"{name}: {text!r} is neither a port nor a range, as 80-90 is")


def check_range(name: str, text: str, every: tuple[str, ...]) -> None:
    """A CIDR, an address, or one of the words for everywhere."""
    if text in every:
        return
    try:
        network = IPv4Network(text)
        if text not in (str(network), str(network.network_address)):
            raise ValueError(text)
    except ValueError:
        raise inappropriate(f"{name}: {text!r} is no IPv4 CIDR or address") from None


def _refusal(code: str, message: str, status: int = 400) -> ApiError:
    """[docs: authorize security group rule] What cannot be in a rule has codes of its own."""
    return ApiError(status, f"SecurityGroup.{code}", message)


def _check_ports(text: str) -> None:
    if text in ("", "all"):
        return
    ends = text.split("-")
    if len(ends) > 2 or not all(re.fullmatch("[0-9]{1,9}", end) for end in ends):
        raise _refusal("RulePortInvalid", f"rule.portRange: {text!r} is neither a port nor a range, as 80-90 is")
    first, last = int(ends[0]), int(ends[-1])
    if not (1 <= first <= LAST_PORT and 1 <= last <= LAST_PORT):
        raise _refusal("RulePortRangeInvalid", f"rule.portRange: {text!r} is not between 1 and {LAST_PORT}")
    if first > last:
        raise _refusal("RulePortOrderInvalid", f"rule.portRange: {text!r} ends before it begins")


def _check_address(name: str, text: str) -> None:
    try:
        check_range(name, text, ("", "all"))
    except ApiError as error:
        raise _refusal("RuleCIDRAddressError", error.message) from None


def _require(context: Context, group_id: str) -> Resource:
    return context.require(KIND, group_id, "security group")


def _checked_rule(body: JsonObject) -> JsonObject:
    """A rule as it is kept: what was not sent is empty."""
    rule = checked(body, _RULE, "rule.")
    kept: JsonObject = {one.name: rule.get(one.name, "") for one in _RULE}
    kept["ethertype"] = rule.get("ethertype") or "IPv4"
    one_of("rule.direction", kept["direction"], DIRECTIONS)
    one_of("rule.ethertype", kept["ethertype"], ("IPv4", "IPv6"))
    if kept["protocol"] not in PROTOCOLS:
        raise ApiError(400, "BadRequest", f"rule.protocol: has to be one of {', '.join(filter(None, PROTOCOLS))}")
    _check_ports(kept["portRange"])
    if kept["ethertype"] == "IPv4":
        for name in ("sourceIp", "destIp"):
            _check_address(f"rule.{name}", kept[name])
    return kept


def _key(rule: JsonObject) -> tuple[str, ...]:
    return tuple(rule[name] for name in SAME)


def _add(context: Context, group: Resource, rule: JsonObject) -> None:
    there = context.store.find(RULE, parent=group.key)
    if any(_key(one.body) == _key(rule) for one in there):
        raise _refusal("RuleDuplicated", f"security group {group.key} has this rule already", 409)
    context.quotas.check("security-group-rule", sum(one.body["direction"] == rule["direction"] for one in there))
    rule_id = new_id("r")
    record = {**rule, "securityGroupRuleId": rule_id, "securityGroupId": group.key}
    context.make(RULE, rule_id, record, parent=group.key)


def make_default(context: Context, vpc_id: str) -> None:
    """The group that comes with a VPC. [docs] It is there; [assumed] it lets everything through."""
    group_id = new_id("g")
    record = {
        "id": group_id,
        "name": "default security group",
        "desc": "",
        "vpcId": vpc_id,
        "tags": [],
        "_default": True,
    }
    group = context.make(KIND, group_id, record, parent=vpc_id)
    for direction in DIRECTIONS:
        _add(context, group, _checked_rule({"direction": direction}))


def default_of(context: Context, vpc_id: str) -> str:
    """The id of the group that came with a VPC."""
    return context.store.find(KIND, parent=vpc_id)[0].key


def _show(context: Context, group: Resource) -> JsonObject:
    rules = [shown(rule.body) for rule in context.store.find(RULE, parent=group.key)]
    return {**shown(group.body), "rules": rules}


def create(context: Context) -> JsonObject:
    """A group with its first rules."""
    body = context.body
    if "vpcId" not in body:
        raise inappropriate("vpcId: is missing, and this account has no default VPC")
    vpc = context.require("vpc", body["vpcId"], "VPC")
    rules = [_checked_rule(rule) for rule in body["rules"]]
    context.quotas.check("security-group", context.store.count(KIND, parent=vpc.key))
    group_id = new_id("g")
    record = {
        "id": group_id,
        "name": body["name"],
        "desc": body.get("desc", ""),
        "vpcId": vpc.key,
        "tags": body.get("tags", []),
    }
    group = context.make(KIND, group_id, record, parent=vpc.key)
    for rule in rules:
        _add(context, group, rule)
    return {"securityGroupId": group_id}


def list_all(context: Context) -> JsonObject:
    """Pages of groups, of a VPC, of an instance, or by their ids."""
    ids = context.query.get("securityGroupIds") or context.query.get("securityGroupId")
    if instance_id := context.query.get("instanceId"):
        ids = ",".join(context.require("instance", instance_id, "instance").body["_groups"])
    if ids:
        found = (context.store.get(KIND, group_id, context.scope) for group_id in ids.split(","))
        return page_of(context, "securityGroups", found, lambda group: _show(context, group))
    parent = context.query.get("vpcId") or None
    return page(context, KIND, "securityGroups", lambda group: _show(context, group), parent)


def get(context: Context) -> JsonObject:
    """One group."""
    return _show(context, _require(context, context.path["securityGroupId"]))


def delete(context: Context) -> None:
    """When nothing has it. The code is the one that the Terraform provider waits on. [tf]"""
    group = _require(context, context.path["securityGroupId"])
    if group.body.get("_default"):
        raise denied(f"security group {group.key} belongs to VPC {group.parent}")
    for instance in context.store.find("instance", context.scope):
        if group.key in instance.body["_groups"]:
            raise in_use(f"security group {group.key} belongs to instance {instance.key}", "SECURITYGROUP_INUSE")
    for name in ("sourceGroupId", "destGroupId"):
        for rule in context.store.find(RULE, context.scope, equal={name: group.key}):
            if rule.parent != group.key:
                raise in_use(f"rule {rule.key} names security group {group.key}", "SECURITYGROUP_INUSE")
    context.store.remove_tree(group)


def authorize(context: Context) -> None:
    """Add a rule."""
    group = _require(context, context.path["securityGroupId"])
    _add(context, group, _checked_rule(context.body["rule"]))


def revoke(context: Context) -> None:
    """Take away the rule that says the same."""
    group = _require(context, context.path["securityGroupId"])
    wanted = _key(_checked_rule(context.body["rule"]))
    found = [rule for rule in context.store.find(RULE, parent=group.key) if _key(rule.body) == wanted]
    if not found:
        raise no_such(f"such rule in security group {group.key}", " ".join(filter(None, wanted)))
    context.store.remove(found[0])


def update_rule(context: Context) -> None:
    """Change what a rule says, save for its direction."""
    rule = context.require(RULE, context.body.pop("securityGroupRuleId"), "security group rule")
    changed = _checked_rule({**rule.body, **context.body})
    for other in context.store.find(RULE, parent=rule.parent):
        if other.key != rule.key and _key(other.body) == _key(changed):
            raise _refusal("RuleDuplicated", f"rule {other.key} says the same", 409)
    rule.body |= changed
    context.store.save(rule)


def delete_rule(context: Context) -> None:
    """Take away a rule by its id."""
    context.store.remove(context.require(RULE, context.path["securityGroupRuleId"], "security group rule"))


_RULE = fields("direction! ethertype protocol portRange sourceIp sourceGroupId destIp destGroupId remark")
_CREATE = fields("name! rules:[{}]! vpcId desc tags:[{}]")
_UPDATE = fields("securityGroupRuleId! remark protocol portRange sourceIp sourceGroupId destIp destGroupId")
_GROUPS = "/v2/securityGroup"
_ONE = _GROUPS + "/{securityGroupId}"

SERVICE = Service(
    "securityGroup",
    (
        Call("create_security_group", "POST", _GROUPS, create, _CREATE),
        Call("list_security_groups", "GET", _GROUPS, list_all),
        Call("get_security_group_detail", "GET", _ONE, get),
        Call("delete_security_group", "DELETE", _ONE, delete),
        Call("authorize_security_group_rule", "PUT", _ONE, authorize, fields("rule:{}!"), "authorizeRule"),
        Call("revoke_security_group_rule", "PUT", _ONE, revoke, fields("rule:{}!"), "revokeRule"),
        Call("update_security_group_rule", "PUT", _GROUPS + "/rule/update", update_rule, _UPDATE),
        Call("delete_security_group_rule", "DELETE", _GROUPS + "/rule/{securityGroupRuleId}", delete_rule),
    ),
)
