"""Time-based one-time codes (RFC 6238) as the hard token, each taken once."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path

import pyotp

from lanecast_relay.locks import held

STEP_S = 30
"""RFC 6238, section 5.2: the recommended time step."""

DRIFT_STEPS = 1
"""RFC 6238, section 5.2: at most one time step for delay and drift; here to either side."""

DIGITS = 6


class UsedCodes:
    """The last time step that each subject used, kept in a file so that a restart forgets none."""

    def __init__(self, path: Path) -> None:
        """Raises ``OSError`` when the file cannot be read or written, ``ValueError`` when it is not ours."""
        self.path = path
        self._steps: dict[str, int] = {}
        self._saving = threading.Lock()
        if path.exists():
            self._steps = _read(path)
        self.save()

    def last(self, subject: str) -> int:
        """The subject's last used step; before all steps when there is none."""
        return self._steps.get(subject, -1)

    def use(self, subject: str, step: int) -> None:
        """The step is used from now on; :meth:`save` before anything is given for it."""
        self._steps = self._steps | {subject: max(step, self.last(subject))}

    def use_all_of(self, other: UsedCodes) -> bool:
        """What was used there is used here. Returns whether that is more than was."""
        before = self._steps
        for subject, step in other._steps.items():
            self.use(subject, step)
        return self._steps != before

    def save(self) -> None:
        """Have on the disk what was used until now, so that no crash makes a code good again. Raises ``OSError``.

        Where a disk hangs, only the first one waits for it: the threads of those who ask are few.
        """
        with held(self._saving, f"the disk of {self.path} does not answer"):
            self._write(self._steps)

    def _write(self, steps: Mapping[str, int]) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
            json.dump(steps, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read(path: Path) -> dict[str, int]:
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        steps = None
    if not isinstance(steps, dict) or not all(isinstance(step, int) for step in steps.values()):
        raise ValueError(f"{path}: not a file of used codes; move it away")
    return steps


class OneTimeCodes:
    """Codes of the subjects that need them."""

    def __init__(self, secrets: Mapping[str, str], used: UsedCodes | None) -> None:
        """Raises ``ValueError`` naming the subject whose secret is not base32 of at least 128 bits (RFC 4226, R6)."""
        self._generators: dict[str, pyotp.TOTP] = {}
        for subject, secret in secrets.items():
            generator = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S)
            try:
                length = len(generator.byte_secret())
            except ValueError:
                raise ValueError(f"the one-time-code secret of {subject} is not base32") from None
            if length * 8 < 128:
                raise ValueError(f"the one-time-code secret of {subject} is shorter than 128 bits")
            self._generators[subject] = generator
        self.used = used
        self._decoy = pyotp.TOTP(pyotp.random_base32(), digits=DIGITS, interval=STEP_S)

    def step(self, subject: str | None, code: str, now_s: int) -> int | None:
        """The time step that ``code`` is good for, and was not used yet; None when it is good for none.

        The work is the same for everybody: all steps of the window are computed and compared.
        """
        known = subject is not None and subject in self._generators
        generator = self._generators[subject] if known and subject is not None else self._decoy
        now = now_s // STEP_S
        # ``generate_otp`` takes the counter; comparing bytes admits text that is not ASCII.
        good = [
            step
            for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1)
            if compare_digest(generator.generate_otp(step).encode(), code.encode())
        ]
        if not known or not good or subject is None or self.used is None:
            return None
        # RFC 6238, section 5.2: a code is good once.
        return good[-1] if good[-1] > self.used.last(subject) else None

    def needed(self, subject: str) -> bool:
        """Whether the subject needs a code."""
        return subject in self._generators

    def use(self, subject: str, step: int) -> None:
        """The code of ``step`` is used up; see :meth:`UsedCodes.save`."""
        if self.used is not None:
            self.used.use(subject, step)


def enrolment_uri(secret: str, subject: str, relay: str) -> str:
    """What an authenticator application reads, as text or as a QR code."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S).provisioning_uri(name=subject, issuer_name=relay)
