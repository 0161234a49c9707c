"""Who runs when not everybody can: never more than configured, also across restarts, and the others say why not."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.pages import PAGES
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, condition, manifest, namespace, wait_until

pytestmark = pytest.mark.cluster

PATIENT = {"timeoutSeconds": 300}
PAGE = next(page.path for page in PAGES.values() if page.path.startswith("/catalogue"))


@contextmanager
def serving(cluster: LocalCluster, folder: Path, *jobs: Jobs, **settings: Any) -> Iterator[OperatorProcess]:
    """Run an operator for these namespaces that says soon why a job waits."""
    names = [each.namespace for each in jobs]
    with OperatorProcess(cluster, folder, namespaces=names, reconcile={"patienceSeconds": 0.2}, **settings) as operator:
        yield operator


def says(jobs: Jobs, name: str) -> dict[str, Any]:
    """Wait until a job says why it waits."""
    wait_until(lambda: condition(jobs.status(name), "Scheduled").get("status") == "False", f"{name} says why", 5)
    return condition(jobs.status(name), "Scheduled")


@pytest.mark.timeout(240)
def test_the_third_waits_with_a_reason_and_the_most_urgent_goes_first(
    cluster: LocalCluster, jobs: Jobs, tmp_path: Path
) -> None:
    """One place becomes free, and the four take turns in it: each starts when the one before has ended."""
    with DemoSite(delays={"/slow": 300}) as site, serving(cluster, tmp_path, jobs, limits={"running": 2}):
        for name in ("first", "second"):
            jobs.apply(name, single={"url": site.base_url + "/slow"}, priority="High", fetch=PATIENT)
            jobs.running(name)
        waiting = ("low", "normal", "high", "critical")
        for name in waiting:
            jobs.apply(name, single={"url": site.url(PAGE)}, priority=name.capitalize())
        for name in waiting:
            scheduled = says(jobs, name)
            assert scheduled["reason"] == "ConcurrencyLimit"
            assert "2 jobs may run at once" in scheduled["message"]
        assert len(jobs.pods()) == 2
        jobs.patch("first", cancel=True)
        ended = {name: jobs.finished(name) for name in ("critical", "high", "normal", "low")}
    started = [datetime.fromisoformat(status["startedAt"]) for status in ended.values()]
    assert started == sorted(started)


def test_a_full_class_or_namespace_holds_up_nobody_else(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> None:
    """One place of four is kept from Low, and two namespaces share nothing."""
    with namespace(cluster, f"{jobs.namespace}-2") as others, DemoSite(delays={"/slow": 300}) as site:
        limits = {"limits": {"running": 4, "runningIn": {others.namespace: 1}}, "classes": {"Low": {"running": 2}}}
        with serving(cluster, tmp_path, jobs, others, **limits):
            for number in range(4):
                jobs.apply(f"low{number}", single={"url": site.base_url + "/slow"}, priority="Low", fetch=PATIENT)
            for number in range(2):
                jobs.running(f"low{number}")
                scheduled = says(jobs, f"low{number + 2}")
                assert scheduled["reason"] == "ConcurrencyLimit"
                assert "classes.Low.running" in scheduled["message"]
            others.apply("a", single={"url": site.base_url + "/slow"}, fetch=PATIENT)
            others.running("a")
            others.apply("b", single={"url": site.base_url + "/slow"})
            scheduled = says(others, "b")
            assert scheduled["reason"] == "NamespaceQuota"
            assert f"1 jobs of namespace {others.namespace} may run at once" in scheduled["message"]
            jobs.apply("urgent", single={"url": site.url(PAGE)}, priority="Critical")
            assert jobs.finished("urgent")["phase"] == "Completed"
            assert [jobs.status(f"low{number}")["phase"] for number in (2, 3)] == ["Pending", "Pending"]


def test_a_namespace_whose_webhook_is_broken_holds_up_no_other(
    cluster: LocalCluster, jobs: Jobs, tmp_path: Path
) -> None:
    """Its job says so, and the only place goes to the next; when the webhook is gone, it runs."""
    with (
        namespace(cluster, f"{jobs.namespace}-2") as others,
        DemoSite() as site,
        broken_webhook(others),
        serving(cluster, tmp_path, jobs, others, limits={"running": 1}),
    ):
        others.apply("held", single={"url": site.url(PAGE)}, priority="Critical")
        scheduled = says(others, "held")
        assert scheduled["reason"] == "WorkerRefused"
        assert 'failed calling webhook "pods.example.org"' in scheduled["message"]
        jobs.apply("free", single={"url": site.url(PAGE)}, priority="High")
        assert jobs.finished("free")["phase"] == "Completed"
        others.kubectl("delete", "mutatingwebhookconfiguration", f"broken-{others.namespace}")
        assert others.finished("held")["phase"] == "Completed"


@pytest.mark.long
def test_who_has_waited_long_enough_goes_before_a_more_urgent_newcomer(
    cluster: LocalCluster, jobs: Jobs, tmp_path: Path
) -> None:
    limits = {"running": 1, "ageingSeconds": 2}
    with DemoSite(delays={"/slow": 10}) as site, serving(cluster, tmp_path, jobs, limits=limits):
        jobs.apply("first", single={"url": site.base_url + "/slow"}, priority="Critical")
        jobs.running("first")
        jobs.apply("old", single={"url": site.url(PAGE)}, priority="Low")
        says(jobs, "old")
        wait_until(lambda: age(jobs, "old") > 4.5, "old has aged by two classes", 10)
        jobs.apply("new", single={"url": site.url(PAGE)}, priority="High")
        old, new = jobs.finished("old"), jobs.finished("new")
    assert datetime.fromisoformat(old["startedAt"]) < datetime.fromisoformat(new["startedAt"])


@pytest.mark.timeout(300)
@pytest.mark.long
def test_never_one_too_many_while_the_operator_is_killed_again_and_again(
    cluster: LocalCluster, jobs: Jobs, tmp_path: Path
) -> None:
    """Twelve jobs over three places, four operators one after the other: counted from every change of every pod."""
    with (
        DemoSite(delay=1) as site,
        watched_pods(jobs, tmp_path / "pods.json") as most_at_once,
        serving(cluster, tmp_path, jobs, limits={"running": 3}) as operator,
    ):
        objects = [
            manifest(f"job{number}", single={"url": site.url(PAGE)}, priority=("High", "Normal")[number % 2])
            for number in range(12)
        ]
        jobs.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        for done in (1, 4, 7):
            wait_until(partial(reached, jobs, done), f"{done} are done", 60)
            operator.kill()
            operator.start()
        wait_until(partial(reached, jobs, 12), "all are done", 90)
        workers = [len(jobs.status(f"job{number}")["attempts"]) for number in range(12)]
        wait_until(lambda: most_at_once()[1] == 12, "the watch has told of all pods", 20)
        assert most_at_once() == (3, 12)
    assert workers == [1] * 12


def test_a_queue_may_hold_a_batch_job_and_let_it_go(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> None:
    """As Kueue does: Jobs with its label are suspended when they are created, and resumed when it is their turn."""
    with DemoSite() as site, holding_jobs(jobs), serving(cluster, tmp_path, jobs):
        queued = manifest("queued", single={"url": site.url(PAGE)})
        queued["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "crawls"}
        jobs.kubectl("apply", "-f", "-", input=json.dumps(queued))
        scheduled = says(jobs, "queued")
        assert scheduled["reason"] == "WorkerSuspended"
        assert scheduled["message"].endswith("is suspended; it waits for its queue, crawls")
        assert jobs.pods() == []
        (name,) = jobs.kubectl("get", "jobs", "-o", "jsonpath={.items[*].metadata.name}").stdout.split()
        jobs.kubectl("patch", "job", name, "-p", json.dumps({"spec": {"suspend": False}}))
        assert jobs.finished("queued")["phase"] == "Completed"


@contextmanager
def broken_webhook(jobs: Jobs) -> Iterator[None]:
    """Have the API server ask somebody about every pod of this namespace who is not there."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    webhook = {
        "name": "pods.example.org",
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": jobs.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kind = "MutatingWebhookConfiguration"
    name = f"broken-{jobs.namespace}"
    body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
    jobs.kubectl("apply", "-f", "-", input=json.dumps({**body, "webhooks": [webhook]}))
    probe = ("run", "probe", "--image=none", "--dry-run=server")
    asked = "failed calling webhook"
    wait_until(lambda: asked in jobs.kubectl(*probe, check=False).stderr, "pods are asked about", 20)
    try:
        yield
    finally:
        jobs.kubectl("delete", kind, name, "--ignore-not-found")


@contextmanager
def holding_jobs(jobs: Jobs) -> Iterator[None]:
    """Have the API server suspend every batch Job of this namespace that is created with Kueue's label."""
    name, api = f"hold-{jobs.namespace}", "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}
    policy = {
        "apiVersion": api,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "reinvocationPolicy": "Never",
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [rule],
                "objectSelector": {"matchExpressions": [{"key": "kueue.x-k8s.io/queue-name", "operator": "Exists"}]},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": jobs.namespace}},
            },
            "mutations": [
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {"expression": "Object{spec: Object.spec{suspend: true}}"},
                }
            ],
        },
    }
    binding = {"apiVersion": api, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}}
    objects = {"apiVersion": "v1", "kind": "List", "items": [policy, {**binding, "spec": {"policyName": name}}]}
    jobs.kubectl("apply", "-f", "-", input=json.dumps(objects))
    container = {"name": "probe", "image": "none"}
    probe = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "probe", "labels": {"kueue.x-k8s.io/queue-name": "any"}},
        "spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}},
    }

    def holds() -> bool:
        answer = jobs.kubectl(
            "create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(probe), check=False
        )
        return answer.returncode == 0 and bool(json.loads(answer.stdout)["spec"].get("suspend"))

    wait_until(holds, "batch Jobs are held", 30)
    try:
        yield
    finally:
        jobs.kubectl("delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", name)


@contextmanager
def watched_pods(jobs: Jobs, file: Path) -> Iterator[Callable[[], tuple[int, int]]]:
    """Record every change of every pod; yields what tells how many pods lived at once at the most, and in all."""
    command: list[str | Path] = [jobs.cluster.kubectl_path, "-n", jobs.namespace, "get", "pods", "-o", "json"]
    with file.open("wb") as output:
        watch = subprocess.Popen(
            [*command, "--watch", "--output-watch-events"], stdout=output, env=os.environ | jobs.cluster.env
        )

        def most_at_once() -> tuple[int, int]:
            most, live, seen = 0, set[str](), set[str]()
            decoder, text = json.JSONDecoder(), file.read_text().strip()
            while text:
                try:
                    event, end = decoder.raw_decode(text)
                except json.JSONDecodeError:
                    break  # the last one is being written
                text = text[end:].lstrip()
                pod = event["object"]
                ended = event["type"] == "DELETED" or pod["status"]["phase"] in {"Succeeded", "Failed"}
                (live.discard if ended else live.add)(pod["metadata"]["uid"])
                seen.add(pod["metadata"]["uid"])
                most = max(most, len(live))
            return most, len(seen)

        try:
            yield most_at_once
        finally:
            watch.terminate()
            watch.wait(10)


def reached(jobs: Jobs, number: int) -> bool:
    """Tell whether so many jobs have completed."""
    phases = jobs.kubectl("get", "crawljobs", "-o", "jsonpath={.items[*].status.phase}").stdout
    return phases.split().count("Completed") >= number


def age(jobs: Jobs, name: str) -> float:
    """Return for how many seconds a job has existed, by the API server's clock."""
    created = datetime.fromisoformat(jobs.get(name)["metadata"]["creationTimestamp"])
    return (datetime.now(UTC) - created).total_seconds()
