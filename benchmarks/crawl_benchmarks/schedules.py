"""`make bench-schedule`: how late runs are made, beside those of CronJobs in the same run; what idle schedules cost."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psutil

from crawl_api.names import API_VERSION, SCHEDULE_KIND, SCHEDULE_PLURAL
from crawl_benchmarks.bench import Bench, bench, names, say, settled, until
from crawl_benchmarks.cost import memory_mb, series
from crawl_benchmarks.latency import Times
from crawl_benchmarks.report import machine
from crawl_benchmarks.sides import BATCH_JOBS, CRAWLJOBS, NAMESPACE, Json
from crawl_benchmarks.watching import Watch
from crawl_operator.decide.schedule_model import StartRun
from crawl_operator.runs import run_name
from crawl_operator.schedule_projection import schedule_of
from local_cluster.operator_process import OperatorProcess

SCHEDULES: Final = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{SCHEDULE_PLURAL}"
CRON_JOBS: Final = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"

PARTS: Final = {
    "late": "schedules of both sides, all of one side due in the same minute: how late their runs are made",
    "idle": "many schedules that are not due: the operator's memory and CPU",
}

_MINUTE: Final = timedelta(minutes=1)
_PREPARE_SECONDS: Final = 5
_LATEST: Final = 300
"""Seconds after the last minute by which all runs are to be there."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    due: int
    rounds: int
    idle: int
    idle_seconds: float


FULL: Final = Sizes(due=1000, rounds=3, idle=10_000, idle_seconds=125)
QUICK: Final = Sizes(due=100, rounds=1, idle=200, idle_seconds=5)


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late the runs of one side were."""

    title: str
    prefix: str
    """Of its figures' names."""
    late: Times
    """Milliseconds from when a run was due until it was seen."""
    early: int
    """Runs made before they were due."""


@dataclass(frozen=True, slots=True)
class Idle:
    """What schedules cost that are not due."""

    schedules: int
    memory_mb: float
    """Resident, 10^6 bytes."""
    before_mb: float
    """The same without any."""
    cpu_share: float
    """CPU seconds per second, a list that is compared with the watches included."""


@dataclass
class ScheduleReport:
    """What was measured; what was left out stays empty."""

    lateness: list[Lateness] = field(default_factory=list)
    idle: Idle | None = None

    def tables(self) -> str:
        """Return everything as Markdown."""
        lines = [machine(), ""]
        if self.lateness:
            runs = len(self.lateness[0].late.values)
            lines += [
                f"| lateness of {runs} runs, s | p50 | p99 | max | early |",
                "| --- | ---: | ---: | ---: | ---: |",
            ]
            for each in self.lateness:
                late = [f"{value / 1000:.3f}" for value in (each.late.p50, each.late.p99, max(each.late.values))]
                lines.append(f"| {each.title} | {' | '.join(late)} | {each.early} |")
        if self.idle is not None:
            idle = self.idle
            memory = f"{idle.memory_mb:.0f} MB (without any {idle.before_mb:.0f} MB)"
            lines += ["", f"{idle.schedules} idle schedules: {memory}, {idle.cpu_share:.2%} of a core"]
        return "\n".join(lines)

    def line(self) -> str:
        """Return the figures as one line of JSON."""
        found: dict[str, float] = {}
        for each in self.lateness:
            for name, value in (("p50", each.late.p50), ("p99", each.late.p99), ("max", max(each.late.values))):
                found[f"{each.prefix}{name}_s"] = round(value / 1000, 3)
            found[f"{each.prefix}early"] = each.early
        if self.idle is not None:
            found |= {
                "idle_schedules": self.idle.schedules,
                "idle_memory_mb": round(self.idle.memory_mb, 1),
                "idle_added_mb": round(self.idle.memory_mb - self.idle.before_mb, 1),
                "idle_cpu_share": round(self.idle.cpu_share, 4),
            }
        return json.dumps(found)


async def measure(sizes: Sizes, parts: Collection[str] = tuple(PARTS)) -> ScheduleReport:
    """Measure some parts, each on a cluster made for it."""
    report = ScheduleReport()
    if "late" in parts:
        async with bench() as place:
            with place.operator() as operator:
                report.lateness = await lateness(place, operator, sizes.due, sizes.rounds)
    if "idle" in parts:
        async with bench() as place:
            with place.operator() as operator:
                report.idle = await idle(place, operator, sizes.idle, sizes.idle_seconds)
    return report


async def lateness(place: Bench, operator: OperatorProcess, count: int, rounds: int) -> list[Lateness]:
    """Have the schedules of both sides come due, one side in every other minute; nothing that they make runs."""
    first = _minute_after(_PREPARE_SECONDS + count / 50)
    ours = [first + 2 * number * _MINUTE for number in range(rounds)]
    theirs = [slot + _MINUTE for slot in ours]
    say(f"{count} schedules and {count} CronJobs, due from {first:%H:%M}")
    made = await _created(place, SCHEDULES, [_schedule(name, _line(ours)) for name in names("schedule", count)])
    await place.create(CRON_JOBS, [_cron_job(name, _line(theirs)) for name in names("cron", count)])
    await until(lambda: settled(operator) and known(operator) == count, "all schedules are seen")
    if datetime.now(UTC) >= first:
        raise RuntimeError("the machine is too slow: the first minute has come before all was prepared")
    schedules = [schedule_of(body) for body in made]
    own = {run_name(schedule, StartRun(1, slot=slot)): slot for schedule in schedules for slot in ours}
    other = {f"{name}-{int(slot.timestamp()) // 60}": slot for name in names("cron", count) for slot in theirs}
    always: dict[str, Callable[[Json], bool]] = {"made": lambda _: True}
    begun = time.time() - time.monotonic()
    async with Watch(place.api, CRAWLJOBS, own, always) as runs, Watch(place.api, BATCH_JOBS, other, always) as jobs:
        await asyncio.sleep((theirs[-1] - datetime.now(UTC)).total_seconds())
        for watch in (runs, jobs):
            await watch.reached("made", _LATEST)
    found = []
    for title, prefix, slots, watch in (("schedules", "", own, runs), ("CronJobs", "cron_", other, jobs)):
        late = {name: begun + moment - slots[name].timestamp() for name, moment in watch.times["made"].items()}
        early = sum(seconds < 0 for seconds in late.values())
        found.append(Lateness(title, prefix, Times(tuple(seconds * 1000 for seconds in late.values())), early))
        say(f"{title}: p99 {found[-1].late.p99 / 1000:.2f} s late, {early} early")
    return found


async def idle(place: Bench, operator: OperatorProcess, count: int, seconds: float) -> Idle:
    """Have many schedules that are due on New Year's Day, and watch the operator do nothing."""
    await asyncio.sleep(_PREPARE_SECONDS)
    before = memory_mb(operator)
    await place.create(SCHEDULES, [_schedule(name, "0 0 1 1 *") for name in names("idle", count)])
    await until(lambda: settled(operator) and known(operator) == count, "all schedules are seen", _LATEST)
    await asyncio.sleep(_PREPARE_SECONDS)
    process = psutil.Process(operator.pid)
    used = sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    share = (sum(process.cpu_times()[:2]) - used) / seconds
    found = Idle(count, memory_mb(operator), before, share)
    say(f"{count} idle schedules: {found.memory_mb:.0f} MB, {share:.2%} of a core")
    return found


def known(operator: OperatorProcess) -> int:
    """Return how many schedules an operator knows of."""
    exposition = operator.health("metrics")[1]
    return int(sum(value for _, value in series(exposition, "crawl_operator_schedules")))


async def _created(place: Bench, path: str, bodies: list[Json]) -> list[Json]:
    await place.create(path, bodies)
    items: list[Json] = (await place.api.get(path))["items"]
    return items


def _minute_after(seconds: float) -> datetime:
    soon = datetime.now(UTC) + timedelta(seconds=seconds)
    return soon.replace(second=0, microsecond=0) + _MINUTE


def _line(slots: list[datetime]) -> str:
    return f"{','.join(str(slot.minute) for slot in slots)} * * * *"


def _schedule(name: str, line: str) -> Json:
    job = {"type": "Single", "single": {"url": "https://example.com/"}, "suspend": True}
    return {
        "apiVersion": API_VERSION,
        "kind": SCHEDULE_KIND,
        "metadata": {"name": name},
        "spec": {"schedule": line, "jobTemplate": {"spec": job}},
    }


def _cron_job(name: str, line: str) -> Json:
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [{"name": "job", "image": "none"}]}
    job = {"suspend": True, "template": {"spec": pod}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": line, "timeZone": "UTC", "jobTemplate": {"spec": job}},
    }


def main() -> int:
    """Print tables, and in the last line the figures as JSON."""
    parser = argparse.ArgumentParser(prog="bench-schedule", description=__doc__)
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
