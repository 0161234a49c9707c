"""What the cluster does to workers: scheduler, kubelet, Job controller and garbage collector."""

from typing import Any

from stage import AnsweredError, Stage
from steps import Hand, Step, child_of, patch_status, worker_of
from world import Object, Picture, World, attempt_of, ended, leaving, owner_uid, phase_of

from crawl_api.worker_protocol import Outcome
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, SCHEDULES


def makes_pod(name: str) -> Step:
    """The Job controller makes the pod of a batch Job, and calls the Job started."""

    async def do(hand: Hand) -> None:
        job = child_of(hand, BATCH_JOBS, name)
        meta, template = job["metadata"], job["spec"]["template"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        pod = {
            "metadata": {**template["metadata"], "name": f"{meta['name']}-x", "ownerReferences": [owner]},
            "spec": template["spec"],
        }
        hand.world.expect(await hand.stage.call("POST", PODS.path(hand.world.namespace), pod))
        status = {"startTime": hand.world.clock.stamp(), "active": 1, "ready": 0}
        await patch_status(hand, BATCH_JOBS, meta["name"], status)

    def ready(now: Picture) -> bool:
        job, pods = now.child(BATCH_JOBS, name), now.children(PODS, name)
        return job is not None and not ended(job) and not (pods and attempt_of(pods[-1]) == attempt_of(job))

    return Step(f"the batch Job of {name} makes its pod", do, ready)


def completes(name: str) -> Step:
    """The Job controller calls a batch Job complete whose pod has succeeded."""

    async def do(hand: Hand) -> None:
        job, now = child_of(hand, BATCH_JOBS, name), hand.world.clock.stamp()
        status = {
            "active": 0,
            "succeeded": 1,
            "startTime": job["status"].get("startTime", now),
            "completionTime": now,
            "conditions": [_condition(kind, "CompletionsReached", now) for kind in ("SuccessCriteriaMet", "Complete")],
        }
        await patch_status(hand, BATCH_JOBS, job["metadata"]["name"], status)

    return Step(f"the batch Job of {name} completes", do, lambda now: now.child(BATCH_JOBS, name) is not None)


def fails(name: str, reason: str = "BackoffLimitExceeded") -> Step:
    """The Job controller gives a batch Job up."""

    async def do(hand: Hand) -> None:
        job, now = child_of(hand, BATCH_JOBS, name), hand.world.clock.stamp()
        conditions = [_condition(kind, reason, now) for kind in ("FailureTarget", "Failed")]
        status: dict[str, Any] = {"active": 0, "failed": 1, "conditions": conditions}
        if "startTime" not in job.get("status", {}):
            status["startTime"] = now
        await patch_status(hand, BATCH_JOBS, job["metadata"]["name"], status)

    return Step(f"the batch Job of {name} fails ({reason})", do, lambda now: now.child(BATCH_JOBS, name) is not None)


def holds(name: str) -> Step:
    """The scheduler finds no node."""

    async def do(hand: Hand) -> None:
        condition = _condition("PodScheduled", "Unschedulable", hand.world.clock.stamp(), status="False")
        await patch_status(hand, PODS, child_of(hand, PODS, name)["metadata"]["name"], {"conditions": [condition]})

    return Step(f"the pod of {name} is unschedulable", do, lambda now: now.child(PODS, name) is not None)


def cannot_pull(name: str, reason: str) -> Step:
    """The kubelet does not get the worker's image."""

    async def do(hand: Hand) -> None:
        waiting = {"reason": reason, "message": "the registry does not answer"}
        await patch_status(hand, PODS, child_of(hand, PODS, name)["metadata"]["name"], _container({"waiting": waiting}))

    return Step(f"the pod of {name} has {reason}", do, lambda now: now.child(PODS, name) is not None)


def runs(name: str) -> Step:
    """Scheduler and kubelet start the pod."""

    async def do(hand: Hand) -> None:
        pod, now = child_of(hand, PODS, name)["metadata"]["name"], hand.world.clock.stamp()
        path = PODS.path(hand.world.namespace, pod, "binding")
        target = {"apiVersion": "v1", "kind": "Node", "name": "nowhere"}
        await hand.stage.call("POST", path, {"metadata": {"name": pod}, "target": target})
        state = {"running": {"startedAt": now}}
        await patch_status(hand, PODS, pod, {"phase": "Running", "startTime": now, **_container(state)})

    def ready(now: Picture) -> bool:
        pod = now.child(PODS, name)
        return pod is not None and phase_of(pod) == "Pending"

    return Step(f"the pod of {name} runs", do, ready)


def ends(
    name: str,
    said: Outcome | None = None,
    *,
    exit_code: int = 0,
    reason: str = "Completed",
    when: str = "",
    told: bool = False,
) -> Step:
    """The worker's process ends, and leaves an outcome or nothing.

    Args:
        name: the job.
        said: the outcome.
        exit_code: of the process; 137 and 143 are signals.
        reason: the container's.
        when: the phase that the job must have reached.
        told: whether the pod must be on its way out: the kubelet has told the worker to end.
    """
    phase = "Failed" if exit_code else "Succeeded"

    async def do(hand: Hand) -> None:
        pod = worker_of(hand.world.now, name)
        assert pod is not None
        now = hand.world.clock.stamp()
        terminated = {"exitCode": exit_code, "reason": reason, "startedAt": _started(pod, now), "finishedAt": now}
        if said is not None:
            terminated["message"] = said.termination_message()
        status = {"phase": phase, **_container({"running": None, "waiting": None, "terminated": terminated})}
        await patch_status(hand, PODS, pod["metadata"]["name"], status)

    def ready(now: Picture) -> bool:
        pod = worker_of(now, name)
        return pod is not None and (not when or now.phase(name) == when) and (not told or leaving(pod))

    return Step(f"the worker of {name} ends ({reason}, {exit_code})", do, ready)


def evicts(name: str, reason: str = "Evicted") -> Step:
    """The kubelet ends the pod: the pod has a reason of its own, and its container was killed."""

    async def do(hand: Hand) -> None:
        pod, now = child_of(hand, PODS, name), hand.world.clock.stamp()
        killed = {"exitCode": 137, "reason": "Error", "startedAt": _started(pod, now), "finishedAt": now}
        status = {
            "phase": "Failed",
            "reason": reason,
            "message": "the node was low on memory",
            **_container({"running": None, "terminated": killed}),
        }
        await patch_status(hand, PODS, pod["metadata"]["name"], status)

    return Step(f"the pod of {name} fails ({reason})", do, lambda now: worker_of(now, name) is not None)


def clears_away() -> Step:
    """Kubelet and garbage collector: what is being deleted goes, and so does what a deleted job has left."""

    async def do(hand: Hand) -> None:
        await clear_away(hand.stage, hand.world)

    return Step("what is deleted goes", do)


def loses_pod(name: str) -> Step:
    """The pod goes that is on its way out."""

    async def do(hand: Hand) -> None:
        await clear_away(hand.stage, hand.world)

    return Step(f"the pod of {name} goes", do, lambda now: any(map(leaving, now.children(PODS, name))))


async def clear_away(stage: Stage, world: World, *, orphans_only: bool = False) -> None:
    """Remove pods that are being deleted, and what belongs to something that is gone."""
    owners = {uid for kind in (SCHEDULES, CRAWLJOBS, BATCH_JOBS) for uid in world.now.objects[kind]}
    for resource in (CRAWLJOBS, BATCH_JOBS, PODS):
        for uid, child in list(world.now.objects[resource].items()):
            if resource is CRAWLJOBS and not owner_uid(child):
                continue  # a user's own
            if owner_uid(child) not in owners or (leaving(child) and not orphans_only):
                path = resource.path(world.namespace, child["metadata"]["name"])
                options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
                world.expect_gone(uid)
                try:
                    await stage.call("DELETE", path, options)
                except AnsweredError as error:
                    if error.status not in {404, 409}:  # gone already, another of its name in its place or not
                        raise


def _container(state: dict[str, Any]) -> dict[str, Any]:
    base = {"name": "worker", "image": "worker", "imageID": "", "ready": "running" in state, "restartCount": 0}
    return {"containerStatuses": [{**base, "state": {each: what for each, what in state.items() if what is not None}}]}


def _started(pod: Object, now: str) -> str:
    states = pod.get("status", {}).get("containerStatuses") or [{}]
    started: str = states[0].get("state", {}).get("running", {}).get("startedAt") or now
    return started


def _condition(kind: str, reason: str, now: str, *, status: str = "True") -> dict[str, Any]:
    message = f"the cluster says {reason}"
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}
