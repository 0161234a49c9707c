"""`/jobs` on a real cluster with real workers, as its clients use it."""

import re
from datetime import datetime
from typing import Any

import pytest

from demo.site import DemoSite
from gateway_client import Gateway, GatewayProcess, Tenant, tenant
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator"), pytest.mark.long]

ID = re.compile(r"job_[0-9a-f]{32}")
MEMBERS = {
    "job_id",
    "type",
    "status",
    "progress",
    "result_url",
    "errors",
    "created_at",
    "updated_at",
    "started_at",
    "completed_at",
}


@pytest.fixture(scope="module")
def process(speaking: GatewayProcess) -> GatewayProcess:
    return speaking


def enqueue(call: Gateway, kind: str, payload: Any, **more: Any) -> str:
    job_id: str = call.call("POST", "/jobs", 202, {"type": kind, "payload": payload}, **more)["job_id"]
    return job_id


def ended(call: Gateway, job_id: str) -> dict[str, Any]:
    state: dict[str, Any] = {}

    def over() -> bool:
        state.update(call.get(f"/jobs/{job_id}"))
        return state["status"] not in {"QUEUED", "RUNNING"}

    wait_until(over, f"{job_id} ends", 60, 0.2)
    return state


def error(answer: dict[str, Any]) -> dict[str, Any]:
    detail: dict[str, Any] = answer["error"]
    assert set(detail) == {"code", "message", "details"}
    return detail


def test_an_enqueued_job_is_queued_and_stored(call: Gateway, owner: Tenant) -> None:
    payload = {"file": "https://example.org/orders.csv", "format": "csv"}
    answer = call.call("POST", "/jobs", 202, {"type": "bulk_import", "payload": payload})
    assert set(answer) == {"job_id", "status", "created_at"}
    assert ID.fullmatch(answer["job_id"])
    assert answer["status"] == "QUEUED"
    assert answer["created_at"].endswith("Z")
    name = call.get(f"/v1/jobs/{answer['job_id']}")["metadata"]["name"]
    assert owner.jobs.get(name)["spec"]["custom"] == {"processor": "bulk_import", "parameters": payload}
    state = ended(call, answer["job_id"])
    assert (state["type"], state["status"], state["progress"]) == ("bulk_import", "FAILED", 0)
    assert "bulk_import" in state["errors"][0]["message"]


def test_a_running_job_tells_its_progress_until_it_is_cancelled(call: Gateway, site: DemoSite) -> None:
    job_id = enqueue(call, "batch_crawl", {"urls": [site.url("/"), site.url("/slow")]})
    state: dict[str, Any] = {}

    def half() -> bool:
        state.update(call.get(f"/jobs/{job_id}"))
        return bool(state["progress"])

    wait_until(half, "half of it is done", 30, 0.2)
    assert set(state) == MEMBERS
    assert (state["job_id"], state["type"], state["status"], state["progress"]) == (
        job_id,
        "batch_crawl",
        "RUNNING",
        50,
    )
    assert state["started_at"]
    assert (state["result_url"], state["errors"], state["completed_at"]) == (None, None, None)
    call.call("POST", f"/v1/jobs/{job_id}/cancel")
    state = ended(call, job_id)
    assert state["status"] == "FAILED"
    assert [each["code"] for each in state["errors"]] == ["Cancelled"]


def test_a_job_that_ends_well_links_its_result(call: Gateway, site: DemoSite) -> None:
    state = ended(call, enqueue(call, "single_crawl", {"url": site.url("/")}))
    assert (state["status"], state["progress"], state["errors"]) == ("SUCCESS", 100, None)
    assert state["result_url"].startswith("file:///")
    times = [datetime.fromisoformat(state[f"{name}_at"]) for name in ("created", "started", "completed", "updated")]
    assert times == sorted(times)


def test_each_bad_address_is_an_error_of_its_own(call: Gateway, site: DemoSite) -> None:
    bad = [site.url("/nowhere"), site.url("/neither")]
    state = ended(call, enqueue(call, "batch_crawl", {"urls": [site.url("/"), *bad]}))
    assert state["status"] == "PARTIAL_SUCCESS"
    assert {each["context"]["url"] for each in state["errors"]} == set(bad)
    for each in state["errors"]:
        assert set(each) == {"code", "message", "details", "context"}
        assert each["code"] == "HTTP_404"
        assert (each["context"]["attempt"], each["context"]["retryable"]) == (1, False)


def test_a_payload_may_be_null_or_any_json(call: Gateway, owner: Tenant) -> None:
    for payload, stored in ((None, {}), ([1, "a"], {"payload": [1, "a"]}), ("text", {"payload": "text"})):
        name = call.get(f"/v1/jobs/{enqueue(call, 'report', payload)}")["metadata"]["name"]
        assert owner.jobs.get(name)["spec"]["custom"].get("parameters", {}) == stored


def test_every_id_of_a_job_finds_it(call: Gateway) -> None:
    job_id = enqueue(call, "report", None)
    metadata = call.get(f"/v1/jobs/{job_id}")["metadata"]
    for text in (metadata["name"], metadata["uid"], job_id):
        assert call.get(f"/jobs/{text}")["job_id"] == job_id


def test_an_unknown_job_is_not_found(call: Gateway) -> None:
    for text in ("job_" + "0" * 32, "nothing", "no%20such", "7" * 19):
        assert error(call.get(f"/jobs/{text}", 404))["code"] == "NotFound"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"type": "report"}',
        b'{"payload": {}}',
        b'{"type": "", "payload": {}}',
        b'{"type": 7, "payload": {}}',
        b'{"type": "two words", "payload": {}}',
        b'{"type": "batch_crawl", "payload": {"urls": []}}',
        b'{"type": "batch_crawl", "payload": {"urls": ["ftp://example.org/"]}}',
        b'{"type": "' + b"x" * 101 + b'", "payload": null}',
        b'{"type": "\xff", "payload": null}',
    ],
)
def test_what_is_malformed_is_400_and_not_stored(call: Gateway, content: bytes) -> None:
    before = call.get("/v1/jobs", limit=1)["total"]
    answer = call.http.post("/jobs", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert error(answer.json())["message"]
    assert call.get("/v1/jobs", limit=1)["total"] == before


def test_the_same_request_with_the_same_key_is_one_job(call: Gateway) -> None:
    ids = {enqueue(call, "report", None, headers={"Idempotency-Key": "jobs-once"}) for _ in range(3)}
    assert len(ids) == 1


def test_who_is_not_known_or_may_not_is_told_in_the_same_form(
    call: Gateway, process: GatewayProcess, owner: Tenant, cluster: LocalCluster
) -> None:
    job_id = enqueue(call, "report", None)
    with Gateway(process, None, **{"X-Namespace": owner.name}) as nobody:
        error(nobody.get(f"/jobs/{job_id}", 401))
        error(nobody.call("POST", "/jobs", 401, {"type": "report", "payload": None}))
    with tenant(cluster, "other") as made, Gateway(process, made) as other:
        assert error(other.get(f"/jobs/{job_id}", 404))["code"] == "NotFound"
        error(other.get(f"/jobs/{job_id}", 403, namespace=owner.name))
        error(other.call("POST", f"/jobs?namespace={owner.name}", 403, {"type": "report", "payload": None}))


def test_a_tenant_is_a_namespace(call: Gateway, process: GatewayProcess, owner: Tenant) -> None:
    job_id = enqueue(call, "report", None)
    headers = {"Authorization": f"Bearer {owner.token}", "X-Tenant-ID": owner.name}
    with Gateway(process, None, **headers) as client:
        assert client.get(f"/jobs/{job_id}")["job_id"] == job_id


def test_a_store_that_fails_is_told(call: Gateway, proxy: Any, operator: OperatorProcess) -> None:
    proxy.refused = "/crawljobs"
    try:
        answer = call.http.post("/jobs", json={"type": "report", "payload": None})
    finally:
        proxy.refused = ""
    assert answer.status_code == 503
    assert error(answer.json())["code"] == "ServiceUnavailable"
    assert answer.headers["retry-after"]
