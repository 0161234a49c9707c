"""A job in every state that there is, as each dialect lists, counts and tells them."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from dialect_cases import COUNTS_HOLD, ask

from demo.site import DemoSite
from gateway_client import Gateway, Tenant
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(300)]

PHASES: Final = {
    "completed": "Completed",
    "partial": "PartialSuccess",
    "failed": "Failed",
    "dead": "DeadLetter",
    "cancelled": "Cancelled",
    "retried": "Retry",
    "delayed": "Delayed",
    "suspended": "Suspended",
    "busy-0": "Processing",
    "busy-1": "Processing",
    "in-line": "Pending",
    "dependent": "Pending",
}
"""The jobs that there are, by their names."""
ENDED: Final = ("completed", "partial", "failed", "dead", "cancelled")
WAITING: Final = {"in-line", "dependent"}
BUSY: Final = {"busy-0", "busy-1"}
QUEUED: Final = {*WAITING, "delayed", "suspended", "retried"}
FAR: Final = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def site() -> Iterator[DemoSite]:
    """A site with a page that takes longer than this module."""
    with DemoSite(delays={"/slow": 280}) as running:
        yield running


@pytest.fixture(scope="module")
def operator(
    cluster: LocalCluster, owner: Tenant, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """An operator that lets two jobs run at once."""
    settings: dict[str, Any] = {"limits": {"runningPerNamespace": 2}, "reconcile": {"patienceSeconds": 0.2}}
    folder = tmp_path_factory.mktemp("operator")
    with OperatorProcess(cluster, folder, namespaces=[owner.name], **settings) as running:
        yield running


@pytest.fixture(scope="module")
def jobs(call: Gateway, operator: OperatorProcess, site: DemoSite) -> dict[str, dict[str, Any]]:
    """A job in each state, by its name."""
    nobody = "http://127.0.0.1:1/"

    def submit(name: str, url: str = "https://example.org/", **spec: Any) -> None:
        call.submit(name, url=url, **{"suspend": False, "priority": "High", **spec})

    def reached(*names: str) -> None:
        for name in names:
            phase = PHASES[name]
            wait_until(lambda name=name, phase=phase: phase_of(call, name) == phase, f"{name} is {phase}", 60)  # type: ignore[misc]

    submit("suspended", suspend=True)
    submit("cancelled", suspend=True)
    call.call("POST", "/v1/jobs/cancelled/cancel")
    submit("delayed", scheduledAt=FAR)
    submit("dependent", dependsOn=[{"name": "suspended"}])
    submit("completed", site.url("/"))
    submit("failed", site.url("/nowhere"))
    submit("dead", nobody, retry={"maxAttempts": 1})
    submit("retried", nobody, retry={"maxAttempts": 3, "initialDelaySeconds": 200, "jitter": False})
    spec = {"type": "Batch", "batch": {"urls": [site.url("/"), site.url("/nowhere")]}, "priority": "High"}
    call.call("POST", "/v1/jobs", 201, {"metadata": {"name": "partial"}, "spec": spec})
    reached(*ENDED, "retried", "delayed", "suspended", "dependent")
    for name in sorted(BUSY):
        submit(name, site.url("/slow"), fetch={"timeoutSeconds": 300})
    reached(*BUSY)
    submit("in-line", priority="Critical")
    wait_until(lambda: call.get("/v1/jobs/in-line/why")["reason"] == "NamespaceQuota", "it waits for a place", 20)
    call.get("/tasks", limit=1000)  # each has its number from now on
    return {name: call.get(f"/v1/jobs/{name}") for name in PHASES}


def phase_of(call: Gateway, name: str) -> str:
    return str(call.get(f"/v1/jobs/{name}").get("status", {}).get("phase"))


def number_of(job: dict[str, Any]) -> int:
    return int(job["metadata"]["labels"]["crawl-operator.io/task-id"])


def listed(call: Gateway, jobs: dict[str, dict[str, Any]], path: str, word: str) -> set[str]:
    """Return the names of the jobs that a list of a state has."""
    found = ask(call, path, status=word, limit=500)
    if path == "/tasks":
        by_number = {number_of(job): name for name, job in jobs.items()}
        return {by_number[task["id"]] for task in found}
    by_uid = {job["metadata"]["uid"]: name for name, job in jobs.items()}
    assert found["total"] == len(found["jobs"])
    return {by_uid[row["job_id"]] for row in found["jobs"]}


def test_each_phase_is_listed_by_its_own_name(call: Gateway, jobs: dict[str, dict[str, Any]]) -> None:
    for phase in set(PHASES.values()):
        names = {name for name, each in PHASES.items() if each == phase}
        assert set(call.listed(phase=phase)) == names
        assert listed(call, jobs, "/workers/jobs", phase) >= names
    assert set(call.listed(phase="queued")) == QUEUED
    assert set(call.listed(phase="finished")) == set(ENDED)
    assert set(call.listed(phase="active")) == set(PHASES) - set(ENDED)
    assert [job["metadata"]["name"] for job in call.get("/v1/dead-letters")["items"]] == ["dead"]


IN_BOTH: Final[dict[str, set[str]]] = {
    "pending": WAITING,
    "Delayed": {"delayed", "suspended"},
    "SUSPENDED": {"suspended"},
    "processing": BUSY,
    "RUNNING": BUSY,
    "claimed": BUSY,
    "Retry": {"retried"},
    "retry": {"retried"},
    "completed": {"completed", "partial"},
    "success": {"completed"},
    "PartialSuccess": {"partial"},
    "DeadLetter": {"dead"},
    "dead_letter": {"dead"},
    "cancelled": {"cancelled"},
    "queued": QUEUED,
    "finished": set(ENDED),
    "active": set(PHASES) - set(ENDED),
}
IN_ONE: Final[dict[str, dict[str, set[str]]]] = {
    "/workers/jobs": {**IN_BOTH, "Failed": {"failed", "dead", "cancelled"}},
    "/api/v1/workers/jobs": {**IN_BOTH, "failed": {"failed"}},
    "/tasks": {
        "queued": QUEUED,
        "claimed": BUSY,
        "running": BUSY,
        "completed": {"completed", "partial"},
        "failed": {"failed", "dead"},
        "cancelled": {"cancelled"},
        "retry": {"retried"},
        "DEAD_LETTER": {"dead"},
        "delayed": {"delayed"},
        "pending": WAITING,
    },
}


@pytest.mark.parametrize(("path", "word"), [(path, word) for path, words in IN_ONE.items() for word in words])
def test_a_word_finds_all_that_are_in_that_state_and_no_other(
    call: Gateway, jobs: dict[str, dict[str, Any]], path: str, word: str
) -> None:
    assert listed(call, jobs, path, word) == IN_ONE[path][word]


STATES: Final[dict[str, dict[str, str]]] = {
    "/workers/jobs": {
        "Pending": "Pending",
        "Delayed": "Delayed",
        "Suspended": "Delayed",
        "Processing": "Processing",
        "Retry": "Retry",
        "Completed": "Completed",
        "PartialSuccess": "Completed",
        "Failed": "Failed",
        "DeadLetter": "Failed",
        "Cancelled": "Failed",
    },
    "/jobs": {
        "Pending": "QUEUED",
        "Delayed": "QUEUED",
        "Suspended": "QUEUED",
        "Processing": "RUNNING",
        "Retry": "QUEUED",
        "Completed": "SUCCESS",
        "PartialSuccess": "PARTIAL_SUCCESS",
        "Failed": "FAILED",
        "DeadLetter": "FAILED",
        "Cancelled": "FAILED",
    },
}


@pytest.mark.parametrize("path", STATES)
def test_each_state_is_told_in_the_words_of_the_dialect(
    call: Gateway, jobs: dict[str, dict[str, Any]], path: str
) -> None:
    for name, job in jobs.items():
        assert call.get(f"{path}/{job['metadata']['uid']}")["status"] == STATES[path][PHASES[name]], name


def test_a_job_that_is_tried_again_tells_when_and_why(call: Gateway, jobs: dict[str, dict[str, Any]]) -> None:
    uid = jobs["retried"]["metadata"]["uid"]
    for base in ("/workers", "/api/v1/workers"):
        state = call.get(f"{base}/jobs/{uid}")
        assert (state["retry_count"], state["completed_at"]) == (1, None)
        assert state["last_error"]
        pause = datetime.fromisoformat(state["next_retry_at"]) - datetime.fromisoformat(state["started_at"])
        assert timedelta(seconds=200) <= pause < timedelta(seconds=260)
        rows = ask(call, f"{base}/jobs", status="retry")["jobs"]
        assert [(row["job_id"], row["retry_count"]) for row in rows] == [(uid, 1)]
    dead = call.get(f"/workers/jobs/{jobs['dead']['metadata']['uid']}")
    assert (dead["retry_count"], dead["next_retry_at"]) == (0, None)
    assert dead["last_error"]
    told = call.get(f"/jobs/{uid}")
    assert told["errors"][0]["context"]["attempt"] == 1


def test_why_a_job_waits_is_told(call: Gateway, jobs: dict[str, dict[str, Any]]) -> None:
    why = call.get("/v1/jobs/dependent/why")
    assert (why["phase"], why["reason"], why["position"]) == ("Pending", "DependencyNotMet", None)
    assert why["message"] == "waits for spec.dependsOn: suspended is Suspended"
    assert why["help"].startswith("it starts when those have ended")
    assert why["text"] == f"dependent waits: {why['message']} (DependencyNotMet)."
    why = call.get("/v1/jobs/in-line/why")
    assert (why["reason"], why["position"]) == ("NamespaceQuota", 1)
    assert "2 jobs of namespace" in why["message"]
    assert "limits.runningPerNamespace" in why["help"]
    assert "1st in line" in why["text"]
    assert call.get("/v1/jobs/retried/why")["reason"] == "RetryBackoff"
    assert call.get("/v1/jobs/dead/why")["help"].endswith("kubectl crawl requeue dead")


@pytest.mark.parametrize("name", ENDED)
def test_what_has_ended_cannot_be_cancelled_or_suspended(
    call: Gateway, jobs: dict[str, dict[str, Any]], name: str
) -> None:
    for lever in ("cancel", "suspend"):
        error = call.call("POST", f"/v1/jobs/{name}/{lever}", 409)["error"]
        assert (error["code"], name in error["message"]) == ("Finished", True)
    assert call.get(f"/v1/jobs/{name}")["metadata"] == jobs[name]["metadata"]


@pytest.fixture(scope="module")
def stored(owner: Tenant, jobs: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """All objects, when the gateway's numbers are of them."""
    time.sleep(COUNTS_HOLD)
    items: list[dict[str, Any]] = json.loads(owner.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
    assert {item["metadata"]["name"]: item["status"]["phase"] for item in items} == PHASES
    return items


QUEUE: Final = {"pending": 2, "processing": 2, "completed": 2, "failed": 3, "retry": 1, "delayed": 2, "dead_letter": 1}


def average(stored: list[dict[str, Any]]) -> float:
    took: list[int] = [item["status"]["processingTimeMs"] for item in stored if "processingTimeMs" in item["status"]]
    assert len(took) == 4  # one was cancelled before it began
    return sum(took) / len(took)


def test_the_job_queue_counts_them(call: Gateway, stored: list[dict[str, Any]]) -> None:
    def well() -> tuple[int, int]:
        pool = call.get("/workers/stats/workers")
        return pool["total_workers"], pool["healthy_workers"]

    wait_until(lambda: well() == (2, 2), "the node has told of its pods", 20)
    for base in ("/workers", "/api/v1/workers"):
        for path in ("/stats/queue", "/queue/stats"):
            assert call.get(base + path) == {**QUEUE, "total": 12}
        told = call.get(f"{base}/metrics")
        counts = {name: told[f"jobs_{name}"] for name in ("submitted", "completed", "failed", "retried", "dead_letter")}
        assert counts == {"submitted": 12, "completed": 2, "failed": 3, "retried": 1, "dead_letter": 1}
        assert told["success_rate"] == 16.67
        assert told["jobs_by_type"] == {"single_crawl": 11, "batch_crawl": 1}
        assert told["queue_sizes"] == QUEUE
        assert told["avg_processing_time_ms"] == pytest.approx(average(stored), abs=0.1)
        pool = {"total_workers": 2, "healthy_workers": 2, "total_jobs_processed": 5, "total_jobs_failed": 3}
        assert call.get(f"{base}/stats/workers") == {**pool, "is_running": True}


def test_the_tasks_count_them_and_tell_who_works_on_what(
    call: Gateway, jobs: dict[str, dict[str, Any]], stored: list[dict[str, Any]]
) -> None:
    told = call.get("/statistics")
    assert told["status_counts"] == {"queued": 5, "claimed": 2, "completed": 2, "failed": 2, "cancelled": 1}
    assert told["active_workers"] == 2
    workers = {worker["worker_id"]: worker for worker in call.get("/workers")}
    of = {name: job["status"].get("workerId") for name, job in jobs.items()}
    assert set(workers) == {worker for worker in of.values() if worker}
    for name in BUSY:
        worker = workers[of[name]]
        assert (worker["current_task_id"], worker["tasks_processed"]) == (number_of(jobs[name]), 0)
    for name in ("completed", "failed", "dead"):
        worker = workers[of[name]]
        assert (worker["current_task_id"], worker["tasks_processed"]) == (None, 1)
        assert worker["tasks_failed"] == (name != "completed")


def test_the_gateway_itself_counts_them(
    call: Gateway, jobs: dict[str, dict[str, Any]], stored: list[dict[str, Any]]
) -> None:
    told = call.get("/v1/statistics")
    phases = dict.fromkeys(PHASES.values(), 0)
    for phase in PHASES.values():
        phases[phase] += 1
    single_crawls = {"submitted": 11, "completed": 1, "failed": 2, "deadLetter": 1}
    assert told["jobs"] == {
        "total": 12,
        "byPhase": phases,
        "byType": {
            "Single": single_crawls,
            "Batch": {"submitted": 1, "completed": 1, "failed": 0, "deadLetter": 0},
        },
        "retried": 1,
        "deadLetter": 1,
        "successRate": 16.67,
    }
    none = {"waiting": 0, "running": 0}
    assert told["queues"] == {
        "Critical": {"waiting": 1, "running": 0},
        "High": {"waiting": 1, "running": 2},
        "Normal": none,
        "Low": none,
    }
    took = told["processingMs"]
    assert took["average"] == pytest.approx(average(stored), abs=0.1)
    assert took["sample"] == 4
    assert took["p50"] <= took["p95"] == took["p99"]
    assert told["finished"] == {"minute": told["finished"]["minute"], "hour": 5, "day": 5}
    assert told["workers"]["active"] == 2
    busy = {each["job"]: each["workerId"] for each in told["workers"]["items"] if each["job"]}
    assert busy == {name: jobs[name]["status"]["workerId"] for name in BUSY}
    assert told["oldestUnseenSeconds"] == 0
    assert told["storedBytes"] > 12 * 500
