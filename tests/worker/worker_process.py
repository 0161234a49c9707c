"""The worker as a real process: its files, its environment, its end."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from operator_stand_in import StandIn

from crawl_api.worker_protocol import Assignment, Outcome
from crawl_worker.ledger import LEDGER_FILE


@dataclass
class Ended:
    """How a worker ended."""

    code: int
    log: str
    message: str
    work: Path

    @property
    def outcome(self) -> Outcome:
        outcome = Outcome.parse(self.message)
        assert outcome is not None, f"no outcome in {self.message!r}; log: {self.log}"
        return outcome


class Worker:
    """A worker process; `directory` holds its files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.work = directory / "work"
        self.work.mkdir(exist_ok=True)
        self.message = directory / "termination-log"
        self.token = directory / "token"
        self.token.write_text("first-token\n")
        self.assignment = directory / "assignment.json"
        self.arguments: tuple[str, ...] = ()

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONWARNINGS": "error::ResourceWarning,default::DeprecationWarning:__main__",
            "CRAWL_ASSIGNMENT_FILE": str(self.assignment),
            "CRAWL_TOKEN_FILE": str(self.token),
            "CRAWL_TERMINATION_LOG": str(self.message),
            "CRAWL_WORK_DIR": str(self.work),
        } | more

    async def start(
        self, job: dict[str, Any], preexec: Callable[[], None] | None = None, **environment: str
    ) -> asyncio.subprocess.Process:
        self.assignment.write_text(json.dumps(job))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "crawl_worker",
            *self.arguments,
            env=self.environment(**environment),
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=preexec,
        )

    async def end(self, process: asyncio.subprocess.Process, seconds: float = 60) -> Ended:
        try:
            async with asyncio.timeout(seconds):
                _, log = await process.communicate()
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            _, log = await process.communicate()
            pytest.fail(f"the worker did not end within {seconds} s: {log.decode()}")
        assert process.returncode is not None
        message = self.message.read_text() if self.message.exists() else ""
        return Ended(process.returncode, log.decode(), message, self.work)

    async def run(self, job: dict[str, Any], seconds: float = 60, **environment: str) -> Ended:
        return await self.end(await self.start(job, None, **environment), seconds)


async def peak_memory(process: asyncio.subprocess.Process) -> int:
    """Return the most that a worker and its children held at once until the worker ended, in bytes."""
    most = 0
    root = psutil.Process(process.pid)
    while process.returncode is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            held = 0
            for one in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    held += one.memory_info().rss
            most = max(most, held)
        await asyncio.sleep(0.05)
    return most


async def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds that another process brings about, which may have to start first."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 (no event crosses processes)
            await asyncio.sleep(0.02)


def assignment(operator: StandIn, *urls: str, **more: Any) -> dict[str, Any]:
    """Return the JSON of an assignment: one URL makes a Single, more make a Batch."""
    job: dict[str, Any] = {
        "namespace": "default",
        "name": "test",
        "uid": "0a0b",
        "attempt": 1,
        "timeoutSeconds": 60,
        "maxConcurrency": 10,
        "userAgent": "crawl-tests/1",
        "allowedNetworks": ["127.0.0.0/8"],
        "inlineLimitBytes": 1 << 20,
        "reportUrl": operator.url,
    }
    job |= (
        {"type": "Single", "single": {"url": urls[0]}} if len(urls) == 1 else {"type": "Batch", "batch": {"urls": urls}}
    )
    job |= more
    Assignment.model_validate(job)
    return job


def records(ended: Ended) -> list[dict[str, Any]]:
    """Return the records that the worker kept on its disk."""
    query = "SELECT line FROM results WHERE line IS NOT NULL ORDER BY id"
    with contextlib.closing(sqlite3.connect(ended.work / LEDGER_FILE)) as ledger:
        return [json.loads(line) for (line,) in ledger.execute(query)]
