"""What the report makes of numbers."""

import json

import pytest

from crawl_benchmarks.cost import Usage, series
from crawl_benchmarks.latency import Idle, Times
from crawl_benchmarks.rates import Run
from crawl_benchmarks.report import Report
from crawl_benchmarks.sides import sides
from crawl_benchmarks.standing import Standing
from crawl_operator.settings import Settings

POD, JOB, PLAIN = sides(Settings())

EXPOSITION = """\
# TYPE calls_total counter
calls_total{verb="get",code="200"} 3
calls_total{verb="patch",code="409"} 1.5e+01
calls_total_seconds{verb="get"} 7
depth 4
"""


def usage(operator: float, server: float) -> Usage:
    return Usage({"operator": operator, "kube-apiserver": server}, requests=80, writes=30)


def test_ratios_are_of_medians() -> None:
    runs = [Run(side, 10, seconds, usage(0, 1)) for side in (POD, PLAIN) for seconds in (1, 2, 9)]
    runs += [Run(JOB, 10, 4, usage(0, 1))]
    figures = Report(runs=runs).figures()
    assert figures["pod_ratio"] == 1
    assert figures["job_ratio"] == 0.5
    assert figures["batch_per_s"] == 5


def test_an_idle_operator_is_no_cost_of_batch_jobs() -> None:
    runs = [Run(side, 10, 1, usage(0.5, 1)) for side in (POD, JOB, PLAIN)]
    figures = Report(runs=runs).figures()
    assert figures["cpu_ratio"] == 1.5
    assert figures["writes_per_job"] == 3


def test_percentiles_lie_between_the_values() -> None:
    times = Times(tuple(float(value) for value in range(101)))
    assert times.p50 == 50
    assert times.p99 == 99


def test_a_part_that_was_left_out_has_no_figures() -> None:
    report = Report(idle=[Idle(POD, Times((1.0, 2.0)), Times((3.0, 4.0)))])
    assert json.loads(report.line()) == {"idle_p99_ms": 1.99, "finish_p99_ms": 3.99}
    assert "per second" not in report.tables()


def test_memory_and_restart_are_told() -> None:
    report = Report(standing=Standing(10, memory_after_run_mb=120, restart_s=2.25, memory_mb=99.5))
    assert report.figures() == {"memory_mb_10k": 99.5, "restart_s_10k": 2.25, "memory_after_run_mb_10k": 120}
    assert "| restart with 10 finished jobs until all are seen, s | 2.2 |" in report.tables()


@pytest.mark.parametrize(
    ("metric", "found"),
    [
        ("calls_total", [({"verb": "get", "code": "200"}, 3), ({"verb": "patch", "code": "409"}, 15)]),
        ("depth", [({}, 4)]),
        ("absent", []),
    ],
)
def test_series_are_read(metric: str, found: list[tuple[dict[str, str], float]]) -> None:
    assert list(series(EXPOSITION, metric)) == found
