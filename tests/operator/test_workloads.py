"""The Pod or batch Job of an attempt: named by what it is for, restricted, and complete."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from operator_cases import SINGLE, batch_of, make_job

from crawl_api.crawljob import CrawlJobSpec, Priority
from crawl_api.status import Execution
from crawl_api.worker_protocol import Assignment
from crawl_operator.decide.model import Job
from crawl_operator.projection import batch_job_of, owner_of, pod_of
from crawl_operator.settings import Settings
from crawl_operator.workloads import build_child, child_name

SETTINGS = """
endpoint: {url: "http://crawl-operator:8082/"}
worker:
  image: example.org/crawl-worker:1
  imagePullPolicy: Always
  serviceAccount: crawlers
  userAgent: example-bot/1
  contact: https://example.org/bot
  allowedNetworks: [127.0.0.0/8]
  resources: {limits: {memory: 1Gi}}
  workDirSize: 2Gi
limits: {concurrency: 6}
results: {inlineLimitBytes: 1234}
classes:
  Critical: {execution: Pod, priorityClassName: urgent, resources: {requests: {cpu: "1"}}}
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path: Path = tmp_path_factory.mktemp("workloads") / "operator.yaml"
    path.write_text(SETTINGS)
    return Settings.load(path)


def child_of(
    settings: Settings,
    spec: dict[str, Any] | None = None,
    execution: Execution = Execution.POD,
    name: str = "news",
) -> dict[str, Any]:
    job = make_job(name, uid="uid-of-news", spec=spec)
    return build_child(job, CrawlJobSpec.model_validate(job.spec), 1, execution, settings)


def pod_spec_of(child: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = child["spec"] if child["kind"] == "Pod" else child["spec"]["template"]["spec"]
    return spec


def annotations_of(child: dict[str, Any]) -> dict[str, str]:
    holder = child if child["kind"] == "Pod" else child["spec"]["template"]
    found: dict[str, str] = holder["metadata"]["annotations"]
    return found


EXECUTIONS = pytest.mark.parametrize("execution", list(Execution))


def test_the_name_follows_from_uid_and_attempt_and_nothing_else() -> None:
    """So that a second try, or a second operator, asks for the same child and finds it there."""
    job = make_job(uid="one")
    assert child_name(job, 1) == child_name(make_job(uid="one", version=99, priority=Priority.LOW), 1)
    assert child_name(job, 1) != child_name(job, 2)
    assert child_name(job, 1) != child_name(make_job(uid="two"), 1)
    assert child_name(job, 1).startswith("news-")
    assert child_name(job, 1).endswith("-1")


@pytest.mark.parametrize("name", ["a", "a" * 40, "b" * 63, "c" * 39 + "-" + "c" * 23, "d" * 39 + "." + "d" * 23])
@pytest.mark.parametrize("attempt", [1, 20])
def test_the_name_is_a_label_and_a_host_name_whatever_the_jobs(name: str, attempt: int) -> None:
    """A batch Job's pods get six characters more, and their name is their host name: 63 in all."""
    child = child_name(make_job(name), attempt)
    assert len(child) <= 63 - 6
    head, digest, number = child.rsplit("-", 2)
    assert head[-1].isalnum()
    assert digest.isalnum()
    assert digest.islower() or digest.isdigit()
    assert int(number) == attempt


def test_long_names_that_begin_alike_do_not_collide() -> None:
    assert child_name(make_job("x" * 62 + "a"), 1) != child_name(make_job("x" * 62 + "b"), 1)


@EXECUTIONS
def test_the_child_belongs_to_its_job(settings: Settings, execution: Execution) -> None:
    child = child_of(settings, execution=execution, name="n" * 63)
    job: Job = make_job("n" * 63, uid="uid-of-news")
    assert child["metadata"]["namespace"] == "team"
    (owner,) = child["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "crawl-operator.io/v1alpha1",
        "kind": "CrawlJob",
        "name": job.key.name,
        "uid": job.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    assert owner_of(child) == (job.key, job.uid)
    assert all(len(value) <= 63 for value in child["metadata"]["labels"].values())


def test_a_batch_jobs_pod_is_known_as_the_jobs_too(settings: Settings) -> None:
    """Its labels stand in the template; its owner is the batch Job, so the labels must say whose it is."""
    child = child_of(settings, execution=Execution.JOB)
    pod = child["spec"]["template"] | {"apiVersion": "v1", "kind": "Pod"}
    pod["metadata"] |= {"name": "x", "namespace": "team", "uid": "u", "resourceVersion": "1"}
    assert owner_of(pod) == owner_of(child)
    assert pod_of(pod).attempt == 1


@EXECUTIONS
def test_what_is_built_is_what_is_seen(settings: Settings, execution: Execution) -> None:
    child = child_of(settings, execution=execution)
    child["metadata"] |= {"uid": "u", "resourceVersion": "7"}
    seen = pod_of(child) if execution is Execution.POD else batch_job_of(child)
    assert (seen.name, seen.version, seen.attempt, seen.ended) == (child["metadata"]["name"], 7, 1, False)


@EXECUTIONS
def test_the_assignment_comes_back_whole(settings: Settings, execution: Execution) -> None:
    spec = batch_of(3) | {
        "fetch": {"concurrency": 3, "userAgent": "mine/1"},
        "extract": {"selectors": [{"name": "price", "css": ".price"}]},
        "timeoutSeconds": 77,
        "displayName": "Täglich",
        "metadata": {"not": "for the worker"},
    }
    text = annotations_of(child_of(settings, spec, execution))["crawl-operator.io/assignment"]
    assignment = Assignment.model_validate_json(text)
    wanted = CrawlJobSpec.model_validate(spec)
    assert (assignment.namespace, assignment.name, assignment.uid) == ("team", "news", "uid-of-news")
    assert assignment.attempt == 1
    assert assignment.urls == wanted.urls
    assert (assignment.type, assignment.fetch, assignment.extract) == (wanted.type, wanted.fetch, wanted.extract)
    assert assignment.timeout_seconds == 77
    assert assignment.max_concurrency == 6
    assert assignment.user_agent == "example-bot/1 (+https://example.org/bot)"
    assert assignment.allowed_networks == ("127.0.0.0/8",)
    assert assignment.inline_limit_bytes == 1234
    assert assignment.report_url == "http://crawl-operator:8082", "paths are added to it"
    assert "not" not in yaml.safe_load(text).get("metadata", {})


@EXECUTIONS
def test_the_pod_meets_the_restricted_standard(settings: Settings, execution: Execution) -> None:
    """Source: Kubernetes, "Pod Security Standards", profile Restricted; and no file system to write to."""
    pod = pod_spec_of(child_of(settings, execution=execution))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for field in ("hostNetwork", "hostPID", "hostIPC", "initContainers"):
        assert field not in pod
    (container,) = pod["containers"]
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["readOnlyRootFilesystem"] is True
    assert "privileged" not in security
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} == {"emptyDir", "projected"}


@EXECUTIONS
def test_the_pod_has_no_way_into_the_kubernetes_api(settings: Settings, execution: Execution) -> None:
    """No token is mounted but one whose audience the API server does not accept."""
    pod = pod_spec_of(child_of(settings, execution=execution))
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "crawlers"
    tokens = [
        source["serviceAccountToken"]
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        if "serviceAccountToken" in source
    ]
    assert [token["audience"] for token in tokens] == ["crawl-operator"]
    assert pod["enableServiceLinks"] is False


@EXECUTIONS
def test_the_worker_runs_once_and_within_its_time(settings: Settings, execution: Execution) -> None:
    child = child_of(settings, SINGLE | {"timeoutSeconds": 100}, execution)
    pod = pod_spec_of(child)
    assert pod["restartPolicy"] == "Never"
    assert pod["activeDeadlineSeconds"] > 100, "the worker keeps the limit itself; the cluster's is the last resort"
    assert pod["terminationGracePeriodSeconds"] > 30
    if execution is Execution.JOB:
        assert child["spec"]["backoffLimit"] == 0, "retries are the operator's"
        assert "activeDeadlineSeconds" not in child["spec"], "waiting for a node is not running"


@EXECUTIONS
def test_the_container_is_what_was_configured(settings: Settings, execution: Execution) -> None:
    pod = pod_spec_of(child_of(settings, execution=execution))
    (container,) = pod["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("example.org/crawl-worker:1", "Always")
    assert container["resources"] == {"limits": {"memory": "1Gi"}}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["CRAWL_ASSIGNMENT_FILE"].startswith(mounts["input"] + "/")
    assert environment["CRAWL_TOKEN_FILE"].startswith(mounts["input"] + "/")
    assert environment["CRAWL_WORK_DIR"] == environment["TMPDIR"] == mounts["work"]
    assert environment["CRAWL_TERMINATION_LOG"] == container["terminationMessagePath"]
    (work,) = (volume for volume in pod["volumes"] if volume["name"] == "work")
    assert work["emptyDir"] == {"sizeLimit": "2Gi"}
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "input")
    paths = {
        item["path"]
        for source in volume["projected"]["sources"]
        for item in source.get("downwardAPI", {}).get("items", (source.get("serviceAccountToken"),))
    }
    assert {f"{mounts['input']}/{path}" for path in paths} == {
        environment["CRAWL_ASSIGNMENT_FILE"],
        environment["CRAWL_TOKEN_FILE"],
    }


@EXECUTIONS
def test_a_job_may_choose_image_resources_and_nodes(settings: Settings, execution: Execution) -> None:
    options = {
        "image": "example.org/special:1",
        "resources": {"requests": {"cpu": "2", "ephemeral-storage": "5Gi"}},
        "nodeSelector": {"example.org/disk": "fast"},
        "tolerations": [
            {"key": "crawls", "value": "yes", "effect": "NoSchedule"},
            {"operator": "Exists", "tolerationSeconds": 9},
        ],
    }
    pod = pod_spec_of(child_of(settings, SINGLE | {"priority": "Critical", "worker": options}, execution))
    (container,) = pod["containers"]
    assert container["image"] == "example.org/special:1"
    assert container["resources"] == {"requests": {"cpu": "2", "ephemeral-storage": "5Gi"}, "limits": {}}
    assert pod["nodeSelector"] == {"example.org/disk": "fast"}
    assert pod["tolerations"] == [
        {"key": "crawls", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"operator": "Exists", "value": "", "tolerationSeconds": 9},
    ]


def test_a_queue_is_named_on_the_batch_job_alone(settings: Settings) -> None:
    job = replace(make_job(), queue="crawls")
    spec = CrawlJobSpec.model_validate(job.spec)
    pod, batch_job = (build_child(job, spec, 1, execution, settings) for execution in (Execution.POD, Execution.JOB))
    assert batch_job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "crawls"
    assert "kueue.x-k8s.io/queue-name" not in batch_job["spec"]["template"]["metadata"]["labels"]
    assert "kueue.x-k8s.io/queue-name" not in pod["metadata"]["labels"]


def test_a_class_has_resources_and_an_urgency_of_its_own(settings: Settings) -> None:
    critical = pod_spec_of(child_of(settings, SINGLE | {"priority": "Critical"}))
    assert critical["priorityClassName"] == "urgent"
    assert critical["containers"][0]["resources"] == {"requests": {"cpu": "1"}}
    normal = child_of(settings, SINGLE | {"priority": "Normal"})
    assert "priorityClassName" not in pod_spec_of(normal)
    assert normal["metadata"]["labels"]["crawl-operator.io/priority"] == "Normal"


def test_the_pod_is_given_the_stores_credentials_and_starts_without_them(settings: Settings) -> None:
    """A Secret that is missing is the worker's to tell; a job that names none is given none."""
    output = {"storeUrl": "s3://bucket/", "credentials": {"name": "bucket-keys"}}
    spec = CrawlJobSpec.model_validate(SINGLE | {"output": output})
    pod = build_child(make_job(), spec, 1, Execution.POD, settings)["spec"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == "crawl-store")
    assert volume["projected"]["sources"] == [{"secret": {"name": "bucket-keys", "optional": True}}]
    (container,) = pod["containers"]
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == "crawl-store")
    assert mount["readOnly"]
    assert {"name": "CRAWL_STORE_CREDENTIALS", "value": mount["mountPath"]} in container["env"]
    plain = build_child(make_job(), CrawlJobSpec.model_validate(SINGLE), 1, Execution.POD, settings)["spec"]
    assert "crawl-store" not in {each["name"] for each in plain["volumes"]}


@pytest.mark.parametrize(
    ("output", "store", "secret"),
    [
        ({}, "s3://all/crawls", "crawl-all"),
        ({"credentials": {"name": "mine"}}, "s3://all/crawls", "mine"),
        ({"storeUrl": "gs://mine"}, "gs://mine", None),
        ({"storeUrl": "gs://mine", "credentials": {"name": "mine"}}, "gs://mine", "mine"),
    ],
)
def test_a_job_that_names_no_store_has_the_administrators(
    settings: Settings, output: dict[str, Any], store: str, secret: str | None
) -> None:
    """And never its credentials for a store of the job's own."""
    results = settings.results.model_copy(update={"store_url": "s3://all/crawls", "store_credentials": "crawl-all"})
    spec = CrawlJobSpec.model_validate(SINGLE | {"output": output})
    pod = build_child(make_job(), spec, 1, Execution.POD, settings.model_copy(update={"results": results}))
    assignment = Assignment.model_validate_json(pod["metadata"]["annotations"]["crawl-operator.io/assignment"])
    assert assignment.output.store_url == store
    mounted = [each for each in pod["spec"]["volumes"] if each["name"] == "crawl-store"]
    names = [source["secret"]["name"] for each in mounted for source in each["projected"]["sources"]]
    assert names == ([secret] if secret else [])


@pytest.mark.parametrize(
    ("output", "limit"),
    [
        ({}, 1234),
        ({"inlineLimitBytes": 10}, 10),
        ({"inlineLimitBytes": 99999}, 1234),
        ({"compression": "zstd"}, 0),
        ({"format": "Parquet"}, 0),
    ],
)
def test_a_job_may_lower_what_stands_in_its_status(settings: Settings, output: dict[str, Any], limit: int) -> None:
    """And only plain JSON Lines can stand there."""
    spec = CrawlJobSpec.model_validate(SINGLE | {"output": output})
    annotations = build_child(make_job(), spec, 1, Execution.POD, settings)["metadata"]["annotations"]
    assert Assignment.model_validate_json(next(iter(annotations.values()))).inline_limit_bytes == limit


def test_the_pod_is_given_the_headers_that_the_job_names(settings: Settings) -> None:
    fetch = {"headersFrom": [{"secretRef": {"name": "one"}}, {"secretRef": {"name": "two"}}]}
    pod = build_child(make_job(), CrawlJobSpec.model_validate(SINGLE | {"fetch": fetch}), 1, Execution.POD, settings)
    (volume,) = (each for each in pod["spec"]["volumes"] if each["name"] == "crawl-headers")
    assert [each["secret"]["name"] for each in volume["projected"]["sources"]] == ["one", "two"]
    names = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
    mounts = {each["mountPath"] for each in pod["spec"]["containers"][0]["volumeMounts"]}
    assert names["CRAWL_HEADERS"] in mounts
