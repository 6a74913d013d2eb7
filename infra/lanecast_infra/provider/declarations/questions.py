"""What can be looked up: zones, images, regions, and the dedicated lines of the account."""

from __future__ import annotations

from typing import Final

from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.et.et_client import EtClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.failures import NotSettledError
from lanecast_infra.provider.model import Field, Function, Kind, Output, Values

REGIONS: Final = ("bj", "bd", "su", "gz", "fwh", "hkg", "sin", "fsh", "cd", "nj", "yq")
"""[docs: endpoints] No call of the SDK lists them."""


def _zones(call: Call, arguments: Values) -> Values:
    return {"names": sorted(one["zoneName"] for one in call.ask(BccClient, "list_zones")["zones"])}


def _image(call: Call, arguments: Values) -> Values:
    wanted = str(arguments["name"])
    images = list(call.pages(BccClient, "list_images", "images", image_type="All"))
    found = sorted((one for one in images if wanted in one["name"]), key=lambda one: str(one.get("createTime")))
    if not found:
        names = ", ".join(sorted(one["name"] for one in images))
        raise NotSettledError(f"no image's name contains {wanted!r}; there are {names}")
    return {"id": found[-1]["id"], "fullName": found[-1]["name"]}


def _regions(call: Call, arguments: Values) -> Values:
    return {"names": sorted(REGIONS), "current": call.region}


def _physical_lines(call: Call, arguments: Values) -> Values:
    lines = [one for one in call.pages(EtClient, "list_et_dcphy", "ets") if one.get("status") == "established"]
    wanted = arguments.get("name")
    return {"ids": sorted(one["id"] for one in lines if wanted in (None, one.get("name")))}


FUNCTIONS: Final = (
    Function(
        "getZones",
        "The zones of the region.",
        (),
        (Output("names", Kind.STRINGS, "Their names.", "list_zones: zoneName"),),
        _zones,
    ),
    Function(
        "getImage",
        "The newest image whose name contains a text.",
        (Field("name", Kind.STRING, "A part of its name.", "list_images: name", required=True),),
        (
            Output("id", Kind.STRING, "The image.", "list_images: id"),
            Output("fullName", Kind.STRING, "Its whole name.", "list_images: name"),
        ),
        _image,
    ),
    Function(
        "getRegions",
        "The regions of the cloud.",
        (),
        (
            Output("names", Kind.STRINGS, "Their codes.", "[docs: endpoints]"),
            Output("current", Kind.STRING, "The provider's own.", "the provider's settings"),
        ),
        _regions,
    ),
    Function(
        "getPhysicalLines",
        "The account's dedicated lines that are established. They are ordered by hand, never made.",
        (Field("name", Kind.STRING, "Only those of that name.", "list_et_dcphy: name"),),
        (Output("ids", Kind.STRINGS, "Their ids.", "list_et_dcphy: id"),),
        _physical_lines,
    ),
)
