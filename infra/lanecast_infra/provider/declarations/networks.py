"""VPCs, their subnets, and the rules of their route tables."""

from __future__ import annotations

from typing import Final

from baidubce.services.route.route_client import RouteClient
from baidubce.services.route.route_model import NextHop
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.vpc_client import VpcClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import cidr, each, one_of, prefix_between
from lanecast_infra.provider.declarations.common import (
    changed,
    chosen,
    description_field,
    first,
    joined,
    live_tags,
    name_field,
    parts_of,
    spelt_tags,
    tags_field,
)
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Output, Resource, Values


def _create_vpc(call: Call, inputs: Values) -> str:
    reply = call.ask(
        VpcClient,
        "create_vpc",
        name=inputs["name"],
        cidr=inputs["cidr"],
        description=inputs["description"],
        enable_ipv6=inputs["enableIpv6"],
        tags=spelt_tags(inputs.get("tags")),
        client_token=call.token("vpc"),
    )
    return str(reply["vpcId"])


def _read_vpc(call: Call, vpc_id: str) -> Values:
    vpc = call.ask(VpcClient, "get_vpc", vpc_id=vpc_id)["vpc"]
    table = call.ask(RouteClient, "get_route", vpc_id=vpc_id)
    live = chosen(vpc, ("name", "cidr", "description", "enableIpv6", "relay"))
    if "secondaryCidr" in vpc:
        live["secondaryCidrs"] = vpc["secondaryCidr"] or []
    return {**live, **live_tags(vpc), "routeTableId": table["routeTableId"]}


def _finish_vpc(call: Call, vpc_id: str, inputs: Values) -> None:
    live = _read_vpc(call, vpc_id)
    if sorted(live.get("secondaryCidrs", [])) != sorted(inputs["secondaryCidrs"]):
        _set_vpc(call, vpc_id, inputs)
    if live.get("relay", False) != inputs["relay"]:
        call.ask(VpcClient, "open_relay" if inputs["relay"] else "shutdown_relay", vpc_id=vpc_id)


def _update_vpc(call: Call, vpc_id: str, old: Values, new: Values) -> None:
    if changed(old, new, "name", "description", "enableIpv6"):
        _set_vpc(call, vpc_id, new)


def _set_vpc(call: Call, vpc_id: str, inputs: Values) -> None:
    call.ask(
        VpcClient,
        "update_vpc",
        vpc_id=vpc_id,
        name=inputs["name"],
        description=inputs["description"],
        enable_ipv6=inputs["enableIpv6"],
        secondaryCidr=inputs["secondaryCidrs"],
    )


def _delete_vpc(call: Call, vpc_id: str, inputs: Values) -> None:
    call.ask(VpcClient, "delete_vpc", vpc_id=vpc_id)


VPC: Final = Resource(
    name="Vpc",
    doc="A virtual private cloud: a private network with a router and its route table.",
    fields=(
        name_field("create_vpc: name"),
        Field(
            "cidr",
            Kind.STRING,
            "Its addresses, /8 to /28.",
            "create_vpc: cidr; the mask [docs]",
            required=True,
            change=Change.REPLACE,
            tests=(cidr, prefix_between(8, 28)),
        ),
        description_field("create_vpc: description"),
        Field("enableIpv6", Kind.BOOLEAN, "Whether it has IPv6.", "create_vpc: enable_ipv6", default=False),
        Field(
            "secondaryCidrs",
            Kind.STRINGS,
            "More addresses.",
            "update_vpc: secondaryCidr",
            default=(),
            unordered=True,
            tests=(each(cidr),),
        ),
        Field(
            "relay",
            Kind.BOOLEAN,
            "Whether it is a transit VPC, which passes on what comes from one peering to another.",
            "open_relay, shutdown_relay",
            default=False,
        ),
        tags_field("create_vpc: tags"),
    ),
    outputs=(Output("routeTableId", Kind.STRING, "The id of its route table.", "get_route: routeTableId"),),
    create=_create_vpc,
    read=_read_vpc,
    finish=_finish_vpc,
    update=_update_vpc,
    delete=_delete_vpc,
    busy=frozenset({"NotAllowDeleteVpc"}),
    advice=(
        ("NotAllowDeleteVpc", Advice(None, "remove what the message names; if no program has it, by hand")),
        ("CidrConflict", Advice("secondaryCidrs", "choose ranges that overlap neither each other nor cidr")),
        ("OperationDenied", Advice("relay", "two transit VPCs cannot be peered: let only one of them be a relay")),
    ),
)


def _create_subnet(call: Call, inputs: Values) -> str:
    reply = call.ask(
        SubnetClient,
        "create_subnet",
        name=inputs["name"],
        zone_name=inputs["zoneName"],
        cidr=inputs["cidr"],
        vpc_id=inputs["vpcId"],
        subnet_type=inputs["subnetType"],
        description=inputs["description"],
        tags=spelt_tags(inputs.get("tags")),
        client_token=call.token("subnet"),
    )
    return str(reply["subnetId"])


def _read_subnet(call: Call, subnet_id: str) -> Values:
    subnet = call.ask(SubnetClient, "get_subnet", subnet_id=subnet_id)["subnet"]
    names = ("name", "zoneName", "cidr", "vpcId", "subnetType", "description")
    return {**chosen(subnet, names), **live_tags(subnet)}


def _update_subnet(call: Call, subnet_id: str, old: Values, new: Values) -> None:
    if changed(old, new, "name", "description"):
        call.ask(SubnetClient, "update_subnet", subnet_id=subnet_id, name=new["name"], description=new["description"])


def _delete_subnet(call: Call, subnet_id: str, inputs: Values) -> None:
    call.ask(SubnetClient, "delete_subnet", subnet_id=subnet_id)


SUBNET: Final = Resource(
    name="Subnet",
    doc="A part of a VPC's addresses, in one zone.",
    fields=(
        name_field("create_subnet: name"),
        Field("vpcId", Kind.STRING, "The VPC.", "create_subnet: vpc_id", required=True, change=Change.REPLACE),
        Field(
            "cidr",
            Kind.STRING,
            "Its addresses, inside the VPC's and apart from the other subnets'.",
            "create_subnet: cidr; the mask [docs]",
            required=True,
            change=Change.REPLACE,
            tests=(cidr, prefix_between(8, 29)),
        ),
        Field(
            "zoneName",
            Kind.STRING,
            "The zone, such as cn-hkg-a.",
            "create_subnet: zone_name",
            required=True,
            change=Change.REPLACE,
        ),
        Field(
            "subnetType",
            Kind.STRING,
            "What machines it is for.",
            "create_subnet: subnet_type; the words [go]",
            default="BCC",
            change=Change.REPLACE,
            tests=(one_of("BCC", "BCC_NAT", "BBC"),),
        ),
        description_field("create_subnet: description"),
        tags_field("create_subnet: tags"),
    ),
    create=_create_subnet,
    read=_read_subnet,
    update=_update_subnet,
    delete=_delete_subnet,
    busy=frozenset({"SUBNET_INUSE"}),
    unique=("vpcId", "cidr"),
    advice=(("SUBNET_INUSE", Advice(None, "remove what the message names; if no program has it, by hand")),),
)


def _create_route(call: Call, inputs: Values) -> str:
    hops: Values = {"next_hop_type": inputs["nexthopType"], "next_hop_id": inputs.get("nexthopId")}
    if several := inputs["nexthopIds"]:
        paths = _path_types(inputs["pathType"], len(several))
        pairs = zip(several, paths, strict=True)
        hops = {"next_hops": [NextHop(one, inputs["nexthopType"], path) for one, path in pairs]}
    reply = call.ask(
        RouteClient,
        "create_route",
        route_table_id=inputs["routeTableId"],
        source_address=inputs["sourceAddress"],
        destination_address=inputs["destinationAddress"],
        description=inputs["description"],
        client_token=call.token("route"),
        **hops,
    )
    return joined(inputs["routeTableId"], reply["routeRuleId"])


def _path_types(path_type: str, count: int) -> list[str]:
    return ["ecmp"] * count if path_type == "ecmp" else ["ha:active", *["ha:standby"] * (count - 1)]


def _read_route(call: Call, identity: str) -> Values | None:
    table, rule_id = parts_of(identity, "routeTableId", "routeRuleId")
    rule = first(call.pages(RouteClient, "get_route_rule", "routeRules", routeTableId=table), routeRuleId=rule_id)
    if rule is None:
        return None
    hops = rule.get("nextHopList") or []
    live = chosen(rule, ("sourceAddress", "destinationAddress", "description", "nexthopType"))
    live |= {"routeTableId": table, "nexthopIds": [], "nexthopId": rule.get("nexthopId") or None}
    if len(hops) > 1:
        in_order = sorted(hops, key=lambda one: str(one.get("pathType")) == "ha:standby")
        live |= {"nexthopIds": [one["nexthopId"] for one in in_order], "nexthopId": None}
        live |= {"nexthopType": hops[0]["nexthopType"], "pathType": str(hops[0]["pathType"]).partition(":")[0]}
    return live


def _update_route(call: Call, identity: str, old: Values, new: Values) -> None:
    if not changed(old, new, "nexthopType", "nexthopId", "description"):
        return
    call.ask(
        RouteClient,
        "update_route",
        route_rule_id=parts_of(identity, "routeTableId", "routeRuleId")[1],
        source_address=new["sourceAddress"],
        destination_address=new["destinationAddress"],
        next_hop_type=new["nexthopType"],
        next_hop_id=new.get("nexthopId"),
        description=new["description"],
    )


def _delete_route(call: Call, identity: str, inputs: Values) -> None:
    call.ask(RouteClient, "delete_route", route_rule_id=parts_of(identity, "routeTableId", "routeRuleId")[1])


def _hops_mistakes(values: Values) -> list[tuple[str, str]]:
    several = values.get("nexthopIds")
    if not several:
        return []
    if "nexthopId" in values:
        return [("nexthopIds", "a rule has either nexthopId or nexthopIds")]
    if len(several) < 2:
        return [("nexthopIds", "has one next hop: write nexthopId")]
    return []


ROUTE_RULE: Final = Resource(
    name="RouteRule",
    doc="A rule of a VPC's route table: where some packets go. Its id is routeTableId/routeRuleId.",
    fields=(
        Field(
            "routeTableId",
            Kind.STRING,
            "The route table: a VPC's output of that name.",
            "create_route: route_table_id",
            required=True,
            change=Change.REPLACE,
        ),
        Field(
            "sourceAddress",
            Kind.STRING,
            "From which addresses.",
            "create_route: source_address",
            default="0.0.0.0/0",
            change=Change.REPLACE,
            tests=(cidr,),
        ),
        Field(
            "destinationAddress",
            Kind.STRING,
            "To which addresses.",
            "create_route: destination_address",
            required=True,
            change=Change.REPLACE,
            tests=(cidr,),
        ),
        Field(
            "nexthopType",
            Kind.STRING,
            "What the next hop is: custom is an instance, dcGateway a dedicated-line gateway.",
            "create_route: next_hop_type; the words [docs]",
            required=True,
            tests=(
                one_of(
                    "custom", "vpn", "nat", "dcGateway", "peerConn", "enic", "havip", "ipv6gateway", "defaultGateway"
                ),
            ),
        ),
        Field("nexthopId", Kind.STRING, "The next hop.", "create_route: next_hop_id"),
        Field(
            "nexthopIds",
            Kind.STRINGS,
            "Several next hops of the type; with pathType ha the first is the active one.",
            "create_route: next_hops",
            default=(),
            change=Change.REPLACE,
        ),
        Field(
            "pathType",
            Kind.STRING,
            "How several next hops share the traffic: ecmp or ha.",
            "NextHop: path_type; the words [docs]",
            default="ecmp",
            change=Change.REPLACE,
            tests=(one_of("ecmp", "ha"),),
        ),
        description_field("create_route: description"),
    ),
    create=_create_route,
    read=_read_route,
    update=_update_route,
    delete=_delete_route,
    unique=("routeTableId", "sourceAddress", "destinationAddress"),
    rules=(_hops_mistakes,),
    advice=(
        (
            "CidrConflict",
            Advice("destinationAddress", "choose one outside the VPC that no other rule has with that source"),
        ),
        (
            "OperationDenied",
            Advice("destinationAddress", "another rule of the table has these addresses: remove one of them"),
        ),
        (
            "NoSuchObject",
            Advice("nexthopId", "the table or the next hop is gone: run `pulumi refresh`, then `pulumi up`"),
        ),
    ),
)

RESOURCES: Final = (VPC, SUBNET, ROUTE_RULE)
