"""Verifies ``bce-auth-v1`` signatures. Written from a description of the scheme; shares no code with the SDK."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from lanecast_lab.cloud.api.errors import ApiError, access_denied

AUTHORIZATION = re.compile(
    r"^bce-auth-v1/(?P<key>[^/]+)/(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)/(?P<lifetime_s>\d{1,9})"
    r"/(?P<headers>[^/]*)/(?P<signature>[0-9a-f]{64})$"
)
ALWAYS_SIGNED = frozenset({"host", "content-length", "content-type", "content-md5"})
"""Signed when the client names no headers, beside everything that begins with ``x-bce-``."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """Who may sign, and for which account."""

    secret: str
    account: str


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature covers: path and query as sent, header names in lower case."""

    method: str
    path: bytes
    query: bytes
    headers: tuple[tuple[str, bytes], ...]


def _encode(value: bytes) -> str:
    return quote(value, safe="-._~")


def canonical_query(query: bytes) -> str:
    """Every parameter decoded, encoded strictly, with its ``=``, and sorted."""
    pairs = []
    for part in query.split(b"&") if query else ():
        name, _, value = part.partition(b"=")
        pairs.append(f"{_encode(unquote_to_bytes(name))}={_encode(unquote_to_bytes(value))}")
    return "&".join(sorted(pairs))


def canonical_headers(headers: Iterable[tuple[str, bytes]], named: frozenset[str]) -> str:
    """The named headers; without names, those that are always signed. Empty ones are left out."""
    lines = []
    for name, value in headers:
        covered = name in named if named else name in ALWAYS_SIGNED or name.startswith("x-bce-")
        if covered and value.strip():
            lines.append(f"{_encode(name.encode())}:{_encode(value.strip())}")
    return "\n".join(sorted(lines))


def signature(secret: str, prefix: str, request: SignedRequest, named: frozenset[str]) -> str:
    """The signature that the owner of ``secret`` would send."""
    key = hmac.new(secret.encode(), prefix.encode(), hashlib.sha256).hexdigest()
    text = "\n".join(
        [
            request.method,
            request.path.decode("latin-1"),
            canonical_query(request.query),
            canonical_headers(request.headers, named),
        ]
    )
    return hmac.new(key.encode(), text.encode("latin-1"), hashlib.sha256).hexdigest()


def verify(request: SignedRequest, keys: Mapping[str, AccessKey], now: float) -> AccessKey:
    """The key that signed the request; raises what the API answers otherwise."""
    header = next((value for name, value in request.headers if name == "authorization"), None)
    if header is None:
        raise access_denied("the request is not signed: it has no Authorization header")
    found = AUTHORIZATION.match(header.decode("latin-1"))
    if not found:
        raise ApiError(400, "InvalidHTTPAuthHeader", "the Authorization header is not bce-auth-v1/KEY/TIME/SECONDS/…/…")
    key = keys.get(found["key"])
    if key is None:
        raise ApiError(403, "InvalidAccessKeyId", f"the access key {found['key']!r} does not exist")
    prefix = f"bce-auth-v1/{found['key']}/{found['time']}/{found['lifetime_s']}"
    named = frozenset(name.lower() for name in found["headers"].split(";") if name)
    if not hmac.compare_digest(signature(key.secret, prefix, request, named), found["signature"]):
        raise ApiError(400, "SignatureDoesNotMatch", "the signature is not that of this request with this key")
    try:
        signed_at = datetime.strptime(found["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ApiError(400, "InvalidHTTPAuthHeader", f"{found['time']!r} is no time") from None
    if now > signed_at + int(found["lifetime_s"]):
        raise ApiError(400, "RequestExpired", f"the request was signed at {found['time']} for {found['lifetime_s']} s")
    return key
