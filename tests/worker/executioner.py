"""Kills workers, at random moments of their lives, and keeps account of what that may cost."""

import asyncio
import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from operator_stand_in import StandIn
from worker_process import Ended, Worker

CHECKPOINT_SECONDS = 0.2
_SETTLE_SECONDS = 0.1
"""What a dead worker has sent arrives within this."""
_LONGEST_PAUSE = 0.5
"""As long as reading some pages, a commit, the replay of a journal or the hand-over takes."""


@dataclass(frozen=True)
class Moment:
    """When in its life a worker is killed."""

    request: int
    """The how-manieth that arrives, at the site or at the operator."""
    pause: float
    """Seconds from its arrival; 0: before it is answered."""


def moments(longest: int, seed: int) -> Iterator[Moment]:
    """Yield moments without end: half of them at a request, half of them some time after one."""
    chance = random.Random(seed)  # noqa: S311 (moments, no secrets)
    while True:
        yield Moment(chance.randint(1, longest), chance.choice((0.0, chance.uniform(0.0, _LONGEST_PAUSE))))


@dataclass
class Executioner:
    """Runs jobs whose workers it kills. With its disk, a worker comes back as the same attempt; without, as the next.

    Args:
        worker: to run and to kill.
        operator: keeps the journal.
        asked: how often the site was asked for each URL, as the ledger spells them.
        moments: of the deaths.
        lose_disk: whether the disk goes with the worker.
    """

    worker: Worker
    operator: StandIn
    asked: Callable[[], Counter[str]]
    moments: Iterator[Moment]
    lose_disk: bool
    kills: int = 0
    saved: list[int] = field(default_factory=list)
    """For each kill, requests of that life whose pages the journal held."""
    in_vain: list[int] = field(default_factory=list)
    """Those whose pages it did not hold."""
    repeated: int = 0
    """Requests for pages that had been asked for."""
    _left: int = 0
    _pause: float = 0.0
    _process: asyncio.subprocess.Process | None = None
    _timer: asyncio.TimerHandle | None = None

    def on_request(self) -> None:
        """To be called as a request arrives."""
        self._left -= 1
        if self._left == 0 and self._pause:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._kill)
        elif self._left == 0:
            self._kill()

    async def run(self, job: dict[str, Any], kills: int) -> Ended:
        """Run a job to its end, over as many dead workers as are left of these kills; return its last life's end."""
        self.operator.forget()
        before: Counter[str] = Counter()
        held: set[str] = set()
        while True:
            ended = await self._live(job, next(self.moments) if self.kills < kills else Moment(0, 0.0))
            asked = self.asked() - before
            self.repeated += sum(count - (url not in before) for url, count in asked.items())
            assert not held & asked.keys(), "asked for what the journal held"
            if ended.code != -signal.SIGKILL:
                return ended
            self.kills += 1
            before += asked
            if self.lose_disk:
                held = visits_in(self.operator.segments.values())
                self.saved.append(sum(count for url, count in asked.items() if url in held))
                self.in_vain.append(asked.total() - self.saved[-1])
                shutil.rmtree(self.worker.work)
                self.worker.work.mkdir()
                job = job | {"attempt": job["attempt"] + 1}

    async def _live(self, job: dict[str, Any], moment: Moment) -> Ended:
        self._left, self._pause = moment.request, moment.pause
        self._process = await self.worker.start(job, CRAWL_CHECKPOINT_SECONDS=str(CHECKPOINT_SECONDS))
        ended = await self.worker.end(self._process, 300)
        self._left = 0
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.sleep(_SETTLE_SECONDS)
        return ended

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


def visits_in(segments: Any) -> set[str]:
    """Return the URLs that segments call done."""
    lines = (json.loads(line) for segment in segments for line in segment.splitlines())
    return {line["results"][2] for line in lines if "results" in line}
