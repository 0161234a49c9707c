"""Every operation of every dialect: whoever is refused is told why, by the status and in the form of that dialect."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

import httpx2
import pytest
from dialect_cases import PATHS

from api_proxy import ApiProxy
from client_cluster import account
from gateway_client import EVERYTHING, Gateway, GatewayProcess, Tenant, gateway, single, tenant
from local_cluster.cluster import LocalCluster
from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

Operation = tuple[str, str]
"""Method and path."""
Why = Literal["no token", "no right", "too much", "no store"]
Answers = dict[Operation, httpx2.Response]

OPERATIONS: Final = sorted((method.upper(), path) for path, methods in PATHS.items() for method in methods)
STATUSES: Final[dict[Why, int]] = {"no token": 401, "no right": 403, "too much": 429, "no store": 503}
BODIES: Final[dict[str, Any]] = {
    "jobs": {"job_type": {"type": "single_crawl", "url": "https://example.org/"}},
    "schedule": {
        "name": "nightly",
        "cron_expression": "0 2 * * *",
        "job_template": {"type": "single_crawl", "url": "https://example.org/"},
    },
    "/tasks": {"task_type": "single_crawl", "parameters": {"url": "https://example.org/"}},
    "/jobs": {"type": "single_crawl", "payload": {"url": "https://example.org/"}},
}
OPEN: Final = {("GET", "/schemas"), ("GET", "/schemas/{task_type}")}
"""What everybody may who is known."""
IN_MEMORY: Final = {
    *OPEN,
    ("GET", "/statistics"),
    ("GET", "/workers"),
    *(
        ("GET", f"{base}{path}")
        for base in ("/workers", "/api/v1/workers")
        for path in ("/jobs", "/queue/stats", "/stats/queue", "/metrics", "/schedule", "/scheduled")
    ),
}
"""What is answered without the API server."""


def body_of(path: str) -> Any:
    """Return a body that a path takes."""
    if path in BODIES:
        return BODIES[path]
    return BODIES["schedule" if "/schedule" in path else "jobs"]


def asked(client: Gateway, **headers: str) -> Answers:
    """Ask everything, of a job and a schedule that nobody has made."""

    def ask(operation: Operation) -> httpx2.Response:
        method, path = operation
        body = body_of(path) if method == "POST" else None
        real = path.format(job_id="nothing", jobId="nothing", task_id=7, task_type="single_crawl")
        return client.http.request(method, real, json=body, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(OPERATIONS, pool.map(ask, OPERATIONS), strict=True))


@pytest.fixture(scope="module")
def process(
    cluster: LocalCluster, proxy: ApiProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway that believes for long what it was told of tokens and rights."""
    settings = {"tokenSeconds": 600, "rightsSeconds": 600}
    with gateway(cluster, tmp_path_factory.mktemp("gateway"), server=proxy.url, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def refused(
    cluster: LocalCluster,
    process: GatewayProcess,
    owner: Tenant,
    proxy: ApiProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Why, Answers]:
    """What is answered to somebody who is refused, by the reason."""
    found: dict[Why, Answers] = {}
    with Gateway(process, None, **{"X-Namespace": owner.name}) as nobody:
        found["no token"] = asked(nobody)
    with tenant(cluster, "stranger") as made, Gateway(process, made) as stranger:
        found["no right"] = asked(stranger, **{"X-Namespace": owner.name})
    few = {"burst": 1, "requestsPerSecond": 0.01}
    with gateway(cluster, tmp_path_factory.mktemp("few"), **few) as small, Gateway(small, owner) as client:
        client.get("/statistics")
        found["too much"] = asked(client)
    new = account(cluster, owner.name, "new", EVERYTHING)
    proxy.cut = "refuse"
    try:
        with Gateway(process, Tenant(owner.jobs, new)) as client:
            found["no store"] = asked(client)
    finally:
        proxy.cut = ""
    return found


@pytest.fixture(scope="module")
def document(process: GatewayProcess) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{process.url}/openapi.json").json()
    return found


def has_the_form(operation: Operation, answer: httpx2.Response, status: int, code: str) -> None:
    """Check an error as the clients of its dialect read it."""
    _, path = operation
    said = answer.json()
    if path.startswith(("/workers/", "/api/")):
        status = 500 if status == 503 else status  # as the original has it; 503 is that nobody works
        detail = said["error"]
        assert set(said) == {"error", "message"}
        assert set(detail) == {"type", "message", "retryable", "status"}
        assert (detail["type"], detail["status"], detail["message"]) == (code, status, said["message"])
        assert detail["retryable"] is (status >= 429)
        message = said["message"]
    elif path.startswith("/jobs"):
        assert set(said) == {"error"}
        assert set(said["error"]) == {"code", "message", "details"}
        assert said["error"]["code"] == code
        message = said["error"]["message"]
    else:
        assert set(said) == {"detail"}
        message = said["detail"]
    assert answer.status_code == status
    assert isinstance(message, str)
    assert message


CODES: Final[dict[Why, str]] = {
    "no token": "Unauthorized",
    "no right": "Forbidden",
    "too much": "TooManyRequests",
    "no store": "ServiceUnavailable",
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
@pytest.mark.parametrize("why", STATUSES)
def test_who_is_refused_is_told_in_the_form_of_the_dialect(
    refused: dict[Why, Answers], document: dict[str, Any], why: Why, operation: Operation
) -> None:
    answer = refused[why][operation]
    if why == "no right" and operation in OPEN:
        assert answer.status_code == 200
        return
    has_the_form(operation, answer, STATUSES[why], CODES[why])
    method, path = operation
    assert str(answer.status_code) in document["paths"][path][method.lower()]["responses"]
    if why == "no token":
        assert answer.headers["www-authenticate"].startswith("Bearer")
    if why in {"too much", "no store"}:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("why", [why for why in STATUSES if why != "too much"])
def test_who_is_refused_is_in_the_log_by_the_id_of_the_request(
    refused: dict[Why, Answers], process: GatewayProcess, why: Why
) -> None:
    """What went wrong here is an error, what was wrong with the request a warning."""
    level = "ERROR" if STATUSES[why] >= 500 else "WARNING"
    lines = [line for line in process.log.splitlines() if " crawl_gateway.app: " in line]
    for operation, answer in refused[why].items():
        if answer.status_code != 200:
            (line,) = (line for line in lines if line.endswith(f" id={answer.headers['x-request-id']}"))
            assert f" {level} " in line, line
            assert f" {operation[0]}: {CODES[why]} " in line, line


def test_without_its_store_a_gateway_tells_what_it_knows_and_refuses_the_rest(
    process: GatewayProcess, owner: Tenant, proxy: ApiProxy
) -> None:
    with Gateway(process, owner) as client:
        assert not [answer for answer in asked(client).values() if answer.status_code in {401, 403, 429, 500, 503}]
        proxy.cut = "refuse"
        try:
            answers = asked(client)
        finally:
            proxy.cut = ""
    known = {operation for operation, answer in answers.items() if answer.status_code == 200}
    assert known >= IN_MEMORY
    for operation in set(answers) - known:
        has_the_form(operation, answers[operation], 503, "ServiceUnavailable")
    assert known - IN_MEMORY <= {("GET", "/tasks")}  # where each task has its number already


def test_a_task_without_a_number_is_not_passed_over(process: GatewayProcess, owner: Tenant, proxy: ApiProxy) -> None:
    """A list that leaves something out because the store fails would be taken for a whole one."""
    with Gateway(process, owner) as client:
        client.get("/tasks")
        proxy.refused = "/unnumbered"
        try:
            client.submit("unnumbered")
            has_the_form(("GET", "/tasks"), client.http.get("/tasks"), 503, "")
        finally:
            proxy.refused = ""
        assert len(client.get("/tasks")) == client.get("/v1/jobs")["total"]


def test_a_quota_that_is_used_up_is_told_as_too_much(process: GatewayProcess, cluster: LocalCluster) -> None:
    hard = {"count/crawljobs.crawl-operator.io": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "one"}, "spec": {"hard": hard}}
    with tenant(cluster, "quota") as made, Gateway(process, made) as client:

        def accepted(name: str) -> bool:
            return client.http.post("/v1/jobs", json=single(name)).status_code == 201

        def first_is_counted() -> bool:
            """The quota controller learns of a new resource every 30 s, and comes back to an older quota much later."""
            made.jobs.kubectl("replace", "--force", "-f", "-", input=json.dumps(quota))
            used = ("get", "resourcequota", "one", "-o", "jsonpath={.status.used}")
            deadline = time.monotonic() + 5
            while not made.jobs.kubectl(*used).stdout and time.monotonic() < deadline:
                time.sleep(0.2)
            return accepted("first")

        wait_until(first_is_counted, "the quota counts jobs", 90)
        bodies = {path: body_of(path) for path in ("/tasks", "/jobs", "/workers/jobs", "/api/v1/workers/jobs")}
        for path, body in {"/v1/jobs": single("second"), **bodies}.items():
            answer = client.http.post(path, json=body)
            assert answer.status_code == 429, (path, answer.text)
            assert int(answer.headers["retry-after"]) >= 1
            assert "exceeded quota: one" in answer.text
            if path == "/v1/jobs":
                assert answer.json()["error"]["code"] == "QueueFull"
            else:
                has_the_form(("POST", path), answer, 429, "QueueFull")
        (failed,) = client.call("POST", "/v1/jobs/bulk", 200, {"items": [single("third")]})["failed"]
        assert failed["error"]["code"] == "QueueFull"
        assert client.listed() == ["first"]
        client.call("DELETE", "/v1/jobs/first", 204)
        wait_until(lambda: accepted("second"), "there is room again", 20, 0.5)
