"""Who may what: tokens are the API server's, rights too, and nobody learns what is elsewhere."""

import base64
import itertools
import json
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from client_cluster import account
from gateway_client import READING, Gateway, GatewayProcess, Tenant, gateway, single, tenant
from local_cluster.cluster import LocalCluster
from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def stranger(cluster: LocalCluster) -> Iterator[Tenant]:
    """Somebody with a namespace of their own."""
    with tenant(cluster, "stranger") as made:
        yield made


def ids(job: dict[str, Any], number: str, shown: str = "The Secret Job") -> list[str]:
    """Return all that a job can be called by."""
    metadata = job["metadata"]
    return [metadata["name"], metadata["uid"], f"job_{metadata['uid'].replace('-', '')}", number, shown]


URL = "https://hooks.example.org/"
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/v1/jobs/{}", None),
    ("GET", "/v1/jobs/{}/why", None),
    ("GET", "/v1/jobs/{}/result", None),
    ("GET", "/v1/jobs/{}/records", None),
    ("GET", "/v1/jobs/{}/file", None),
    ("GET", "/v1/jobs/{}/webhooks", None),
    ("POST", "/v1/jobs/{}/cancel", None),
    ("POST", "/v1/jobs/{}/suspend", None),
    ("POST", "/v1/jobs/{}/resume", None),
    ("POST", "/v1/jobs/{}/requeue", None),
    ("POST", "/v1/jobs/{}/webhooks", {"url": URL, "events": ["Failed"]}),
    ("PATCH", "/v1/jobs/{}", {"spec": {"priority": "Low"}}),
    ("DELETE", "/v1/jobs/{}/webhooks/0", None),
    ("DELETE", "/v1/jobs/{}", None),
    ("GET", "/workers/jobs/{}", None),
    ("GET", "/workers/jobs/{}/result", None),
    ("GET", "/api/v1/workers/jobs/{}", None),
    ("GET", "/api/v1/workers/jobs/{}/result", None),
    ("GET", "/jobs/{}", None),
]
OF_TASKS: list[tuple[str, str, Any]] = [("GET", "/tasks/{}", None), ("DELETE", "/tasks/{}", None)]
OF_SCHEDULES: list[tuple[str, str, Any]] = [
    ("GET", "/v1/schedules/{}", None),
    ("GET", "/v1/schedules/{}/next", None),
    ("POST", "/v1/schedules/{}/enable", None),
    ("POST", "/v1/schedules/{}/disable", None),
    ("POST", "/v1/schedules/{}/trigger", None),
    ("DELETE", "/v1/schedules/{}", None),
    ("DELETE", "/workers/schedule/{}", None),
    ("DELETE", "/workers/scheduled/{}", None),
    ("DELETE", "/api/v1/workers/schedule/{}", None),
    ("DELETE", "/api/v1/workers/scheduled/{}", None),
]


def shut_out(
    outside: Gateway, owner: Tenant, calls: list[tuple[str, str, Any]], known: list[str], guessed: list[str]
) -> None:
    """Make each call by each id: in one's own namespace there is no such thing, in the owner's one may not ask.

    Of an id of the same kind that nobody has, the same is said.
    """

    def said(method: str, path: str, text: str, body: Any, status: int) -> str:
        headers = {"X-Namespace": owner.name} if status == 403 else {}
        answer = outside.http.request(method, path.format(text), json=body, headers=headers)
        assert answer.status_code == status, (method, path, text, answer.status_code, answer.text)
        told = answer.text.replace(answer.headers["x-request-id"], "")
        return re.sub(rf"\b{text}\b", "ID", told)  # the digits of a number may also be part of a namespace's name

    def tried(each: tuple[tuple[str, str, Any], tuple[str, str]]) -> None:
        (method, path, body), (text, guess) = each
        for status in (404, 403):
            told = said(method, path, text, body, status)
            assert told == said(method, path, guess, body, status)
            assert "secret" not in told.lower()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(tried, itertools.product(calls, zip(known, guessed, strict=True))))


def test_no_id_of_another_tenants_job_is_of_any_use(
    process: GatewayProcess, call: Gateway, owner: Tenant, stranger: Tenant
) -> None:
    job = call.submit("secret", displayName="The Secret Job")
    owner.jobs.kubectl("label", "crawljob", "secret", "crawl-operator.io/task-id=815")
    wait_until(lambda: call.http.get("/v1/jobs/815").is_success, "its number is known", 10)
    assert call.get("/v1/jobs/815")["metadata"]["name"] == "secret"
    before = owner.jobs.get("secret")
    with Gateway(process, stranger) as outside:
        guess = {"metadata": {"name": "guess", "uid": str(uuid.uuid4())}}
        shut_out(outside, owner, CALLS, ids(job, "815"), ids(guess, "816", "The Other Job"))
        shut_out(outside, owner, OF_TASKS, ["815"], ["816"])
        for headers, code in (({}, "NotFound"), ({"X-Namespace": owner.name}, "Forbidden")):
            body = {"ids": ids(job, "815")}
            answer = outside.call("POST", "/v1/dead-letters/requeue", 200, body, headers=headers)
            assert answer["done"] == []
            assert [each["error"]["code"] for each in answer["failed"]] == [code] * 5
        assert "secret" not in outside.listed()
        for path in ("/v1/jobs", "/v1/schedules", "/v1/dead-letters", "/v1/statistics", "/v1/export", "/v1/events"):
            for namespace in (owner.name, "*", "kube-system"):
                error = outside.get(path, 403, namespace=namespace)["error"]
                assert error["code"] == "Forbidden"
                assert "may not" in error["message"]
    assert owner.jobs.get("secret") == before


def test_nothing_is_made_in_another_tenants_namespace(
    process: GatewayProcess, call: Gateway, owner: Tenant, stranger: Tenant
) -> None:
    before = call.get("/v1/jobs", limit=1)["total"]
    graph = {"items": [single("intruder")], "edges": [{"job": "intruder", "after": "secret"}]}
    elsewhere = single("intruder")
    elsewhere["metadata"]["namespace"] = owner.name
    with Gateway(process, stranger) as outside:
        for path, body in (
            ("/v1/jobs", single("intruder")),
            ("/v1/jobs/bulk", {"items": [single("intruder")]}),
            ("/v1/graphs", graph),
        ):
            outside.call("POST", path, 403, body, headers={"X-Namespace": owner.name})
        outside.call("POST", "/v1/jobs", 400, elsewhere)
        for path in ("/v1/jobs/bulk", "/v1/graphs"):
            answer = outside.call("POST", path, 200, {"items": [elsewhere]})
            assert (answer["done"], len(answer["failed"])) == ([], 1)
        (waiting,) = outside.call("POST", "/v1/graphs", 200, graph)["done"]  # for a job of that name in one's own
        assert waiting["metadata"]["namespace"] == stranger.name
    assert call.get("/v1/jobs", limit=1)["total"] == before


def test_no_id_of_another_tenants_schedule_is_of_any_use(
    process: GatewayProcess, call: Gateway, owner: Tenant, stranger: Tenant
) -> None:
    spec = {"schedule": "0 2 * * *", "displayName": "The Secret Nights", "jobTemplate": {"spec": single()["spec"]}}
    made = call.call("POST", "/v1/schedules", 201, {"metadata": {"name": "secret"}, "spec": spec})["metadata"]
    before = owner.jobs.get("secret", "scheduledcrawljob")
    with Gateway(process, stranger) as outside:
        known, guessed = ["secret", made["uid"], "The Secret Nights"], ["guess", str(uuid.uuid4()), "The Other Nights"]
        shut_out(outside, owner, OF_SCHEDULES, known, guessed)
        assert outside.get("/v1/schedules")["items"] == []
        for path in ("/workers/schedule", "/workers/scheduled"):
            assert outside.get(path) == []
            outside.get(path, 403, namespace=owner.name)
    assert owner.jobs.get("secret", "scheduledcrawljob") == before


def test_a_right_to_read_is_no_right_to_write(process: GatewayProcess, owner: Tenant, call: Gateway) -> None:
    call.submit("look-at-me")
    token = account(owner.jobs.cluster, owner.name, "reader", READING)
    with Gateway(process, Tenant(owner.jobs, token)) as reader:
        assert reader.get("/v1/jobs/look-at-me")["metadata"]["name"] == "look-at-me"
        for method, path, body in (
            ("POST", "/v1/jobs", single("mine")),
            ("POST", "/v1/jobs/look-at-me/cancel", None),
            ("DELETE", "/v1/jobs/look-at-me", None),
        ):
            said = reader.call(method, path, 403, body)["error"]["message"]
            assert "reader may not" in said
            assert owner.name in said


def test_a_right_to_one_job_is_a_right_to_that_name_alone(
    process: GatewayProcess, owner: Tenant, call: Gateway
) -> None:
    one, other = call.submit("only-this"), call.submit("not-that")
    rule = {**READING, "resourceNames": ["only-this"]}
    token = account(owner.jobs.cluster, owner.name, "narrow", rule)
    with Gateway(process, Tenant(owner.jobs, token)) as narrow:
        assert narrow.get("/v1/jobs/only-this")["metadata"]["uid"] == one["metadata"]["uid"]
        said = {
            narrow.get(f"/v1/jobs/{text}", 403)["error"]["message"]
            for text in (*ids(other, "1"), "none", *ids(one, "1")[1:])
        }
        assert len(said) == 1
        narrow.get("/v1/jobs", 403)


def signed(cluster: LocalCluster, token: str, **changes: Any) -> str:
    """Sign a token's claims anew, as the API server would, with some of them changed."""
    key = cluster.state_dir / "pki" / "tokens.key"
    claims = jwt.decode(token, options={"verify_signature": False, "verify_aud": False})
    headers = jwt.get_unverified_header(token)
    return jwt.encode({**claims, **changes}, key.read_text(), headers["alg"], {"kid": headers["kid"]})


def test_only_tokens_that_the_api_server_knows_open_the_door(
    process: GatewayProcess, owner: Tenant, cluster: LocalCluster
) -> None:
    create = ("-n", owner.name, "create", "token", "caller")
    ours = cluster.kubectl(*create, "--audience=crawl-gateway").stdout.strip()
    foreign = cluster.kubectl(*create, "--audience=somebody-else").stdout.strip()
    now = int(time.time())
    fresh = signed(cluster, owner.token, iat=now, nbf=now, exp=now + 600)
    expired = signed(cluster, owner.token, iat=now - 7200, nbf=now - 7200, exp=now - 3600)
    forged = owner.token[:-8] + "AAAAAAAA"
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode() + "." + owner.token.split(".")[1] + "."

    def status(**headers: str) -> httpx2.Response:
        return httpx2.get(f"{process.url}/v1/jobs", headers={"X-Namespace": owner.name, **headers})

    for good in (owner.token, ours, fresh):
        assert status(Authorization=f"Bearer {good}").status_code == 200
        assert status(**{"X-API-Key": good}).status_code == 200
    for bad in (expired, foreign, forged, none, "x", "x" * 20_000):
        answer = status(Authorization=f"Bearer {bad}")
        assert answer.status_code == 401, bad
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["error"]["code"] == "Unauthorized"
    assert status().status_code == 401
    assert status(Authorization=f"Basic {owner.token}", **{"X-API-Key": owner.token}).status_code == 401


def test_a_right_that_is_taken_away_is_gone_within_seconds(process: GatewayProcess, cluster: LocalCluster) -> None:
    with tenant(cluster, "fleeting") as fleeting, Gateway(process, fleeting) as client:
        client.get("/v1/jobs")
        cluster.kubectl("-n", fleeting.name, "delete", "rolebinding", "caller")
        wait_until(lambda: client.http.get("/v1/jobs").status_code == 403, "the right is gone", 5, 0.5)
        cluster.kubectl("-n", fleeting.name, "delete", "serviceaccount", "caller")
        gone = lambda: client.http.get("/v1/jobs").status_code == 401  # noqa: E731 - one line
        wait_until(gone, "the token is worth nothing", 20)  # the API server itself believes it for ten seconds


def test_probes_and_the_reference_need_no_token_and_tell_nothing_of_jobs(
    process: GatewayProcess, owner: Tenant
) -> None:
    for path in ("health", "ready", "metrics", "openapi.json", "docs", "docs/start.js", "docs/swagger-ui-bundle.js"):
        answer = httpx2.get(f"{process.url}/{path}")
        assert answer.status_code == 200, path
        assert owner.name not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "http://" not in answer.headers.get("content-security-policy", "")
    assert "validatorUrl: null" in httpx2.get(f"{process.url}/docs/start.js").text  # it is on another server
    page = httpx2.get(f"{process.url}/docs").text
    assert "//" not in page.replace("<!doctype", "")
    assert httpx2.get(f"{process.url}/docs/..%2fcore.py").status_code == 404
    assert httpx2.get(f"{process.url}/nowhere").json()["error"]["code"] == "NotFound"


PROTECTION = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


def test_every_answer_tells_browsers_what_they_must_not_do(
    process: GatewayProcess, call: Gateway, owner: Tenant
) -> None:
    answers = {
        200: call.http.get("/v1/jobs"),
        401: httpx2.get(f"{process.url}/v1/jobs"),
        404: call.http.get("/v1/jobs/nobody"),
        413: call.http.post("/v1/jobs", content=b" " * (5 << 20)),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers.items() >= PROTECTION.items(), status
    with pytest.raises(InvalidStatus) as refused:
        connect(process.url.replace("http", "ws") + "/v1/events/ws")
    assert refused.value.response.status_code == 401
    for name, value in PROTECTION.items():
        assert refused.value.response.headers[name] == value
    page = httpx2.get(f"{process.url}/docs")
    own = {"content-security-policy"}
    assert page.headers.items() >= {key: value for key, value in PROTECTION.items() if key not in own}.items()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy


def test_every_answer_has_the_id_of_its_request_and_the_log_has_no_secret(
    process: GatewayProcess, call: Gateway, owner: Tenant
) -> None:
    answer = call.http.get("/v1/jobs", params={"search": "hunter2"}, headers={"X-Request-ID": "order-17"})
    assert answer.headers["x-request-id"] == "order-17"
    socket = process.url.replace("http", "ws") + "/v1/events/ws"
    with connect(f"{socket}?name=swordfish", additional_headers=owner.headers) as following:
        following.recv(5)
    with pytest.raises(InvalidStatus):
        connect(f"{socket}?kind=abracadabra", additional_headers=owner.headers)
    for insane in ("a b", "x" * 200, "<script>"):
        assert call.http.get("/v1/jobs", headers={"X-Request-ID": insane}).headers["x-request-id"] != insane
    for status in (101, 400):
        line = f"WEBSOCKET /v1/events/ws {status}"
        wait_until(lambda line=line: line in process.log, "the socket is logged", 5)  # type: ignore[misc]
    log = process.log
    assert "order-17" in log
    assert {"swordfish", "abracadabra"} & set(re.findall(r"\w+", log)) == set()
    assert owner.token not in log
    assert owner.token.rpartition(".")[2] not in log
    assert "hunter2" not in log


def test_bodies_and_callers_are_bounded(cluster: LocalCluster, owner: Tenant, tmp_path: Path) -> None:
    with (
        gateway(cluster, tmp_path, maxBodyBytes=4096, requestsPerSecond=1, burst=20) as small,
        Gateway(small, owner) as client,
    ):
        big = json.dumps(single("big", metadata={"text": "x" * 8192})).encode()
        assert client.http.post("/v1/jobs", content=big).status_code == 413
        pieces = (big[start : start + 512] for start in range(0, len(big), 512))
        assert client.http.post("/v1/jobs", content=pieces).status_code == 413  # its length unsaid
        answers = [client.http.get("/v1/jobs") for _ in range(30)]
        limited = [answer for answer in answers if answer.status_code == 429]
        assert limited
        assert int(limited[0].headers["retry-after"]) >= 1
        assert {answer.status_code for answer in answers} == {200, 429}


def test_nobody_is_somebody_where_that_is_switched_on_by_name(
    cluster: LocalCluster, owner: Tenant, tmp_path: Path
) -> None:
    account(cluster, owner.name, "anybody", READING)
    name = f"system:serviceaccount:{owner.name}:anybody"
    with (
        gateway(cluster, tmp_path, anonymous=name, defaultNamespace=owner.name) as opened,
        Gateway(opened) as nobody,
    ):
        nobody.get("/v1/jobs")
        nobody.call("POST", "/v1/jobs", 403, single())
        nobody.get("/v1/jobs", 403, namespace="default")
        nobody.call("GET", "/v1/jobs", 401, headers={"Authorization": "Bearer wrong"})


def test_only_pages_of_named_origins_may_call(cluster: LocalCluster, owner: Tenant, tmp_path: Path) -> None:
    ask = {"Origin": "https://a.example.org", "Access-Control-Request-Method": "POST"}
    with (
        gateway(cluster, tmp_path, origins=["https://a.example.org"]) as opened,
        Gateway(opened, owner) as client,
    ):
        allowed = client.http.options("/v1/jobs", headers=ask)
        assert allowed.headers["access-control-allow-origin"] == "https://a.example.org"
        refused = client.http.options("/v1/jobs", headers={**ask, "Origin": "https://b.example.org"})
        assert "access-control-allow-origin" not in refused.headers


def test_no_page_may_call_by_default(call: Gateway) -> None:
    answer = call.http.get("/v1/jobs", headers={"Origin": "https://a.example.org"})
    assert "access-control-allow-origin" not in answer.headers
