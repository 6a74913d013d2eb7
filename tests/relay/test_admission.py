"""One-time codes and who has to wait, without a network: RFC 6238's own example, and bounds that hold at every moment."""

from __future__ import annotations

import base64
import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyotp
import pytest
from leasing import DEADLINE_S, private_file

from lanecast_relay.access.codes import DRIFT_STEPS, STEP_S, OneTimeCodes, UsedCodes
from lanecast_relay.access.gate import Gate, NotAdmitted, TooManyFailures
from lanecast_relay.access.throttle import FAILURES, WRONG_CODES, Throttle
from lanecast_relay.access.tokens import Claims, audience, issue, new_key
from lanecast_relay.config.leases import Algorithm, Api

SECRET = base64.b32encode(b"12345678901234567890").decode()
"""RFC 6238, appendix B: the secret of its examples with SHA-1."""

CODE, CODE_STEP = "287082", 1
"""RFC 6238, appendix B: at 59 s the code of eight digits is 94287082; of six they are its last (RFC 4226, section 5.3)."""


def codes(directory: Path) -> OneTimeCodes:
    return OneTimeCodes({"alice": SECRET}, UsedCodes(directory / "used.json"))


@pytest.mark.parametrize("now_s", [30, 59, 60, 89])
def test_a_code_is_good_one_step_early_and_one_step_late(tmp_path: Path, now_s: int) -> None:
    assert (STEP_S, DRIFT_STEPS) == (30, 1)
    assert codes(tmp_path).step("alice", CODE, now_s) == CODE_STEP


@pytest.mark.parametrize("now_s", [90, 91, 119, 120])
def test_a_code_is_not_good_two_steps_late(tmp_path: Path, now_s: int) -> None:
    assert codes(tmp_path).step("alice", CODE, now_s) is None


def test_a_code_is_not_good_two_steps_early(tmp_path: Path) -> None:
    """RFC 6238, appendix B: at 1111111109 s it is 07081804, in a step that begins at 1111111080 s."""
    begins_s = 1111111080
    assert codes(tmp_path).step("alice", "081804", begins_s - STEP_S) == begins_s // STEP_S
    assert codes(tmp_path).step("alice", "081804", begins_s - STEP_S - 1) is None


def test_a_used_code_takes_the_ones_before_it_with_it_also_after_a_restart(tmp_path: Path) -> None:
    before = codes(tmp_path)
    assert before.used is not None
    before.use("alice", CODE_STEP)
    assert before.step("alice", CODE, 59) is None
    before.used.save()
    assert codes(tmp_path).step("alice", CODE, 59) is None


def test_failing_on_does_not_lengthen_the_wait() -> None:
    throttle = Throttle()
    for _ in range(1000):
        throttle.failed("guesser", 0.0)
    assert throttle.wait_s("guesser", 0.0) == 6.0
    assert throttle.wait_s("guesser", 6.0) == 0.0
    assert throttle.wait_s("other", 0.0) == 0.0


class Door:
    """A gate with one subject that needs codes, and its token."""

    def __init__(self, directory: Path) -> None:
        private, public = new_key(Algorithm.EDDSA)
        private_file(directory / "alice.otp", SECRET)
        self._directory, self._public = directory, public
        gate, mistakes = Gate.of("edge", self.api("used.json"))
        assert mistakes == []
        assert gate is not None
        self.gate = gate
        now_s = self.now_s()
        claims = Claims.model_validate({
            "iss": "desk", "sub": "alice", "aud": audience("edge"), "iat": now_s, "nbf": now_s, "exp": now_s + 600,
            "jti": "0123456789", "scope": ["lease"],
        })  # fmt: skip
        self.token = issue(claims, private)

    def api(self, used: str) -> Api:
        return Api.model_validate({
            "listen": "127.0.0.1:8443", "certificate": "c", "key": "k", "used-codes": str(self._directory / used),
            "one-time-codes": {"alice": {"file": str(self._directory / "alice.otp")}},
            "issuers": {"desk": {"algorithm": "EdDSA", "public-key": self._public}},
        })  # fmt: skip

    @staticmethod
    def now_s() -> int:
        return int(time.time())

    def reload(self, used: str) -> None:
        after, mistakes = Gate.of("edge", self.api(used), self.gate)
        assert (mistakes, after is None) == ([], False)
        assert after is not None
        after.takes_over_from(self.gate)
        self.gate = after

    def right(self) -> str:
        """A code that is good now and was not used."""
        generator = pyotp.TOTP(SECRET)
        now_s = self.now_s()
        return next(
            code
            for at in (0, 1)
            if self.gate.codes.step("alice", code := generator.at(now_s, counter_offset=at), now_s) is not None
        )

    def guess(self, source: str, count: int) -> None:
        wrong = "000000" if self.gate.codes.step("alice", "000000", self.now_s()) is None else "000001"
        for _ in range(count):
            with pytest.raises(NotAdmitted):
                self.gate.admit(source, self.token, wrong, with_code=True)

    def admits(self, source: str) -> bool:
        try:
            self.gate.admit(source, self.token, self.right(), with_code=True)
        except TooManyFailures:
            return False
        return True


def test_who_guesses_codes_from_one_address_keeps_nobody_else_out(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.guess("192.0.2.66", FAILURES)
    assert not door.admits("192.0.2.66"), "not even with a right code"
    assert door.admits("192.0.2.1")


def test_guessing_from_many_addresses_is_bounded_and_keeps_no_known_holder_out(tmp_path: Path) -> None:
    door = Door(tmp_path)
    assert door.admits("192.0.2.1")
    for at in range(WRONG_CODES // FAILURES):
        door.guess(f"198.51.100.{at}", FAILURES)
    assert not door.admits("198.51.100.200"), "an address that was never right"
    assert door.admits("192.0.2.1"), "where the holder was right before"


def test_a_code_that_is_being_used_during_a_reload_stays_used(tmp_path: Path) -> None:
    for used in ("used.json", "elsewhere.json"):
        door = Door(tmp_path)
        code = door.right()
        door.gate.admit("192.0.2.1", door.token, code, with_code=True)  # and not saved yet
        door.reload(used)
        with pytest.raises(NotAdmitted):
            door.gate.admit("192.0.2.1", door.token, code, with_code=True)


def test_what_has_to_be_saved_for_codes_that_were_used_elsewhere_is_told_once(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.gate.admit("192.0.2.1", door.token, door.right(), with_code=True)
    after, _ = Gate.of("edge", door.api("elsewhere.json"), door.gate)
    assert after is not None
    unsaved = after.takes_over_from(door.gate)
    assert unsaved is not None
    assert unsaved.path == tmp_path / "elsewhere.json"
    unsaved.save()
    assert after.takes_over_from(door.gate) is None
    assert UsedCodes(tmp_path / "elsewhere.json").last("alice") == unsaved.last("alice") > 0


def test_a_secret_that_is_no_text_is_a_mistake_that_shows_nothing_of_it(tmp_path: Path) -> None:
    door = Door(tmp_path)
    (tmp_path / "alice.otp").write_bytes(b"\xfe\xff" + SECRET.encode())
    gate, mistakes = Gate.of("edge", door.api("used.json"), door.gate)
    assert gate is None
    assert mistakes == [f"api.one-time-codes.alice: {tmp_path}/alice.otp: expected text in UTF-8"]


@pytest.mark.parametrize(
    "content",
    [b"\xfe\xff", b"[" * 100_000, b"[]", b'{"alice": "1"}', b"no JSON"],
    ids=["bytes", "deep", "list", "text", "other"],
)
def test_a_file_that_is_none_of_used_codes_is_named(tmp_path: Path, content: bytes) -> None:
    door = Door(tmp_path)
    (tmp_path / "other.json").write_bytes(content)
    gate, mistakes = Gate.of("edge", door.api("other.json"), door.gate)
    assert gate is None
    assert mistakes == [f"{tmp_path}/other.json: not a file of used codes; move it away"]
    assert (tmp_path / "other.json").read_bytes() == content


def test_only_the_first_waits_for_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used, sync = UsedCodes(tmp_path / "used.json"), os.fsync
    asked, answers = threading.Event(), threading.Event()

    def hangs(file: int) -> None:
        asked.set()
        assert answers.wait(2 * DEADLINE_S)
        sync(file)

    monkeypatch.setattr(os, "fsync", hangs)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(used.save)
        try:
            assert asked.wait(DEADLINE_S)
            error = threads.submit(used.save).exception(DEADLINE_S)
        finally:
            answers.set()
        assert isinstance(error, OSError)
        assert error.errno == errno.ETIMEDOUT
        first.result(DEADLINE_S)
    used.save()
