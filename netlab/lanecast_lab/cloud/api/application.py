"""The ASGI application: takes a request, verifies its signature, does the call, and answers.

Calls are done one after the other on the event loop: there is one writer to the file anyhow, and so two requests with
one client token can never both find that nobody answered it yet.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lanecast_lab.cloud.api import admin
from lanecast_lab.cloud.api.calls import Context, JsonObject, Router, checked
from lanecast_lab.cloud.api.errors import ApiError, inappropriate, malformed_json
from lanecast_lab.cloud.api.faults import Faults
from lanecast_lab.cloud.api.idempotence import Token, fingerprint
from lanecast_lab.cloud.api.quotas import Quotas
from lanecast_lab.cloud.api.regions import GLOBAL, Regions, check_host
from lanecast_lab.cloud.api.services import SERVICES
from lanecast_lab.cloud.api.signing import AccessKey, SignedRequest, verify
from lanecast_lab.cloud.api.store import Scope as ResourceScope
from lanecast_lab.cloud.api.store import Store

DROP = "lanecast.drop"
"""The ASGI extension by which the server lets a connection be closed without an answer."""

LONGEST_BODY = 1 << 20
DEEPEST_BODY = 32
JSON_TYPE = "application/json; charset=utf-8"
EMPTY = b""
ABSOLUTE = re.compile(rb"^https?://[^/]*", re.IGNORECASE)
"""What a request to a proxy has before its path."""


@dataclass(slots=True)
class Cloud:
    """What the application works with. ``clock``: seconds of Unix time."""

    store: Store
    keys: Mapping[str, AccessKey]
    regions: Regions
    quotas: Quotas
    faults: Faults
    delay_s: float
    clock: Callable[[], float] = time.time
    router: Router = field(default_factory=lambda: Router(SERVICES))


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A request as it came, with what is found out before it is trusted.

    ``path``: as it was sent, without the region's prefix.
    """

    request: Request
    body: bytes
    region: str
    region_is_named: bool
    path: str
    query: dict[str, str]

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def signed(self) -> SignedRequest:
        scope = self.request.scope
        headers = tuple((name.decode("latin-1"), value) for name, value in scope["headers"])
        return SignedRequest(self.method, _raw_path(scope), scope["query_string"], headers)


class Application:
    """ASGI: ``await application(scope, receive, send)``."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"the emulated cloud does not speak {scope['type']}")
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:  # nobody is there to be answered
            return
        if scope["path"].startswith(admin.PREFIX):
            answer = admin.answer(request.method, scope["path"], body, self.cloud.faults, self.cloud.store)
            await answer(scope, receive, send)
            return
        incoming = self._incoming(request, body)
        striking = self.cloud.faults.draw(incoming.method, unquote(incoming.path))
        if delay := striking.get("delay"):
            await asyncio.sleep(delay.seconds)
        if "lost-request" in striking:
            await self._drop(request)
            return
        request_id = str(uuid.uuid4())
        if rule := striking.get("throttle"):
            answer = _refusal(ApiError(429, "TooManyRequests", "too many requests: wait and try again"), request_id)
        elif rule := striking.get("error"):
            answer = _refusal(ApiError(rule.status, "InternalError", "we encountered an internal error"), request_id)
        else:
            answer = self._answer(incoming, request_id)
        if "lost-reply" in striking:
            await self._drop(request)
            return
        await answer(scope, receive, send)

    def _incoming(self, request: Request, body: bytes) -> _Incoming:
        raw_path = _raw_path(request.scope).decode("latin-1")
        host = request.headers.get("host", "")
        region, named, path = self.cloud.regions.split(tuple(request.scope["server"]), host, raw_path)
        return _Incoming(request, body, region, named, path, _query(request.scope["query_string"]))

    def _answer(self, incoming: _Incoming, request_id: str) -> Response:
        """Do what is asked, or say why not."""
        now = self.cloud.clock()
        try:
            key = verify(incoming.signed, self.cloud.keys, now)
            reply = self._perform(incoming, key, now)
        except ApiError as error:
            return _refusal(error, request_id)
        except Exception:
            # A mistake of ours: whoever runs the server has to see it, and the client gets what a cloud would answer.
            traceback.print_exc()
            return _refusal(ApiError(500, "InternalError", "we encountered an internal error"), request_id)
        content = EMPTY if reply is None else _json(reply)
        headers = {"x-bce-request-id": request_id}
        if incoming.method != "GET":
            headers[admin.CHANGE_HEADER] = str(self.cloud.store.change)
        return Response(content, 200, headers, JSON_TYPE)

    def _perform(self, incoming: _Incoming, key: AccessKey, now: float) -> JsonObject | None:
        check_host(incoming.request.headers.get("host", ""))
        call, service, variables = self.cloud.router.find(incoming.method, incoming.path, incoming.query)
        body = _body(incoming.body)
        context = Context(
            store=self.cloud.store,
            scope=ResourceScope(key.account, incoming.region if service.regional else GLOBAL),
            region_is_named=incoming.region_is_named,
            now=now,
            delay_s=self.cloud.delay_s,
            quotas=self.cloud.quotas,
            outages=self.cloud.faults.down,
            query=incoming.query,
            path=variables,
            endpoint=service.endpoint,
        )
        if not call.writes:
            with self.cloud.store.reading(now):
                return call.handler(context)
        token = Token(
            incoming.query.get("clientToken", ""),
            fingerprint(incoming.method, incoming.path, incoming.query, body),
        )
        context.body = checked(body, call.fields)
        with self.cloud.store.transaction(now):
            answered, reply = token.earlier_reply(context)
            if not answered:
                reply = call.handler(context)
                token.keep(context, reply)
        return reply

    async def _drop(self, request: Request) -> None:
        """Close the connection without an answer."""
        request.scope["extensions"][DROP]()
        while (await request.receive())["type"] != "http.disconnect":
            continue


def _raw_path(scope: Scope) -> bytes:
    """The path as it was sent, without the scheme and host that a client puts before it for a proxy. (RFC 9112)"""
    sent: bytes = scope["raw_path"]
    return ABSOLUTE.sub(b"", sent) or b"/"


def _query(text: bytes) -> dict[str, str]:
    """The query's parameters. ``+`` is itself, as in the signature."""
    found = {}
    for part in text.decode("latin-1").split("&") if text else ():
        name, _, value = part.partition("=")
        found[unquote(name)] = unquote(value)
    return found


def _body(content: bytes) -> JsonObject:
    if len(content) > LONGEST_BODY:
        raise ApiError(400, "InvalidHTTPRequest", f"the body has more than {LONGEST_BODY} bytes")
    if not content:
        return {}
    try:
        body: Any = json.loads(content)
        # half of a surrogate pair is no character; NaN and infinity, as 1e999 is one, are no numbers
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise malformed_json(f"the body is no JSON: {error}") from None
    if body is None:  # what the SDK sends for a body that was not given
        return {}
    if not isinstance(body, dict):
        raise inappropriate("the body is no JSON object")
    if _is_deeper(body, DEEPEST_BODY):
        raise malformed_json(f"the body is nested deeper than {DEEPEST_BODY} levels")
    return body


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether it has more levels: what is kept has to be readable later, by whomever."""
    level = [value]
    for _ in range(levels):
        lists = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [inner for one in lists for inner in one]
    return any(isinstance(one, dict | list) for one in level)


def _json(value: JsonObject | dict[str, str]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _refusal(error: ApiError, request_id: str) -> Response:
    return Response(_json(error.body(request_id)), error.status, {"x-bce-request-id": request_id}, JSON_TYPE)
