"""The loop of a worker that takes work again and again, with hooks around it; it needs the standard library alone.

Our own entry point is such a worker that runs one attempt and is done. One that serves a queue of its own overrides
`process_batch` and calls `main`.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from crawl_worker.health import HealthServer, State

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How often work is looked for, and what errors cost; all in seconds."""

    busy_interval: float = 0.0
    """Pause after a batch that found work."""
    idle_interval: float = 30.0
    """Pause after one that found none (WORKER_IDLE_INTERVAL)."""
    max_errors: int = 5
    """Errors in a row after which the worker ends (WORKER_MAX_RETRIES)."""
    min_delay: float = 1.0
    """Pause after the first error; it doubles with each further one (BACKOFF_MIN_DELAY)."""
    max_delay: float = 300.0
    """The longest pause (BACKOFF_MAX_DELAY)."""
    grace: float = 25.0
    """What a batch gets to end by itself when the worker is to stop (WORKER_GRACE_SECONDS)."""

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read what the environment says; raises ValueError with everything that is wrong."""
        names: dict[str, tuple[str, type[int | float]]] = {
            "WORKER_IDLE_INTERVAL": ("idle_interval", float),
            "WORKER_MAX_RETRIES": ("max_errors", int),
            "BACKOFF_MIN_DELAY": ("min_delay", float),
            "BACKOFF_MAX_DELAY": ("max_delay", float),
            "WORKER_GRACE_SECONDS": ("grace", float),
        }
        found: dict[str, Any] = {}
        problems = []
        for variable, (field, kind) in names.items():
            if (text := environment.get(variable)) is None:
                continue
            try:
                found[field] = kind(text)
            except ValueError:
                found[field] = -1
            if not 0 <= found[field] <= 86400:
                problems.append(f"{variable}: not a number from 0 to 86400: {text}")
        if problems:
            raise ValueError("; ".join(problems))
        return cls(**found)

    def delay(self, errors: int) -> float:
        """Return the pause after so many errors in a row."""
        return float(min(self.max_delay, self.min_delay * 2 ** (errors - 1)))


class TooManyErrorsError(Exception):
    """A worker has met as many errors in a row as it may; the last one is the cause."""


class BaseWorker(ABC):
    """Override `process_batch`, and the hooks that are of use.

    Args:
        name: in logs and at `/health`.
        pace: how often to look for work; by default what the environment says.
        options: anything else, kept in `options`.
    """

    def __init__(self, name: str, pace: Pace | None = None, **options: Any) -> None:
        self.name = name
        self.pace = pace if pace is not None else Pace.of()
        self.options = options
        self.processed = 0
        """Items so far."""
        self.errors = 0
        """In a row."""
        self._began: float | None = None
        self._stop = asyncio.Event()

    @abstractmethod
    async def process_batch(self) -> int:
        """Do what there is to do; return how many items that was.

        It may look at `stopping` between two items; it is cancelled when the grace is over, and must then hand back
        what it has not finished.
        """

    async def on_startup(self) -> None:  # noqa: B027 (a hook)
        """Run once, before the first batch."""

    async def on_shutdown(self) -> None:  # noqa: B027 (a hook)
        """Run once, after the last batch, whatever ended the loop."""

    async def on_error(self, error: Exception) -> None:  # noqa: B027 (a hook)
        """Run after each batch that raised."""

    @property
    def stopping(self) -> bool:
        """Whether the worker is to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End the loop after the current batch; to be called in the loop's own thread."""
        self._stop.set()

    def state(self) -> State:
        """Return what `/health` tells."""
        running = time.monotonic() - self._began if self._began is not None else 0.0
        return State(self.name, self.errors < self.pace.max_errors, self.processed, self.errors, round(running, 1))

    async def run(self, *, once: bool = False) -> int:
        """Work until `stop`, or for one batch; return how many items were processed.

        Raises:
            TooManyErrorsError: the loop met as many errors in a row as it may.
            Exception: what the one batch raised.
        """
        await self.on_startup()
        try:
            while not self.stopping:
                pause = await self._one(once=once)
                if once:
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stop.wait()
        finally:
            await self.on_shutdown()
        return self.processed

    async def _one(self, *, once: bool) -> float:
        """Process a batch; return for how long to pause then."""
        try:
            done = await self._batch()
        except Exception as error:
            self.errors += 1
            await self.on_error(error)
            if once:
                raise
            _LOG.warning("a batch failed", extra={"worker": self.name, "errors": self.errors, "error": str(error)})
            if self.errors >= self.pace.max_errors:
                raise TooManyErrorsError(f"{self.errors} errors in a row; the last: {error}") from error
            return self.pace.delay(self.errors)
        self.errors = 0
        self.processed += done
        return self.pace.busy_interval if done else self.pace.idle_interval

    async def _batch(self) -> int:
        """Process a batch, and cancel it where it outlives the grace."""
        batch = asyncio.ensure_future(self.process_batch())
        stop = asyncio.ensure_future(self._stop.wait())
        self._began = time.monotonic()
        try:
            await asyncio.wait({batch, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not batch.done():
                await asyncio.wait({batch}, timeout=self.pace.grace)
            if not batch.done():
                batch.cancel()
                await asyncio.wait({batch})
            return 0 if batch.cancelled() else batch.result()
        finally:
            self._began = None
            stop.cancel()
            batch.cancel()

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run as a program: `--once`, `--health-port`, and SIGTERM or SIGINT to end; return the exit code."""
        parser = argparse.ArgumentParser(description=f"Run the worker {self.name}.")
        add_arguments(parser)
        options = parser.parse_args(arguments)
        try:
            asyncio.run(self._serve(once=options.once, port=options.health_port))
        except Exception as error:  # noqa: BLE001 (whatever it was, the exit code says that the worker failed)
            _LOG.exception("the worker ends", extra={"worker": self.name, "error": str(error)})
            return 1
        return 0

    async def _serve(self, *, once: bool, port: int | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        async with HealthServer(self.state, port):
            await self.run(once=once)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every worker has."""
    parser.add_argument("--once", action="store_true", help="process one batch, and exit")
    parser.add_argument("--health-port", type=int, metavar="PORT", help="serve /health there, such as 8090")
