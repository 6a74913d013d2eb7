"""Signed, expiring tokens (RFC 7519) that say who may lease which feeds to which addresses.

The algorithm is the issuer's one, never what a token's header asks for (RFC 8725, section 3.1). Whatever is wrong with
a token, one signature is verified and the same exception is raised.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lanecast_relay.config.fields import Channel, Endpoint, Name, read_endpoint
from lanecast_relay.config.leases import Algorithm, Issuer, Subject, TokenId

LEEWAY_S = 5
"""How far the clocks of an issuer and a relay may differ for ``nbf`` and ``iat``; ``exp`` has no leeway."""

LONGEST_TOKEN_BYTES = 8192

REQUIRED_CLAIMS = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")

Scope = Literal["lease", "admin"]


class TokenRefused(Exception):
    """The token is not taken. The reason is for the relay's own log, not for who sent it."""


class FeedLimit(BaseModel):
    """What a lease of a feed may carry at most."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    datagrams_per_second: Annotated[int, Field(gt=0)] | None = None
    bits_per_second: Annotated[int, Field(gt=0)] | None = None


class Claims(BaseModel):
    """What a token says, beyond what the library checks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iss: Name
    sub: Subject
    aud: str
    exp: int
    """Seconds since 1970."""
    nbf: int
    iat: int
    jti: TokenId
    scope: frozenset[Scope] = Field(min_length=1)
    feeds: dict[Name, tuple[Channel, ...] | Literal["*"]] = Field(default_factory=dict)
    """By feed: the channels, or all of them."""
    to: tuple[str, ...] = ()
    """Networks (``10.8.2.0/24``) and exact addresses (``10.8.2.10:20001``) that may be sent to."""
    leases: Annotated[int, Field(ge=0, le=65_536)] = 1
    """How many at a time."""
    limits: dict[Name, FeedLimit] = Field(default_factory=dict)

    @field_validator("to")
    @classmethod
    def _are_addresses(cls, to: tuple[str, ...]) -> tuple[str, ...]:
        for text in to:
            _destination(text)
        return to

    @property
    def destinations(self) -> tuple[IPv4Network | Endpoint, ...]:
        """``to``, read."""
        return tuple(_destination(text) for text in self.to)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a token says, and by which key it was found to be right: both may be taken back before they are used."""

    claims: Claims
    key: str
    """The issuer's public key in PEM."""


def _destination(text: str) -> IPv4Network | Endpoint:
    if ":" in text:
        return read_endpoint(text)
    if not re.fullmatch(r"[0-9.]+/[0-9]{1,2}", text):
        raise ValueError(f"expected a network such as 10.8.2.0/24 or an address such as 10.8.2.10:20001, found {text}")
    return IPv4Network(text)


def audience(relay: str) -> str:
    """What ``aud`` has to be for a token that the relay of that name takes."""
    return f"lanecast-relay/{relay}"


class Verifier:
    """Takes tokens of the file's issuers for one relay."""

    def __init__(
        self, relay: str, issuers: Mapping[str, Issuer], revoked: tuple[str, ...], lifetime: timedelta
    ) -> None:
        self._audience = audience(relay)
        self._issuers = dict(issuers)
        self._revoked = frozenset(revoked)
        self._lifetime_s = lifetime.total_seconds()
        self._decoy = _Decoy()

    def verify(self, token: str) -> Admitted:
        """Return what a token says, or raise :class:`TokenRefused`; in both cases after verifying one signature."""
        try:
            header = jwt.get_unverified_header(token) if len(token) <= LONGEST_TOKEN_BYTES else {}
            name, algorithm = header.get("kid"), header.get("alg")
            issuer = self._issuers.get(name) if isinstance(name, str) else None
        except (jwt.PyJWTError, RecursionError):
            issuer = None
        if issuer is None or algorithm != issuer.algorithm.value:
            self._decoy.verify()
            raise TokenRefused("no token of an issuer in the file")
        return Admitted(self._checked(token, str(name), issuer), issuer.public_key)

    def _checked(self, token: str, name: str, issuer: Issuer) -> Claims:
        try:
            decoded: dict[str, Any] = jwt.decode(
                token,
                issuer.public_key,
                algorithms=[issuer.algorithm.value],
                audience=self._audience,
                issuer=name,
                options={"require": list(REQUIRED_CLAIMS), "strict_aud": True},
                leeway=LEEWAY_S,
            )
            claims = Claims.model_validate(decoded)
        except jwt.PyJWTError as error:
            raise TokenRefused(type(error).__name__) from None
        except ValidationError:
            raise TokenRefused("claims") from None
        # The library's leeway is for clocks that run ahead, not for tokens that ended.
        if claims.exp <= time.time():
            raise TokenRefused("ExpiredSignatureError")
        if claims.exp - min(claims.nbf, claims.iat) > self._lifetime_s:
            raise TokenRefused("lives longer than token-lifetime allows")
        if claims.jti in self._revoked:
            raise TokenRefused("revoked")
        return claims


class _Decoy:
    """A signature to verify where a token has none worth it."""

    def __init__(self) -> None:
        private, public = new_key(Algorithm.EDDSA)
        self._public = public
        self._token = jwt.encode({"jti": "decoy"}, private, algorithm=Algorithm.EDDSA.value)

    def verify(self) -> None:
        jwt.decode(self._token, self._public, algorithms=[Algorithm.EDDSA.value])


def new_key(algorithm: Algorithm) -> tuple[str, str]:
    """Return a new private and public key in PEM."""
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm is Algorithm.EDDSA
        else ec.generate_private_key(ec.SECP256R1())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def issue(claims: Claims, private_key: str) -> str:
    """Sign ``claims``. Raises ``ValueError`` for a key that is no Ed25519 or P-256 key in PEM."""
    key = load_pem_private_key(private_key.encode(), password=None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = Algorithm.EDDSA
    elif isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm = Algorithm.ES256
    else:
        raise ValueError("expected a private key of Ed25519 or P-256")
    payload = claims.model_dump(mode="json", exclude_none=True)
    return jwt.encode(payload, key, algorithm=algorithm.value, headers={"kid": claims.iss})
