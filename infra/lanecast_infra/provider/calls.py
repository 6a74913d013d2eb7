"""One operation on one resource: requests that are repeated where that helps, client tokens, waiting, and progress."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

from baidubce.exception import BceClientError, BceHttpClientError
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from lanecast_infra.provider.clients import Clients
from lanecast_infra.provider.failures import CancelledError, CloudError, NotSettledError, from_sdk
from lanecast_infra.provider.model import Values

PATIENCE_S: Final = 120.0
"""How long a service that throttles or fails is asked again."""
UNREACHABLE_S: Final = 10.0
"""How long one that does not listen is."""
LONGEST_PAUSE_S: Final = 10.0
FIRST_PAUSE_S: Final = 0.2

Say = Callable[[str], None]


@dataclass(slots=True)
class Call:
    """What a declaration's functions get to work with."""

    clients: Clients
    region: str
    stopped: Event = field(default_factory=Event)
    """Set when the engine asks to stop."""
    say: Say = lambda text: None
    """Tells the person what is waited for."""
    deadline: float = field(default_factory=lambda: time.monotonic() + 600)
    """Until when waiting is allowed, on the monotonic clock in seconds."""
    seed: str = ""
    """What the client tokens of this operation are made of."""

    def ask(
        self, client: Any, method: str, *, region: str | None = None, repeatable: bool = True, **arguments: Any
    ) -> Values:
        """The reply's JSON. Raises :class:`CloudError`.

        A request that is not ``repeatable`` is not sent again when it is open whether it was carried out.
        """
        service = self.clients.get(client, region or self.region)

        def once() -> Values:
            self.check_stopped()
            try:
                reply = getattr(service, method)(**arguments).get_body_map()
            except BceHttpClientError as error:
                raise from_sdk(method, error) from None
            except (BceClientError, ValueError, TypeError) as error:  # the SDK does not send what it finds wrong
                raise CloudError(method, None, "InvalidArgument", str(error), None) from error
            return dict(reply)

        def again(error: BaseException) -> bool:
            return isinstance(error, CloudError) and error.passes and (repeatable or not error.ambiguous)

        retrying = Retrying(
            retry=retry_if_exception(again),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
            stop=_patience_is_over,
            sleep=self.pause,
            before_sleep=self._tell_again,
            reraise=True,
        )
        return retrying(once)

    def try_once(self, client: Any, method: str, *, region: str | None = None, **arguments: Any) -> None:
        """A request that must not be carried out twice: when no answer comes, the asker has to look what was done."""
        try:
            self.ask(client, method, region=region, repeatable=False, **arguments)
        except CloudError as error:
            if not error.ambiguous:
                raise
            self.say(f"looking whether it was done: {error}")

    def pages(self, client: Any, method: str, items: str, **arguments: Any) -> Iterator[Values]:
        """Everything that a paged list holds."""
        marker: dict[str, Any] = {}
        while True:
            page = self.ask(client, method, **arguments, **marker)
            yield from page.get(items) or []
            if not page.get("isTruncated") or not page.get("nextMarker"):
                return
            marker = {"marker": page["nextMarker"]}

    def token(self, purpose: str) -> str:
        """A client token: the same whenever the same thing is made for the same purpose, also by another process."""
        return hashlib.sha256(f"{self.seed}\n{purpose}".encode()).hexdigest()[:48]

    def pause(self, seconds: float) -> None:
        """Wait, unless asked to stop."""
        if self.stopped.wait(seconds):
            self.check_stopped()

    def check_stopped(self) -> None:
        """Raise :class:`CancelledError` when asked to stop."""
        if self.stopped.is_set():
            raise CancelledError("it was cancelled; what was begun is found again by the next run")

    def pauses(self) -> Iterator[float]:
        """Growing pauses until the deadline, each of which has passed when the next is asked for."""
        length = FIRST_PAUSE_S
        while (left := self.deadline - time.monotonic()) > 0:
            yield left
            self.pause(min(length * random.uniform(0.8, 1.2), max(left, 0.01)))
            length = min(length * 1.5, LONGEST_PAUSE_S)

    def until(self, left_to_do: Callable[[], str | None]) -> None:
        """Wait until nothing is left to do, telling what is; give up at the deadline."""
        text = None
        for _ in self.pauses():
            if (text := left_to_do()) is None:
                return
            self.say(f"waiting: {text}")
        raise NotSettledError(f"its time is over: {text}; run it again, or give it longer by customTimeouts")

    def _tell_again(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.say(f"asking again: {error}")


def seed_of(urn: str, inputs: Values, generation: int) -> str:
    """What names one making of one resource. The URN holds project and stack."""
    return json.dumps([urn, inputs, generation], sort_keys=True, default=str)


def _patience_is_over(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    unreachable = isinstance(error, CloudError) and error.unsent
    return (state.seconds_since_start or 0) > (UNREACHABLE_S if unreachable else PATIENCE_S)
