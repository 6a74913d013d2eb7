"""The emulator's own paths, which users of the API never meet: faults on purpose, and whether it is ready."""

from __future__ import annotations

import json

from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from lanecast_lab.cloud.api.faults import Faults, FaultSettings
from lanecast_lab.cloud.api.store import Store

PREFIX = "/_lanecast/"
FAULTS = PREFIX + "faults"
SETTING = "faults"
CHANGE_HEADER = "x-lanecast-change"
"""Of answers to writes: the number of the store's last change; ``data-plane.json`` says which one is applied."""


def _shown(faults: Faults, store: Store) -> JSONResponse:
    shown = {**faults.settings.model_dump(mode="json"), "struck": faults.struck()}
    return JSONResponse(shown, headers={CHANGE_HEADER: str(store.change)})


def answer(method: str, path: str, body: bytes, faults: Faults, store: Store) -> Response:
    """``GET`` shows the faults and how often each has struck, ``PUT`` sets them, ``DELETE`` ends them all."""
    if path != FAULTS:
        return JSONResponse({"error": f"no such path: {path}"}, 404)
    if method == "PUT":
        try:
            settings = FaultSettings.model_validate(json.loads(body))
        except (ValidationError, ValueError, RecursionError) as error:
            return JSONResponse({"error": str(error)}, 400)
        faults.set(settings)
    elif method == "DELETE":
        faults.set(FaultSettings())
    elif method != "GET":
        return JSONResponse({"error": f"{method} is not done here"}, 405)
    if method != "GET":
        store.set_setting(SETTING, faults.settings.model_dump(mode="json"))
    return _shown(faults, store)
