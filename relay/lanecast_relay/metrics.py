"""The counters as Prometheus metrics, over HTTP on an address of the file's choice.

Names follow the Prometheus naming rules: a unit, and ``_total`` on what only grows. They are a contract: dashboards and
alerts hold on to them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from lanecast_relay.config.model import Endpoint

PREFIX = "lanecast_relay"

LINE_LABELS = ("relay", "feed", "channel", "line")
STREAM_LABELS = ("relay", "feed", "channel")
SUBSCRIBER_LABELS = ("relay", "subscriber")

FINAL_CLASSES = ("forwarded", "duplicate", "late", "heartbeat", "passed_on", "malformed", "filtered")
"""Classes that a datagram never leaves again (design, decision 6); ``held`` is the one that it does."""

LINE_COUNTERS = {
    "received": ("received_datagrams", "Datagrams that the relay read."),
    "received_bytes": ("received_bytes", "Payload bytes that the relay read."),
    "kernel_drops": ("kernel_dropped_datagrams", "Datagrams that the kernel dropped before the relay could read them."),
    "receive_errors": ("receive_errors", "Receive calls that failed."),
}
LINE_GAUGES = {
    "held": ("held_datagrams", "Datagrams that wait for lower numbers; received is the sum of this and all classes."),
    "receive_buffer_bytes": ("receive_buffer_bytes", "Receive buffer that the kernel granted."),
}
STREAM_COUNTERS = {
    "lost_messages": ("lost_messages", "Messages that came on no line in time."),
    "requests": ("recovery_requests", "Questions to re-request servers."),
    "request_errors": ("recovery_request_errors", "Questions that the kernel did not take."),
    "lost_ranges": ("lost_ranges", "Ranges of messages that were declared lost."),
    "epochs": ("epochs", "Sessions, or runs of numbers, that there were."),
}
STREAM_GAUGES = {
    "next": ("next_number", "The number that leaves next; absent before the start window has closed."),
    "held_packets": ("held_packets", "Packets in hold."),
    "held_bytes": ("held_bytes", "Bytes in hold."),
}
RE_REQUEST_OUTCOMES = ("answers", "errors", "malformed", "strangers", "limited", "forgotten", "unknown")
"""What became of re-requests; their sum, and what is being looked for in the journal, is how many came."""

SUBSCRIBER_COUNTERS = {
    "limited_datagrams": ("limited_datagrams", "Datagrams that the subscriber's limits kept back."),
    "limited_messages": ("limited_messages", "Messages in them."),
    "limited_ranges": ("limited_ranges", "Ranges of messages that were declared refused."),
    "answers": ("answered_re_requests", "Answers to the subscriber's re-requests, which are not sent datagrams."),
    "answer_bytes": ("answered_bytes", "Payload bytes in them."),
    "answers_limited": ("limited_re_requests", "Answers that the subscriber's limits kept back."),
    "datagrams": ("sent_datagrams", "Datagrams that the kernel took for sending."),
    "bytes": ("sent_bytes", "Payload bytes that the kernel took for sending."),
    "dropped": ("dropped_datagrams", "Datagrams that the kernel did not take."),
}


FRESH_S = 0.5
"""How long a snapshot serves, in seconds: whoever may reach the address may ask as often as it likes, and the packet
thread takes each snapshot."""


class RelayCollector(Collector):
    """Reads the counters once for each scrape, or for all that come within ``FRESH_S``."""

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._latest: dict[str, Any] = {}
        self._stale_s = 0.0

    def _counters(self) -> dict[str, Any]:
        with self._lock:
            if time.monotonic() >= self._stale_s:
                self._latest = self._read()
                self._stale_s = time.monotonic() + FRESH_S
            return self._latest

    def collect(self) -> Iterable[Metric]:
        """Every metric, from one snapshot, so that their sums hold."""
        counters = self._counters()
        relay = counters["name"]
        streams = [((relay, stream["feed"], stream["channel"]), stream) for stream in counters["streams"]]
        lines = [((*labels, line["line"]), line) for labels, stream in streams for line in stream["lines"]]
        subscribers = [((relay, one["name"]), one) for one in counters["subscribers"]]
        yield _classes(lines)
        yield from _families(CounterMetricFamily, LINE_COUNTERS, LINE_LABELS, lines)
        yield from _families(GaugeMetricFamily, LINE_GAUGES, LINE_LABELS, lines)
        yield from _families(CounterMetricFamily, STREAM_COUNTERS, STREAM_LABELS, streams)
        yield from _families(GaugeMetricFamily, STREAM_GAUGES, STREAM_LABELS, streams)
        yield from _families(CounterMetricFamily, SUBSCRIBER_COUNTERS, SUBSCRIBER_LABELS, subscribers)
        yield _refused(subscribers)
        yield _latencies(lines)
        yield from _re_requests(streams)
        yield from _fan_out(relay, counters["fan_out"])
        yield from _journal(relay, counters["journal"])


Labelled = Sequence[tuple[tuple[str, ...], dict[str, Any]]]


def _families(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    fields: Mapping[str, tuple[str, str]],
    labels: tuple[str, ...],
    values: Labelled,
) -> Iterator[Metric]:
    for field, (name, text) in fields.items():
        family = kind(f"{PREFIX}_{name}", text, labels=labels)
        for label_values, counters in values:
            if counters[field] is not None:
                family.add_metric(label_values, counters[field])
        yield family


def _classes(lines: Labelled) -> Metric:
    text = "Datagrams by what became of them."
    family = CounterMetricFamily(f"{PREFIX}_datagrams", text, labels=(*LINE_LABELS, "class"))
    for label_values, line in lines:
        for name in FINAL_CLASSES:
            family.add_metric((*label_values, name), line[name])
    return family


def _refused(subscribers: Labelled) -> Metric:
    text = "Sends that failed and ICMP reports, by errno."
    family = CounterMetricFamily(f"{PREFIX}_refused_sends", text, labels=(*SUBSCRIBER_LABELS, "errno"))
    for label_values, subscriber in subscribers:
        for errno, count in subscriber["refused"].items():
            family.add_metric((*label_values, errno), count)
    return family


def _latencies(lines: Labelled) -> Metric:
    text = "From the kernel's receive time stamp to after the last subscriber's send, of datagrams that left at once."
    family = HistogramMetricFamily(f"{PREFIX}_latency_seconds", text, labels=LINE_LABELS)
    for label_values, line in lines:
        latency = line["latency"]
        bounds = [str(bound / 1e9) for bound in latency["bounds_ns"]]
        if bounds:
            buckets = list(zip([*bounds, "+Inf"], latency["counts"], strict=True))
            family.add_metric(label_values, buckets, sum_value=latency["sum_ns"] / 1e9)
    return family


def _re_requests(streams: Labelled) -> Iterator[Metric]:
    text = "Subscribers' requests for messages, by what became of them."
    family = CounterMetricFamily(f"{PREFIX}_re_requests", text, labels=(*STREAM_LABELS, "outcome"))
    memory = GaugeMetricFamily(f"{PREFIX}_memory_bytes", "What is kept for re-requests.", labels=STREAM_LABELS)
    text = "Requests that are being looked for in the journal."
    waiting = GaugeMetricFamily(f"{PREFIX}_re_requests_waiting", text, labels=STREAM_LABELS)
    for label_values, stream in streams:
        counted = stream["re_requests"]
        if counted is not None:
            memory.add_metric(label_values, counted["memory_bytes"])
            waiting.add_metric(label_values, counted["waiting"])
            for outcome in RE_REQUEST_OUTCOMES:
                family.add_metric((*label_values, outcome), counted[outcome])
    yield family
    yield memory
    yield waiting


FAN_OUT_COUNTERS = {
    "failed_clones": (
        "failed_clones",
        "Sends to one subscriber that fan-out in the kernel could not do; a group's last member is not covered.",
    ),
}
FAN_OUT_GAUGES = {"grouped": ("grouped_outputs", "Outputs that fan-out in the kernel serves.")}


def _fan_out(relay: str, fan_out: dict[str, Any]) -> Iterator[Metric]:
    values = [((relay,), fan_out)]
    yield from _families(CounterMetricFamily, FAN_OUT_COUNTERS, ("relay",), values)
    yield from _families(GaugeMetricFamily, FAN_OUT_GAUGES, ("relay",), values)


JOURNAL_COUNTERS = {
    "recorded": ("journal_recorded_datagrams", "Datagrams that the journal took."),
    "written": ("journal_written_datagrams", "Datagrams that are in the journal's segments and safe on disk."),
    "written_bytes": ("journal_written_bytes", "Bytes of the segments that they are in."),
    "dropped": ("journal_dropped_datagrams", "Datagrams that the journal did not take: too much waited for the disk."),
    "failed": ("journal_failed_datagrams", "Datagrams that the disk refused."),
}
JOURNAL_GAUGES = {
    "kept_bytes": ("journal_kept_bytes", "What the journal takes on disk."),
    "segments": ("journal_segments", "Segments that are kept."),
}


def _journal(relay: str, journal: dict[str, Any] | None) -> Iterator[Metric]:
    if journal is not None:
        values = [((relay,), journal)]
        yield from _families(CounterMetricFamily, JOURNAL_COUNTERS, ("relay",), values)
        yield from _families(GaugeMetricFamily, JOURNAL_GAUGES, ("relay",), values)


@contextlib.contextmanager
def exporting(endpoint: Endpoint | None, read: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Answer ``GET /metrics`` on ``endpoint`` meanwhile; do nothing without one.

    Raises ``OSError`` naming the address when it cannot be had.
    """
    if endpoint is None:
        yield
        return
    registry = CollectorRegistry()
    registry.register(RelayCollector(read))
    try:
        server, thread = start_http_server(endpoint.port, str(endpoint.address), registry)
    except OSError as error:
        raise OSError(error.errno, f"cannot serve metrics on {endpoint}: {error.strerror}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
