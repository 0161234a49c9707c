"""What is compared: CrawlJobs in both executions, and plain batch Jobs whose pods have the same shape."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from crawl_api.crawljob import CrawlJobSpec, Priority
from crawl_api.names import API_VERSION, KIND, LABEL_JOB, LABEL_JOB_UID, PLURAL
from crawl_api.status import Execution, Phase
from crawl_operator.projection import job_of
from crawl_operator.settings import Settings
from crawl_operator.workloads import build_child

Json = dict[str, Any]

NAMESPACE: Final = "bench"

CRAWLJOBS: Final = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
BATCH_JOBS: Final = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"


@dataclass(frozen=True, slots=True)
class Side:
    """One of those compared."""

    key: str
    """Of what it is called in the JSON."""
    title: str
    path: str
    """The collection that its jobs are created in."""
    manifest: Callable[[str], Json]
    """Name → job."""
    finished: Callable[[Json], bool]
    """Whether a job's status says that it has ended well."""


def crawl_job(name: str, priority: Priority) -> Json:
    """Return a CrawlJob as a user writes it; its priority decides on its execution."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"type": "Single", "single": {"url": "https://example.com/"}, "priority": priority.value},
    }


def sides(settings: Settings) -> tuple[Side, Side, Side]:
    """Return Pod execution, Job execution and plain batch Jobs; the settings decide on the shape of pods."""

    def batch_job(name: str) -> Json:
        body = crawl_job(name, Priority.NORMAL)
        body["metadata"] |= {"namespace": NAMESPACE, "uid": name, "resourceVersion": "1"}
        spec = CrawlJobSpec.model_validate(body["spec"])
        body = build_child(job_of(body), spec, 1, Execution.JOB, settings)
        body["metadata"]["name"] = name
        del body["metadata"]["ownerReferences"]
        for metadata in (body["metadata"], body["spec"]["template"]["metadata"]):
            metadata["labels"] = {key: value for key, value in metadata["labels"].items() if key != LABEL_JOB_UID}
        return body

    def crawl_jobs(key: str, execution: Execution, priority: Priority) -> Side:
        title = f"CrawlJob, {execution} execution"
        return Side(key, title, CRAWLJOBS, lambda name: crawl_job(name, priority), _crawl_job_finished)

    return (
        crawl_jobs("pod", Execution.POD, Priority.HIGH),
        crawl_jobs("job", Execution.JOB, Priority.NORMAL),
        Side("batch", "plain batch Job", BATCH_JOBS, batch_job, _batch_job_finished),
    )


def job_of_pod(body: Json) -> str:
    """Return the name of the job, of whichever side, that a pod runs."""
    name: str = body["metadata"].get("labels", {}).get(LABEL_JOB, "")
    return name


def _crawl_job_finished(body: Json) -> bool:
    return bool(body.get("status", {}).get("phase") == Phase.COMPLETED)


def _batch_job_finished(body: Json) -> bool:
    conditions = body.get("status", {}).get("conditions", ())
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)
