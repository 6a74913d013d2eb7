"""Virtual machines."""

from __future__ import annotations

import base64
from typing import Any, Final

from baidubce.services.bcc.bcc_client import BccClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import address
from lanecast_infra.provider.declarations.common import (
    Tag,
    changed,
    chosen,
    description_field,
    live_tags,
    name_field,
    status_output,
    tags_field,
)
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Resource, States, Values


def _create(call: Call, inputs: Values) -> str:
    wanted = inputs.get("internalIp")
    reply = call.ask(
        BccClient,
        "create_instance_by_spec",
        spec=inputs["spec"],
        image_id=inputs["imageId"],
        name=inputs["name"],
        subnet_id=inputs["subnetId"],
        security_group_ids=inputs.get("securityGroupIds"),
        internal_ips=[wanted] if wanted else None,
        user_data=_in_base64(inputs.get("userData")),
        key_pair_id=inputs.get("keypairId"),
        tags=[Tag(key, value) for key, value in sorted(inputs.get("tags", {}).items())] or None,
        client_token=call.token("instance"),
    )
    return str(reply["instanceIds"][0])


def _in_base64(text: str | None) -> str | None:
    """[docs: query user data] The API has it in base64."""
    return base64.b64encode(text.encode()).decode() if text else None


def _plain(told: str) -> str:
    try:
        return base64.b64decode(told, validate=True).decode()
    except ValueError:  # it is no text, or was not encoded
        return told


def _read(call: Call, instance_id: str) -> Values | None:
    instance = call.ask(BccClient, "get_instance", instance_id=instance_id)["instance"]
    if instance.get("status") == "Deleted":
        return None
    live = chosen(instance, ("name", "spec", "imageId", "subnetId", "internalIp", "status", "zoneName"))
    if "desc" in instance:
        live["description"] = instance["desc"]
    if "keypairId" in instance:
        live["keypairId"] = instance["keypairId"] or None
    if "nicInfo" in instance:
        live["securityGroupIds"] = instance["nicInfo"].get("securityGroups") or []
    told = call.ask(BccClient, "get_instance_user_data", instance_id=instance_id)
    if told.get("userData"):
        live["userData"] = _plain(told["userData"])
    return {**live, **live_tags(instance)}


def _finish(call: Call, instance_id: str, inputs: Values) -> None:
    live = _read(call, instance_id) or {}
    if live.get("description", "") != inputs["description"]:
        call.ask(BccClient, "modify_instance_desc", instance_id=instance_id, desc=inputs["description"])
    if inputs.get("securityGroupIds"):
        _bring_groups(call, instance_id, live.get("securityGroupIds", []), inputs["securityGroupIds"])


def _bring_groups(call: Call, instance_id: str, live: list[str], wanted: list[str]) -> None:
    """First into the new groups, since a machine is always in one at least."""
    into = [("bind_instance_to_security_group", one) for one in wanted if one not in live]
    out = [("unbind_instance_from_security_group", one) for one in live if one not in wanted]
    for method, group_id in into + out:
        call.ask(BccClient, method, instance_id=instance_id, security_group_id=group_id)


def _update(call: Call, instance_id: str, old: Values, new: Values) -> None:
    if changed(old, new, "name"):
        call.ask(BccClient, "modify_instance_attributes", instance_id=instance_id, name=new["name"])


def _delete(call: Call, instance_id: str, inputs: Values) -> None:
    call.ask(BccClient, "release_instance", instance_id=instance_id)


def _made_of(name: str, doc: str, source: str, **more: Any) -> Field:
    return Field(name, Kind.STRING, doc, f"create_instance_by_spec: {source}", change=Change.REPLACE, **more)


INSTANCE: Final = Resource(
    name="Instance",
    doc="A virtual machine in one subnet.",
    fields=(
        name_field("create_instance_by_spec: name"),
        _made_of("spec", "Its size, such as bcc.g5.c2m8.", "spec", required=True),
        _made_of("imageId", "The image of its disk.", "image_id", required=True),
        _made_of("subnetId", "The subnet.", "subnet_id", required=True),
        Field(
            "securityGroupIds",
            Kind.STRINGS,
            "Its security groups; the VPC's default group when none is given.",
            "create_instance_by_spec: security_group_ids",
            unordered=True,
            assigned=True,
        ),
        _made_of("internalIp", "Its address in the subnet.", "internal_ips", assigned=True, tests=(address,)),
        _made_of(
            "userData",
            "What cloud-init runs at its first start, as it is; it travels in base64.",
            "user_data; get_instance_user_data",
            secret=True,
        ),
        _made_of("keypairId", "The key that may log in.", "key_pair_id"),
        description_field("modify_instance_desc: desc"),
        tags_field("create_instance_by_spec: tags"),
    ),
    outputs=(status_output("get_instance: status [docs]"),),
    create=_create,
    read=_read,
    finish=_finish,
    update=_update,
    delete=_delete,
    states=States(frozenset({"Running", "Stopped"}), frozenset({"Error", "Expired", "Recycled"})),
    gone=frozenset({"NoSuchObject", "Instance.InstanceNotFound"}),
    busy=frozenset({"OperationDenied", "ResourceNeedRelease"}),
    unique=("subnetId", "internalIp"),
    unique_when="internalIp",
    advice=(("ResourceNeedRelease", Advice("internalIp", "choose a free address, or remove what the message names")),),
)

RESOURCES: Final = (INSTANCE,)
