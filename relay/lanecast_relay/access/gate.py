"""Who comes in: token, one-time code and patience, with one answer for whatever is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from lanecast_relay.access.codes import OneTimeCodes, UsedCodes
from lanecast_relay.access.secrets import SecretProblem, located, read_secret
from lanecast_relay.access.throttle import Throttle
from lanecast_relay.access.tokens import Claims, TokenRefused, Verifier
from lanecast_relay.config.leases import Api


class NotAdmitted(Exception):
    """Whatever was wrong. The reason is for the relay's own log."""


class TooManyFailures(Exception):
    """The source has to wait; nothing of what it sent was looked at."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"wait {wait_s:.0f} s")
        self.wait_s = wait_s


@dataclass(slots=True)
class Gate:
    """What a file says about who comes in. The throttle outlives a reload."""

    verifier: Verifier
    codes: OneTimeCodes
    throttle: Throttle

    @classmethod
    def of(
        cls, relay: str, api: Api, throttle: Throttle, environment: Mapping[str, str] = os.environ
    ) -> tuple[Gate | None, list[str]]:
        """The gate, or everything that is wrong with its secrets."""
        secrets, mistakes = {}, []
        for subject, secret in api.one_time_codes.items():
            try:
                secrets[subject] = read_secret(secret, environment)
            except SecretProblem as problem:
                mistakes.append(f"api.one-time-codes.{subject}: {problem}")
        try:
            used = None if api.used_codes is None else UsedCodes(located(api.used_codes, environment))
            codes = OneTimeCodes(secrets, used)
        except (OSError, ValueError, SecretProblem) as error:
            mistakes.append(f"api.used-codes: {error}" if isinstance(error, OSError) else str(error))
        if mistakes:
            return None, mistakes
        lifetime = timedelta(microseconds=api.token_lifetime_ns / 1000)
        return cls(Verifier(relay, api.issuers, api.revoked, lifetime), codes, throttle), []

    def admit(self, source: str, token: str, code: str, with_code: bool) -> Claims:
        """What the token says. ``with_code``: where the subject has one-time codes, this takes one.

        Raises :class:`NotAdmitted`, :class:`TooManyFailures`, and ``OSError`` when a used code cannot be remembered.
        """
        now_s = time.monotonic()
        wait_s = self.throttle.wait_s(source, now_s)
        if wait_s > 0:
            raise TooManyFailures(wait_s)
        claims, reason = None, ""
        try:
            claims = self.verifier.verify(token)
        except TokenRefused as refused:
            reason = str(refused)
        # Computed for everybody, so that the time that an answer takes does not tell a right token from a wrong one.
        step = self.codes.step(None if claims is None else claims.sub, code, int(time.time()))
        if claims is None:
            self.throttle.failed(source, now_s)
            raise NotAdmitted(reason)
        if not (with_code and self.codes.needed(claims.sub)):
            return claims
        subject = f"code of {claims.sub}"
        if step is None or self.throttle.wait_s(subject, now_s) > 0:
            self.throttle.failed(source, now_s)
            # Guessing from many addresses is slowed as well (RFC 4226, section 7.3).
            self.throttle.failed(subject, now_s)
            raise NotAdmitted("one-time code")
        self.codes.use(claims.sub, step)
        return claims
