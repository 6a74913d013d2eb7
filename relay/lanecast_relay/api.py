"""The lease API: HTTPS on a thread of its own, and JSON in both directions.

Whoever is not admitted gets one answer, whatever the path, the method and the mistake, and no body is read before.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from lanecast_relay.access.gate import NotAdmitted, TooManyFailures
from lanecast_relay.access.leases import Lease, LeaseRefused, LeaseRequest
from lanecast_relay.access.secrets import located, private_file
from lanecast_relay.access.tokens import LONGEST_TOKEN_BYTES, Admitted
from lanecast_relay.config.fields import Endpoint
from lanecast_relay.config.leases import CODE_HEADER, Api
from lanecast_relay.running import NotReloaded, RunningRelay

LONGEST_BODY_BYTES = 65_536
LONGEST_HEAD_BYTES = LONGEST_TOKEN_BYTES + 8192

CONNECTIONS = 256
CONNECTIONS_A_SOURCE = 8
"""At a time, from those that have not shaken hands yet on: each address keeps only itself out by being slow."""

CONNECTION_S = 30.0
"""A connection ends after so long, whatever it does: it is for one request."""

HANDSHAKE_S = 5.0
HEAD_S = 5.0
"""From the handshake to the end of the request's head. Only who is admitted by it may take longer, for the body."""

BACKLOG = 64
STOP_WITHIN_S = 2.0


class LeaseApi:
    """The API as an ASGI application."""

    def __init__(self, running: RunningRelay) -> None:
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._answer(request)
        response.headers["connection"] = "close"
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        route, lease_id = _route(request)
        try:
            admitted = await run_in_threadpool(self._admit, request, route in WITH_CODE)
            if route is None:
                return _problem(404, "no such path; see the README's section on leases")
            body = await _body(request)
            return await run_in_threadpool(route, self, admitted, lease_id, body)
        except TooManyFailures as refused:
            return _problem(429, "too many failed attempts", {"retry-after": str(int(refused.wait_s) + 1)})
        except NotAdmitted as refused:
            self._running.log.warning("not admitted", source=_source(request), reason=str(refused))
            return _problem(401, "not admitted", {"www-authenticate": "Bearer"})
        except LeaseRefused as refused:
            return _problem(refused.status, str(refused))
        except ClientDisconnect:
            return _problem(400, "the request ended early")
        except OSError as error:
            self._running.log.error("request failed", path=request.url.path, reason=str(error))
            return _problem(503, "the relay could not do it; its log says why")

    def _admit(self, request: Request, with_code: bool) -> Admitted:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        code = request.headers.get(CODE_HEADER, "")
        return self._running.admit(_source(request), token if scheme.lower() == "bearer" else "", code, with_code)

    def give(self, admitted: Admitted, _lease_id: str, body: bytes) -> Response:
        """``POST /v1/leases``."""
        try:
            wanted = LeaseRequest.model_validate(json.loads(body))
        except ValidationError as error:
            mistakes = [".".join(map(str, one["loc"])) + ": " + one["msg"] for one in error.errors()]
            raise LeaseRefused(422, "; ".join(mistakes)) from None
        except (ValueError, RecursionError):
            raise LeaseRefused(400, 'expected JSON such as {"feed": …, "channels": {…: "address:port"}}') from None
        return JSONResponse(shown(self._running.give(admitted, wanted)), 201)

    def renew(self, admitted: Admitted, lease_id: str, _body: bytes) -> Response:
        """``POST /v1/leases/ID/renew``."""
        return JSONResponse(shown(self._running.renew(admitted, lease_id)))

    def end(self, admitted: Admitted, lease_id: str, _body: bytes) -> Response:
        """``DELETE /v1/leases/ID``."""
        self._running.end(admitted, lease_id)
        return Response(status_code=204)

    def own(self, admitted: Admitted, _lease_id: str, _body: bytes) -> Response:
        """``GET /v1/leases``."""
        return JSONResponse({"leases": [shown(lease) for lease in self._running.own(admitted)]})

    def reload(self, admitted: Admitted, _lease_id: str, _body: bytes) -> Response:
        """``POST /v1/reload``, for administrators."""
        if "admin" not in admitted.claims.scope:
            raise LeaseRefused(403, "the token is not one for administrators")
        try:
            return JSONResponse({"changes": self._running.reload(f"token of {admitted.claims.sub}", admitted)})
        except NotReloaded as problem:
            return JSONResponse({"error": "not reloaded", "mistakes": problem.mistakes}, 409)


Route = Callable[[LeaseApi, Admitted, str, bytes], Response]
WITH_CODE: frozenset[Route | None] = frozenset({LeaseApi.give, LeaseApi.reload})
"""What takes a one-time code of subjects that have them; what a lease needs to go on does not."""


def _route(request: Request) -> tuple[Route | None, str]:
    match (request.method, *request.url.path.strip("/").split("/")):
        case ("POST", "v1", "leases"):
            return LeaseApi.give, ""
        case ("GET", "v1", "leases"):
            return LeaseApi.own, ""
        case ("POST", "v1", "leases", lease_id, "renew"):
            return LeaseApi.renew, lease_id
        case ("DELETE", "v1", "leases", lease_id):
            return LeaseApi.end, lease_id
        case ("POST", "v1", "reload"):
            return LeaseApi.reload, ""
        case _:
            return None, ""


def shown(lease: Lease) -> dict[str, Any]:
    """A lease as its holder sees it."""
    return {
        "id": lease.id,
        **lease.request.model_dump(mode="json"),
        "seconds-left": round(max(0, lease.due_ns - time.monotonic_ns()) / 1e9, 3),
    }


def _source(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _problem(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": text}, status, headers)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BODY_BYTES:
            raise LeaseRefused(413, f"the body is longer than {LONGEST_BODY_BYTES} bytes")
    return body


class _Connection(H11Protocol):
    """A connection that ends after a while, so that nobody keeps others out by being slow."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._ends = (self.loop.call_later(CONNECTION_S, transport.abort), self.loop.call_later(HEAD_S, self._head_due))

    def _head_due(self) -> None:
        if self.cycle is None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for end in self._ends:
            end.cancel()
        super().connection_lost(exc)


class _Listener(socket.socket):
    """Takes so many connections at a time, and so many of each source; others are ended as they come."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._open: dict[str, list[socket.socket]] = {}

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Raises ``ConnectionAbortedError`` where there are too many: the loop goes on with the next one."""
        connection, address = super().accept()
        source = address[0]
        # A socket that was closed, by whomever, has no descriptor any more.
        self._open = {
            of: there for of, all_ in self._open.items() if (there := [one for one in all_ if one.fileno() >= 0])
        }
        mine = self._open.setdefault(source, [])
        if len(mine) >= CONNECTIONS_A_SOURCE or sum(map(len, self._open.values())) >= CONNECTIONS:
            connection.close()
            raise ConnectionAbortedError(f"too many connections of {source}")
        mine.append(connection)
        return connection, address


class _Loop(asyncio.SelectorEventLoop):
    """uvicorn names no time limit for handshakes, so the loop does."""

    async def create_server(self, *arguments: Any, **named: Any) -> asyncio.Server:
        return await super().create_server(*arguments, **{"ssl_handshake_timeout": HANDSHAKE_S, **named})


class ApiServer:
    """The API on its address, from a thread of its own."""

    def __init__(self, running: RunningRelay, api: Api) -> None:
        """Raises ``OSError`` and :class:`SecretProblem` naming what cannot be had."""
        self._context = _context(api)
        self._context.sni_callback = self._choose_context
        self._listener = _listen(api.listen)
        config = uvicorn.Config(
            LeaseApi(running),
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=LONGEST_HEAD_BYTES,
            timeout_graceful_shutdown=int(STOP_WITHIN_S),
        )
        config.load()
        config.ssl = self._context
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="relay-api", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self._server.serve([self._listener]))

    def prepare(self, api: Api) -> Callable[[], None]:
        """Read the certificate anew; what is returned puts it in place for new connections."""
        fresh = _context(api)

        def put_in_place() -> None:
            self._context = fresh

        return put_in_place

    def _choose_context(self, connection: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        """Called in each handshake, whether the client names a server or not (:attr:`ssl.SSLContext.sni_callback`).

        A context that is in use is not loaded anew: where its certificate was read and its key was not, it has none.
        """
        connection.context = self._context

    def close(self) -> None:
        """Stop answering."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


def _context(api: Api) -> ssl.SSLContext:
    certificate, key = located(api.certificate), private_file(located(api.key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # An empty passphrase: an encrypted key is an error, and no question on a terminal.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise OSError(error.errno, f"cannot use the certificate {certificate} with {key}: {error.strerror}") from None
    return context


def _listen(listen: Endpoint) -> socket.socket:
    listener = _Listener()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(listen.address), listen.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot serve the API on {listen}: {error.strerror}") from None
    return listener


@contextlib.contextmanager
def serving_leases(running: RunningRelay, api: Api) -> Iterator[None]:
    """Answer requests for leases meanwhile."""
    server = ApiServer(running, api)
    running.prepare_certificate = server.prepare
    try:
        yield
    finally:
        server.close()
