"""`/v1/jobs` on a real cluster: the same objects as kubectl's."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway_client import Gateway, Tenant, single
from operator_process import wait_until

pytestmark = pytest.mark.cluster


def test_a_job_made_here_is_the_one_that_kubectl_sees(call: Gateway, owner: Tenant) -> None:
    answer = call.http.post("/v1/jobs", json=single("made-here", priority="High"))
    assert answer.status_code == 201, answer.text
    seen = owner.jobs.get("made-here")
    assert answer.json()["metadata"]["uid"] == seen["metadata"]["uid"]
    assert answer.headers["etag"].strip('"').isdigit()
    assert seen["spec"]["priority"] == "High"
    assert "managedFields" not in answer.json()["metadata"]


def test_what_is_wrong_is_said_all_at_once(call: Gateway) -> None:
    body = single("bad", priority="Urgent", timeoutSeconds=-1, colour="red")
    error = call.call("POST", "/v1/jobs", 422, body)["error"]
    assert error["code"] == "Invalid"
    assert len(error["details"]) == 3
    assert any("spec.priority" in line for line in error["details"])
    assert error["requestId"]


def test_what_is_no_job_at_all_is_refused(call: Gateway) -> None:
    assert call.http.post("/v1/jobs", content=b"{nope").status_code == 400
    bodies: list[Any] = [
        [],
        5,
        {"spec": []},
        {"metadata": {"labels": {"a": 1}}, "spec": {}},
        {"spec": {}, "status": {}},
    ]
    for body in bodies:
        assert call.call("POST", "/v1/jobs", 422, body)["error"]["details"]
    elsewhere = single("elsewhere")
    elsewhere["metadata"]["namespace"] = "kube-system"
    assert "kube-system" in call.call("POST", "/v1/jobs", 400, elsewhere)["error"]["message"]


def test_a_job_is_in_the_next_list_and_a_deleted_one_is_not(call: Gateway) -> None:
    for number in range(20):
        name = f"prompt-{number}"
        call.submit(name)
        assert name in call.listed(search="prompt")
        call.call("DELETE", f"/v1/jobs/{name}", 204)
        assert name not in call.listed(search="prompt")
    call.get("/v1/jobs/prompt-0", 404)


def test_every_kind_of_id_means_the_same_job(call: Gateway, owner: Tenant) -> None:
    made = call.submit("many-names", displayName="Many Names")["metadata"]
    owner.jobs.kubectl("label", "crawljob", "many-names", "crawl-operator.io/task-id=4711")
    wait_until(lambda: call.http.get("/v1/jobs/4711").is_success, "its number is known", 10)
    for text in ("many-names", made["uid"], f"job_{made['uid'].replace('-', '')}", "4711", "Many Names"):
        assert call.get(f"/v1/jobs/{text}")["metadata"]["uid"] == made["uid"], text
    for text in ("4712", "job_" + "0" * 32, "00000000-0000-0000-0000-000000000000", "Other Names", "other"):
        assert call.get(f"/v1/jobs/{text}", 404)["error"]["code"] == "NotFound"


def test_levers_move_a_job(call: Gateway, owner: Tenant) -> None:
    call.submit("levers", suspend=True)
    assert call.call("POST", "/v1/jobs/levers/resume")["spec"]["suspend"] is False
    assert call.call("POST", "/v1/jobs/levers/suspend")["spec"]["suspend"] is True
    cancelled = call.call("POST", "/v1/jobs/levers/cancel")
    assert cancelled["metadata"]["annotations"]["crawl-operator.io/cancel"] == "true"
    assert call.call("POST", "/v1/jobs/levers/requeue", 409)["error"]["code"] == "NotFinished"
    assert call.get("/v1/jobs/levers/why")["name"] == "levers"
    assert owner.jobs.get("levers")["metadata"]["annotations"]["crawl-operator.io/cancel"] == "true"


def test_a_change_can_be_bound_to_what_was_read(call: Gateway) -> None:
    etag = call.http.get(f"/v1/jobs/{call.submit('bound')['metadata']['name']}").headers["etag"]
    change = {"spec": {"priority": "Low"}}
    first = call.http.patch("/v1/jobs/bound", json=change, headers={"If-Match": etag})
    assert (first.status_code, first.json()["spec"]["priority"]) == (200, "Low")
    late = call.call("PATCH", "/v1/jobs/bound", 412, {"spec": {"priority": "High"}}, headers={"If-Match": etag})
    assert late["error"]["code"] == "PreconditionFailed"
    assert call.get("/v1/jobs/bound")["spec"]["priority"] == "Low"
    assert call.call("PATCH", "/v1/jobs/bound", 422, {"spec": {"single": {"url": "https://example.com/"}}})
    assert call.call("PATCH", "/v1/jobs/bound", 400, change, headers={"If-Match": "what"})


def test_many_are_made_at_once_and_one_that_is_refused_stops_no_other(call: Gateway) -> None:
    items = [single(f"bulk-{number}") for number in range(30)]
    items[7]["spec"]["type"] = "Nothing"
    answer = call.call("POST", "/v1/jobs/bulk", 200, {"items": items})
    assert [each["metadata"]["name"] for each in answer["done"]] == [f"bulk-{n}" for n in range(30) if n != 7]
    assert [(each["index"], each["name"], each["error"]["code"]) for each in answer["failed"]] == [
        (7, "bulk-7", "Invalid")
    ]
    assert call.call("POST", "/v1/jobs/bulk", 422, {"items": []})
    assert call.call("POST", "/v1/jobs/bulk", 422, {"items": [single()] * 1001})


def test_lists_are_filtered_sorted_and_cut(call: Gateway) -> None:
    for number, priority in enumerate(("Low", "High", "Critical", "Normal", "High")):
        call.submit(f"page-{number}", priority=priority, url=f"https://example.org/page/{number}")
    assert call.listed(search="PAGE/", sort="name") == [f"page-{n}" for n in range(5)]
    assert call.listed(search="page/", sort="-name", limit=2, offset=1) == ["page-3", "page-2"]
    assert call.listed(search="page/", priority="high,9", sort="name") == ["page-1", "page-2", "page-4"]
    assert call.listed(search="page/", sort="-priority", limit=1) == ["page-2"]
    assert call.listed(search="page/", type="Batch") == []
    assert set(call.listed(search="page/", phase="active")) == {f"page-{n}" for n in range(5)}
    assert call.get("/v1/jobs", 422, phase="nonsense")["error"]["code"] == "Invalid"
    assert call.get("/v1/jobs", 422, limit=1001)["error"]["code"] == "InvalidParameter"
    assert call.get("/v1/jobs", 422, sort="colour")
    assert call.get("/v1/jobs", 422, cursor="bm9uc2Vuc2U")


@pytest.mark.parametrize(
    "sort", ["created", "-created", "name", "-name", "priority", "-priority", "completed", "phase"]
)
def test_a_cursor_walks_through_everything_once(call: Gateway, sort: str) -> None:
    if not call.listed(search="walk-"):
        items = [single(f"walk-{n}", priority=("Low", "High")[n % 2]) for n in range(23)]
        call.call("POST", "/v1/jobs/bulk", 200, {"items": items})
    seen: list[str] = []
    cursor = ""
    for _ in range(10):
        page = call.get("/v1/jobs", search="walk-", sort=sort, limit=5, cursor=cursor)
        seen += [item["metadata"]["name"] for item in page["items"]]
        assert page["total"] == 23
        if not (cursor := page["cursor"]):
            break
    assert sorted(seen) == sorted(f"walk-{n}" for n in range(23))


def test_the_same_request_again_makes_no_second_job(call: Gateway) -> None:
    key = {"Idempotency-Key": f"order {time.time_ns()}".replace(" ", "-")}
    with ThreadPoolExecutor(8) as pool:
        bodies = list(
            pool.map(lambda _: call.call("POST", "/v1/jobs", 201, single(priority="Low"), headers=key), range(16))
        )
    assert len({body["metadata"]["uid"] for body in bodies}) == 1
    other = call.call("POST", "/v1/jobs", 422, single(priority="High"), headers=key)
    assert other["error"]["code"] == "IdempotencyKeyReused"
    assert call.call("POST", "/v1/jobs", 400, single(), headers={"Idempotency-Key": "x" * 256})


def test_a_trial_stores_nothing(call: Gateway) -> None:
    assert call.call("POST", "/v1/jobs?dryRun=true", 201, single("trial"))["metadata"]["name"] == "trial"
    call.get("/v1/jobs/trial", 404)


def test_a_name_that_is_taken_is_a_conflict(call: Gateway) -> None:
    call.submit("taken")
    assert call.submit("taken", 409)["error"]["code"] == "AlreadyExists"
