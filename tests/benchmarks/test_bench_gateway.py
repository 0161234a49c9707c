"""The benchmark of the gateway works, at a size at which its numbers mean nothing."""

import json

import pytest

from crawl_benchmarks.gateway import QUICK, measure

pytestmark = [pytest.mark.benchmarks, pytest.mark.timeout(300)]


async def test_both_sides_are_measured_on_real_processes() -> None:
    report = await measure(QUICK)
    figures = json.loads(report.line())
    assert {
        "gateway_submit_p99_ms",
        "straight_submit_p99_ms",
        "gateway_submits_per_s",
        "gateway_event_p99_ms",
        "straight_event_p99_ms",
    } <= figures.keys()
    # Where this process itself came to run a second late, that is said of its submissions.
    late = {"gateway_submit_p99_ms", "straight_submit_p99_ms"}
    assert all(0 < value < float("inf") or (name in late and value > 0) for name, value in figures.items())
    assert "through the gateway" in report.tables()
