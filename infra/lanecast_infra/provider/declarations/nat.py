"""NAT gateways and their rules: out of a VPC (SNAT) and into it (DNAT)."""

from __future__ import annotations

from typing import Any, Final

from baidubce.services.vpc.nat_client import NatClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import address, between, characters, cidr, each, one_of
from lanecast_infra.provider.declarations.common import (
    Tag,
    changed,
    chosen,
    first,
    joined,
    live_tags,
    name_field,
    parts_of,
    status_output,
    tags_field,
)
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Resource, States, Values

BINDINGS: Final = {
    "eips": ("bind_eip", "unbind_eip", "eips"),
    "dnatEips": ("bind_dnat_eip", "unbind_dnat_eip", "eips"),
    "bindEips": ("enhance_nat_bind_eip", "enhance_nat_unbind_eip", "bind_eips"),
}
"""By field: the calls that add and take away, and their parameter."""
READY: Final = frozenset({"active", "unconfigured"})
"""[go] A gateway without addresses is unconfigured."""
GONE: Final = frozenset({"NoSuchObject", "NoSuchNat"})
"""NoSuchNat is [tf]."""


def _create(call: Call, inputs: Values) -> str:
    reply = call.ask(
        NatClient,
        "create_nat",
        name=inputs["name"],
        vpc_id=inputs["vpcId"],
        spec=inputs.get("spec"),
        cu_num=inputs.get("cuNum"),
        eips=inputs["eips"] or None,
        dnat_eips=inputs["dnatEips"] or None,
        bind_eips=inputs["bindEips"] or None,
        tags=[Tag(key, value) for key, value in sorted(inputs.get("tags", {}).items())] or None,
        client_token=call.token("nat"),
        delete_protect=False,
    )
    return str(reply["natId"])


def _read(call: Call, nat_id: str) -> Values:
    nat = call.ask(NatClient, "get_nat", nat_id=nat_id)
    live = chosen(nat, ("name", "vpcId", "status"))
    live |= {name: nat[name] or [] for name in BINDINGS if name in nat}
    live |= {"spec": nat.get("spec") or None, "cuNum": nat.get("cuNum") or None}
    return {**live, **live_tags(nat)}


def _update(call: Call, nat_id: str, old: Values, new: Values) -> None:
    if changed(old, new, "name"):
        call.ask(NatClient, "update_nat", nat_id=nat_id, name=new["name"])
    if changed(old, new, "cuNum"):
        call.ask(NatClient, "resize_nat", nat_id=nat_id, cu_num=new["cuNum"])


def _finish(call: Call, nat_id: str, inputs: Values) -> None:
    for name in BINDINGS:
        _bring_bindings(call, nat_id, name, inputs[name])


def _bring_bindings(call: Call, nat_id: str, name: str, wanted: list[str]) -> None:
    bind, unbind, parameter = BINDINGS[name]

    def send(method: str, addresses: list[str]) -> None:
        arguments: dict[str, Any] = {parameter: addresses}
        call.try_once(NatClient, method, nat_id=nat_id, **arguments)

    def left_to_do() -> str | None:
        live = _read(call, nat_id)
        if live["status"] not in READY:
            return f"it is {live['status']}"
        surplus = [one for one in live.get(name, []) if one not in wanted]
        missing = [one for one in wanted if one not in live.get(name, [])]
        if surplus:
            send(unbind, surplus)
        elif missing:
            send(bind, missing)
        return f"{name} still lack {missing}, and have {surplus} too many" if surplus or missing else None

    call.until(left_to_do)


def _delete(call: Call, nat_id: str, inputs: Values) -> None:
    if _read(call, nat_id).get("status") != "deleting":
        call.ask(NatClient, "delete_nat", nat_id=nat_id)


def _size_mistakes(values: Values) -> list[tuple[str, str]]:
    if "spec" in values and "cuNum" in values:
        return [("cuNum", "a gateway has either spec or cuNum")]
    if "spec" in values and values.get("bindEips"):
        return [("bindEips", "only a gateway with cuNum has them: use eips and dnatEips")]
    return []


def _eips_field(name: str, doc: str) -> Field:
    return Field(
        name, Kind.STRINGS, doc, f"create_nat, {BINDINGS[name][0]}", default=(), unordered=True, tests=(each(address),)
    )


NAT_GATEWAY: Final = Resource(
    name="NatGateway",
    doc="A NAT gateway of a VPC: packets leave and enter by its elastic addresses, as its rules say.",
    fields=(
        name_field("create_nat: name"),
        Field("vpcId", Kind.STRING, "The VPC.", "create_nat: vpc_id", required=True, change=Change.REPLACE),
        Field(
            "spec",
            Kind.STRING,
            "Its size, for one with a fixed size.",
            "create_nat: spec; the words [docs]",
            change=Change.REPLACE,
            tests=(one_of("small", "medium", "large"),),
        ),
        Field(
            "cuNum",
            Kind.INTEGER,
            "Its capacity, for one that can be resized.",
            "create_nat: cu_num; the range [docs]",
            unit="capacity units",
            tests=(between(1, 100),),
        ),
        _eips_field("eips", "The elastic addresses that SNAT rules may use."),
        _eips_field("dnatEips", "The elastic addresses that DNAT rules may use."),
        _eips_field("bindEips", "The elastic addresses of one with cuNum, for rules of both kinds."),
        tags_field("create_nat: tags"),
    ),
    outputs=(status_output("get_nat: status [go]"),),
    create=_create,
    read=_read,
    finish=_finish,
    update=_update,
    delete=_delete,
    states=States(READY, frozenset({"down", "deleted"})),
    gone=GONE,
    busy=frozenset({"OperationDenied", "ResourceNeedRelease"}),
    rules=(_size_mistakes,),
    advice=(
        ("EipNotFound", Advice("eips", "use elastic addresses of this region and account")),
        ("ResourceNeedRelease", Advice("eips", "remove the rules that use the address, or lead to the gateway, first")),
    ),
)


def _create_snat(call: Call, inputs: Values) -> str:
    reply = call.ask(
        NatClient,
        "create_snat_rule",
        nat_id=inputs["natId"],
        rule_name=inputs["name"],
        source_cidr=inputs["sourceCidr"],
        public_ip_address=inputs["publicIpAddresses"],
        client_token=call.token("snat"),
    )
    return joined(inputs["natId"], reply["ruleId"])


def _read_snat(call: Call, identity: str) -> Values | None:
    rule = _rule(call, "list_snat_rule", identity)
    if rule is None:
        return None
    live = {**_renamed(rule, {"ruleName": "name", "sourceCIDR": "sourceCidr", "publicIpsAddress": "publicIpAddresses"})}
    return {**live, **chosen(rule, ("status",)), "natId": parts_of(identity, "natId", "ruleId")[0]}


def _update_snat(call: Call, identity: str, old: Values, new: Values) -> None:
    nat_id, rule_id = parts_of(identity, "natId", "ruleId")
    if changed(old, new, "name", "sourceCidr", "publicIpAddresses"):
        call.ask(
            NatClient,
            "update_snat_rule",
            nat_id=nat_id,
            snat_rule_id=rule_id,
            rule_name=new["name"],
            source_cidr=new["sourceCidr"],
            public_ip_address=new["publicIpAddresses"],
        )


def _delete_snat(call: Call, identity: str, inputs: Values) -> None:
    nat_id, rule_id = parts_of(identity, "natId", "ruleId")
    call.ask(NatClient, "delete_snat_rule", nat_id=nat_id, snat_rule_id=rule_id)


def _rule(call: Call, method: str, identity: str) -> Values | None:
    nat_id, rule_id = parts_of(identity, "natId", "ruleId")
    return first(call.pages(NatClient, method, "rules", nat_id=nat_id), ruleId=rule_id)


def _renamed(reply: Values, names: dict[str, str]) -> Values:
    return {ours: reply[theirs] for theirs, ours in names.items() if theirs in reply}


NAT_FIELD: Final = Field("natId", Kind.STRING, "The NAT gateway.", "nat_id", required=True, change=Change.REPLACE)
RULE_STATES: Final = States(frozenset({"active"}))

SNAT_RULE: Final = Resource(
    name="SnatRule",
    doc="What leaves by a NAT gateway, and as which address. Its id is natId/ruleId.",
    fields=(
        name_field("create_snat_rule: rule_name"),
        NAT_FIELD,
        Field(
            "sourceCidr", Kind.STRING, "Whose packets.", "create_snat_rule: source_cidr", required=True, tests=(cidr,)
        ),
        Field(
            "publicIpAddresses",
            Kind.STRINGS,
            "The addresses that they leave as, of the gateway's eips or bindEips.",
            "create_snat_rule: public_ip_address",
            required=True,
            unordered=True,
            tests=(each(address), lambda value: None if value else "is empty"),
        ),
    ),
    outputs=(status_output("list_snat_rule: status"),),
    create=_create_snat,
    read=_read_snat,
    update=_update_snat,
    delete=_delete_snat,
    states=RULE_STATES,
    gone=GONE,
    unique=("natId", "sourceCidr"),
    advice=(
        ("EipNotFound", Advice("publicIpAddresses", "name addresses that are among the gateway's eips or bindEips")),
        ("OperationDenied", Advice("sourceCidr", "another rule of the gateway has the same: remove one of them")),
    ),
)


def _dnat_arguments(inputs: Values) -> dict[str, Any]:
    return {
        "rule_name": inputs["name"],
        "public_ip_address": inputs["publicIpAddress"],
        "private_ip_address": inputs["privateIpAddress"],
        "protocol": inputs["protocol"],
        "public_port": inputs.get("publicPort"),
        "private_port": inputs.get("privatePort"),
        "public_port_range": inputs.get("publicPortRange"),
        "private_port_range": inputs.get("privatePortRange"),
    }


def _create_dnat(call: Call, inputs: Values) -> str:
    nat_id, arguments = inputs["natId"], _dnat_arguments(inputs)
    reply = call.ask(NatClient, "create_dnat_rule", nat_id=nat_id, client_token=call.token("dnat"), **arguments)
    return joined(nat_id, reply["ruleId"])


DNAT_NAMES: Final = ("publicIpAddress", "privateIpAddress", "protocol", "publicPortRange", "privatePortRange", "status")


def _read_dnat(call: Call, identity: str) -> Values | None:
    rule = _rule(call, "list_dnat_rule", identity)
    if rule is None:
        return None
    ports = {name: rule.get(name) or None for name in ("publicPort", "privatePort")}
    live = {**chosen(rule, DNAT_NAMES), **_renamed(rule, {"ruleName": "name"}), **ports}
    return {**live, "natId": parts_of(identity, "natId", "ruleId")[0]}


def _update_dnat(call: Call, identity: str, old: Values, new: Values) -> None:
    nat_id, rule_id = parts_of(identity, "natId", "ruleId")
    if old != new:
        call.ask(NatClient, "update_dnat_rule", nat_id=nat_id, dnat_rule_id=rule_id, **_dnat_arguments(new))


def _delete_dnat(call: Call, identity: str, inputs: Values) -> None:
    nat_id, rule_id = parts_of(identity, "natId", "ruleId")
    call.ask(NatClient, "delete_dnat_rule", nat_id=nat_id, dnat_rule_id=rule_id)


def _ports_mistakes(values: Values) -> list[tuple[str, str]]:
    mistakes = []
    for side in ("public", "private"):
        given = [name for name in (f"{side}Port", f"{side}PortRange") if name in values]
        if len(given) > 1:
            mistakes.append((given[1], f"a rule has either {given[0]} or {given[1]}"))
        if given and values.get("protocol") == "all":
            mistakes.append((given[0], "a rule for all protocols has no ports"))
    return mistakes


def _port_field(name: str, doc: str, source: str) -> Field:
    return Field(name, Kind.INTEGER, doc, f"create_dnat_rule: {source}", tests=(between(1, 65535),))


def _range_field(name: str, doc: str, source: str) -> Field:
    return Field(name, Kind.STRING, doc, f"create_dnat_rule: {source}", tests=(characters(3, 11),))


DNAT_RULE: Final = Resource(
    name="DnatRule",
    doc="What arrives at an elastic address of a NAT gateway, and where it goes. Its id is natId/ruleId.",
    fields=(
        name_field("create_dnat_rule: rule_name"),
        NAT_FIELD,
        Field(
            "publicIpAddress",
            Kind.STRING,
            "The address that packets arrive at, of the gateway's dnatEips or bindEips.",
            "create_dnat_rule: public_ip_address",
            required=True,
            tests=(address,),
        ),
        Field(
            "privateIpAddress",
            Kind.STRING,
            "Where they go.",
            "create_dnat_rule: private_ip_address",
            required=True,
            tests=(address,),
        ),
        Field(
            "protocol",
            Kind.STRING,
            "Which packets.",
            "create_dnat_rule: protocol; the words [docs]",
            required=True,
            tests=(one_of("TCP", "UDP", "all"),),
        ),
        _port_field("publicPort", "The port that they arrive at.", "public_port"),
        _port_field("privatePort", "The port that they go to.", "private_port"),
        _range_field("publicPortRange", "The ports that they arrive at, such as 80-90.", "public_port_range"),
        _range_field("privatePortRange", "The ports that they go to.", "private_port_range"),
    ),
    outputs=(status_output("list_dnat_rule: status"),),
    create=_create_dnat,
    read=_read_dnat,
    update=_update_dnat,
    delete=_delete_dnat,
    states=RULE_STATES,
    gone=GONE,
    unique=("natId", "publicIpAddress", "protocol", "publicPort", "publicPortRange"),
    rules=(_ports_mistakes,),
    advice=(
        ("EipNotFound", Advice("publicIpAddress", "name an address that is among the gateway's dnatEips or bindEips")),
        ("OperationDenied", Advice("publicPort", "another rule of the gateway has it: remove one of them")),
    ),
)

RESOURCES: Final = (NAT_GATEWAY, SNAT_RULE, DNAT_RULE)
