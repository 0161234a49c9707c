"""`/tasks` and its neighbours: registered types with checked parameters, workers with heartbeats, numbers."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from dialect_cases import CREATED, UID, entry_of, job
from pydantic import ValidationError as Malformed

from crawl_api.enums import Phase
from crawl_client import ValidationError
from crawl_client.models import Job
from crawl_gateway.dialects.tasks import translate
from crawl_gateway.dialects.tasks.catalogue import Catalogue, TaskType
from crawl_gateway.dialects.tasks.models import TaskCreate
from crawl_gateway.errors import Problem
from crawl_gateway.statistics import WorkerUse, count

HEADLINES = TaskType("headlines", "Take headlines", {"properties": {"top_n": {"type": "integer", "default": 10}}})
CATALOGUE = Catalogue({**Catalogue.of(()).types, "headlines": HEADLINES})
SEEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def spec_of(request: dict[str, Any]) -> dict[str, Any]:
    return dict(translate.new_job(TaskCreate.model_validate(request), CATALOGUE).spec)


def test_a_task_becomes_a_spec_with_defaults() -> None:
    assert spec_of({"task_type": "headlines", "parameters": {}}) == {
        "type": "Custom",
        "custom": {"processor": "headlines", "parameters": {"top_n": 10}},
        "priority": "Normal",
    }


def test_a_built_in_type_is_told_its_member() -> None:
    spec = spec_of({"task_type": "batch_crawl", "parameters": {"urls": ["https://example.org/"]}, "priority": 1})
    assert spec == {"type": "Batch", "batch": {"urls": ["https://example.org/"]}, "priority": "Low"}


@pytest.mark.parametrize(
    ("number", "priority"),
    [(1, "Low"), (3, "Low"), (4, "Normal"), (6, "Normal"), (7, "High"), (8, "High"), (9, "Critical"), (10, "Critical")],
)
def test_a_larger_number_is_more_urgent(number: int, priority: str) -> None:
    assert spec_of({"task_type": "headlines", "parameters": {}, "priority": number})["priority"] == priority


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"task_type": "headlines"},
        {"parameters": {}},
        {"task_type": "headlines", "parameters": []},
        {"task_type": "headlines", "parameters": {}, "priority": 0},
        {"task_type": "headlines", "parameters": {}, "priority": 11},
        {"task_type": "headlines", "parameters": {}, "priority": "high"},
    ],
)
def test_what_has_another_form_is_refused(request_body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        TaskCreate.model_validate(request_body)


def test_a_type_of_another_image_runs_in_it() -> None:
    catalogue = Catalogue({"headlines": dataclasses.replace(HEADLINES, image="plug:1")})
    new = translate.new_job(TaskCreate(task_type="headlines", parameters={}), catalogue)
    assert new.spec["worker"] == {"image": "plug:1"}


def test_an_unknown_type_is_refused_and_the_others_are_named() -> None:
    with pytest.raises(ValidationError, match=r"'nope' is not registered.*batch_crawl.*headlines"):
        spec_of({"task_type": "nope", "parameters": {}})


@pytest.mark.parametrize(
    ("phase", "status", "claimed"),
    [
        (None, "queued", None),
        (Phase.RETRY, "queued", None),
        (Phase.PROCESSING, "claimed", "a-1"),
        (Phase.PARTIAL_SUCCESS, "completed", "a-1"),
        (Phase.DEAD_LETTER, "failed", "a-1"),
        (Phase.CANCELLED, "cancelled", "a-1"),
    ],
)
def test_a_task_is_told(phase: Phase | None, status: str, claimed: str | None) -> None:
    spec = {"type": "Custom", "custom": {"processor": "headlines"}}
    told = translate.task(job(phase, spec=spec, workerId="a-1"), 17).model_dump(mode="json")
    assert told == {
        "id": 17,
        "task_type": "headlines",
        "status": status,
        "created_at": "2026-03-01T10:00:00Z",
        "claimed_by": claimed,
    }


@pytest.mark.parametrize(
    ("found", "can"),
    [
        (job(), True),
        (job(Phase.PROCESSING), True),
        (job(Phase.RETRY), True),
        (job(Phase.COMPLETED), False),
        (job(Phase.CANCELLED), False),
        (job(Phase.PROCESSING, annotations={"crawl-operator.io/cancel": "true"}), False),
        (job(Phase.PROCESSING, annotations={"crawl-operator.io/cancel": "false"}), True),
        (job(spec={"type": "Single", "single": {"url": "https://example.org/"}, "cancel": True}), False),
    ],
)
def test_what_has_ended_or_is_cancelled_cannot_be_cancelled(found: Job, *, can: bool) -> None:
    assert translate.cancellable(found) is can


@pytest.mark.parametrize(
    ("current", "number"), [(job(Phase.PROCESSING), 17), (job(Phase.PROCESSING, uid="other"), None), (None, None)]
)
def test_a_worker_is_told(current: Job | None, number: int | None) -> None:
    told = translate.worker(WorkerUse("a-1", SEEN, 25, 2, current), {UID: 17}).model_dump(mode="json")
    assert told == {
        "worker_id": "a-1",
        "last_heartbeat": "2026-03-01T10:00:00Z",
        "tasks_processed": 25,
        "tasks_failed": 2,
        "current_task_id": number,
    }


@pytest.mark.parametrize(
    ("phase", "status", "beat", "current"),
    [
        (Phase.PROCESSING, {"updatedAt": "2026-03-01T10:00:07Z"}, "2026-03-01T10:00:07Z", 17),
        (Phase.PROCESSING, {}, CREATED, 17),
        (Phase.COMPLETED, {}, CREATED, None),
        (Phase.FAILED, {"updatedAt": None}, CREATED, None),
    ],
)
def test_a_worker_was_heard_of_when_its_job_changed_or_was_made(
    phase: Phase, status: dict[str, Any], beat: str, current: int | None
) -> None:
    (use,) = count([entry_of(job(phase, workerId="a-1", **status))]).workers
    told = translate.worker(use, {UID: 17}).model_dump(mode="json")
    assert (told["worker_id"], told["last_heartbeat"], told["current_task_id"]) == ("a-1", beat, current)


def test_every_status_is_counted_though_there_be_none() -> None:
    jobs = [job(phase, name=f"a-{phase}") for phase in (Phase.PENDING, Phase.RETRY, Phase.DEAD_LETTER)]
    jobs += [job(Phase.PROCESSING, workerId=f"w-{n}", name=f"b-{n}") for n in range(3)]
    counted = dataclasses.replace(count(entry_of(each) for each in jobs), bytes=131_596_288)
    assert translate.statistics(counted).model_dump() == {
        "status_counts": {"queued": 2, "claimed": 3, "completed": 0, "failed": 1, "cancelled": 0},
        "active_workers": 3,
        "db_size_mb": 125.5,
    }


def test_what_is_wrong_with_a_task_is_a_list() -> None:
    body = {"detail": {"errors": ["one", "two"]}}
    assert translate.render(Problem(422, "Invalid", "one; two", ("one", "two"))) == (400, body)
    assert translate.render(Problem(404, "NotFound", "Task not found")) == (404, {"detail": "Task not found"})
