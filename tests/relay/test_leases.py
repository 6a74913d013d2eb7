"""Leases through HTTPS, of the real relay: who gets in, what is sent, and when it stops."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pyotp
import pytest
import structlog
from leasing import (
    API_PORT,
    CLIENT,
    DEADLINE_S,
    NEEDS_ROOT,
    OTHER_CLIENT,
    RELAY,
    Leasing,
    Source,
    ip,
    make_certificate,
    own_network,
    receiver,
    wait_until,
)

from lanecast_relay.access.tokens import issue, new_key
from lanecast_relay.api import CONNECTIONS_A_SOURCE, ApiServer
from lanecast_relay.audit_trail import AuditTrail
from lanecast_relay.config.document import load_document, validate
from lanecast_relay.config.leases import Algorithm
from lanecast_relay.config.model import RelayFile
from lanecast_relay.engine import Engine
from lanecast_relay.running import RunningRelay

pytestmark = NEEDS_ROOT


@pytest.fixture
def network() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def relay(network: None, tmp_path: Path) -> Iterator[Leasing]:
    relay = Leasing(tmp_path)
    relay.start()
    yield relay
    if relay.process is not None:
        relay.stop()


def test_a_lease_delivers_until_it_is_ended(relay: Leasing) -> None:
    source, token = Source(), relay.token()
    with receiver() as client, receiver("10.8.2.20") as fixed:
        source.send(10)
        for _ in range(10):
            fixed.recv(2048)
        answer = relay.lease(token)
        assert answer.status == 201
        lease = answer.document
        wanted = source.send(100)
        assert [client.recv(2048) for _ in range(100)] == wanted
        assert [fixed.recv(2048) for _ in range(100)] == wanted
        listed = relay.call("GET", "/v1/leases", token).document["leases"]
        assert [one["id"] for one in listed] == [lease["id"]]
        assert relay.call("POST", f"/v1/leases/{lease['id']}/renew", token).status == 200
        assert relay.call("DELETE", f"/v1/leases/{lease['id']}", token).status == 204
        assert relay.call("DELETE", f"/v1/leases/{lease['id']}", token).status == 404
        wanted = source.send(20)
        assert [fixed.recv(2048) for _ in range(20)] == wanted
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(2048)
    ended = relay.closed()
    assert [(one["reason"], one["datagrams"], one["subject"]) for one in ended] == [
        ("ended by its holder", 100, "alice")
    ]
    assert set(relay.subscribers()) == {"fixed"}


def test_packed_delivery_and_limits_of_a_token(relay: Leasing) -> None:
    source = Source()
    token = relay.token(limits={"quotes": {"datagrams_per_second": 50}})
    with receiver() as client, receiver("10.8.2.20") as fixed:
        assert relay.lease(token, delivery="mold").status == 201
        assert relay.lease(token, f"{OTHER_CLIENT}:20001").status == 429, "two leases would be twice the limit"
        for _ in range(4):
            source.send(100)
            for _ in range(100):
                fixed.recv(2048)
        first = client.recv(2048)
    assert first[:10] != b"SESSION001", "packed into the relay's own session"
    (name,) = set(relay.subscribers()) - {"fixed"}
    counted = relay.subscribers()[name]
    assert counted["limited_messages"] > 0
    assert counted["limited_datagrams"] > 0


@contextlib.contextmanager
def renewing(relay: Leasing, token: str, lease_id: str) -> Iterator[list[int]]:
    """Renew a lease many times within its period, whatever else takes its time; gives the answers' status."""
    answers: list[int] = []
    over = threading.Event()

    def renew() -> None:
        while not over.wait(0.2):
            answers.append(relay.call("POST", f"/v1/leases/{lease_id}/renew", token).status)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def test_a_lease_that_is_not_renewed_stops_within_its_period(network: None, tmp_path: Path) -> None:
    relay = Leasing(tmp_path, period="2s")
    relay.start()
    token = relay.token()
    kept = relay.lease(token).document
    with renewing(relay, token, kept["id"]) as answers:
        left = relay.lease(token, f"{OTHER_CLIENT}:20001")
        assert left.status == 201
        wait_until(lambda: f"lease:alice:{left.document['id']}" not in relay.subscribers())
        assert f"lease:alice:{kept['id']}" in relay.subscribers(), "the one that was renewed goes on"
    assert set(answers) == {200}
    (ended,) = relay.closed()
    assert ended["reason"] == "not renewed"
    assert 1.5 < seconds_between(ended["from"], ended["until"]) < 2.0 + DEADLINE_S
    relay.stop()


def seconds_between(first: str, last: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def test_the_end_of_a_token_ends_its_leases_however_long_the_period(network: None, tmp_path: Path) -> None:
    relay = Leasing(tmp_path, period="1h")
    relay.start()
    token = relay.token(exp=int(time.time()) + 3)
    lease = relay.lease(token)
    assert lease.status == 201
    assert lease.document["seconds-left"] <= 3
    wait_until(lambda: set(relay.subscribers()) == {"fixed"})
    (ended,) = relay.closed()
    assert ended["reason"] in ("token expired", "not renewed")
    assert relay.call("POST", f"/v1/leases/{lease.document['id']}/renew", token).status == 401
    relay.stop()


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    return ".".join([part(json.dumps(header).encode()), part(json.dumps(claims).encode()), part(signature)])


def forged(relay: Leasing) -> dict[str, str]:
    """Everything that is no token of this relay's."""
    claims = relay.claims().model_dump(mode="json", exclude_none=True)
    stranger, _ = new_key(Algorithm.EDDSA)
    other_curve, _ = new_key(Algorithm.ES256)
    now = int(time.time())
    good = relay.token()
    # The library refuses to sign with a public key as HMAC's secret, so this one is made by hand (RFC 8725, 2.1).
    import hashlib
    import hmac

    confused = unsigned({"alg": "HS256", "kid": "desk"}, claims)
    digest = hmac.new(relay.public_key.encode(), confused.rpartition(".")[0].encode(), hashlib.sha256).digest()
    return {
        "none": unsigned({"alg": "none", "kid": "desk"}, claims),
        "HS256 with the public key": unsigned({"alg": "HS256", "kid": "desk"}, claims, digest),
        "another's key": issue(relay.claims(), stranger),
        "another algorithm": issue(relay.claims(), other_curve),
        "no such issuer": jwt.encode(claims | {"iss": "nobody"}, relay.private_key, "EdDSA", {"kid": "nobody"}),
        "another issuer inside": jwt.encode(claims | {"iss": "other"}, relay.private_key, "EdDSA", {"kid": "desk"}),
        "another relay": relay.token(aud="lanecast-relay/other"),
        "several relays": jwt.encode(claims | {"aud": ["lanecast-relay/edge", "x"]}, relay.private_key, "EdDSA", {"kid": "desk"}),
        "over": relay.token(iat=now - 100, nbf=now - 100, exp=now - 1),
        "not yet": relay.token(iat=now + 60, nbf=now + 60),
        "too long": relay.token(exp=now + 48 * 3600),
        "no end": jwt.encode({k: v for k, v in claims.items() if k != "exp"}, relay.private_key, "EdDSA", {"kid": "desk"}),
        "no id": jwt.encode({k: v for k, v in claims.items() if k != "jti"}, relay.private_key, "EdDSA", {"kid": "desk"}),
        "more claims": jwt.encode(claims | {"root": True}, relay.private_key, "EdDSA", {"kid": "desk"}),
        "changed": good[:-6] + ("A" if good[-6] != "A" else "B") + good[-5:],
        "no token": "",
        "garbage": "a.b.c",
        "nested header": base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".e30.",
        "long": "x" * 10_000,
    }  # fmt: skip


def test_whatever_is_wrong_with_a_token_gets_the_same_answer(relay: Leasing) -> None:
    """No feed, channel, path or subject can be told by it; each from an address of its own, so that none is throttled."""
    seen = set()
    for index, (name, token) in enumerate(forged(relay).items(), start=10):
        for step, (method, path) in enumerate((("POST", "/v1/leases"), ("GET", "/v1/nothing"), ("POST", "/v1/reload"))):
            body = {"feed": ("quotes", "nothing", "trades")[step], "channels": {"main": f"{CLIENT}:20001"}}
            answer = relay.call(method, path, token, body, source=f"127.0.{step}.{index}")
            headers = {key: value for key, value in answer.headers.items() if key != "date"}
            seen.add((answer.status, answer.body, json.dumps(headers)))
            assert answer.status == 401, name
    assert len(seen) == 1
    assert b"quotes" not in next(iter(seen))[1]
    assert set(relay.subscribers()) == {"fixed"}
    logged = (relay.directory / "log.jsonl").read_text()
    assert not [token for token in forged(relay).values() if len(token) > 20 and token in logged]
    assert relay.lease(relay.token()).status == 201, "and a right one is taken"


def test_a_token_signed_with_p_256_is_taken_where_the_file_says_so(network: None, tmp_path: Path) -> None:
    relay = Leasing(tmp_path)
    relay.private_key, relay.public_key = new_key(Algorithm.ES256)
    relay.write(("algorithm: EdDSA", "algorithm: ES256"))
    relay.start()
    assert relay.lease(relay.token()).status == 201
    eddsa, _ = new_key(Algorithm.EDDSA)
    assert relay.lease(issue(relay.claims(), eddsa)).status == 401
    relay.stop()


def test_who_guesses_has_to_wait_and_others_need_not(relay: Leasing) -> None:
    statuses = [relay.call("GET", "/v1/leases", "wrong", source="127.0.0.9").status for _ in range(12)]
    assert statuses[:10] == [401] * 10
    assert statuses[-1] == 429
    refused = relay.call("GET", "/v1/leases", relay.token(), source="127.0.0.9")
    assert refused.status == 429, "a right token is not looked at meanwhile"
    assert int(refused.headers["retry-after"]) >= 1
    assert relay.call("GET", "/v1/leases", relay.token(), source="127.0.0.8").status == 200


NEVER = [
        ("10.8.3.10:20001", "does not name"),
        ("10.8.2.255:20001", "does not name"),
        ("10.8.2.0:20001", "does not name"),
        ("239.1.1.1:20001", "multicast"),
        ("255.255.255.255:20001", "broadcast"),
        ("0.0.0.0:20001", "this network"),
        ("127.0.0.1:20001", "loopback"),
        ("192.0.2.2:21001", "own machine"),
        ("192.0.2.2:8443", "own machine"),
        ("192.0.2.2:514", "own machine"),
        ("192.0.2.255:20001", "broadcast"),
        ("192.0.2.7:20002", "does not name"),
        ("10.8.2.20:20001", "in use"),
]  # fmt: skip


def test_no_token_makes_the_relay_send_where_it_must_not(relay: Leasing) -> None:
    for to, words in NEVER:
        allowed = ["10.8.2.0/24", "192.0.2.7:20001"] if words == "does not name" else ["0.0.0.0/0"]
        answer = relay.lease(relay.token(to=allowed), to)
        assert answer.status in (403, 409), to
        assert words in answer.document["error"], to
    assert set(relay.subscribers()) == {"fixed"}
    assert "lease" not in relay.audit_log.read_text()
    later = "10.8.7.1:20001"
    assert relay.lease(relay.token(to=["10.8.7.0/24"]), later).status == 201
    ip("address add 10.8.7.1/24 dev wan")
    refused = relay.lease(relay.token(to=["10.8.7.0/24"]), later)
    assert (refused.status, "own machine" in refused.document["error"]) == (403, True), (
        "as the machine is when it is asked"
    )
    assert relay.command("reload", str(relay.file)).returncode == 0
    assert set(relay.subscribers()) == {"fixed"}
    assert "own machine" in relay.closed()[0]["reason"]


WRONG = [
        (b"not json", 400),
        (b"[" * 20_000, 400),
        (b'{"feed": "quotes"}', 422),
        (b'{"feed": "quotes", "channels": {"main": "10.8.2.10:0"}}', 422),
        (b'{"feed": "quotes", "channels": {"main": "10.8.2.10:1"}, "to": "x"}', 422),
        (b'{"feed": "trades", "channels": {"main": "10.8.2.10:1"}}', 403),
        (b'{"feed": "nothing", "channels": {"main": "10.8.2.10:1"}}', 403),
        (b'{"feed": "quotes", "channels": {"other": "10.8.2.10:1"}}', 404),
        (b'{"feed": "quotes", "channels": {"main": "10.8.2.10:1", "late": "10.8.2.10:1"}}', 409),
        (b'{"feed": "logs", "delivery": "mold", "channels": {"main": "10.8.2.10:1"}}', 422),
        (b" " * 70_000, 413),
]  # fmt: skip


def test_wrong_requests_are_told_what_is_wrong(relay: Leasing) -> None:
    token = relay.token(feeds={"quotes": "*", "logs": ["main"]})
    for body, status in WRONG:
        answer = relay.call("POST", "/v1/leases", token, raw_body=body)
        assert answer.status == status, body[:80]
        assert answer.document["error"]
    assert set(relay.subscribers()) == {"fixed"}


def test_tokens_have_leases_of_their_own(relay: Leasing) -> None:
    token, second, bobs = relay.token(leases=1), relay.token(), relay.token(sub="bob")
    lease = relay.lease(token).document
    assert relay.lease(token, f"{OTHER_CLIENT}:20001").status == 429
    assert relay.lease(bobs).status == 409, "the address is another's"
    for method, path in (("POST", f"/v1/leases/{lease['id']}/renew"), ("DELETE", f"/v1/leases/{lease['id']}")):
        assert relay.call(method, path, bobs).status == 404
    assert relay.call("GET", "/v1/leases", bobs).document == {"leases": []}
    assert relay.call("POST", f"/v1/leases/{lease['id']}/renew", second).status == 403
    again = relay.lease(second).document
    assert again["id"] != lease["id"], "asked for anew with the next token, the same lease goes over to it"
    assert set(relay.subscribers()) == {"fixed", f"lease:alice:{again['id']}"}
    assert relay.call("POST", "/v1/reload", second).status == 403


def test_a_code_is_needed_where_the_file_says_so_and_good_once(relay: Leasing) -> None:
    token = relay.token(sub="careful")
    generator = pyotp.TOTP((relay.directory / "careful.otp").read_text().strip())
    assert relay.lease(token).status == 401
    assert relay.lease(token, code="000000" if generator.now() != "000000" else "000001").status == 401
    code = generator.now()
    lease = relay.lease(token, code=code)
    assert lease.status == 201
    assert relay.lease(token, f"{OTHER_CLIENT}:20001", code=code).status == 401, "the same code again"
    assert relay.call("POST", f"/v1/leases/{lease.document['id']}/renew", token).status == 200
    assert relay.lease(relay.token(sub="careful-too"), f"{OTHER_CLIENT}:20001", code=code).status == 401, (
        "another's code"
    )
    # A restart forgets no code, and a lease that was given before is gone.
    relay.stop()
    relay.start()
    answer = relay.lease(relay.token(sub="careful"), code=code)
    assert answer.status == 401
    later = generator.at(int(time.time()), counter_offset=1)
    assert relay.lease(relay.token(sub="careful"), code=later).status == 201
    logged = (relay.directory / "log.jsonl").read_text() + relay.audit_log.read_text()
    assert "JBSWY3DP" not in logged
    assert (relay.directory / "used-codes.json").stat().st_mode & 0o077 == 0


def test_secrets_that_others_can_read_are_refused(network: None, tmp_path: Path) -> None:
    relay = Leasing(tmp_path)
    (tmp_path / "careful.otp").chmod(0o640)
    del relay.environment["CAREFUL_TOO"]
    result = relay.command("run", str(relay.file))
    assert result.returncode == 2
    assert "careful.otp: others may read it" in result.stderr
    assert "CAREFUL_TOO is not set" in result.stderr, "all mistakes at once"
    (tmp_path / "careful.otp").chmod(0o600)
    relay.environment["CAREFUL_TOO"] = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    (tmp_path / "key.pem").chmod(0o644)
    result = relay.command("run", str(relay.file))
    assert result.returncode == 2
    assert "key.pem: others may read it" in result.stderr


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(relay: Leasing) -> None:
    context = ssl.create_default_context(cafile=str(relay.directory / "certificate.pem"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", 8443), timeout=DEADLINE_S) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


@contextlib.contextmanager
def shaken(relay: Leasing, source: str) -> Iterator[ssl.SSLSocket]:
    """A connection from ``source`` on which TLS has begun."""
    context = ssl.create_default_context(cafile=str(relay.directory / "certificate.pem"))
    plain = socket.create_connection(("127.0.0.1", 8443), timeout=DEADLINE_S, source_address=(source, 0))
    with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        yield connection


def test_one_address_cannot_take_all_connections(relay: Leasing) -> None:
    token = relay.token()
    lease = relay.lease(token).document
    with contextlib.ExitStack() as stack:
        held = 0
        for _ in range(100):
            try:
                stack.enter_context(shaken(relay, "127.0.0.7"))
            except OSError:
                continue
            held += 1
        assert held == CONNECTIONS_A_SOURCE
        plain = [socket.create_connection(("127.0.0.1", 8443), source_address=("127.0.0.6", 0)) for _ in range(100)]
        for one in plain:
            stack.enter_context(one)
        assert relay.call("POST", f"/v1/leases/{lease['id']}/renew", token).status == 200
        assert not answers(relay, token, "127.0.0.7")
    wait_until(lambda: answers(relay, token, "127.0.0.7"))


def answers(relay: Leasing, token: str, source: str) -> bool:
    """Whether the address gets in: what it had open is ended by the relay a moment after."""
    try:
        return relay.call("GET", "/v1/leases", token, source=source).status == 200
    except OSError:
        return False


def asked_to_go_on(connection: ssl.SSLSocket, token: str, body: bytes) -> None:
    """Send the head of a request for a lease, until the relay has admitted it and waits for the body (RFC 9110, 10.1.1)."""
    head = f"POST /v1/leases HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\n"
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 100")


BODY = json.dumps({"feed": "quotes", "channels": {"main": f"{CLIENT}:20001"}}).encode()


def test_who_is_slow_before_being_admitted_has_less_time_than_who_is(relay: Leasing) -> None:
    with shaken(relay, "127.0.0.1") as admitted, shaken(relay, "127.0.0.7") as stranger:
        asked_to_go_on(admitted, relay.token(), BODY)
        stranger.sendall(b"POST /v1/leases HTTP/1.1\r\nhost:")
        with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
            assert stranger.recv(1) == b""
        admitted.sendall(BODY)
        assert admitted.recv(4096).startswith(b"HTTP/1.1 201")


def revoked(relay: Leasing, *tokens: str) -> None:
    """Reload with the tokens' ``jti`` in ``revoked``."""
    names = [jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens]
    relay.write(("  used-codes:", f"  revoked: {json.dumps(names)}\n  used-codes:"))
    assert relay.command("reload", str(relay.file)).returncode == 0


def test_a_token_that_is_revoked_ends_its_leases_and_gets_no_more(relay: Leasing) -> None:
    bad, good = relay.token(), relay.token()
    lost = relay.lease(bad).document
    kept = relay.lease(good, f"{OTHER_CLIENT}:20001").document
    revoked(relay, bad)
    assert set(relay.subscribers()) == {"fixed", f"lease:alice:{kept['id']}"}
    assert [one["reason"] for one in relay.closed()] == ["token revoked"]
    assert relay.lease(bad).status == 401
    assert relay.call("POST", f"/v1/leases/{lost['id']}/renew", bad).status == 401
    assert relay.call("POST", f"/v1/leases/{kept['id']}/renew", good).status == 200


def test_another_key_of_the_issuer_ends_the_leases_of_the_one_before(relay: Leasing) -> None:
    before = relay.token()
    lost = relay.lease(before).document
    relay.private_key, relay.public_key = new_key(Algorithm.EDDSA)
    relay.write()
    assert relay.command("reload", str(relay.file)).returncode == 0
    assert set(relay.subscribers()) == {"fixed"}
    assert [one["reason"] for one in relay.closed()] == ["token revoked"]
    assert relay.call("POST", f"/v1/leases/{lost['id']}/renew", before).status == 401
    assert relay.lease(relay.token()).status == 201


@pytest.mark.parametrize("by", ["revoked", "key"])
def test_a_token_that_is_revoked_while_its_request_comes_gets_no_lease(relay: Leasing, by: str) -> None:
    token = relay.token()
    with shaken(relay, "127.0.0.1") as connection:
        asked_to_go_on(connection, token, BODY)
        if by == "revoked":
            revoked(relay, token)
        else:
            _, relay.public_key = new_key(Algorithm.EDDSA)
            relay.write()
            assert relay.command("reload", str(relay.file)).returncode == 0
        connection.sendall(BODY)
        assert connection.recv(4096).startswith(b"HTTP/1.1 401")
    assert set(relay.subscribers()) == {"fixed"}


def send_and_take(source: Source, count: int, taker: socket.socket) -> None:
    """No more at a time than a socket's buffer has room for."""
    for _ in range(count // 100):
        source.send(100)
        for _ in range(100):
            taker.recv(2048)


def test_asking_again_brings_no_new_allowance(relay: Leasing) -> None:
    """Neither at once, which the same lease answers, nor after ending it, which each time begins with nothing."""
    source, bits_per_second = Source(), 10_000
    token = relay.token(limits={"quotes": {"bits_per_second": bits_per_second}})
    began_s, ids = time.monotonic(), []
    with receiver("10.8.2.20") as fixed:
        for again in range(8):
            ids.append(relay.lease(token).document["id"])
            send_and_take(source, 300, fixed)
            if again >= 4:
                assert relay.call("DELETE", f"/v1/leases/{ids[-1]}", token).status == 204
    took_s = time.monotonic() - began_s
    assert len(set(ids[:5])) == 1
    assert len(set(ids)) == 4
    assert sum(one["bytes"] for one in relay.closed(4)) * 8 <= bits_per_second * took_s


def answering(relay: Leasing, memory: str, more: str = "") -> None:
    """The relay's file with a re-request server for quotes."""
    listen = '{main: "192.0.2.2:31001", late: "192.0.2.2:31002"}'
    asked = f"hole-wait: 1s\n    re-requests: {{listen: {listen}, memory: {memory}, answers: 100000 pps}}"
    relay.write(("hole-wait: 1s", asked), ("audit:", f"{more}\naudit:"))


def re_request(number: int) -> bytes:
    """MoldUDP64 1.0, Request Packet."""
    return b"SESSION001" + struct.pack(">QH", number, 1)


RE_REQUESTS = ("192.0.2.2", 31001)


def test_answers_to_re_requests_count_for_a_tokens_limit_and_stand_in_the_audit_log(
    network: None, tmp_path: Path
) -> None:
    relay = Leasing(tmp_path)
    answering(relay, "64MiB")
    relay.start()
    source, rate_pps, asked = Source(), 50, 200
    with receiver("10.8.2.20") as fixed, receiver() as client:
        send_and_take(source, asked, fixed)
        token = relay.token(limits={"quotes": {"datagrams_per_second": rate_pps}})
        began_s = time.monotonic()
        lease = relay.lease(token).document
        name = f"lease:alice:{lease['id']}"
        for number in range(3, asked + 1):
            client.sendto(re_request(number), RE_REQUESTS)
        wait_until(lambda: relay.counters()["streams"][0]["re_requests"]["requests"] == asked - 2)
        # What was refused may be asked for again, as long as it takes.
        while relay.subscribers()[name]["answers"] == 0:
            client.sendto(re_request(3), RE_REQUESTS)
        told = relay.subscribers()[name]
        took_s = time.monotonic() - began_s
        assert 1 <= told["answers"] <= rate_pps * took_s
        requests = relay.counters()["streams"][0]["re_requests"]
        assert requests["limited"] == told["answers_limited"] > 0
        assert requests["answers"] == told["answers"] == requests["requests"] - requests["limited"]
        assert relay.call("DELETE", f"/v1/leases/{lease['id']}", token).status == 204
        got = [client.recv(2048) for _ in range(told["answers"])]
    (closed,) = relay.closed()
    numbers = [struct.unpack_from(">Q", packet, 10)[0] for packet in got]
    assert (closed["datagrams"], closed["answers"], closed["answer_bytes"]) == (0, len(got), sum(map(len, got)))
    assert closed["answers_limited"] == told["answers_limited"]
    assert [(one["feed"], one["channel"], one["epoch"], one["first"], one["last"]) for one in closed["answered"]] == [
        ("quotes", "main", "SESSION001", min(numbers), max(numbers))
    ]
    relay.stop()


def test_what_the_journal_answers_stands_in_the_audit_log_and_in_its_report(network: None, tmp_path: Path) -> None:
    relay = Leasing(tmp_path)
    answering(relay, "1KiB", f"journal: {{directory: {tmp_path}/journal, sync: 20ms}}")
    relay.start()
    source, token = Source(), relay.token()
    with receiver("10.8.2.20") as fixed, receiver() as client:
        source.send(100)
        for _ in range(100):
            fixed.recv(2048)
        wait_until(lambda: relay.counters()["journal"]["written"] == relay.counters()["journal"]["recorded"] > 0)
        lease = relay.lease(token).document
        for number in (2, 1, 5, 100):
            client.sendto(re_request(number), RE_REQUESTS)
            assert struct.unpack_from(">Q", client.recv(2048), 10)[0] == number
        assert relay.counters()["streams"][0]["re_requests"]["answers_from_journal"] == 3
        assert relay.call("DELETE", f"/v1/leases/{lease['id']}", token).status == 204
        client.sendto(re_request(1), RE_REQUESTS)
        wait_until(lambda: relay.counters()["streams"][0]["re_requests"]["strangers"] == 1)
    (closed,) = relay.closed()
    (answered,) = closed["answered"]
    assert (closed["datagrams"], closed["answers"], answered["first"], answered["last"]) == (0, 4, 1, 100)
    month = closed["from"][:7]
    shown = relay.command("audit", "report", str(relay.audit_log), "--feed", "quotes", "--month", month, "--json")
    (row,) = [one for one in json.loads(shown.stdout)["receivers"] if one["subject"] == "alice"]
    assert (row["answers"], row["answered"]) == (4, ["main SESSION001 1-100"])
    relay.stop()


def test_a_person_leases_a_feed_by_commands(relay: Leasing, tmp_path: Path) -> None:
    made = relay.command("token", "keygen", str(tmp_path / "desk.key"))
    assert made.returncode == 0
    assert (tmp_path / "desk.key").stat().st_mode & 0o777 == 0o600
    relay.public_key = made.stdout
    relay.write()
    assert relay.command("reload", str(relay.file)).returncode == 0
    issued = relay.command(
        "token", "issue", str(tmp_path / "desk.key"), "--issuer", "desk", "--relay", "edge", "--subject", "alice",
        "--feed", "quotes:main", "--to", "10.8.2.0/24", "--lifetime", "1h", "--admin",
    )  # fmt: skip
    (tmp_path / "token").write_text(issued.stdout)
    seen = json.loads(relay.command("token", "inspect", str(tmp_path / "token")).stdout)
    assert seen["claims"]["feeds"] == {"quotes": ["main"]}
    url, options = (
        "https://127.0.0.1:8443",
        ["--token", str(tmp_path / "token"), "--cafile", str(tmp_path / "certificate.pem")],
    )
    hold = [*RELAY, "lease", "hold", url, "--feed", "quotes", "--to", f"main={CLIENT}:20001", *options]
    with receiver() as client, subprocess.Popen(hold, stdout=subprocess.PIPE, text=True) as holding:
        assert holding.stdout is not None
        lease = json.loads(holding.stdout.readline())
        wanted = Source().send(20)
        assert [client.recv(2048) for _ in range(20)] == wanted
        listed = relay.command("lease", "list", url, *options)
        assert json.loads(listed.stdout)["id"] == lease["id"]
        assert relay.command("lease", "reload", url, *options).returncode == 0
        holding.send_signal(signal.SIGTERM)
        assert holding.wait(DEADLINE_S) == 0
    assert set(relay.subscribers()) == {"fixed"}
    distrusted = relay.command("lease", "list", url, "--token", str(tmp_path / "token"))
    assert distrusted.returncode == 2
    assert "certificate" in distrusted.stderr.lower()
    enrolled = relay.command("otp", "enroll", "alice", str(tmp_path / "alice.otp"), "--relay", "edge")
    assert enrolled.stdout.startswith("otpauth://totp/")
    assert f"secret={(tmp_path / 'alice.otp').read_text().strip()}&" in enrolled.stdout
    assert relay.command("otp", "enroll", "alice", str(tmp_path / "alice.otp"), "--relay", "edge").returncode == 2
    assert (tmp_path / "alice.otp").stat().st_mode & 0o777 == 0o600


def test_a_certificate_that_is_replaced_after_a_reload_has_read_it_is_of_the_next_reload(
    network: None, tmp_path: Path
) -> None:
    relay, log = Leasing(tmp_path), structlog.get_logger()
    file = validate(RelayFile, load_document(relay.file))
    assert file.api is not None
    running = RunningRelay(relay.file, file, Engine(file), AuditTrail(None, log, file.name), log, None)
    server = ApiServer(running, file.api)
    try:
        make_certificate(tmp_path)
        renewed = (tmp_path / "certificate.pem").read_text()
        put_in_place = server.prepare(file.api)
        make_certificate(tmp_path, "next")  # whose key is in place, and whose certificate is not yet
        put_in_place()
        for name in ("127.0.0.1", "localhost"):
            shown = ssl.get_server_certificate((name, API_PORT), timeout=DEADLINE_S)
            assert ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(renewed)
        with pytest.raises(OSError, match="cannot use the certificate"):
            server.prepare(file.api)
    finally:
        server.close()


def test_a_renewed_certificate_is_shown_after_a_reload(relay: Leasing) -> None:
    make_certificate(relay.directory)
    with pytest.raises(ssl.SSLCertVerificationError):
        relay.lease(relay.token())
    assert relay.command("reload", str(relay.file)).returncode == 0
    assert relay.lease(relay.token()).status == 201


def test_a_secret_that_is_no_text_costs_its_reload_and_no_other(relay: Leasing) -> None:
    secret = relay.directory / "careful.otp"
    right = secret.read_bytes()

    def by_hangup(event: str) -> bool:
        return any(one["event"] == event and one["by"] == "SIGHUP" for one in relay.log())

    assert relay.process is not None
    secret.write_bytes(b"\xfe\xff" + right)
    refused = relay.command("reload", str(relay.file))
    assert refused.returncode == 1
    assert "api.one-time-codes.careful: " in refused.stderr
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: by_hangup("not reloaded"))
    secret.write_bytes(right)
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: by_hangup("reloaded"))
    assert relay.command("reload", str(relay.file)).returncode == 0
    logged = (relay.directory / "log.jsonl").read_text()
    assert [text for text in ("0xfe", "JBSWY3DP") if text in logged + refused.stderr] == []


def test_a_used_code_stays_used_when_a_reload_names_another_file_for_used_codes(relay: Leasing) -> None:
    code = pyotp.TOTP((relay.directory / "careful.otp").read_text().strip()).now()
    assert relay.lease(relay.token(sub="careful"), code=code).status == 201
    used = json.loads((relay.directory / "used-codes.json").read_text())
    assert set(used) == {"careful"}
    relay.write(("used-codes.json", "elsewhere.json"))
    assert relay.command("reload", str(relay.file)).returncode == 0
    assert json.loads((relay.directory / "elsewhere.json").read_text()) == used
    relay.stop()
    relay.start()
    assert relay.lease(relay.token(sub="careful"), code=code).status == 401
