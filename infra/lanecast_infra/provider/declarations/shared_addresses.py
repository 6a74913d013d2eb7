"""High-availability virtual addresses: one of several machines has such an address, and they decide which."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from baidubce.services.eip.eip_client import EipClient
from baidubce.services.havip.havip_client import HavipClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import address, one_of
from lanecast_infra.provider.declarations.addresses import BOUND, NOT_BOUND
from lanecast_infra.provider.declarations.common import (
    changed,
    chosen,
    description_field,
    name_field,
    status_output,
)
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Resource, States, Values

MOST_INSTANCES: Final = 5
SERVER: Final = "SERVER"

Bound = set[tuple[str, str]]
"""Ids and types of what is bound."""


def _create(call: Call, inputs: Values) -> str:
    reply = call.ask(
        HavipClient,
        "create_havip",
        name=inputs["name"],
        subnet_id=inputs["subnetId"],
        private_ip_address=inputs.get("privateIpAddress", ""),
        description=inputs["description"],
        client_token=call.token("havip"),
    )
    return str(reply["haVipId"])


def _read(call: Call, havip_id: str) -> Values:
    havip = call.ask(HavipClient, "get_havip_detail", havip_id=havip_id)
    live = chosen(havip, ("name", "description", "subnetId", "privateIpAddress", "status"))
    bound = _bound(havip)
    if bound:
        live["instanceType"] = min(kind for _, kind in bound)
    return {**live, "instanceIds": sorted(one for one, _ in bound), "publicIpAddress": _public(havip)}


def _bound(havip: Values) -> Bound:
    return {(one["instanceId"], one["instanceType"]) for one in havip.get("bindedInstances") or []}


def _public(havip: Values) -> str | None:
    return havip.get("publicIpAddress") or None


def _finish(call: Call, havip_id: str, inputs: Values) -> None:
    _bring_instances(call, havip_id, {(one, inputs["instanceType"]) for one in inputs["instanceIds"]})
    _bring_public(call, havip_id, inputs.get("publicIpAddress"))


def _bring_instances(call: Call, havip_id: str, wanted: Bound) -> None:
    """Those that go make room for those that come: no more than a few may be bound at a time."""

    def left_to_do() -> str | None:
        bound = _bound(call.ask(HavipClient, "get_havip_detail", havip_id=havip_id))
        for method, some in (("havip_detach_instance", bound - wanted), ("havip_attach_instance", wanted - bound)):
            for kind in sorted({kind for _, kind in some}):
                names = sorted(one for one, its_kind in some if its_kind == kind)
                call.try_once(HavipClient, method, havip_id=havip_id, instance_ids=names, instance_type=kind)
        return None if bound == wanted else f"it is bound to {_names(bound)}, not yet to {_names(wanted)}"

    call.until(left_to_do)


def _names(bound: Iterable[tuple[str, str]]) -> str:
    return ", ".join(sorted(one for one, _ in bound)) or "nothing"


def _bring_public(call: Call, havip_id: str, wanted: str | None) -> None:
    def left_to_do() -> str | None:
        has = _public(call.ask(HavipClient, "get_havip_detail", havip_id=havip_id))
        state = _eip_state(call, has or wanted)
        if has == wanted and state in (BOUND, None):
            return None
        if has != wanted and state == BOUND:
            call.try_once(HavipClient, "havip_unbind_public_ip", havip_id=havip_id)
        if has is None and state == NOT_BOUND:
            call.try_once(HavipClient, "havip_bind_public_ip", havip_id=havip_id, public_ip_address=wanted)
        return f"elastic address {has or wanted} is {state}"

    call.until(left_to_do)


def _eip_state(call: Call, eip: str | None) -> str | None:
    """The state of an elastic address; "gone" when there is none."""
    if eip is None:
        return None
    found = call.ask(EipClient, "list_eips", eip=eip).get("eipList") or []
    return str(found[0].get("status")) if found else "gone"


def _update(call: Call, havip_id: str, old: Values, new: Values) -> None:
    if changed(old, new, "name", "description"):
        call.ask(HavipClient, "update_havip", name=new["name"], havip_id=havip_id, description=new["description"])


def _delete(call: Call, havip_id: str, inputs: Values) -> None:
    _bring_instances(call, havip_id, set())
    _bring_public(call, havip_id, None)
    call.ask(HavipClient, "delete_havip", havip_id=havip_id)


def _few(values: list[str]) -> str | None:
    if len(set(values)) != len(values):
        return "names one twice"
    return None if len(values) <= MOST_INSTANCES else f"has {len(values)} instances; {MOST_INSTANCES} are the most"


HAVIP: Final = Resource(
    name="HaVip",
    doc="An address of a subnet that one of several machines has: whichever announced it last by gratuitous ARP.",
    fields=(
        name_field("create_havip: name"),
        Field("subnetId", Kind.STRING, "The subnet.", "create_havip: subnet_id", required=True, change=Change.REPLACE),
        Field(
            "privateIpAddress",
            Kind.STRING,
            "The address.",
            "create_havip: private_ip_address; empty: the cloud chooses [docs]",
            change=Change.REPLACE,
            assigned=True,
            tests=(address,),
        ),
        description_field("create_havip: description"),
        Field(
            "instanceIds",
            Kind.STRINGS,
            "The machines that may have it, five at most, all of its VPC.",
            "havip_attach_instance: instance_ids; how many [docs]",
            default=(),
            unordered=True,
            tests=(_few,),
        ),
        Field(
            "instanceType",
            Kind.STRING,
            "What instanceIds are: SERVER, machines, or ENI, network interfaces.",
            "havip_attach_instance: instance_type",
            default=SERVER,
            tests=(one_of(SERVER, "ENI"),),
        ),
        Field(
            "publicIpAddress",
            Kind.STRING,
            "The elastic address that is bound to it.",
            "havip_bind_public_ip: public_ip_address",
            tests=(address,),
        ),
    ),
    outputs=(status_output("get_havip_detail: status [docs]"),),
    create=_create,
    read=_read,
    finish=_finish,
    update=_update,
    delete=_delete,
    # The page has "bound"; elastic addresses spell the same "binded". Neither is on its way to anything.
    states=States(frozenset({"available", "bound", "binded"})),
    busy=frozenset({"ResourceNeedRelease"}),
    unique=("subnetId", "privateIpAddress"),
    unique_when="privateIpAddress",
    advice=(
        ("ResourceNeedRelease", Advice(None, "remove what the message names; if no program has it, by hand")),
        ("OperationDenied", Advice("instanceIds", "name machines of the subnet's VPC that are not bound by hand")),
        ("LimitExceeded", Advice("instanceIds", "bind fewer machines, or ask for a higher quota")),
    ),
)

RESOURCES: Final = (HAVIP,)
