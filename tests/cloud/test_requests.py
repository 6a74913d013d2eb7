"""Signatures, malformed requests, and what every answer has, whatever is asked."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from baidubce.auth import bce_v1_signer
from baidubce.auth.bce_credentials import BceCredentials
from baidubce.bce_client_configuration import BceClientConfiguration
from baidubce.services.vpc.vpc_client import VpcClient
from baidubce.utils import get_canonical_time
from cloud_under_test import Cloud, Emulator, refusal

from lanecast_lab.cloud.api.errors import ApiError
from lanecast_lab.cloud.api.signing import AccessKey, SignedRequest, verify

EXAMPLE = "90164c9054fe41a291fe94a669898881cfcc89585cd14d30ea2b906a826721a2"
"""The signature that the SDK was seen to send for ``update_vpc('vpc-1', 'lab vpc', client_token='t/1')``."""

SIGNED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
KEYS = {"testak": AccessKey("testsk", "one")}


def example(signature: str = EXAMPLE, headers: str = "", **changed: bytes) -> SignedRequest:
    sent = {
        "host": b"127.0.0.1:8080",
        "content-length": b"19",
        "content-type": b"application/json;charset=utf-8",
        "x-bce-date": b"2026-01-02T03:04:05Z",
        "user-agent": b"bce-sdk-python/0.9.79",
        "accept": b"*/*",
    }
    sent |= {name.replace("_", "-"): value for name, value in changed.items()}
    sent["authorization"] = f"bce-auth-v1/testak/2026-01-02T03:04:05Z/1800/{headers}/{signature}".encode()
    return SignedRequest("PUT", b"/v1/vpc/vpc-1", b"modifyAttribute=&clientToken=t%2F1", tuple(sent.items()))


def test_the_sdks_own_example_verifies() -> None:
    assert verify(example(), KEYS, SIGNED_AT) == KEYS["testak"]


@pytest.mark.parametrize(
    "request_",
    [
        example(content_length=b"20"),
        example(host=b"127.0.0.1:8081"),
        example(x_bce_date=b"2026-01-02T03:04:06Z"),
        example(x_bce_more=b"1"),
        example(headers="host;x-bce-date"),
        example(signature="0" * 64),
    ],
    ids=["length", "host", "date", "one more", "named headers", "signature"],
)
def test_a_changed_request_does_not(request_: SignedRequest) -> None:
    with pytest.raises(ApiError) as refused:
        verify(request_, KEYS, SIGNED_AT)
    assert (refused.value.status, refused.value.code) == (400, "SignatureDoesNotMatch")


def test_headers_that_no_signature_covers_may_change() -> None:
    assert verify(example(user_agent=b"curl", accept=b""), KEYS, SIGNED_AT)


def test_a_signature_ends_with_its_lifetime() -> None:
    assert verify(example(), KEYS, SIGNED_AT + 1800)
    with pytest.raises(ApiError) as refused:
        verify(example(), KEYS, SIGNED_AT + 1801)
    assert (refused.value.status, refused.value.code) == (400, "RequestExpired")


def test_named_headers_are_the_only_ones_that_count(cloud: Cloud) -> None:
    host = cloud.endpoint("bj").partition("//")[2].encode()
    now = int(time.time())
    headers = {b"host": host, b"x-bce-date": get_canonical_time(now)}
    credentials = BceCredentials(cloud.key, cloud.keys[cloud.key])
    signed = bce_v1_signer.sign(credentials, b"GET", b"/v1/vpc", headers, {}, now, 1800, [b"host", b"x-bce-date"])
    status, _, _ = cloud.send(
        "GET", "/v1/vpc", authorization=signed.decode(), signed_at=now, headers={"x-bce-other": "1"}
    )
    assert status == 200


def body_of(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    status, headers, content = answer
    body = json.loads(content)
    assert set(body) == {"code", "message", "requestId"}
    assert headers["x-bce-request-id"] == body["requestId"]
    return status, body["code"]


def test_an_unsigned_request_is_refused(cloud: Cloud) -> None:
    assert body_of(cloud.send("GET", "/v1/vpc", authorization="")) == (403, "AccessDenied")


def test_a_header_that_is_no_signature_is_refused(cloud: Cloud) -> None:
    for text in ("Basic abc", "bce-auth-v1/testak", f"bce-auth-v1/testak/now/1800//{'0' * 64}"):
        assert body_of(cloud.send("GET", "/v1/vpc", authorization=text)) == (400, "InvalidHTTPAuthHeader")


def test_a_wrong_secret_is_refused(cloud: Cloud) -> None:
    client = cloud.client(VpcClient, secret="wrong")
    assert refusal(client.list_vpcs) == (400, "SignatureDoesNotMatch")


def test_an_unknown_key_is_refused(cloud: Cloud) -> None:
    client = cloud.client(VpcClient, key="nobody", secret="wrong")
    assert refusal(client.list_vpcs) == (403, "InvalidAccessKeyId")


def test_an_expired_signature_is_refused(cloud: Cloud) -> None:
    long_ago = time.time() - 2 * 1800
    assert body_of(cloud.send("GET", "/v1/vpc", signed_at=int(long_ago))) == (400, "RequestExpired")


def test_paths_and_queries_are_signed_as_they_were_sent(cloud: Cloud) -> None:
    status, _, _ = cloud.send("GET", "/v1/vpc", {"isDefault": "False", "marker": "", "x/y z": "a+b%&="})
    assert status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "MalformedJSON"),
        (b"\xff", "MalformedJSON"),
        (b"[]", "InappropriateJSON"),
        (b"{}", "InappropriateJSON"),
        (b'{"name": "x"}', "InappropriateJSON"),
        (b'{"name": 1, "cidr": "10.0.0.0/16"}', "InappropriateJSON"),
        (b'{"name": null, "cidr": "10.0.0.0/16"}', "InappropriateJSON"),
        (b'{"name": "x", "cidr": "10.0.0.1/16"}', "InappropriateJSON"),
        (b'{"name": "x", "cidr": "ten"}', "InappropriateJSON"),
        (b'{"name": "x", "cidr": "10.0.0.0/16", "enableIpv6": "yes"}', "InappropriateJSON"),
    ],
)
def test_a_malformed_body_is_refused(cloud: Cloud, body: bytes, code: str) -> None:
    assert body_of(cloud.send("POST", "/v1/vpc", {"clientToken": str(time.time_ns())}, body)) == (400, code)


def test_a_refusal_names_the_field(cloud: Cloud) -> None:
    _, _, content = cloud.send("POST", "/v1/vpc", {}, b'{"name": "x", "cidr": 10}')
    assert "cidr" in json.loads(content)["message"]


def test_fields_that_nobody_knows_are_ignored(cloud: Cloud, later: ExitStack) -> None:
    status, _, content = cloud.send("POST", "/v1/vpc", {}, b'{"name": "x", "cidr": "10.0.0.0/16", "colour": "red"}')
    assert status == 200
    later.callback(cloud.client(VpcClient).delete_vpc, json.loads(content)["vpcId"])


def test_a_path_that_nobody_knows_is_refused(shared_emulator: Cloud) -> None:
    assert body_of(shared_emulator.send("GET", "/v1/elephant")) == (400, "InvalidURI")
    assert body_of(shared_emulator.send("PUT", "/v1/vpc/vpc-1", {"nothing": ""})) == (400, "InvalidURI")
    assert body_of(shared_emulator.send("PATCH", "/v1/vpc")) == (405, "MethodNotAllowed")


def test_a_host_name_and_a_prefix_name_the_region(shared_emulator: Cloud, later: ExitStack) -> None:
    hkg = shared_emulator.client(VpcClient, "hkg")
    vpc_id = hkg.create_vpc("named", "10.0.0.0/16").vpc_id
    later.callback(hkg.delete_vpc, vpc_id)
    status, _, _ = shared_emulator.send("GET", f"/v1/vpc/{vpc_id}")
    assert status == 404
    for prefix in ("/region/hkg", "/hkg"):
        status, _, content = shared_emulator.send("GET", f"{prefix}/v1/vpc/{vpc_id}")
        assert status == 200
        assert json.loads(content)["vpc"]["vpcId"] == vpc_id
    host = {"host": "bcc.hkg.baidubce.com"}
    assert shared_emulator.send("GET", f"/v1/vpc/{vpc_id}", headers=host)[0] == 200


def test_a_host_name_is_of_any_case_and_its_region_is_one(start_with_hosts: Cloud) -> None:
    start_with_hosts.endpoints["bj"] = start_with_hosts.endpoints["any"]
    body = b'{"name": "named", "cidr": "10.0.0.0/16"}'
    status, _, content = start_with_hosts.send("POST", "/v1/vpc", {}, body, headers={"host": "BCC.HKG.BaiduBCE.com"})
    assert status == 200
    path = "/v1/vpc/" + json.loads(content)["vpcId"]
    assert start_with_hosts.send("GET", path, headers={"host": "bcc.hkg.baidubce.com"})[0] == 200
    unknown = start_with_hosts.send("GET", "/v1/vpc", headers={"host": "bcc.moon.baidubce.com"})
    assert body_of(unknown) == (400, "InvalidURI")
    assert start_with_hosts.send("GET", "/v1/privatezone", headers={"host": "privatezone.baidubce.com"})[0] == 200


def lines(cloud: Cloud, text: bytes, wait: bool = True) -> bytes:
    """Send these bytes, and return whatever comes until the connection ends."""
    parts = urlsplit(cloud.endpoint("bj"))
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as connection:
        connection.sendall(text)
        return b"".join(iter(lambda: connection.recv(65536), b"")) if wait else b""


def test_a_path_with_scheme_and_host_before_it(shared_emulator: Cloud) -> None:
    """RFC 9112, 3.2.2: what a client sends to a proxy. It is signed without them."""
    sent = {b"host": b"bcc.hkg.baidubce.com", b"x-bce-date": get_canonical_time(0)}
    signed = bce_v1_signer.sign(BceCredentials("testak", "testsk"), b"GET", b"/v1/vpc", sent, {})
    fields = b"".join(name + b": " + value + b"\r\n" for name, value in {**sent, b"authorization": signed}.items())
    target = b"GET http://bcc.hkg.baidubce.com/v1/vpc HTTP/1.1\r\nconnection: close\r\n"
    assert lines(shared_emulator, target + fields + b"\r\n").startswith(b"HTTP/1.1 200 ")


def test_an_identifier_with_a_slash_is_no_path(shared_emulator: Cloud) -> None:
    assert body_of(shared_emulator.send("GET", "/v1/vpc/%2F")) == (404, "NoSuchObject")
    assert body_of(shared_emulator.send("GET", "/v1/vpc/vpc%2Fsubnet")) == (404, "NoSuchObject")


def test_a_client_that_goes_away_amid_its_body_is_no_mistake(start: Callable[..., Emulator]) -> None:
    emulator = start()
    head = b"POST /v1/vpc HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"
    lines(emulator, head, wait=False)
    assert emulator.client(VpcClient).list_vpcs().vpcs == []
    assert emulator.stop() == 0
    assert "Traceback" not in (emulator.state.parent / f"{emulator.state.name}.log").read_text()


def test_the_region_of_a_host_name(start_with_hosts: Cloud) -> None:
    """As a proxy, the server gets the host names of the real cloud, which the SDK then signs."""
    made = {}
    for region in ("hkg", "gz"):
        configuration = BceClientConfiguration(
            credentials=BceCredentials("testak", "testsk"),
            endpoint=f"http://bcc.{region}.baidubce.com",
            proxy_host="127.0.0.1",
            proxy_port=int(start_with_hosts.endpoints["any"].rpartition(":")[2]),
        )
        client = VpcClient(configuration)
        made[region] = client.create_vpc(region, "10.0.0.0/16").vpc_id
        assert [vpc.vpc_id for vpc in client.list_vpcs().vpcs] == [made[region]]
    assert start_with_hosts.client(VpcClient, "any").list_vpcs().vpcs == []
