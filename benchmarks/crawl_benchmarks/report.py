"""The numbers as tables that people read, and as one object that programs do."""

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from crawl_benchmarks.latency import Idle, Times
from crawl_benchmarks.rates import Run
from crawl_benchmarks.standing import Standing

_PLAIN: Final = "batch"
"""The side that the others are compared with."""


@dataclass
class Report:
    """What was measured; what was left out stays empty."""

    runs: list[Run] = field(default_factory=list)
    """The interleaved repeats."""
    bulk: list[Run] = field(default_factory=list)
    """Many jobs of each side, once."""
    idle: list[Idle] = field(default_factory=list)
    critical: Times | None = None
    waiting: int = 0
    """Low jobs that the Critical ones were created behind."""
    standing: Standing | None = None

    def tables(self) -> str:
        """Return everything as Markdown."""
        parts = [machine(), *(_rates(_by_side(runs)) for runs in (self.runs, self.bulk) if runs)]
        if self.idle:
            rows = [[each.side.title, _ms(each.created), _ms(each.finished)] for each in self.idle]
            parts.append(table(["idle, p50 / p99 ms", "apply → pod created", "pod finished → status finished"], rows))
        if single := self._single():
            parts.append(table(["one operator", ""], single))
        return "\n\n".join(parts)

    def line(self) -> str:
        """Return the figures as one line of JSON."""
        return json.dumps({name: round(value, 3) for name, value in self.figures().items()})

    def figures(self) -> dict[str, float]:
        """Return the figures that have a budget, and those they are made from."""
        found: dict[str, float] = {}
        for prefix, runs in (("", self.runs), ("bulk_", self.bulk)):
            if runs:
                found |= {f"{prefix}{name}": value for name, value in _compared(_by_side(runs)).items()}
        for each in self.idle:
            if each.side.key == "pod":
                found |= {"idle_p99_ms": each.created.p99, "finish_p99_ms": each.finished.p99}
        if self.critical is not None:
            found["critical_p99_ms"] = self.critical.p99
        if self.standing is not None:
            found |= {"memory_mb_10k": self.standing.memory_mb, "restart_s_10k": self.standing.restart_s}
            found["memory_after_run_mb_10k"] = self.standing.memory_after_run_mb
        return found

    def _single(self) -> list[list[str]]:
        rows = []
        if self.critical is not None:
            what = f"Critical job, created behind {self.waiting} Low ones: apply → pod created, p50 / p99 ms"
            rows.append([what, _ms(self.critical)])
        if (standing := self.standing) is not None:
            rows += [
                [f"restart with {standing.jobs} finished jobs until all are seen, s", f"{standing.restart_s:.1f}"],
                ["memory then, MB", f"{standing.memory_mb:.0f}"],
                ["memory of the operator that had run them, MB", f"{standing.memory_after_run_mb:.0f}"],
            ]
        return rows


def machine() -> str:
    """Say in one line what this runs on."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in about if "model name" in line), platform.machine())
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


Sides = dict[str, list[Run]]
"""The runs of each side, by its key."""


def _by_side(runs: Iterable[Run]) -> Sides:
    found: Sides = {}
    for run in runs:
        found.setdefault(run.side.key, []).append(run)
    return {key: found[key] for key in ("pod", "job", _PLAIN)}


def _compared(sides: Sides) -> dict[str, float]:
    rates = {key: _median(runs, _rate) for key, runs in sides.items()}
    cpu = {key: _median(runs, _cpu) for key, runs in sides.items()}
    return {
        "pod_ratio": rates["pod"] / rates[_PLAIN],
        "job_ratio": rates["job"] / rates[_PLAIN],
        "cpu_ratio": cpu["pod"] / cpu[_PLAIN],
        "job_cpu_ratio": cpu["job"] / cpu[_PLAIN],
        "writes_per_job": _median(sides["pod"], lambda run: run.writes),
        **{f"{key}_per_s": rate for key, rate in rates.items()},
    }


def _rates(sides: Sides) -> str:
    some = next(iter(sides.values()))
    heading = [f"{len(some)} times {some[0].jobs} jobs, median", *(runs[0].side.title for runs in sides.values())]
    rows: list[list[str]] = []

    def row(what: str, of: Callable[[Run], float], digits: int = 1) -> None:
        rows.append([what, *(f"{_median(runs, of):.{digits}f}" for runs in sides.values())])

    row("finished per second", _rate)
    rows.append(["lowest … highest", *(_spread(runs, _rate) for runs in sides.values())])
    plain = _median(sides[_PLAIN], _rate)
    rows.append(["ratio to batch Jobs", *(f"{_median(runs, _rate) / plain:.2f}" for runs in sides.values())])
    for process in some[0].used.cpu:
        row(f"CPU ms per job: {process}", lambda run, process=process: run.cpu.get(process, 0.0))  # type: ignore[misc]
    row("CPU ms per job: all", _cpu)
    plain = _median(sides[_PLAIN], _cpu)
    rows.append(["ratio to batch Jobs", *(f"{_median(runs, _cpu) / plain:.2f}" for runs in sides.values())])
    row("API requests per job, all clients", lambda run: run.requests)
    row("operator's writes per job", lambda run: run.writes, 2)
    return table(heading, rows)


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heading, ["---", *("---:" for _ in heading[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rate(run: Run) -> float:
    return run.rate


def _cpu(run: Run) -> float:
    return sum(run.cpu.values())


def _median(runs: Iterable[Run], of: Callable[[Run], float]) -> float:
    return median(of(run) for run in runs)


def _spread(runs: Iterable[Run], of: Callable[[Run], float]) -> str:
    values = [of(run) for run in runs]
    return f"{min(values):.1f} … {max(values):.1f}"


def _ms(times: Times) -> str:
    return f"{times.p50:.0f} / {times.p99:.0f}"
