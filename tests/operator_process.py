"""The operator as a process, and jobs as a user handles them, for tests."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from api_server import read
from crawl_api.job_types import JobType
from local_cluster import operator_process
from local_cluster.cluster import LocalCluster
from local_cluster.operator_process import ROOT, WORKER_IMAGE, prepare
from local_cluster.programs import ask, free_port, wait_until

__all__ = [
    "ROOT",
    "WORKER_IMAGE",
    "Jobs",
    "OperatorProcess",
    "ask",
    "condition",
    "free_port",
    "kill_workers",
    "manifest",
    "namespace",
    "prepare",
    "records",
    "wait_until",
    "worker_pids",
]


class OperatorProcess(operator_process.OperatorProcess):
    """An operator that logs everything and writes progress often."""

    def __init__(
        self, cluster: LocalCluster, folder: Path, *, server: str | None = None, ready: bool = True, **settings: Any
    ) -> None:
        settings = {"logging": "debug", **settings}
        settings["reconcile"] = {"progressIntervalSeconds": 0.2, **settings.get("reconcile", {})}
        super().__init__(cluster, folder, server=server, ready=ready, **settings)


_PATHS = {
    "crawljob": "apis/crawl-operator.io/v1alpha1/namespaces/{}/crawljobs",
    "scrawl": "apis/crawl-operator.io/v1alpha1/namespaces/{}/scheduledcrawljobs",
    "pod": "api/v1/namespaces/{}/pods",
}


class Jobs:
    """CrawlJobs of one namespace, as a user handles them: with kubectl; what is read again and again, without."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def kubectl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.cluster.kubectl("-n", self.namespace, *arguments, **options)

    def apply(self, name: str, **spec: Any) -> None:
        """Apply a CrawlJob."""
        self.kubectl("apply", "-f", "-", input=json.dumps(manifest(name, **spec)))

    def get(self, name: str, kind: str = "crawljob") -> dict[str, Any]:
        if kind in _PATHS and (body := read(self.cluster, f"/{_PATHS[kind].format(self.namespace)}/{name}")):
            return body
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json").stdout)
        return found

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.get(name)["status"]
        return status

    def pods(self) -> list[dict[str, Any]]:
        found = read(self.cluster, f"/{_PATHS['pod'].format(self.namespace)}")
        assert found is not None, "the pods could not be read"
        items: list[dict[str, Any]] = found["items"]
        return items

    def finished(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """Wait for a job's end and return its status."""
        terminal = {"Completed", "PartialSuccess", "Failed", "DeadLetter", "Cancelled"}
        wait_until(lambda: self.status(name)["phase"] in terminal, f"{name} ends", seconds)
        return self.status(name)

    def reached(self, name: str, phase: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until a job is in a phase and return its status."""
        wait_until(lambda: self.status(name)["phase"] == phase, f"{name} is {phase}", seconds)
        return self.status(name)

    def patch(self, name: str, **spec: Any) -> None:
        """Change fields of a CrawlJob's spec."""
        self.kubectl("patch", "crawljob", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def annotate(self, *what: str) -> None:
        """Annotate CrawlJobs: names or options, and then `name=value` without our prefix."""
        *which, annotation = what
        self.kubectl("annotate", "--overwrite", "crawljob", *which, f"crawl-operator.io/{annotation}")

    def running(self, name: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until a job is being processed and return its status."""
        return self.reached(name, "Processing", seconds)


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    """Make a CrawlJob; its type follows from its union member."""
    kind = next(job_type for job_type in JobType if job_type.lower() in spec)
    return {
        "apiVersion": "crawl-operator.io/v1alpha1",
        "kind": "CrawlJob",
        "metadata": {"name": name},
        "spec": {"type": kind, **spec},
    }


def records(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Read the stored result that a status points to."""
    path = Path(unquote(urlparse(status["resultURL"]).path))
    return [json.loads(line) for line in path.read_text().splitlines()]


def worker_pids(jobs: Jobs) -> set[int]:
    """Find the processes of this namespace's worker pods by what the node puts into their environment."""
    found = set()
    uids = [pod["metadata"]["uid"].encode() for pod in jobs.pods()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"crawl_worker" in command and any(uid in environment for uid in uids):
            found.add(int(process.name))
    return found


def kill_workers(jobs: Jobs) -> None:
    """Kill all processes of this namespace's workers, of which some end with others."""
    pids = worker_pids(jobs)
    assert pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a condition of a status; empty if it is not there."""
    return next((each for each in status.get("conditions", ()) if each["type"] == kind), {})


@contextlib.contextmanager
def namespace(cluster: LocalCluster, name: str) -> Iterator[Jobs]:
    """Make a namespace that workers can be started in."""
    cluster.kubectl("create", "namespace", name)
    try:
        accounts = ("-n", name, "get", "serviceaccount", "default")
        wait_until(lambda: cluster.kubectl(*accounts, check=False).returncode == 0, "the namespace is usable", 20)
        yield Jobs(cluster, name)
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
