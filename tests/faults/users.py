"""What users do to jobs, and administrators to what jobs may have."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from stage import AnsweredError
from steps import MERGE, Hand, Step, child_of, job_named, patch_job, worker_of
from world import Picture, leaving

from crawl_api.names import ANNOTATION_CANCEL, ANNOTATION_REQUEUE, API_VERSION, KIND
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS


def applies(
    name: str,
    *,
    urls: int = 2,
    priority: str = "High",
    finalizer: str = "",
    after: str = "",
    starts_in: float = 0,
    **spec: Any,
) -> Step:
    """Apply a CrawlJob.

    Args:
        name: its name.
        urls: how many pages it asks for.
        priority: High runs as a bare Pod, Normal as a batch Job.
        finalizer: one that it carries, if any.
        after: a job that must have its worker by then.
        starts_in: seconds from then to its `scheduledAt`; 0 for none.
        spec: further fields.
    """

    async def do(hand: Hand) -> None:
        scheduled = {}
        if starts_in:
            scheduled["scheduledAt"] = (hand.world.clock.now() + timedelta(seconds=starts_in)).isoformat()
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, **({"finalizers": [finalizer]} if finalizer else {})},
            "spec": {
                "type": "Batch",
                "batch": {"urls": [f"https://example.org/{number}" for number in range(urls)]},
                "priority": priority,
                **scheduled,
                **spec,
            },
        }
        hand.world.expect(await hand.stage.call("POST", CRAWLJOBS.path(hand.world.namespace), body))

    def ready(now: Picture) -> bool:
        has_worker = worker_of(now, after) is not None or now.child(BATCH_JOBS, after) is not None
        return now.job(name) is None and (not after or has_worker)

    return Step(f"{name} is applied ({priority})", do, ready)


def _edits(name: str, text: str, change: Mapping[str, Any], when: str = "") -> Step:
    async def do(hand: Hand) -> None:
        await patch_job(hand, name, dict(change))

    return Step(f"{name} {text}", do, lambda now: not when or now.phase(name) == when)


def annotates(name: str) -> Step:
    return _edits(name, "is annotated", {"metadata": {"annotations": {"example.org/note": "kept"}}})


def reprioritises(name: str, priority: str) -> Step:
    return _edits(name, f"becomes {priority}", {"spec": {"priority": priority}})


def suspends(name: str, *, when: str = "") -> Step:
    return _edits(name, "is suspended", {"spec": {"suspend": True}}, when)


def resumes(name: str) -> Step:
    return _edits(name, "is resumed", {"spec": {"suspend": False}}, "Suspended")


def cancels(name: str, *, when: str = "") -> Step:
    return _edits(name, "is cancelled", {"spec": {"cancel": True}}, when)


def cancels_by_annotation(name: str, *, when: str = "") -> Step:
    change = {"metadata": {"annotations": {ANNOTATION_CANCEL: "true"}}}
    return _edits(name, "is cancelled by annotation", change, when)


def requeues(name: str, *, when: str, value: str = "1") -> Step:
    change = {"metadata": {"annotations": {ANNOTATION_REQUEUE: value}}}
    return _edits(name, f"is requeued ({value})", change, when)


def forgets_finalizers(name: str) -> Step:
    async def do(hand: Hand) -> None:
        uid = job_named(hand, name)["metadata"]["uid"]
        await patch_job(hand, name, {"metadata": {"finalizers": None}})
        await hand.until(lambda now: uid not in now.objects[CRAWLJOBS], f"{name} is gone")

    return Step(f"{name} loses its finalizers", do, lambda now: now.job(name) is not None)


def deletes(name: str, *, when: str = "") -> Step:
    """Delete a CrawlJob; `when` names the phase it must have reached."""

    async def do(hand: Hand) -> None:
        uid = job_named(hand, name)["metadata"]["uid"]
        await hand.stage.call("DELETE", CRAWLJOBS.path(hand.world.namespace, name))
        await hand.until(lambda now: leaving(now.objects[CRAWLJOBS].get(uid)), f"{name} is being deleted")

    return Step(f"{name} is deleted", do, lambda now: not when or now.phase(name) == when)


def deletes_worker(name: str, *, when: str = "Processing") -> Step:
    """Delete a job's pod; with time to end if it has started."""

    async def do(hand: Hand) -> None:
        pod = child_of(hand, PODS, name)
        uid = pod["metadata"]["uid"]
        await hand.stage.call("DELETE", PODS.path(hand.world.namespace, pod["metadata"]["name"]))
        await hand.until(lambda now: leaving(now.objects[PODS].get(uid)), "the pod is being deleted")

    return Step(
        f"the pod of {name} is deleted",
        do,
        lambda now: now.child(PODS, name) is not None and (not when or now.phase(name) == when),
    )


def forbids_workers() -> Step:
    """Let the cluster refuse any pod of the size that workers have."""

    async def do(hand: Hand) -> None:
        limit = {"type": "Container", "max": {"memory": "1Mi"}}
        body = {"metadata": {"name": "tiny"}, "spec": {"limits": [limit]}}
        await hand.stage.call("POST", f"/api/v1/namespaces/{hand.world.namespace}/limitranges", body)
        probe = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "probe", "image": "probe"}]}}
        probe["spec"]["containers"][0]["resources"] = {"limits": {"memory": "512Mi"}}  # type: ignore[index]
        while True:  # admission reads the limits from a watch of its own
            try:
                await hand.stage.call("POST", PODS.path(hand.world.namespace) + "?dryRun=All", probe)
            except AnsweredError:
                return

    return Step("workers are forbidden", do)


def allows_workers(waiting: str) -> Step:
    async def do(hand: Hand) -> None:
        # Changed, not deleted: where there is none, admission believes for 30 s what it saw before.
        path = f"/api/v1/namespaces/{hand.world.namespace}/limitranges/tiny"
        limit = {"type": "Container", "max": {"memory": "1Ti"}}
        await hand.stage.call("PATCH", path, {"spec": {"limits": [limit]}}, kind=MERGE)

    return Step(
        "workers are allowed",
        do,
        lambda now: now.condition(waiting, "Scheduled").get("reason") == "WorkerRefused",
        slow=True,
    )
