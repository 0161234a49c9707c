"""The same lines in the same zones, kept by the operator and by Kubernetes' own CronJob controller, side by side."""

import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from operator_process import Jobs, OperatorProcess, condition, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.faults, pytest.mark.timeout(600)]

MINUTES = 5
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")
STAMP = "batch.kubernetes.io/cronjob-scheduled-timestamp"
SLOT = "crawl-operator.io/scheduled-at"


def lines_around(moment: datetime) -> dict[str, tuple[str, str]]:
    """Name → line and zone: lines that are due every few minutes, and lines that name this very hour and weekday."""
    found = {"each": ("* * * * *", "UTC"), "even": ("*/2 * * * *", "UTC"), "third": ("1-59/3 * * * *", "UTC")}
    for number, zone in enumerate(ZONES):
        local, later = ((moment + timedelta(minutes=each)).astimezone(ZoneInfo(zone)) for each in (1, 3))
        hours = ",".join(str(hour) for hour in sorted({local.hour, later.hour}))
        days = ",".join(sorted({f"{each:%a}" for each in (local, later)}))
        found[f"zone-{number}"] = (f"{local.minute},{later.minute} {hours} ? * {days}", zone)
        found[f"date-{number}"] = (f"{later.minute} {later.hour} {later.day} {later:%b} *", zone)
    return found


def pair(name: str, line: str, zone: str, policy: str) -> list[dict[str, Any]]:
    """Make a schedule of each kind."""
    common: dict[str, Any] = {"schedule": line, "timeZone": zone, "concurrencyPolicy": policy}
    crawl = {"type": "Single", "single": {"url": "http://127.0.0.1:9/"}, "suspend": True}
    pod = {"restartPolicy": "Never", "containers": [{"name": "job", "image": "none"}]}
    return [
        {
            "apiVersion": "crawl-operator.io/v1alpha1",
            "kind": "ScheduledCrawlJob",
            "metadata": {"name": name},
            "spec": {**common, "jobTemplate": {"spec": crawl}},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": name},
            "spec": {**common, "jobTemplate": {"spec": {"suspend": True, "template": {"spec": pod}}}},
        },
    ]


def fired(jobs: Jobs, kind: str, annotation: str) -> dict[str, set[datetime]]:
    """Return owner → the times for which it has made something that is still there."""
    found: dict[str, set[datetime]] = {}
    for item in json.loads(jobs.kubectl("get", kind, "-o", "json").stdout)["items"]:
        (owner,) = item["metadata"]["ownerReferences"]
        slot = datetime.fromisoformat(item["metadata"]["annotations"][annotation])
        found.setdefault(owner["name"], set()).add(slot.astimezone(UTC))
    return found


def _is_seen(jobs: Jobs, name: str) -> bool:
    return bool(condition(jobs.get(name, "scrawl").get("status", {}), "Ready"))


def test_the_same_lines_make_runs_at_the_same_times(jobs: Jobs, operator: OperatorProcess) -> None:
    """Every minute of some: neither makes one that the other does not, whatever the policy makes of those before."""
    begin = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    time.sleep(max((begin - datetime.now(UTC)).total_seconds() + 2, 0))
    lines = lines_around(begin)
    names = {
        f"{name}-{policy.lower()}": (*line, policy)
        for name, line in lines.items()
        for policy in ("Allow", "Forbid", "Replace")
    }
    items = [item for name, (line, zone, policy) in names.items() for item in pair(name, line, zone, policy)]
    jobs.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for name in names:
        wait_until(partial(_is_seen, jobs, name), f"{name} is seen", 30)
    assert datetime.now(UTC) < begin + timedelta(seconds=58), "all were there before the first minute"
    end = begin + timedelta(minutes=MINUTES, seconds=20)
    time.sleep((end - datetime.now(UTC)).total_seconds())
    ours, theirs = fired(jobs, "crawl", SLOT), fired(jobs, "job", STAMP)
    assert ours == theirs
    assert set(ours) == set(names), "each has come at least once"
    assert len(ours["each-allow"]) == MINUTES
    assert ours["each-forbid"] == {begin + timedelta(minutes=1)}
    assert ours["each-replace"] == {begin + timedelta(minutes=MINUTES)}
    for name in ("each-allow", "each-replace"):
        status = jobs.get(name, "scrawl")["status"]
        assert (status["executionCount"], status.get("missedCount", 0)) == (MINUTES, 0)
    held = jobs.get("each-forbid", "scrawl")["status"]
    assert (held["executionCount"], held["missedCount"]) == (1, MINUTES - 2), "the latest one still waits"
