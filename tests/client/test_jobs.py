"""Jobs through the library, against a real API server, a real operator and real workers."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from crawl_client import (
    ConflictError,
    CrawlClient,
    Filter,
    JobFailedError,
    NewJob,
    NotFoundError,
    Phase,
    Priority,
    ResultUnavailableError,
    TimeoutError,  # noqa: A004 - the client's own
    ValidationError,
    batch,
    custom,
    single,
)
from demo.pages import PAGES
from demo.site import DemoSite
from operator_process import Jobs, wait_until

pytestmark = pytest.mark.cluster

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue")][:12]
URL = "https://example.org/"
FAR = datetime.now(UTC) + timedelta(days=1)


async def test_a_job_is_submitted_waited_for_and_read(client: CrawlClient, site: DemoSite) -> None:
    job = await client.jobs.submit(batch([site.url(PATHS[0])], name="first_batch", priority="HIGH"))
    assert (job.name, job.display_name, job.priority) == ("first-batch", "first_batch", Priority.HIGH)
    assert job.uid
    assert job.phase in {Phase.PENDING, Phase.PROCESSING}
    seen: list[Phase] = []
    done = await client.wait(job.name, timeout=60, poll=2.0, seen=lambda job: seen.append(job.phase))
    assert done.succeeded
    assert seen[-1] is Phase.COMPLETED
    assert done.status.progress.percent == 100
    result = await client.results.get(job.name)
    assert result.success
    assert result.processing_time_ms
    assert result.worker_id == done.worker
    records = [record async for record in client.results.records(job.name)]
    assert [record["url"] for record in records] == [site.url(PATHS[0])]
    assert records[0]["title"] == PAGES[PATHS[0]].title


@pytest.mark.parametrize("identifier", ["name", "uid", "display_name", "job-id", "task-id"])
async def test_a_job_is_found_by_whatever_it_is_called(client: CrawlClient, identifier: str) -> None:
    given = {"job-id": "job_" + "0a" * 16, "task-id": "4711"}
    name = f"Found By {identifier}"
    labels = {f"crawl-operator.io/{identifier}": given[identifier]} if identifier in given else {}
    job = await client.jobs.submit(single("https://example.org/", name=name, labels=labels, scheduled_at=FAR))
    called = given.get(identifier) or getattr(job, identifier)
    assert (await client.jobs.get(called)).uid == job.uid
    await client.jobs.delete(called)
    with pytest.raises(NotFoundError) as error:
        await client.jobs.get(called)
    assert error.value.status_code == 404


async def test_a_page_that_does_not_exist_fails_the_job_and_the_wait(client: CrawlClient, site: DemoSite) -> None:
    await client.jobs.submit(single(site.url("/missing"), name="missing", priority="high"))
    with pytest.raises(JobFailedError, match="404") as error:
        await client.wait("missing", timeout=60)
    assert error.value.phase == Phase.FAILED
    assert (await client.wait("missing", check=False)).last_error


async def test_waiting_ends_when_its_time_is_over_and_the_job_goes_on(client: CrawlClient) -> None:
    await client.jobs.submit(single("https://example.org/", name="never", scheduled_at=FAR))
    with pytest.raises(TimeoutError, match="never"):
        await client.wait("never", timeout=0.5)
    assert not (await client.jobs.get("never")).finished
    with pytest.raises(ResultUnavailableError, match="no result yet"):
        await client.results.get("never")
    cancelled = client.wait("never", timeout=20, check=False)
    await client.jobs.cancel("never")
    assert (await cancelled).phase is Phase.CANCELLED
    with pytest.raises(ConflictError, match="cannot be cancelled"):
        await client.jobs.cancel("never")


async def test_a_job_is_held_let_go_and_run_again(client: CrawlClient, site: DemoSite) -> None:
    await client.jobs.submit(single(site.url(PATHS[1]), name="held", priority="high", suspend=True))
    await client.wait("held", until=lambda job: job.phase is Phase.SUSPENDED, timeout=20)
    await client.jobs.resume("held")
    first = await client.wait("held", timeout=60)
    with pytest.raises(ConflictError, match="has ended"):
        await client.jobs.suspend("held")
    await client.jobs.requeue("held")
    again = await client.wait("held", timeout=60, until=lambda job: job.finished and len(job.status.attempts) > 1)
    with pytest.raises(ConflictError, match="only what has ended"):
        await client.jobs.requeue((await client.jobs.submit(single(URL, name="ahead", scheduled_at=FAR))).name)
    assert (await client.jobs.suspend("ahead")).spec.suspend
    await client.wait("ahead", until=lambda job: job.phase is Phase.SUSPENDED, timeout=20)
    assert again.completed is not None
    assert first.completed is not None
    assert site.requests[PATHS[1]] == 2


async def test_what_may_change_changes_and_the_rest_says_that_it_does_not(client: CrawlClient) -> None:
    await client.jobs.submit(single("https://example.org/", name="changing", scheduled_at=FAR))
    job = await client.jobs.update("changing", priority="critical", metadata={"ticket": 17})
    assert (job.priority, job.spec.metadata) == (Priority.CRITICAL, {"ticket": 17})
    with pytest.raises(ValidationError, match="timeoutSeconds cannot change after creation"):
        await client.jobs.update("changing", timeoutSeconds=5)


async def test_lists_are_filtered_by_the_server_and_paged_newest_first(client: CrawlClient, shared: Jobs) -> None:
    new = [
        batch(["https://example.org/a"], name=f"listed-{number}", scheduled_at=FAR, priority=(number % 2) * 3 + 4)
        for number in range(5)
    ]
    outcome = await client.submit_all([*new, single("https://example.org/needle", name="listed-x", scheduled_at=FAR)])
    assert (len(outcome.done), outcome.failed) == (6, ())
    pending = ("get", "crawljobs", "--field-selector=status.phase=Pending", "-o", "name")
    wait_until(lambda: not shared.kubectl(*pending).stdout, "the operator has seen all jobs", 30)
    batches = Filter(type="batch_crawl", phase="queued", search="listed")
    page = await client.jobs.list(batches, limit=2, page=2)
    assert (page.total, page.pages, page.page, len(page.items), page.more) == (5, 3, 2, 2, True)
    rest = await client.jobs.list(batches, limit=20, offset=4)
    assert (rest.total, len(rest.items), rest.more) == (5, 1, False)
    created = [job.created for job in (await client.jobs.list(Filter(search="listed"))).items]
    assert created == sorted(created, reverse=True)
    assert [job.name async for job in client.jobs.iterate(Filter(search="NEEDLE"))] == ["listed-x"]
    high = [job.name async for job in client.jobs.iterate(Filter(priority=7, search="listed"))]
    assert high == ["listed-1", "listed-3"]
    counted = shared.kubectl("get", "crawljobs", "--field-selector=status.phase=Delayed", "-o", "name").stdout.split()
    assert (await client.stats.queue()).by_phase[Phase.DELAYED] == len(counted)
    with pytest.raises(ValidationError, match="'sleeping' is no phase"):
        await client.jobs.list(Filter(phase="sleeping"))
    with pytest.raises(ValidationError, match="limit must be 1 to 1000"):
        await client.jobs.list(limit=1001)


async def test_of_many_jobs_a_broken_one_stops_no_other(client: CrawlClient) -> None:
    broken = NewJob("broken", {"type": "Single", "single": {"url": "ftp://example.org"}})
    good = [
        batch(["https://example.org/"], name="many-0", scheduled_at=FAR),
        custom("channel_scrape", {"channel_url": "https://example.org/@name"}, name="many-1", scheduled_at=FAR),
    ]
    outcome = await client.submit_all([good[0], broken, good[1]])
    assert [(job.name, job.type) for job in outcome.done] == [("many-0", "Batch"), ("many-1", "Custom")]
    assert [failure.name for failure in outcome.failed] == ["broken"]
    assert "must be an absolute http:// or https:// URL" in str(outcome.failed[0].error)


async def test_a_name_that_is_taken_is_a_conflict_and_a_dry_run_stores_nothing(client: CrawlClient) -> None:
    job = single("https://example.org/", name="taken", scheduled_at=FAR)
    await client.jobs.submit(job, dry_run=True)
    with pytest.raises(NotFoundError):
        await client.jobs.get("taken")
    await client.jobs.submit(job)
    with pytest.raises(ConflictError, match="already exists") as error:
        await client.jobs.submit(job)
    assert error.value.status_code == 409


async def test_a_stream_tells_what_happens_to_jobs(client: CrawlClient, site: DemoSite) -> None:
    events = []
    new = single(site.url(PATHS[2]), name="watched", priority="high", labels={"seen": "yes"}, suspend=True)
    await client.jobs.submit(new)
    deleted = False
    async for event in client.jobs.watch(Filter(labels="seen=yes")):
        events.append((event.type, event.object.phase))
        if len(events) == 1:
            await client.jobs.resume("watched")
        if event.object.finished and not deleted:
            await client.jobs.delete("watched")
            deleted = True
        if event.type == "DELETED":
            break
    assert events[0][0] == "ADDED"
    assert ("MODIFIED", Phase.COMPLETED) in events


async def test_manifests_are_jobs_too(client: CrawlClient, shared: Jobs) -> None:
    manifest = {
        "apiVersion": "crawl-operator.io/v1alpha1",
        "kind": "CrawlJob",
        "metadata": {"generateName": "made-", "annotations": {"note": "kept"}},
        "spec": {"type": "Single", "single": {"url": "https://example.org/"}, "suspend": True, "metadata": {"a": [1]}},
    }
    job = await client.jobs.submit(NewJob.from_dict(manifest))
    assert job.name.startswith("made-")
    stored = json.loads(shared.kubectl("get", "crawl", job.name, "-o", "json").stdout)
    assert stored["spec"]["metadata"] == {"a": [1]}
    assert stored["metadata"]["annotations"]["note"] == "kept"
