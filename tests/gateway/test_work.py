"""The gateway beside a real operator and real workers: results, dead letters, graphs, schedules, numbers."""

import csv
import hashlib
import io
import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from client_cluster import account
from demo.site import DemoSite
from gateway_client import EVERYTHING, Gateway, GatewayProcess, Tenant, single
from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def process(handing_out: GatewayProcess) -> GatewayProcess:
    return handing_out


def test_a_crawl_runs_and_its_result_is_read(call: Gateway, site: DemoSite) -> None:
    urls = [site.url("/catalogue/"), site.url("/")]
    spec: dict[str, Any] = {"type": "Batch", "batch": {"urls": urls}, "priority": "Critical", "suspend": True}
    call.call("POST", "/v1/jobs", 201, {"metadata": {"name": "crawl"}, "spec": spec})
    assert call.get("/v1/jobs/crawl/result", 404)["error"]["code"] == "NotFinished"
    call.call("POST", "/v1/jobs/crawl/resume")
    assert call.finished("crawl")["status"]["phase"] == "Completed"
    result = call.get("/v1/jobs/crawl/result")
    assert (result["success"], result["items"]) == (True, 2)
    answer = call.http.get("/v1/jobs/crawl/records")
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert {record["url"] for record in records} == set(urls)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    wait_until(lambda: "crawl" in call.listed(phase="success"), "the list shows it", 5)


def test_what_a_status_does_not_hold_comes_from_the_operators_store(
    call: Gateway, process: GatewayProcess, owner: Tenant, site: DemoSite
) -> None:
    """To whoever may read results, and from nowhere else, whatever a status says."""
    output = {"inlineLimitBytes": 0, "format": "JSONLines"}
    spec = {"type": "Batch", "batch": {"urls": [site.url("/catalogue/"), site.url("/")]}, "priority": "Critical"}
    call.call("POST", "/v1/jobs", 201, {"metadata": {"name": "stored"}, "spec": {**spec, "output": output}})
    call.finished("stored")
    outcome = call.get("/v1/jobs/stored/result")
    assert outcome["data"] is None
    lines = call.http.get("/v1/jobs/stored/records").text.splitlines()
    assert len(lines) == outcome["items"] == 2
    answer = call.http.get("/v1/jobs/stored/file")
    assert hashlib.sha256(answer.content).hexdigest() == outcome["sha256"] == answer.headers["etag"].strip('"')
    rule = {**EVERYTHING, "resources": ["crawljobs"]}
    token = account(owner.jobs.cluster, owner.name, "no-results", rule)
    with Gateway(process, Tenant(owner.jobs, token)) as narrow:
        assert narrow.get("/v1/jobs/stored/result")["items"] == 2
        for part in ("records", "file"):
            assert "crawljobs/results" in narrow.get(f"/v1/jobs/stored/{part}", 403)["error"]["message"]
    elsewhere = json.dumps({"status": {"resultURL": f"file://{process.config}"}})
    owner.jobs.kubectl("patch", "crawljob", "stored", "--subresource=status", "--type=merge", "-p", elsewhere)
    for part in ("records", "file"):
        found = call.http.get(f"/v1/jobs/stored/{part}")
        assert found.status_code in {404, 503}, found.text


def test_records_come_in_the_form_that_is_asked_for(call: Gateway, site: DemoSite) -> None:
    """A page that failed has other members than one that did not: none is lost."""
    good, bad = site.url("/catalogue/"), site.url("/nowhere")
    spec: dict[str, Any] = {"type": "Batch", "batch": {"urls": [bad, good]}, "priority": "Critical"}
    call.call("POST", "/v1/jobs", 201, {"metadata": {"name": "forms"}, "spec": spec})
    call.finished("forms")
    lines = [json.loads(line) for line in call.http.get("/v1/jobs/forms/records").text.splitlines()]
    assert {record["url"] for record in lines} == {good, bad}
    assert [json.loads(line) for line in _records(call, "jsonl", "application/x-ndjson").splitlines()] == lines
    assert json.loads(_records(call, "json", "application/json")) == lines
    rows = list(csv.DictReader(io.StringIO(_records(call, "csv", "text/csv; charset=utf-8"))))
    for row, record in zip(rows, lines, strict=True):
        assert {name: text for name, text in row.items() if text} == {
            name: json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            if isinstance(value, dict | list)
            else str(value)
            for name, value in record.items()
        }
    assert call.get("/v1/jobs/forms/records", 422, format="xml")["error"]["code"] == "Invalid"
    assert call.get("/v1/jobs/nobody/records", 404, format="csv")["error"]["code"] == "NotFound"


def _records(call: Gateway, form: str, media: str) -> str:
    answer = call.http.get("/v1/jobs/forms/records", params={"format": form})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    return answer.text


def test_dead_letters_run_again(call: Gateway, site: DemoSite) -> None:
    for number in range(2):
        spec: dict[str, Any] = {"suspend": False, "priority": "Critical", "retry": {"maxAttempts": 1}}
        call.submit(f"dead-{number}", url="http://127.0.0.1:1/", **spec)
    for number in range(2):
        assert call.finished(f"dead-{number}")["status"]["phase"] == "DeadLetter"
    call.submit("alive")
    wait_until(lambda: call.get("/v1/dead-letters")["total"] == 2, "both are listed", 5)
    answer = call.call("POST", "/v1/dead-letters/requeue", 200, {"ids": ["dead-0", "alive", "nobody", "dead-1"]})
    assert [job["metadata"]["name"] for job in answer["done"]] == ["dead-0", "dead-1"]
    assert [(each["index"], each["error"]["code"]) for each in answer["failed"]] == [
        (1, "NotDeadLetter"),
        (2, "NotFound"),
    ]
    for number in range(2):
        wait_until(
            lambda name=f"dead-{number}": len(call.get(f"/v1/jobs/{name}")["status"]["attempts"]) == 2,  # type: ignore[misc]
            "it ran again",
            30,
        )


def test_jobs_wait_for_each_other(call: Gateway, site: DemoSite) -> None:
    items = [single(name, site.url("/"), suspend=False, priority="Critical") for name in ("last", "first", "second")]
    edges = [
        {"job": "second", "after": "first"},
        {"job": "last", "after": "second", "condition": "Finished"},
        {"job": "last", "after": "first"},
    ]
    answer = call.call("POST", "/v1/graphs", 200, {"items": items, "edges": edges})
    assert [job["metadata"]["name"] for job in answer["done"]] == ["first", "second", "last"]
    ends = [call.finished(name)["status"] for name in ("first", "second", "last")]
    assert all(end["phase"] == "Completed" for end in ends)
    completed, started = (datetime.fromisoformat(text) for text in (ends[0]["completedAt"], ends[1]["startedAt"]))
    assert completed <= started  # as times: a text without a fraction of a second is larger than one with it
    circle = [{"job": "first", "after": "last"}, {"job": "last", "after": "first"}]
    assert (
        "each waits for the next"
        in call.call("POST", "/v1/graphs", 422, {"items": items, "edges": circle})["error"]["message"]
    )
    wrong = call.call("POST", "/v1/graphs", 422, {"items": [single(), items[0], items[0]], "edges": []})["error"]
    assert len(wrong["details"]) == 2
    assert call.call("POST", "/v1/graphs", 422, {"items": items, "edges": [{"job": "x", "after": "first"}, 5]})


def test_schedules_are_made_switched_and_run(call: Gateway, owner: Tenant, site: DemoSite) -> None:
    template = {"spec": {**single(url=site.url("/"))["spec"], "suspend": False, "priority": "Critical"}}
    spec = {"schedule": "0 2 * * *", "timeZone": "Europe/Berlin", "suspend": True, "jobTemplate": template}
    made = call.call("POST", "/v1/schedules", 201, {"metadata": {"name": "nightly"}, "spec": spec})
    assert made["metadata"]["uid"] == owner.jobs.get("nightly", "scheduledcrawljob")["metadata"]["uid"]
    assert [each["metadata"]["name"] for each in call.get("/v1/schedules")["items"]] == ["nightly"]
    assert call.get(f"/v1/schedules/{made['metadata']['uid']}")["metadata"]["name"] == "nightly"
    assert len(call.get("/v1/schedules/nightly/next", count=3)["items"]) == 3
    assert call.call("POST", "/v1/schedules/nightly/enable")["spec"]["suspend"] is False
    assert call.call("POST", "/v1/schedules/nightly/disable")["spec"]["suspend"] is True
    call.call("POST", "/v1/schedules/nightly/trigger", 202)
    wait_until(lambda: call.listed(schedule="nightly", phase="success"), "its run is over", 30)
    bad = {"metadata": {"name": "bad"}, "spec": {**spec, "schedule": "every day"}}
    assert any("schedule" in each for each in call.call("POST", "/v1/schedules", 422, bad)["error"]["details"])
    call.call("DELETE", "/v1/schedules/nightly", 204)
    assert call.get("/v1/schedules")["items"] == []


def test_numbers_are_those_of_the_jobs(call: Gateway, owner: Tenant, site: DemoSite) -> None:
    call.submit("counted", url=site.url("/"), suspend=False, priority="Critical")
    call.finished("counted")
    jobs: list[dict[str, Any]] = []
    numbers: dict[str, Any] = {}

    def counted() -> bool:
        """Tell whether it is quiet: what earlier tests have deleted goes later, and the numbers are a second old."""
        jobs[:] = json.loads(owner.jobs.kubectl("get", "crawljobs", "-o", "json").stdout)["items"]
        numbers.update(call.get("/v1/statistics"))
        phases = Counter(job["status"]["phase"] for job in jobs)
        return phases == Counter(numbers["jobs"]["byPhase"]) and phases["Processing"] == 0

    wait_until(counted, "the numbers are those of now", 20)
    phases = [job["status"]["phase"] for job in jobs]
    assert numbers["jobs"]["total"] == len(jobs)
    assert numbers["jobs"]["byPhase"]["Completed"] == phases.count("Completed")
    assert numbers["processingMs"]["sample"] == sum("processingTimeMs" in job["status"] for job in jobs)
    assert numbers["processingMs"]["p50"] <= numbers["processingMs"]["p99"]
    assert numbers["finished"]["day"] >= phases.count("Completed")
    assert {item["workerId"] for item in numbers["workers"]["items"]} >= {
        job["status"]["workerId"] for job in jobs if job["status"].get("workerId")
    }


def test_jobs_are_exported(call: Gateway) -> None:
    call.submit("formula", displayName="=HYPERLINK(1)")
    flat = call.get("/v1/export", format="json")
    rows = list(csv.DictReader(io.StringIO(call.http.get("/v1/export", params={"format": "csv"}).text)))
    assert [row["name"] for row in rows] == [row["name"] for row in flat] == call.listed(limit=1000)
    (formula,) = (row for row in rows if row["name"] == "formula")
    assert formula["displayName"] == "'=HYPERLINK(1)"
    call.get("/v1/export", 422, format="xml")
