"""``lanecast schema``: the plan's JSON Schema, for editors."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

from pydantic.json_schema import PydanticJsonSchemaWarning

from lanecast.plan.model import Plan


def plan_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a plan as it is written, with hyphens in its keys."""
    with warnings.catch_warnings():
        # Defaults with a unit are whole numbers inside and have no JSON form of their own.
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
        content = Plan.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}


def schema() -> None:
    """Print the JSON Schema of a plan; editors complete and check plans with it."""
    sys.stdout.write(json.dumps(plan_schema(), indent=2) + "\n")
