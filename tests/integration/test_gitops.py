"""What GitOps tools make of our objects: their rules, over jobs that a real operator has brought to each phase."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from lupa import LuaRuntime

from demo.site import DemoSite
from kstatus import kstatus
from local_cluster.cluster import LocalCluster
from operator_process import ROOT, Jobs, OperatorProcess, manifest, namespace

pytestmark = [pytest.mark.cluster, pytest.mark.long]

HEALTH = (ROOT / "docs" / "gitops" / "crawljob-health.lua").read_text()

EXPECTED = {
    "Pending": ("InProgress", "Progressing"),
    "Delayed": ("InProgress", "Suspended"),
    "Suspended": ("InProgress", "Suspended"),
    "Processing": ("InProgress", "Progressing"),
    "Retry": ("InProgress", "Progressing"),
    "Completed": ("Current", "Healthy"),
    "PartialSuccess": ("Current", "Healthy"),
    "Cancelled": ("Current", "Healthy"),
    "Failed": ("Failed", "Degraded"),
    "DeadLetter": ("Failed", "Degraded"),
}


def argo_health(resource: dict[str, Any]) -> tuple[str, str]:
    """Return status and message, as Argo CD has them from the script: it sees the object as `obj`."""
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False)
    lua.globals().obj = lua.table_from(resource, recursive=True)
    health = lua.execute(HEALTH)
    return health["status"], health["message"]


@pytest.fixture(scope="module")
def found(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """A job in each phase."""
    folder = tmp_path_factory.mktemp("operator")
    with DemoSite(delays={"/slow": 600}) as site, namespace(cluster, f"test-{uuid.uuid4().hex[:8]}") as jobs:
        page, missing = site.url("/"), site.url("/missing")
        retry = {"maxAttempts": 2, "initialDelaySeconds": 600, "maxDelaySeconds": 600}
        specs: dict[str, dict[str, Any]] = {
            "Delayed": {"single": {"url": page}, "scheduledAt": "2999-01-01T00:00:00Z"},
            "Suspended": {"single": {"url": page}, "suspend": True},
            "Processing": {"single": {"url": site.url("/slow")}, "fetch": {"timeoutSeconds": 600}},
            "Retry": {"single": {"url": "http://127.0.0.1:9/"}, "retry": retry},
            "Completed": {"single": {"url": page}},
            "PartialSuccess": {"batch": {"urls": [page, missing]}, "retry": {"maxAttempts": 1}},
            "Cancelled": {"single": {"url": page}, "cancel": True},
            "Failed": {"single": {"url": missing}},
            "DeadLetter": {"single": {"url": "http://127.0.0.1:9/"}, "retry": {"maxAttempts": 1}},
        }
        with OperatorProcess(cluster, folder, namespaces=[jobs.namespace], limits={"running": 9}):
            for phase, spec in specs.items():
                jobs.apply(phase.lower(), priority="High", **spec)
            for phase in specs:
                jobs.reached(phase.lower(), phase, 60)
            objects = {phase: jobs.get(phase.lower()) for phase in specs}
        jobs.apply("pending", single={"url": page})  # nobody is there to see it
        yield objects | {"Pending": jobs.get("pending")}


@pytest.mark.parametrize("phase", EXPECTED)
def test_each_phase_has_the_health_that_it_means(found: dict[str, dict[str, Any]], phase: str) -> None:
    expected = EXPECTED[phase]
    status, message = argo_health(found[phase])
    assert (kstatus(found[phase]), status) == expected
    assert message


def test_all_phases_are_there(found: dict[str, dict[str, Any]]) -> None:
    """The documentation speaks of the same ones."""
    table = (ROOT / "docs" / "gitops.md").read_text()
    assert {phase: job["status"]["phase"] for phase, job in found.items()} == {phase: phase for phase in EXPECTED}
    assert [each for each in EXPECTED if each[0] not in "PR" and f"`{each}`" not in table] == []


def test_a_job_that_is_being_deleted_is_terminating(found: dict[str, dict[str, Any]]) -> None:
    job = found["Completed"]
    assert kstatus(job | {"metadata": job["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}) == "Terminating"


def test_an_object_without_a_status_is_in_progress_for_argo() -> None:
    assert argo_health({"metadata": {"name": "new"}})[0] == "Progressing"


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client", "server"])
def test_what_was_applied_from_git_stays_in_sync(
    jobs: Jobs, site: DemoSite, operator: OperatorProcess, how: tuple[str, ...]
) -> None:
    """After the crawl a tool finds nothing to apply, whether it compares by itself or has the API server do so."""
    text = json.dumps(manifest("kept", single={"url": site.url("/")}, priority="High", metadata={"git": ["main"]}))
    jobs.kubectl("apply", *how, "-f", "-", input=text)
    assert jobs.finished("kept")["phase"] == "Completed"
    before = jobs.get("kept")["metadata"]["resourceVersion"]
    assert jobs.kubectl("diff", *how, "-f", "-", input=text, check=False).stdout == ""
    jobs.kubectl("apply", *how, "-f", "-", input=text)
    assert jobs.get("kept")["metadata"]["resourceVersion"] == before
