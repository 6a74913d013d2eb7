"""Pulumi's package schema, from the declarations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from lanecast_infra.provider.configuration import SETTINGS, VARIABLES
from lanecast_infra.provider.declarations import FUNCTIONS, RESOURCES
from lanecast_infra.provider.model import Change, Field, Function, Kind, Output, Resource

VERSION: Final = "0.1.0"
TYPES: Final[dict[Kind, dict[str, Any]]] = {
    Kind.STRING: {"type": "string"},
    Kind.INTEGER: {"type": "integer"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.STRINGS: {"type": "array", "items": {"type": "string"}},
    Kind.TAGS: {"type": "object", "additionalProperties": {"type": "string"}},
}


@cache
def schema_text() -> str:
    """The schema as JSON."""
    return json.dumps(schema(), sort_keys=True)


def schema() -> dict[str, Any]:
    """The schema."""
    settings = {field.name: _setting(field) for field in SETTINGS}
    return {
        "name": "baiducloud",
        "displayName": "Baidu AI Cloud",
        "version": VERSION,
        "description": "Baidu AI Cloud's networks, over its official SDK.",
        "license": "Apache-2.0",
        "config": {"variables": settings},
        "provider": {
            "description": "One region of Baidu AI Cloud.",
            "inputProperties": settings,
            "properties": settings,
        },
        "resources": {token: _resource(one) for token, one in RESOURCES.items()},
        "functions": {token: _function(one) for token, one in FUNCTIONS.items()},
    }


def description(field: Field | Output) -> str:
    """What is said of a field: its meaning, its unit, and what a change of it does."""
    if isinstance(field, Output):
        return field.doc
    unit = f" In {field.unit}." if field.unit else ""
    change = {Change.UPDATE: "", Change.REPLACE: " A change makes a new one.", Change.FIXED: " Cannot be changed."}
    return f"{field.doc}{unit}{change[field.change]}"


def _setting(field: Field) -> dict[str, Any]:
    return {
        **TYPES[field.kind],
        "description": field.doc,
        "secret": field.secret,
        "defaultInfo": {"environment": [VARIABLES[field.name]]},
    }


def _resource(resource: Resource) -> dict[str, Any]:
    inputs = {field.name: _input(field) for field in resource.fields}
    outputs = {field.name: {**TYPES[field.kind], "description": description(field)} for field in resource.fields}
    outputs |= {one.name: {**TYPES[one.kind], "description": one.doc} for one in resource.outputs}
    for field in resource.fields:
        outputs[field.name] |= {"secret": True} if field.secret else {}
    always = [one.name for one in resource.fields if one.required or one.named or one.default is not None]
    return {
        "description": resource.doc,
        "inputProperties": inputs,
        "requiredInputs": [field.name for field in resource.fields if field.required],
        "properties": outputs,
        "required": [*always, *(one.name for one in resource.outputs)],
    }


def _input(field: Field) -> dict[str, Any]:
    spelt: dict[str, Any] = {**TYPES[field.kind], "description": description(field)}
    if field.default is not None and field.kind in (Kind.STRING, Kind.INTEGER, Kind.BOOLEAN):
        spelt["default"] = field.default
    if field.change is Change.REPLACE:
        spelt["willReplaceOnChanges"] = True
    if field.secret:
        spelt["secret"] = True
    return spelt


def _function(function: Function) -> dict[str, Any]:
    return {
        "description": function.doc,
        "inputs": {
            "properties": {one.name: _input(one) for one in function.arguments},
            "required": [one.name for one in function.arguments if one.required],
        },
        "outputs": _results(function.results),
    }


def _results(results: Sequence[Output]) -> dict[str, Any]:
    return {
        "properties": {one.name: {**TYPES[one.kind], "description": one.doc} for one in results},
        "required": [one.name for one in results],
    }
