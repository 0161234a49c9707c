"""Schedules on a real API server, kept by a real operator: what people do with CronJobs, they do with these."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api_proxy import ApiProxy
from demo.pages import PAGES
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, condition, wait_until

pytestmark = pytest.mark.cluster

PATH = next(page.path for page in PAGES.values() if page.path.startswith("/catalogue"))
NOWHERE = "http://127.0.0.1:9/"


class Schedules:
    """ScheduledCrawlJobs of one namespace, as a user handles them."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs

    def apply(self, name: str, url: str = NOWHERE, job: dict[str, Any] | None = None, **spec: Any) -> None:
        """Apply a schedule; it is due on New Year's Day unless it is told otherwise."""
        template = {"spec": {"type": "Single", "single": {"url": url}, **(job or {})}}
        body = {
            "apiVersion": "crawl-operator.io/v1alpha1",
            "kind": "ScheduledCrawlJob",
            "metadata": {"name": name},
            "spec": {"schedule": "0 0 1 1 *", "jobTemplate": template, **spec},
        }
        self.jobs.kubectl("apply", "-f", "-", input=json.dumps(body))

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.jobs.get(name, "scrawl")["status"]
        return status

    def seen(self, name: str) -> dict[str, Any]:
        """Wait until the operator has seen it, and return its status."""
        wait_until(lambda: condition(self.status(name), "Ready"), f"{name} is seen", 20)
        return self.status(name)

    def counted(self, name: str, runs: int, seconds: float = 20) -> dict[str, Any]:
        """Wait until so many runs are counted, and return the status."""
        wait_until(lambda: self.status(name).get("executionCount", 0) >= runs, f"{name} has {runs} runs", seconds)
        return self.status(name)

    def trigger(self, name: str, value: str = "now") -> None:
        self.jobs.kubectl("annotate", "--overwrite", "scrawl", name, f"crawl-operator.io/trigger={value}")

    def nobody_looked_since(self, name: str, moment: datetime) -> None:
        """Make it so as if the operator had been away since then."""
        body = json.dumps({"status": {"decidedUntil": moment.isoformat().replace("+00:00", "Z")}})
        self.jobs.kubectl("patch", "scrawl", name, "--subresource=status", "--type=merge", "-p", body)

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Return the runs of a schedule, the oldest first."""
        selector = f"crawl-operator.io/schedule={name}"
        items = json.loads(self.jobs.kubectl("get", "crawl", "-l", selector, "-o", "json").stdout)["items"]
        return sorted(items, key=lambda run: int(run["metadata"]["labels"]["crawl-operator.io/execution"]))

    def events(self, name: str) -> list[str]:
        items = json.loads(self.jobs.kubectl("get", "events", "-o", "json").stdout)["items"]
        return [item["reason"] for item in items if item["involvedObject"]["name"] == name]


@pytest.fixture
def schedules(jobs: Jobs) -> Schedules:
    return Schedules(jobs)


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def quiet_time() -> None:
    """Stay away from the full hour, at which these schedules would be due of themselves."""
    left = (this_hour() + timedelta(hours=1) - datetime.now(UTC)).total_seconds()
    if left < 45:
        time.sleep(left + 1)


def test_a_run_on_request_from_manifest_to_result(schedules: Schedules, operator: OperatorProcess) -> None:
    """What it carries, what kubectl shows and tells, and what it comes to."""
    with DemoSite() as site:
        schedules.apply(
            "daily", site.url(PATH), {"priority": "High"}, timeZone="Europe/Berlin", displayName="daily_crawl"
        )
        status = schedules.seen("daily")
        year = datetime.now(ZoneInfo("Europe/Berlin")).year
        assert status["nextExecutionAt"] == f"{year}-12-31T23:00:00Z"
        schedules.trigger("daily")
        schedules.counted("daily", 1)
        (run,) = schedules.runs("daily")
        name = run["metadata"]["name"]
        assert schedules.jobs.finished(name)["phase"] == "Completed"
    wait_until(lambda: "lastSuccessfulAt" in schedules.status("daily"), "its end is noticed", 20)
    status, metadata = schedules.status("daily"), run["metadata"]
    assert (status["executionCount"], status.get("missedCount", 0), status.get("active", [])) == (1, 0, [])
    assert status["triggered"] == "now"
    assert run["spec"]["priority"] == "High"
    assert metadata["labels"]["crawl-operator.io/execution"] == "1"
    assert metadata["annotations"]["crawl-operator.io/trigger"] == "now"
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("ScheduledCrawlJob", "daily", True)
    # Events are written after the status that they tell of.
    wait_until(lambda: {"RunCreated", "RunEnded"} <= set(schedules.events("daily")), "its events are there", 20)
    told = schedules.jobs.kubectl("describe", "scrawl", "daily").stdout
    for word in ("RunCreated", "RunEnded", f"{name}: Completed", "Ready"):
        assert word in told
    row = schedules.jobs.kubectl("get", "scrawl", "daily", "--no-headers").stdout.split()
    assert row[:8] == ["daily", "0", "0", "1", "1", "*", "Europe/Berlin", "false"]
    schedules.jobs.kubectl("wait", "--for=condition=Ready", "scrawl/daily", "--timeout=5s")


@pytest.mark.usefixtures("quiet_time")
def test_after_an_outage_one_run_is_made_and_the_others_are_counted(
    schedules: Schedules, operator: OperatorProcess
) -> None:
    schedules.apply("hourly", schedule="0 * * * *", job={"suspend": True})
    schedules.seen("hourly")
    schedules.nobody_looked_since("hourly", this_hour() - timedelta(hours=3, minutes=30))
    status = schedules.counted("hourly", 1)
    assert status["missedCount"] == 3
    assert {each["reason"] for each in status["lastMissed"]} == {"Superseded"}
    (run,) = schedules.runs("hourly")
    slot = datetime.fromisoformat(run["metadata"]["annotations"]["crawl-operator.io/scheduled-at"])
    assert slot == this_hour()
    assert datetime.fromisoformat(status["nextExecutionAt"]) == this_hour() + timedelta(hours=1)
    assert "RunMissed" in schedules.events("hourly")
    assert str(int(slot.timestamp()) // 60) in run["metadata"]["name"]


@pytest.mark.usefixtures("quiet_time")
@pytest.mark.parametrize(("policy", "runs", "left"), [("Allow", 2, 2), ("Forbid", 1, 1), ("Replace", 2, 1)])
def test_what_the_policy_makes_of_a_run_that_goes_on(
    schedules: Schedules, operator: OperatorProcess, policy: str, runs: int, left: int
) -> None:
    """The run that goes on is one that a person holds: it would go on for ever."""
    schedules.apply("held", schedule="0 * * * *", job={"suspend": True}, concurrencyPolicy=policy)
    schedules.seen("held")
    schedules.trigger("held")
    schedules.counted("held", 1)
    schedules.nobody_looked_since("held", this_hour() - timedelta(minutes=30))
    if policy == "Forbid":
        wait_until(
            lambda: condition(schedules.status("held"), "Ready")["reason"] == "RunActive",
            "it says what it waits for",
            20,
        )
    status = schedules.counted("held", runs)
    wait_until(lambda: len(schedules.runs("held")) == left, f"{left} runs are left", 20)
    wait_until(lambda: schedules.status("held")["activeCount"] == left, "it knows that", 20)
    assert status["executionCount"] == runs
    if policy == "Forbid":
        (run,) = schedules.runs("held")
        schedules.jobs.patch(run["metadata"]["name"], cancel=True)
        assert schedules.counted("held", 2)["activeCount"] == 1, "it is late, and not lost"


@pytest.mark.usefixtures("quiet_time")
def test_suspended_it_does_nothing_but_on_request(schedules: Schedules, operator: OperatorProcess) -> None:
    schedules.apply("still", schedule="0 * * * *", job={"suspend": True}, suspend=True)
    status = schedules.seen("still")
    assert "nextExecutionAt" not in status
    assert condition(status, "Suspended")["status"] == condition(status, "Ready")["status"] == "True"
    schedules.trigger("still")
    assert schedules.counted("still", 1)["executionCount"] == 1
    schedules.jobs.kubectl("patch", "scrawl", "still", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    wait_until(lambda: "nextExecutionAt" in schedules.status("still"), "it goes on", 20)


def test_a_line_that_is_never_due_is_said(schedules: Schedules, operator: OperatorProcess) -> None:
    """And so is its mending; nothing runs meanwhile."""
    schedules.apply("never", schedule="0 0 30 2 *")
    schedules.jobs.kubectl("wait", "--for=condition=Stalled", "scrawl/never", "--timeout=20s")
    valid = condition(schedules.status("never"), "Valid")
    assert (valid["status"], valid["reason"]) == ("False", "NeverDue")
    assert "spec.schedule" in valid["message"]
    wait_until(lambda: "NeverDue" in schedules.events("never"), "an event says so too", 20)
    schedules.apply("never", schedule="0 0 28 2 *")
    schedules.jobs.kubectl("wait", "--for=condition=Ready", "scrawl/never", "--timeout=20s")
    assert condition(schedules.status("never"), "Stalled") == {}
    assert schedules.runs("never") == []


def test_old_runs_go_by_the_history_limits(schedules: Schedules, operator: OperatorProcess) -> None:
    schedules.apply("many", job={"cancel": True}, failedJobsHistoryLimit=2)
    schedules.seen("many")
    for number in range(1, 5):
        schedules.trigger("many", str(number))
        schedules.counted("many", number)
        wait_until(lambda: schedules.status("many").get("activeCount", 0) == 0, "the run ends", 20)
    wait_until(lambda: len(schedules.runs("many")) == 2, "two are left", 20)
    kept = [run["metadata"]["labels"]["crawl-operator.io/execution"] for run in schedules.runs("many")]
    assert kept == ["3", "4"]
    assert schedules.status("many")["executionCount"] == 4


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_its_runs_go_with_it_or_stay_as_kubectl_is_told(
    schedules: Schedules, operator: OperatorProcess, cascade: str
) -> None:
    schedules.apply("gone", job={"suspend": True})
    schedules.seen("gone")
    schedules.trigger("gone")
    schedules.counted("gone", 1)
    # The garbage collector learns of new kinds every 30 s: on a fresh cluster it comes to know of this one only now.
    schedules.jobs.kubectl("delete", "scrawl", "gone", f"--cascade={cascade}", "--timeout=60s")
    if cascade == "orphan":
        (run,) = schedules.runs("gone")
        assert not run["metadata"].get("ownerReferences")
    else:
        wait_until(lambda: not schedules.runs("gone"), "its runs go too", 60)
    schedules.apply("gone", job={"suspend": True})
    assert schedules.seen("gone").get("executionCount", 0) == 0, "a namesake begins anew"


def test_a_name_that_is_taken_is_said_and_nothing_is_adopted(schedules: Schedules, operator: OperatorProcess) -> None:
    """The run's name follows from the schedule: somebody has made a job of that name."""
    schedules.apply("first", job={"suspend": True})
    schedules.seen("first")
    schedules.trigger("first")
    schedules.counted("first", 1)
    (run,) = schedules.runs("first")
    name = run["metadata"]["name"]
    schedules.jobs.kubectl("delete", "crawl", name)
    wait_until(lambda: schedules.status("first")["activeCount"] == 0, "it is gone", 20)
    status = json.dumps({"status": {"executionCount": 0, "triggered": ""}})
    schedules.jobs.apply(name, single={"url": NOWHERE}, suspend=True)
    schedules.jobs.kubectl("patch", "scrawl", "first", "--subresource=status", "--type=merge", "-p", status)
    wait_until(lambda: condition(schedules.status("first"), "Ready")["status"] == "False", "it is said", 20)
    ready = condition(schedules.status("first"), "Ready")
    assert ready["reason"] == "RunRefused"
    assert name in ready["message"]
    assert not schedules.jobs.get(name)["metadata"].get("ownerReferences")
    schedules.jobs.kubectl("delete", "crawl", name)
    schedules.counted("first", 1, seconds=60)


def test_the_scheduler_can_be_switched_off(schedules: Schedules, jobs: Jobs, tmp_path: Path) -> None:
    """Then schedules are left alone, and jobs are not."""
    schedules.apply("off")
    schedules.trigger("off")
    with OperatorProcess(jobs.cluster, tmp_path, namespaces=[jobs.namespace], scheduler={"enabled": False}) as operator:
        jobs.apply("job", single={"url": NOWHERE}, cancel=True)
        jobs.reached("job", "Cancelled")
        assert schedules.runs("off") == []
        assert condition(schedules.status("off"), "Ready") == {}
        assert 'resource="scheduledcrawljobs"' not in operator.health("metrics")[1]


@pytest.mark.usefixtures("quiet_time")
def test_a_crash_between_a_run_and_its_count_changes_no_total(
    cluster: LocalCluster, schedules: Schedules, jobs: Jobs, tmp_path: Path
) -> None:
    """The operator is killed when the run is made and its status not written; another one counts it, once."""
    with (
        ApiProxy(cluster) as proxy,
        OperatorProcess(cluster, tmp_path, server=proxy.url, namespaces=[jobs.namespace]) as operator,
    ):
        schedules.apply("kept", schedule="0 * * * *", job={"suspend": True}, concurrencyPolicy="Forbid")
        schedules.seen("kept")
        proxy.refused = "/scheduledcrawljobs/kept/status"
        schedules.nobody_looked_since("kept", this_hour() - timedelta(minutes=30))
        wait_until(lambda: schedules.runs("kept"), "the run is made", 20)
        operator.kill()
        assert schedules.status("kept").get("executionCount", 0) == 0
        proxy.refused = ""
        operator.start()
        status = schedules.counted("kept", 1)
        (run,) = schedules.runs("kept")
        assert status["active"] == [run["metadata"]["name"]]
        assert (status["executionCount"], status.get("missedCount", 0)) == (1, 0)
        metrics = operator.health("metrics")[1]
        assert 'crawl_operator_schedules{state="Active"} 1.0' in metrics


@pytest.mark.timeout(200)
@pytest.mark.long
def test_never_early_and_soon_after(schedules: Schedules, operator: OperatorProcess) -> None:
    """By the clock, of itself: a line of every minute."""
    schedules.apply("minutely", schedule="* * * * *", job={"suspend": True})
    schedules.seen("minutely")
    schedules.counted("minutely", 1, seconds=75)
    (run,) = schedules.runs("minutely")
    slot = datetime.fromisoformat(run["metadata"]["annotations"]["crawl-operator.io/scheduled-at"])
    created = datetime.fromisoformat(run["metadata"]["creationTimestamp"])
    assert timedelta(0) <= created - slot <= timedelta(seconds=3)
    assert 'crawl_operator_schedule_runs_total{trigger="Schedule"} 1.0' in operator.health("metrics")[1]
