"""Enterprise security groups and their rules: ``EsgClient`` of the SDK. They belong to a region, not to a VPC.

Replies are bce-sdk-go's services/esg/model.go. Codes that begin with ``Esg.`` are [docs: create, authorize, update and
delete an enterprise security group's rules]; what those pages do not list is ``InappropriateJSON``.
"""

from __future__ import annotations

import re

from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    between,
    checked,
    fields,
    new_id,
    one_of,
    shown,
    timestamp,
)
from lanecast_lab.cloud.api.errors import ApiError, inappropriate
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.security_group import check_port_range, check_range
from lanecast_lab.cloud.api.store import Resource

KIND, RULE = "enterprise-security-group", "enterprise-security-group-rule"
LONGEST_NAME, LONGEST_LIST = 65, 20
"""[docs] Characters of a name, and rules in one request."""

NAME = re.compile(r"[^\W\d_][\w\-/.]*")
"""[docs] Letters, digits, Chinese, ``-_/.``; a letter comes first."""

PROTOCOLS = ("", "all", "tcp", "udp", "icmp")
"""[docs] An empty one is every one. [SDK]"""

LAST_PRIORITY = 1000
"""[SDK] From 1 on; [assumed] also what a rule has that says none."""

SAME = ("direction", "ethertype", "protocol", "portRange", "sourcePortRange", "sourceIp", "destIp", "localIp", "action")
"""[assumed] What makes two rules the same one, beside their priority."""

DEFAULTS: JsonObject = {
    "remark": "",
    "ethertype": "IPv4",
    "portRange": "",
    "sourcePortRange": "",
    "sourceIp": "",
    "destIp": "",
    "localIp": "all",
    "priority": LAST_PRIORITY,
    "remoteIpSet": "",
    "remoteIpGroup": "",
}
"""[assumed] How a rule reads that does not say it."""


def _refusal(code: str, message: str, status: int = 400) -> ApiError:
    return ApiError(status, f"Esg.{code}", message)


def _require(context: Context) -> Resource:
    found = context.store.get(KIND, context.path["groupId"], context.scope)
    if found is None:
        raise _refusal("EsgResourceNotExist", f"no enterprise security group {context.path['groupId']!r}", 404)
    return found


def _require_rule(context: Context) -> Resource:
    found = context.store.get(RULE, context.path["ruleId"], context.scope)
    if found is None:
        raise _refusal("EsgRuleResourceNotExist", f"no rule {context.path['ruleId']!r}", 404)
    return found


def _check_rule(rule: JsonObject) -> None:
    """What a rule cannot be, with the code of its own where the vendor has one."""
    for name, choices in (("Direction", ("ingress", "egress")), ("Action", ("allow", "deny")), ("Protocol", PROTOCOLS)):
        value = rule.get(name.lower())
        if value is None:
            code = "EsgRuleDirectionInvalid" if name == "Direction" else f"EsgRule{name}Empty"
            raise _refusal(code, f"rules.{name.lower()}: is missing")
        if value not in choices:
            raise _refusal(f"EsgRule{name}Invalid", f"rules.{name.lower()}: has to be one of {', '.join(choices)}")
    if rule["protocol"] in ("tcp", "udp") and "portRange" not in rule:
        raise _refusal("EsgRulePortEmpty", "rules.portRange: is missing")
    for name in ("portRange", "sourcePortRange"):
        check_port_range(f"rules.{name}", rule.get(name, ""), ("", "all"))
    one_of("rules.ethertype", rule.get("ethertype", "IPv4"), ("IPv4", "IPv6"))
    between("rules.priority", rule.get("priority", LAST_PRIORITY), 1, LAST_PRIORITY)
    if rule.get("ethertype", "IPv4") == "IPv4":
        for name in ("sourceIp", "destIp", "localIp"):
            check_range(f"rules.{name}", rule.get(name, ""), ("", "all"))


def _key(rule: JsonObject) -> tuple[object, ...]:
    return (*(rule[name] for name in SAME), rule["priority"])


def _add(context: Context, group: Resource, rules: list[JsonObject]) -> None:
    """All of the rules, or none."""
    if len(rules) > LONGEST_LIST:
        raise inappropriate(f"rules: has more than {LONGEST_LIST} of them")
    for body in rules:
        sent = checked(body, _RULE, "rules.")
        _check_rule(sent)
        rule = {**DEFAULTS, **sent}
        there = context.store.find(RULE, parent=group.key)
        if any(_key(one.body) == _key(rule) for one in there):
            raise _refusal("EsgRuleDuplicated", f"enterprise security group {group.key} has this rule already")
        same_direction = sum(one.body["direction"] == rule["direction"] for one in there)
        context.quotas.check("enterprise-security-group-rule", same_direction)
        rule_id, now = new_id("esgr"), timestamp(context.now)
        record = {"enterpriseSecurityGroupRuleId": rule_id, **rule, "createdTime": now, "updatedTime": now}
        context.make(RULE, rule_id, record, parent=group.key)


def _check_name(context: Context, name: str) -> None:
    if not name:
        raise _refusal("EsgNameEmpty", "name: is missing")
    if len(name) > LONGEST_NAME:
        raise _refusal("EsgNameTooLong", f"name: has more than {LONGEST_NAME} characters")
    if not NAME.fullmatch(name):
        raise _refusal("EsgNameInvalid", f"name: {name!r} is not a letter and then letters, digits and -_/.")
    for other in context.store.find(KIND, context.scope, equal={"name": name}):
        raise _refusal("EsgNameDuplicate", f"name: enterprise security group {other.key} has it")


def create(context: Context) -> JsonObject:
    """A group with its first rules."""
    body = context.body
    _check_name(context, body.get("name", ""))
    if context.store.count(KIND, context.scope) >= context.quotas.limit(KIND):
        raise _refusal("EsgExceedQuota", f"at most {context.quotas.limit(KIND)} enterprise security groups in a region")
    group_id = new_id("esg")
    record = {
        "id": group_id,
        "name": body["name"],
        "desc": body.get("desc", ""),
        "tags": body.get("tags", []),
        "createdTime": timestamp(context.now),
    }
    _add(context, context.make(KIND, group_id, record), body.get("rules", []))
    return {"enterpriseSecurityGroupId": group_id}


def _show(context: Context, group: Resource) -> JsonObject:
    return {**shown(group.body), "rules": [shown(rule.body) for rule in context.store.find(RULE, parent=group.key)]}


def list_all(context: Context) -> JsonObject:
    """Pages of groups. An instance has none: these groups are not bound to instances here."""
    if instance_id := context.query.get("instanceId"):
        context.require("instance", instance_id, "instance")
        return page_of(context, "enterpriseSecurityGroups", [], lambda group: _show(context, group))
    return page(context, KIND, "enterpriseSecurityGroups", lambda group: _show(context, group))


def delete(context: Context) -> None:
    """With its rules."""
    context.store.remove_tree(_require(context))


def authorize(context: Context) -> None:
    """More rules."""
    _add(context, _require(context), context.body["rules"])


def update_rule(context: Context) -> None:
    """Change what a rule says, save for its direction."""
    rule = _require_rule(context)
    changed = {**rule.body, **context.body}
    _check_rule(changed)
    for other in context.store.find(RULE, parent=rule.parent):
        if other.key != rule.key and _key(other.body) == _key(changed):
            raise _refusal("EsgRuleDuplicated", f"rule {other.key} says the same")
    rule.body = {**changed, "updatedTime": timestamp(context.now)}
    context.store.save(rule)


def delete_rule(context: Context) -> None:
    """Forget a rule."""
    context.store.remove(_require_rule(context))


_CHANGING = (
    "remark protocol portRange sourcePortRange sourceIp destIp localIp action priority:i remoteIpSet remoteIpGroup"
)
_RULE = fields(f"direction ethertype {_CHANGING}")
_GROUPS = "/v1/enterprise/security"
_ONE = _GROUPS + "/{groupId}"
_RULES = _GROUPS + "/rule/{ruleId}"

SERVICE = Service(
    "enterpriseSecurityGroup",
    (
        Call(
            "create_enterprise_security_group",
            "POST",
            _GROUPS,
            create,
            fields("name desc rules:[{}] tags:[{}]"),
        ),
        Call("list_enterprise_security_groups", "GET", _GROUPS, list_all),
        Call("delete_enterprise_security_group", "DELETE", _ONE, delete),
        Call(
            "authorize_enterprise_security_group_rule",
            "PUT",
            _ONE,
            authorize,
            fields("rules:[{}]!"),
            "authorizeRule",
        ),
        Call("update_enterprise_security_group_rule", "PUT", _RULES, update_rule, fields(_CHANGING)),
        Call("delete_enterprise_security_group_rule", "DELETE", _RULES, delete_rule),
    ),
)
