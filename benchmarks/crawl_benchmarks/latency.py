"""How long a single job waits for what comes next."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

from crawl_api.crawljob import Priority
from crawl_benchmarks.bench import Bench, names, phases, say
from crawl_benchmarks.sides import CRAWLJOBS, PODS, Json, Side, crawl_job, job_of_pod
from crawl_benchmarks.watching import Watch
from local_cluster.operator_process import OperatorProcess

_BETWEEN: Final = 0.3
"""Seconds between two jobs: far enough apart for the machine to be idle most of the time."""
_BETWEEN_CRITICAL: Final = 0.3
_LATEST: Final = 120


@dataclass(frozen=True, slots=True)
class Times:
    """What many jobs took for the same step, in milliseconds."""

    values: tuple[float, ...]

    @property
    def p50(self) -> float:
        """What half of them stay below."""
        return median(self.values)

    @property
    def p99(self) -> float:
        """What all but one of a hundred stay below."""
        return quantiles(self.values, n=100, method="inclusive")[98]


@dataclass(frozen=True, slots=True)
class Idle:
    """A side's steps on an idle cluster."""

    side: Side
    created: Times
    """From the moment the job is sent to the API server until its pod is seen."""
    finished: Times
    """From the moment the pod's end is seen until the job's is."""


async def idle(bench: Bench, sides: tuple[Side, ...], count: int) -> list[Idle]:
    """Create jobs one by one, of all sides in turn."""
    own = {side.key: names(f"idle-{side.key}", count) for side in sides}
    sent: dict[str, float] = {}
    async with contextlib.AsyncExitStack() as stack:
        everyone = [name for each in own.values() for name in each]
        pods = await stack.enter_async_context(_pods(bench, everyone))
        jobs = {
            side.key: await stack.enter_async_context(
                Watch(bench.api, side.path, own[side.key], {"finished": side.finished})
            )
            for side in sides
        }
        for number in range(count):
            for side in sides:
                await asyncio.sleep(_BETWEEN)
                name = own[side.key][number]
                sent[name] = time.monotonic()
                await bench.api.create(side.path, side.manifest(name))
        for watch in (*jobs.values(), pods):
            await watch.reached("finished", _LATEST)
    found = []
    for side in sides:
        created = _between({name: sent[name] for name in own[side.key]}, pods.times["created"])
        finished = _between(
            {name: pods.times["finished"][name] for name in own[side.key]}, jobs[side.key].times["finished"]
        )
        say(
            f"{side.title}, idle: pod created after {created.p50:.0f} ms (p99 {created.p99:.0f}), "
            f"status finished {finished.p50:.0f} ms after the pod (p99 {finished.p99:.0f})"
        )
        found.append(Idle(side, created, finished))
    return found


async def critical(bench: Bench, operator: OperatorProcess, waiting: int, count: int) -> Times:
    """Create Critical jobs one by one, right after so many Low ones; return how long each waited for its pod."""
    urgent = names("critical", count)
    sent: dict[str, float] = {}
    async with _pods(bench, urgent) as pods:
        await bench.create(CRAWLJOBS, [crawl_job(name, Priority.LOW) for name in names("low", waiting)])
        say(f"{waiting} Low jobs created")
        for name in urgent:
            sent[name] = time.monotonic()
            await bench.api.create(CRAWLJOBS, crawl_job(name, Priority.CRITICAL))
            await asyncio.sleep(_BETWEEN_CRITICAL)
        await pods.reached("created", _LATEST)
    waits = _between(sent, pods.times["created"])
    say(
        f"Critical behind Low, of which {phases(operator)['Pending']} still wait: pod created after {waits.p50:.0f} ms "
        f"(p99 {waits.p99:.0f})"
    )
    return waits


def _pods(bench: Bench, jobs: Collection[str]) -> Watch:
    def created(_: Json) -> bool:
        return True

    def finished(body: Json) -> bool:
        return bool(body["status"]["phase"] == "Succeeded")

    return Watch(bench.api, PODS, jobs, {"created": created, "finished": finished}, job_of_pod)


def _between(first: Mapping[str, float], then: Mapping[str, float]) -> Times:
    return Times(tuple((then[name] - moment) * 1000 for name, moment in first.items()))
