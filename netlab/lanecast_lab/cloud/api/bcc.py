"""Instances, and what is looked up for them (zones, images): ``BccClient`` of the SDK.

Replies are bce-sdk-go's ``InstanceModel``, ``CreateInstanceBySpecResult``, ``ImageModel`` and ``ZoneModel``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from lanecast_lab.cloud.api import eip, havip, route, security_group, subnet
from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    between,
    fields,
    new_id,
    shown,
    timestamp,
)
from lanecast_lab.cloud.api.errors import denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.states import state_at
from lanecast_lab.cloud.api.store import Resource

KIND = "instance"
SPEC = re.compile(r"[a-z0-9]+\.[a-z0-9]+\.c([0-9]{1,4})m([0-9]{1,5})(?:\.[a-z0-9.]+)?")
"""[docs] As ``bcc.g5.c2m8``: family, generation, cores, memory in GiB."""

MOST_AT_ONCE = 100
"""[docs] Of ``purchaseCount``."""

ZONE_LETTERS = "abcdef"
IMAGE_STEM = "m-lanecast"
IMAGES = (
    ("Ubuntu", "22.04 LTS", "Ubuntu Server 22.04 LTS 64bit"),
    ("Debian", "12.0.0", "Debian 12.0.0 64bit"),
    ("CentOS", "7.9", "CentOS 7.9 x86_64 (64bit)"),
)
"""[assumed] What the list of images shows. An instance can be made of any image, since accounts have their own."""


def _require(context: Context) -> Resource:
    return context.require(KIND, context.path["instanceId"], "instance")


def _status(context: Context, instance: Resource) -> str:
    return state_at(instance.body["status"], context.now)


def _show(context: Context, instance: Resource) -> JsonObject:
    status = _status(context, instance)
    if instance.body["zoneName"] in context.outages:
        status = "Stopped"
    bound = eip.of_instance(context, instance.key)
    public = bound[0] if bound else ""
    body = instance.body
    interface = {
        "eniId": "eni-" + instance.key[2:],
        "type": "primary",
        "status": "inuse",
        "vpcId": body["vpcId"],
        "subnetId": body["subnetId"],
        "az": body["zoneName"],
        "ips": [{"privateIp": body["internalIp"], "eip": public, "primary": "true"}],
        "securityGroups": body["_groups"],
    }
    return {**shown(body), "status": status, "publicIp": public, "nicInfo": interface}


def _groups(context: Context, vpc_id: str) -> list[str]:
    """The security groups of a new instance; without any, the one that came with the VPC."""
    body = context.body
    wanted = [one for one in [body.get("securityGroupId"), *body.get("securityGroupIds", [])] if one]
    for group_id in wanted:
        group = context.require(security_group.KIND, group_id, "security group")
        if group.parent != vpc_id:
            raise denied(f"security group {group_id} is of VPC {group.parent}, not of {vpc_id}")
    return list(dict.fromkeys(wanted)) or [security_group.default_of(context, vpc_id)]


def create(context: Context) -> JsonObject:
    """One or several alike. With ``internalIps``, each gets its own of those addresses."""
    body = context.body
    size = SPEC.fullmatch(body["spec"])
    if not size:
        raise inappropriate(f"spec: {body['spec']!r} is none, as bcc.g5.c2m8 is")
    if "subnetId" not in body:
        raise inappropriate("subnetId: is missing, and this account has no default subnet")
    place = subnet.require(context, body["subnetId"])
    if body.get("zoneName", place.body["zoneName"]) != place.body["zoneName"]:
        raise inappropriate(f"zoneName: subnet {place.key} is in {place.body['zoneName']}")
    count = body.get("purchaseCount", 1)
    between("purchaseCount", count, 1, MOST_AT_ONCE)
    addresses = body.get("internalIps") or [None] * count
    if len(addresses) != count:
        raise inappropriate(f"internalIps: {len(addresses)} addresses for {count} instances")
    context.quotas.check("instance", context.store.count(KIND, context.scope), count)
    groups = _groups(context, place.parent or "")
    made = []
    for number, wanted in enumerate(addresses):
        taken = subnet.take_address(context, place, wanted)
        instance_id = new_id("i")
        name = body.get("name") or instance_id
        record: JsonObject = {
            "id": instance_id,
            "name": f"{name}-{number + 1}" if count > 1 else name,
            "hostname": body.get("hostname", ""),
            "desc": "",
            "spec": body["spec"],
            "status": context.passing("Starting", "Running"),
            "paymentTiming": body.get("billing", {}).get("paymentTiming", "Postpaid"),
            "createTime": timestamp(context.now),
            "expireTime": "",
            "internalIp": taken,
            "cpuCount": int(size[1]),
            "memoryCapacityInGB": int(size[2]),
            "imageId": body["imageId"],
            "zoneName": place.body["zoneName"],
            "subnetId": place.key,
            "vpcId": place.parent,
            "keypairId": body.get("keypairId", ""),
            "tags": body.get("tags", []),
            "deletionProtection": body.get("deletionProtection", 0),
            "_address": taken,
            "_groups": groups,
            "_userData": body.get("userData", ""),
        }
        context.make(KIND, instance_id, record, parent=place.key)
        made.append(instance_id)
    return {"orderId": new_id("order"), "instanceIds": made}


def list_all(context: Context) -> JsonObject:
    """Pages of instances: those that every filter of the query lets pass."""
    names = {"zoneName": "zoneName", "vpcId": "vpcId", "internalIp": "internalIp"}
    equal = {field: context.query[name] for name, field in names.items() if context.query.get(name)}
    asked = {name: context.query[name] for name in (*FILTERS, *NOTHING_HAS) if context.query.get(name)}
    if not asked:
        return page(context, KIND, "instances", lambda one: _show(context, one), equal=equal)
    found = context.store.find(KIND, context.scope, equal=equal) if not {*asked} & {*NOTHING_HAS} else []
    chosen = [one for one in found if all(FILTERS[name](context, one, asked[name].split(",")) for name in asked)]
    return page_of(context, "instances", chosen, lambda one: _show(context, one))


def _has_tag(instance: Resource, wanted: str) -> bool:
    """[SDK] A tag is asked for as KEY:VALUE, or as KEY for any value."""
    key, colon, value = wanted.partition(":")
    tags = {tag.get("tagKey"): tag.get("tagValue") for tag in instance.body["tags"]}
    return key in tags and (not colon or tags[key] == value)


FILTERS: dict[str, Callable[[Context, Resource, list[str]], bool]] = {
    "instanceIds": lambda _, instance, wanted: instance.key in wanted,
    "instanceNames": lambda _, instance, wanted: instance.body["name"] in wanted,
    "fuzzyInstanceName": lambda _, instance, wanted: ",".join(wanted) in instance.body["name"],
    "privateIps": lambda _, instance, wanted: instance.body["internalIp"] in wanted,
    "status": lambda context, instance, wanted: _show(context, instance)["status"] in wanted,
    "paymentTiming": lambda _, instance, wanted: instance.body["paymentTiming"] in wanted,
    "securityGroupIds": lambda _, instance, wanted: bool({*wanted} & {*instance.body["_groups"]}),
    "tags": lambda _, instance, wanted: any(_has_tag(instance, one) for one in wanted),
}
"""[SDK] What instances are chosen by, several values separated by commas; [assumed] one of them is enough."""

NOTHING_HAS = ("dedicatedHostId", "cdsIds", "ehcClusterId", "deploySetIds", "ipv6Addresses")
"""[SDK] The same, of things that no instance here has."""


def get(context: Context) -> JsonObject:
    """One instance."""
    return {"instance": _show(context, _require(context))}


def get_user_data(context: Context) -> JsonObject:
    """What the instance was given when it was made. [docs] In base64."""
    instance = context.require(KIND, context.body["instanceId"], "instance")
    return {"instanceId": instance.key, "userData": base64.b64encode(user_data_of(instance)).decode()}


def user_data_of(instance: Resource) -> bytes:
    """The user data as the instance finds them. [assumed] They were sent in base64, as they are told, or plain."""
    sent: str = instance.body["_userData"]
    try:
        return base64.b64decode(sent, validate=True)
    except ValueError:  # no base64
        return sent.encode()


def _switch(context: Context, before: str, during: str, after: str) -> None:
    instance = _require(context)
    if (state := _status(context, instance)) != before:
        raise denied(f"instance {instance.key} is {state}, not {before}")
    instance.body["status"] = context.passing(during, after)
    context.store.save(instance)


def start(context: Context) -> None:
    """Start a stopped instance."""
    _switch(context, "Stopped", "Starting", "Running")


def stop(context: Context) -> None:
    """Stop a running instance."""
    _switch(context, "Running", "Stopping", "Stopped")


def reboot(context: Context) -> None:
    """Stop and start a running instance."""
    _switch(context, "Running", "Starting", "Running")


def rename(context: Context) -> None:
    """Change the name."""
    instance = _require(context)
    instance.body |= {name: context.body[name] for name in ("name",) if name in context.body}
    context.store.save(instance)


def describe(context: Context) -> None:
    """Change the description; [assumed] an empty one takes it away."""
    instance = _require(context)
    if "desc" not in context.body:
        raise inappropriate("desc: is missing")
    instance.body["desc"] = context.body["desc"]
    context.store.save(instance)


def bind_group(context: Context) -> None:
    """Put an instance into one more security group."""
    instance = _require(context)
    group = context.require(security_group.KIND, context.body["securityGroupId"], "security group")
    if group.parent != instance.body["vpcId"]:
        raise denied(f"security group {group.key} is of VPC {group.parent}, not of {instance.body['vpcId']}")
    if group.key not in instance.body["_groups"]:
        instance.body["_groups"].append(group.key)
        context.store.save(instance)


def unbind_group(context: Context) -> None:
    """Take an instance out of a security group; it stays in one at least."""
    instance = _require(context)
    group_id = context.body["securityGroupId"]
    if group_id not in instance.body["_groups"]:
        raise no_such(f"security group of instance {instance.key}", group_id)
    if len(instance.body["_groups"]) == 1:
        raise denied(f"instance {instance.key} has to be in one security group at least")
    instance.body["_groups"].remove(group_id)
    context.store.save(instance)


def release(context: Context) -> None:
    """When no route needs it and no load balancer has it; its elastic address is free again."""
    instance = _require(context)
    if (state := _status(context, instance)) not in ("Running", "Stopped"):
        raise denied(f"instance {instance.key} is {state}")
    if instance.body["deletionProtection"]:
        raise denied(f"instance {instance.key} is protected from deletion")
    route.check_not_a_next_hop(context, instance.key)
    for kind in ("blb-backend", "app-server"):
        for backend in context.store.find(kind, equal={"instanceId": instance.key}):
            raise in_use(f"instance {instance.key} is a backend of {backend.parent}")
    for address in eip.of_instance(context, instance.key):
        eip.detach(context, address)
    havip.forget_instance(context, instance)
    context.leave(instance, "Deleted")


def list_zones(context: Context) -> JsonObject:
    """The zones of the region."""
    return {"zones": [{"zoneName": f"cn-{context.scope.region}-{letter}"} for letter in ZONE_LETTERS]}


def _images() -> list[JsonObject]:
    return [
        {
            "id": f"{IMAGE_STEM}-{system.lower()}",
            "name": name,
            "type": "System",
            "osType": "linux",
            "osName": system,
            "osVersion": version,
            "osArch": "amd64 (64bit)",
            "osBuild": "2024010100",
            "status": "Available",
            "createTime": "2024-01-01T00:00:00Z",
            "desc": "",
        }
        for system, version, name in IMAGES
    ]


def list_images(context: Context) -> JsonObject:
    """The images that everybody can use."""
    name = context.query.get("imageName", "")
    kind = context.query.get("imageType") or "All"
    chosen = [image for image in _images() if name in image["name"] and kind in ("All", "System")]
    return {"images": chosen, "marker": "", "maxKeys": 1000, "isTruncated": False}


def get_image(context: Context) -> JsonObject:
    """One of them."""
    for image in _images():
        if image["id"] == context.path["imageId"]:
            return {"image": image}
    raise no_such("image", context.path["imageId"])


_CREATE = fields(
    "spec! imageId! purchaseCount:i name hostname zoneName subnetId securityGroupId securityGroupIds:[] internalIps:[]"
    " userData billing:{} tags:[{}] keypairId deletionProtection:i"
)
_ALL = "/v2/instance"
_ONE = _ALL + "/{instanceId}"
_GROUP = fields("securityGroupId!")

SERVICE = Service(
    "bcc",
    (
        Call("create_instance_by_spec", "POST", "/v2/instanceBySpec", create, _CREATE),
        Call("list_instances", "GET", _ALL, list_all),
        Call("get_instance", "GET", _ONE, get),
        Call("get_instance_user_data", "POST", _ALL + "/attribute/getUserdata", get_user_data, fields("instanceId!")),
        Call("start_instance", "PUT", _ONE, start, (), "start"),
        Call("stop_instance", "PUT", _ONE, stop, fields("forceStop:b stopWithNoCharge:b"), "stop"),
        Call("reboot_instance", "PUT", _ONE, reboot, fields("forceStop:b"), "reboot"),
        Call("modify_instance_attributes", "PUT", _ONE, rename, fields("name"), "modifyAttribute"),
        Call("modify_instance_desc", "PUT", _ONE, describe, fields("desc"), "modifyDesc"),
        Call("bind_instance_to_security_group", "PUT", _ONE, bind_group, _GROUP, "bind"),
        Call("unbind_instance_from_security_group", "PUT", _ONE, unbind_group, _GROUP, "unbind"),
        Call("release_instance", "DELETE", _ONE, release),
        Call("list_zones", "GET", "/v2/zone", list_zones),
        Call("list_images", "GET", "/v2/image", list_images),
        Call("get_image", "GET", "/v2/image/{imageId}", get_image),
    ),
)
