"""What it costs to have many finished jobs: memory, and a restart."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from crawl_benchmarks.bench import phases, say, settled, until
from crawl_benchmarks.cost import memory_mb
from local_cluster.operator_process import OperatorProcess

_LATEST: Final = 120
_WATCHES: Final = 15
"""Seconds in which the watches list everything once more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An operator with many finished jobs."""

    jobs: int
    memory_after_run_mb: float
    """Of the operator that has run them, thousands at once (resident, 10^6 bytes)."""
    restart_s: float
    """From the start of a process until it is ready, knows of all jobs and has looked at each."""
    memory_mb: float
    """Of that process, a while later."""


async def standing(operator: OperatorProcess, jobs: int) -> Standing:
    """Measure an operator that has run jobs, and then start it anew."""
    after_run = memory_mb(operator)
    operator.stop()
    started = time.monotonic()
    operator.start()
    await until(lambda: phases(operator).get("Completed") == jobs and settled(operator), "all jobs are seen", _LATEST)
    seconds = time.monotonic() - started
    await asyncio.sleep(_WATCHES)
    found = Standing(jobs, after_run, seconds, memory_mb(operator))
    say(
        f"{jobs} finished jobs: {found.memory_after_run_mb:.0f} MB after they ran; restarted in {seconds:.1f} s, "
        f"then {found.memory_mb:.0f} MB"
    )
    return found
