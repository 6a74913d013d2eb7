"""Private DNS: zones that VPCs see, and their records."""

from __future__ import annotations

from typing import Any, Final

from baidubce.services.localdns.ld_client import LdClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import between, characters, one_of
from lanecast_infra.provider.declarations.common import changed, chosen, first, joined, parts_of
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Resource, Values

RECORD_IDENTITY: Final = ("zoneId", "recordId")
RECORD_FIELDS: Final = ("rr", "type", "value", "ttl", "priority")


def _create_zone(call: Call, inputs: Values) -> str:
    wanted = {"zoneName": inputs["zoneName"]}
    reply = call.ask(
        LdClient, "create_private_zone", create_private_zone_request=wanted, client_token=call.token("zone")
    )
    return str(reply["zoneId"])


def _read_zone(call: Call, zone_id: str) -> Values:
    zone = call.ask(LdClient, "get_private_zone", zone_id=zone_id)
    bound = [one["vpcId"] for one in zone.get("bindVpcs") or [] if one.get("vpcRegion", call.region) == call.region]
    return {**chosen(zone, ("zoneName",)), "vpcIds": bound}


def _finish_zone(call: Call, zone_id: str, inputs: Values) -> None:
    _bring_vpcs(call, zone_id, inputs["vpcIds"])


def _bring_vpcs(call: Call, zone_id: str, wanted: list[str]) -> None:
    live = _read_zone(call, zone_id)["vpcIds"]
    missing = [one for one in wanted if one not in live]
    surplus = [one for one in live if one not in wanted]
    if missing:
        request = {"region": call.region, "vpcIds": missing}
        call.ask(LdClient, "bind_vpc", zone_id=zone_id, bind_vpc_request=request, client_token="")
    if surplus:
        request = {"region": call.region, "vpcIds": surplus}
        call.ask(LdClient, "unbind_vpc", zone_id=zone_id, unbind_vpc_request=request, client_token="")


def _delete_zone(call: Call, zone_id: str, inputs: Values) -> None:
    _bring_vpcs(call, zone_id, [])
    call.ask(LdClient, "delete_private_zone", zone_id=zone_id, client_token="")


PRIVATE_ZONE: Final = Resource(
    name="PrivateZone",
    doc="A zone of names that only its VPCs see. Its records are resources of their own.",
    fields=(
        Field(
            "zoneName",
            Kind.STRING,
            "The zone, such as lane.internal.",
            "create_private_zone: zoneName",
            required=True,
            change=Change.REPLACE,
            tests=(characters(1, 253),),
        ),
        Field(
            "vpcIds",
            Kind.STRINGS,
            "The VPCs of the provider's region that see it.",
            "bind_vpc, unbind_vpc: vpcIds",
            default=(),
            unordered=True,
        ),
    ),
    create=_create_zone,
    read=_read_zone,
    finish=_finish_zone,
    delete=_delete_zone,
    unique=("zoneName",),
    advice=(("ResourceNeedRelease", Advice(None, "remove the zone's records, and unbind other regions' VPCs, first")),),
)


def _record_request(inputs: Values) -> dict[str, Any]:
    return chosen(inputs, RECORD_FIELDS)


def _create_record(call: Call, inputs: Values) -> str:
    zone_id, token = inputs["zoneId"], call.token("record")
    request = _record_request(inputs)
    reply = call.ask(LdClient, "add_record", zone_id=zone_id, add_record_request=request, client_token=token)
    return joined(zone_id, reply["recordId"])


def _read_record(call: Call, identity: str) -> Values | None:
    zone_id, record_id = parts_of(identity, *RECORD_IDENTITY)
    found = first(call.pages(LdClient, "list_record", "records", zone_id=zone_id), recordId=record_id)
    if found is None:
        return None
    live = {**chosen(found, ("rr", "type", "value", "ttl")), "zoneId": zone_id}
    return {**live, "priority": found.get("priority") or None}


def _update_record(call: Call, identity: str, old: Values, new: Values) -> None:
    record_id = parts_of(identity, *RECORD_IDENTITY)[1]
    if changed(old, new, *RECORD_FIELDS):
        request = _record_request(new)
        call.ask(LdClient, "update_record", record_id=record_id, update_record_request=request, client_token="")


def _delete_record(call: Call, identity: str, inputs: Values) -> None:
    record_id = parts_of(identity, *RECORD_IDENTITY)[1]
    call.ask(LdClient, "delete_record", record_id=record_id, client_token="")


def _priority_mistakes(values: Values) -> list[tuple[str, str]]:
    if "priority" in values and values.get("type", "MX") != "MX":
        return [("priority", "is for MX records")]
    return []


RECORD: Final = Resource(
    name="Record",
    doc="A record of a private zone. Its id is zoneId/recordId.",
    fields=(
        Field("zoneId", Kind.STRING, "The zone.", "add_record: zone_id", required=True, change=Change.REPLACE),
        Field("rr", Kind.STRING, "The name within the zone.", "add_record: rr", required=True),
        Field(
            "type",
            Kind.STRING,
            "What kind of record.",
            "add_record: type; the words [docs]",
            required=True,
            tests=(one_of("A", "AAAA", "CNAME", "MX", "TXT", "PTR", "SRV"),),
        ),
        Field("value", Kind.STRING, "What the name stands for.", "add_record: value", required=True),
        Field(
            "ttl",
            Kind.INTEGER,
            "How long an answer may be kept.",
            "add_record: ttl",
            unit="seconds",
            default=60,
            tests=(between(5, 86400),),
        ),
        Field("priority", Kind.INTEGER, "Of an MX record: the lowest first.", "add_record: priority"),
    ),
    create=_create_record,
    read=_read_record,
    update=_update_record,
    delete=_delete_record,
    unique=("zoneId", "rr", "type", "value"),
    rules=(_priority_mistakes,),
)

RESOURCES: Final = (PRIVATE_ZONE, RECORD)
