"""A person's levers on jobs that wait, run or have ended: cancel, suspend, a start time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.pages import PAGES
from demo.site import DemoSite
from held_site import HeldSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, condition, records, wait_until, worker_pids

pytestmark = pytest.mark.cluster

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue")][:12]
LEVERS: dict[str, Callable[[Jobs, str], None]] = {
    "spec": lambda jobs, name: jobs.patch(name, cancel=True),
    "annotation": lambda jobs, name: jobs.annotate(name, "cancel=true"),
}


def at(seconds: float) -> str:
    """Write the time so many seconds from now as a spec has it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("lever", list(LEVERS))
def test_a_job_is_cancelled_from_wherever_it_is(cluster: LocalCluster, jobs: Jobs, tmp_path: Path, lever: str) -> None:
    """Waiting for its time, for its turn, for its next attempt, or running; twice is once."""
    with (
        DemoSite(delays={"/slow": 60}) as site,
        OperatorProcess(
            cluster, tmp_path, namespaces=[jobs.namespace], limits={"running": 1}, reconcile={"patienceSeconds": 0.2}
        ),
    ):
        slow: dict[str, Any] = {"single": {"url": site.base_url + "/slow"}, "fetch": {"timeoutSeconds": 90}}
        jobs.apply("delayed", **slow, scheduledAt=at(3600))
        jobs.reached("delayed", "Delayed")
        jobs.apply("retry", single={"url": site.base_url + "/error"}, priority="High")
        jobs.reached("retry", "Retry")
        jobs.apply("running", **slow, priority="High")
        worker = jobs.running("running")["workerId"]
        wait_until(lambda: site.in_flight == 1, "the page is being fetched", 15)
        jobs.apply("pending", **slow)
        wait_until(lambda: condition(jobs.status("pending"), "Scheduled"), "it waits for its turn", 5)
        for name in ("delayed", "retry", "pending"):
            LEVERS[lever](jobs, name)
            status = jobs.finished(name, 10)
            assert status["phase"] == "Cancelled", name
            assert condition(status, "Failed")["reason"] == "Cancelled"
            assert condition(status, "Stalled") == {}
            assert status["updatedAt"] == status["history"][-1]["time"]
        assert jobs.status("running")["phase"] == "Processing"
        pids = worker_pids(jobs)
        assert pids
        LEVERS[lever](jobs, "running")
        status = jobs.finished("running", 40)
        assert status["phase"] == "Cancelled"
        assert not any(Path(f"/proc/{pid}/environ").exists() for pid in pids), "it was said before the worker was gone"
        wait_until(lambda: site.in_flight == 0, "the site knows that it hung up", 5)
        assert status["attempts"][-1]["outcome"] == "Cancelled"
        wait_until(lambda: worker not in [pod["metadata"]["name"] for pod in jobs.pods()], "the pod is gone", 10)
        before = {name: jobs.status(name) for name in ("delayed", "retry", "pending", "running")}
        for name in before:
            for pull in LEVERS.values():
                pull(jobs, name)
        time.sleep(1)
        assert {name: jobs.status(name) for name in before} == before


def test_a_finished_job_stays_as_it_is_when_it_is_cancelled(shared: Jobs, site: DemoSite) -> None:
    shared.apply("done", single={"url": site.url(PATHS[0])}, priority="High")
    before = shared.finished("done")
    for pull in LEVERS.values():
        pull(shared, "done")
    time.sleep(1)
    assert shared.status("done") == before
    assert before["phase"] == "Completed"


def test_a_worker_that_comes_when_its_job_is_over_is_stopped(shared: Jobs, site: DemoSite) -> None:
    """As from an operator that asked for it, was overtaken, and had its request arrive only then."""
    shared.apply("over", single={"url": site.url(PATHS[0])}, priority="High")
    before = shared.finished("over")
    pod = yaml.safe_load(shared.kubectl("get", "pod", before["workerId"], "-o", "yaml").stdout)
    kept = {name: pod["metadata"][name] for name in ("labels", "annotations", "ownerReferences")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": kept | {"name": "stray"}, "spec": pod["spec"]}
    pod["metadata"]["labels"]["crawl-operator.io/attempt"] = "2"
    pod["spec"]["containers"][0] |= {"image": "host", "command": ["sleep", "60"]}
    del pod["spec"]["nodeName"]
    shared.kubectl("apply", "-f", "-", input=yaml.safe_dump(pod))
    gone = ("get", "pod", "stray", "-o", "name", "--ignore-not-found")
    wait_until(lambda: not shared.kubectl(*gone).stdout, "the stray is gone", 40)
    assert shared.status("over") == before


@pytest.mark.parametrize("priority", ["High", "Normal"])
def test_a_batch_is_held_and_goes_on_where_it_was(shared: Jobs, priority: str) -> None:
    """No finished page is fetched twice, nothing is fetched meanwhile, and no attempt is used up."""
    name = f"held-{priority.lower()}"
    with HeldSite(6, delay=0.4) as site:
        urls = [site.url(path) for path in PATHS]
        fetch = {"concurrency": 1, "timeoutSeconds": 90}
        more: dict[str, Any] = {"priority": priority, "fetch": fetch, "retry": {"maxAttempts": 1}}
        shared.apply(name, batch={"urls": urls}, **more)
        wait_until(lambda: shared.status(name)["progress"].get("succeeded", 0) >= 4, "four pages are done", 30)
        shared.patch(name, suspend=True)
        status = shared.reached(name, "Suspended", 40)
        assert condition(status, "Scheduled")["reason"] == "Suspended"
        done = {record["url"] for record in records(status)}
        assert len(done) >= 4
        wait_until(lambda: site.in_flight == 0, "nothing is being fetched", 5)
        before = site.requests.total()
        time.sleep(1.5)
        assert site.requests.total() == before
        site.open()
        shared.patch(name, suspend=False)
        status = shared.finished(name)
        requests = {site.url(path): site.requests[path] for path in PATHS}
    assert status["phase"] == "Completed"
    assert {url for url in done if requests[url] > 1} == set()
    assert sum(requests.values()) <= len(PATHS) + 1, "at most the one that was on its way"
    assert sorted(record["url"] for record in records(status)) == sorted(urls)
    assert [each["outcome"] for each in status["attempts"]] == ["Suspended", "Completed"]
    assert not status.get("retryCount")
    assert not status.get("infrastructureRetries")


def test_a_job_applied_suspended_waits_until_it_is_let_go(shared: Jobs, site: DemoSite) -> None:
    shared.apply("later", single={"url": site.url(PATHS[0])}, priority="High", suspend=True)
    shared.reached("later", "Suspended", 10)
    assert not [pod for pod in shared.pods() if pod["metadata"]["labels"]["crawl-operator.io/job"] == "later"]
    shared.patch("later", suspend=False)
    assert shared.finished("later")["phase"] == "Completed"
    assert site.requests[PATHS[0]] == 1


def test_a_start_time_is_kept_to_the_second_and_never_early(shared: Jobs, site: DemoSite) -> None:
    start = at(15)
    shared.apply("timed", single={"url": site.url(PATHS[0])}, priority="High", scheduledAt=start)
    status = shared.reached("timed", "Delayed", 14)
    assert condition(status, "Scheduled")["reason"] == "StartTimeNotReached"
    assert start in condition(status, "Scheduled")["message"]
    status = shared.finished("timed")
    assert status["phase"] == "Completed"
    pod = shared.get(status["workerId"], "pod")
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    due = datetime.fromisoformat(start)
    assert due <= created <= due + timedelta(seconds=3)
    assert datetime.fromisoformat(status["startedAt"]) >= due
    assert [move["to"] for move in status["history"]] == ["Delayed", "Pending", "Processing", "Completed"]
