"""What the API server alone makes of ScheduledCrawlJobs: no operator runs here."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from api_server import BATCH, SCHEDULES, SINGLE, Answer, ApiServer, Object
from crawl_api.crawljob import CrawlJobSpec
from crawl_api.cron import MACROS
from crawl_api.schedule import ScheduledCrawlJobSpec, ScheduledCrawlJobStatus

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]


def manifest(name: str, spec: Any) -> Object:
    return {
        "apiVersion": "crawl-operator.io/v1alpha1",
        "kind": "ScheduledCrawlJob",
        "metadata": {"name": name},
        "spec": spec,
    }


def daily(job: Object = SINGLE, **more: Any) -> Object:
    return {"schedule": "0 2 * * *", "jobTemplate": {"spec": job}} | more


def labelled(**metadata: Object) -> Object:
    return daily() | {"jobTemplate": {"metadata": metadata, "spec": SINGLE}}


def create(api: ApiServer, name: str, spec: Any) -> Answer:
    return api.call("POST", SCHEDULES, manifest(name, spec))


def created(api: ApiServer, name: str, spec: Any) -> Object:
    answer = create(api, name, spec)
    assert answer.status == 201, answer.message
    return answer.body


def patch(api: ApiServer, name: str, body: Object, subresource: str = "") -> Answer:
    path = f"{SCHEDULES}/{name}" + (f"/{subresource}" if subresource else "")
    return api.call("PATCH", path, body, "application/merge-patch+json")


LINES = [
    *MACROS,
    "* * * * *",
    "? ? ? ? ?",
    "*/5 * * * *",
    "0/15 * * * *",
    "5-55/10 8-18 1-15,20 */2 1-5",
    "00 08 01 01 00",
    "0  2\t* * *",
    "0 2 * JAN-mar Mon-Fri",
    "0 2 * jan,dec sun,Sat",
    "0 2 29 2 *",
    "0 2 31 * *",
    "*/70 * * * *",
    ",".join(str(minute) for minute in range(60)) + " * * * *",
]
"""Lines that are taken."""

WRONG = {
    "": "must have five fields",
    "* * * *": "must have five fields",
    "* * * * * *": "must have five fields",
    " * * * * *": "must have five fields",
    "* * * * * ": "must have five fields",
    "* * * * *\n": "must have five fields",
    "daily": "must have five fields",
    "@every 1h": "must have five fields",
    "@reboot": "must have five fields",
    "@Daily": "must have five fields",
    "TZ=Europe/Berlin 0 2 * * *": "must have five fields",
    "60 * * * *": "the minute must be",
    "-1 * * * *": "the minute must be",
    "a * * * *": "the minute must be",
    "1,,2 * * * *": "the minute must be",
    "*/0 * * * *": "the minute must be",
    "1-2-3 * * * *": "the minute must be",
    "1/2/3 * * * *": "the minute must be",
    "*-5 * * * *": "the minute must be",
    "0 24 * * *": "the hour must be",
    "0 2 0 * *": "the day of the month must be",
    "0 2 32 * *": "the day of the month must be",
    "0 2 L * *": "the day of the month must be",
    "0 2 1 0 *": "the month must be",
    "0 2 1 13 *": "the month must be",
    "0 2 1 mon *": "the month must be",
    "0 2 1 january *": "the month must be",
    "0 2 * * 7": "the day of the week must be",
    "0 2 * * 1#2": "the day of the week must be",
    "0 2 * * jan": "the day of the week must be",
    "H * * * *": "the minute must be",
    "5-1 * * * *": "a range goes from the lower",
    "0 18-8 * * *": "a range goes from the lower",
    "0 2 * * sat-mon": "a range goes from the lower",
    "0 2 * Dec-jan *": "a range goes from the lower",
    "0 2 " + ",".join(["1"] * 130) + " * *": "Too long",
}


@pytest.mark.parametrize("line", LINES)
def test_a_cron_line_is_taken(api: ApiServer, line: str) -> None:
    """By the API server and by the models; what they fire at is the operator's matter."""
    answer = create(api, "good", daily(schedule=line))
    assert answer.status == 201, answer.message
    assert api.call("DELETE", f"{SCHEDULES}/good").status == 200
    assert ScheduledCrawlJobSpec.model_validate(answer.body["spec"]).schedule == line


@pytest.mark.parametrize("line", WRONG)
def test_a_bad_cron_line_is_refused_and_nothing_is_stored(api: ApiServer, line: str) -> None:
    """In words that name the field of the line, and in the same words by the models."""
    answer = create(api, "bad", daily(schedule=line))
    assert answer.status == 422
    assert "spec.schedule" in answer.message
    assert WRONG[line] in answer.message
    assert api.call("GET", f"{SCHEDULES}/bad").status == 404
    with pytest.raises(ValidationError, match=WRONG[line] if WRONG[line] != "Too long" else "at most 256"):
        ScheduledCrawlJobSpec.model_validate(daily(schedule=line))


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Argentina/ComodRivadavia",
    "Etc/GMT+1",
    "EST5EDT",
    "GB-Eire",
    "Asia/Kathmandu",
)


@pytest.mark.parametrize("zone", ZONES)
def test_a_time_zone_is_taken(api: ApiServer, zone: str) -> None:
    answer = create(api, "zoned", daily(timeZone=zone))
    assert answer.status == 201, answer.message
    api.call("DELETE", f"{SCHEDULES}/zoned")


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Local",
        "Mars/Olympus",
        "europe/berlin2",
        "+01:00",
        "../etc/passwd",
        "Europe/",
        "/UTC",
        "UTC ",
        "Europe//Rome",
    ],
)
def test_a_time_zone_that_is_none_is_refused(api: ApiServer, zone: str) -> None:
    """The API server knows them all."""
    answer = create(api, "bad", daily(timeZone=zone))
    assert answer.status == 422
    assert "spec.timeZone" in answer.message
    assert re.search("must be the name of a time zone|unknown time zone", answer.message)


BAD: dict[str, tuple[Any, str, str]] = {
    # name: spec, field, words
    "no spec": (None, "spec", "Required value"),
    "no line": ({"jobTemplate": {"spec": SINGLE}}, "spec.schedule", "Required value"),
    "no template": ({"schedule": "@daily"}, "spec.jobTemplate", "Required value"),
    "empty template": ({"schedule": "@daily", "jobTemplate": {}}, "spec.jobTemplate.spec", "Required value"),
    "no type": (daily({"single": SINGLE["single"]}), "spec.jobTemplate.spec.type", "Required value"),
    "the other member": (
        daily(BATCH | {"type": "Single"}),
        "spec.jobTemplate.spec.single",
        "single must be set when type is Single",
    ),
    "no member": (daily({"type": "Batch"}), "spec.jobTemplate.spec.batch", "batch must be set when type is Batch"),
    "a URL of another scheme": (
        daily({"type": "Single", "single": {"url": "ftp://example.org/"}}),
        "spec.jobTemplate.spec.single.url",
        "must be an absolute http:// or https:// URL",
    ),
    "a selector of neither kind": (
        daily(SINGLE | {"extract": {"selectors": [{"name": "a"}]}}),
        "spec.jobTemplate.spec.extract.selectors[0]",
        "exactly one of css, xpath and jsonpath must be set",
    ),
    "no time": (
        daily(SINGLE | {"timeoutSeconds": 0}),
        "spec.jobTemplate.spec.timeoutSeconds",
        "greater than or equal to 1",
    ),
    "unknown field of the job": (daily(SINGLE | {"prio": 1}), "spec.jobTemplate.spec.prio", "unknown field"),
    "unknown field": (daily(cron="@daily"), "spec.cron", "unknown field"),
    "unknown policy": (daily(concurrencyPolicy="Queue"), "spec.concurrencyPolicy", '"Allow", "Forbid", "Replace"'),
    "a deadline in the past": (
        daily(startingDeadlineSeconds=-1),
        "spec.startingDeadlineSeconds",
        "greater than or equal to 0",
    ),
    "negative history": (
        daily(successfulJobsHistoryLimit=-1),
        "spec.successfulJobsHistoryLimit",
        "greater than or equal to 0",
    ),
    "endless history": (daily(failedJobsHistoryLimit=101), "spec.failedJobsHistoryLimit", "less than or equal to 100"),
    "suspended in words": (daily(suspend="no"), "spec.suspend", "must be of type boolean"),
    "a label that is none": (labelled(labels={"a b": "c"}), "spec.jobTemplate.metadata.labels", "valid labels"),
    "a label of a bad value": (labelled(labels={"a": "b c"}), "spec.jobTemplate.metadata.labels", "valid labels"),
    "a label of ours": (
        labelled(labels={"crawl-operator.io/job": "x"}),
        "spec.jobTemplate.metadata.labels",
        "are the operator's",
    ),
    "an annotation that is none": (
        labelled(annotations={"/": "c"}),
        "spec.jobTemplate.metadata.annotations",
        "valid annotations",
    ),
    "an annotation of ours": (
        labelled(annotations={"crawl-operator.io/cancel": "true"}),
        "spec.jobTemplate.metadata.annotations",
        "are the operator's",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_manifest_is_refused_by_the_name_of_its_field(api: ApiServer, case: str) -> None:
    spec, field, words = BAD[case]
    answer = create(api, "bad", spec)
    assert answer.status in {400, 422}, "it was taken"
    causes = answer.body.get("details", {}).get("causes", [])
    said = [(cause["field"], cause["message"]) for cause in causes] or [(field, answer.message)]
    assert any(field == where.removesuffix("[]") and words in message for where, message in said), said


def test_what_is_left_out_is_filled_in(api: ApiServer) -> None:
    """The template's job too, so that it reads as it will run."""
    spec = created(api, "defaults", daily())["spec"]
    job = spec["jobTemplate"].pop("spec")
    assert spec == {
        "schedule": "0 2 * * *",
        "timeZone": "UTC",
        "suspend": False,
        "concurrencyPolicy": "Allow",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {},
    }
    assert CrawlJobSpec.model_validate(job) == CrawlJobSpec.model_validate(SINGLE)
    assert (job["priority"], job["retry"]["maxAttempts"]) == ("Normal", 3)


def test_what_is_just_within_the_limits_is_taken(api: ApiServer) -> None:
    labels = {f"example.org/key-{number}": "x" * 63 for number in range(32)}
    answer = create(
        api,
        "n" * 63,
        labelled(labels=labels, annotations={"example.org/note": "ü" * 4096})
        | {"displayName": "x" * 253, "startingDeadlineSeconds": 366 * 86400, "failedJobsHistoryLimit": 100},
    )
    assert answer.status == 201, answer.message
    assert "63 characters" in create(api, "n" * 64, daily()).message


def test_everything_of_a_schedule_may_change(api: ApiServer) -> None:
    """The template too: it concerns the runs to come."""
    created(api, "changed", daily())
    for change in (
        {"schedule": "@hourly"},
        {"timeZone": "Asia/Tokyo"},
        {"suspend": True},
        {"concurrencyPolicy": "Forbid"},
        {"displayName": "another"},
        {"jobTemplate": {"spec": {"type": "Batch", "single": None, "batch": BATCH["batch"]}}},
        {"jobTemplate": {"spec": {"priority": "Low", "timeoutSeconds": 10}}},
        {"jobTemplate": {"metadata": {"labels": {"kind": "nightly"}}}},
    ):
        answer = patch(api, "changed", {"spec": change})
        assert answer.status == 200, answer.message


def test_a_new_schedule_is_in_progress_before_any_operator_has_seen_it(api: ApiServer) -> None:
    status = created(api, "fresh", daily())["status"]
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Reconciling", "True", "AwaitingOperator")
    read = ScheduledCrawlJobStatus.model_validate(status)
    assert (read.execution_count, read.missed_count, read.next_execution_at) == (0, 0, None)


def test_a_status_as_large_as_the_models_allow_is_taken(api: ApiServer) -> None:
    time = "2026-03-01T12:00:00.123456Z"
    kinds = ("Ready", "Valid", "Suspended", "Reconciling", "Stalled")
    told = {"status": "True", "reason": "X" * 64, "message": "\U0001f600" * 1024, "lastTransitionTime": time}
    status = ScheduledCrawlJobStatus.model_validate(
        {
            "conditions": [{"type": kind} | told for kind in kinds],
            "lastMissed": [{"slot": time, "reason": "X" * 64}] * 10,
            "active": ["n" * 63] * 100,
            "observedSchedule": "x" * 321,
            "lastRun": "n" * 63,
            "triggered": "x" * 256,
        }
    )
    created(api, "large", daily())
    body = status.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    answer = patch(api, "large", {"status": body}, "status")
    assert answer.status == 200, answer.message
    assert ScheduledCrawlJobStatus.model_validate(answer.body["status"]).conditions == status.conditions


@pytest.mark.parametrize(
    ("status", "field"),
    [
        ({"executionCount": -1}, "status.executionCount"),
        ({"missedCount": -1}, "status.missedCount"),
        ({"active": ["x"] * 101}, "status.active"),
        ({"lastMissed": [{"reason": "X"}]}, "status.lastMissed[0].slot"),
        ({"nextExecutionAt": "soon"}, "status.nextExecutionAt"),
    ],
    ids=str,
)
def test_a_status_that_cannot_be_is_refused(api: ApiServer, status: Object, field: str) -> None:
    create(api, "impossible", daily())
    answer = patch(api, "impossible", {"status": status}, "status")
    assert answer.status == 422
    assert field in answer.message


def test_kubectl_shows_what_matters_in_columns(api: ApiServer) -> None:
    api.kubectl("create", "namespace", "columns")
    text = json.dumps(manifest("daily", daily(timeZone="Europe/Berlin")))
    api.kubectl("-n", "columns", "apply", "-f", "-", input=text)
    status = {
        "activeCount": 1,
        "active": ["daily-1"],
        "executionCount": 41,
        "missedCount": 2,
        "lastExecutedAt": "2026-03-01T01:00:00Z",
        "nextExecutionAt": "2126-03-02T01:00:00Z",
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Scheduled", "lastTransitionTime": "2026-03-01T01:00:00Z"}
        ],
    }
    given = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    api.kubectl("-n", "columns", "patch", "scrawl", "daily", *given)
    header, row = api.kubectl("-n", "columns", "get", "scrawl", "-o", "wide").stdout.splitlines()
    assert header.split() == [
        "NAME", "SCHEDULE", "ZONE", "SUSPENDED", "ACTIVE", "LAST", "NEXT",
        "REASON", "RUNS", "MISSED", "POLICY", "AGE",
    ]  # fmt: skip
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    cells = [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    shown = dict(zip(header.split(), cells, strict=True))
    assert (shown["SCHEDULE"], shown["ZONE"], shown["SUSPENDED"]) == ("0 2 * * *", "Europe/Berlin", "false")
    assert (shown["ACTIVE"], shown["NEXT"], shown["REASON"]) == ("1", "2126-03-02T01:00:00Z", "Scheduled")
    assert (shown["RUNS"], shown["MISSED"], shown["POLICY"]) == ("41", "2", "Allow")
    assert re.fullmatch(r"\d+\w+", shown["LAST"])
    names = api.kubectl("-n", "columns", "get", "crawls", "-o", "name").stdout.split()
    assert names == ["scheduledcrawljob.crawl-operator.io/daily"], "one category for both kinds"
    found = api.kubectl("-n", "columns", "get", "scrawl", "--field-selector", "spec.suspend=true", "-o", "name").stdout
    assert found == ""


def test_kubectl_explains_the_template_as_a_crawl_job(api: ApiServer) -> None:
    text = api.kubectl("explain", "scheduledcrawljob.spec.jobTemplate.spec.fetch.delaySeconds").stdout
    assert "Pause between two requests to the same host." in text


def test_names_of_schedules_and_their_repeats(api: ApiServer) -> None:
    """Create, list, delete, delete again: the life that a front end leads on behalf of its users."""
    spec = created(api, "midnight", daily(SINGLE | {"priority": "Normal", "fetch": None}, schedule="@midnight"))["spec"]
    assert spec["jobTemplate"]["spec"]["fetch"]["concurrency"] == 10, "null options are none"
    assert create(api, "midnight", daily()).status == 409
    items = api.call("GET", SCHEDULES).body["items"]
    assert "midnight" in {item["metadata"]["name"] for item in items}
    assert api.call("DELETE", f"{SCHEDULES}/midnight").status == 200
    assert api.call("DELETE", f"{SCHEDULES}/midnight").status == 404


def test_the_examples_are_taken_and_show_every_field(api: ApiServer) -> None:
    shown: set[str] = set()
    files = sorted((ROOT / "examples" / "schedules").glob("*.yaml"))
    assert len(files) >= 2
    for file in files:
        document = yaml.safe_load(file.read_text())
        answer = api.call("POST", SCHEDULES, document)
        assert answer.status == 201, f"{file.name}: {answer.message}"
        shown |= set(document["spec"])
    assert shown == {field.alias for field in ScheduledCrawlJobSpec.model_fields.values()}
