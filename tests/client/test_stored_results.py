"""Results through the library from the operator's store and from buckets: whole after breaks, or an error in words."""

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import stat
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from moto.server import ThreadedMotoServer

from client_cluster import account, kubeconfig_of
from crawl_client import CrawlClient
from crawl_client.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    ForbiddenError,
    ResultUnavailableError,
    UnavailableError,
)
from crawl_client.sync import CrawlClient as SyncClient
from demo.pages import PAGES
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, namespace, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(300)]  # the first makes a dozen crawls

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue")][:4]
SEE = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs"], "verbs": ["get", "list"]}
READ = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs", "crawljobs/results"], "verbs": ["get", "list"]}
OWN = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs/results"], "verbs": ["get"]}
OUTPUTS: dict[str, dict[str, str]] = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "zstd": {"compression": "zstd"},
    "parquet": {"format": "Parquet"},
    "warc": {"format": "WARC"},
}
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
BUCKET = "crawls"
LINES = 20_000
"""Of a result that no socket's buffer holds: 40 MB."""


class Stored:
    """Jobs with results in an operator's store, and users with the right to them and without."""

    def __init__(self, jobs: Jobs, operator: OperatorProcess, urls: list[str], folder: Path) -> None:
        self.jobs = jobs
        self.operator = operator
        self.urls = urls
        self.reader = kubeconfig_of(
            jobs.cluster, folder / "reader", token=account(jobs.cluster, jobs.namespace, "reader", READ)
        )
        self.watcher = kubeconfig_of(
            jobs.cluster, folder / "watcher", token=account(jobs.cluster, jobs.namespace, "watcher", SEE)
        )

    def file(self, job: str) -> Path:
        return Path(unquote(urlparse(self.jobs.status(job)["resultURL"]).path))

    def client(self, kubeconfig: Path | None = None, **options: Any) -> CrawlClient:
        options = {"results_url": self.operator.url, "retries": 2, **options}
        return CrawlClient(kubeconfig=kubeconfig or self.reader, namespace=self.jobs.namespace, **options)

    def fill(self, job: str) -> list[int]:
        """Have the stored result of a job be one of many records; return what they hold."""
        path, numbers = self.file(job), list(range(LINES))
        path.write_text("".join(f'{{"number": {number}, "text": "{"x" * 2000}"}}\n' for number in numbers))
        self.describe(job)
        return numbers

    def describe(self, job: str) -> None:
        """Have a job's status tell of what is stored."""
        content = self.file(job).read_bytes()
        said = {"result": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}}
        patch = json.dumps({"status": said})
        self.jobs.kubectl("patch", "crawljob", job, "--subresource=status", "--type=merge", "-p", patch)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server on loopback, with one bucket; its URL."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with socket.create_connection((host, port), 60) as connection:  # its first answer takes long
        connection.sendall(f"PUT /{BUCKET} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
        assert b" 200 " in connection.recv(1000).splitlines()[0]
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def stored(cluster: LocalCluster, s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    folder = tmp_path_factory.mktemp("operator")
    with (
        DemoSite() as site,
        namespace(cluster, f"stored-{uuid.uuid4().hex[:8]}") as jobs,
        OperatorProcess(cluster, folder, namespaces=[jobs.namespace]) as operator,
    ):
        urls = [site.url(path) for path in PATHS]
        secret = [f"--from-literal={name}={value}" for name, value in {**KEYS, "AWS_ENDPOINT": s3}.items()]
        jobs.kubectl("create", "secret", "generic", "crawl-bucket", *secret)
        bucket = {"storeUrl": f"s3://{BUCKET}/results", "credentials": {"name": "crawl-bucket"}}
        jobs_of = {**OUTPUTS, "changed": {}, "long": {}, "broken": {}} | {
            f"bucket-{name}": {**output, **bucket} for name, output in OUTPUTS.items()
        }
        for name, output in jobs_of.items():
            jobs.apply(name, batch={"urls": urls}, output={"inlineLimitBytes": 0, **output}, priority="High")
        made = Stored(jobs, operator, urls, folder)
        for name in jobs_of:
            assert jobs.finished(name)["phase"] == "Completed", jobs.status(name)
        yield made


@pytest.fixture
def credentials(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment knows of the bucket."""
    for key, value in {**KEYS, "AWS_ENDPOINT": s3}.items():
        monkeypatch.setenv(key, value)


@pytest.fixture
def tunnel(stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a program in kubectl's place that leads to the operator: nodes of this cluster forward no ports."""
    program = tmp_path / "kubectl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncp "$2" {tmp_path}/kubeconfig-$$\n'
        f'echo "Forwarding from 127.0.0.1:{stored.operator.port} -> 8082"\nexec sleep 60\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
async def reader(stored: Stored) -> AsyncIterator[CrawlClient]:
    async with stored.client() as opened:
        yield opened


@pytest.mark.parametrize("name", OUTPUTS)
async def test_every_form_is_read_through_the_operator(
    reader: CrawlClient, stored: Stored, name: str, tmp_path: Path
) -> None:
    saved = await reader.results.download(name, tmp_path)
    assert saved.read_bytes() == stored.file(name).read_bytes()
    if name != "warc":
        found = [record["url"] async for record in reader.results.records(name)]
        assert sorted(found) == sorted(stored.urls)


@pytest.mark.parametrize("name", OUTPUTS)
async def test_every_form_is_read_from_a_bucket_and_by_nobody_else(
    reader: CrawlClient, stored: Stored, credentials: None, name: str, tmp_path: Path
) -> None:
    """With the credentials of the environment; the operator has none, and says where it lies."""
    job = f"bucket-{name}"
    result = await reader.results.get(job)
    assert result.url.startswith(f"s3://{BUCKET}/results/{stored.jobs.namespace}/{job}/")
    saved = await reader.results.download(job, tmp_path)
    assert saved.stat().st_size == result.bytes
    if name != "warc":
        assert sorted([record["url"] async for record in reader.results.records(job)]) == sorted(stored.urls)
    part = reader._downloads.part(stored.jobs.namespace, job, result.file, size=result.bytes, sha256=result.sha256)
    with pytest.raises(ResultUnavailableError, match="no credentials: read it there") as error:
        await anext(part)
    assert (error.value.reason, result.url in str(error.value)) == ("StoredElsewhere", True)


async def test_a_bucket_that_is_not_reached_is_told_as_such(
    reader: CrawlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {**KEYS, "AWS_ENDPOINT": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AWS_MAX_RETRIES", "0")
    with pytest.raises(ResultUnavailableError, match="cannot be read"):
        [_ async for _ in reader.results.records("bucket-plain")]


async def test_who_may_see_jobs_alone_is_told_which_right_is_missing(stored: Stored) -> None:
    async with stored.client(stored.watcher) as client:
        assert (await client.results.get("plain")).items == len(PATHS)
        with pytest.raises(ForbiddenError, match='cannot get resource "crawljobs/results"') as error:
            [_ async for _ in client.results.records("plain")]
    assert error.value.status_code == 403


async def test_a_token_of_its_own_opens_results(stored: Stored) -> None:
    """For who logs in with a certificate, or shall not send the operator what the API server would take."""
    token = stored.jobs.kubectl("create", "token", "reader").stdout.strip()
    admin = stored.jobs.cluster.kubeconfig
    async with stored.client(admin, results_token=token) as client:
        assert len([_ async for _ in client.results.records("plain")]) == len(PATHS)
    async with stored.client(admin, results_token="garbage") as client:
        with pytest.raises(AuthenticationError, match="does not know this token"):
            [_ async for _ in client.results.records("plain")]
    async with stored.client(admin) as client:
        with pytest.raises(AuthenticationError, match="logs in without a token") as error:
            [_ async for _ in client.results.records("plain")]
    assert "CRAWL_RESULTS_TOKEN" in str(error.value)


async def test_who_logs_in_with_a_certificate_asks_for_a_token_of_the_releases_account(
    stored: Stored, tunnel: Path
) -> None:
    """As the chart makes it beside the Service; without it, it is said what there is not."""
    admin, name = stored.jobs.cluster.kubeconfig, stored.jobs.namespace
    async with stored.client(admin, results_url=f"service://{name}/release") as client:
        with pytest.raises(AuthenticationError, match='"release-results" not found') as error:
            [_ async for _ in client.results.records("plain")]
        assert "CRAWL_RESULTS_TOKEN" in str(error.value)
        account(stored.jobs.cluster, name, "release-results", OWN)
        for _ in range(2):
            assert len([_ async for _ in client.results.records("plain")]) == len(PATHS)


def test_the_environment_names_the_way_and_the_token(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without `await`."""
    monkeypatch.setenv("CRAWL_RESULTS_URL", stored.operator.url + "/")
    monkeypatch.setenv("CRAWL_RESULTS_TOKEN", stored.jobs.kubectl("create", "token", "reader").stdout.strip())
    with SyncClient(kubeconfig=stored.jobs.cluster.kubeconfig, namespace=stored.jobs.namespace) as client:
        assert len(list(client.results.records("gzip"))) == len(PATHS)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_download_outlives_its_operator(stored: Stored, end: str) -> None:
    """Killed, or ended in order and without delay: once it is back the stream goes on, without a gap."""
    numbers = stored.fill("long")
    options = {"results_url": stored.operator.url, "retries": 8, "namespace": stored.jobs.namespace}
    with SyncClient(kubeconfig=stored.reader, **options) as client, ThreadPoolExecutor(1) as pool:
        records = client.results.records("long")
        found = [next(records)["number"]]
        began = time.monotonic()
        getattr(stored.operator, end)()
        assert time.monotonic() - began < 8
        rest = pool.submit(lambda: [record["number"] for record in records])
        stored.operator.start()  # by this thread: an operator ends with the one that has started it
        found += rest.result(60)
    assert found == numbers


async def test_of_an_operator_that_stays_away_it_is_said_how_far_it_came(stored: Stored) -> None:
    numbers = stored.fill("long")
    found = []
    async with stored.client(retries=1) as client:
        records = client.results.records("long")
        found.append((await anext(records))["number"])
        await asyncio.to_thread(stored.operator.kill)
        try:
            with pytest.raises(UnavailableError, match="does not answer") as error:
                await _all(records, found)
        finally:
            stored.operator.start()
    size = stored.file("long").stat().st_size
    assert any(f"of {size} bytes" in note for note in error.value.__notes__)
    assert found == numbers[: len(found)] != numbers


async def _all(records: AsyncIterator[dict[str, Any]], found: list[int]) -> None:
    async for record in records:
        found.append(record["number"])  # noqa: PERF401 - what comes before a break counts


async def test_what_has_changed_on_its_way_is_no_result(reader: CrawlClient, stored: Stored, tmp_path: Path) -> None:
    """Of the right size and of other content: the checksum tells."""
    path = stored.file("changed")
    path.write_bytes(path.read_bytes().replace(b"http", b"HTTP"))
    with pytest.raises(ResultUnavailableError, match="is not what changed has stored") as error:
        await reader.results.download("changed", tmp_path / "x")
    assert error.value.reason == "Changed"
    path.unlink()
    with pytest.raises(ResultUnavailableError, match="has lost the result") as lost:
        await reader.results.download("changed", tmp_path / "x")
    assert (lost.value.reason, lost.value.status_code) == ("ResultLost", 410)


async def test_what_is_no_operator_is_told_as_such(stored: Stored) -> None:
    """A page of somebody else's, an address where nobody answers, and what is no address."""
    health = f"http://127.0.0.1:{stored.operator.health_port}"
    expected: dict[str, tuple[type[Exception], str]] = {
        health: (ResultUnavailableError, "none of the operator's answers"),
        "http://127.0.0.1:9": (UnavailableError, "does not answer"),
        "ftp://127.0.0.1": (ConfigurationError, "no URL of results"),
    }
    for url, (kind, words) in expected.items():
        async with stored.client(results_url=url, retries=0) as client:
            with pytest.raises(kind, match=words):
                [_ async for _ in client.results.records("plain")]


async def test_a_node_without_port_forwarding_is_told_as_such(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The default way is kubectl's: what it complains of is quoted, with what to do instead."""
    folder = stored.jobs.cluster.kubectl_path.parent
    way = f"service://{stored.jobs.namespace}/crawl-operator"
    for path, words in ((str(folder), "services .crawl-operator. is forbidden"), (str(tmp_path), "kubectl is needed")):
        monkeypatch.setenv("PATH", path)
        async with stored.client(results_url=way) as client:
            with pytest.raises(APIError, match=words) as error:
                [_ async for _ in client.results.records("plain")]
        assert "CRAWL_RESULTS_URL" in str(error.value)


async def test_a_tunnel_is_opened_once_and_again_when_its_end_is_gone(stored: Stored, tunnel: Path) -> None:
    calls = tunnel / "calls"
    async with stored.client(results_url="service://somewhere/release:8083") as client:
        for _ in range(2):
            assert len([_ async for _ in client.results.records("plain")]) == len(PATHS)
        assert len(calls.read_text().splitlines()) == 1
        opened = client._downloads._tunnel
        assert opened is not None
        process = opened._process
        assert process is not None
        process.kill()
        await process.wait()
        assert len([_ async for _ in client.results.records("plain")]) == len(PATHS)
        last = opened._process
        assert last is not None
    assert last.returncode is not None, "nothing is left running"
    first, second = calls.read_text().splitlines()
    assert first.split()[2:] == second.split()[2:] == [
        "-n", "somewhere", "port-forward", "service/release", ":8083", "--address=127.0.0.1",
    ]  # fmt: skip
    given = [Path(first.split()[1]), Path(second.split()[1])]
    _are_logins_of_a_moment([*tunnel.glob("kubeconfig-*")], given)  # noqa: ASYNC240 - two small files


def _are_logins_of_a_moment(copies: list[Path], given: list[Path]) -> None:
    """Kubeconfigs that say who asks, to nobody else, and no longer than needed."""
    assert len(copies) == len(given) == 2
    assert all(json.loads(path.read_text())["users"][0]["user"]["token"] for path in copies)
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in copies)
    assert not any(path.exists() for path in given)


async def test_too_many_downloads_are_waited_for(stored: Stored) -> None:
    """Those who are told to come back do, as long as they are patient."""
    stored.fill("broken")
    async with stored.client(retries=6) as client, contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            records = client.results.records("broken")
            stack.push_async_callback(records.aclose)  # type: ignore[attr-defined]
            await anext(records)
        late = asyncio.create_task(client.results.download("plain", stored.operator.folder))
        await asyncio.sleep(0.5)
        assert not late.done()
        await stack.aclose()
        assert (await late).read_bytes() == stored.file("plain").read_bytes()


def test_the_kubeconfigs_of_these_tests_are_as_meant(stored: Stored) -> None:
    """The reader may read results, the watcher may not: or the tests above show nothing."""
    for who, can in (("reader", "yes"), ("watcher", "no")):
        user = f"system:serviceaccount:{stored.jobs.namespace}:{who}"
        asked = stored.jobs.kubectl(
            "auth", "can-i", "get", "crawljobs.crawl-operator.io/plain", "--subresource=results", f"--as={user}",
            check=False,
        )  # fmt: skip
        assert asked.stdout.strip() == can
    wait_until(lambda: stored.operator.health("readyz")[0] == 200, "the operator is well", 10)
