"""The real program with Kopf's watches, in a process of its own, as one life of an operator."""

import asyncio
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from stage import Stage
from wire import Line
from world import World

from operator_process import OperatorProcess

_SILENCE: Final = 0.5
"""Seconds without a call after which a process seems to be at rest; a trial's result does not rest on it."""


class OuterLife:
    """A process that is killed by SIGKILL."""

    def __init__(self, process: OperatorProcess, line: Line) -> None:
        self.line = line
        self.lossy = False
        self.crashes: list[str] = []
        self._process = process
        self._running = False

    @property
    def alive(self) -> bool:
        return self._running and not self.line.dead

    @property
    def leads(self) -> bool:
        return self.alive

    @property
    def stands_by(self) -> bool:
        return not self.alive

    @property
    def at_rest(self) -> bool:
        return time.monotonic() - self.line.used > _SILENCE  # as far as anybody can see from outside

    @property
    def report_url(self) -> str:
        return self._process.url

    async def start(self) -> None:
        await asyncio.to_thread(self._process.start)
        self._running = True

    async def relist(self) -> None:
        """Do nothing: it has its own clock for that."""

    def release(self) -> bool:
        return False

    def pass_time(self, seconds: float) -> None:
        """Do nothing: it lives in real time, and what is tried on it waits for none."""

    def die(self) -> None:
        process = self._process._process
        assert isinstance(process, subprocess.Popen)
        process.send_signal(signal.SIGKILL)

    async def end(self) -> None:
        self.line.dead = True
        if self._running:
            self._running = False
            await asyncio.to_thread(self._process.kill)


def process_of(stage: Stage, world: World, folder: Path, running: int, line: Line) -> OperatorProcess:
    """Return an operator of a trial, as a program that has not started."""
    folder.mkdir(parents=True, exist_ok=True)
    return OperatorProcess(
        stage.cluster,
        folder,
        server=line.url,
        namespaces=[world.namespace],
        limits={"running": running},
        worker={"image": "crawl-worker:latest", "allowedNetworks": []},
        reconcile={"patienceSeconds": 0, "progressIntervalSeconds": 0.1},
    )
