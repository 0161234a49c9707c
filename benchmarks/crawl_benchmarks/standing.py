"""What it costs to have many finished jobs: memory, and a restart."""

import time
from dataclasses import dataclass

from crawl_benchmarks.bench import phases, say, settled, until
from crawl_benchmarks.cost import memory_mb
from local_cluster.operator_process import OperatorProcess


@dataclass(frozen=True, slots=True)
class Standing:
    """An operator with many finished jobs."""

    jobs: int
    memory_mb: float
    """Of the operator that has run them (resident, 10^6 bytes)."""
    restart_s: float
    """From the start of a process until it is ready, knows of all jobs and has looked at each."""
    memory_after_restart_mb: float


async def standing(operator: OperatorProcess, jobs: int) -> Standing:
    """Measure an operator that has run jobs, and then start it anew."""
    memory = memory_mb(operator)
    operator.stop()
    started = time.monotonic()
    operator.start()
    await until(lambda: phases(operator).get("Completed") == jobs and settled(operator), "all jobs are seen")
    seconds = time.monotonic() - started
    found = Standing(jobs, memory, seconds, memory_mb(operator))
    say(
        f"{jobs} finished jobs: {found.memory_mb:.0f} MB; restarted in {seconds:.1f} s, "
        f"then {found.memory_after_restart_mb:.0f} MB"
    )
    return found
