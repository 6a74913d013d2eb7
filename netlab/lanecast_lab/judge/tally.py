"""Follows one stream at one instance through everything that arrived on its port."""

from __future__ import annotations

from collections import Counter

from lanecast_lab.judge.expected import Expectation, Stream
from lanecast_lab.judge.files import CLOCK_STEP_LIMIT_NS, Received
from lanecast_lab.judge.model import RunInvalid, SubscriberResult
from lanecast_lab.judge.stalls import Stalls
from lanecast_lab.traffic.framing import FramingError, Message, messages

ABSENT, CHANGED, INTACT = 0, 1, 2
"""What is known of a message: no copy arrived; only changed ones did; an intact one did."""


NUMBERS_SHOWN = 5


class Tally:
    """Counts what became of each message of a stream."""

    def __init__(self, instance: str, stream: Stream, expectation: Expectation, stalls: Stalls) -> None:
        self._instance = instance
        self._stalls = stalls
        self._stream = stream
        self._expectation = expectation
        self._state = bytearray(len(stream.due))
        self._latest = -1
        """The position of the latest intact message in the stream's order."""
        self._duplicated = 0
        self._corrupted = 0
        self._out_of_order = 0
        self._latencies: list[int] = []
        self._undisturbed: list[int] = []
        self._unknown: list[bytes] = []
        """Contents on an unnumbered stream that are nobody's: told apart at the end."""
        self.unexpected: Counter[str] = Counter()

    def receive(self, datagram: Received) -> None:
        """Take one datagram of the stream's port, in the order of arrival."""
        protocol = self._stream.feed.protocol
        try:
            found = messages(protocol, self._stream.name, datagram.payload)
        except FramingError as error:
            self.unexpected[f"not {protocol.value}: {error}"] += 1
            return
        if not found and not self._stream.announces_rightly(datagram.payload):
            self.unexpected["a heartbeat with a number that the stream never had"] += 1
        strange = {self._message(message, datagram) for message in found} - {""}
        for what in strange:
            self.unexpected[what] += 1

    def _message(self, message: Message, datagram: Received) -> str:
        """Count one message; what it is when it has no place in this stream, else nothing."""
        if message.number is None:
            return self._unnumbered(message, datagram)
        at = self._stream.position.get((message.epoch, message.number))
        if at is not None and self._stream.due[at].body == message.body:
            self._intact(at, datagram.time_ns)
            return ""
        owner = self._expectation.owner(message, self._stream.feed.protocol)
        if owner is not None:
            return f"a datagram of {owner}"
        if at is None:
            return self._expectation.describe(datagram.payload)
        self._changed(at)
        return ""

    def _unnumbered(self, message: Message, datagram: Received) -> str:
        places = self._stream.by_body.get(message.body)
        if places:
            known = datagram.time_ns + CLOCK_STEP_LIMIT_NS
            free = [at for at in places if self._state[at] == ABSENT and self._stream.due[at].due_ns <= known]
            # Of equal contents the next in order is meant, so that a lost one does not make the others look late.
            self._intact(next((at for at in free if at > self._latest), (free or places)[0]), datagram.time_ns)
            return ""
        what = self._expectation.describe(datagram.payload)
        if what.endswith("that no feed had due"):
            self._unknown.append(message.body)
            return ""
        return what

    def _intact(self, at: int, time_ns: int) -> None:
        if self._state[at] != ABSENT:
            self._duplicated += 1
        elif at < self._latest:
            self._out_of_order += 1
        if self._state[at] != INTACT:
            self._state[at] = INTACT
            due_ns = self._stream.due[at].due_ns
            self._latencies.append(time_ns - due_ns)
            self._undisturbed.append(time_ns - due_ns - self._stalls.within(due_ns, time_ns))
            self._latest = max(self._latest, at)

    def _changed(self, at: int) -> None:
        self._corrupted += 1
        if self._state[at] == ABSENT:
            self._state[at] = CHANGED
        else:
            self._duplicated += 1

    def _place_unknown(self) -> None:
        """A content that nobody sent stands for the first absent one of its length, as far as there is one."""
        for body in self._unknown:
            length = len(body)
            places = (
                at for at, due in enumerate(self._stream.due) if self._state[at] == ABSENT and len(due.body) == length
            )
            at = next(places, None)
            if at is None:
                self.unexpected["a datagram that no feed had due"] += 1
            else:
                self._changed(at)
        self._unknown.clear()

    def _refuse_untold(self, recovered: list[int]) -> None:
        """What no line had can only be what a server answered; otherwise the records are not those of this run."""
        answered = self._expectation.answered.get((self._stream.feed.name, self._stream.name), set())
        untold = [at for at in recovered if self._stream.due[at].key not in answered]
        if untold:
            numbers = " ".join(str(one) for one in self._stream.ranges(untold[:NUMBERS_SHOWN], lambda _: True))
            raise RunInvalid(
                [
                    f"{self._instance}, {self._stream.feed.name} channel {self._stream.name}: {len(untold)} messages"
                    f" arrived that no line had and no re-request server answered with: {numbers}"
                ]
            )

    def result(self) -> SubscriberResult:
        """The outcome, when everything has been received."""
        self._place_unknown()
        stream = self._stream
        absent = [at for at, state in enumerate(self._state) if state == ABSENT]
        recovered = [at for at, state in enumerate(self._state) if state == INTACT and not stream.due[at].lines_sent]
        if stream.sequenced:
            self._refuse_untold(recovered)
        return SubscriberResult(
            name=self._instance,
            feed=stream.feed.name,
            stream=stream.name,
            expected=len(stream.due),
            received=len(stream.due) - len(absent),
            intact=self._state.count(INTACT),
            duplicated=self._duplicated,
            out_of_order=self._out_of_order,
            corrupted=self._corrupted,
            unexpected=self.unexpected.total(),
            only_on=stream.only_on(),
            recovered=len(recovered),
            never_sent=stream.ranges(absent, lambda due: due.lines_sent == 0),
            lost_on_the_way=stream.ranges(absent, lambda due: due.lines_sent != 0),
            latencies_ns=tuple(sorted(self._latencies)),
            undisturbed_ns=tuple(sorted(self._undisturbed)),
        )
