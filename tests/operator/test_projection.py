"""What is kept of Kubernetes objects, and what is read out of the many shapes that a pod's state can have."""

from datetime import UTC, datetime
from typing import Any

import pytest

from crawl_api.crawljob import Priority
from crawl_api.status import CrawlJobStatus, Phase
from crawl_operator.decide.model import Job, JobKey
from crawl_operator.projection import batch_job_of, job_of, owner_of, pod_of

META: dict[str, Any] = {
    "namespace": "team",
    "name": "news",
    "uid": "uid",
    "resourceVersion": "123",
    "generation": 2,
    "creationTimestamp": "2026-03-01T12:00:00Z",
}
LABELS = {"crawl-operator.io/job": "news", "crawl-operator.io/job-uid": "uid", "crawl-operator.io/attempt": "3"}
SPEC = {"type": "Single", "single": {"url": "https://example.org/"}, "priority": "High"}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def pod_body(meta: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {"metadata": META | {"labels": LABELS} | (meta or {}), "status": status}


def worker_state(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "worker", "state": state}]}


def test_a_job_is_kept_as_decisions_need_it() -> None:
    job = job_of({"metadata": META, "spec": SPEC, "status": {"phase": "Processing", "workerId": "news-abc-1"}})
    assert (job.key, job.uid, job.version, job.generation) == (JobKey("team", "news"), "uid", 123, 2)
    assert job.created == NOON
    assert (job.priority, job.phase, job.deleting) == (Priority.HIGH, Phase.PROCESSING, False)
    assert job.spec == SPEC
    assert job.status.worker_id == "news-abc-1"


def test_a_new_job_has_the_defaults() -> None:
    """Whatever the server left out: no status yet, no priority, no generation."""
    meta = {name: META[name] for name in ("namespace", "name", "uid", "resourceVersion")}
    job = job_of({"metadata": meta, "spec": {"type": "Single"}})
    assert (job.phase, job.priority, job.generation) == (Phase.PENDING, Priority.NORMAL, 0)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.terminal])
def test_of_a_finished_job_the_bulk_is_left_out(phase: Phase) -> None:
    """Ten thousand finished jobs stay in memory: what nobody decides upon any more is not kept."""
    body = {"metadata": META, "spec": SPEC, "status": {"phase": phase.value, "lastError": "x" * 1000}}
    job = job_of(body)
    assert job.phase is phase
    assert job.spec == {}
    assert job.status.last_error == ""


@pytest.mark.parametrize(
    ("phase", "reason", "kept"),
    [
        ("Pending", "", True),
        ("Failed", "DependencyCycle", True),
        ("Failed", "DependencyFailed", False),
        ("Completed", "", False),
    ],
)
def test_a_job_is_kept_with_what_it_waits_for(phase: str, reason: str, *, kept: bool) -> None:
    """Also one that has failed for standing in a circle: the others in it must find the same circle."""
    failed = {"type": "Failed", "status": "True", "reason": reason, "lastTransitionTime": "2026-03-01T12:00:00Z"}
    status = {"phase": phase, "conditions": [failed] if reason else []}
    job = job_of({"metadata": META, "spec": SPEC | {"dependsOn": [{"name": "first"}]}, "status": status})
    assert job.depends_on == (("first",) if kept else ())


def annotated(phase: Phase = Phase.PENDING, status: dict[str, Any] | None = None, **annotations: str) -> Job:
    """Project a job with annotations of ours, named without their prefix, `_` for `-`."""
    named = {f"crawl-operator.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return job_of(
        {
            "metadata": META | {"annotations": named | {"example.org/other": "x"}},
            "spec": SPEC,
            "status": {"phase": phase.value, **(status or {})},
        }
    )


def test_a_job_is_kept_with_the_levers_that_a_person_has_pulled() -> None:
    job = annotated(requeue="2026-03-01", cancel="true")
    assert (job.requeue, job.cancel, job.marks) == ("2026-03-01", True, {})
    assert [annotated(cancel=value).cancel for value in ("True", "TRUE", "false", "", "yes")] == [
        True, True, False, False, False
    ]  # fmt: skip
    bare = job_of({"metadata": META, "spec": SPEC})
    assert (bare.requeue, bare.cancel, bare.marks) == ("", False, {})


@pytest.mark.parametrize("value", ["1\u2028", "x" * 1000, "a" * 255 + " " + "b" * 100, " 1 ", "\u202e1"])
def test_a_requeue_is_remembered_as_a_status_can_say_it(value: str) -> None:
    """Else what is remembered would differ from what is set, and the job would run again and again."""
    job = annotated(Phase.FAILED, requeue=value)
    assert not job.settled
    written = CrawlJobStatus.model_validate_json(CrawlJobStatus(requeued=job.requeue).model_dump_json())
    assert annotated(Phase.FAILED, {"requeued": written.requeued}, requeue=value).settled


def test_a_finished_job_is_settled_when_nothing_is_left_to_be_done() -> None:
    ended = {"completedAt": "2026-03-01T12:00:00Z"}
    reconciling = {
        "type": "Reconciling", "status": "False", "reason": "Timeout", "lastTransitionTime": "2026-03-01T12:00:00Z",
    }  # fmt: skip
    dead = ended | {"conditions": [reconciling]}
    marks = {
        "dead_letter": "true", "dead_letter_reason": "Timeout", "dead_letter_at": "2026-03-01T12:00:00Z",
    }  # fmt: skip
    assert annotated(Phase.COMPLETED, ended).settled
    assert annotated(Phase.COMPLETED, ended | {"requeued": "1"}, requeue="1").settled
    assert annotated(Phase.COMPLETED, ended | {"requeued": "1"}).settled, "the lever was let go of"
    assert annotated(Phase.DEAD_LETTER, dead, **marks).settled
    for job in (
        annotated(Phase.COMPLETED, ended, requeue="1"),
        annotated(Phase.COMPLETED, ended, **marks),
        annotated(Phase.DEAD_LETTER, dead),
        annotated(Phase.DEAD_LETTER, dead, **(marks | {"dead_letter_reason": "Other"})),
        annotated(Phase.RETRY),
    ):
        assert not job.settled
        assert job.spec == SPEC, "and whoever is not is kept whole"


def test_a_deleted_job_is_known_as_such() -> None:
    assert job_of({"metadata": META | {"deletionTimestamp": "2026-03-01T12:00:01Z"}, "spec": SPEC}).deleting


def test_a_status_that_nobody_of_us_wrote_does_not_stop_the_operator() -> None:
    """Someone with the right to write it did: the phase counts, the rest is written anew."""
    job = job_of({"metadata": META, "spec": SPEC, "status": {"phase": "Processing", "errors": [{"code": 1}]}})
    assert job.phase is job.status.phase is Phase.PROCESSING
    assert job.status.errors == ()


def test_a_status_of_a_newer_operator_is_read() -> None:
    job = job_of({"metadata": META, "spec": SPEC, "status": {"phase": "Pending", "later": 1, "workerId": "w"}})
    assert job.status.worker_id == "w"


def test_a_pod_that_waits_for_a_node() -> None:
    message = "0/3 nodes are available: insufficient memory."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    pod = pod_of(pod_body(phase="Pending", conditions=[{"type": "Ready", "status": "False"}, condition]))
    assert (pod.hold_reason, pod.hold_message) == ("Unschedulable", message)
    assert (pod.name, pod.uid, pod.version, pod.attempt, pod.deleting) == ("news", "uid", 123, 3, False)
    assert pod.started is None
    assert not pod.ended


def test_a_pod_whose_image_cannot_be_had() -> None:
    state = worker_state(waiting={"reason": "ErrImagePull", "message": "not found"})
    scheduled = {"type": "PodScheduled", "status": "True"}
    pod = pod_of(pod_body(phase="Pending", conditions=[scheduled], **state))
    assert (pod.hold_reason, pod.hold_message) == ("ErrImagePull", "not found")


def test_a_pod_that_runs() -> None:
    pod = pod_of(pod_body(phase="Running", **worker_state(running={"startedAt": "2026-03-01T12:00:00Z"})))
    assert pod.started == NOON
    assert (pod.hold_reason, pod.end_reason) == ("", "")
    assert not pod.ended


def test_a_pod_that_has_ended() -> None:
    terminated = {
        "exitCode": 137,
        "signal": 9,
        "reason": "OOMKilled",
        "message": '{"total":1}',
        "startedAt": "2026-03-01T12:00:00Z",
        "finishedAt": "2026-03-01T12:00:07Z",
    }
    pod = pod_of(pod_body(phase="Failed", **worker_state(terminated=terminated)))
    assert pod.ended
    assert (pod.exit_code, pod.signal, pod.end_reason) == (137, 9, "OOMKilled")
    assert pod.termination_message == '{"total":1}'
    assert pod.started == NOON
    assert pod.finished is not None
    assert (pod.finished - NOON).total_seconds() == 7


def test_the_clusters_reason_comes_before_the_containers() -> None:
    """An evicted pod's container ends with an exit code like any other's."""
    pod = pod_of(
        pod_body(
            phase="Failed",
            reason="Evicted",
            message="The node was low on resource: memory.",
            **worker_state(terminated={"exitCode": 143, "reason": "Error"}),
        )
    )
    assert (pod.end_reason, pod.end_message) == ("Evicted", "The node was low on resource: memory.")


def test_another_containers_state_is_not_the_workers() -> None:
    """Clusters inject sidecars."""
    statuses = [
        {"name": "proxy", "state": {"terminated": {"exitCode": 1, "reason": "OOMKilled"}}},
        {"name": "worker", "state": {"running": {"startedAt": "2026-03-01T12:00:00Z"}}},
    ]
    pod = pod_of(pod_body(phase="Running", containerStatuses=statuses))
    assert (pod.end_reason, pod.exit_code) == ("", None)
    assert pod.started == NOON


@pytest.mark.parametrize(
    "status", [{}, {"containerStatuses": None, "conditions": None}, {"containerStatuses": [{"name": "worker"}]}]
)
def test_a_pod_that_the_node_has_not_touched(status: dict[str, Any]) -> None:
    pod = pod_of(pod_body(**status))
    assert (pod.phase, pod.ended, pod.started, pod.exit_code) == ("Pending", False, None, None)


@pytest.mark.parametrize(("label", "attempt"), [("1", 1), ("12", 12), ("x", 1), ("-1", 1), ("", 1), (None, 1)])
def test_the_attempt_is_in_a_label(label: str | None, attempt: int) -> None:
    labels = {} if label is None else {"crawl-operator.io/attempt": label}
    assert pod_of(pod_body({"labels": labels})).attempt == attempt


@pytest.mark.parametrize(
    ("conditions", "failed", "completed"),
    [
        ([], "", False),
        ([{"type": "Complete", "status": "True"}], "", True),
        ([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}], "DeadlineExceeded", False),
        ([{"type": "Failed", "status": "True"}], "Failed", False),
        ([{"type": "Failed", "status": "False", "reason": "x"}], "", False),
        ([{"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"}], "", False),
        ([{"type": "Suspended", "status": "True"}], "", False),
    ],
)
def test_a_batch_job_has_failed_when_it_says_so(
    conditions: list[dict[str, str]],
    failed: str,
    completed: bool,  # noqa: FBT001 - a column
) -> None:
    job = batch_job_of(pod_body(conditions=conditions))
    assert (job.failed_reason, job.completed) == (failed, completed)
    assert job.ended is (bool(failed) or completed)
    assert (job.version, job.attempt) == (123, 3)


def test_a_child_says_by_labels_whose_it_is() -> None:
    assert owner_of(pod_body()) == (JobKey("team", "news"), "uid")
    for name in ("crawl-operator.io/job", "crawl-operator.io/job-uid"):
        labels = {label: value for label, value in LABELS.items() if label != name}
        assert owner_of(pod_body({"labels": labels})) is None
    assert owner_of({"metadata": META}) is None


@pytest.mark.parametrize(("spec", "suspended"), [({}, False), ({"suspend": False}, False), ({"suspend": True}, True)])
def test_a_batch_job_may_be_held(spec: dict[str, Any], *, suspended: bool) -> None:
    meta = {"name": "news-1", "uid": "u", "resourceVersion": "1"}
    assert batch_job_of({"metadata": meta, "spec": spec}).suspended is suspended


@pytest.mark.parametrize(("label", "priority"), [("Critical", "Critical"), ("Urgent", "Normal"), (None, "Normal")])
def test_a_child_tells_the_class_it_was_started_in(label: str | None, priority: str) -> None:
    labels = {"crawl-operator.io/priority": label} if label else {}
    meta = {"name": "news-1", "uid": "u", "resourceVersion": "1", "labels": labels}
    assert batch_job_of({"metadata": meta}).priority == pod_of({"metadata": meta}).priority == priority


@pytest.mark.parametrize(
    ("start", "since"),
    [
        (None, "2026-03-01T12:00:00+00:00"),
        ("2026-02-01T00:00:00Z", "2026-03-01T12:00:00+00:00"),
        ("2026-04-01T02:00:00+02:00", "2026-04-01T00:00:00+00:00"),
        ("2026-04-01T02:00:00", "2026-04-01T02:00:00+00:00"),
        ("soon", "2026-03-01T12:00:00+00:00"),
    ],
)
def test_a_job_ages_from_when_it_may_run(start: str | None, since: str) -> None:
    meta = {"name": "news", "namespace": "team", "uid": "u", "resourceVersion": "1"}
    spec = {"scheduledAt": start} if start else {}
    body = {"metadata": meta | {"creationTimestamp": "2026-03-01T12:00:00Z"}, "spec": spec}
    assert job_of(body).since == datetime.fromisoformat(since)
