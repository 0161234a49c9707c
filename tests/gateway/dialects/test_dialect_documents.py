"""The OpenAPI document has every path of the dialects, with examples that are true and errors in their own form."""

from collections.abc import Iterator
from typing import Any

import pytest
from dialect_cases import PATHS
from pydantic import BaseModel

from crawl_client.kubeconfig import Login
from crawl_gateway.app import create
from crawl_gateway.core import Core
from crawl_gateway.dialects.jobs import examples as jobs_examples
from crawl_gateway.dialects.jobs import models as jobs
from crawl_gateway.dialects.tasks import examples as tasks_examples
from crawl_gateway.dialects.tasks import models as tasks
from crawl_gateway.dialects.workers import examples as workers_examples
from crawl_gateway.dialects.workers import models as workers
from crawl_gateway.settings import Settings

METHODS = {"get", "post", "delete", "patch", "put"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create(Core(Settings(), Login("http://127.0.0.1:1", "default"))).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in PATHS.items():
        for method in methods:
            yield path, method, document["paths"][path][method]


def test_the_document_has_a_title_a_version_and_a_description(document: dict[str, Any]) -> None:
    info = document["info"]
    assert (info["title"], info["version"]) == ("Crawl gateway", "1.0.0")
    assert "Kubernetes token" in info["description"]


def test_every_operation_is_there(document: dict[str, Any]) -> None:
    for path, methods in PATHS.items():
        assert set(document["paths"][path]) & METHODS == methods, path
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)


def test_every_answer_and_every_body_has_an_example(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status.startswith("2") and "content" in answer:
                assert answer["content"]["application/json"]["example"], path
        if body := operation.get("requestBody"):
            name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert document["components"]["schemas"][name]["examples"], path


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (workers.SubmitJobRequest, {"job_type": workers.BATCH_EXAMPLE, "priority": "High"}),
        (workers.SubmitJobResponse, workers_examples.SUBMITTED),
        (workers.JobStatusResponse, workers_examples.STATE),
        (workers.JobListResponse, workers_examples.LIST),
        (workers.JobResultResponse, workers_examples.RESULT),
        (workers.QueueStatsResponse, workers_examples.QUEUE),
        (workers.WorkerPoolStatsResponse, workers_examples.POOL),
        (workers.MetricsResponse, workers_examples.METRICS),
        (workers.ScheduledJobResponse, workers_examples.SCHEDULE),
        (tasks.TaskResponse, tasks_examples.TASK),
        (tasks.WorkerStatusResponse, tasks_examples.WORKER),
        (tasks.ParameterSchema, tasks_examples.SCHEMA),
        (tasks.TaskStatistics, tasks_examples.STATISTICS),
        (jobs.EnqueueJobPayload, jobs.EXAMPLE),
        (jobs.EnqueueJobResponse, jobs_examples.ENQUEUED),
        (jobs.JobProgressResponse, jobs_examples.STATE),
    ],
)
def test_every_example_is_one(model: type[BaseModel], example: dict[str, Any]) -> None:
    told = model.model_validate(example).model_dump(mode="json", exclude_unset=True)
    assert told == example


def test_every_error_has_the_form_of_its_dialect(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        own = (
            "WorkersError"
            if path.startswith(("/workers/", "/api/"))
            else "JobsError"
            if "/jobs" in path
            else "TaskError"
        )
        errors = {status: answer for status, answer in operation["responses"].items() if not status.startswith("2")}
        assert {"401", "403", "429", "default"} <= set(errors), path
        for status, answer in errors.items():
            name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            wrong_task = (path, method, status) == ("/tasks", "post", "400")
            assert name == ("BadTask" if wrong_task else own), (path, status)


def test_no_two_models_have_one_name(document: dict[str, Any]) -> None:
    names = document["components"]["schemas"]
    assert [name for name in names if "dialects__" in name or name.endswith(("-Input", "-Output"))] == []
