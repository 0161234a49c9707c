"""`/workers/…` and `/api/v1/workers/…` on a real cluster with real workers, as their clients use them."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from dialect_cases import COUNTS_HOLD, ask

from api_proxy import ApiProxy
from demo.site import DemoSite
from gateway_client import Gateway, GatewayProcess, Tenant, tenant
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

SERVER, CLIENT = "/workers", "/api/v1/workers"
BOTH = (SERVER, CLIENT)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
FAR = (datetime.now(UTC) + timedelta(days=1)).isoformat()
NOBODY = str(uuid.UUID(int=1))
UNDER_WAY = {"Pending", "Delayed", "Processing", "Retry"}


@pytest.fixture(scope="module")
def process(speaking: GatewayProcess) -> GatewayProcess:
    return speaking


def single(url: str) -> dict[str, Any]:
    return {"type": "single_crawl", "url": url}


def batch(*urls: str) -> dict[str, Any]:
    return {"type": "batch_crawl", "urls": list(urls)}


def submit(call: Gateway, job_type: dict[str, Any], base: str = SERVER, **more: Any) -> str:
    """Submit a job of high priority, which a bare pod runs, and return its id."""
    body = {"job_type": job_type, "priority": "High", **more}
    job_id: str = call.call("POST", f"{base}/jobs", 200, body)["job_id"]
    return job_id


def ended(call: Gateway, job_id: str, seconds: float = 60) -> dict[str, Any]:
    """Wait for a job's end and return its state."""
    state: dict[str, Any] = {}

    def over() -> bool:
        state.update(call.get(f"{SERVER}/jobs/{job_id}"))
        return state["status"] not in UNDER_WAY

    wait_until(over, f"{job_id} ends", seconds, 0.2)
    return state


def error(answer: dict[str, Any], status: int) -> dict[str, Any]:
    """Return an error that has the form of this interface."""
    detail: dict[str, Any] = answer["error"]
    assert set(detail) == {"type", "message", "retryable", "status"}
    assert (detail["status"], answer["message"]) == (status, detail["message"])
    return detail


@pytest.fixture(scope="module")
def unserved(cluster: LocalCluster, process: GatewayProcess) -> Iterator[Gateway]:
    """The gateway, as somebody sees it whose namespace no operator serves, and who has submitted a job."""
    with tenant(cluster, "unserved") as made, Gateway(process, made) as client:
        submit(client, single("https://example.org/"))
        yield client


@pytest.fixture(scope="module", autouse=True)
def _early(unserved: Gateway, operator: OperatorProcess) -> None:
    """Let the job that nobody serves wait for as long as possible before it matters."""


@pytest.fixture(scope="module")
def crawled(call: Gateway, site: DemoSite) -> dict[str, str]:
    """The ids of jobs that have ended: well, with some of their pages, and not."""
    metadata = {"ticket": {"id": 7, "tags": ["a", None]}}
    options = {"concurrency": 2, "cache_mode": "read_through"}
    site.delays["/guide/length"] = 1.5  # nodes tell times in whole seconds: a shorter job may have taken no time
    ids = {
        "good": submit(
            call, {**batch(site.url("/"), site.url("/guide/length")), "options": options}, metadata=metadata
        ),
        "partial": submit(call, batch(site.url("/"), site.url("/nowhere")), CLIENT, priority="critical"),
        "bad": submit(call, single(site.url("/nowhere"))),
    }
    for job_id in ids.values():
        ended(call, job_id)
    return ids


def test_a_submission_is_a_stored_job(call: Gateway, owner: Tenant) -> None:
    for base in BOTH:
        body = {"job_type": single("https://example.org/"), "scheduled_at": FAR}
        answer = call.call("POST", f"{base}/jobs", 200, body)
        assert set(answer) == {"job_id", "status", "submitted_at", "message"}
        assert (answer["status"], answer["message"]) == ("submitted", "Job submitted successfully")
        assert UUID.fullmatch(answer["job_id"])
        assert MICROSECONDS.fullmatch(answer["submitted_at"])
        stored = json.loads(owner.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
        (job,) = [item for item in stored if item["metadata"]["uid"] == answer["job_id"]]
        assert job["spec"]["single"] == {"url": "https://example.org/"}
        wait_until(lambda: call.get(f"{SERVER}/jobs/{answer['job_id']}")["status"] == "Delayed", "it waits", 10)  # noqa: B023 - called at once
        assert call.get(f"{CLIENT}/jobs/{answer['job_id']}")["status"] == "delayed"


def test_the_state_of_a_job_that_has_ended(call: Gateway, owner: Tenant, crawled: dict[str, str]) -> None:
    state = call.get(f"{SERVER}/jobs/{crawled['good']}")
    assert {name: state[name] for name in ("job_id", "status", "retry_count", "last_error", "progress")} == {
        "job_id": crawled["good"],
        "status": "Completed",
        "retry_count": 0,
        "last_error": None,
        "progress": 100,
    }
    assert state["metadata"] == {"ticket": {"id": 7, "tags": ["a", None]}}
    times = [state[name] for name in ("created_at", "started_at", "completed_at")]
    assert all(map(MICROSECONDS.fullmatch, times))
    assert all(datetime.fromisoformat(one) <= datetime.fromisoformat(other) for one, other in pairwise(times))
    stored = json.loads(owner.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
    (job,) = [item for item in stored if item["metadata"]["uid"] == crawled["good"]]
    assert state["worker_id"] == job["status"]["workerId"]
    assert state["processing_time_ms"] == job["status"]["processingTimeMs"] > 0
    assert job["spec"]["fetch"]["cacheMode"] == "ReadThrough"


def test_each_prefix_has_its_own_words(call: Gateway, crawled: dict[str, str]) -> None:
    for name, server, client in (
        ("good", "Completed", "completed"),
        ("partial", "Completed", "completed"),
        ("bad", "Failed", "failed"),
    ):
        assert call.get(f"{SERVER}/jobs/{crawled[name]}")["status"] == server
        assert call.get(f"{CLIENT}/jobs/{crawled[name]}")["status"] == client
    for base, priority in ((SERVER, "Critical"), (CLIENT, "critical")):
        rows = {row["job_id"]: row for row in call.get(f"{base}/jobs")["jobs"]}
        assert rows[crawled["partial"]]["priority"] == priority


def test_the_result_of_a_job(call: Gateway, crawled: dict[str, str], site: DemoSite) -> None:
    for base in BOTH:
        good = call.get(f"{base}/jobs/{crawled['good']}/result")
        state = call.get(f"{SERVER}/jobs/{crawled['good']}")
        assert set(good) == {
            "job_id",
            "success",
            "data",
            "error",
            "processing_time_ms",
            "worker_id",
            "completed_at",
        }
        assert (good["success"], good["error"], good["worker_id"]) == (True, None, state["worker_id"])
        assert good["processing_time_ms"] == state["processing_time_ms"]
        counts = {name: good["data"][name] for name in ("total_urls", "successful", "failed", "from_cache")}
        assert counts == {"total_urls": 2, "successful": 2, "failed": 0, "from_cache": 0}
        assert {record["url"] for record in good["data"]["results"]} == {site.url("/"), site.url("/guide/length")}
        assert good["data"]["result_url"].startswith("file:///")


def test_a_job_with_some_of_its_pages_succeeds_and_counts_the_others(call: Gateway, crawled: dict[str, str]) -> None:
    partial = call.get(f"{SERVER}/jobs/{crawled['partial']}/result")
    assert (partial["success"], partial["data"]["successful"], partial["data"]["failed"]) == (True, 1, 1)


def test_the_result_of_a_failed_job_is_not_a_missing_one(call: Gateway, crawled: dict[str, str]) -> None:
    bad = call.get(f"{SERVER}/jobs/{crawled['bad']}/result")
    assert bad["success"] is False
    assert "404" in bad["error"]
    assert "404" in call.get(f"{SERVER}/jobs/{crawled['bad']}")["last_error"]


def test_what_has_no_result_is_not_found(call: Gateway, owner: Tenant, site: DemoSite) -> None:
    waiting = submit(call, single("https://example.org/"), scheduled_at=FAR)
    owner.jobs.apply("forgotten", single={"url": site.url("/")}, priority="High", ttl={"resultSeconds": 0})
    owner.jobs.finished("forgotten")
    forgotten = owner.jobs.get("forgotten")["metadata"]["uid"]

    def expired() -> bool:
        return bool(call.http.get(f"{SERVER}/jobs/{forgotten}/result").status_code == 404)

    wait_until(expired, "the result is gone", 20)
    for base in BOTH:
        assert error(call.get(f"{base}/jobs/{waiting}/result", 404), 404)["type"] == "NotFinished"
        assert error(call.get(f"{base}/jobs/{forgotten}/result", 404), 404)["type"] == "ResultExpired"
        assert error(call.get(f"{base}/jobs/{NOBODY}/result", 404), 404)["type"] == "NotFound"
    assert call.get(f"{SERVER}/jobs/{forgotten}")["status"] == "Completed"


def test_a_cancelled_job_has_failed_or_is_cancelled(call: Gateway) -> None:
    job_id = submit(call, single("https://example.org/"), scheduled_at=FAR)
    call.call("POST", f"/v1/jobs/{job_id}/cancel")
    state = ended(call, job_id)
    assert (state["status"], state["last_error"]) == ("Failed", "cancelled")
    assert call.get(f"{CLIENT}/jobs/{job_id}")["status"] == "cancelled"
    result = call.get(f"{SERVER}/jobs/{job_id}/result")
    assert (result["success"], result["error"], result["worker_id"]) == (False, "cancelled", "unknown")


def test_an_unknown_job_is_not_found(call: Gateway) -> None:
    for base in BOTH:
        for text in (NOBODY, "nothing", "job_" + "0" * 32, "999999999", "No Such Name"):
            detail = error(call.get(f"{base}/jobs/{text}", 404), 404)
            assert (detail["type"], detail["retryable"]) == ("NotFound", False)
            assert text in detail["message"]


@pytest.mark.parametrize("base", BOTH)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "job_type"),
        ([], "dictionary"),
        ({"job_type": {"type": "no_such"}}, "no_such"),
        ({"job_type": {"type": "batch_crawl", "urls": []}}, "urls"),
        ({"job_type": single("ftp://example.org/")}, "http"),
        ({"job_type": single("https://example.org/"), "priority": "urgent"}, "urgent"),
        ({"job_type": single("https://example.org/"), "timeout_secs": 0}, "timeout"),
        ({"job_type": single("https://example.org/"), "retry_config": {"max_attempts": 0}}, "max_attempts"),
        ({"job_type": batch(*(f"https://example.org/{n}" for n in range(51)))}, "at most 50"),
    ],
)
def test_a_bad_submission_is_refused_and_nothing_is_stored(call: Gateway, base: str, body: Any, said: str) -> None:
    before = call.get("/v1/jobs", limit=1)["total"]
    assert said in error(call.call("POST", f"{base}/jobs", 400, body), 400)["message"]
    assert call.get("/v1/jobs", limit=1)["total"] == before


def test_what_is_not_json_is_refused(call: Gateway) -> None:
    answer = call.http.post(f"{SERVER}/jobs", content=b'{"job_type": ', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    error(answer.json(), 400)


def test_a_batch_of_fifty_is_accepted(call: Gateway) -> None:
    submit(call, batch(*(f"https://example.org/{n}" for n in range(50))), scheduled_at=FAR)


def test_the_same_request_with_the_same_key_is_one_job(call: Gateway) -> None:
    body = {"job_type": single("https://example.org/"), "scheduled_at": FAR}

    def post(_: int) -> str:
        answer = call.call("POST", f"{CLIENT}/jobs", 200, body, headers={"Idempotency-Key": "once"})
        return str(answer["job_id"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(post, range(8)))) == 1
    other = call.http.post(f"{CLIENT}/jobs", json={**body, "timeout_secs": 9}, headers={"Idempotency-Key": "once"})
    assert other.status_code == 400


@pytest.fixture(scope="module")
def many(call: Gateway) -> list[str]:
    """The ids of seven jobs of a name of their own, in the order in which they were made."""
    return [
        submit(call, batch("https://example.org/", f"https://many.example/{number}"), scheduled_at=FAR)
        for number in range(7)
    ]


def test_pages_come_to_an_end(call: Gateway, many: list[str]) -> None:
    for base in BOTH:
        seen: list[str] = []
        for offset in range(0, 9, 3):
            page = call.get(f"{base}/jobs", search="many.EXAMPLE", limit=3, offset=offset)
            assert set(page) == {"jobs", "total", "limit", "offset"}
            assert (page["total"], page["limit"], page["offset"]) == (7, 3, offset)
            seen += [row["job_id"] for row in page["jobs"]]
        assert len(seen) == 7
        assert set(seen) == set(many)
        created = [call.get(f"/v1/jobs/{job_id}")["metadata"]["creationTimestamp"] for job_id in seen]
        assert created == sorted(created, reverse=True)
        beyond = call.get(f"{base}/jobs", search="many.example", offset=7)
        assert (beyond["jobs"], beyond["total"]) == ([], 7)
    default = call.get(f"{SERVER}/jobs")
    assert (default["limit"], default["offset"]) == (50, 0)
    assert set(default["jobs"][0]) == {
        "job_id",
        "job_type",
        "status",
        "priority",
        "created_at",
        "started_at",
        "completed_at",
        "worker_id",
        "retry_count",
    }


@pytest.mark.parametrize("base", BOTH)
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["completed", "Completed", "COMPLETED", "success,partial_success"], {"good", "partial"}),
        (["failed", "FAILED"], {"bad"}),
        (["PartialSuccess", "PARTIAL_SUCCESS"], {"partial"}),
        (["finished"], {"good", "partial", "bad"}),
        (["pending", "queued", "RUNNING", "claimed", "retry", "DeadLetter", "dead_letter", "Suspended"], set()),
    ],
)
def test_states_are_filtered_in_everybodys_words(
    call: Gateway, crawled: dict[str, str], base: str, words: list[str], names: set[str]
) -> None:
    for word in words:
        found: set[str] = set()
        for part in word.split(","):
            found |= {row["job_id"] for row in ask(call, f"{base}/jobs", status=part, limit=500)["jobs"]}
        assert {name for name, job_id in crawled.items() if job_id in found} == names, word


def test_a_type_is_filtered_and_other_filters_join_it(call: Gateway, crawled: dict[str, str]) -> None:
    for word in ("single_crawl", "Single", "SINGLE"):
        rows = ask(call, f"{CLIENT}/jobs", job_type=word, status="failed")["jobs"]
        assert crawled["bad"] in {row["job_id"] for row in rows}
        assert {(row["job_type"], row["status"]) for row in rows} == {("single_crawl", "failed")}
    assert call.get(f"{CLIENT}/jobs", job_type="pdf")["jobs"] == []


@pytest.mark.parametrize(
    "params", [{"limit": 0}, {"limit": 501}, {"limit": "many"}, {"offset": -1}, {"status": "odd"}, {"job_type": "odd"}]
)
def test_a_list_that_cannot_be_made_is_refused(call: Gateway, params: dict[str, Any]) -> None:
    for base in BOTH:
        error(ask(call, f"{base}/jobs", 400, **params), 400)


def test_the_queue_is_counted_in_both_spellings(call: Gateway, owner: Tenant, crawled: dict[str, str]) -> None:
    time.sleep(COUNTS_HOLD)
    stored = json.loads(owner.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
    counts = [call.get(f"{base}{path}") for base in BOTH for path in ("/stats/queue", "/queue/stats")]
    assert all(each == counts[0] for each in counts)
    (count, *_) = counts
    six = ("pending", "processing", "completed", "failed", "retry", "delayed")
    assert set(count) == {*six, "total", "dead_letter"}
    assert count["total"] == sum(count[name] for name in six) == len(stored)
    phases = [item["status"]["phase"] for item in stored]
    assert count["delayed"] == phases.count("Delayed")
    assert count["completed"] == phases.count("Completed") + phases.count("PartialSuccess") >= 2
    assert count["failed"] == phases.count("Failed") + phases.count("Cancelled") + phases.count("DeadLetter") >= 1


def test_workers_are_counted_in_both_spellings(call: Gateway, site: DemoSite) -> None:
    running = submit(call, single(site.url("/slow")))
    wait_until(lambda: call.get(f"{SERVER}/jobs/{running}")["status"] == "Processing", "it runs", 30)

    def healthy() -> bool:
        return bool(call.get(f"{SERVER}/stats/workers")["healthy_workers"] == 1)

    wait_until(healthy, "the worker is ready", 20)
    for base in BOTH:
        for path in ("/stats", "/stats/workers"):
            count = call.get(f"{base}{path}")
            assert set(count) == {
                "total_workers",
                "healthy_workers",
                "total_jobs_processed",
                "total_jobs_failed",
                "is_running",
            }
            assert (count["total_workers"], count["is_running"]) == (1, True)
            assert count["total_jobs_processed"] >= count["total_jobs_failed"]
    call.call("POST", f"/v1/jobs/{running}/cancel")
    ended(call, running)


def test_metrics_agree_with_the_objects(call: Gateway, owner: Tenant, crawled: dict[str, str]) -> None:
    time.sleep(COUNTS_HOLD)
    stored = json.loads(owner.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
    took = sorted(
        item["status"]["processingTimeMs"]
        for item in stored
        if item["status"].get("completedAt") and item["status"].get("processingTimeMs") is not None
    )
    for base in BOTH:
        told = call.get(f"{base}/metrics")
        assert told["jobs_submitted"] == len(stored)
        assert told["jobs_completed"] >= 2
        assert told["avg_processing_time_ms"] == pytest.approx(sum(took) / len(took), abs=0.1)
        for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
            assert told[f"{name}_processing_time_ms"] == took[-(-len(took) * share // 100) - 1]
        assert told["success_rate"] == pytest.approx(100 * told["jobs_completed"] / len(stored), abs=0.01)
        assert sum(told["jobs_by_type"].values()) == len(stored)
        assert {"jobs_retried", "jobs_dead_letter", "jobs_failed"} <= set(told)
        assert told["queue_sizes"] == {
            name: number for name, number in call.get(f"{base}/queue/stats").items() if name != "total"
        }
        age = datetime.now(UTC) - datetime.fromisoformat(told["timestamp"])
        assert timedelta() <= age < timedelta(seconds=10)


MIDNIGHT = {
    "name": "midnight_crawl",
    "cron_expression": "0 0 * * *",
    "job_template": {**batch("https://example.org/"), "options": None},
    "priority": "Normal",
}


@pytest.mark.parametrize(("base", "path"), [(base, path) for base in BOTH for path in ("/schedule", "/scheduled")])
def test_the_life_of_a_schedule(call: Gateway, owner: Tenant, base: str, path: str) -> None:
    made = call.call("POST", base + path, 200, MIDNIGHT)
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert UUID.fullmatch(made["id"])
    assert {**made, "id": "", "created_at": ""} == {
        "id": "",
        "name": "midnight_crawl",
        "cron_expression": "0 0 * * *",
        "enabled": True,
        "priority": "Normal" if base == SERVER else "normal",
        "created_at": "",
        "last_executed_at": None,
        "next_execution_at": midnight.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution_count": 0,
    }
    stored = owner.jobs.get("midnight-crawl", "scheduledcrawljob")
    assert (stored["metadata"]["uid"], stored["spec"]["displayName"]) == (made["id"], "midnight_crawl")
    assert made["id"] in {each["id"] for each in call.get(base + path)}
    error(call.call("POST", base + path, 400, MIDNIGHT), 400)
    call.call("DELETE", f"{base}{path}/{made['id']}", 204)
    assert made["id"] not in {each["id"] for each in call.get(base + path)}
    detail = error(call.call("DELETE", f"{base}{path}/{made['id']}", 404), 404)
    assert made["id"] in detail["message"]


def test_a_schedule_that_is_disabled_has_no_next_run(call: Gateway) -> None:
    body = {**MIDNIGHT, "name": "never", "enabled": False}
    assert call.call("POST", f"{CLIENT}/scheduled", 200, body)["next_execution_at"] is None
    (found,) = [each for each in call.get(f"{SERVER}/schedule") if each["name"] == "never"]
    assert (found["enabled"], found["next_execution_at"]) == (False, None)


def test_a_schedule_tells_of_its_runs(call: Gateway, owner: Tenant, operator: OperatorProcess, site: DemoSite) -> None:
    template = {"job_template": single(site.url("/")), "priority": "High", "enabled": False}
    made = call.call("POST", f"{SERVER}/schedule", 200, {**MIDNIGHT, **template, "name": "runs"})

    def told(base: str = SERVER) -> dict[str, Any]:
        (found,) = [each for each in call.get(f"{base}/schedule") if each["id"] == made["id"]]
        return dict(found)

    def runs() -> list[dict[str, Any]]:
        return list(call.get("/v1/jobs", schedule="runs")["items"])

    for count in (1, 2):
        asked = datetime.now(UTC).replace(microsecond=0)
        call.call("POST", f"/v1/schedules/{made['id']}/trigger", 202)
        wait_until(lambda count=count: told()["execution_count"] == count, "it has run", 30)  # type: ignore[misc]
        executed = datetime.fromisoformat(told()["last_executed_at"])
        assert asked <= executed <= datetime.now(UTC)
        wait_until(lambda count=count: len(runs()) >= count, "the watch of jobs has told of it, too", 10)  # type: ignore[misc]
        assert len(runs()) == count
        for run in runs():
            ended(call, run["metadata"]["uid"])
    state = owner.jobs.get("runs", "scheduledcrawljob")["status"]
    for base in BOTH:
        assert (told(base)["last_executed_at"], told(base)["execution_count"]) == (state["lastExecutedAt"], 2)
    call.call("DELETE", f"{SERVER}/schedule/{made['id']}", 204)


def test_a_schedule_hands_its_settings_to_its_jobs(call: Gateway, owner: Tenant) -> None:
    more = {"priority": "high", "retry_config": {"max_attempts": 2}, "metadata": {"a": 1}}
    made = call.call("POST", f"{SERVER}/schedule", 200, {**MIDNIGHT, **more, "name": "settings"})
    assert call.call("POST", f"{SERVER}/schedule", 400, {**MIDNIGHT, "name": "Settings"})
    spec = owner.jobs.get("settings", "scheduledcrawljob")["spec"]["jobTemplate"]["spec"]
    assert (spec["priority"], spec["retry"]["maxAttempts"], spec["metadata"]) == ("High", 2, {"a": 1})
    call.call("DELETE", f"{SERVER}/schedule/{made['id']}", 204)


@pytest.mark.parametrize(
    "change",
    [
        {"cron_expression": "bad"},
        {"cron_expression": "61 * * * *"},
        {"job_template": {"type": "no_such"}},
        {"job_template": batch(*(f"https://example.org/{n}" for n in range(51)))},
        {"name": "!!!"},
        {"name": None},
    ],
)
def test_a_bad_schedule_is_refused_and_not_stored(call: Gateway, change: dict[str, Any]) -> None:
    for path in (f"{SERVER}/schedule", f"{CLIENT}/scheduled"):
        error(call.call("POST", path, 400, {**MIDNIGHT, "name": "bad", **change}), 400)
    assert "bad" not in {each["name"] for each in call.get(f"{SERVER}/schedule")}


def test_who_is_not_known_or_may_not_is_told_in_the_same_form(
    process: GatewayProcess, owner: Tenant, cluster: LocalCluster
) -> None:
    with Gateway(process, None, **{"X-Namespace": owner.name}) as nobody:
        for base in BOTH:
            error(nobody.get(f"{base}/jobs", 401), 401)
    with tenant(cluster, "stranger") as made, Gateway(process, made) as stranger:
        error(stranger.get(f"{SERVER}/queue/stats", 403, namespace=owner.name), 403)
        error(stranger.get(f"{SERVER}/metrics", 403, namespace=owner.name), 403)
        error(stranger.get(f"{SERVER}/stats", 403, namespace=owner.name), 403)


def test_another_tenants_job_is_not_found(
    call: Gateway, process: GatewayProcess, cluster: LocalCluster, crawled: dict[str, str]
) -> None:
    with tenant(cluster, "other") as made, Gateway(process, made) as other:
        for job_id in crawled.values():
            for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/result"):
                assert error(other.get(SERVER + path, 404), 404)["type"] == "NotFound"
        assert other.get(f"{SERVER}/jobs")["total"] == 0


def test_a_store_that_fails_is_500(call: Gateway, proxy: ApiProxy) -> None:
    proxy.refused = "/crawljobs"
    try:
        detail = error(call.call("POST", f"{SERVER}/jobs", 500, {"job_type": single("https://example.org/")}), 500)
    finally:
        proxy.refused = ""
    assert detail["retryable"] is True


def test_a_failed_call_is_logged(call: Gateway, process: GatewayProcess) -> None:
    call.get(f"{SERVER}/jobs/{NOBODY}", 404, token="open-sesame")
    wait_until(lambda: f"GET {SERVER}/jobs/{NOBODY} 404" in process.log, "it is logged", 5)
    assert any("WARNING" in line and "NotFound" in line and NOBODY in line for line in process.log.splitlines())
    assert "open-sesame" not in process.log


def test_a_pool_that_has_not_started_is_503(unserved: Gateway) -> None:
    def unavailable() -> bool:
        return bool(unserved.http.get(f"{SERVER}/stats").status_code == 503)

    wait_until(unavailable, "nobody is missed", 45, 0.5)
    for base in BOTH:
        for path in ("/stats", "/stats/workers"):
            answer = unserved.http.get(base + path)
            detail = error(answer.json(), 503)
            assert (detail["type"], detail["retryable"]) == ("NoOperator", True)
            assert answer.headers["retry-after"]
    assert unserved.get(f"{SERVER}/stats/queue")["pending"] == 1
    health = unserved.get("/health")
    assert (
        health.items()
        >= {
            "status": "unhealthy",
            "overall_healthy": False,
            "queue_healthy": True,
            "worker_pool_healthy": False,
        }.items()
    )
    assert health["message"].startswith("pool: ")
    assert health["uptime_seconds"] > 0
    assert unserved.get("/ready")
