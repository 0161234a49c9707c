"""A client that a generator makes from the OpenAPI document works: answers are what the document says."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from demo.site import DemoSite
from gateway_client import Gateway, GatewayProcess, Tenant, gateway, single
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PACKAGE: Final = "crawl_gateway_client"
CONFIGURATION: Final = {
    "content_type_overrides": {"application/x-ndjson": "application/octet-stream"},
    "post_hooks": [],
}
"""The generator knows JSON, forms, text and bytes."""


@pytest.fixture(scope="module")
def process(
    cluster: LocalCluster,
    operator: OperatorProcess,
    videos: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    """A gateway that hands out results and knows the processors of an image."""
    settings = {"resultsUrl": operator.url, "catalogue": videos}
    with gateway(cluster, tmp_path_factory.mktemp("gateway"), **settings) as running:
        yield running


class Client:
    """The generated package: who asks, its operations and its models."""

    def __init__(self, url: str, owner: Tenant) -> None:
        made = importlib.import_module(f"{PACKAGE}.client")
        self.http = made.AuthenticatedClient(
            base_url=url,
            token=owner.token,
            headers={"X-Namespace": owner.name},
            raise_on_unexpected_status=True,  # one that the document does not name
            timeout=30,
        )

    def ask(self, operation: str, *ids: Any, **given: Any) -> Any:
        """Call an operation (`group.name`) and return its answer as the model that the document names."""
        answer = importlib.import_module(f"{PACKAGE}.api.{operation}").sync_detailed(*ids, client=self.http, **given)
        assert answer.parsed is not None or answer.status_code == 204, (operation, answer.status_code, answer.content)
        return answer.parsed

    @staticmethod
    def model(name: str, **fields: Any) -> Any:
        """Make a model of its JSON."""
        return getattr(importlib.import_module(f"{PACKAGE}.models"), name).from_dict(fields)


@pytest.fixture(scope="module")
def client(
    process: GatewayProcess, call: Gateway, owner: Tenant, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """Generate the package from the document that the gateway serves, without a word of complaint."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(call.get("/openapi.json")))
    (folder / "configuration.json").write_text(json.dumps(CONFIGURATION))
    command: list[str | Path] = [Path(sys.executable).with_name("openapi-python-client"), "generate"]
    command += ["--path", folder / "openapi.json", "--config", folder / "configuration.json"]
    command += ["--output-path", folder / PACKAGE, "--meta", "none", "--fail-on-warning"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    made = Client(process.url, owner)
    with made.http:
        yield made
    sys.path.remove(str(folder))


@pytest.mark.timeout(300)  # the package is made first
def test_a_job_from_its_submission_to_its_records(client: Client, site: DemoSite) -> None:
    body = client.model("NewCrawlJob", **single("generated", site.url("/catalogue/"), suspend=False, priority="High"))
    made = client.ask("jobs.create_job", body=body)
    assert (made.metadata.name, made.spec.single.url) == ("generated", site.url("/catalogue/"))

    def ended() -> bool:
        status = client.ask("jobs.get_job", "generated").status
        return bool(status) and status.phase == "Completed"

    wait_until(ended, "it is completed", 60)
    found = client.ask("jobs.get_job", made.metadata.uid)
    assert [step.to for step in found.status.history][-1] == "Completed"
    assert found.status.attempts[0].worker == found.status.worker_id
    result = client.ask("results.get_result", "generated")
    assert (result.success, result.items) == (True, 1)
    records = client.ask("results.get_records", "generated").splitlines()
    assert [json.loads(line)["url"] for line in records] == [site.url("/catalogue/")]
    assert client.ask("results.get_file", "generated").payload.read()
    assert client.ask("jobs.why_job", "generated").text

    def listed() -> list[str]:
        return [item.metadata.name for item in client.ask("jobs.list_jobs", phase="Completed").items]

    wait_until(listed, "the list shows it", 10)
    assert listed() == ["generated"]
    assert client.ask("statistics.statistics").jobs.additional_properties["total"] >= 1


def test_levers_and_what_is_refused(client: Client) -> None:
    client.ask("jobs.create_job", body=client.model("NewCrawlJob", **single("levers")))
    assert client.ask("jobs.resume_job", "levers").spec.suspend is False
    assert client.ask("jobs.suspend_job", "levers").spec.suspend is True
    client.ask("jobs.cancel_job", "levers")
    wait_until(lambda: client.ask("jobs.get_job", "levers").status.phase == "Cancelled", "it is cancelled", 30)
    assert (
        client.ask("jobs.create_job", body=client.model("NewCrawlJob", **single("levers"))).error.code
        == "AlreadyExists"
    )
    client.ask("jobs.delete_job", "levers")
    assert client.ask("jobs.get_job", "no-such-job").error.code == "NotFound"
    wrong = client.ask("jobs.create_job", body=client.model("NewCrawlJob", spec={"type": "Single"}))
    assert wrong.error.code == "Invalid"
    assert wrong.error.details


def test_a_schedule(client: Client) -> None:
    template = {"spec": {"type": "Single", "single": {"url": "https://example.org/"}, "suspend": True}}
    body = {"metadata": {"name": "nightly"}, "spec": {"schedule": "0 3 * * *", "jobTemplate": template}}
    client.ask("schedules.create_schedule", body=client.model("NewScheduledCrawlJob", **body))
    assert len(client.ask("schedules.next_runs", "nightly").items) > 0
    assert client.ask("schedules.disable_schedule", "nightly").spec.suspend is True
    client.ask("schedules.trigger_schedule", "nightly")
    wait_until(lambda: client.ask("schedules.get_schedule", "nightly").status.execution_count == 1, "it has a run", 30)
    assert [item.metadata.name for item in client.ask("schedules.list_schedules").items] == ["nightly"]
    client.ask("schedules.delete_schedule", "nightly")


def test_the_other_interfaces(client: Client) -> None:
    """One job of each, and what lists and numbers say."""
    task = client.model("TaskCreate", task_type="single_crawl", parameters={"url": "https://example.org/"}, priority=5)
    number = client.ask("tasks.post_tasks", body=task).id
    assert client.ask("tasks.get_tasks_task_id", number).task_type == "single_crawl"
    assert number in {each.id for each in client.ask("tasks.get_tasks", limit=100)}
    client.ask("tasks.delete_tasks_task_id", number)
    assert client.ask("tasks.get_tasks_task_id", 999_999_999).detail
    assert client.ask("tasks.get_schemas")
    assert client.ask("tasks.get_statistics")
    assert client.ask("tasks.get_workers") is not None
    url = {"url": "https://example.org/"}
    submitted = client.model("SubmitJobRequest", job_type={"type": "single_crawl", **url}, priority="Low")
    uid = client.ask("workers.post_workers_jobs", body=submitted).job_id
    assert client.ask("workers.get_workers_jobs_job_id", uid).job_id == uid
    assert uid in {each.job_id for each in client.ask("workers.get_workers_jobs").jobs}
    assert client.ask("workers.get_workers_queue_stats").total >= 1
    payload = client.model("EnqueueJobPayload", type="single_crawl", payload=url)
    queued = client.ask("jobs_by_type_and_payload.post_jobs", body=payload).job_id
    assert client.ask("jobs_by_type_and_payload.get_jobs_job_id", queued).job_id == queued
