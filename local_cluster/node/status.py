"""The status a pod shows, as a pure function of what the node knows: the same words kubelet would use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from local_cluster.node.k8s import Json, time_text
from local_cluster.node.records import Record, Running, State, Terminated, Waiting

_OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A pod's end that its containers' ends do not decide: refused, or out of time."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Knowledge:
    """All that a status is made of besides the pod itself.

    Attributes:
        prepared: whether address and volumes are there.
        over: whether no container will be started any more.
        shown: the conditions of the status before this one, newer than those of the pod as it was last seen.
    """

    records: Sequence[Record]
    pod_ip: str
    host_ip: str
    start_time: datetime
    prepared: bool = False
    over: bool = False
    verdict: Verdict | None = None
    shown: Sequence[Json] = ()


def build(pod: Json, known: Knowledge, now: datetime) -> Json:
    """The status patch of the fields this node owns; None stands for a field to be removed."""
    inits = [record for record in known.records if record.init]
    mains = [record for record in known.records if not record.init]
    phase = _phase(pod, inits, mains, known)
    return {
        "observedGeneration": pod["metadata"].get("generation"),
        "phase": phase,
        "reason": known.verdict.reason if known.verdict else None,
        "message": known.verdict.message if known.verdict else None,
        "hostIP": known.host_ip,
        "hostIPs": [{"ip": known.host_ip}],
        "podIP": known.pod_ip or None,
        "podIPs": [{"ip": known.pod_ip}] if known.pod_ip else None,
        "startTime": time_text(known.start_time),
        "conditions": _conditions(pod, phase, known, now),
        "initContainerStatuses": [_container(record, pod) for record in inits] or None,
        "containerStatuses": [_container(record, pod) for record in mains] or None,
    }


def succeeded(record: Record) -> bool:
    """Whether the container's latest end is a success."""
    return isinstance(record.state, Terminated) and record.state.exit_code == 0


def restarts(policy: str, end: Terminated, *, init: bool) -> bool:
    """Whether a container that ended so is started again."""
    enough = end.exit_code == 0 and (init or policy == "OnFailure")
    return policy != "Never" and not enough


def _phase(pod: Json, inits: Sequence[Record], mains: Sequence[Record], known: Knowledge) -> str:
    policy = pod["spec"].get("restartPolicy") or "Always"
    running = any(isinstance(record.state, Running) for record in known.records)
    if known.verdict is not None and not running:
        return "Failed"
    if (known.over and not running) or all(_for_good(record, policy) for record in mains):
        return "Succeeded" if all(succeeded(record) for record in mains) else "Failed"
    if any(_for_good(record, policy) and not succeeded(record) for record in inits):
        return "Failed"
    if not all(succeeded(record) for record in inits) or any(_never_ran(record) for record in mains):
        return "Pending"
    return "Running"


def _for_good(record: Record, policy: str) -> bool:
    """Whether the container has ended and its policy does not start it again."""
    return isinstance(record.state, Terminated) and not restarts(policy, record.state, init=record.init)


def _never_ran(record: Record) -> bool:
    return isinstance(record.state, Waiting) and record.last is None


def _container(record: Record, pod: Json) -> Json:
    image = next(
        container["image"]
        for container in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
        if container["name"] == record.name
    )
    running = isinstance(record.state, Running)
    ready = succeeded(record) if record.init else running and record.ready
    identity = _identity(record.state) or (record.last.container_id if record.last else "")
    status: Json = {
        "name": record.name,
        "image": image,
        "imageID": image,
        "state": _state(record.state),
        "lastState": _state(record.last) if record.last else {},
        "ready": ready,
        "started": running and record.started,
        "restartCount": record.restarts,
    }
    if identity:
        status["containerID"] = identity
    return status


def _identity(state: State) -> str:
    return "" if isinstance(state, Waiting) else state.container_id


def _state(state: State) -> Json:
    if isinstance(state, Waiting):
        return {"waiting": {"reason": state.reason, **({"message": state.message} if state.message else {})}}
    if isinstance(state, Running):
        return {"running": {"startedAt": time_text(state.started_at)}}
    terminated: Json = {
        "exitCode": state.exit_code,
        "reason": state.reason,
        "finishedAt": time_text(state.finished_at),
    }
    if state.started_at is not None:
        terminated["startedAt"] = time_text(state.started_at)
    if state.signal:
        terminated["signal"] = state.signal
    if state.message:
        terminated["message"] = state.message
    if state.container_id:
        terminated["containerID"] = state.container_id
    return {"terminated": terminated}


def _conditions(pod: Json, phase: str, known: Knowledge, now: datetime) -> list[Json]:
    inits = [record for record in known.records if record.init]
    mains = [record for record in known.records if not record.init]
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    uninitialized = [record.name for record in inits if not succeeded(record)]
    unready = [record.name for record in mains if not (isinstance(record.state, Running) and record.ready)]
    seen = pod.get("status", {}).get("conditions") or []
    before = {condition["type"]: condition for condition in [*seen, *known.shown]}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    closed = [gate for gate in gates if before.get(gate, {}).get("status") != "True"]
    facts: dict[str, tuple[bool, str | None, str | None]] = {
        "PodReadyToStartContainers": (known.prepared and ended is None, None, None),
        "Initialized": _initialized(uninitialized, ended, phase),
        "ContainersReady": _fact(unready, ended, "ContainersNotReady", "containers with unready status"),
    }
    containers_ready = facts["ContainersReady"]
    facts["Ready"] = (
        _fact(closed, None, "ReadinessGatesNotReady", "readiness gates that are not true")
        if containers_ready[0]
        else containers_ready
    )
    return [_condition(kind, facts[kind], before.get(kind, {}), pod, now) for kind in _OWN_CONDITIONS]


def _initialized(uninitialized: Sequence[str], ended: str | None, phase: str) -> tuple[bool, str | None, str | None]:
    if phase == "Succeeded" or not uninitialized:
        return True, ended if phase == "Succeeded" else None, None
    return _fact(uninitialized, None, "ContainersNotInitialized", "containers with incomplete status")


def _fact(lacking: Sequence[str], ended: str | None, reason: str, words: str) -> tuple[bool, str | None, str | None]:
    if ended is not None:
        return False, ended, None
    if lacking:
        return False, reason, f"{words}: [{' '.join(lacking)}]"
    return True, None, None


def _condition(
    kind: str, fact: tuple[bool, str | None, str | None], before: Mapping[str, str], pod: Json, now: datetime
) -> Json:
    holds, reason, message = fact
    status = "True" if holds else "False"
    unchanged = before.get("status") == status and "lastTransitionTime" in before
    return {
        "type": kind,
        "status": status,
        "observedGeneration": pod["metadata"].get("generation"),
        "lastProbeTime": None,
        "lastTransitionTime": before["lastTransitionTime"] if unchanged else time_text(now),
        "reason": reason,
        "message": message,
    }
