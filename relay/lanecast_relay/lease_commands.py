"""Leasing a feed from the command line, on the host that receives it."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from lanecast_relay.config.leases import CODE_HEADER

EXIT_WRONG = 1
EXIT_REFUSED = 2
ANSWER_WITHIN_S = 10.0
RENEW_AT = 1 / 3
"""Renewed after this share of what is left, so that a renewal may fail."""

SHORTEST_WAIT_S = 0.1
"""Between two renewals that fail, in seconds: little is left at the end."""

SHOWN_BYTES = 200
"""How much is shown of an answer that is none of a relay's."""

lease_commands = typer.Typer(name="lease", help="Lease feeds of a relay.", no_args_is_help=True)

Url = Annotated[str, typer.Argument(help="The API, such as https://relay-1:8443.")]
TokenFile = Annotated[Path, typer.Option("--token", help="A file with the token.", envvar="LANECAST_TOKEN")]
CaFile = Annotated[Path | None, typer.Option(help="Certificates to trust instead of the system's.")]
Code = Annotated[str, typer.Option(help="A one-time code, where the token's subject needs one.")]
LeaseId = Annotated[str, typer.Argument(help="The lease.")]


NOT_NOW = frozenset({429, 503})
"""Too Many Requests (RFC 6585, section 4) and Service Unavailable (RFC 9110, section 15.6.4): ask again later."""


class Answered(Exception):
    """The relay says no, or does not answer. ``again``: it may say something else later."""

    def __init__(self, code: int, text: str, again: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.again = again


@dataclass(frozen=True, slots=True)
class Client:
    """Asks the API of one relay; certificates and names are verified."""

    url: str
    token_file: Path
    cafile: Path | None

    def ask(self, method: str, path: str, body: Any = None, code: str = "") -> Any:
        """The answer's JSON, or None; raise :class:`Answered`."""
        if not self.url.startswith("https://"):
            raise Answered(EXIT_WRONG, f"{self.url}: expected https://")
        try:
            headers = {"authorization": f"Bearer {self.token_file.read_text().strip()}"}
            context = ssl.create_default_context(cafile=None if self.cafile is None else str(self.cafile))
        except OSError as error:
            raise Answered(EXIT_REFUSED, f"{error.filename or self.cafile}: {error.strerror}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        headers |= {CODE_HEADER: code} if code else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.rstrip("/") + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S, context=context) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            again = error.code in NOT_NOW
            raise Answered(EXIT_WRONG, f"{self.url}: {error.code}: {_said(error)}", again) from None
        except (OSError, http.client.HTTPException) as error:
            raise Answered(EXIT_REFUSED, f"{self.url}: {getattr(error, 'reason', error)}", again=True) from None
        return json.loads(text) if text else None

    def renew(self, lease_id: str, until_s: float) -> Any:
        """The lease renewed; None when the relay could not now, and the lease still lives until ``until_s``."""
        try:
            return self.ask("POST", f"/v1/leases/{lease_id}/renew")
        except Answered as answered:
            if not answered.again or time.monotonic() >= until_s:
                raise
            print(answered, file=sys.stderr)
            return None


def _said(error: urllib.error.HTTPError) -> str:
    """What stands in the answer, as far as it comes; who answers may be another than a relay."""
    try:
        body = error.read()
        answer = json.loads(body)
    except (OSError, http.client.HTTPException):
        return str(error.reason)
    except (ValueError, RecursionError):
        answer = None
    match answer:
        case {"error": str(said), "mistakes": [*mistakes]}:
            return "\n".join([said, *map(str, mistakes)])
        case {"error": str(said)}:
            return said
        case _:
            return body[:SHOWN_BYTES].decode(errors="replace")


def _fail(answered: Answered) -> NoReturn:
    print(answered, file=sys.stderr)
    raise typer.Exit(answered.code)


@lease_commands.command()
def hold(
    url: Url,
    token: TokenFile,
    feed: Annotated[str, typer.Option(help="The feed.")],
    to: Annotated[list[str], typer.Option(help="CHANNEL=ADDRESS:PORT; several times.")],
    mold: Annotated[bool, typer.Option(help="Packed into MoldUDP64, instead of the exchange's datagrams.")] = False,
    code: Code = "",
    cafile: CaFile = None,
) -> None:
    """Lease a feed, renew the lease until Ctrl-C or SIGTERM, then end it."""
    channels = {channel: address for channel, _, address in (text.partition("=") for text in to)}
    client = Client(url, token, cafile)
    signals = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        wanted = {"feed": feed, "channels": channels, "delivery": "mold" if mold else "native"}
        lease = client.ask("POST", "/v1/leases", wanted, code)
        print(json.dumps(lease), flush=True)
        until_s = time.monotonic() + lease["seconds-left"]
        while signal.sigtimedwait(signals, max(SHORTEST_WAIT_S, (until_s - time.monotonic()) * RENEW_AT)) is None:
            fresh = client.renew(lease["id"], until_s)
            until_s = until_s if fresh is None else time.monotonic() + fresh["seconds-left"]
        client.ask("DELETE", f"/v1/leases/{lease['id']}")
    except Answered as answered:
        _fail(answered)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ask(client: Client, method: str, path: str, body: Any = None, code: str = "") -> Any:
    try:
        return client.ask(method, path, body, code)
    except Answered as answered:
        _fail(answered)


@lease_commands.command("list")
def list_leases(url: Url, token: TokenFile, cafile: CaFile = None) -> None:
    """Print the leases of the token's subject, one JSON document a line."""
    for lease in _ask(Client(url, token, cafile), "GET", "/v1/leases")["leases"]:
        print(json.dumps(lease))


@lease_commands.command()
def end(url: Url, lease: LeaseId, token: TokenFile, cafile: CaFile = None) -> None:
    """End a lease at once."""
    _ask(Client(url, token, cafile), "DELETE", f"/v1/leases/{lease}")


@lease_commands.command("reload")
def reload_relay(url: Url, token: TokenFile, code: Code = "", cafile: CaFile = None) -> None:
    """Make the relay read its file anew; for administrators."""
    print(json.dumps(_ask(Client(url, token, cafile), "POST", "/v1/reload", {}, code)))
