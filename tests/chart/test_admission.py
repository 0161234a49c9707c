"""The admission policies, met with the operator's own token: its workers pass, and nothing else that it has rights for.

Each change of a worker below is one that somebody who had taken over the operator would make.
"""

import copy
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.status import Execution
from crawl_operator.projection import job_of
from crawl_operator.settings import Settings
from crawl_operator.workloads import build_child
from helm import CHART, Helm, Object, the
from local_cluster.cluster import LocalCluster
from operator_process import manifest, wait_until

pytestmark = pytest.mark.cluster


class Release:
    """A release of the chart, and the rights of its operator."""

    def __init__(self, bare: LocalCluster, installer: Helm, name: str, folder: Path) -> None:
        self.bare, self.name = bare, name
        values = {"replicas": 0, "namespaces": [name], "fullnameOverride": "crawls", "crds": {"keep": False}}
        values["settings"] = {"worker": {"allowedImages": ["registry.example.org/crawls/*"]}}
        installer.run("install", "crawls", CHART, "--namespace", name, values=values)
        config = the(installer.render(values, name="crawls", namespace=name), "ConfigMap", "crawls-settings")
        (folder / "operator.yaml").write_text(config["data"]["operator.yaml"])
        self.settings = Settings.load(folder / "operator.yaml")
        token = self.kubectl("create", "token", "crawls").stdout.strip()
        admin = yaml.safe_load(bare.kubeconfig.read_text())
        admin["users"][0]["user"] = {"token": token}
        self.kubeconfig = folder / "operator.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(admin))

    def kubectl(self, *arguments: str | Path, **options: Any) -> Any:
        """Run kubectl as administrator."""
        return self.bare.kubectl("-n", self.name, *arguments, **options)

    def as_operator(self, *arguments: str, body: Object | None = None) -> str:
        """Run kubectl with the operator's token; return what was refused, or nothing."""
        text = json.dumps(body) if body is not None else None
        result = self.kubectl(f"--kubeconfig={self.kubeconfig}", *arguments, input=text, check=False)
        return "" if result.returncode == 0 else result.stderr

    def create(self, body: Object) -> str:
        return self.as_operator("create", "-f", "-", body=body)

    def worker(self, job: Object, execution: Execution, attempt: int) -> Object:
        """What the operator would create for a job."""
        spec = CrawlJobSpec.model_validate(job["spec"])
        return build_child(job_of(job), spec, attempt, execution, self.settings)


@pytest.fixture(scope="module")
def release(bare: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    name = f"admission-{uuid.uuid4().hex[:6]}"
    folder = tmp_path_factory.mktemp("release")
    bare.kubectl("create", "namespace", name)
    helm = Helm(folder, os.environ | bare.env)
    made = Release(bare, helm, name, folder)
    made.kubectl("create", "namespace", f"{name}-other")
    pod = {"containers": [{"name": "web", "image": "web"}]}
    bystander = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bystander"}, "spec": pod}
    wait_until(lambda: made.kubectl("get", "serviceaccount", "default", check=False).returncode == 0, "usable", 20)
    made.kubectl("create", "-f", "-", input=json.dumps(bystander))
    # A policy is in force a moment after it is stored.
    wait_until(lambda: "denied" in made.as_operator("delete", "pod", "bystander", "--dry-run=server"), "in force", 30)
    yield made
    helm.run("uninstall", "crawls", "--namespace", name)
    wait_until(lambda: "crawl-operator.io" not in bare.kubectl("get", "crd", "-o", "name").stdout, "CRDs go", 100)
    bare.kubectl("delete", "namespace", name, f"{name}-other", "--wait=false")


@pytest.fixture(scope="module")
def job(release: Release) -> Object:
    text = json.dumps(manifest("news", single={"url": "https://example.org/"}))
    apply = ("apply", "-f", "-")
    wait_until(lambda: release.kubectl(*apply, input=text, check=False).returncode == 0, "its kind is served", 30)
    found: Object = json.loads(release.kubectl("get", "crawljob", "news", "-o", "json").stdout)
    return found


@pytest.mark.parametrize("execution", Execution)
def test_workers_pass(release: Release, job: Object, execution: Execution) -> None:
    """And may be deleted by whom they were made."""
    body = release.worker(job, execution, 1)
    assert release.create(body) == ""
    assert release.as_operator("delete", execution.value.lower(), body["metadata"]["name"]) == ""


def test_workers_with_secrets_that_jobs_may_name_pass(release: Release, job: Object) -> None:
    """Mounted as the operator does it, for request headers and stores."""
    job = copy.deepcopy(job)
    job["spec"]["fetch"]["headersFrom"] = [{"secretRef": {"name": "crawl-headers"}}]
    assert release.create(release.worker(job, Execution.POD, 5)) == ""
    job["spec"]["fetch"]["headersFrom"] = [{"secretRef": {"name": "database"}}]
    assert "Secrets that the administrator lets jobs name (crawl-*)" in release.create(
        release.worker(job, Execution.POD, 6)
    )


def test_workers_of_an_image_that_is_allowed_pass(release: Release, job: Object) -> None:
    body = release.worker(job, Execution.POD, 4)
    body["spec"]["containers"][0]["image"] = "registry.example.org/crawls/special:2"
    assert release.create(body) == ""


def _set(*path: str | int, value: Any) -> Callable[[Object], None]:
    def change(pod: Any) -> None:
        *way, last = path
        for step in way:
            pod = pod.setdefault(step, {}) if isinstance(pod, dict) else pod[step]
        pod[last] = value

    return change


def _add(*path: str | int, value: Any) -> Callable[[Object], None]:
    def change(pod: Any) -> None:
        *way, last = path
        for step in way:
            pod = pod[step]
        pod[last] = [*pod.get(last, []), value]

    return change


def _host_path(pod: Object) -> None:
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})


CONTAINER = ("containers", 0)
SECURITY = (*CONTAINER, "securityContext")
SECOND = {"name": "second", "image": "crawl-worker:0.1.0"}
CHANGES: dict[str, tuple[Callable[[Object], None], str]] = {
    "privileged": (_set(*SECURITY, value={"privileged": True}), "no capability"),
    "gains privileges": (_set(*SECURITY, "allowPrivilegeEscalation", value=True), "no capability"),
    "a capability": (_set(*SECURITY, "capabilities", "add", value=["NET_ADMIN"]), "no capability"),
    "all capabilities": (_set(*SECURITY, "capabilities", value={}), "no capability"),
    "writes its root": (_set(*SECURITY, "readOnlyRootFilesystem", value=False), "no capability"),
    "a second container": (_add("containers", value=SECOND), "no capability"),
    "an init container": (_add("initContainers", value=SECOND), "no capability"),
    "root": (_set("securityContext", "runAsUser", value=0), "not root"),
    "root inside": (_set(*SECURITY, "runAsUser", value=0), "no capability"),
    "no seccomp": (_set("securityContext", "seccompProfile", value={"type": "Unconfined"}), "not root"),
    "no seccomp inside": (_set(*SECURITY, "seccompProfile", value={"type": "Unconfined"}), "no capability"),
    "no security context": (_set("securityContext", value={}), "not root"),
    "the node's network": (_set("hostNetwork", value=True), "share nothing"),
    "the node's processes": (_set("hostPID", value=True), "share nothing"),
    "a port of the node": (_set(*CONTAINER, "ports", value=[{"containerPort": 80, "hostPort": 80}]), "share nothing"),
    "a node": (_set("nodeName", value="control-plane"), "share nothing"),
    "the node's files": (_host_path, "scratch space"),
    "a Secret as a volume": (_add("volumes", value={"name": "s", "secret": {"secretName": "s"}}), "scratch space"),
    "a token for the API": (
        _add("volumes", value={"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}),
        "scratch space",
    ),
    "a Secret projected": (
        _add("volumes", value={"name": "p", "projected": {"sources": [{"secret": {"name": "s"}}]}}),
        "scratch space",
    ),
    "a Secret in a variable": (
        _add(*CONTAINER, "env", value={"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        "no variable from a Secret",
    ),
    "a Secret as variables": (
        _set(*CONTAINER, "envFrom", value=[{"secretRef": {"name": "s"}}]),
        "no variable from a Secret",
    ),
    "another image": (_set(*CONTAINER, "image", value="miner:latest"), "images that the administrator"),
    "an image like an allowed one": (
        _set(*CONTAINER, "image", value="registryXexample.org/crawls/worker"),
        "images that the administrator",
    ),
    "another account": (_set("serviceAccountName", value="default"), "account without rights"),
    "the account's token": (_set("automountServiceAccountToken", value=True), "account without rights"),
    "a class of the system": (_set("priorityClassName", value="system-node-critical"), "nothing of the system"),
}


@pytest.mark.parametrize("execution", Execution)
@pytest.mark.parametrize("what", CHANGES)
def test_what_is_no_worker_is_refused(release: Release, job: Object, what: str, execution: Execution) -> None:
    change, said = CHANGES[what]
    body = copy.deepcopy(release.worker(job, execution, 2))
    change(body["spec"] if execution is Execution.POD else body["spec"]["template"]["spec"])
    refused = release.create(body)
    assert "ValidatingAdmissionPolicy" in refused, refused
    assert said in refused


@pytest.mark.parametrize("execution", Execution)
def test_a_worker_of_nobody_is_refused(release: Release, job: Object, execution: Execution) -> None:
    for owners in ([], [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x", "controller": True}]):
        body = copy.deepcopy(release.worker(job, execution, 3))
        body["metadata"]["ownerReferences"] = owners
        assert "workers of CrawlJobs only" in release.create(body)


def test_what_is_not_the_operators_is_not_deleted(release: Release) -> None:
    assert "deletes workers of CrawlJobs only" in release.as_operator("delete", "pod", "bystander")


def test_a_jobs_spec_is_not_the_operators(release: Release, job: Object) -> None:
    """It may write annotations and labels of any job, as it does."""

    def patch(body: Object) -> str:
        return release.as_operator("patch", "crawljob", "news", "--type=merge", "-p", json.dumps(body))

    assert patch({"metadata": {"annotations": {"crawl-operator.io/retry-count": "1"}}}) == ""
    assert "does not change the spec" in patch({"spec": {"cancel": True}})
    assert "does not change the spec" in patch({"spec": {"metadata": {"free": ["form"]}}})
    assert "no finalizers" in patch({"metadata": {"finalizers": ["example.org/stay"]}})


def test_rights_end_at_the_namespace_and_before_secrets(release: Release) -> None:
    def may(*what: str) -> bool:
        said: str = release.kubectl(f"--kubeconfig={release.kubeconfig}", "auth", "can-i", *what, check=False).stdout
        return said.startswith("yes")

    assert may("create", "pods")
    for what in (
        ("get", "secrets"),
        ("list", "configmaps"),
        ("update", "pods"),
        ("patch", "pods"),
        ("create", "pods", "--subresource=exec"),
        ("get", "pods", "--subresource=log"),
        ("create", "serviceaccounts", "--subresource=token"),
        ("update", "crawljobs.crawl-operator.io"),
        ("create", "scheduledcrawljobs.crawl-operator.io"),
        ("get", "leases.coordination.k8s.io/another"),
        ("impersonate", "serviceaccounts"),
        ("bind", "roles"),
    ):
        assert not may(*what), what
    assert not may("list", "pods", "--namespace", f"{release.name}-other")
    assert not may("list", "pods", "--all-namespaces")


def test_workers_have_no_right_that_not_everybody_has(release: Release) -> None:
    def rights(account: str) -> str:
        user = f"--as=system:serviceaccount:{release.name}:{account}"
        said: str = release.kubectl("auth", "can-i", "--list", "--no-headers", user).stdout
        return said

    assert rights("crawls-worker") == rights("somebody-unknown")
    assert "leases" in rights("crawls")
