"""One live line a phase, on a terminal; plain lines where there is none."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.status import Status


class Progress:
    """Shows a lab's events as they come: which phase runs, how long each took, how much was sent."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._phase: str | None = None
        self._started = time.monotonic()
        self._detail = ""

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._status = self._console.status("starting the lab")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish_phase()
        if self._status is not None:
            self._status.stop()

    def listen(self, event: dict[str, Any]) -> None:
        """Show one event of a supervisor."""
        match event["event"]:
            case "phase":
                self._finish_phase()
                self._phase, self._started, self._detail = event["text"], time.monotonic(), ""
                self._show(event["text"])
            case "progress":
                self._detail = f"{event['sent']} of {event['total']} sent, {event['received']} received"
                self._show(f"{self._phase}: {self._detail}")
            case _:
                self._finish_phase()

    def _show(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)

    def _finish_phase(self) -> None:
        if self._phase is not None:
            seconds = time.monotonic() - self._started
            detail = f" ({self._detail})" if self._detail else ""
            self._console.print(f"{seconds:6.1f} s  {self._phase}{detail}", markup=False, highlight=False)
        self._phase = None
