"""Two gateways and kubectl at once, and gateways that die: nothing is given twice, lost, or made twice."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from gateway_client import Gateway, GatewayProcess, Tenant, gateway, single, tenant
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
                path = f"/v1/jobs/{text}"
                wait_until(lambda path=path: other.http.get(path).is_success, f"{text} is known", 10)  # type: ignore[misc]
                assert other.get(path)["metadata"]["uid"] == made["uid"]


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

        # A copy with all of its labels, as `kubectl get -o yaml` and another name make it. Of two that were created in
        # the same second the name decides which is the older one.
        first = await jobs.read(made.done[0].name, space)
        copy = {**first.raw, "metadata": {"name": "numbered-copy", "namespace": space, "labels": dict(first.labels)}}
        copied = await jobs.create({key: copy[key] for key in ("apiVersion", "kind", "metadata", "spec")})
        assert await mirrors[0].until(10, lambda: mirrors[0].shelf.named(space, "numbered-copy") is not None)
        (own,) = await numbered(jobs, mirrors[0], [copied])
        assert number_of(own) not in given[0].values()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


def client_jobs(prefix: str, count: int) -> Iterator[NewJob]:
    return (one("https://example.org/", name=f"{prefix}-{number}", suspend=True) for number in range(count))


def crawl(path: str) -> dict[str, str]:
    """Make what is crawled of what it is submitted through, so that each has its own job."""
    return {"url": f"https://example.org{path}"}


SUBMISSIONS: dict[str, tuple[Any, int]] = {
    "/v1/jobs": (single(**crawl("/v1/jobs")), 201),
    "/v1/jobs/bulk": ({"items": [single(**crawl("/v1/jobs/bulk")) for _ in range(40)]}, 200),
    "/workers/jobs": ({"job_type": {"type": "single_crawl", **crawl("/workers/jobs")}}, 200),
    "/jobs": ({"type": "single_crawl", "payload": crawl("/jobs")}, 202),
    "/tasks": ({"task_type": "single_crawl", "parameters": crawl("/tasks")}, 201),
}


@dataclass
class Killed:
    """A gateway that was killed when the store had done what it was sent, and runs again."""

    client: Gateway
    owner: Tenant
    before: dict[str, list[str]]
    """What was stored then; see `stored`."""


@pytest.fixture(scope="module")
def killed(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """Killed with all submissions under way, and once more with a task that has just been given its number."""
    folder = tmp_path_factory.mktemp("fragile")
    with (
        tenant(cluster, "killed") as made,
        ApiProxy(cluster) as proxy,
        gateway(cluster, folder, server=proxy.url) as fragile,
        Gateway(fragile, made) as client,
    ):

        def send(path: str) -> None:
            with pytest.raises(httpx2.TransportError):
                client.http.post(path, json=SUBMISSIONS[path][0], headers={"Idempotency-Key": path})

        def die(withheld: str, *paths: str) -> None:
            def done() -> bool:
                held_back = any(re.match(withheld, str(call)) for call in proxy.writes)
                return held_back and set(paths) <= set(stored(made))

            proxy.withheld = withheld
            with ThreadPoolExecutor(len(paths)) as pool:
                sending = [pool.submit(send, path) for path in paths]
                wait_until(done, "the store has done it", 20)
                fragile.kill()
                for each in sending:
                    each.result(30)

        die(r"POST .*/crawljobs\b", *SUBMISSIONS)
        before = stored(made)
        fragile.start()
        die("PATCH .*/crawljobs/", "/tasks")
        fragile.start()
        proxy.withheld = ""
        yield Killed(client, made, before)


@pytest.mark.parametrize("path", SUBMISSIONS)
def test_what_a_killed_gateway_has_stored_and_never_answered_is_stored_once(killed: Killed, path: str) -> None:
    """The same request with the same key has an answer, and makes nothing that there is already."""
    body, status = SUBMISSIONS[path]
    wanted = len(body.get("items", [None]))
    before = killed.before[path]
    assert len(before) == 1 if wanted == 1 else 0 < len(before) < wanted
    key = {"Idempotency-Key": path}
    answer, again = (killed.client.call("POST", path, status, body, headers=key) for _ in range(2))
    assert answer == again
    assert "failed" not in answer or answer["failed"] == []
    after = stored(killed.owner)[path]
    assert set(after) >= set(before)
    assert len(after) == wanted


def stored(made: Tenant) -> dict[str, list[str]]:
    """Return the UIDs of all jobs that there are, by the paths of their URLs."""
    found: dict[str, list[str]] = {}
    for item in json.loads(made.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]:
        path = item["spec"]["single"]["url"].removeprefix("https://example.org")
        found.setdefault(path, []).append(item["metadata"]["uid"])
    return found


def test_a_gateway_whose_watch_was_cut_catches_up(cluster: LocalCluster, owner: Tenant, tmp_path: Path) -> None:
    with (
        ApiProxy(cluster) as proxy,
        gateway(cluster, tmp_path, server=proxy.url) as cut,
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
