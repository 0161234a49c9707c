"""Observe, decide, act, against an API server of three answers: what must hold when it does not answer well."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from operator_cases import (
    CREATED,
    NOW,
    SINGLE,
    ended_pod,
    make_batch_job,
    make_job,
    open_store,
    outcome_of,
    running_pod,
)

from crawl_operator.decide.model import JobKey
from crawl_operator.kube import Connection, Kube
from crawl_operator.kube_errors import ConflictError, RefusedError, UnavailableError
from crawl_operator.metrics import Metrics
from crawl_operator.projection import batch_job_of, job_of
from crawl_operator.queue import WorkQueue
from crawl_operator.reconciler import Reconciler
from crawl_operator.results import ResultStore
from crawl_operator.settings import Settings
from crawl_operator.store import Key

KEY = JobKey("team", "news")

JOB: dict[str, Any] = {
    "metadata": {
        "namespace": "team",
        "name": "news",
        "uid": "uid-of-news",
        "resourceVersion": "10",
        "generation": 1,
        "creationTimestamp": CREATED.strftime("%Y-%m-%dT%H:%M:%SZ"),
    },
    "spec": SINGLE | {"priority": "High"},
    "status": {"phase": "Pending"},
}

STAMP = CREATED.strftime("%Y-%m-%dT%H:%M:%SZ")
LABELS = {
    "crawl-operator.io/job": "news",
    "crawl-operator.io/job-uid": "uid-of-news",
    "crawl-operator.io/attempt": "1",
}


class Api:
    """Answers creations with the statuses it was given, one after the other, and then with 201."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.applied = False
        """Whether what was answered with an error was done nevertheless."""
        self.pods: list[dict[str, Any]] = []
        self.patches: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.marks: list[dict[str, Any]] = []
        self.deleted: list[tuple[str, dict[str, Any]]] = []
        self.delete_status = 200
        self.job = JOB
        self.conflict = False
        self.marks_conflict = False
        self.version = 100

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/api/v1/namespaces/team/pods", self.create_pod)
        application.router.add_get("/api/v1/namespaces/team/pods", self.list_pods)
        application.router.add_get("/api/v1/namespaces/team/pods/{name}", self.get_pod)
        application.router.add_post("/api/v1/namespaces/team/events", self.create_event)
        application.router.add_get("/apis/batch/v1/namespaces/team/jobs", self.list_nothing)
        job = "/apis/crawl-operator.io/v1alpha1/namespaces/team/crawljobs/news"
        application.router.add_get(job, self.get_job)
        application.router.add_patch(f"{job}/status", self.patch_status)
        application.router.add_patch(job, self.patch_metadata)
        application.router.add_delete("/api/v1/namespaces/team/pods/{name}", self.delete_pod)
        return application

    def stamped(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = {"uid": "uid-of-pod", **body["metadata"], "resourceVersion": str(self.version)}
        return body | {"metadata": metadata}

    async def create_pod(self, request: web.Request) -> web.Response:
        body = await request.json()
        status = self.answers.pop(0) if self.answers else 201
        if status == 201 or self.applied:
            self.pods.append(self.stamped(body))
        if status != 201:
            return web.json_response({"reason": "Because", "message": "not now"}, status=status)
        return web.json_response(self.pods[-1], status=201)

    async def list_pods(self, request: web.Request) -> web.Response:
        assert request.query["labelSelector"] == "crawl-operator.io/job-uid=uid-of-news"
        return web.json_response({"items": self.pods, "metadata": {}})

    async def get_pod(self, request: web.Request) -> web.Response:
        found = [pod for pod in self.pods if pod["metadata"]["name"] == request.match_info["name"]]
        return web.json_response(found[0] if found else {}, status=200 if found else 404)

    async def list_nothing(self, _: web.Request) -> web.Response:
        return web.json_response({"metadata": {}, "items": None})

    async def create_event(self, request: web.Request) -> web.Response:
        self.events.append((await request.json())["reason"])
        return web.json_response({}, status=201)

    async def get_job(self, _: web.Request) -> web.Response:
        return web.json_response(self.stamped(self.job))

    async def patch_status(self, request: web.Request) -> web.Response:
        patch = await request.json()
        if self.conflict:
            return web.json_response({"reason": "Conflict", "message": "it has changed"}, status=409)
        self.patches.append(patch)
        self.job = self.job | {"status": patch["status"]}
        return web.json_response(self.stamped(self.job))

    async def patch_metadata(self, request: web.Request) -> web.Response:
        patch = await request.json()
        if self.marks_conflict:
            self.marks_conflict = False
            return web.json_response({"reason": "Conflict", "message": "it has changed"}, status=409)
        self.marks.append(patch)
        kept = {name: value for name, value in patch["metadata"]["annotations"].items() if value is not None}
        self.job = self.job | {"metadata": self.job["metadata"] | {"annotations": kept}}
        return web.json_response(self.stamped(self.job))

    async def delete_pod(self, request: web.Request) -> web.Response:
        self.deleted.append((request.match_info["name"], await request.json()))
        reason = {404: "NotFound", 409: "Conflict"}.get(self.delete_status, "")
        return web.json_response({"reason": reason, "message": "x"}, status=self.delete_status)


class Round:
    """A reconciler, its store and the API that it talks to."""

    def __init__(self, kube: Kube, folder: Path, limit: int) -> None:
        self.metrics = Metrics()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.store = open_store(self.queue.add, limit)
        results = ResultStore(folder, max_bytes=1000, inline_limit=1000)
        self.reconciler = Reconciler(self.store, self.queue, kube, results, Settings(), lambda: NOW, self.metrics)
        self.store.put_job(job_of(JOB))

    async def once(self) -> float | None:
        return await self.reconciler.reconcile(KEY)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def round_(api: Api, tmp_path: Path) -> AsyncIterator[Round]:
    async with TestServer(api.application()) as server:

        async def connect() -> Connection:
            return Connection(str(server.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=5) as kube:
            yield Round(kube, tmp_path, limit=1)


class Lease:
    """Allows a number of writes, and then no more."""

    def __init__(self, writes: int) -> None:
        self.asked = 0
        self._writes = writes

    def remaining(self) -> float:
        self.asked += 1
        return 10.0 if self.asked <= self._writes else 0.0


@pytest.mark.parametrize("allowed", [0, 1])
async def test_who_does_not_lead_does_nothing_and_holds_no_place(api: Api, tmp_path: Path, allowed: int) -> None:
    """From the start, or from between the decision and its write."""
    async with TestServer(api.application()) as server:

        async def connect() -> Connection:
            return Connection(str(server.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=5, write_seconds=Lease(allowed).remaining) as kube:
            round_ = Round(kube, tmp_path, limit=1)
            working = asyncio.create_task(round_.reconciler.run())
            await asyncio.sleep(0.2)
            working.cancel()
            assert (len(round_.queue), round_.queue.oldest_age()) == (0, 0), "it waits for nobody"
            assert (round_.store.places.held, round_.store.places.waiting) == (0, 1), "and is in line"
    assert api.pods == []
    assert api.patches == []


@pytest.mark.parametrize(
    "waits",
    [{"suspend": True}, {"scheduledAt": "2030-01-01T00:00:00Z"}, {"dependsOn": [{"name": "other"}]}],
    ids=["suspended", "delayed", "for another job"],
)
async def test_a_job_that_waits_is_left_alone(api: Api, round_: Round, waits: dict[str, Any]) -> None:
    """It neither takes a place nor keeps the operator busy."""
    changed = {**JOB["metadata"], "resourceVersion": "11", "generation": 2}
    api.job = JOB | {"metadata": changed, "spec": SINGLE | {"priority": "High"} | waits}
    round_.store.put_job(job_of(api.job))
    working = asyncio.create_task(round_.reconciler.run())
    await until(lambda: api.patches)
    await asyncio.sleep(0.5)
    working.cancel()
    assert len(api.patches) == 1, "it says once what it waits for"
    assert rounds_of(round_) <= 3
    assert (round_.store.places.held, round_.store.places.waiting) == (0, 0)


async def test_rounds_are_counted_with_why_they_failed(api: Api, round_: Round) -> None:
    api.answers = [503]
    working = asyncio.create_task(round_.reconciler.run())
    await until(lambda: api.pods and rounds_of(round_) >= 2)
    working.cancel()
    assert len(api.pods) == 1
    text = round_.metrics.exposition("")[0].decode()
    assert 'crawl_operator_reconcile_errors_total{reason="api"} 1.0' in text
    assert 'crawl_operator_reconcile_errors_total{reason="conflict"} 0.0' in text
    assert rounds_of(round_) >= 2


async def test_a_defect_met_with_one_job_is_told_and_harms_no_other(
    api: Api, round_: Round, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does that job keep the only place that there is, though its turn comes first."""
    news = round_.store.job(KEY)
    assert news is not None
    round_.store.places.leave(news)
    broken = replace(job_of(JOB), key=JobKey("team", "broken"), uid="uid-of-broken", status=None)  # type: ignore[arg-type]
    round_.store.put_job(broken)
    round_.store.places.wait(news)
    working = asyncio.create_task(round_.reconciler.run())
    await until(lambda: api.pods and caplog.text.count("team/broken: unexpected") >= 2)
    working.cancel()
    assert [pod["metadata"]["labels"]["crawl-operator.io/job"] for pod in api.pods] == ["news"]
    assert "team/broken: unexpected" in caplog.text
    assert "AttributeError" in caplog.text
    counted = re.search(r'errors_total{reason="unexpected"} (\d+)', round_.metrics.exposition("")[0].decode())
    assert counted is not None
    assert int(counted[1]) >= 2


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - of things that tell nobody
            await asyncio.sleep(0.01)


def rounds_of(round_: Round) -> int:
    found = re.search(r"reconcile_duration_seconds_count (\d+)", round_.metrics.exposition("")[0].decode())
    assert found is not None
    return int(found[1])


async def test_a_worker_is_created_and_known_at_once(api: Api, round_: Round) -> None:
    """The answer to the creation is as good as the watch: the next round does not ask for a second worker."""
    await round_.once()
    await round_.once()
    assert len(api.pods) == 1
    assert api.pods[0]["metadata"]["labels"]["crawl-operator.io/job-uid"] == "uid-of-news"
    assert api.patches == []
    assert round_.store.places.held == 1


async def test_an_unanswered_creation_is_tried_again_in_the_place_it_holds(api: Api, round_: Round) -> None:
    """The place stays reserved, for the worker may exist; the job must not take itself for one that is ahead of it."""
    api.answers = [503]
    with pytest.raises(UnavailableError):
        await round_.once()
    assert round_.store.places.held == 1
    await round_.once()
    assert len(api.pods) == 1
    assert round_.store.places.held == 1


async def test_after_no_answer_a_changed_priority_makes_no_second_worker(api: Api, round_: Round) -> None:
    """High runs as a pod, Normal as a batch Job: both names are free for each other, so the API server is asked."""
    api.answers, api.applied = [503], True
    with pytest.raises(UnavailableError):
        await round_.once()
    changed = {**JOB["metadata"], "resourceVersion": "11", "generation": 2}
    round_.store.put_job(job_of(JOB | {"metadata": changed, "spec": SINGLE | {"priority": "Normal"}}))
    await round_.once()  # a second creation would find no route
    assert len(api.pods) == 1
    assert round_.store.places.held == 1


@pytest.mark.parametrize("exists", [True, False])
async def test_a_job_deleted_after_no_answer_keeps_its_place_exactly_while_its_worker_lives(
    api: Api, round_: Round, *, exists: bool
) -> None:
    """Whether it is gone or held by a finalizer: nobody asks for its worker again, so somebody must ask about it."""
    api.answers, api.applied = [503], exists
    with pytest.raises(UnavailableError):
        await round_.once()
    if exists:
        round_.store.remove_job(KEY, "uid-of-news")
    else:
        meta = {**JOB["metadata"], "resourceVersion": "11", "deletionTimestamp": "2026-03-01T12:00:00Z"}
        round_.store.put_job(job_of(JOB | {"metadata": meta}))
    assert round_.store.places.held == 1
    await round_.once()
    assert round_.store.places.held == exists


async def test_a_failed_batch_job_is_not_believed_before_its_pod_was_looked_for(api: Api, round_: Round) -> None:
    """Watches of different kinds overtake each other, and only the pod knows that it ran out of memory."""
    child = {"namespace": "team", "name": "news-1", "labels": LABELS, "uid": "uid-of-job", "resourceVersion": "20"}
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    round_.store.put_child(KEY, "uid-of-news", batch_job_of({"metadata": child, "status": {"conditions": [failed]}}))
    end = {"exitCode": 137, "reason": "OOMKilled", "startedAt": STAMP, "finishedAt": STAMP}
    status = {"phase": "Failed", "containerStatuses": [{"name": "worker", "state": {"terminated": end}}]}
    api.pods.append({"metadata": {**child, "name": "news-1-x", "uid": "uid-of-pod"}, "status": status})
    await round_.once()
    assert [each["status"]["attempts"][0]["cause"] for each in api.patches] == ["Transient"]
    assert "memory" in api.patches[0]["status"]["lastError"]


async def test_a_refused_worker_gives_up_its_place_and_says_why_once(api: Api, round_: Round) -> None:
    api.answers = [403, 403]
    for _ in range(2):
        with pytest.raises(RefusedError):
            await round_.once()
        assert round_.store.places.held == 0
    assert [patch["status"]["conditions"][-1]["reason"] for patch in api.patches] == ["WorkerRefused"]
    assert api.events == ["WorkerRefused"]
    other = make_job("other")
    assert round_.store.places.admission(other).granted, "meanwhile it holds up nobody"
    round_.store.places.leave(other)
    await round_.once()
    assert len(api.pods) == 1, "and it is tried again"


async def test_a_write_from_an_old_memory_is_refused_and_the_job_read_anew(api: Api, round_: Round) -> None:
    api.answers = [403]
    api.conflict = True
    with pytest.raises(ConflictError):
        await round_.once()
    job = round_.store.job(KEY)
    assert job is not None
    assert job.version > 10
    assert api.patches == []


async def test_every_write_names_the_version_it_was_decided_on(api: Api, round_: Round) -> None:
    api.answers = [403]
    with pytest.raises(RefusedError):
        await round_.once()
    assert [patch["metadata"]["resourceVersion"] for patch in api.patches] == ["10"]
    assert set(api.patches[0]) == {"metadata", "status"}, "the spec is the user's"


LAST = {"metadata": JOB["metadata"], "spec": JOB["spec"] | {"retry": {"maxAttempts": 1}}, "status": {}}
MARKS = ["dead-letter", "dead-letter-at", "dead-letter-reason"]


def crash(round_: Round) -> None:
    """Let the job's worker end without a word."""
    round_.store.put_child(KEY, "uid-of-news", ended_pod(version=200))


async def test_a_dead_letter_is_marked_by_annotations_and_a_label_at_once(api: Api, round_: Round) -> None:
    """In the round that writes the status, from the version that this has made."""
    api.job = LAST
    round_.store.put_job(job_of(api.stamped(LAST)))
    crash(round_)
    await round_.once()
    (marks,) = api.marks
    assert marks["metadata"]["resourceVersion"] == str(api.version - 1)
    assert set(marks) == {"metadata"}
    assert set(marks["metadata"]) == {"resourceVersion", "annotations", "labels"}
    assert sorted(name.split("/")[1] for name in marks["metadata"]["annotations"]) == MARKS
    assert marks["metadata"]["labels"] == {"crawl-operator.io/dead-letter": "true"}
    job = round_.store.job(KEY)
    assert job is not None
    assert job.settled
    writes = len(api.patches), len(api.marks)
    await round_.once()
    assert (len(api.patches), len(api.marks)) == writes == (1, 1)


async def test_annotations_that_were_not_written_are_written_in_the_next_round(api: Api, round_: Round) -> None:
    """Also after a crash in between: what is known then is the status alone."""
    api.job = LAST
    api.marks_conflict = True
    round_.store.put_job(job_of(api.stamped(LAST)))
    crash(round_)
    with pytest.raises(ConflictError):
        await round_.once()
    assert (len(api.patches), api.marks) == (1, [])
    await round_.once()
    assert (len(api.patches), len(api.marks)) == (1, 1)


async def test_marks_that_no_longer_hold_are_taken_away_and_nothing_else(api: Api, round_: Round) -> None:
    metadata = JOB["metadata"] | {
        "annotations": {
            "crawl-operator.io/dead-letter": "true",
            "crawl-operator.io/retry-count": "2",
            "crawl-operator.io/requeue": "1",
            "example.org/owner": "ann",
        }
    }
    api.job = JOB | {"metadata": metadata}
    round_.store.put_job(job_of(api.stamped(api.job)))
    await round_.once()
    assert api.marks[0]["metadata"]["annotations"] == {
        "crawl-operator.io/dead-letter": None,
        "crawl-operator.io/retry-count": None,
    }
    assert api.marks[0]["metadata"]["labels"] == {"crawl-operator.io/dead-letter": None}


@pytest.mark.parametrize(("status", "known"), [(200, True), (404, False), (409, False)])
async def test_a_worker_is_ended_by_its_uid(api: Api, round_: Round, status: int, known: bool) -> None:  # noqa: FBT001 - a column
    """A namesake that came after it is not meant; one that is gone is forgotten."""
    api.delete_status = status
    api.job = JOB | {"spec": JOB["spec"] | {"cancel": True}}
    round_.store.put_job(job_of(api.stamped(api.job)))
    round_.store.put_child(KEY, "uid-of-news", running_pod("news-abc-1", version=200))
    await round_.once()
    assert api.deleted == [
        ("news-abc-1", {"preconditions": {"uid": "uid-of-news-abc-1"}, "propagationPolicy": "Background"})
    ]
    assert (round_.store.worker("uid-of-news-abc-1") is not None) is known
    assert api.patches == [], "nothing is said before it is gone"


async def test_no_worker_is_ended_on_old_news_of_its_job(api: Api, round_: Round) -> None:
    """It is suspended no longer, and another operator has started the worker: this one's watch of jobs lags."""
    old = JOB | {"spec": JOB["spec"] | {"suspend": True}}
    round_.store.put_job(job_of(api.stamped(old)))
    round_.store.put_child(KEY, "uid-of-news", running_pod("news-abc-1", version=200))
    with pytest.raises(ConflictError):
        await round_.once()
    assert api.deleted == []
    await round_.once()
    assert [patch["status"]["phase"] for patch in api.patches] == ["Processing"]


async def test_a_worker_that_is_not_ended_for_a_conflict_is_not_forgotten(api: Api, round_: Round) -> None:
    """Who forgets one that lives would start another beside it."""
    api.delete_status = 409
    api.job = JOB | {"spec": JOB["spec"] | {"cancel": True}}
    api.pods = [{"metadata": {"name": "news-abc-1", "uid": "uid-of-news-abc-1", "labels": LABELS}}]
    round_.store.put_job(job_of(api.stamped(api.job)))
    round_.store.put_child(KEY, "uid-of-news", running_pod("news-abc-1", version=200))
    for _ in range(2):
        with pytest.raises(ConflictError):
            await round_.once()
    assert [name for name, _ in api.deleted] == ["news-abc-1"] * 2, "it is asked for again"
    assert round_.store.worker("uid-of-news-abc-1") is not None


async def test_what_jobs_have_stored_that_went_unseen_is_removed(round_: Round, tmp_path: Path) -> None:
    """An earlier job of the name was deleted while no operator watched; this one is there."""
    results = ResultStore(tmp_path, max_bytes=1000, inline_limit=1000)
    for uid in ("uid-of-an-earlier-one", "uid-of-news"):
        await results.save_outcome(KEY, uid, "news-abc-1", outcome_of(1, 1))
    running = asyncio.create_task(round_.reconciler.run())
    async with asyncio.timeout(10):
        while len(results.owners()) > 1 or round_.store.removed:  # noqa: ASYNC110 - a disk tells nobody
            await asyncio.sleep(0.01)
    running.cancel()
    assert results.owners() == [(KEY, "uid-of-news")]


async def test_what_a_job_has_stored_that_came_after_the_first_list_stays(round_: Round, tmp_path: Path) -> None:
    results = ResultStore(tmp_path, max_bytes=1000, inline_limit=1000)
    await results.save_outcome(KEY, "uid-of-news", "news-abc-1", outcome_of(1, 1))
    unseen = open_store(round_.queue.add, 1)
    unseen.left_behind(KEY, "uid-of-news")
    round_.store.removed.update(unseen.removed)
    await round_.once()
    assert results.owners() == [(KEY, "uid-of-news")]
    assert round_.store.removed == {}


async def test_the_outcome_of_an_earlier_worker_is_not_taken_for_the_next_ones(
    api: Api, round_: Round, tmp_path: Path
) -> None:
    """The second attempt's batch Job has ended and its pod was never seen: nothing is known of it."""
    results = ResultStore(tmp_path, max_bytes=1000, inline_limit=1000)
    await results.save_outcome(KEY, "uid-of-news", "news-abc-1", outcome_of(1, 1))
    attempt = {"number": 1, "execution": "Job", "worker": "news-abc-1", "outcome": "Failed"}
    api.job = JOB | {"status": {"phase": "Retry", "workerId": "news-abc-1", "attempts": [attempt]}}
    round_.store.put_job(job_of(api.stamped(api.job)))
    failed = make_batch_job("news-abc-2", attempt=2, failed_reason="BackoffLimitExceeded")
    round_.store.put_child(KEY, "uid-of-news", failed)
    await round_.once()
    assert [patch["status"].get("infrastructureRetries") for patch in api.patches] == [1]
