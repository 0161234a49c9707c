"""Signals and the last resort, in a thread of their own: both must work when the event loop is stuck.

The signals are blocked for the whole process and taken here, one by one, so a second SIGTERM interrupts nothing.
"""

import math
import signal
import time
from collections.abc import Callable
from threading import Thread
from typing import Final

STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_MAX_WAIT: Final = 1.0


def block_signals() -> None:
    """Leave the stop signals to the watchdog. To be called before any thread starts: threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


class Watchdog(Thread):
    """Waits for a stop signal or its deadline.

    Args:
        deadline: on the monotonic clock; `move` changes it.
        grace: seconds after the first signal at which the deadline is at the latest.
        on_signal: called once, in this thread, at the first signal.
        on_expiry: called once, in this thread, at the deadline; expected to end the process.
    """

    def __init__(
        self, deadline: float, grace: float, on_signal: Callable[[], None], on_expiry: Callable[[], None]
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._deadline = deadline
        self._grace = grace
        self._on_signal = on_signal
        self._on_expiry = on_expiry

    def move(self, deadline: float) -> None:
        """Expect the process to end by then instead, if no signal sets a limit."""
        self._deadline = deadline

    def run(self) -> None:
        """Wait, and act."""
        latest = math.inf
        while (left := min(self._deadline, latest) - time.monotonic()) > 0:
            if signal.sigtimedwait(STOP_SIGNALS, min(left, _MAX_WAIT)) is not None and latest == math.inf:
                latest = time.monotonic() + self._grace
                self._on_signal()
        self._on_expiry()
