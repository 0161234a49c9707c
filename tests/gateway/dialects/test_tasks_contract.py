"""`/tasks`, `/workers`, `/schemas` and `/statistics` on a real cluster with real workers, as their clients use them."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from dialect_cases import COUNTS_HOLD, ask

from crawl_client import (
    JobFailedError,
    TaskClient,
    TimeoutError,  # noqa: A004 - the client's own
)
from demo.serving import LoopbackServer
from demo.site import DemoSite
from gateway_client import Gateway, GatewayProcess, Tenant, gateway, single, tenant
from local_cluster.cluster import LocalCluster
from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator"), pytest.mark.long]

TASK = {"id", "task_type", "status", "created_at", "claimed_by"}
WORDS = ("queued", "claimed", "completed", "failed", "cancelled")


@pytest.fixture(scope="module")
def process(speaking: GatewayProcess) -> GatewayProcess:
    return speaking


def create(call: Gateway, task_type: str, parameters: dict[str, Any], priority: int | None = None) -> dict[str, Any]:
    """Create a task and return its answer."""
    body = {"task_type": task_type, "parameters": parameters} | ({"priority": priority} if priority else {})
    made: dict[str, Any] = call.call("POST", "/tasks", 201, body)
    assert set(made) == TASK
    assert (made["task_type"], made["claimed_by"] is None) == (task_type, made["status"] == "queued")
    assert made["status"] in {"queued", "claimed"}, "an operator may be as fast as the gateway"
    assert isinstance(made["id"], int)
    assert made["created_at"].endswith("Z")
    return made


def ended(call: Gateway, task: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(call.get(f"/tasks/{task['id']}"))
        return found["status"] not in {"queued", "claimed"}

    wait_until(over, f"task {task['id']} ends", 60, 0.2)
    return found


def at_work(call: Gateway, worker: str, task: dict[str, Any]) -> None:
    """Wait until the workers, which are counted once a second, are told with one that works on a task."""

    def told() -> bool:
        on = {each["worker_id"]: each["current_task_id"] for each in call.get("/workers")}
        return bool(on.get(worker) == task["id"])

    wait_until(told, f"{worker} works on task {task['id']}", 10, COUNTS_HOLD / 2)


@pytest.fixture(scope="module")
def channel() -> Iterator[LoopbackServer]:
    """A site with a channel of three videos."""

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(text="")
        videos = [{"@type": "VideoObject", "name": f"Video {n}", "url": f"/watch/{n}"} for n in range(3)]
        document = {"@type": "ItemList", "itemListElement": [{"item": video} for video in videos]}
        text = f'<script type="application/ld+json">{json.dumps(document)}</script>'
        return web.Response(text=text, content_type="text/html")

    with LoopbackServer(answer) as running:
        yield running


@pytest.fixture(scope="module")
def done(call: Gateway, site: DemoSite, channel: LoopbackServer) -> dict[str, dict[str, Any]]:
    """Tasks that have ended, one for each way to end."""
    made = {
        "completed": create(call, "channel_scrape", {"channel_url": f"{channel.base_url}/channels/tools"}, 8),
        "failed": create(call, "single_crawl", {"url": site.url("/nowhere")}, 9),
        "cancelled": create(call, "single_crawl", {"url": site.url("/slow")}, 9),
    }
    call.call("DELETE", f"/tasks/{made['cancelled']['id']}", 204)
    return {name: ended(call, task) for name, task in made.items()}


def test_a_task_is_done_by_its_processor(call: Gateway, owner: Tenant, done: dict[str, dict[str, Any]]) -> None:
    found = done["completed"]
    assert found["status"] == "completed"
    job = call.get(f"/v1/jobs/{found['id']}")
    assert found["claimed_by"] == job["status"]["workerId"]
    assert [record["data"]["title"] for record in job["status"]["result"]["data"]] == ["Video 0", "Video 1", "Video 2"]
    stored = owner.jobs.get(job["metadata"]["name"])["spec"]
    assert stored["custom"]["parameters"]["top_n"] == 10
    assert (stored["priority"], stored["worker"]["image"]) == ("High", "crawl-worker-videos:local")


def test_tasks_of_three_types_are_queued(call: Gateway, owner: Tenant) -> None:
    far = "https://videos.example.org"
    for task_type, parameters, priority, stored in (
        ("channel_scrape", {"channel_url": f"{far}/@Name", "top_n": 50, "max_age_days": 30}, 5, "Normal"),
        ("trending_scrape", {"country": "US", "category": "gaming", "top_n": 100}, 7, "High"),
        (
            "keyword_search",
            {"query": "python tutorials", "top_n": 75, "date_filter": "month", "sort_by": "views"},
            6,
            "Normal",
        ),
    ):
        made = create(call, task_type, parameters, priority)
        spec = owner.jobs.get(call.get(f"/v1/jobs/{made['id']}")["metadata"]["name"])["spec"]
        assert spec["priority"] == stored
        assert spec["custom"]["processor"] == task_type
        assert spec["custom"]["parameters"].items() >= parameters.items()
        call.http.delete(f"/tasks/{made['id']}")


def test_a_priority_that_is_left_out_is_five(call: Gateway, owner: Tenant) -> None:
    made = create(call, "single_crawl", {"url": "https://example.org/"})
    name = call.get(f"/v1/jobs/{made['id']}")["metadata"]["name"]
    assert owner.jobs.get(name)["spec"]["priority"] == "Normal"
    call.http.delete(f"/tasks/{made['id']}")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"task_type": "channel_scrape", "parameters": {}}, ["channel_url: required"]),
        ({"task_type": "no_such", "parameters": {}}, ["task_type"]),
        (
            {"task_type": "channel_scrape", "parameters": {"top_n": 0, "max_age_days": 0}},
            ["channel_url", "max_", "top_n"],
        ),
        ({"task_type": "keyword_search", "parameters": {"query": "a", "sort_by": "size"}}, ["sort_by"]),
        ({"task_type": "batch_crawl", "parameters": {"urls": []}}, ["urls"]),
        (
            {"task_type": "batch_crawl", "parameters": {"urls": [f"https://example.org/{n}" for n in range(51)]}},
            ["batch.urls"],
        ),
        ({"task_type": "single_crawl", "parameters": {"url": "ftp://example.org/"}}, ["spec.single.url"]),
    ],
)
def test_a_wrong_task_is_400_with_all_errors_and_not_stored(
    call: Gateway, body: dict[str, Any], said: list[str]
) -> None:
    before = call.get("/v1/jobs", limit=1)["total"]
    errors = call.call("POST", "/tasks", 400, body)["detail"]["errors"]
    assert len(errors) == len(said)
    assert all(error.startswith(word) for error, word in zip(errors, said, strict=True)), errors
    assert call.get("/v1/jobs", limit=1)["total"] == before


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"task_type": "single_crawl"},
        {"task_type": 7, "parameters": {}},
        {"task_type": "single_crawl", "parameters": []},
        {"task_type": "single_crawl", "parameters": {}, "priority": 11},
    ],
)
def test_what_is_no_task_is_422(call: Gateway, body: Any) -> None:
    assert isinstance(call.call("POST", "/tasks", 422, body)["detail"], str)


def test_tasks_are_listed_by_status_the_newest_first(call: Gateway, done: dict[str, dict[str, Any]]) -> None:
    everything = call.get("/tasks", limit=1000)
    assert {frozenset(task) for task in everything} == {frozenset(TASK)}
    created = [task["created_at"][:19] for task in everything]
    assert created == sorted(created, reverse=True)
    assert {task["id"] for task in everything} >= {task["id"] for task in done.values()}
    assert len({task["id"] for task in everything}) == len(everything)
    for status, task in done.items():
        listed = ask(call, "/tasks", status=status)
        assert task in listed
        assert {each["status"] for each in listed} == {status}
    for word in ("SUCCESS", "Completed", "finished"):
        assert done["completed"] in ask(call, "/tasks", status=word)
    assert done["failed"] in ask(call, "/tasks", status="FAILED")
    assert len(call.get("/tasks", limit=2)) == 2


def test_a_list_without_a_limit_has_a_hundred_tasks(process: GatewayProcess, cluster: LocalCluster) -> None:
    with tenant(cluster, "hundred") as made, Gateway(process, made) as client:
        items = [single(f"task-{number}") for number in range(101)]
        assert len(client.call("POST", "/v1/jobs/bulk", 200, {"items": items})["done"]) == 101
        newest = client.get("/tasks")
        assert len({task["id"] for task in newest}) == 100
        everything = client.get("/tasks", limit=101)
        assert (everything[:100], len(everything)) == (newest, 101)
        for limit in (25, 50):
            assert client.get("/tasks", limit=limit) == newest[:limit]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"limit": 1001}, 422),
        ({"limit": 0}, 422),
        ({"limit": "x"}, 422),
        ({"status": "odd"}, 400),
        ({"status": ""}, 400),
    ],
)
def test_a_list_that_cannot_be_made_is_refused(call: Gateway, params: dict[str, Any], status: int) -> None:
    assert ask(call, "/tasks", status, **params)["detail"]


def test_a_job_of_kubectl_is_a_task_too(call: Gateway, owner: Tenant) -> None:
    owner.jobs.apply("by-hand", single={"url": "https://example.org/"}, suspend=True)
    wait_until(lambda: call.get("/v1/jobs", search="by-hand")["total"] == 1, "it is seen", 5)
    tasks = call.get("/tasks", limit=1000)
    number = owner.jobs.get("by-hand")["metadata"]["labels"]["crawl-operator.io/task-id"]
    (task,) = [each for each in tasks if str(each["id"]) == number]
    assert (task["task_type"], task["status"]) == ("single_crawl", "queued")
    call.call("DELETE", f"/tasks/{task['id']}", 204)


def test_two_gateways_give_no_number_twice(
    call: Gateway, owner: Tenant, cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for number in range(6):
        owner.jobs.apply(f"unnumbered-{number}", single={"url": "https://example.org/"}, suspend=True)
    folder = tmp_path_factory.mktemp("second")
    with gateway(cluster, folder) as second, Gateway(second, owner) as other:
        wait_until(lambda: call.get("/v1/jobs", search="unnumbered")["total"] == 6, "they are seen", 5)
        with ThreadPoolExecutor(4) as pool:
            lists = list(pool.map(lambda one: one.get("/tasks", limit=1000), [call, other, call, other]))
        # What becomes of the tasks each gateway hears in its own time; their numbers are the same at once.
        numbers, *others = ([task["id"] for task in each] for each in lists)
        assert all(each == numbers for each in others)
        assert len(set(numbers)) == len(numbers) >= 6
        for number in numbers[:6]:
            path = f"/tasks/{number}"
            wait_until(lambda path=path: other.http.get(path).is_success, "what one gave the other knows", 10)  # type: ignore[misc]
            assert other.get(path)["id"] == number
    owner.jobs.kubectl("delete", "crawljobs", *(f"unnumbered-{number}" for number in range(6)))


def test_a_queued_task_is_cancelled_once(call: Gateway) -> None:
    task = create(call, "single_crawl", {"url": "https://example.org/"}, 1)
    call.call("POST", f"/v1/jobs/{task['id']}/suspend")
    call.call("DELETE", f"/tasks/{task['id']}", 204)
    assert ended(call, task)["status"] == "cancelled"
    refused = {"detail": "Task not found or cannot be cancelled"}
    assert call.call("DELETE", f"/tasks/{task['id']}", 404) == refused


def test_what_has_ended_cannot_be_cancelled(call: Gateway, done: dict[str, dict[str, Any]]) -> None:
    refused = {"detail": "Task not found or cannot be cancelled"}
    for task in done.values():
        assert call.call("DELETE", f"/tasks/{task['id']}", 404) == refused
        assert call.get(f"/tasks/{task['id']}") == task
    assert call.call("DELETE", "/tasks/999999999", 404) == refused


def test_a_running_task_is_cancelled_and_its_worker_stops(call: Gateway, owner: Tenant, site: DemoSite) -> None:
    task = create(call, "single_crawl", {"url": site.url("/slow")}, 10)
    wait_until(lambda: call.get(f"/tasks/{task['id']}")["status"] == "claimed", "it is claimed", 30)
    claimed = call.get(f"/tasks/{task['id']}")["claimed_by"]
    at_work(call, claimed, task)
    call.call("DELETE", f"/tasks/{task['id']}", 204)
    assert ended(call, task)["status"] == "cancelled"

    def gone() -> bool:
        return all(
            pod["metadata"]["name"] != claimed or pod["status"]["phase"] in {"Succeeded", "Failed"}
            for pod in owner.jobs.pods()
        )

    wait_until(gone, "the worker has stopped", 30)


def test_an_unknown_task_is_not_found(call: Gateway) -> None:
    assert call.get("/tasks/999999999", 404) == {"detail": "Task not found"}
    for text in ("one", "-1", "1.5"):
        assert call.get(f"/tasks/{text}", 422)["detail"]


def test_workers_are_listed_the_newest_heartbeat_first(call: Gateway, done: dict[str, dict[str, Any]]) -> None:
    time.sleep(COUNTS_HOLD)
    workers = call.get("/workers")
    members = {"worker_id", "last_heartbeat", "tasks_processed", "tasks_failed", "current_task_id"}
    assert {frozenset(worker) for worker in workers} <= {frozenset(members)}
    beats = [datetime.fromisoformat(worker["last_heartbeat"]) for worker in workers]
    assert beats == sorted(beats, reverse=True)
    assert all(timedelta(seconds=-5) < datetime.now(UTC) - beat < timedelta(minutes=5) for beat in beats)
    assert {done["completed"]["claimed_by"], done["failed"]["claimed_by"]} <= {each["worker_id"] for each in workers}


def test_a_busy_worker_stands_beside_idle_ones(call: Gateway, done: dict[str, dict[str, Any]], site: DemoSite) -> None:
    busy = create(call, "single_crawl", {"url": site.url("/slow")}, 10)
    wait_until(lambda: call.get(f"/tasks/{busy['id']}")["status"] == "claimed", "it is claimed", 30)
    claimed = call.get(f"/tasks/{busy['id']}")["claimed_by"]
    at_work(call, claimed, busy)
    told = {
        worker["worker_id"]: (worker["tasks_processed"], worker["tasks_failed"], worker["current_task_id"])
        for worker in call.get("/workers")
    }
    assert told[claimed] == (0, 0, busy["id"])
    assert told[done["completed"]["claimed_by"]] == (1, 0, None)
    assert told[done["failed"]["claimed_by"]] == (1, 1, None)
    call.call("DELETE", f"/tasks/{busy['id']}", 204)


def test_schemas_tell_what_tasks_are_told(call: Gateway) -> None:
    listed = call.get("/schemas")
    assert set(listed) == {"schemas"}
    by_type = {schema["task_type"]: schema for schema in listed["schemas"]}
    assert {"channel_scrape", "trending_scrape", "keyword_search", "single_crawl", "batch_crawl"} <= set(by_type)
    channel = call.get("/schemas/channel_scrape")
    assert channel == by_type["channel_scrape"]
    assert set(channel) == {"task_type", "description", "parameters", "examples"}
    assert channel["description"]
    assert channel["examples"][0]["channel_url"]
    parameters = {each["name"]: each for each in channel["parameters"]}
    assert [name for name, each in parameters.items() if each["required"]] == ["channel_url"]
    assert parameters["top_n"]["constraints"] == {"min_value": 1, "max_value": 500}
    assert call.get("/schemas/no_such", 404) == {"detail": "Schema not found"}


def test_statistics_agree_with_the_objects(call: Gateway, owner: Tenant, done: dict[str, dict[str, Any]]) -> None:
    stored: list[dict[str, Any]] = []
    told: dict[str, Any] = {}

    def agreed() -> bool:
        """Tell whether they do: tasks that were cancelled before may still be ending."""
        stored[:] = json.loads(owner.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
        told.update(call.get("/statistics"))
        phases = [item["status"]["phase"] for item in stored]
        counts = told["status_counts"]
        return bool(
            sum(counts.values()) == len(stored)
            and counts["failed"] == phases.count("Failed") + phases.count("DeadLetter")
            and counts["cancelled"] == phases.count("Cancelled")
        )

    wait_until(agreed, "the statistics are those of the objects", 20, COUNTS_HOLD / 2)
    assert set(told) == {"status_counts", "active_workers", "db_size_mb"}
    assert set(told["status_counts"]) == set(WORDS)
    assert told["db_size_mb"] == pytest.approx(len(json.dumps(stored)) / (1 << 20), rel=0.5)


def test_who_is_not_known_or_may_not_is_told_in_the_same_form(
    process: GatewayProcess, owner: Tenant, cluster: LocalCluster, done: dict[str, dict[str, Any]]
) -> None:
    number = done["completed"]["id"]
    with Gateway(process, None, **{"X-Namespace": owner.name}) as nobody:
        for path in ("/tasks", f"/tasks/{number}", "/workers", "/schemas", "/statistics"):
            assert isinstance(nobody.get(path, 401)["detail"], str)
    with tenant(cluster, "other") as made, Gateway(process, made) as other:
        assert other.get(f"/tasks/{number}", 404) == {"detail": "Task not found"}
        other.call("DELETE", f"/tasks/{number}", 404)
        assert other.get("/tasks") == []
        assert other.get("/workers") == []
        for path in ("/tasks", f"/tasks/{number}", "/workers", "/statistics"):
            assert isinstance(other.get(path, 403, namespace=owner.name)["detail"], str)


@pytest.fixture(scope="module")
def client(process: GatewayProcess, owner: Tenant) -> Iterator[TaskClient]:
    with TaskClient(process.url, token=owner.token, namespace=owner.name) as opened:
        yield opened


def test_the_client_tells_whether_a_call_went_well(client: TaskClient, done: dict[str, dict[str, Any]]) -> None:
    number = done["completed"]["id"]
    assert client.get_task(number).data == done["completed"]
    assert client.list_tasks("failed").data == [each for each in client.list_tasks().data if each["status"] == "failed"]
    assert len(client.list_tasks(limit=1).data) == 1
    assert client.list_workers().success
    assert client.get_statistics().data["status_counts"]
    assert client.get_schema("channel_scrape").data in client.list_schemas().data["schemas"]
    made = client.create_task("single_crawl", {"url": "https://example.org/"}, priority=1)
    assert made.success
    cancelled = client.cancel_task(made.data["id"])
    assert (cancelled.success, cancelled.data) == (True, None)


def test_the_client_says_why_a_call_went_wrong(client: TaskClient, owner: Tenant) -> None:
    assert client.get_task(999999999).error == "Task 999999999 not found"
    assert client.cancel_task(999999999).error == "Task 999999999 not found or cannot be cancelled"
    assert client.get_schema("no/such").error == "Schema no/such not found"
    wrong = client.create_task("keyword_search", {"top_n": 0, "sort_by": "size"})
    assert wrong.error is not None
    assert wrong.error.count(";") == 2
    assert "odd" in (client.list_tasks("odd").error or "")
    assert (client.list_tasks(limit=1001).error or "").startswith("HTTP 422: ")
    with TaskClient("http://127.0.0.1:1") as nowhere:
        assert nowhere.get_statistics().error
    with TaskClient(str(client._http.base_url)) as nobody:
        assert (nobody.get_statistics().error or "").startswith("HTTP 401: ")


def test_the_client_waits_for_an_end(client: TaskClient, done: dict[str, dict[str, Any]], site: DemoSite) -> None:
    made = client.create_task("single_crawl", {"url": site.url("/")}, priority=10)
    found = client.wait_for_task(made.data["id"], timeout=60, poll=0.2)
    assert found is not None
    assert found["status"] == "completed"
    for name in ("failed", "cancelled"):
        with pytest.raises(JobFailedError, match=name):
            client.wait_for_task(done[name]["id"], timeout=0)
    assert client.wait_for_task(999999999) is None
    waiting = client.create_task("single_crawl", {"url": site.url("/slow")}, priority=10)
    with pytest.raises(TimeoutError, match=str(waiting.data["id"])):
        client.wait_for_task(waiting.data["id"], timeout=0.3, poll=0.1)
    client.cancel_task(waiting.data["id"])


def test_the_client_creates_many_and_one_bad_one_stops_no_other(client: TaskClient) -> None:
    tasks: list[dict[str, Any]] = [
        {"type": "channel_scrape", "params": {"channel_url": "https://videos.example.org/@Name"}, "priority": 1},
        {"type": "trending_scrape", "params": {"country": "nowhere"}},
        {"type": "keyword_search", "params": {"query": "a"}, "priority": 1},
    ]
    batch = client.create_tasks(tasks)
    assert [task["task_type"] for task in batch.created] == ["channel_scrape", "keyword_search"]
    (failed,) = batch.failed
    assert failed["task"] == tasks[1]
    assert "country" in failed["error"]
    for task in batch.created:
        client.cancel_task(task["id"])
