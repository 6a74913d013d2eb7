"""``lanecast cloud``: serve an emulated cloud that speaks the provider's API."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lanecast_lab.cloud.api.admin import SETTING
from lanecast_lab.cloud.api.application import Application, Cloud
from lanecast_lab.cloud.api.et import ensure_line
from lanecast_lab.cloud.api.faults import FaultError, Faults, FaultSettings, parse_rule
from lanecast_lab.cloud.api.quotas import DEFAULTS, Quotas
from lanecast_lab.cloud.api.regions import REGIONS, Regions
from lanecast_lab.cloud.api.signing import AccessKey
from lanecast_lab.cloud.api.store import Scope, StateError, Store, locked
from lanecast_lab.cloud.data_plane import looking
from lanecast_lab.cloud.data_plane.reconciler import Reconciler
from lanecast_lab.cloud.data_plane.snapshot import Surroundings
from lanecast_lab.cloud.data_plane.status import REGISTRY
from lanecast_lab.cloud.data_plane.worker import Worker
from lanecast_lab.cloud.server import bind, prepare, serve
from lanecast_lab.errors import LabError

app = typer.Typer(no_args_is_help=True, help="An emulated cloud that speaks the provider's API.")

COULD_NOT_RUN = 2
LONGEST_DELAY_S = 24 * 3600.0
DEFAULT_ACCOUNT = "00000000000000000000000000000001"
"""[assumed] Accounts are 32 hexadecimal digits."""

StateOption = Annotated[Path, typer.Option(help="The server's --state.", metavar="DIR")]

_messages = Console(stderr=True)


class _WrongOption(Exception):
    """An option's value means nothing."""


@dataclass(frozen=True, slots=True)
class _Listen:
    host: str
    port: int
    region: str | None


@app.callback()
def _cloud() -> None:
    """An emulated cloud that speaks the provider's API."""


@app.command("serve")
def serve_cloud(
    listen: Annotated[
        list[str],
        typer.Option(
            help="Where to answer; with a region, for that region alone. Port 0: a free one.",
            metavar="[REGION=]HOST:PORT",
        ),
    ],
    state: Annotated[Path, typer.Option(help="Where everything is kept.", metavar="DIR")],
    access_key: Annotated[
        list[str] | None,
        typer.Option(
            help="Who may sign. Without one, a key is made and kept in DIR/access-key.",
            metavar="AK:SK[:ACCOUNT]",
            envvar="LANECAST_CLOUD_ACCESS_KEYS",
        ),
    ] = None,
    region: Annotated[str, typer.Option(help="Of requests that name none.", metavar="REGION")] = "bj",
    async_delay: Annotated[
        float, typer.Option(help="Seconds that asynchronous work takes.", metavar="S", min=0, max=LONGEST_DELAY_S)
    ] = 1.0,
    quota: Annotated[list[str] | None, typer.Option(help="Another limit: vpc=1000.", metavar="NAME=NUMBER")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="throttle, error, lost-reply, lost-request or delay; then"
            " share=, method=, path=, count=, skip=, seconds=, status=.",
            metavar="KIND[,NAME=VALUE]…",
        ),
    ] = None,
    down: Annotated[
        list[str] | None, typer.Option(help="A zone, a peering or a gateway that is down.", metavar="NAME")
    ] = None,
    physical_line: Annotated[
        list[str] | None,
        typer.Option(
            help="A dedicated line that is there, established, for the first key's account.", metavar="[REGION=]ID"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="What faults are drawn from.", metavar="N")] = 1,
    data_plane: Annotated[
        bool,
        typer.Option(
            "--data-plane", help="Make VPCs, instances and what joins them as network namespaces. Needs root."
        ),
    ] = False,
    peering_delay: Annotated[
        list[str] | None,
        typer.Option(
            help="What a peering of the data plane takes one way: its id, description or interface's name.",
            metavar="NAME=TIME",
        ),
    ] = None,
) -> None:
    """Answer the API until stopped. Everything that was answered is kept in DIR.

    Exit status: 0 when stopped, 2 when it could not begin.
    """
    try:
        delays = dict(_parse_delay(text) for text in peering_delay or ())
        if data_plane:
            looking.check_machine()
        elif delays:
            raise _WrongOption("--peering-delay: is of the data plane, so it needs --data-plane")
        listens = [_parse_listen(text) for text in listen]
        quotas = Quotas(dict(_parse_quota(text) for text in quota or ()))
        keys = dict(_parse_key(text) for text in access_key or [_own_key(state)])
        settings = FaultSettings(
            seed=seed, rules=tuple(parse_rule(text) for text in fault or ()), down=tuple(down or ())
        )
        if region not in REGIONS:
            raise _WrongOption(f"--region {region}: has to be one of {', '.join(REGIONS)}")
        lines = [_parse_line(text, region) for text in physical_line or ()]
        sockets = [bind(one.host, one.port) for one in listens]
        store = Store(state)
        _remove_what_is_left(state)
    except (_WrongOption, FaultError, StateError, LabError, OSError) as error:
        _messages.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(COULD_NOT_RUN) from None
    if not (fault or down) and (kept := store.setting(SETTING)):
        settings = FaultSettings.model_validate(kept)
    account = next(iter(keys.values())).account
    with store.transaction(time.time()):
        for line_region, line in lines:
            ensure_line(store, Scope(account, line_region), line)
    by_socket = {one.getsockname(): asked.region for one, asked in zip(sockets, listens, strict=True) if asked.region}
    cloud = Cloud(store, keys, Regions(region, by_socket), quotas, Faults(settings), async_delay)
    server = prepare(Application(cloud))
    with _data_plane(cloud, state, delays) if data_plane else nullcontext():
        _announce(sockets, cloud.regions)
        serve(server, sockets)
    store.close()


@contextmanager
def _data_plane(cloud: Cloud, state: Path, delays_ns: dict[str, int]) -> Iterator[None]:
    """Packets go where the store says, as long as this lasts."""
    worker = Worker(state, lambda: Surroundings(cloud.faults.down, delays_ns))
    cloud.store.on_change = worker.wake
    worker.start()
    try:
        yield
    finally:
        worker.stop()


@app.command("status")
def status(
    state: StateOption, json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the nodes of a running data plane, and what could not be made.

    Exit status: 0, 1 when something could not be made, 2 when no data plane runs.
    """
    running = _running(state)
    if json_output:
        print(json.dumps(asdict(running), indent=2))
        raise typer.Exit(1 if running.problems else 0)
    table = Table("id", "kind", "name", "region", "addresses")
    for node in running.nodes:
        table.add_row(node.id, node.kind, node.name, node.region, " ".join(node.addresses))
    Console().print(table)
    for problem in running.problems:
        _messages.print(f"problem: {problem}", style="red", markup=False, highlight=False)
    raise typer.Exit(1 if running.problems else 0)


@app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def execute(
    node: Annotated[str, typer.Argument(help="Its id or name; `lanecast cloud status` lists them.")],
    command: Annotated[list[str], typer.Argument(help="The command, after --.", metavar="-- COMMAND")],
    state: StateOption,
) -> None:
    """Run a command in a node of the data plane; its exit status is this command's."""
    running = _running(state)
    try:
        looking.execute(looking.find_node(running, node), command)
    except (LabError, OSError) as error:
        raise _failed(error) from None


@app.command("clean")
def clean(state: StateOption) -> None:
    """Remove what a killed server's data plane has left. Nothing else is touched, and what the cloud holds is kept."""
    try:
        with locked(state):
            count = _remove_what_is_left(state)
    except (StateError, LabError, OSError) as error:
        raise _failed(error) from None
    print(f"{count} namespaces removed")


def _remove_what_is_left(state: Path) -> int:
    """Remove a killed server's data plane, also what it had found out; returns how many namespaces."""
    count = Reconciler(state, lambda: None).clean()
    (state / REGISTRY).unlink(missing_ok=True)
    return count


def _running(state: Path) -> looking.RunningDataPlane:
    try:
        return looking.read_registry(state)
    except LabError as error:
        raise _failed(error) from None


def _failed(error: Exception) -> typer.Exit:
    _messages.print(f"error: {error}", style="red", markup=False, highlight=False)
    return typer.Exit(COULD_NOT_RUN)


def _announce(sockets: list[socket.socket], regions: Regions) -> None:
    """Say on standard output where each region answers; whoever started the server reads it."""
    for one in sockets:
        host, port = one.getsockname()[:2]
        name = regions.of_socket((host, port)) or f"by Host header, otherwise {regions.default}"
        print(f"http://{host}:{port} region {name}", flush=True)


def _parse_listen(text: str) -> _Listen:
    region, equals, rest = text.rpartition("=")
    host, colon, port = rest.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise _WrongOption(f"--listen {text}: has to be [REGION=]HOST:PORT")
    if equals and region not in REGIONS:
        raise _WrongOption(f"--listen {text}: the region has to be one of {', '.join(REGIONS)}")
    return _Listen(host.strip("[]"), int(port), region or None)


def _parse_quota(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in DEFAULTS or not number.isdigit():
        raise _WrongOption(f"--quota {text}: has to be NAME=NUMBER, the name one of {', '.join(DEFAULTS)}")
    return name, int(number)


def _parse_key(text: str) -> tuple[str, AccessKey]:
    key, _, rest = text.partition(":")
    secret, _, account = rest.partition(":")
    if not key or not secret or "/" in key:  # a signature ends the key with a slash
        raise _WrongOption("--access-key: has to be AK:SK or AK:SK:ACCOUNT, the AK without slashes")
    return key, AccessKey(secret, account or DEFAULT_ACCOUNT)


def _parse_delay(text: str) -> tuple[str, int]:
    name, _, value = text.rpartition("=")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", value)
    if not name or not found:
        raise _WrongOption(f"--peering-delay {text}: has to be NAME=TIME, the time as in 20ms")
    return name, round(float(found[1]) * {"us": 1e3, "ms": 1e6, "s": 1e9}[found[2]])


def _parse_line(text: str, default: str) -> tuple[str, str]:
    region, equals, line = text.rpartition("=")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) or (equals and region not in REGIONS):
        raise _WrongOption(f"--physical-line {text}: has to be [REGION=]ID, the ID of letters, digits and ._-")
    return region or default, line


def _own_key(state: Path) -> str:
    """The key of the state directory, made at first use, readable by its owner alone."""
    path, new = state / "access-key", state / "access-key.new"
    if not path.exists():
        state.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)  # whoever wrote it was killed
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_hex(16)}:{secrets.token_hex(16)}\n")
        os.link(new, path)  # whole from the first moment on
        new.unlink()
    return path.read_text().strip()
