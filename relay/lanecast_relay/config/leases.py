"""The sections ``api`` and ``audit`` of the relay's file: who may lease which feeds, and where that is recorded."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from lanecast_relay.config.fields import EndpointText, Name, Strict
from lanecast_relay.config.quantity import DurationNs, nanoseconds

DEFAULT_PERIOD_NS = 30 * 10**9
"""How long a lease lives after it was given or renewed."""

SHORTEST_PERIOD_NS = 10**9
"""Leases are looked at each second; a shorter period could not be kept."""

LONGEST_PERIOD_NS = 3600 * 10**9

DEFAULT_TOKEN_LIFETIME_NS = 24 * 3600 * 10**9
"""The longest that a token may live; what lives longer is refused whatever it says."""

DEFAULT_LEASES = 256

CODE_HEADER = "lanecast-code"
"""The header of a request that holds the one-time code."""

Subject = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._-]{0,63}$")]
"""Who holds a token. Without a colon, so that a lease's name can be taken apart."""

TokenId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]
FilePath = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
"""A file; ``$CREDENTIALS_DIRECTORY/`` in front stands for the service manager's (systemd.exec(5), LoadCredential)."""


class Algorithm(StrEnum):
    """How tokens are signed (RFC 7518 section 3.4, RFC 8037). Asymmetric only: the relay holds no signing secret."""

    EDDSA = "EdDSA"
    ES256 = "ES256"


def _public_key(text: str) -> str:
    """Refuse anything but a public key in PEM."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if "PRIVATE KEY" in text:
        raise ValueError("this is a private key: it belongs to who issues tokens; put in the public one")
    try:
        load_pem_public_key(text.encode())
    except ValueError:
        raise ValueError("expected a public key in PEM, such as `lanecast-relay token keygen` writes") from None
    return text


class Issuer(Strict):
    """Whose tokens are taken: the key, and the one algorithm that it is used with."""

    algorithm: Algorithm
    public_key: Annotated[str, AfterValidator(_public_key)]

    @model_validator(mode="after")
    def _key_fits_the_algorithm(self) -> Issuer:
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(self.public_key.encode())
        fits = (
            isinstance(key, ed25519.Ed25519PublicKey)
            if self.algorithm is Algorithm.EDDSA
            else isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        )
        if not fits:
            wanted = "Ed25519" if self.algorithm is Algorithm.EDDSA else "P-256"
            raise ValueError(f"public-key: {self.algorithm.value} takes a key of {wanted}")
        return self


class Secret(Strict):
    """Where a secret is found; never the secret itself."""

    environment: Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = None
    file: FilePath | None = None
    """Readable by its owner only."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Secret:
        if (self.environment is None) == (self.file is None):
            raise ValueError("expected exactly one of environment and file; the secret itself is never in this file")
        return self


class Api(Strict):
    """Leases of feeds over HTTPS, for who holds a signed token."""

    listen: EndpointText
    certificate: FilePath
    """In PEM, with the chain behind it."""
    key: FilePath
    """The certificate's private key in PEM, readable by its owner only."""
    issuers: dict[Name, Issuer] = Field(min_length=1)
    """By the name that stands in a token as ``iss`` and ``kid``."""
    period_ns: DurationNs = nanoseconds(DEFAULT_PERIOD_NS)
    token_lifetime_ns: DurationNs = nanoseconds(DEFAULT_TOKEN_LIFETIME_NS)
    leases: Annotated[int, Field(ge=1, le=65_536)] = DEFAULT_LEASES
    """Of all subjects together."""
    one_time_codes: dict[Subject, Secret] = Field(default_factory=dict)
    """Subjects that need a time-based one-time code (RFC 6238) beside their token, and where its secret is."""
    used_codes: FilePath | None = None
    """Where used codes are remembered, so that none is used again after a restart."""
    revoked: tuple[TokenId, ...] = ()
    """Tokens (``jti``) that are no longer taken."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> Api:
        if not SHORTEST_PERIOD_NS <= self.period_ns <= LONGEST_PERIOD_NS:
            raise ValueError("period: expected from 1s to 1h")
        if self.one_time_codes and self.used_codes is None:
            raise ValueError("used-codes: name a file where used one-time codes are remembered")
        return self


class Audit(Strict):
    """Where it is recorded who received what and when."""

    log: FilePath
    """JSON lines, appended to; other programs may rename it and then send SIGHUP."""
