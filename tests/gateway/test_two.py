"""Two gateways and kubectl at once, and gateways that die: nothing is given twice, lost, or made twice."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from api_proxy import ApiProxy
from crawl_client import CrawlClient
from crawl_client.models import Job
from crawl_client.requested import NewJob
from crawl_client.requested import single as one
from crawl_gateway.entries import job_entry
from crawl_gateway.mirror import Mirror
from crawl_gateway.numbers import number_of, numbered
from gateway_client import Gateway, GatewayProcess, Tenant, gateway, single
from local_cluster.cluster import LocalCluster
from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def second(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Another gateway beside the first."""
    with gateway(cluster, tmp_path_factory.mktemp("second")) as running:
        yield running


def test_what_one_made_the_other_finds_by_every_id(call: Gateway, second: GatewayProcess, owner: Tenant) -> None:
    with Gateway(second, owner) as other:
        for number in range(20):
            made = call.submit(f"shared-{number}")["metadata"]
            for text in (made["name"], made["uid"], f"job_{made['uid'].replace('-', '')}"):
                assert other.get(f"/v1/jobs/{text}")["metadata"]["uid"] == made["uid"]


def test_of_changes_to_the_same_version_one_wins(call: Gateway, second: GatewayProcess, owner: Tenant) -> None:
    """Two gateways and kubectl count up one number: none of the steps is lost."""
    call.submit("counter", metadata={"count": 0})
    steps = 12

    def count_up(client: Gateway) -> None:
        done, deadline = 0, time.monotonic() + 60
        while done < steps and time.monotonic() < deadline:
            answer = client.http.get("/v1/jobs/counter")
            body = {"spec": {"metadata": {"count": answer.json()["spec"]["metadata"]["count"] + 1}}}
            tried = client.http.patch("/v1/jobs/counter", json=body, headers={"If-Match": answer.headers["etag"]})
            assert tried.status_code in {200, 412}, tried.text
            done += tried.status_code == 200
        assert done == steps

    with Gateway(second, owner) as other, ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(count_up, client) for client in (call, other)]
        for number in range(6):  # kubectl changes something else meanwhile
            owner.jobs.kubectl("annotate", "--overwrite", "crawljob", "counter", f"example.org/note={number}")
        for run in runs:
            run.result(90)
    left = owner.jobs.get("counter")
    assert left["spec"]["metadata"]["count"] == 2 * steps
    assert left["metadata"]["annotations"]["example.org/note"] == "5"


async def test_no_integer_is_given_twice(cluster: LocalCluster, owner: Tenant) -> None:
    """Three that number the same jobs at once, while somebody makes more, changes them, and copies labels about."""
    space = owner.name
    async with CrawlClient(kubeconfig=cluster.kubeconfig, namespace=space) as client:
        made = await client.submit_all(client_jobs("numbered", 40))
        assert not made.failed
        jobs, mirrors, watching = client.jobs.objects, [], []
        for _ in range(3):
            mirror: Mirror[Job] = Mirror(client._transport, jobs, space, job_entry, 1000)
            mirrors.append(mirror)
            watching.append(asyncio.create_task(mirror.run()))
        for mirror in mirrors:
            assert await mirror.until(10, lambda each=mirror: each.synced)  # type: ignore[misc]

        async def disturb() -> None:
            for turn in range(3):
                for job in made.done:
                    await jobs.patch(job.name, {"metadata": {"annotations": {"example.org/turn": str(turn)}}}, space)

        disturbing = asyncio.create_task(disturb())
        results = await asyncio.gather(*(numbered(jobs, mirror, made.done) for mirror in mirrors))
        await disturbing
        assert all(len(result) == 40 for result in results)
        given = [{job.name: number_of(job) for job in result} for result in results]
        assert given[0] == given[1] == given[2]
        assert len(set(given[0].values())) == 40

        # A copy with all of its labels, as `kubectl get -o yaml` and another name make it.
        first = await jobs.read(made.done[0].name, space)
        copy = {**first.raw, "metadata": {"name": "copied", "namespace": space, "labels": dict(first.labels)}}
        copied = await jobs.create({key: copy[key] for key in ("apiVersion", "kind", "metadata", "spec")})
        assert await mirrors[0].until(5, lambda: mirrors[0].shelf.named(space, "copied") is not None)
        (own,) = await numbered(jobs, mirrors[0], [copied])
        assert number_of(own) not in given[0].values()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


def client_jobs(prefix: str, count: int) -> Iterator[NewJob]:
    return (one("https://example.org/", name=f"{prefix}-{number}", suspend=True) for number in range(count))


def test_a_gateway_that_is_killed_in_mid_request_makes_no_second_job(
    cluster: LocalCluster, owner: Tenant, tmp_path: Path
) -> None:
    """Whenever it dies, the same request with the same key comes to one job; so does one that never had an answer."""
    with gateway(cluster, tmp_path) as fragile:
        for number in range(3):
            key = {"Idempotency-Key": f"killed-{number}"}
            sent = threading.Event()

            def send(headers: dict[str, str] = key, sent: threading.Event = sent) -> None:
                sent.set()
                with Gateway(fragile, owner) as client:
                    items = [single() for _ in range(20)]
                    with contextlib.suppress(httpx2.TransportError):
                        client.http.post("/v1/jobs/bulk", json={"items": items}, headers=headers)

            sender = threading.Thread(target=send)
            sender.start()
            sent.wait(5)
            time.sleep(0.05 * number)
            fragile.kill()
            sender.join(30)
            fragile.start()
            with Gateway(fragile, owner) as client:
                answer = client.call(
                    "POST", "/v1/jobs/bulk", 200, {"items": [single() for _ in range(20)]}, headers=key
                )
                assert (len(answer["done"]), answer["failed"]) == (20, [])
        with Gateway(fragile, owner) as client:
            names = {name for name in client.listed(limit=1000) if name.startswith("request-")}
            assert len(names) == 60


def test_a_gateway_whose_watch_was_cut_catches_up(cluster: LocalCluster, owner: Tenant, tmp_path: Path) -> None:
    with (
        ApiProxy(cluster) as proxy,
        GatewayProcess(cluster, tmp_path, server=proxy.url) as cut,
        Gateway(cut, owner) as client,
    ):
        client.submit("before-the-cut")
        proxy.cut = "refuse"
        owner.jobs.kubectl("delete", "crawljob", "before-the-cut")
        owner.jobs.apply("after-the-cut", single={"url": "https://example.org/"}, suspend=True)
        assert client.http.get("/v1/jobs/after-the-cut").status_code == 503
        proxy.cut = ""
        wait_until(lambda: "after-the-cut" in client.listed(limit=1000), "the new job is seen", 30)
        assert "before-the-cut" not in client.listed(limit=1000)
