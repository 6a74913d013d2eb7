"""Reads what the native sender and receivers wrote (docs/wire-tool-formats.md) and refuses to judge on less."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from lanecast.fabric import Fabric
from lanecast_lab.judge.answers import ANSWERS_MAGIC, Answer, read_answers
from lanecast_lab.judge.model import RunInvalid
from lanecast_lab.judge.stalls import Stalls
from lanecast_lab.traffic.plan import Traffic

SENT_MAGIC = b"LCSENT01"
RECEIVED_MAGIC = b"LCRECV01"
TIME = Struct("<Q")
RECEIVED_ENTRY = Struct("<QHH")
STALLS_MAGIC = b"LCSTALL1"
STALL = Struct("<QQ")

CLOCK_STEP_LIMIT_NS = 1_000_000
"""How far CLOCK_REALTIME may move against CLOCK_MONOTONIC before latencies mean nothing (design, decision 12)."""


class Received(NamedTuple):
    """One datagram as an instance's kernel took it."""

    time_ns: int
    port: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Summaries:
    """The last JSON object that each sender, receiver (by instance) and re-request server printed."""

    senders: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    receivers: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    servers: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Of re-request servers, by exchange."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a verdict rests on besides the source's record."""

    started_ns: dict[str, int]
    """By exchange: when its schedule's first datagram was due, CLOCK_REALTIME."""
    received: dict[str, list[Received]]
    """By instance."""
    stalls: Stalls
    answers: dict[str, list[Answer]]
    """By exchange: what its re-request servers were asked."""


def read_evidence(
    fabric: Fabric,
    traffic: Traffic,
    sent: Mapping[str, Path],
    received: Mapping[str, Path],
    summaries: Summaries,
    stalls: Path,
    answers: Mapping[str, Path],
) -> Evidence:
    """Read all files; raise :class:`RunInvalid` with every reason for which they cannot be believed."""
    reasons: list[str] = []
    started = {}
    for exchange in traffic.schedule_start_ns:
        reasons.extend(_sender_reasons(exchange, summaries.senders.get(exchange)))
        started[exchange] = _read_sent(exchange, sent.get(exchange), traffic.scheduled(exchange), reasons)
    instances = sorted({application.instance for application in fabric.applications} | set(received))
    taken = {}
    for instance in instances:
        taken[instance] = _read_received(instance, received.get(instance), reasons)
        summary = summaries.receivers.get(instance)
        reasons.extend(_receiver_reasons(instance, summary, len(taken[instance])))
    answered = {
        exchange: _read_answers(exchange, answers.get(exchange), summaries.servers.get(exchange), reasons)
        for exchange in sorted({feed.exchange for feed in fabric.feeds if feed.recovery is not None})
    }
    stood_still = _read_stalls(stalls, reasons)
    if reasons:
        raise RunInvalid(reasons)
    return Evidence(started, taken, stood_still, answered)


def _sender_reasons(exchange: str, summary: Mapping[str, object] | None) -> list[str]:
    if summary is None:
        return [f"the sender of {exchange} ended without its summary"]
    reasons = []
    if refused := _count(summary, "refused"):
        reasons.append(f"the sender of {exchange}: the kernel refused {refused} datagrams: {summary.get('errors')}")
    return reasons + _clock_reasons(f"the sender of {exchange}", summary)


def _receiver_reasons(instance: str, summary: Mapping[str, object] | None, recorded: int) -> list[str]:
    who = f"the receiver of {instance}"
    if summary is None:
        return [f"{who} ended without its summary"]
    reasons = []
    if drops := _count(summary, "kernel_drops"):
        reasons.append(f"{who}: the kernel dropped {drops} datagrams before they could be read")
    if truncated := _count(summary, "truncated"):
        reasons.append(f"{who}: {truncated} datagrams were longer than its buffer")
    if _count(summary, "received") != recorded:
        reasons.append(f"{who}: it counted {summary.get('received')} datagrams and its file holds {recorded}")
    return reasons + _clock_reasons(who, summary)


def _clock_reasons(who: str, summary: Mapping[str, object]) -> list[str]:
    step = _count(summary, "clock_step_ns")
    if abs(step) <= CLOCK_STEP_LIMIT_NS:
        return []
    return [f"{who}: CLOCK_REALTIME moved by {step / 1e6:.3f} ms against CLOCK_MONOTONIC"]


def _count(summary: Mapping[str, object], name: str) -> int:
    """A number of a summary; one that is absent is 0 only where nothing else can be meant."""
    value = summary.get(name)
    if not isinstance(value, (int, float)):
        raise RunInvalid([f"a summary has no number {name}: {dict(summary)}"])
    return int(value)


def _content(what: str, path: Path | None, magic: bytes, reasons: list[str]) -> bytes | None:
    if path is None:
        reasons.append(f"{what}: there is none")
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        reasons.append(f"{what}: {path}: {error.strerror}")
        return None
    if not content.startswith(magic):
        reasons.append(f"{what}: {path} does not begin with {magic.decode()}")
        return None
    return content


def _read_sent(exchange: str, path: Path | None, scheduled: int, reasons: list[str]) -> int:
    """When the exchange's schedule began."""
    what = f"the sender's record of {exchange}"
    content = _content(what, path, SENT_MAGIC, reasons)
    if content is None:
        return 0
    body = memoryview(content)[len(SENT_MAGIC) :]
    if len(body) != TIME.size * (1 + scheduled):
        reasons.append(f"{what}: {path} holds {len(body)} bytes where {scheduled} datagrams need {8 * (1 + scheduled)}")
        return 0
    times = [time_ns for (time_ns,) in TIME.iter_unpack(body)]
    refused = times[1:].count(0)
    if refused:
        reasons.append(f"{what}: {refused} of {scheduled} datagrams were not sent")
    return int(times[0])


def _read_received(instance: str, path: Path | None, reasons: list[str]) -> list[Received]:
    what = f"the receiver's file of {instance}"
    content = _content(what, path, RECEIVED_MAGIC, reasons)
    if content is None:
        return []
    found = []
    offset = len(RECEIVED_MAGIC)
    while offset + RECEIVED_ENTRY.size <= len(content):
        time_ns, port, length = RECEIVED_ENTRY.unpack_from(content, offset)
        start = offset + RECEIVED_ENTRY.size
        offset = start + length
        if offset <= len(content):
            found.append(Received(time_ns, port, content[start:offset]))
    if offset != len(content):
        reasons.append(f"{what}: {path} is cut in the middle of a datagram")
    return found


def _read_answers(
    exchange: str, path: Path | None, summary: Mapping[str, object] | None, reasons: list[str]
) -> list[Answer]:
    what = f"the record of {exchange}'s re-request servers"
    if summary is None:
        reasons.append(f"the re-request servers of {exchange} ended without their summary")
    else:
        reasons.extend(_clock_reasons(f"the re-request servers of {exchange}", summary))
    content = _content(what, path, ANSWERS_MAGIC, reasons)
    if content is None:
        return []
    try:
        found = read_answers(memoryview(content)[len(ANSWERS_MAGIC) :])
    except ValueError as error:
        reasons.append(f"{what}: {path} {error}")
        return []
    counted = summary.get("messages") if summary is not None else None
    if summary is not None and counted != sum(answer.answered for answer in found):
        reasons.append(f"{what}: they counted {counted} messages and it holds another number")
    return found


def _read_stalls(path: Path, reasons: list[str]) -> Stalls:
    what = "the record of the machine's stalls"
    content = _content(what, path, STALLS_MAGIC, reasons)
    body = memoryview(content or b"")[len(STALLS_MAGIC) :]
    if len(body) % STALL.size:
        reasons.append(f"{what}: {path} is cut in the middle of an entry")
        return Stalls([])
    return Stalls(list(STALL.iter_unpack(body)))
