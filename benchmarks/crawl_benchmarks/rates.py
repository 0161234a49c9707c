"""How many jobs finish per second when all are created at once, and what each has cost."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from crawl_benchmarks.bench import Bench, names, say
from crawl_benchmarks.cost import OPERATOR, Usage
from crawl_benchmarks.sides import Side
from crawl_benchmarks.watching import Watch
from local_cluster.operator_process import OperatorProcess

_LATEST: Final = 900
"""Seconds within which the jobs of one run must have finished."""
_AFTERMATH: Final = 2
"""Seconds after the last job's end in which what follows from it is still counted as cost."""
_QUIET: Final = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One side's jobs, from the first one's creation to the last one's end."""

    side: Side
    jobs: int
    seconds: float
    used: Usage

    @property
    def rate(self) -> float:
        """Jobs finished per second."""
        return self.jobs / self.seconds

    @property
    def cpu(self) -> Mapping[str, float]:
        """By process, milliseconds per job; the operator's only where it had something to do."""
        return {
            name: seconds / self.jobs * 1000
            for name, seconds in self.used.cpu.items()
            if name != OPERATOR or self.side.key != "batch"
        }

    @property
    def requests(self) -> float:
        """Requests per job of all clients, the one that creates the job included."""
        return self.used.requests / self.jobs

    @property
    def writes(self) -> float:
        """The operator's writes per job."""
        return self.used.writes / self.jobs


async def run(bench: Bench, operator: OperatorProcess, side: Side, jobs: int, name: str) -> Run:
    """Create jobs and wait until all have finished."""
    before = bench.usage(operator)
    all_names = names(name, jobs)
    bodies = [side.manifest(each) for each in all_names]
    async with Watch(bench.api, side.path, all_names, {"finished": side.finished}) as watch:
        started = time.monotonic()
        await bench.create(side.path, bodies)
        created = time.monotonic()
        await watch.reached("finished", _LATEST)
        seconds = max(watch.times["finished"].values()) - started
    await asyncio.sleep(_AFTERMATH)
    done = Run(side, jobs, seconds, bench.usage(operator) - before)
    say(
        f"{side.title}: {jobs} created in {created - started:.1f} s, finished in {seconds:.1f} s: {done.rate:.1f}/s, "
        f"CPU {sum(done.cpu.values()):.1f} ms/job, {done.requests:.1f} requests/job"
    )
    return done


async def interleaved(
    bench: Bench, operator: OperatorProcess, sides: tuple[Side, ...], jobs: int, repeats: int
) -> list[Run]:
    """Run all sides so many times, each time beginning with another one."""
    runs = []
    for number in range(repeats):
        shift = number % len(sides)
        for side in sides[shift:] + sides[:shift]:
            runs.append(await run(bench, operator, side, jobs, f"{side.key}-{number}"))
            await bench.clear(operator)
            await asyncio.sleep(_QUIET)
    return runs
