"""A pod's status, in kubelet's words, from what the node knows."""

from datetime import UTC, datetime
from typing import Any

import pytest

from local_cluster.node import status
from local_cluster.node.records import Record, Running, Terminated, Waiting, end_of
from local_cluster.node.status import Knowledge, Verdict

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
RUNNING = Running("process://1", NOW)
GOOD = Terminated("process://1", 0, "Completed", "", NOW, NOW)
BAD = Terminated("process://1", 137, "Error", "oh", NOW, NOW, 9)
CREATING = Waiting("ContainerCreating")
LOOPING = Waiting("CrashLoopBackOff", "back-off")


def pod(policy: str = "Never", init: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - a table's column
    return {
        "metadata": {"generation": 3},
        "spec": {
            "restartPolicy": policy,
            "containers": [{"name": name, "image": "host"} for name in ("a", "b")],
            "initContainers": [{"name": "i", "image": "host"}] if init else [],
        },
    }


def known(*records: Record, **facts: Any) -> Knowledge:
    return Knowledge(records, "127.1.2.3", "127.0.0.1", NOW, **{"prepared": True, **facts})


def record(name: str, state: Waiting | Running | Terminated, **facts: Any) -> Record:
    ready = isinstance(state, Running)
    return Record(name, state=state, **{"ready": ready, "started": ready, "attempts": 1, **facts})


@pytest.mark.parametrize(
    ("policy", "states", "over", "phase"),
    [
        ("Never", (CREATING, CREATING), False, "Pending"),
        ("Never", (RUNNING, CREATING), False, "Pending"),
        ("Never", (RUNNING, RUNNING), False, "Running"),
        ("Never", (GOOD, RUNNING), False, "Running"),
        ("Never", (GOOD, GOOD), True, "Succeeded"),
        ("Never", (GOOD, BAD), True, "Failed"),
        ("Never", (BAD, RUNNING), False, "Running"),
        ("Always", (GOOD, RUNNING), False, "Running"),
        ("Always", (GOOD, GOOD), True, "Succeeded"),
        ("Never", (CREATING, CREATING), True, "Failed"),
    ],
)
def test_the_phase_follows_from_the_containers(
    policy: str,
    states: tuple[Waiting | Running | Terminated, Waiting | Running | Terminated],
    over: bool,  # noqa: FBT001 - a table's column
    phase: str,
) -> None:
    records = [record("a", states[0]), record("b", states[1])]
    assert status.build(pod(policy), known(*records, over=over), NOW)["phase"] == phase


def test_a_container_between_two_attempts_keeps_the_pod_running() -> None:
    records = [record("a", LOOPING, last=BAD, attempts=2), record("b", RUNNING)]
    shown = status.build(pod("Always"), known(*records), NOW)
    assert shown["phase"] == "Running"
    first = shown["containerStatuses"][0]
    assert first["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    assert first["lastState"]["terminated"]["exitCode"] == 137
    assert first["lastState"]["terminated"]["signal"] == 9
    assert first["restartCount"] == 1
    assert first["ready"] is False


def test_an_unfinished_init_container_keeps_the_pod_pending() -> None:
    records = [record("i", RUNNING, init=True), record("a", CREATING), record("b", CREATING)]
    shown = status.build(pod(init=True), known(*records), NOW)
    conditions = {entry["type"]: entry for entry in shown["conditions"]}
    assert shown["phase"] == "Pending"
    assert conditions["Initialized"]["status"] == "False"
    assert conditions["Initialized"]["message"] == "containers with incomplete status: [i]"
    assert shown["initContainerStatuses"][0]["state"] == {"running": {"startedAt": "2026-01-02T03:04:05Z"}}


def test_a_failed_init_container_fails_a_pod_that_never_restarts() -> None:
    records = [record("i", BAD, init=True), record("a", CREATING), record("b", CREATING)]
    assert status.build(pod(init=True), known(*records, over=True), NOW)["phase"] == "Failed"


def test_readiness_needs_every_container_and_every_gate() -> None:
    records = [record("a", RUNNING), record("b", RUNNING, ready=False)]
    conditions = {c["type"]: c for c in status.build(pod(), known(*records), NOW)["conditions"]}
    assert conditions["Ready"]["reason"] == "ContainersNotReady"
    assert conditions["Ready"]["message"] == "containers with unready status: [b]"

    gated = pod()
    gated["spec"]["readinessGates"] = [{"conditionType": "gate"}]
    ready = known(record("a", RUNNING), record("b", RUNNING))
    conditions = {c["type"]: c for c in status.build(gated, ready, NOW)["conditions"]}
    assert (conditions["ContainersReady"]["status"], conditions["Ready"]["status"]) == ("True", "False")
    gated["status"] = {"conditions": [{"type": "gate", "status": "True"}]}
    conditions = {c["type"]: c for c in status.build(gated, ready, NOW)["conditions"]}
    assert conditions["Ready"]["status"] == "True"


def test_a_verdict_outweighs_the_containers() -> None:
    shown = status.build(pod(), known(record("a", GOOD), record("b", GOOD), verdict=Verdict("Why", "so")), NOW)
    assert (shown["phase"], shown["reason"], shown["message"]) == ("Failed", "Why", "so")


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    before = [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]
    still = known(record("a", RUNNING), record("b", RUNNING), shown=before)
    conditions = {c["type"]: c for c in status.build(pod(), still, NOW)["conditions"]}
    assert conditions["Ready"]["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    ended = known(record("a", GOOD), record("b", GOOD), shown=before, over=True)
    conditions = {c["type"]: c for c in status.build(pod(), ended, NOW)["conditions"]}
    assert conditions["Ready"]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert conditions["Ready"]["reason"] == "PodCompleted"


@pytest.mark.parametrize(
    ("policy", "code", "init", "again"),
    [
        ("Never", 1, False, False),
        ("Never", 0, False, False),
        ("OnFailure", 0, False, False),
        ("OnFailure", 1, False, True),
        ("Always", 0, False, True),
        ("Always", 0, True, False),
        ("Always", 1, True, True),
    ],
)
def test_the_restart_policy_decides(policy: str, code: int, init: bool, again: bool) -> None:  # noqa: FBT001 - columns
    end = Terminated("", code, "", "", NOW, NOW)
    assert status.restarts(policy, end, init=init) is again


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, (0, 0, "Completed")), (3, (3, 0, "Error")), (-9, (137, 9, "Error")), (-15, (143, 15, "Error"))],
)
def test_ends_are_told_as_a_shell_does(code: int, expected: tuple[int, int, str]) -> None:
    assert end_of(code) == expected
