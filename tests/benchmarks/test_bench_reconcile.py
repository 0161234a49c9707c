"""The benchmark works, at a size at which its numbers mean nothing."""

import json

import pytest

from crawl_benchmarks.__main__ import Sizes, measure

pytestmark = [pytest.mark.benchmarks, pytest.mark.timeout(300)]

TINY = Sizes(jobs=8, repeats=2, idle=3, bulk=12, waiting=20, critical=3, running=4)


async def test_everything_is_measured_on_real_processes() -> None:
    """All jobs of all sides finish, and every figure that has a budget is there."""
    report = await measure(TINY)
    figures = json.loads(report.line())
    budgets = {"pod_ratio", "job_ratio", "cpu_ratio", "writes_per_job", "idle_p99_ms", "finish_p99_ms"}
    budgets |= {"critical_p99_ms", "memory_mb_10k", "restart_s_10k"}
    assert budgets <= figures.keys()
    assert all(value > 0 for value in figures.values())
    assert figures["writes_per_job"] <= 3, "child, Processing, end"
    assert len(report.runs) == 6
    assert all(run.used.cpu["kube-apiserver"] > 0 and run.used.requests > 0 for run in report.runs)
    assert report.standing is not None
    assert report.standing.jobs == 24
    plain = [run for run in (*report.runs, *report.bulk) if run.side.key == "batch"]
    assert all(run.used.writes == 0 for run in plain), "the operator has nothing to do with plain batch Jobs"
    assert "plain batch Job" in report.tables()
