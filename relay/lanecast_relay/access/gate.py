"""Who comes in: token, one-time code and patience, with one answer for whatever is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from lanecast_relay.access.codes import OneTimeCodes, UsedCodes
from lanecast_relay.access.secrets import SecretProblem, located, read_secret
from lanecast_relay.access.throttle import CodeThrottle, Throttle
from lanecast_relay.access.tokens import Admitted, TokenRefused, Verifier
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
    """What a file says about who comes in. Failures and used codes outlive a reload."""

    verifier: Verifier
    codes: OneTimeCodes
    throttle: Throttle
    code_throttle: CodeThrottle

    @classmethod
    def of(
        cls, relay: str, api: Api, before: Gate | None = None, environment: Mapping[str, str] = os.environ
    ) -> tuple[Gate | None, list[str]]:
        """The gate that follows ``before``, or everything that is wrong with its secrets."""
        secrets, mistakes = {}, []
        for subject, secret in api.one_time_codes.items():
            try:
                secrets[subject] = read_secret(secret, environment)
            except SecretProblem as problem:
                mistakes.append(f"api.one-time-codes.{subject}: {problem}")
        try:
            codes = OneTimeCodes(secrets, _used_codes(api, before, environment))
        except (OSError, ValueError, SecretProblem) as error:
            mistakes.append(f"api.used-codes: {error}" if isinstance(error, OSError) else str(error))
        if mistakes:
            return None, mistakes
        lifetime = timedelta(microseconds=api.token_lifetime_ns / 1000)
        verifier = Verifier(relay, api.issuers, api.revoked, lifetime)
        throttle = Throttle() if before is None else before.throttle
        code_throttle = CodeThrottle() if before is None else before.code_throttle
        return cls(verifier, codes, throttle, code_throttle), []

    def takes_over_from(self, before: Gate) -> UsedCodes | None:
        """What was used until now is used here too. Returns what has to be saved so that no crash changes that."""
        used, earlier = self.codes.used, before.codes.used
        if used is None or earlier is None or used is earlier:
            return None
        return used if used.use_all_of(earlier) else None

    def admit(self, source: str, token: str, code: str, with_code: bool) -> tuple[Admitted, UsedCodes | None]:
        """What the token says, and what has to be saved before it is acted upon.

        ``with_code``: where the subject has one-time codes, this takes one. Raises :class:`NotAdmitted` and
        :class:`TooManyFailures`.
        """
        now_s = time.monotonic()
        wait_s = self.throttle.wait_s(source, now_s)
        if wait_s > 0:
            raise TooManyFailures(wait_s)
        admitted, reason = None, ""
        try:
            admitted = self.verifier.verify(token)
        except TokenRefused as refused:
            reason = str(refused)
        subject = None if admitted is None else admitted.claims.sub
        # Computed for everybody, so that the time that an answer takes does not tell a right token from a wrong one.
        step = self.codes.step(subject, code, int(time.time()))
        if admitted is None or subject is None:
            self.throttle.failed(source, now_s)
            raise NotAdmitted(reason)
        if not (with_code and self.codes.needed(subject)):
            return admitted, None
        wait_s = self.code_throttle.wait_s(subject, source, now_s)
        if wait_s > 0:
            raise TooManyFailures(wait_s)
        if step is None:
            self.throttle.failed(source, now_s)
            self.code_throttle.failed(subject, now_s)
            raise NotAdmitted("one-time code")
        self.code_throttle.was_right(subject, source)
        self.codes.use(subject, step)
        return admitted, self.codes.used


def _used_codes(api: Api, before: Gate | None, environment: Mapping[str, str]) -> UsedCodes | None:
    """Those of ``before`` where the file is the same: a code that is being used now is not in the file yet."""
    if api.used_codes is None:
        return None
    path = located(api.used_codes, environment)
    known = None if before is None else before.codes.used
    return known if known is not None and known.path == path else UsedCodes(path)
