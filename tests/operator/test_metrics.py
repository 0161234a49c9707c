"""What is exposed: named as Prometheus' conventions have it, described, documented, and fed by what happens."""

import asyncio
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from operator_cases import CREATED, NOW, batch_of, make_job, make_pod, open_store, running_pod
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from crawl_api.crawljob import Priority
from crawl_api.schedule import MissedSlot, ScheduledCrawlJobStatus
from crawl_api.status import CrawlJobStatus, Phase
from crawl_operator.decide.model import JobKey
from crawl_operator.gauges import expose
from crawl_operator.health import HealthApi
from crawl_operator.kube import CRAWLJOBS, PODS, Connection, Kube
from crawl_operator.kube_errors import ConflictError, UnavailableError
from crawl_operator.metrics import Metrics
from crawl_operator.queue import WorkQueue
from crawl_operator.store import Key
from crawl_operator.watch_guard import WatchGuard

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
PREFIX = "crawl_operator_"


class Operator:
    """The parts that metrics are read from."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.queue: WorkQueue[Key] = WorkQueue()
        self.store = open_store(self.queue.add)
        self.standby = ""

        async def nowhere() -> Connection:
            raise AssertionError("nothing is asked")

        self.guard = WatchGuard(self.store, Kube(nowhere, timeout=1), (), 3600, self.metrics)
        expose(self.metrics, self.store, self.queue, self.guard, lambda: self.standby)

    def end(self, name: str, phase: Phase, milliseconds: int | None, **job: Any) -> None:
        """Write the end of a job that was being processed."""
        before = make_job(name, status=CrawlJobStatus(phase=Phase.PROCESSING, submitted_at=CREATED), **job)
        self.metrics.status_written(
            before, before.status.model_copy(update={"phase": phase, "processing_time_ms": milliseconds})
        )

    def feed_everything(self) -> None:
        """Have one of everything happen."""
        accepted = make_job()
        self.metrics.status_written(accepted, CrawlJobStatus(phase=Phase.PROCESSING, submitted_at=NOW))
        self.metrics.status_written(accepted, CrawlJobStatus(phase=Phase.RETRY))
        for phase in (phase for phase in Phase if phase.terminal):
            self.end("news", phase, 1000)
        self.metrics.reconciled(0.1, "conflict")
        self.metrics.api_answered("get", "crawljobs", 200, 0.1)
        self.metrics.changes_missed("pods", 1)
        self.metrics.report_answered("progress", 204)
        self.metrics.download_answered("part", 206)
        self.metrics.run_made(0.1)

    def families(self) -> dict[str, Metric]:
        text, _ = self.metrics.exposition("")
        return {family.name: family for family in parse(text.decode())}

    def value(self, name: str, **labels: str) -> float:
        """Return a sample's value."""
        text, _ = self.metrics.exposition("")
        for family in parse(text.decode()):
            for sample in family.samples:
                if sample.name == PREFIX + name and sample.labels == labels:
                    return sample.value
        raise AssertionError(f"{name} {labels} is not exposed")


@pytest.fixture
async def operator() -> Operator:
    return Operator()


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    """Read the page: metric → type and labels."""
    rows = re.findall(r"^\| `(crawl_operator_\w+)` \| (\w+) \| ([^|]*)\| \S", PAGE.read_text(), re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def exposed(families: Iterable[Metric]) -> dict[str, tuple[str, frozenset[str]]]:
    found = {}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (family.type, frozenset(labels))
    return found


async def test_the_page_lists_what_is_exposed_and_nothing_else(operator: Operator) -> None:
    """Name, type and labels of each; only the client library's own process metrics are left out."""
    operator.feed_everything()
    ours = {name: found for name, found in exposed(operator.families().values()).items() if name.startswith(PREFIX)}
    assert documented() == ours
    others = {name for name in operator.families() if not name.startswith(PREFIX)}
    assert all(name.startswith("process_") for name in others)


async def test_names_follow_the_conventions(operator: Operator) -> None:
    """As promtool would check them: counters end in _total and nothing else does, units are base units, all have help.

    Source: Prometheus, "Metric and label naming".
    """
    operator.feed_everything()
    for family in operator.families().values():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name), name
        assert family.documentation.strip(), f"{name} has no help"
        assert (family.type == "counter") == name.endswith("_total"), name
        assert family.type in {"counter", "gauge", "histogram"}, name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|days|kb|mb|percent|counter|gauge|histogram)(_|$)", name)
        if re.search(r"duration|age|lag|processing", name):
            assert name.endswith("_seconds"), name
        if family.type != "histogram":
            assert not re.search(r"_(count|sum|bucket)$", name), name
        for sample in family.samples:
            assert not sample.name.endswith("_created"), sample.name
            assert not set(sample.labels) & {"job", "instance", "name", "namespace", "url", "uid", "pod"}, name


async def test_both_formats_are_served(operator: Operator) -> None:
    operator.feed_everything()
    health = HealthApi(operator.guard, operator.queue, operator.metrics)
    async with TestClient(TestServer(health.application())) as client:
        plain = await client.get("/metrics")
        assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = list(parse(await plain.text()))
        asked = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert asked.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        families_asked = parse_openmetrics(await asked.text())  # type: ignore[no-untyped-call]
        assert {family.name for family in families_asked} >= {
            family.name for family in families if family.name.startswith(PREFIX) and family.type != "gauge"
        }


async def test_two_operators_in_one_process_count_apart() -> None:
    one, other = Operator(), Operator()
    one.feed_everything()
    assert one.value("jobs_failed_total", type="Single", priority="Normal") == 1
    assert other.value("jobs_failed_total", type="Single", priority="Normal") == 0


async def test_a_job_is_counted_once_on_each_of_its_ways(operator: Operator) -> None:
    """Accepted with the first status, ended with the last; what is written in between counts nothing."""
    job = make_job(spec=batch_of(3), priority=Priority.HIGH)
    labels = {"type": "Batch", "priority": "High"}
    waiting = CrawlJobStatus(submitted_at=CREATED)
    operator.metrics.status_written(job, waiting)
    running = waiting.model_copy(update={"phase": Phase.PROCESSING})
    operator.metrics.status_written(make_job(spec=batch_of(3), priority=Priority.HIGH, status=waiting), running)
    progressing = make_job(spec=batch_of(3), priority=Priority.HIGH, status=running)
    operator.metrics.status_written(progressing, running.model_copy(update={"worker_id": "w"}))
    ended = running.model_copy(update={"phase": Phase.PARTIAL_SUCCESS, "processing_time_ms": 2600})
    operator.metrics.status_written(progressing, ended)

    assert operator.value("jobs_submitted_total", **labels) == 1
    assert operator.value("jobs_partial_total", **labels) == 1
    assert operator.value("jobs_completed_total", **labels) == 0
    assert operator.value("job_processing_seconds_count", type="Batch") == 1
    assert operator.value("job_processing_seconds_sum", type="Batch") == 2.6
    assert operator.value("job_processing_seconds_bucket", type="Batch", le="2.5") == 0
    assert operator.value("job_processing_seconds_bucket", type="Batch", le="5.0") == 1


@pytest.mark.parametrize(
    ("phase", "name"), [(Phase.RETRY, "retried"), (Phase.DEAD_LETTER, "dead_letter"), (Phase.CANCELLED, "cancelled")]
)
async def test_each_retry_dead_letter_and_cancellation_is_counted_once(
    operator: Operator, phase: Phase, name: str
) -> None:
    """Writing the same phase again counts nothing."""
    running = make_job(status=CrawlJobStatus(phase=Phase.PROCESSING, submitted_at=NOW))
    there = make_job(status=running.status.model_copy(update={"phase": phase}))
    operator.metrics.status_written(running, there.status)
    operator.metrics.status_written(there, there.status.model_copy(update={"updated_at": NOW}))
    assert operator.value(f"jobs_{name}_total", type="Single", priority="Normal") == 1


async def test_a_job_that_never_started_took_no_time(operator: Operator) -> None:
    operator.end("refused", Phase.FAILED, None)
    assert operator.value("jobs_failed_total", type="Single", priority="Normal") == 1
    assert operator.value("job_processing_seconds_count", type="Single") == 0


async def test_jobs_and_workers_are_what_the_store_holds(operator: Operator) -> None:
    """Through changes, repetitions, namesakes and deletions: the same as counting anew."""
    store = operator.store

    def phases() -> dict[str, float]:
        return {sample.labels["phase"]: sample.value for sample in operator.families()[PREFIX + "jobs"].samples}

    def workers() -> list[float]:
        return [operator.value("workers", state=state) for state in ("Starting", "Running", "Ending")]

    assert set(phases()) == {phase.value for phase in Phase}
    store.put_job(make_job("a"))
    store.put_job(make_job("a"))
    store.put_job(make_job("b", phase=Phase.COMPLETED))
    store.put_job(make_job("a", version=11, phase=Phase.PROCESSING))
    store.put_job(make_job("b", uid="another", version=12))
    assert {name: count for name, count in phases().items() if count} == {"Processing": 1, "Pending": 1}
    store.remove_job(JobKey("team", "b"), "uid-of-b")
    assert phases()["Pending"] == 1, "the one before it was no longer there"
    store.remove_job(JobKey("team", "b"), "another")
    store.remove_job(JobKey("team", "b"), "another")
    assert {name: count for name, count in phases().items() if count} == {"Processing": 1}

    job = make_job("a")
    store.put_child(job.key, job.uid, make_pod("p"))
    assert workers() == [1, 0, 0]
    store.put_child(job.key, job.uid, running_pod("p", version=21))
    store.put_child(job.key, job.uid, running_pod("p", version=21))
    assert workers() == [0, 1, 0]
    store.put_child(job.key, job.uid, running_pod("p", version=22, deleting=True))
    assert workers() == [0, 0, 1]
    store.put_child(job.key, job.uid, running_pod("q", version=23))
    store.put_child(job.key, job.uid, running_pod("q", version=24, phase="Failed"))
    store.remove_child(job.key, "uid-of-p")
    store.remove_child(job.key, "uid-of-q")
    assert workers() == [0, 0, 0]


async def test_who_waits_and_who_runs_is_told_by_priority(operator: Operator) -> None:
    store = operator.store
    for name, priority in (("a", Priority.LOW), ("b", Priority.LOW), ("c", Priority.HIGH), ("d", Priority.CRITICAL)):
        store.put_job(make_job(name, priority=priority))
    started, gone = make_job("c", priority=Priority.HIGH), make_job("gone", priority=Priority.LOW)
    store.places.reserve(make_job("d", priority=Priority.CRITICAL))
    store.put_child(started.key, started.uid, running_pod("p", priority=Priority.HIGH))
    store.put_child(gone.key, gone.uid, running_pod("q", priority=Priority.LOW))
    names = [priority.value for priority in Priority]
    assert [operator.value("jobs_waiting", priority=name) for name in names] == [0, 0, 0, 2]
    assert [operator.value("jobs_running", priority=name) for name in names] == [1, 1, 0, 1]
    assert operator.value("places") == 4


async def test_the_queue_and_the_watches_tell_their_age(operator: Operator) -> None:
    operator.queue.add(JobKey("team", "news"))
    await asyncio.sleep(0.05)
    assert operator.value("queue_depth") == 1
    assert 0.05 <= operator.value("queue_oldest_age_seconds") < 5
    assert operator.value("watch_age_seconds", resource="pods") >= 0.05
    before = time.monotonic()
    operator.guard.seen(PODS, gone=False, body={"metadata": {"name": "x", "namespace": "team", "uid": "u"}})
    assert operator.value("watch_age_seconds", resource="pods") <= time.monotonic() - before
    assert operator.value("watch_age_seconds", resource="crawljobs") >= 0.05
    assert operator.value("watch_missed_changes_total", resource="pods") == 0


async def test_who_stands_by_says_so(operator: Operator) -> None:
    assert operator.value("leader") == 1
    operator.standby = "another leads"
    assert operator.value("leader") == 0


async def test_a_blocked_event_loop_is_seen(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawl_operator.metrics._LAG_INTERVAL", 0.01)
    measuring = asyncio.create_task(operator.metrics.measure_lag())

    def lags() -> tuple[float, float]:
        """Return how many were short, and how many were long; the machine may add to the latter."""
        short = operator.value("event_loop_lag_seconds_bucket", le="0.25")
        return short, operator.value("event_loop_lag_seconds_count") - short

    async with asyncio.timeout(10):
        while not lags()[0]:  # noqa: ASYNC110 - a metric tells nobody
            await asyncio.sleep(0.01)
        _, before = lags()
        asyncio.get_running_loop().call_soon(time.sleep, 0.3)
        while lags()[1] == before:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)
    measuring.cancel()


async def test_requests_to_the_api_are_counted_by_verb_resource_and_code() -> None:
    """Retried after 401, refused, without an answer: each is one."""
    metrics = Metrics()
    answers = [401, 200, 409, 200, 0]

    async def answer(request: web.Request) -> web.Response:
        status = answers.pop(0)
        if not status and request.transport is not None:
            request.transport.abort()
        return web.json_response({"metadata": {}, "items": []}, status=status or 500)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:

        async def connect() -> Connection:
            return Connection(str(server.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=5, metrics=metrics) as kube:
            await kube.get(CRAWLJOBS, "team", "news")
            with pytest.raises(ConflictError):
                await kube.patch_status(CRAWLJOBS, "team", "news", 1, {})
            assert [each async for each in kube.list(PODS, None)] == []
            with pytest.raises(UnavailableError):
                await kube.create(PODS, "team", {})
    text, _ = metrics.exposition("")
    requests = {
        (sample.labels["verb"], sample.labels["resource"], sample.labels["code"]): sample.value
        for family in parse(text.decode())
        if family.name == PREFIX + "api_requests"
        for sample in family.samples
    }
    assert requests == {
        ("get", "crawljobs", "401"): 1,
        ("get", "crawljobs", "200"): 1,
        ("patch", "crawljobs/status", "409"): 1,
        ("list", "pods", "200"): 1,
        ("create", "pods", "none"): 1,
    }


async def test_runs_and_missed_runs_are_counted_where_they_are_written(operator: Operator) -> None:
    """A run by what asked for it; what was missed by its reason, in the number that one write has added."""
    operator.metrics.run_made(0.2)
    operator.metrics.run_made(None)
    assert operator.value("schedule_runs_total", trigger="Schedule") == 1
    assert operator.value("schedule_runs_total", trigger="Manual") == 1
    assert operator.value("schedule_lateness_seconds_count") == 1
    missed = MissedSlot(slot=NOW, reason="Superseded")
    before, after = ScheduledCrawlJobStatus(), ScheduledCrawlJobStatus(missed_count=23, last_missed=(missed,))
    operator.metrics.schedule_written(before, after)
    operator.metrics.schedule_written(after, after)
    operator.metrics.schedule_written(after, before)
    assert operator.value("schedule_missed_runs_total", reason="Superseded") == 23
    assert operator.value("schedule_missed_runs_total", reason="DeadlineExceeded") == 0
