"""What fails is repeated by its cause and as far as it failed; what cannot be saved can be found and sent again."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.pages import PAGES
from demo.site import DemoSite
from held_site import HeldSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, condition, records, wait_until

pytestmark = pytest.mark.cluster

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue")][:12]
QUICK: dict[str, Any] = {"initialDelaySeconds": 1, "jitter": False}
PREFIX = "crawl-operator.io/"
DEAD = ("-l", "crawl-operator.io/dead-letter=true")


def marks(jobs: Jobs, name: str) -> dict[str, str]:
    """Return the annotations of ours on a job, without the prefix."""
    found: dict[str, str] = jobs.get(name)["metadata"].get("annotations", {})
    return {key.removeprefix(PREFIX): value for key, value in found.items() if key.startswith(PREFIX)}


def moves(status: dict[str, Any]) -> list[str]:
    """Return the phases that a job went through."""
    trail = [move["to"] for move in status["history"]]
    origins = [move["from"] for move in status["history"]]
    assert origins == ["Pending", *trail[:-1]], "without a gap"
    return trail


def waits(status: dict[str, Any]) -> list[float]:
    """Return for how many seconds a job was in phase Retry, each time."""
    times = [(move["to"], datetime.fromisoformat(move["time"])) for move in status["history"]]
    return [(after - since).total_seconds() for (to, since), (_, after) in itertools.pairwise(times) if to == "Retry"]


def test_a_server_that_always_fails_makes_a_dead_letter_after_three_attempts(shared: Jobs) -> None:
    """With growing pauses, annotations that tell of them meanwhile, and then marks to find it by."""
    with DemoSite() as site:
        retry = QUICK | {"initialDelaySeconds": 5}
        shared.apply("dead", single={"url": site.base_url + "/error"}, priority="High", retry=retry)
        status = shared.reached("dead", "Retry")
        # The annotations are written after the status that they repeat.
        wait_until(lambda: "retry-count" in marks(shared, "dead"), "it is marked as waiting", 4)
        waiting = marks(shared, "dead")
        assert waiting["retry-count"] == "1"
        assert waiting["next-retry-at"] == status["nextRetryAt"]
        assert "500" in waiting["last-failure-reason"]
        assert condition(status, "Scheduled")["reason"] == "RetryBackoff"
        status = shared.finished("dead", 90)
        assert site.requests["/error"] == 3
    assert status["phase"] == "DeadLetter"
    assert [each["number"] for each in status["attempts"]] == [1, 2, 3]
    assert status["retryCount"] == 2
    first, second = waits(status)
    assert first >= 5
    assert second >= 10
    assert moves(status) == [
        "Processing", "Retry", "Pending", "Processing", "Retry", "Pending", "Processing", "DeadLetter",
    ]  # fmt: skip
    for kind in ("Failed", "Stalled"):
        assert condition(status, kind)["reason"] == "AllPagesFailed"
    wait_until(lambda: "dead-letter" in marks(shared, "dead"), "it is marked", 5)
    assert marks(shared, "dead") == {
        "dead-letter": "true",
        "dead-letter-reason": "AllPagesFailed",
        "dead-letter-at": status["completedAt"],
    }
    assert "crawljob.crawl-operator.io/dead" in shared.kubectl("get", "crawl", *DEAD, "-o", "name").stdout.split()
    events = shared.kubectl("get", "events", "--field-selector=involvedObject.name=dead", "-o", "json").stdout
    reasons = [event["reason"] for event in json.loads(events)["items"]]
    assert sorted(reasons) == ["DeadLetter", "RetryBackoff", "RetryBackoff"]


@pytest.mark.timeout(300)
@pytest.mark.long
def test_dead_letters_are_sent_again_all_at_once(jobs: Jobs, operator: OperatorProcess) -> None:
    """By one command over their label: each with a fresh budget; the person's annotation stays as it is."""
    with DemoSite(failing={PATHS[0]: 3, PATHS[1]: 5}) as site:
        for number, name in enumerate(("one", "two")):
            jobs.apply(name, single={"url": site.url(PATHS[number])}, priority="High", retry=QUICK)
        for name in ("one", "two"):
            assert jobs.finished(name, 100)["phase"] == "DeadLetter"
        wait_until(lambda: len(jobs.kubectl("get", "crawl", *DEAD, "-o", "name").stdout.split()) == 2, "marked", 5)
        jobs.annotate(*DEAD, "requeue=1")
        for name in ("one", "two"):
            wait_until(lambda: jobs.status(name).get("requeued") == "1", f"{name} is taken up", 10)  # noqa: B023 - at once
        ended = {name: jobs.finished(name, 100) for name in ("one", "two")}
        assert {name: status["phase"] for name, status in ended.items()} == {"one": "Completed", "two": "Completed"}
        assert [each["number"] for each in ended["one"]["attempts"]] == [1, 2, 3, 4]
        assert [each["number"] for each in ended["two"]["attempts"]] == [1, 2, 3, 4, 5, 6], "a budget of its own again"
        assert not ended["one"].get("retryCount")
        assert ended["two"]["retryCount"] == 2
        for name in ("one", "two"):
            wait_until(lambda: marks(jobs, name) == {"requeue": "1"}, f"{name} is no dead letter", 5)  # noqa: B023 - at once
            assert not jobs.get(name)["metadata"].get("labels")
        before = jobs.get("one")
        jobs.annotate("one", "requeue=1")
        jobs.annotate("one", "requeue-")
        jobs.kubectl("annotate", "crawljob", "one", f"{PREFIX}requeue-", check=False)
        assert jobs.status("one") == before["status"], "neither the same value nor taking it away does anything"
        assert site.requests[PATHS[0]] == 4


@pytest.mark.parametrize("priority", ["High", "Normal"])
def test_of_a_batch_only_what_failed_is_fetched_again(shared: Jobs, priority: str) -> None:
    """One page fails twice and then works: the others are fetched once, and the result has all of them."""
    name = f"partly-{priority.lower()}"
    with DemoSite(failing={PATHS[2]: 2}) as site:
        urls = [site.url(path) for path in PATHS[:5]]
        shared.apply(name, batch={"urls": urls}, priority=priority, retry=QUICK)
        assert shared.reached(name, "Retry")["attempts"][0]["outcome"] == "PartialSuccess"
        status = shared.finished(name)
        assert {path: site.requests[path] for path in PATHS[:5]} == dict.fromkeys(PATHS[:5], 1) | {PATHS[2]: 3}
    assert status["phase"] == "Completed"
    assert (status["progress"]["succeeded"], status["progress"]["failed"]) == (5, 0)
    assert sorted(record["url"] for record in records(status)) == sorted(urls)
    assert all("error" not in record for record in records(status))
    assert status["result"]["items"] == 5
    assert "errors" not in status
    assert [each["outcome"] for each in status["attempts"]] == ["PartialSuccess", "PartialSuccess", "Completed"]


def test_a_batch_that_never_gets_whole_ends_as_a_partial_success(shared: Jobs) -> None:
    """What it got is worth keeping: it is no dead letter."""
    with DemoSite() as site:
        urls = [site.url(PATHS[0]), site.base_url + "/error"]
        shared.apply("half", batch={"urls": urls}, priority="High", retry=QUICK | {"maxAttempts": 2})
        status = shared.finished("half")
        assert (site.requests[PATHS[0]], site.requests["/error"]) == (1, 2)
    assert status["phase"] == "PartialSuccess"
    assert len(records(status)) == 2


@pytest.mark.long
def test_a_job_beyond_its_time_is_repeated_within_its_budget(shared: Jobs) -> None:
    """Twice too slow is a dead letter; the page that came in the first attempt was not fetched in the second."""
    with DemoSite(delays={"/slow": 60}) as site:
        urls = [site.url(PATHS[0]), site.base_url + "/slow"]
        retry = QUICK | {"maxAttempts": 2}
        shared.apply("slow", batch={"urls": urls}, priority="High", timeoutSeconds=8, retry=retry)
        status = shared.finished("slow", 80)
        assert (site.requests[PATHS[0]], site.requests["/slow"]) == (1, 2)
    assert status["phase"] == "DeadLetter"
    assert [each["cause"] for each in status["attempts"]] == ["Transient", "Transient"]
    assert condition(status, "Failed")["reason"] == "Timeout"
    assert {record.get("title") for record in records(status)} >= {PAGES[PATHS[0]].title}


@pytest.mark.parametrize("priority", ["High", "Normal"])
def test_a_worker_that_the_cluster_stops_hands_back_the_rest(shared: Jobs, priority: str) -> None:
    """As when a node is drained: another goes on from there, and nothing of the budget is used up."""
    name = f"drained-{priority.lower()}"
    with HeldSite(6, delay=0.4) as site:
        urls = [site.url(path) for path in PATHS]
        fetch = {"concurrency": 1, "timeoutSeconds": 90}
        more: dict[str, Any] = {"priority": priority, "fetch": fetch, "retry": {"maxAttempts": 1}}
        shared.apply(name, batch={"urls": urls}, **more)
        wait_until(lambda: shared.status(name)["progress"].get("succeeded", 0) >= 4, "four pages are done", 30)
        worker = shared.status(name)["workerId"]
        shared.kubectl("delete", "pod", worker)
        site.open()
        status = shared.finished(name)
        twice = [path for path in PATHS if site.requests[path] > 1]
    assert status["phase"] == "Completed"
    assert len(twice) <= 1, "at most the one that was on its way"
    assert status["infrastructureRetries"] == 1
    assert not status.get("retryCount")
    assert [each.get("cause") for each in status["attempts"]] == ["Infrastructure", None]
    assert sorted(record["url"] for record in records(status)) == sorted(urls)


@pytest.mark.long
def test_an_operator_killed_while_a_job_waits_goes_on_in_time(
    cluster: LocalCluster, jobs: Jobs, operator: OperatorProcess
) -> None:
    """The wait is written in the status: it neither starts anew nor is forgotten."""
    with DemoSite(failing={PATHS[0]: 1}) as site:
        retry = {"initialDelaySeconds": 15, "jitter": False}
        jobs.apply("waits", single={"url": site.url(PATHS[0])}, priority="High", retry=retry)
        due = datetime.fromisoformat(jobs.reached("waits", "Retry")["nextRetryAt"])
        operator.kill()
        operator.start()
        ready = datetime.now(UTC)
        phase = jobs.status("waits")["phase"]
        assert phase == "Retry" or datetime.now(UTC) >= due
        status = jobs.finished("waits", 60)
        assert site.requests[PATHS[0]] == 2
    assert status["phase"] == "Completed"
    second = datetime.fromisoformat(status["attempts"][1]["startedAt"])
    assert due <= second < max(due, ready) + timedelta(seconds=6)
    assert moves(status) == ["Processing", "Retry", "Pending", "Processing", "Completed"]
