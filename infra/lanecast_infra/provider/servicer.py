"""The engine's side: Pulumi's provider protocol, spoken for the declarations."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

import grpc
from google.protobuf import empty_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from lanecast_infra.provider import lifecycle
from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import check
from lanecast_infra.provider.clients import Clients, Settings
from lanecast_infra.provider.configuration import check_settings, settings_from
from lanecast_infra.provider.declarations import FUNCTIONS, RESOURCES
from lanecast_infra.provider.differences import How, deletes_first, differences
from lanecast_infra.provider.failures import STOPS, advised, explain
from lanecast_infra.provider.model import Change, Function, Resource, Values
from lanecast_infra.provider.schema import VERSION, schema_text
from lanecast_infra.provider.wire import UNKNOWN, is_unknown, known, pack, unpack


class Context(Protocol):
    """What gRPC gives to a method."""

    def abort(self, code: Any, details: str) -> NoReturn:
        """Answer with an error."""

    def set_trailing_metadata(self, metadata: tuple[tuple[str, bytes], ...]) -> None:
        """Send these behind the answer."""


KINDS: Final = {
    (How.ADD, False): pb.PropertyDiff.Kind.ADD,
    (How.ADD, True): pb.PropertyDiff.Kind.ADD_REPLACE,
    (How.DELETE, False): pb.PropertyDiff.Kind.DELETE,
    (How.DELETE, True): pb.PropertyDiff.Kind.DELETE_REPLACE,
    (How.UPDATE, False): pb.PropertyDiff.Kind.UPDATE,
    (How.UPDATE, True): pb.PropertyDiff.Kind.UPDATE_REPLACE,
}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves one engine. Its methods run in several threads at a time."""

    def __init__(self, engine_address: str | None) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine_address)) if engine_address else None
        self._clients: Clients | None = None
        self._stopped = threading.Event()
        self._previous: dict[str, str] = {}
        """By URN, the id that a resource has: what is made for that URN afterwards replaces it."""
        self._made: set[tuple[str, str]] = set()
        """URN and id of what this process made or found again."""

    def Handshake(self, request: pb.ProviderHandshakeRequest, context: Context) -> pb.ProviderHandshakeResponse:
        return pb.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: Context) -> empty_pb2.Empty:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(request.address))
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Context) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: pb.GetSchemaRequest, context: Context) -> pb.GetSchemaResponse:
        if request.version != 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"there is no schema of version {request.version}")
        return pb.GetSchemaResponse(schema=schema_text())

    def CheckConfig(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        news, secrets = unpack(request.news)
        failures = [pb.CheckFailure(property=name, reason=reason) for name, reason in check_settings(news)]
        return pb.CheckResponse(inputs=pack(news, secrets | {"secretKey"}), failures=failures)

    def DiffConfig(self, request: pb.DiffRequest, context: Context) -> pb.DiffResponse:
        """Another region is another cloud; other keys or another way to it are not."""
        olds, news = unpack(request.old_inputs or request.olds)[0], unpack(request.news)[0]
        changed = sorted(name for name in {*olds, *news} if olds.get(name) != news.get(name))
        changes = pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE
        return pb.DiffResponse(changes=changes, diffs=changed, replaces=[name for name in changed if name == "region"])

    def Configure(self, request: pb.ConfigureRequest, context: Context) -> pb.ConfigureResponse:
        values, _ = unpack(request.args)
        settings = settings_from(values, os.environ)
        if isinstance(settings, Settings):
            self._clients = Clients(settings)
        elif not is_unknown(values):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, settings)
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Invoke(self, request: pb.InvokeRequest, context: Context) -> pb.InvokeResponse:
        function = _function(request.tok, context)
        values, _ = unpack(request.args)
        names = {field.name for field in function.arguments}
        failures = [
            pb.CheckFailure(property=one, reason="there is no such argument") for one in values if one not in names
        ]
        failures += [
            pb.CheckFailure(property=field.name, reason="is required")
            for field in function.arguments
            if field.required and field.name not in values
        ]
        if failures:
            return pb.InvokeResponse(failures=failures)
        if is_unknown(values):
            return pb.InvokeResponse(**{"return": pack({one.name: UNKNOWN for one in function.results})})
        try:
            return pb.InvokeResponse(**{"return": pack(function.ask(self._call(context, "", 60), values))})
        except STOPS as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"{function.name}: {advised(error)}")

    def Check(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:
        resource = _resource(request.type or request.urn, context)
        news, secrets = unpack(request.news)
        olds, _ = unpack(request.olds)
        values, mistakes = check(resource, _name(request.urn), news, olds or None)
        failures = [pb.CheckFailure(property=name, reason=reason) for name, reason in mistakes]
        return pb.CheckResponse(inputs=pack(values, secrets | _secrets(resource)), failures=failures)

    def Diff(self, request: pb.DiffRequest, context: Context) -> pb.DiffResponse:
        resource = _resource(request.type or request.urn, context)
        self._previous[request.urn] = request.id
        old, new = unpack(request.old_inputs)[0], unpack(request.news)[0]
        live = known(unpack(request.olds)[0])
        found = differences(resource, old, new, frozenset(request.ignoreChanges), live)
        return pb.DiffResponse(
            changes=pb.DiffResponse.DIFF_SOME if found else pb.DiffResponse.DIFF_NONE,
            diffs=[one.field.name for one in found],
            replaces=[one.field.name for one in found if one.replaces],
            stables=[one.name for one in resource.fields if one.change is not Change.UPDATE]
            + [one.name for one in resource.outputs if resource.states is None or one.name != resource.states.output],
            deleteBeforeReplace=any(one.replaces for one in found) and deletes_first(resource, old, new),
            hasDetailedDiff=True,
            detailedDiff={
                one.field.name: pb.PropertyDiff(kind=KINDS[one.how, one.replaces], inputDiff=True) for one in found
            },
        )

    def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:
        resource = _resource(request.type or request.urn, context)
        inputs, secrets = unpack(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=_state(resource, inputs, _not_yet(resource, inputs), secrets))
        call = self._call(context, request.urn, request.timeout or resource.takes_s)
        previous = {self._previous[request.urn]} if request.urn in self._previous else set()
        try:
            identity, live = lifecycle.create(resource, call, request.urn, inputs, previous)
        except lifecycle.HalfMadeError as error:
            self._made.add((request.urn, error.identity))
            _abort_half_made(context, resource, request.urn, "finished", error, inputs, secrets)
        except STOPS as error:
            _abort(context, resource, request.urn, "made", error)
        self._made.add((request.urn, identity))
        return pb.CreateResponse(id=identity, properties=_state(resource, inputs, live, secrets))

    def Read(self, request: pb.ReadRequest, context: Context) -> pb.ReadResponse:
        resource = _resource(request.type or request.urn, context)
        before, secrets = unpack(request.inputs)
        call = self._call(context, request.urn, request.timeout or 120)
        try:
            live = lifecycle.read(resource, call, request.id)
        except STOPS as error:
            _abort(context, resource, request.urn, "read", error)
        if live is None:
            return pb.ReadResponse()
        inputs = lifecycle.inputs_of(resource, live, before or None)
        secrets |= unpack(request.properties)[1]
        return pb.ReadResponse(
            id=request.id,
            properties=_state(resource, inputs, live, secrets),
            inputs=pack(inputs, secrets | _secrets(resource)),
        )

    def Update(self, request: pb.UpdateRequest, context: Context) -> pb.UpdateResponse:
        resource = _resource(request.type or request.urn, context)
        old, new = unpack(request.old_inputs)[0], unpack(request.news)[0]
        secrets = unpack(request.news)[1]
        if request.preview:
            return pb.UpdateResponse(properties=_state(resource, new, unpack(request.olds)[0] | new, secrets))
        call = self._call(context, request.urn, request.timeout or resource.takes_s)
        for ignored in request.ignoreChanges:
            new = {**new, ignored: old[ignored]} if ignored in old else new
        try:
            live = lifecycle.update(resource, call, request.id, old, new)
        except lifecycle.HalfMadeError as error:
            _abort_half_made(context, resource, request.urn, "changed", error, new, secrets)
        except STOPS as error:
            _abort(context, resource, request.urn, "changed", error)
        return pb.UpdateResponse(properties=_state(resource, new, live, secrets))

    def Delete(self, request: pb.DeleteRequest, context: Context) -> empty_pb2.Empty:
        resource = _resource(request.type or request.urn, context)
        call = self._call(context, request.urn, request.timeout or resource.takes_s)
        if (request.urn, request.id) in self._made:
            call.say(
                "kept: it was asked to be replaced without a change of it; set deleteBeforeReplace to have a new one"
            )
            return empty_pb2.Empty()
        try:
            lifecycle.delete(resource, call, request.id, unpack(request.old_inputs)[0])
        except STOPS as error:
            _abort(context, resource, request.urn, "removed", error)
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """Let operations that wait end; what they began is found again by its token."""
        self._stopped.set()

    def _call(self, context: Context, urn: str, seconds: float) -> Call:
        if self._clients is None:
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "the provider is not configured: its keys are not known yet"
            )
        clients = self._clients
        return Call(clients, clients.settings.region, self._stopped, self._say(urn), time.monotonic() + seconds)

    def _say(self, urn: str) -> Callable[[str], None]:
        def say(text: str) -> None:
            if self._engine is None:
                return
            line = engine_pb2.LogRequest(severity=engine_pb2.LogSeverity.INFO, message=text, urn=urn, ephemeral=True)
            try:
                self._engine.Log(line, timeout=5)
            except grpc.RpcError as error:  # the engine is gone or busy: what is done matters, not that it is told
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise

        return say


def _resource(token: str, context: Context) -> Resource:
    token = token.split("::")[2].rpartition("$")[2] if "::" in token else token
    if token not in RESOURCES:
        context.abort(grpc.StatusCode.NOT_FOUND, f"this provider has no resource {token}")
    return RESOURCES[token]


def _function(token: str, context: Context) -> Function:
    if token not in FUNCTIONS:
        context.abort(grpc.StatusCode.NOT_FOUND, f"this provider has no function {token}")
    return FUNCTIONS[token]


def _name(urn: str) -> str:
    return urn.split("::")[-1]


def _secrets(resource: Resource) -> frozenset[str]:
    return frozenset(field.name for field in resource.fields if field.secret)


def _not_yet(resource: Resource, inputs: Values) -> Values:
    """What a preview says of a resource that is not there: what the cloud will tell is unknown."""
    chosen = [field.name for field in resource.fields if field.assigned and field.name not in inputs]
    return dict.fromkeys([*chosen, *(one.name for one in resource.outputs)], UNKNOWN)


def _state(resource: Resource, inputs: Values, live: Values, secrets: frozenset[str]) -> Any:
    """The outputs: every field as it is live, or as it was asked for where the API does not tell; and the cloud's."""
    values = {field.name: _told(field.name, inputs, live) for field in resource.fields}
    values |= {one.name: live.get(one.name) for one in resource.outputs}
    return pack(values, secrets | _secrets(resource))


def _told(name: str, inputs: Values, live: Values) -> Any:
    return live[name] if live.get(name) is not None else inputs.get(name)


def _abort(context: Context, resource: Resource, urn: str, doing: str, error: Exception) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, explain(resource, _name(urn), doing, error))


def _abort_half_made(
    context: Context,
    resource: Resource,
    urn: str,
    doing: str,
    error: lifecycle.HalfMadeError,
    inputs: Values,
    secrets: frozenset[str],
) -> NoReturn:
    """Fail so that the engine keeps the resource: its id, what it is like now, and why it is not finished."""
    text = explain(resource, _name(urn), doing, error.reason)
    failed = pb.ErrorResourceInitFailed(
        id=error.identity,
        properties=_state(resource, known(inputs), error.live, secrets),
        reasons=[text],
        inputs=pack(inputs_now(resource, inputs, error.live), secrets | _secrets(resource)),
    )
    detail = AnyMessage()
    detail.Pack(failed, type_url_prefix="type.googleapis.com/")
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=text, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, text)


def inputs_now(resource: Resource, inputs: Values, live: Values) -> Values:
    """The inputs that hold of a half-made resource, so that the next run sees what is left to do."""
    return lifecycle.inputs_of(resource, live, inputs) if live else inputs
