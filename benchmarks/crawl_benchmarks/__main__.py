"""`make bench-reconcile`: measure the operator beside plain batch Jobs, on the same API server, in one run."""

import argparse
import asyncio
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from crawl_benchmarks.bench import Bench, bench, say
from crawl_benchmarks.latency import critical, idle
from crawl_benchmarks.rates import interleaved, run
from crawl_benchmarks.report import Report
from crawl_benchmarks.sides import sides
from crawl_benchmarks.standing import standing
from crawl_operator.settings import Settings
from local_cluster.operator_process import OperatorProcess

PARTS: Final = {
    "rate": "jobs of all sides, interleaved and repeated: rate, CPU and requests per job",
    "idle": "single jobs: how soon a pod is created, how soon its end is noticed",
    "bulk": "many jobs of each side, then memory and restart of the operator with those that have finished",
    "critical": "Critical jobs behind a line of Low ones",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    jobs: int
    repeats: int
    idle: int
    bulk: int
    waiting: int
    critical: int
    running: int
    """Low jobs that may run at once while others wait."""


FULL: Final = Sizes(jobs=1000, repeats=5, idle=150, bulk=5000, waiting=5000, critical=100, running=20)
QUICK: Final = Sizes(jobs=100, repeats=1, idle=20, bulk=200, waiting=200, critical=10, running=5)


async def measure(sizes: Sizes, parts: Collection[str] = tuple(PARTS)) -> Report:
    """Measure some parts, on a cluster made for it."""
    report = Report(waiting=sizes.waiting)
    async with bench() as place:
        if {"rate", "idle", "bulk"} & set(parts):
            with place.operator() as operator:
                await _unhindered(place, operator, sizes, parts, report)
        if "critical" in parts:
            with place.operator(classes={"Low": {"execution": "Job", "running": sizes.running}}) as operator:
                report.critical = await critical(place, operator, sizes.waiting, sizes.critical)
    return report


async def _unhindered(
    place: Bench, operator: OperatorProcess, sizes: Sizes, parts: Collection[str], report: Report
) -> None:
    """Measure what is measured while every job may run at once."""
    compared = pods, jobs, plain = sides(Settings.load(operator.config))
    say("warming up")
    for side in compared:
        await run(place, operator, side, max(sizes.jobs // 5, 10), f"warm-{side.key}")
    await place.clear(operator)
    if "rate" in parts:
        report.runs = await interleaved(place, operator, compared, sizes.jobs, sizes.repeats)
    if "idle" in parts:
        report.idle = await idle(place, compared, sizes.idle)
        await place.clear(operator)
    if "bulk" in parts:
        report.bulk = [await run(place, operator, plain, sizes.bulk, "bulk-batch")]
        await place.clear(operator)
        for side in (pods, jobs):
            report.bulk.append(await run(place, operator, side, sizes.bulk, f"bulk-{side.key}"))
        await place.rest()
        report.standing = await standing(operator, 2 * sizes.bulk)
        await place.clear(operator)


def main() -> int:
    """Print tables, and in the last line the figures as JSON."""
    parser = argparse.ArgumentParser(prog="bench-reconcile", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: to see that it works, not how fast")
    parser.add_argument(
        "--only",
        choices=PARTS,
        action="append",
        metavar="PART",
        help="; ".join(f"{name}: {what}" for name, what in PARTS.items()) + " (may be repeated)",
    )
    options = parser.parse_args()
    report = asyncio.run(measure(QUICK if options.quick else FULL, options.only or tuple(PARTS)))
    print(report.tables())
    print()
    print(report.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
