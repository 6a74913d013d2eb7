"""One trial: a relay is offered one rate for some seconds, and what every receiver got is counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lanecast_bench.addresses import GROUP, GROUP_PORT, SECOND_GROUP, SECOND_GROUP_PORT, SENDER
from lanecast_bench.machine import wait_quiet
from lanecast_bench.processes import Child
from lanecast_bench.relay_file import Input
from lanecast_bench.relays import RunningRelay, sink_place
from lanecast_bench.tools import UDPBENCH

SINK_BUFFER_BYTES = "134217728"
SINK_EXTRA_S = 3.0
"""How much longer than the sender the sink listens; it ends before, when nothing comes any more."""

READY_S = 5.0
FINISH_S = 90.0
LEAST_OFFERED_SHARE = 0.97
"""A sender that did not reach this share of its rate proves nothing about the relay."""

DISTURBED_SHARE = 0.1
"""The share of one processor that other work may take before a failed trial proves nothing."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is sent in a trial, apart from the rate."""

    input_kind: Input
    mix: Path | None
    size_bytes: int = 200
    seconds: float = 2.0
    loss_a_permille: int = 10
    loss_b_permille: int = 10
    seed: int = 1
    quiet_wait_s: float = 15.0
    check: bool = False
    """Judge each receiver's numbers also where only one line is sent."""

    @property
    def checks(self) -> bool:
        """Whether each receiver's numbers are judged."""
        return self.check or self.input_kind is Input.LINES


class Latency(BaseModel):
    """One-way latency from the sender's stamp to the sink's read, in nanoseconds."""

    model_config = ConfigDict(frozen=True)

    p50: int
    p90: int
    p99: int
    p999: int
    maximum: int


class Receiver(BaseModel):
    """What the sink counted for one receiver's address."""

    model_config = ConfigDict(frozen=True)

    address: str
    received: int
    duplicate: int
    disordered: int
    missing: int


class Sent(BaseModel):
    """What the sender says at its end."""

    messages: int
    messages_pps: float
    kept_a: int
    kept_b: int
    cpu_s: float


class Received(BaseModel):
    """What the sink says at its end."""

    messages: int
    datagrams: int
    bytes: int
    malformed: int
    messages_pps: float
    socket_drops: int
    latency_ns: Latency
    receivers: list[Receiver]


class ExactlyOnce(BaseModel):
    """What the lines kept, and what of it arrived twice, late or never, over all receivers."""

    model_config = ConfigDict(frozen=True)

    kept_a: int
    kept_b: int
    duplicate: int
    disordered: int
    missing: int
    wrong_receivers: int


class Trial(BaseModel):
    """The result. Rates are messages a second: into the relay (``in_pps``), and out to all receivers (``out_pps``)."""

    model_config = ConfigDict(frozen=True)

    rate_pps: int
    in_pps: float
    sent: int
    wanted: int
    received: int
    lost: int
    out_pps: float
    datagrams: int
    out_bytes: int
    malformed: int
    sink_drops: int
    latency_ns: Latency
    relay_cpu_s: float
    sender_cpu_s: float
    other_cpu_s: float
    busy_before: float
    seconds: float
    exactly_once: ExactlyOnce | None = Field(default=None)

    @property
    def disturbed(self) -> bool:
        """Other work, or the host, took so much that a failure is not the relay's."""
        return self.other_cpu_s >= DISTURBED_SHARE * self.seconds

    def passed(self, most_p99_ms: float) -> bool:
        """Every message reached every receiver once, and no queue stood."""
        once = self.exactly_once is None or not self.exactly_once.wrong_receivers
        return (
            self.lost == 0
            and self.malformed == 0
            and once
            and self.in_pps > LEAST_OFFERED_SHARE * self.rate_pps
            and self.latency_ns.p99 < most_p99_ms * 1e6
        )


def exactly_once(sent: Sent, receivers: list[Receiver], fanout: int) -> ExactlyOnce:
    """Judge every receiver's numbers; one that got nothing at all is wrong too."""
    wrong = sum(
        each.received != sent.messages or bool(each.duplicate or each.disordered or each.missing) for each in receivers
    )
    return ExactlyOnce(
        kept_a=sent.kept_a,
        kept_b=sent.kept_b,
        duplicate=sum(each.duplicate for each in receivers),
        disordered=sum(each.disordered for each in receivers),
        missing=sum(each.missing for each in receivers),
        wrong_receivers=wrong + fanout - len(receivers),
    )


def run_trial(relay: RunningRelay, rate_pps: int, offer: Offer) -> Trial:
    """Offer one rate; raise :class:`~lanecast_bench.processes.BenchError` when the relay or a tool ended by itself."""
    if offer.input_kind is not Input.PLAIN:
        relay.restart()
    busy = wait_quiet(offer.quiet_wait_s)
    relay_before, other_before = relay.cpu_seconds()
    sink = _start_sink(relay, offer)
    try:
        sent = Sent.model_validate(_send(relay, rate_pps, offer))
        received = Received.model_validate(sink.finish(FINISH_S))
    finally:
        sink.stop()
    relay_after, other_after = relay.cpu_seconds()
    relay.check()
    fanout = relay.setting.fanout
    once = exactly_once(sent, received.receivers, fanout) if offer.checks else None
    wanted = sent.messages * fanout
    return Trial(
        rate_pps=rate_pps,
        in_pps=sent.messages_pps,
        sent=sent.messages,
        wanted=wanted,
        received=received.messages,
        lost=wanted - received.messages + (once.duplicate if once else 0),
        out_pps=received.messages_pps,
        datagrams=received.datagrams,
        out_bytes=received.bytes,
        malformed=received.malformed,
        sink_drops=received.socket_drops,
        latency_ns=received.latency_ns,
        relay_cpu_s=round(relay_after - relay_before, 2),
        sender_cpu_s=sent.cpu_s,
        other_cpu_s=round(other_after - other_before, 2),
        busy_before=busy,
        seconds=offer.seconds,
        exactly_once=once,
    )


def _start_sink(relay: RunningRelay, offer: Offer) -> Child:
    options = sink_place(relay.spec, relay.setting.fanout)
    options |= {"seconds": str(offer.seconds + SINK_EXTRA_S), "receive-buffer": SINK_BUFFER_BYTES}
    switches = ["--mold"] * (offer.input_kind is not Input.PLAIN) + ["--check"] * offer.checks
    network = relay.setting.network
    sink = Child(network.inside(network.sink, str(UDPBENCH), "receive", *_words(options), *switches))
    sink.wait_printed(READY_S)
    sink.check("the sink")
    return sink


def _send(relay: RunningRelay, rate_pps: int, offer: Offer) -> dict[str, Any]:
    options = {
        "destination": GROUP,
        "port": str(GROUP_PORT),
        "interface": SENDER,
        "rate": str(rate_pps),
        "seconds": str(offer.seconds),
        "cpu": "0",
    }
    options |= {"sizes": str(offer.mix)} if offer.mix else {"size": str(offer.size_bytes)}
    if offer.input_kind is Input.LINES:
        options |= {"second-destination": SECOND_GROUP, "second-port": str(SECOND_GROUP_PORT)}
        options |= {"loss-a": str(offer.loss_a_permille), "loss-b": str(offer.loss_b_permille), "seed": str(offer.seed)}
    switches = ["--mold"] * (offer.input_kind is not Input.PLAIN)
    network = relay.setting.network
    sender = Child(network.inside(network.sender, str(UDPBENCH), "send", *_words(options), *switches))
    try:
        return sender.finish(FINISH_S)
    finally:
        sender.stop()


def _words(options: dict[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in (f"--{name}", value)]
