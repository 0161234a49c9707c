"""The endpoint that workers report to, over HTTP: real tokens, a real store of what was seen, a real folder."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from operator_cases import make_job, open_store, outcome_of, running_pod

from crawl_api.status import Attempt, CrawlJobStatus, Execution, Phase
from crawl_api.worker_protocol import (
    MAX_OUTCOME_BYTES,
    MAX_PROGRESS_BYTES,
    MAX_SEGMENT_BYTES,
    StoredResult,
    cache_path,
    cleaning_path,
    journal_path,
    outcome_path,
    progress_path,
    results_path,
)
from crawl_operator.decide.model import JobKey
from crawl_operator.kube_errors import UnavailableError
from crawl_operator.metrics import Metrics
from crawl_operator.page_cache import PageCache
from crawl_operator.results import ResultStore
from crawl_operator.store import Store
from crawl_operator.tokens import TokenVerifier
from crawl_operator.worker_api import Keeping, WorkerApi

UID = "0123-abcd"
POD = "news-abc-1"
REPORT = {"total": 10, "succeeded": 3, "failed": 1}
PATHS = [("POST", progress_path), ("PUT", results_path), ("PUT", outcome_path), ("GET", journal_path)]
WRITES = PATHS[1:3]


@dataclass
class Operator:
    """What there is beside the endpoint."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    metrics: Metrics = field(default_factory=Metrics)
    store: Store = field(default_factory=open_store)
    api_server_answers: bool = True
    standby: str = ""

    async def read(self, path: str) -> dict[str, Any]:
        if not self.api_server_answers:
            raise UnavailableError("no answer")
        key = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True) | {"kid": "one", "alg": "ES256"}
        return {"issuer": "cluster", "keys": [key]}

    def token(self, pod: str = POD, *, seconds: int = 60) -> str:
        now = int(time.time())
        claims = {
            "aud": "crawl-operator",
            "iss": "cluster",
            "iat": now - 100,
            "exp": now + seconds,
            "kubernetes.io": {"namespace": "team", "pod": {"name": pod, "uid": f"uid-of-{pod}"}},
        }
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": "one"})


class Worker:
    """Sends what a worker sends."""

    def __init__(self, client: TestClient[Any, Any], operator: Operator) -> None:
        self._client = client
        self._operator = operator

    async def send(self, method: str, path: str, body: Any = b"", token: str | None = None) -> ClientResponse:
        """Send a request and read its answer; `token` is that of the job's own pod unless given."""
        headers = {"Authorization": f"Bearer {self._operator.token() if token is None else token}"}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        response = await self._client.request(method, path, data=io.BytesIO(body), headers=headers)
        await response.read()
        return response

    async def bytes_of_token(self, path: str, token: bytes) -> bytes:
        """Send a token that no HTTP library would send; return the first line of the answer."""
        reader, writer = await asyncio.open_connection(self._client.host, self._client.port)
        writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n" % (path.encode(), token))
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    async def raw(self, method: str, path: str, headers: dict[str, str]) -> ClientResponse:
        response = await self._client.request(method, path, headers=headers)
        await response.read()
        return response


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    made = Operator(tmp_path / "results")
    job = make_job(uid=UID, phase=Phase.PROCESSING)
    made.store.put_job(job)
    made.store.put_child(job.key, UID, running_pod(POD))
    return made


@pytest.fixture
async def worker(operator: Operator) -> AsyncIterator[Worker]:
    results = ResultStore(operator.folder, max_bytes=1 << 20, inline_limit=1000)
    metrics = operator.metrics
    keeping = Keeping(results, PageCache(operator.folder, 10_000))
    api = WorkerApi(operator.store, TokenVerifier(operator.read), keeping, metrics, lambda: operator.standby)
    async with TestClient(TestServer(api.application())) as client:
        yield Worker(client, operator)


async def test_progress_reaches_the_store(worker: Worker, operator: Operator) -> None:
    for succeeded in (3, 4):
        answer = await worker.send("POST", progress_path(UID, 1), REPORT | {"succeeded": succeeded})
        assert answer.status == 204
    job = operator.store.job(JobKey("team", "news"))
    assert job is not None
    report = operator.store.report(job)
    assert report is not None
    assert (report.succeeded, report.failed, report.total) == (4, 1, 10)


async def test_results_are_stored_and_told_back(worker: Worker, operator: Operator) -> None:
    content = b'{"url":"https://example.org/"}\n' * 5000
    answer = await worker.send("PUT", results_path(UID, 1), content)
    assert answer.status == 201
    stored = StoredResult.model_validate_json(await answer.text())
    path = operator.folder / "team" / "news" / UID / POD / "results.jsonl"
    assert stored.url == path.as_uri()
    assert path.read_bytes() == content


async def test_an_outcome_is_durable_when_it_is_answered(worker: Worker, operator: Operator) -> None:
    outcome = outcome_of(3, 2, data=[1])
    answer = await worker.send("PUT", outcome_path(UID, 1), outcome.model_dump_json(by_alias=True).encode())
    assert answer.status == 204
    fresh = ResultStore(operator.folder, max_bytes=1, inline_limit=1000)
    assert await fresh.outcome(JobKey("team", "news"), UID, POD) == outcome


def attempts(*outcomes: Phase | None, requeued_after: int = 0) -> CrawlJobStatus:
    """The status of a running job with these attempts; the last one runs."""
    made = tuple(
        Attempt(number=number, execution=Execution.POD, worker=f"news-abc-{number}", outcome=outcome)
        for number, outcome in enumerate(outcomes, start=1)
    )
    return CrawlJobStatus(phase=Phase.PROCESSING, attempts=made, requeued_after=requeued_after)


async def earlier(worker: Worker, operator: Operator, attempt: int, status: CrawlJobStatus) -> ClientResponse:
    """Ask for what earlier attempts have saved, as the worker of that attempt does."""
    operator.store.put_job(make_job(uid=UID, version=10 + attempt, status=status))
    pod = f"news-abc-{attempt}"
    operator.store.put_child(JobKey("team", "news"), UID, running_pod(pod, attempt=attempt))
    return await worker.send("GET", journal_path(UID, attempt), token=operator.token(pod))


def segment_path(uid: str, attempt: int, number: int = 0) -> str:
    return f"{journal_path(uid, attempt)}/{number}"


async def test_the_first_attempt_finds_nothing_earlier(worker: Worker) -> None:
    answer = await worker.send("GET", journal_path(UID, 1))
    assert (answer.status, await answer.read()) == (204, b"")


async def test_an_attempt_is_given_what_those_before_it_have_saved(worker: Worker, operator: Operator) -> None:
    """All segments, in the order in which they were made; an attempt that left nothing is passed over."""
    first, second, third = b"first " * 30000, b"second ", b"third "
    for number, content in ((1, second), (0, b"overwritten"), (0, first)):
        assert (await worker.send("PUT", segment_path(UID, 1, number), content)).status == 204
    answer = await earlier(worker, operator, 2, attempts(Phase.FAILED, None))
    assert (answer.status, await answer.read()) == (200, first + second)
    answer = await earlier(worker, operator, 3, attempts(Phase.FAILED, Phase.FAILED, None))
    assert await answer.read() == first + second
    path = segment_path(UID, 3, 0)
    assert (await worker.send("PUT", path, third, operator.token("news-abc-3"))).status == 204
    answer = await earlier(worker, operator, 4, attempts(Phase.FAILED, Phase.FAILED, Phase.FAILED, None))
    assert await answer.read() == first + second + third


async def test_nothing_is_carried_over_a_requeue(worker: Worker, operator: Operator) -> None:
    """Whoever runs a job again wants it done again."""
    assert (await worker.send("PUT", segment_path(UID, 1), b"{}\n")).status == 204
    answer = await earlier(worker, operator, 2, attempts(Phase.COMPLETED, None, requeued_after=1))
    assert answer.status == 204


async def test_what_an_attempt_has_saved_itself_is_not_earlier(worker: Worker, operator: Operator) -> None:
    operator.store.put_job(make_job(uid=UID, version=11, status=attempts(None)))
    assert (await worker.send("PUT", segment_path(UID, 1), b"{}\n")).status == 204
    assert (await worker.send("GET", journal_path(UID, 1))).status == 204


async def test_a_segment_that_is_too_large_is_refused(worker: Worker) -> None:
    assert (await worker.send("PUT", segment_path(UID, 1), b"x" * (MAX_SEGMENT_BYTES + 1))).status == 413


async def test_a_status_written_by_others_leads_to_nobody_elses_records(worker: Worker, operator: Operator) -> None:
    """The pod's name is read from the status, and joined to a path."""
    secret = operator.folder / "other" / "job" / "uid" / "pod" / "journal-000000"
    secret.parent.mkdir(parents=True)
    secret.write_text("{}")
    for name in ("../../../other/job/uid/pod", str(secret.parent), ".."):
        attempt = Attempt(number=1, execution=Execution.POD, worker=name, outcome=Phase.FAILED)
        answer = await earlier(worker, operator, 2, attempts(None, None).model_copy(update={"attempts": (attempt,)}))
        assert answer.status == 204, name


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_who_has_no_token_is_asked_for_one(worker: Worker, method: str, path: Any) -> None:
    for headers in ({}, {"Authorization": "Basic dXNlcg=="}, {"Authorization": "Bearer "}, {"Authorization": "x"}):
        answer = await worker.raw(method, path(UID, 1), headers)
        assert answer.status == 401, headers
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_token_that_is_none_is_refused(worker: Worker, operator: Operator, method: str, path: Any) -> None:
    stranger = Operator(operator.folder).token()
    for token, why in (
        ("x.y.z", ""),
        (operator.token(seconds=-1), "expired"),
        (stranger, "Signature"),
    ):
        answer = await worker.send(method, path(UID, 1), token=token)
        assert answer.status == 401, token
        assert why in await answer.text()


async def test_bytes_that_are_no_text_are_no_token(worker: Worker) -> None:
    assert await worker.bytes_of_token(progress_path(UID, 1), b"\xff\xfe") == b"HTTP/1.1 401 Unauthorized\r\n"


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_worker_speaks_for_its_own_job_and_attempt_only(
    worker: Worker, operator: Operator, method: str, path: Any
) -> None:
    other = make_job("other", uid="4567-cdef", phase=Phase.PROCESSING)
    operator.store.put_job(other)
    operator.store.put_child(other.key, other.uid, running_pod("other-xyz-1"))
    for uid, attempt, token in (
        (UID, 1, operator.token("other-xyz-1")),
        (UID, 2, operator.token()),
        (UID, 0, operator.token()),
        (other.uid, 1, operator.token()),
        ("ffff", 1, operator.token()),
    ):
        answer = await worker.send(method, path(uid, attempt), REPORT, token)
        assert answer.status == 403, (uid, attempt)
    assert operator.store.report(other) is None
    assert not operator.folder.joinpath("team").exists()


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_pod_that_is_not_known_yet_may_come_again(
    worker: Worker, operator: Operator, method: str, path: Any
) -> None:
    """Its pod may be older than the watch, or the operator younger than the pod."""
    answer = await worker.send(method, path(UID, 1), REPORT, operator.token("news-abc-1-new"))
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"


async def test_tokens_that_cannot_be_checked_may_come_again(worker: Worker, operator: Operator) -> None:
    operator.api_server_answers = False
    answer = await worker.send("POST", progress_path(UID, 1), REPORT)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    operator.api_server_answers = True
    assert (await worker.send("POST", progress_path(UID, 1), REPORT)).status == 204


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_who_stands_by_sends_workers_to_the_one_that_leads(
    worker: Worker, operator: Operator, method: str, path: Any
) -> None:
    """By ending the connection: the next one goes where the Service leads it. Nothing is taken meanwhile."""
    operator.standby = "another leads"
    answer = await worker.send(method, path(UID, 1), REPORT)
    assert answer.status == 503
    assert (answer.headers["Retry-After"], answer.headers["Connection"]) == ("1", "close")
    assert await answer.text() == "another leads"
    assert not operator.folder.joinpath("team").exists()


async def test_reports_are_counted_by_kind_and_answer(worker: Worker, operator: Operator) -> None:
    """Those that are refused, and those that never were reports of a worker, too."""
    await worker.send("POST", progress_path(UID, 1), REPORT)
    await worker.send("POST", progress_path(UID, 1), b"{")
    await worker.send("PUT", results_path(UID, 1), b"x", token="none")
    await worker.send("PUT", outcome_path(UID, 2), b"x")
    text, _ = operator.metrics.exposition("")
    counted = {line for line in text.decode().splitlines() if line.startswith("crawl_operator_worker_reports_total{")}
    assert counted == {
        f'crawl_operator_worker_reports_total{{code="{code}",kind="{kind}"}} 1.0'
        for kind, code in (("progress", 204), ("progress", 400), ("results", 401), ("outcome", 403))
    }


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_worker_whose_pod_was_seen_before_its_job_may_come_again(
    worker: Worker, operator: Operator, method: str, path: Any
) -> None:
    """Watches of different kinds keep no order between them: that a job is unknown does not say that it is over."""
    operator.store.put_child(JobKey("team", "blog"), "4567-cdef", running_pod("blog-def-1"))
    answer = await worker.send(method, path("4567-cdef", 1), REPORT, token=operator.token("blog-def-1"))
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    assert not operator.folder.joinpath("team").exists()


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("how", ["finished", "deleting", "deleted", "a namesake"])
async def test_a_job_that_is_over_takes_nothing_more(
    worker: Worker, operator: Operator, method: str, path: Any, how: str
) -> None:
    match how:
        case "finished":
            operator.store.put_job(make_job(uid=UID, version=11, phase=Phase.COMPLETED))
        case "deleting":
            operator.store.put_job(make_job(uid=UID, version=11, phase=Phase.PROCESSING, deleting=True))
        case "deleted":
            operator.store.remove_job(JobKey("team", "news"), UID)
        case _:
            operator.store.put_job(make_job(uid="89ab-eeee", version=11, phase=Phase.PROCESSING))
    answer = await worker.send(method, path(UID, 1), REPORT)
    assert answer.status == 410
    assert not operator.folder.joinpath("team").exists()


@pytest.mark.parametrize(("method", "path"), [("POST", progress_path), ("PUT", outcome_path)])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"[]", "should be an object"),
        (b'{"total": 1, "succeeded": 1}', "'failed'"),
        (b'{"total": -1, "succeeded": 0, "failed": 0}', "'total'"),
        (b'{"total": 1, "succeeded": 0, "failed": 0, "errors": [{"code": "not a word"}]}', "'errors', 0, 'code'"),
        (b"\xff\xfe", "Invalid JSON"),
    ],
)
async def test_what_makes_no_sense_is_named(worker: Worker, method: str, path: Any, body: bytes, why: str) -> None:
    answer = await worker.send(method, path(UID, 1), body)
    assert answer.status == 400
    assert why in await answer.text()


async def test_more_errors_than_a_status_holds_are_refused(worker: Worker) -> None:
    error = {"code": "HTTP_404", "time": "2026-03-01T00:00:00Z"}
    assert (await worker.send("POST", progress_path(UID, 1), REPORT | {"errors": [error] * 100})).status == 204
    assert (await worker.send("POST", progress_path(UID, 1), REPORT | {"errors": [error] * 101})).status == 400


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", progress_path, MAX_PROGRESS_BYTES),
        ("PUT", outcome_path, MAX_OUTCOME_BYTES),
        ("PUT", results_path, 1 << 20),
    ],
)
async def test_more_than_the_limit_is_refused(
    worker: Worker, operator: Operator, method: str, path: Any, limit: int
) -> None:
    """And the limit itself is taken."""
    body = json.dumps(REPORT).encode()
    assert (await worker.send(method, path(UID, 1), body + b" " * (limit - len(body)))).status < 300
    before = {file: file.stat().st_mtime_ns for file in operator.folder.rglob("*") if file.is_file()}
    answer = await worker.send(method, path(UID, 1), body + b" " * (limit + 1 - len(body)))
    assert answer.status == 413
    assert {file: file.stat().st_mtime_ns for file in operator.folder.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_store_that_cannot_be_written_says_so(
    worker: Worker, operator: Operator, method: str, path: Any
) -> None:
    operator.folder.rmdir()
    operator.folder.touch()
    answer = await worker.send(method, path(UID, 1), REPORT)
    assert answer.status == 507
    assert "Not a directory" in await answer.text()
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", progress_path(UID, 1)),
        ("GET", outcome_path(UID, 1)),
        ("DELETE", results_path(UID, 1)),
        ("DELETE", outcome_path(UID, 1)),
        ("POST", results_path(UID, 1)),
        ("POST", "/v1/attempts/../1/progress"),
        ("POST", f"/v1/attempts/{UID}/-1/progress"),
        ("POST", f"/v1/attempts/{UID}/x/progress"),
        ("GET", "/"),
    ],
)
async def test_there_is_nothing_else(worker: Worker, method: str, path: str) -> None:
    """Beside the records of attempts before, workers cannot read what they, or others, have stored."""
    assert (await worker.send(method, path)).status in {404, 405}


def key_of(number: int) -> str:
    return f"{number:064x}"


async def test_the_cache_gives_back_what_was_kept_and_only_in_its_namespace(worker: Worker, operator: Operator) -> None:
    path = cache_path(UID, 1, key_of(1))
    assert (await worker.send("GET", path)).status == 404
    assert (await worker.send("PUT", path, b"page")).status == 204
    answer = await worker.send("GET", path)
    assert (answer.status, await answer.read()) == (200, b"page")
    assert [each.parent.name for each in operator.folder.rglob(key_of(1))] == ["team"]
    assert (await worker.send("GET", cache_path(UID, 1, "../../secret"))).status == 404


async def test_the_oldest_entries_make_room(worker: Worker, operator: Operator) -> None:
    """The limit of the cache holds, and the newest entries are those that stay."""
    for number in range(30):
        assert (await worker.send("PUT", cache_path(UID, 1, key_of(number)), b"x" * 1000)).status == 204
        kept = sorted((operator.folder / ".cache" / "team").iterdir())
        assert sum(path.stat().st_size for path in kept) <= 10_000
        assert kept[-1].name == key_of(number)


async def test_only_maintenance_may_clean_up(worker: Worker) -> None:
    answer = await worker.send("POST", cleaning_path(UID, 1), {"what": "cache", "olderThanSeconds": 0})
    assert answer.status == 403


async def test_what_is_old_is_removed_of_the_jobs_namespace_alone(worker: Worker, operator: Operator) -> None:
    """Cache by age; results of jobs that are gone, never those of one that is there."""
    operator.store.put_job(make_job(uid=UID, phase=Phase.PROCESSING, spec={"type": "Maintenance"}, version=11))
    await worker.send("PUT", cache_path(UID, 1, key_of(1)), b"page")
    await worker.send("PUT", results_path(UID, 1), b"mine")
    for namespace in ("team", "other"):
        folder = operator.folder / namespace / "gone" / "u-1" / "pod"
        folder.mkdir(parents=True)
        (folder / "results.jsonl").write_bytes(b"left")
        (operator.folder / ".cache" / namespace).mkdir(exist_ok=True)
        (operator.folder / ".cache" / namespace / key_of(2)).write_bytes(b"page")
    for what, seconds, removed in (("cache", 60, 0), ("cache", 0, 2), ("results", 60, 0), ("results", 0, 1)):
        answer = await worker.send("POST", cleaning_path(UID, 1), {"what": what, "olderThanSeconds": seconds})
        assert (answer.status, (await answer.json())["removed"]) == (200, removed)
    left = sorted(path.relative_to(operator.folder).parts[0] for path in operator.folder.rglob("*") if path.is_file())
    assert left == [".cache", "other", "team"]
