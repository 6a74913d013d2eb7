"""Reloads while a feed goes on: who stays loses nothing and gets nothing twice."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from leasing import NEEDS_ROOT, own_network
from relay_process import SESSION, RelayProcess, Traffic, number_of, numbers_until, receiving, waiting

pytestmark = NEEDS_ROOT

RE_REQUESTS = {"listen": {"main": "127.0.0.1:31001"}}
LINES = {"A": ("127.0.0.1", 20001), "B": ("127.0.0.1", 20002), "C": ("127.0.0.1", 20003)}


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


def feed(lines: str, channels: tuple[str, ...] = ("main",), **more: Any) -> dict[str, Any]:
    """A feed with these of the lines; the channel after the first listens 100 ports further."""

    def listen(port: int) -> dict[str, str]:
        return {channel: f"127.0.0.1:{port + 100 * at}" for at, channel in enumerate(channels)}

    named = {name: {"unicast": {"listen": listen(LINES[name][1])}} for name in lines}
    return {"protocol": "moldudp64", "hole-wait": "1s", "lines": named, **more}


def subscriber(port: int, **more: Any) -> dict[str, Any]:
    return {"feeds": {"quotes": {"main": f"127.0.0.1:{port}"}}, **more}


STAYS = {"stays": subscriber(30001)}
BOTH = {**STAYS, "comes": subscriber(30002)}


def relay_of(tmp_path: Path, **more: Any) -> RelayProcess:
    return RelayProcess(tmp_path, {"feeds": {"quotes": feed("AB")}, "subscribers": STAYS, **more})


def test_who_stays_gets_everything_once_through_every_change(tmp_path: Path) -> None:
    with (
        receiving("127.0.0.1", 30001) as stays,
        receiving("127.0.0.1", 30002) as comes,
        relay_of(tmp_path) as relay,
        Traffic(LINES) as traffic,
    ):
        numbers = [number_of(stays.recv(2048))]  # the feed goes on
        assert relay.reload(subscribers=BOTH) == [("subscriber", "comes/quotes/main", "added")]
        first = number_of(comes.recv(2048))
        changes = relay.reload(subscribers=BOTH, feeds={"quotes": feed("ABC")})
        assert changes == [("line", "quotes/main/C", "added")]
        relay.counters()
        changes = relay.reload(subscribers=BOTH, feeds={"quotes": feed("BC")})
        assert changes == [("line", "quotes/main/A", "removed")]
        other = {"protocol": "raw", "lines": {"X": {"unicast": {"listen": {"main": "127.0.0.1:21001"}}}}}
        changes = relay.reload(subscribers=BOTH, feeds={"quotes": feed("BC", ("main", "late")), "other": other})
        assert {change[:2] for change in changes} >= {("channel", "quotes/late"), ("channel", "other/main")}
        relay.counters()
        # Everything at once, and back to the beginning.
        relay.reload(
            subscribers={
                "stays": subscriber(30001, limits={"quotes": {"rate": "1000000 pps"}}),
                "comes": BOTH["comes"],
            },
            feeds={"quotes": {**feed("ABC"), "re-requests": RE_REQUESTS, "held": "1MiB"}},
        )
        ended = relay.reload()
        assert ("subscriber", "comes/quotes/main", "removed") in ended
        sent = traffic.stop()
        assert numbers + numbers_until(stays, sent) == list(range(1, sent + 1))
        kept = [first, *(number_of(packet) for packet in waiting(comes))]
        assert kept == list(range(first, first + len(kept))), "from when it came until it went, without a gap"
        final = relay.stop()
    assert 1 < first < kept[-1] < sent
    (stream,) = [one for one in final["streams"] if one["channel"] == "main"]
    assert stream["lost_messages"] == 0
    assert {one["name"]: one["datagrams"] for one in final["subscribers"]} == {"stays": sent}
    assert waiting_is_over(tmp_path)


def waiting_is_over(directory: Path) -> bool:
    """Nothing went wrong that only the log tells."""
    events = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    return not [event for event in events if event["level"] == "error"]


def test_a_wrong_file_and_what_needs_a_restart_change_nothing(tmp_path: Path) -> None:
    with receiving("127.0.0.1", 30001) as stays, relay_of(tmp_path) as relay, Traffic(LINES) as traffic:
        relay.write(
            subscribers={"stays": {"feeds": {"quote": {"main": "x"}}}}, feeds={"quotes": feed("AB", held="much")}
        )
        assert relay.command("reload").stderr.count(": expected") == 2, "told before anybody is asked"
        answer = relay.command("reload", at=tmp_path / "control.sock")
        assert (answer.returncode, answer.stderr.count(": expected")) == (1, 2), "every mistake"
        assert "the relay goes on as it was" in answer.stderr
        needs: dict[str, dict[str, Any]] = {
            "name": {"name": "other"},
            "receive-buffer": {"receive-buffer": "1MiB"},
            "fan-out": {"fan-out": "kernel"},
            "busy-wait": {"busy-wait": "1ms"},
            "journal": {"journal": {"directory": str(tmp_path / "journal")}},
            "metrics": {"metrics": "127.0.0.1:9464"},
            "audit": {"audit": {"log": str(tmp_path / "audit.jsonl")}},
        }
        for key, change in needs.items():
            relay.write(**change)
            answer = relay.command("reload")
            assert (answer.returncode, f"{key}: changing it takes a restart" in answer.stderr) == (1, True), answer
        # The file is right, and the system refuses: that port has an owner.
        with receiving("127.0.0.1", 20003):
            relay.write(feeds={"quotes": feed("ABC")}, subscribers=BOTH)
            answer = relay.command("reload")
            assert (answer.returncode, "127.0.0.1:20003" in answer.stderr) == (2, True), answer.stderr
        sent = traffic.stop()
        assert numbers_until(stays, sent) == list(range(1, sent + 1))
        assert [one["name"] for one in relay.counters()["subscribers"]] == ["stays"]


def test_a_re_request_server_comes_and_goes_by_reload(tmp_path: Path) -> None:
    served = {**feed("AB"), "re-requests": RE_REQUESTS}
    with receiving("127.0.0.1", 30001) as stays, relay_of(tmp_path) as relay:
        assert ("re-requests", "quotes/main", "added") in relay.reload(feeds={"quotes": served})
        with Traffic(LINES) as traffic:
            first = number_of(stays.recv(2048))
            sent = traffic.stop()
        assert numbers_until(stays, sent) == list(range(first + 1, sent + 1))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(30)
            asker.connect(("127.0.0.1", 31001))
            asker.send(SESSION + struct.pack(">QH", 5, 3))
            answer = asker.recv(65536)
            assert answer == SESSION + struct.pack(">QH", 5, 3) + b"".join(
                struct.pack(">H", len(body)) + body for body in (b"message 5", b"message 6", b"message 7")
            )
            assert ("re-requests", "quotes/main", "removed") in relay.reload()
            with pytest.raises(ConnectionRefusedError):  # the port is closed, and the kernel says so
                ask_on(asker)


def ask_on(asker: socket.socket) -> None:
    """Ask until the kernel refuses."""
    while True:
        asker.send(SESSION + struct.pack(">QH", 5, 3))


def renamed(**names: str) -> dict[str, Any]:
    """The feed with lines A and B, of which these have other names."""
    whole = feed("AB")
    whole["lines"] = {names.get(name, name): line for name, line in whole["lines"].items()}
    return whole


def test_lines_and_feeds_change_their_names_and_addresses_without_a_loss(tmp_path: Path) -> None:
    """Only one socket can be bound to an address: whoever has it next takes it over."""
    served = {"re-requests": RE_REQUESTS}
    with receiving("127.0.0.1", 30001) as stays, relay_of(tmp_path) as relay, Traffic(LINES) as traffic:
        numbers = [number_of(stays.recv(2048))]
        changes = relay.reload(feeds={"quotes": renamed(A="left", B="right") | served})
        assert {change for change in changes if change[0] == "line"} == {
            ("line", f"quotes/main/{name}", what)
            for name, what in (("A", "removed"), ("B", "removed"), ("left", "added"), ("right", "added"))
        }
        relay.reload(feeds={"quotes": renamed(A="right", B="left") | served})  # they exchange their addresses
        relay.counters()
        sent = traffic.stop()
        assert numbers + numbers_until(stays, sent) == list(range(1, sent + 1))
        # The feed has another name, and then another protocol: new streams on the same sockets, the server's included.
        to_it = {"stays": {"feeds": {"trades": {"main": "127.0.0.1:30001"}}}}
        for protocol in ("moldudp64", "raw"):
            lines = "AB" if protocol == "moldudp64" else "A"
            other = feed(lines) | (served if protocol == "moldudp64" else {})
            changes = relay.reload(feeds={"trades": other | {"protocol": protocol}}, subscribers=to_it)
            assert ("channel", "trades/main", "added") in changes
            with Traffic({"C": LINES["A"]}) as more:
                first = number_of(stays.recv(2048))
                sent = more.stop()
            assert [first, *numbers_until(stays, sent)] == list(range(1, sent + 1))
        final = relay.stop()
    assert [stream["lost_messages"] for stream in final["streams"]] == [0]
    assert [line["kernel_drops"] for stream in final["streams"] for line in stream["lines"]] == [0]


def test_an_address_that_another_line_keeps_cannot_be_had(tmp_path: Path) -> None:
    with relay_of(tmp_path) as relay:
        twice = feed("AB")
        twice["lines"]["C"] = twice["lines"]["A"]
        relay.write(feeds={"quotes": twice})
        answer = relay.command("reload")
        assert answer.returncode != 0
        assert "127.0.0.1:20001" in answer.stderr
        assert [line["line"] for line in relay.counters()["streams"][0]["lines"]] == ["A", "B"]
