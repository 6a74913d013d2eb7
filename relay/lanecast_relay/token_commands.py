"""Commands for who issues tokens and secrets. They run anywhere; keys stay where they are made."""

from __future__ import annotations

import json
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import jwt
import pyotp
import typer
from pydantic import ValidationError

from lanecast_relay.access.codes import enrolment_uri
from lanecast_relay.access.secrets import SecretProblem, private_file, write_private
from lanecast_relay.access.tokens import Claims, FeedLimit, Scope, audience, issue, new_key
from lanecast_relay.config.leases import Algorithm
from lanecast_relay.config.quantity import BANDWIDTH, DURATION, PACKET_RATE

EXIT_WRONG = 1
EXIT_REFUSED = 2
CLOCK_SKEW_S = 5
"""How much earlier than its issuing a token begins, for relays whose clock is behind."""

token_commands = typer.Typer(name="token", help="Keys and tokens for leases.", no_args_is_help=True)
otp_commands = typer.Typer(name="otp", help="Secrets of one-time codes.", no_args_is_help=True)


@otp_commands.callback()
def _several_commands() -> None:
    """Secrets of one-time codes."""


def _fail(code: int, text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(code)


@token_commands.command()
def keygen(
    private_key: Annotated[Path, typer.Argument(help="Where the private key goes; a new file, mode 600.")],
    algorithm: Annotated[Algorithm, typer.Option(help="How tokens are signed.")] = Algorithm.EDDSA,
) -> None:
    """Make a key pair: the private key into a file that stays with you, the public one printed for the relay's file."""
    private, public = new_key(algorithm)
    try:
        write_private(private_key, private)
    except OSError as error:
        _fail(EXIT_REFUSED, f"{private_key}: {error.strerror}")
    print(public, end="")


@token_commands.command("issue")
def issue_token(
    private_key: Annotated[Path, typer.Argument(help="The private key.")],
    issuer: Annotated[str, typer.Option(help="The issuer's name in the relay's file.")],
    relay: Annotated[str, typer.Option(help="The relay's name.")],
    subject: Annotated[str, typer.Option(help="Who it is for.")],
    feed: Annotated[list[str] | None, typer.Option(help="FEED, or FEED:CHANNEL,CHANNEL; several times.")] = None,
    to: Annotated[list[str] | None, typer.Option(help="10.8.2.0/24 or 10.8.2.10:20001; several times.")] = None,
    lifetime: Annotated[str, typer.Option(help="How long it is good for, such as 8h.")] = "8h",
    leases: Annotated[int, typer.Option(help="How many leases at a time.", min=0)] = 1,
    limit: Annotated[list[str] | None, typer.Option(help="FEED=5000pps,20M; several times.")] = None,
    admin: Annotated[bool, typer.Option(help="It may reload the relay, too.")] = False,
) -> None:
    """Print a signed token."""
    now, scopes = int(time.time()), set[Scope]()
    if feed:
        scopes.add("lease")
    if admin:
        scopes.add("admin")
    try:
        claims = Claims(
            iss=issuer,
            sub=subject,
            aud=audience(relay),
            exp=now + DURATION.read(lifetime) // 10**9,
            nbf=now - CLOCK_SKEW_S,
            iat=now,
            jti=secrets.token_urlsafe(16),
            scope=frozenset(scopes),
            feeds=dict(_feed(text) for text in feed or []),
            to=tuple(to or []),
            leases=leases,
            limits=dict(_limit(text) for text in limit or []),
        )
        print(issue(claims, private_file(private_key).read_text()))
    except ValidationError as error:
        _fail(EXIT_WRONG, "\n".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()))
    except ValueError as error:
        _fail(EXIT_WRONG, str(error))
    except SecretProblem as problem:
        _fail(EXIT_REFUSED, str(problem))


def _feed(text: str) -> tuple[str, Any]:
    name, colon, channels = text.partition(":")
    return name, tuple(channels.split(",")) if colon else "*"


def _limit(text: str) -> tuple[str, FeedLimit]:
    feed, equals, terms = text.partition("=")
    limits: dict[str, int] = {}
    for term in terms.split(",") if equals else []:
        rate = term.endswith("pps")
        key = "datagrams_per_second" if rate else "bits_per_second"
        limits[key] = (PACKET_RATE if rate else BANDWIDTH).read(term)
    if not limits:
        raise ValueError(f"--limit {text}: expected FEED=5000pps, FEED=20M or FEED=5000pps,20M")
    return feed, FeedLimit(**limits)


@token_commands.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A file with a token; - reads standard input.", allow_dash=True)],
) -> None:
    """Print what a token says. Whether it is signed by whom it says is the relay's to check."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        parts = jwt.decode_complete(text.strip(), options={"verify_signature": False})
    except OSError as error:
        _fail(EXIT_REFUSED, f"{file}: {error.strerror}")
    except (jwt.PyJWTError, UnicodeDecodeError) as error:
        _fail(EXIT_WRONG, f"{file}: no token: {error}")
    print(json.dumps({"header": parts["header"], "claims": parts["payload"]}, indent=2))


@otp_commands.command()
def enroll(
    subject: Annotated[str, typer.Argument(help="Who it is for, as in tokens.")],
    secret: Annotated[Path, typer.Argument(help="Where the secret goes; a new file, mode 600.")],
    relay: Annotated[str, typer.Option(help="What an authenticator application calls it.")],
) -> None:
    """Make a secret of one-time codes: into a file for the relay, and once as a link for the subject's application."""
    text = pyotp.random_base32()
    try:
        write_private(secret, text + "\n")
    except OSError as error:
        _fail(EXIT_REFUSED, f"{secret}: {error.strerror}")
    print(enrolment_uri(text, subject, relay))
