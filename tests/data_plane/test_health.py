"""Health checks: how results count, and what each kind of check takes for an answer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lanecast_lab.cloud.data_plane.health import Check, Kind, Opinion, Watch, ask

HERE = "127.0.0.1"
QUICK_S, PATIENT_S = 0.3, 10.0


def changes(results: str, check: Check) -> str:
    """Which results changed the state: ``+`` good, ``-`` bad, ``.`` where nothing changed."""
    opinion = Opinion()
    return "".join(result if opinion.count(result == "+", check) else "." for result in results)


def test_thresholds_count_results_in_a_row() -> None:
    check = Check(Kind.TCP, HERE, unhealthy_after=3, healthy_after=2)
    assert changes("+--+---++", check) == "+.....-.+"
    assert changes("-+-+-++", check) == "-.....+"


def asked(check: Check) -> bool:
    return asyncio.run(ask(check))


def closed_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind((HERE, 0))
        port: int = found.getsockname()[1]
        return port


def test_a_tcp_check_wants_a_connection() -> None:
    with socket.create_server((HERE, 0)) as server:
        assert asked(Check(Kind.TCP, HERE, server.getsockname()[1], timeout_s=PATIENT_S))
    assert not asked(Check(Kind.TCP, HERE, closed_port(socket.SOCK_STREAM), timeout_s=PATIENT_S))


@pytest.fixture
def echo() -> Iterator[int]:
    """A UDP port that answers ``ping`` and is silent to everything else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HERE, 0))

        def answer() -> None:
            while True:
                text, sender = server.recvfrom(100)
                if text == b"end":
                    return
                if text == b"ping":
                    server.sendto(b"whatever", sender)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"end", server.getsockname())
        thread.join()


def test_a_udp_check_wants_a_datagram(echo: int) -> None:
    assert asked(Check(Kind.UDP, HERE, echo, text="ping", timeout_s=PATIENT_S))
    assert not asked(Check(Kind.UDP, HERE, echo, text="silence", timeout_s=QUICK_S))
    assert not asked(Check(Kind.UDP, HERE, closed_port(socket.SOCK_DGRAM), text="ping", timeout_s=PATIENT_S))


def test_an_icmp_check_wants_an_echo() -> None:
    assert asked(Check(Kind.ICMP, HERE, timeout_s=PATIENT_S))
    assert not asked(Check(Kind.ICMP, "240.0.0.1", timeout_s=QUICK_S))


def test_icmp_and_udp_want_an_echo_and_no_closed_port(echo: int) -> None:
    assert asked(Check(Kind.ICMP_UDP, HERE, echo, text="silence", timeout_s=2 * QUICK_S))
    assert not asked(Check(Kind.ICMP_UDP, HERE, closed_port(socket.SOCK_DGRAM), timeout_s=PATIENT_S))
    assert not asked(Check(Kind.ICMP_UDP, "240.0.0.1", echo, timeout_s=QUICK_S))


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204 if self.path == "/health" and self.headers["Host"] == "named" else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def web() -> Iterator[int]:
    """A port that answers well at one path, to who names it rightly."""
    with HTTPServer((HERE, 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_an_http_check_wants_a_good_status(web: int) -> None:
    check = Check(Kind.HTTP, HERE, web, timeout_s=PATIENT_S, text="/health", host="named", good_statuses=(2, 3))
    assert asked(check)
    assert not asked(replace(check, text="/other"))
    assert not asked(replace(check, host="other"))
    assert asked(replace(check, text="/other", good_statuses=(5,)))


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 \xb200 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"200 OK\r\n",
        b"HTTP/1.1\r\n",
        b"x" * 100_000,
    ],
)
def test_whatever_comes_instead_of_a_status_is_no_good_one(line: bytes) -> None:
    with socket.create_server((HERE, 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(line)

        thread = threading.Thread(target=answer)
        thread.start()
        check = Check(Kind.HTTP, HERE, server.getsockname()[1], timeout_s=PATIENT_S, good_statuses=(2,))
        assert asked(check) is (line == b"HTTP/1.1 200\r\n")
        thread.join()


def test_a_watch_tells_of_changes_and_keeps_what_it_knows() -> None:
    async def watched() -> list[dict[str, bool | None]]:
        seen, told = [], asyncio.Event()
        watch = Watch(told.set)
        with socket.create_server((HERE, 0)) as server:
            open_one = Check(Kind.TCP, HERE, server.getsockname()[1], interval_s=0.02)
            watch.set({"open": open_one})
            seen.append(watch.opinions())
            await told.wait()
            seen.append(watch.opinions())
            # asked less often from now on: that is the same target
            watch.set({"open": replace(open_one, interval_s=0.01)})
            seen.append(watch.opinions())
        told.clear()
        await told.wait()
        seen.append(watch.opinions())
        watch.stop()
        seen.append(watch.opinions())
        return seen

    assert asyncio.run(watched()) == [{"open": None}, {"open": True}, {"open": True}, {"open": False}, {}]
