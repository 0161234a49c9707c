"""The Pod or batch Job of an attempt: restricted, without API rights, its work in an annotation."""

import hashlib
import sys
from base64 import b32encode
from typing import Any, Final

from crawl_api.base import SecretReference, SpecModel
from crawl_api.crawljob import CrawlJobSpec
from crawl_api.names import (
    ANNOTATION_ASSIGNMENT,
    API_VERSION,
    ENV_ASSIGNMENT_FILE,
    ENV_HEADERS,
    ENV_STORE_CREDENTIALS,
    ENV_TERMINATION_LOG,
    ENV_TOKEN_FILE,
    ENV_WORK_DIR,
    KIND,
    LABEL_ATTEMPT,
    LABEL_JOB,
    LABEL_JOB_UID,
    LABEL_PRIORITY,
    LABEL_QUEUE,
    TOKEN_AUDIENCE,
    WORKER_CONTAINER,
)
from crawl_api.output import OutputOptions
from crawl_api.status import Execution
from crawl_api.worker_protocol import Assignment
from crawl_operator.decide.model import Job
from crawl_operator.settings import Settings

Object = dict[str, Any]

CHILD_SELECTOR: Final = LABEL_JOB_UID
"""Label selector of all workers: the label is there, whatever its value."""

GRACE_SECONDS: Final = 35
"""What a worker gets between SIGTERM and SIGKILL: it promises to end within 30."""

DEADLINE_MARGIN: Final = 60
"""Seconds by which the cluster's own time limit lies above the job's, which the worker keeps by itself."""

TOKEN_SECONDS: Final = 3600

_INPUT_DIR: Final = "/var/run/crawl-operator"
_STORE_DIR: Final = "/var/run/crawl-store"
_HEADERS_DIR: Final = "/var/run/crawl-headers"
_WORK_DIR: Final = "/var/lib/crawl-worker"
_TERMINATION_LOG: Final = "/dev/termination-log"


def child_name(job: Job, attempt: int) -> str:
    """Name an attempt's child: the same for the same job (by UID) and attempt, whoever asks and however often."""
    digest = b32encode(hashlib.sha256(job.uid.encode()).digest())[:8].decode().lower()
    return f"{job.key.name[:40].rstrip('-.')}-{digest}-{attempt}"


def build_child(job: Job, spec: CrawlJobSpec, attempt: int, execution: Execution, settings: Settings) -> Object:
    """Return the object that runs an attempt."""
    labels = _labels(job, spec, attempt)
    metadata = {
        "name": child_name(job, attempt),
        "namespace": job.key.namespace,
        "labels": labels,
        "ownerReferences": [_owner(job)],
    }
    annotations = {ANNOTATION_ASSIGNMENT: _assignment(job, spec, attempt, settings)}
    pod_spec = _pod_spec(spec, settings)
    if execution is Execution.POD:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata | {"annotations": annotations},
            "spec": pod_spec,
        }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata | {"labels": labels | ({LABEL_QUEUE: job.queue} if job.queue else {})},
        "spec": {
            "backoffLimit": 0,  # retries are the operator's
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": pod_spec,
            },
        },
    }


def _labels(job: Job, spec: CrawlJobSpec, attempt: int) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "crawl-worker",
        "app.kubernetes.io/component": "worker",
        "app.kubernetes.io/managed-by": "crawl-operator",
        LABEL_JOB: job.key.name,
        LABEL_JOB_UID: job.uid,
        LABEL_ATTEMPT: str(attempt),
        LABEL_PRIORITY: spec.priority.value,
    }


def _owner(job: Job) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": job.key.name,
        "uid": job.uid,
        "controller": True,
        # Deleting a job in the foreground waits for its worker, without the right to set finalizers on jobs.
        "blockOwnerDeletion": False,
    }


def _assignment(job: Job, spec: CrawlJobSpec, attempt: int, settings: Settings) -> str:
    assignment = Assignment(
        namespace=job.key.namespace,
        name=job.key.name,
        uid=job.uid,
        attempt=attempt,
        type=spec.type,
        single=spec.single,
        batch=spec.batch,
        site=spec.site,
        pdf=spec.pdf,
        maintenance=spec.maintenance,
        custom=spec.custom,
        fetch=spec.fetch,
        extract=spec.extract,
        timeout_seconds=spec.timeout_seconds,
        max_concurrency=settings.limits.concurrency,
        user_agent=settings.worker.introduction,
        allowed_networks=settings.worker.allowed_networks,
        output=_output(spec, settings),
        inline_limit_bytes=min(settings.results.inline_limit_bytes, _inline_limit(spec)),
        report_url=settings.endpoint.url.rstrip("/"),
    )
    return assignment.model_dump_json(by_alias=True, exclude_none=True)


def _output(spec: CrawlJobSpec, settings: Settings) -> OutputOptions:
    """Return the options of the result; a job that names no store has the administrator's, if there is one."""
    default = settings.results
    if spec.output.store_url is not None or not default.store_url:
        return spec.output
    secret = SecretReference(name=default.store_credentials) if default.store_credentials else None
    return spec.output.model_copy(
        update={"store_url": default.store_url, "credentials": spec.output.credentials or secret}
    )


def _inline_limit(spec: CrawlJobSpec) -> int:
    """Return how much of a result the job wants in its status; only JSON Lines, as they are, stand there."""
    if spec.output.file_name != OutputOptions().file_name:
        return 0
    return sys.maxsize if spec.output.inline_limit_bytes is None else spec.output.inline_limit_bytes


def _pod_spec(spec: CrawlJobSpec, settings: Settings) -> Object:
    policy = settings.class_of(spec.priority)
    pod: Object = {
        "restartPolicy": "Never",
        "serviceAccountName": settings.worker.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "activeDeadlineSeconds": spec.timeout_seconds + DEADLINE_MARGIN,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, settings)],
        "volumes": [
            {"name": "work", "emptyDir": {"sizeLimit": settings.worker.work_dir_size}},
            {"name": "input", "projected": {"sources": [_token(), _job_file()]}},
        ],
    }
    if (credentials := _output(spec, settings).credentials) is not None:
        _mount(pod, ENV_STORE_CREDENTIALS, _STORE_DIR, [{"secret": _optional(credentials.name)}])
    if spec.fetch.headers_from:
        secrets = [_optional(each.secret_ref.name) for each in spec.fetch.headers_from]
        _mount(pod, ENV_HEADERS, _HEADERS_DIR, [{"secret": secret} for secret in secrets])
    if policy.priority_class_name:
        pod["priorityClassName"] = policy.priority_class_name
    if spec.worker.node_selector:
        pod["nodeSelector"] = spec.worker.node_selector
    if spec.worker.tolerations:
        pod["tolerations"] = [_wire(each) for each in spec.worker.tolerations]
    return pod


def _container(spec: CrawlJobSpec, settings: Settings) -> Object:
    chosen = spec.worker.resources
    configured = settings.class_of(spec.priority).resources or settings.worker.resources
    environment = {
        ENV_ASSIGNMENT_FILE: f"{_INPUT_DIR}/assignment.json",
        ENV_TOKEN_FILE: f"{_INPUT_DIR}/token",
        ENV_TERMINATION_LOG: _TERMINATION_LOG,
        ENV_WORK_DIR: _WORK_DIR,
        "TMPDIR": _WORK_DIR,
        "HOME": _WORK_DIR,
    }
    return {
        "name": WORKER_CONTAINER,
        "image": spec.worker.image or settings.worker.image,
        "imagePullPolicy": settings.worker.image_pull_policy,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": configured if chosen is None else _wire(chosen),
        "terminationMessagePath": _TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "work", "mountPath": _WORK_DIR},
            {"name": "input", "mountPath": _INPUT_DIR, "readOnly": True},
        ],
    }


def _mount(pod: Object, variable: str, folder: str, sources: list[Object]) -> None:
    """Mount Secrets of the job's namespace, and tell the worker where; the operator never reads them."""
    name = folder.rpartition("/")[2]
    pod["volumes"].append({"name": name, "projected": {"defaultMode": 0o440, "sources": sources}})
    (container,) = pod["containers"]
    container["volumeMounts"].append({"name": name, "mountPath": folder, "readOnly": True})
    container["env"].append({"name": variable, "value": folder})


def _optional(secret: str) -> Object:
    # A Secret that is missing must not keep the pod from starting: the worker says what it lacks.
    return {"name": secret, "optional": True}


def _wire(part: SpecModel) -> Object:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _token() -> Object:
    return {
        "serviceAccountToken": {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"},
    }


def _job_file() -> Object:
    field = {"fieldPath": f"metadata.annotations['{ANNOTATION_ASSIGNMENT}']"}
    return {"downwardAPI": {"items": [{"path": "assignment.json", "fieldRef": field}]}}
