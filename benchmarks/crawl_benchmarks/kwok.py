"""Simulated nodes: a pod that is bound to one starts, and ends well after a set time, without a process."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from crawl_api.names import LABEL_PRIORITY, WORKER_CONTAINER
from crawl_api.worker_protocol import Outcome, StoredResult
from local_cluster import LocalCluster, build
from local_cluster.processes import die_with_parent

NODES: Final = 10

_RUN_MS: Final = (2000, 2000)
"""How long at least and at most a pod runs: longer than the second over which the Job controller gathers changes, so
that both sides say of each job that it runs, as they would of real work."""
_LOW_RUN_MS: Final = (1000, 3000)
"""The same for pods of Low jobs: they end, and others start, all the time."""
_LEASE_SECONDS: Final = 40
_END_SECONDS: Final = 10

_OUTCOME: Final = Outcome(
    total=1,
    succeeded=1,
    failed=0,
    bytes=1200,
    items=1,
    stored=StoredResult(url="file:///results/bench/job/uid/pod/results.jsonl", bytes=1200, sha256="0" * 64),
).termination_message()

_CAPACITY: Final = {"cpu": "10k", "memory": "100Ti", "pods": "100k"}

_NODE_READY: Final = {
    "phase": "Running",
    "capacity": _CAPACITY,
    "allocatable": _CAPACITY,
    "conditions": [{"type": "Ready", "status": "True", "reason": "Simulated", "lastTransitionTime": "{{ Now }}"}],
}
_STARTED: Final = {
    "phase": "Running",
    "startTime": "{{ Now }}",
    "conditions": [
        {"type": kind, "status": "True", "lastTransitionTime": "{{ Now }}"}
        for kind in ("Initialized", "ContainersReady", "Ready")
    ],
    "containerStatuses": [
        {
            "name": WORKER_CONTAINER,
            "image": "simulated",
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": "{{ Now }}"}},
        }
    ],
}
_ENDED: Final = {
    "phase": "Succeeded",
    "conditions": [
        {"type": "Initialized", "status": "True", "reason": "PodCompleted", "lastTransitionTime": "{{ Now }}"},
        {"type": "ContainersReady", "status": "False", "reason": "PodCompleted", "lastTransitionTime": "{{ Now }}"},
        {"type": "Ready", "status": "False", "reason": "PodCompleted", "lastTransitionTime": "{{ Now }}"},
    ],
    "containerStatuses": [
        {
            "name": WORKER_CONTAINER,
            "image": "simulated",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {
                "terminated": {
                    "exitCode": 0,
                    "reason": "Completed",
                    "message": _OUTCOME,
                    "startedAt": "{{ .status.startTime }}",
                    "finishedAt": "{{ Now }}",
                }
            },
        }
    ],
}


@contextlib.contextmanager
def nodes(cluster: LocalCluster, folder: Path) -> Iterator[int]:
    """Have nodes for as long as the block; yield kwok's process id."""
    program = build.ensure(build.KWOK) / "kwok"
    config = folder / "kwok.yaml"
    config.write_text(yaml.safe_dump_all(_stages()))
    manifests = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"simulated-{number}"}} for number in range(NODES)
    ]
    cluster.kubectl("create", "-f", "-", input=yaml.safe_dump_all(manifests))
    options = {
        "config": config,
        "kubeconfig": cluster.kubeconfig,
        "manage-all-nodes": "true",
        "node-lease-duration-seconds": _LEASE_SECONDS,
    }
    with (folder / "kwok.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - built from its pinned source
            [program, *(f"--{name}={value}" for name, value in options.items())],
            env=os.environ | cluster.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, which allocates nothing
        )
    try:
        cluster.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=30s")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stages() -> list[dict[str, Any]]:
    deleted, phase = ".metadata.deletionTimestamp", ".status.phase"
    ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    low = f'.metadata.labels["{LABEL_PRIORITY}"]'
    running = [_is(deleted, "DoesNotExist"), _is(phase, "In", "Running")]
    return [
        _stage("node-ready", "Node", [_is(ready, "NotIn", "True")], _becomes(_NODE_READY)),
        _stage("started", "Pod", [_is(deleted, "DoesNotExist"), _is(phase, "In", "Pending")], _becomes(_STARTED)),
        _stage("ended", "Pod", [*running, _is(low, "NotIn", "Low")], _becomes(_ENDED, *_RUN_MS)),
        _stage("low-ended", "Pod", [*running, _is(low, "In", "Low")], _becomes(_ENDED, *_LOW_RUN_MS)),
        _stage("deleted", "Pod", [_is(deleted, "Exists")], {"next": {"delete": True}}),
    ]


def _stage(name: str, kind: str, conditions: list[dict[str, Any]], what: dict[str, Any]) -> dict[str, Any]:
    """Return what happens to an object that meets all conditions."""
    resource = {"apiGroup": "v1", "kind": kind}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {"resourceRef": resource, "selector": {"matchExpressions": conditions}, **what},
    }


def _is(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


def _becomes(status: dict[str, Any], at_least_ms: int = 0, at_most_ms: int = 0) -> dict[str, Any]:
    return {
        "delay": {"durationMilliseconds": at_least_ms, "jitterDurationMilliseconds": at_most_ms},
        "next": {"statusTemplate": yaml.safe_dump(status)},
    }
