"""Schedules, dead letters, graphs, numbers and the synchronous face, with a real operator."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client_cluster import account
from crawl_client import (
    ConflictError,
    CrawlClient,
    ForbiddenError,
    Graph,
    NotFoundError,
    Phase,
    UnavailableError,
    ValidationError,
    batch,
    next_runs,
    schedule,
    single,
    stats,
    to_arrow,
    to_pandas,
)
from crawl_client.sync import CrawlClient as SyncClient
from demo.pages import PAGES
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, namespace, wait_until

pytestmark = pytest.mark.cluster

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue/")][:4]


async def test_a_schedule_is_created_run_switched_and_removed(client: CrawlClient, site: DemoSite) -> None:
    job = batch([site.url(PATHS[0])], priority="high", fetch=None, labels={"of": "daily"})
    made = await client.schedules.create(schedule("daily_crawl", "0 2 * * *", job))
    assert (made.name, made.display_name, made.runs, made.enabled) == ("daily-crawl", "daily_crawl", 0, True)
    async for event in client.schedules.watch():
        if event.object.next_run is not None:
            tomorrow = (datetime.now(UTC) - timedelta(hours=2)).date() + timedelta(days=1)
            assert event.object.next_run == datetime(tomorrow.year, tomorrow.month, tomorrow.day, 2, tzinfo=UTC)
            assert next_runs(made.cron, count=1) == [event.object.next_run]
            break
    await client.schedules.disable("daily_crawl")
    async for event in client.schedules.watch():
        if not event.object.enabled and event.object.next_run is None:
            break
    value = await client.schedules.trigger("daily_crawl")
    async for run in client.jobs.watch():
        if run.object.annotations.get("crawl-operator.io/trigger") == value:
            assert run.object.labels["of"] == "daily"
            await client.wait(run.object.name, timeout=60)
            break
    assert (await client.schedules.enable("daily-crawl")).enabled
    assert [each.name for each in await client.schedules.list()] == ["daily-crawl"]
    await client.schedules.delete("daily_crawl")
    with pytest.raises(NotFoundError):
        await client.schedules.get("daily-crawl")
    with pytest.raises(ValidationError, match="the hour must be"):
        schedule("bad", "0 25 * * *", job)


async def test_a_graph_of_jobs_runs_in_its_order(client: CrawlClient, site: DemoSite) -> None:
    first, second, third = (
        single(site.url(PATHS[number]), name=f"step-{number}", priority="high") for number in range(3)
    )
    graph = Graph().add(third, after=[first, second]).add(second, after=[first]).add(first)
    assert (await client.submit_all(graph.jobs(), parallel=1)).failed == ()
    ended = await client.wait_all([job.name for job in graph.jobs()], timeout=90)
    times = [ended[job.name].started for job in (first, second, third)]
    assert times == sorted(times, key=str)
    assert (await client.jobs.get("step-2")).spec.depends_on[0].name == "step-0"
    with pytest.raises(ValidationError, match="each waits for the next"):
        Graph().add(first, after=[second]).add(second, after=[first]).jobs()


async def test_dead_letters_are_found_run_again_and_removed(client: CrawlClient, site: DemoSite, shared: Jobs) -> None:
    await client.jobs.submit(single(site.url("/error"), name="dead", priority="high", retry={"max_attempts": 1}))
    assert (await client.wait("dead", timeout=60, check=False)).dead
    assert [job.name async for job in client.dead_letters.iterate()] == ["dead"]
    wait_until(lambda: len(shared.get("dead")["metadata"].get("annotations", ())) == 3, "it is marked", 10)
    assert (await client.dead_letters.get("dead")).annotations["crawl-operator.io/dead-letter-reason"]
    await client.dead_letters.requeue("dead")
    again = await client.wait("dead", timeout=60, check=False)
    assert len(again.status.attempts) == 2
    await client.dead_letters.purge("dead")
    with pytest.raises(NotFoundError):
        await client.dead_letters.get("dead")
    await client.jobs.submit(single(site.url(PATHS[0]), name="alive", suspend=True))
    with pytest.raises(ConflictError, match="no dead letter"):
        await client.dead_letters.get("alive")


async def test_numbers_add_up_and_agree_with_the_objects(client: CrawlClient, shared: Jobs) -> None:
    runs = ("get", "crawljobs", "-l", "crawl-operator.io/schedule", "-o", "name")
    wait_until(lambda: not shared.kubectl(*runs).stdout, "the runs of a schedule that is gone are gone too", 75)
    queue = await client.stats.queue()
    assert queue.total == sum(
        (queue.pending, queue.processing, queue.completed, queue.failed, queue.retry, queue.delayed)
    )
    assert queue.total == len(shared.kubectl("get", "crawljobs", "-o", "name").stdout.split())
    assert queue.completed == sum(queue.by_phase.get(phase, 0) for phase in (Phase.COMPLETED, Phase.PARTIAL_SUCCESS))
    workers = await client.stats.workers()
    assert workers.is_running
    assert workers.total_jobs_processed == queue.completed + queue.failed
    health = await client.health()
    assert health.healthy, health.problems


async def test_a_leader_that_is_not_heard_of_is_a_problem(client: CrawlClient, shared: Jobs) -> None:
    """The lease is asked for like anything else there is no method for."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{shared.namespace}/leases"
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": "2026-03-01T12:00:00.000000Z"}
    made = await client.request("POST", path, body={"metadata": {"name": "crawl-operator"}, "spec": spec})
    assert made["spec"]["holderIdentity"] == "one"
    health = await client.stats.health(operator_namespace=shared.namespace)
    assert health.operator == "one"
    assert [problem for problem in health.problems if "'one' was last heard of" in problem]
    await client.request("DELETE", f"{path}/crawl-operator")
    with pytest.raises(NotFoundError):
        await client.request("GET", f"{path}/crawl-operator")
    assert shared.namespace in await client.namespaces()


async def test_a_tenant_sees_nothing_of_another(cluster: LocalCluster, client: CrawlClient) -> None:
    """Who has every right in a namespace of their own finds no job of ours, by whatever it is called."""
    labels = {"crawl-operator.io/job-id": "job_" + "0b" * 16, "crawl-operator.io/task-id": "4712"}
    ours = await client.jobs.submit(single("https://example.org/", name="Of Ours", labels=labels, suspend=True))
    names = (ours.name, ours.uid, ours.display_name, *labels.values())
    rules = {"apiGroups": ["crawl-operator.io"], "resources": ["*"], "verbs": ["*"]}
    with namespace(cluster, "tenant") as theirs:
        token = account(cluster, theirs.namespace, "tenant", rules)
        async with CrawlClient(kubeconfig=cluster.kubeconfig, token=token, namespace=theirs.namespace) as tenant:
            for name in names:
                with pytest.raises(NotFoundError):
                    await tenant.jobs.get(name)
                for ask in (tenant.jobs.get, tenant.jobs.cancel, tenant.jobs.delete, tenant.results.get):
                    with pytest.raises(ForbiddenError):
                        await ask(name, client.namespace)
            for namespaces in (client.namespace, ""):
                with pytest.raises(ForbiddenError):
                    await tenant.jobs.list(namespace=namespaces)
            assert (await tenant.jobs.list()).total == 0


async def test_without_an_operator_worker_statistics_are_unavailable(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "UNSEEN_SECONDS", -1.0)
    with namespace(cluster, "no-operator") as jobs:
        async with CrawlClient(kubeconfig=cluster.kubeconfig, namespace=jobs.namespace) as client:
            await client.jobs.submit(single("https://example.org/", name="unseen"))
            with pytest.raises(UnavailableError) as error:
                await client.stats.workers()
            assert error.value.status_code == 503
            assert not (await client.health()).healthy


@pytest.mark.parametrize(
    "output",
    [
        {"compression": "gzip"},
        {"compression": "zstd"},
        {"format": "Parquet"},
    ],
    ids=str,
)
async def test_results_are_read_in_every_form(
    client: CrawlClient, site: DemoSite, output: dict[str, str], tmp_path: Path
) -> None:
    name = "form-" + "-".join(output.values()).lower()
    urls = [site.url(path) for path in PATHS]
    job = batch(urls, name=name, priority="high", output={**output, "inline_limit_bytes": 0})
    await client.jobs.submit(job)
    await client.wait(name, timeout=60)
    found = [record async for record in client.results.records(name)]
    assert sorted(record["url"] for record in found) == sorted(urls)
    path = await client.results.download(name, tmp_path)
    assert path.name == (await client.results.get(name)).file
    table = await to_arrow(client.results.records(name))
    assert table.num_rows == len(urls)
    frame = await to_pandas(found)
    assert sorted(frame["url"]) == sorted(urls)


def test_the_synchronous_face_is_the_same(cluster: LocalCluster, shared: Jobs, site: DemoSite) -> None:
    with SyncClient(kubeconfig=cluster.kubeconfig, namespace=shared.namespace) as client:
        job = client.jobs.submit(single(site.url(PATHS[0]), name="in-sync", priority="high"))
        assert client.wait(job.name, timeout=60).succeeded
        assert [record["title"] for record in client.results.records("in-sync")] == [PAGES[PATHS[0]].title]
        assert "in-sync" in [each.name for each in client.jobs.iterate()]
        for event in client.jobs.watch():
            assert event.type == "ADDED"
            break
        client.jobs.delete("in-sync")
        with pytest.raises(NotFoundError):
            client.jobs.get("in-sync")
        assert client.health().status == "healthy"
    assert client.jobs.get.__doc__ == CrawlClient(kubeconfig=cluster.kubeconfig).jobs.get.__doc__
