"""Many jobs: lists that stay small, one watch for all, polling where there is none."""

import asyncio
import subprocess
import sys
import time
import tracemalloc
from typing import Any

import pytest

import crawl_client
from api_proxy import ApiProxy
from client_cluster import account
from crawl_client import CrawlClient, Filter, NewJob, NotFoundError, Phase, single
from local_cluster.cluster import LocalCluster
from operator_process import namespace

pytestmark = pytest.mark.cluster


def new(count: int) -> list[NewJob]:
    return [single("https://example.org/", name=f"job-{number:05}", suspend=True) for number in range(count)]


async def end(client: CrawlClient, name: str) -> None:
    """Say, as an operator would, that a job has ended."""
    body = {"status": {"phase": Phase.COMPLETED}}
    path = client.jobs.objects.path(None, name, "status")
    await client._transport.call("PATCH", path, body=body, content_type="application/merge-patch+json")


def admin_token(cluster: LocalCluster, name: str) -> str:
    rules = {"apiGroups": ["crawl-operator.io"], "resources": ["*"], "verbs": ["*"]}
    return account(cluster, name, "user", rules)


@pytest.mark.timeout(300)
async def test_waiting_for_500_jobs_holds_one_watch(cluster: LocalCluster) -> None:
    with namespace(cluster, "wait-many") as jobs, ApiProxy(cluster) as proxy:
        options: dict[str, Any] = {
            "server": proxy.url,
            "token": admin_token(cluster, jobs.namespace),
            "namespace": jobs.namespace,
        }
        async with CrawlClient(**options) as client:
            made = (await client.submit_all(new(500))).done
            names = [job.name for job in made]
            proxy.calls.clear()
            waiting = asyncio.create_task(client.wait_all(names, timeout=150))
            async with CrawlClient(**options) as operator:
                await asyncio.gather(*(end(operator, name) for name in names))
            ended = await waiting
        reads = [call for call in proxy.calls if call.method == "GET"]
    assert set(ended) == set(names)
    assert len([call for call in reads if "watch=1" in call.path]) <= 1
    assert len(reads) <= 3, "one list and one watch"


async def test_where_nothing_may_be_watched_a_job_is_asked_for(cluster: LocalCluster) -> None:
    with namespace(cluster, "wait-poll") as jobs, ApiProxy(cluster) as proxy:
        rules = {"apiGroups": ["crawl-operator.io"], "resources": ["crawljobs"], "verbs": ["get", "create"]}
        token = account(cluster, jobs.namespace, "reader", rules)
        admin = CrawlClient(kubeconfig=cluster.kubeconfig, namespace=jobs.namespace)
        async with CrawlClient(server=proxy.url, token=token, namespace=jobs.namespace) as client, admin:
            await client.jobs.submit(new(1)[0])
            waiting = asyncio.create_task(client.wait("job-00000", poll=0.1, timeout=30))
            await asyncio.sleep(0.5)
            await end(admin, "job-00000")
            assert (await waiting).succeeded
            waiting = asyncio.create_task(client.wait("job-00000", until=lambda _: False, poll=0.1, timeout=30))
            assert (await waiting).succeeded


async def test_a_watch_that_breaks_goes_on_where_it_was(cluster: LocalCluster) -> None:
    with namespace(cluster, "wait-break") as jobs, ApiProxy(cluster) as proxy:
        options: dict[str, Any] = {
            "server": proxy.url,
            "token": admin_token(cluster, jobs.namespace),
            "namespace": jobs.namespace,
        }
        admin = CrawlClient(kubeconfig=cluster.kubeconfig, namespace=jobs.namespace)
        async with CrawlClient(**options) as client, admin:
            await client.submit_all(new(2))
            waiting = asyncio.create_task(client.wait_all(["job-00000", "job-00001"], timeout=30))
            await asyncio.sleep(0.5)
            proxy.cut = "refuse"
            await end(admin, "job-00000")
            await asyncio.sleep(0.5)
            proxy.cut = ""
            await end(admin, "job-00001")
            assert len(await waiting) == 2
            waiting_again = asyncio.create_task(client.wait("job-00000", until=lambda _: False, timeout=30))
            assert (await waiting_again).finished


async def test_a_job_that_is_deleted_is_waited_for_no_longer(cluster: LocalCluster) -> None:
    with namespace(cluster, "wait-delete") as jobs:
        async with CrawlClient(kubeconfig=cluster.kubeconfig, namespace=jobs.namespace) as client:
            await client.jobs.submit(new(1)[0])
            waiting = asyncio.create_task(client.wait("job-00000", timeout=30))
            await asyncio.sleep(0.3)
            await client.jobs.delete("job-00000")
            with pytest.raises(NotFoundError):
                await waiting


def printed(cluster: LocalCluster, name: str) -> tuple[float, int]:
    """Have the program list jobs; return after how many seconds the first row came, and how many there were."""
    process = subprocess.Popen(
        [sys.executable, "-m", "crawl_cli", "list", "--kubeconfig", cluster.kubeconfig, "-n", name],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    started = time.monotonic()
    process.stdout.readline()
    first = time.monotonic() - started
    rows = sum(1 for _ in process.stdout)
    process.stdout.close()
    assert process.wait(60) == 0
    return first, rows


async def listing(cluster: LocalCluster, name: str, count: int) -> None:
    """List many jobs: page by page, with flat memory, and the first rows of the program soon."""
    async with CrawlClient(kubeconfig=cluster.kubeconfig, namespace=name) as client:
        outcome = await client.submit_all(new(count), parallel=24)
        assert (len(outcome.done), outcome.failed) == (count, ())
        del outcome
        tracemalloc.start()
        try:
            seen, early, peak = 0, 0, 0
            async for _ in client.jobs.iterate(Filter(type="single")):
                seen += 1
                if seen == min(count, 1000):
                    early = tracemalloc.get_traced_memory()[1]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert seen == count
        assert peak < early * 1.3 + (1 << 20), "memory grows with the list"
    first, rows = await asyncio.to_thread(printed, cluster, name)
    assert rows == count
    sys.stderr.write(f"first rows of {count} jobs after {first:.2f} s, peak of the list {peak >> 10} KiB\n")


@pytest.mark.timeout(300)
async def test_a_list_of_many_pages_is_read_page_by_page(cluster: LocalCluster) -> None:
    with namespace(cluster, "list-many") as jobs:
        await listing(cluster, jobs.namespace, 1200)


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_a_list_of_ten_thousand_is_read_with_as_little_memory(cluster: LocalCluster) -> None:
    with namespace(cluster, "list-10000") as jobs:
        await listing(cluster, jobs.namespace, 10_000)


def test_the_import_loads_little_and_nothing_of_other_rooms() -> None:
    """Also where neither Kopf nor Scrapy, nor the operator, nor an HTTP server is installed.

    What takes long to import is loaded when it is needed: HTTP with the client, models with the first job.
    """
    program = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"kopf", "scrapy", "aiohttp", "crawl_operator", "crawl_worker", "typer", "rich"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import crawl_client
assert sys.modules.keys().isdisjoint({"asyncio", "crawl_api", "crawl_client.client", "httpx2", "pydantic_core", "ssl"})
from crawl_client import CrawlClient, Filter, Phase
assert sys.modules.keys().isdisjoint({"crawl_api.crawljob", "pandas", "pyarrow", "pydantic", "yaml"})
from crawl_client import single, NewJob, next_runs, ValidationError
import crawl_client.sync
single("https://example.org/")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_is_there() -> None:
    assert [name for name in crawl_client.__all__ if getattr(crawl_client, name, None) is None] == []
    assert sorted(crawl_client.__all__) == sorted(dir(crawl_client))
    with pytest.raises(AttributeError):
        crawl_client.nothing  # noqa: B018 - asking is the test
