"""What the API server of the cluster holds in one namespace, moment by moment, as its own watches tell it.

Versions of objects of all kinds come from one counter here (one etcd), so that what the watches told can be put into
the one order in which it happened, and every moment of it can be judged.
"""

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from clock import Clock

from crawl_api.names import KIND, LABEL_ATTEMPT, LABEL_JOB_UID, LABEL_SCHEDULE, SCHEDULE_KIND
from crawl_api.status import TERMINAL_PHASES
from crawl_operator.kube import BATCH_JOBS, CRAWLJOBS, PODS, SCHEDULES, Resource

Object = Mapping[str, Any]

KINDS: Final[Mapping[Resource, str]] = {
    SCHEDULES: SCHEDULE_KIND,
    CRAWLJOBS: KIND,
    PODS: "Pod",
    BATCH_JOBS: "Job",
}
"""What is watched; the operator's own kinds are the custom ones among it."""

TERMINAL: Final = frozenset(phase.value for phase in TERMINAL_PHASES)


@dataclass(frozen=True)
class Seen:
    """One event of a watch."""

    resource: Resource
    gone: bool
    body: Object
    at: datetime | None = None
    """The trial's time when it was told."""

    @property
    def uid(self) -> str:
        uid: str = self.body["metadata"]["uid"]
        return uid

    @property
    def version(self) -> int:
        return int(self.body["metadata"]["resourceVersion"])

    def __str__(self) -> str:
        what = "gone" if self.gone else phase_of(self.body) or "seen"
        return f"{self.resource.plural} {self.body['metadata']['name']} {what} ({self.version})"


@dataclass
class Picture:
    """The objects of one moment."""

    objects: dict[Resource, dict[str, Object]] = field(default_factory=lambda: {resource: {} for resource in KINDS})
    names: dict[str, str] = field(default_factory=dict)
    """UID of every CrawlJob there was → what stories call it: a run by its schedule and which of its runs it was."""

    def take(self, seen: Seen) -> None:
        if seen.resource is CRAWLJOBS and seen.uid not in self.names:
            self.names[seen.uid] = self._name(seen.body)
        if seen.gone:
            self.objects[seen.resource].pop(seen.uid, None)
        else:
            self.objects[seen.resource][seen.uid] = seen.body

    def copy(self) -> "Picture":
        return Picture({resource: dict(known) for resource, known in self.objects.items()}, dict(self.names))

    def job(self, name: str) -> Object | None:
        """Return the CrawlJob that stories call so; of `*`, the one whose worker has not ended."""
        if name == "*":
            return next(
                (self.objects[CRAWLJOBS][uid] for uid in self.workers() if uid in self.objects[CRAWLJOBS]), None
            )
        return next((each for uid, each in self.objects[CRAWLJOBS].items() if self.names[uid] == name), None)

    def schedule(self, name: str) -> Object | None:
        """Return the ScheduledCrawlJob of that name."""
        return next((each for each in self.objects[SCHEDULES].values() if each["metadata"]["name"] == name), None)

    @property
    def phases(self) -> dict[str, str]:
        """Return name → phase of all CrawlJobs."""
        return {self.names[uid]: phase_of(each) for uid, each in self.objects[CRAWLJOBS].items()}

    def phase(self, name: str) -> str:
        job = self.job(name)
        return phase_of(job) if job is not None else ""

    def condition(self, name: str, kind: str) -> Object:
        job = self.job(name)
        conditions = job.get("status", {}).get("conditions", ()) if job is not None else ()
        return next((each for each in conditions if each["type"] == kind), {})

    def _name(self, job: Object) -> str:
        schedule = (job["metadata"].get("labels") or {}).get(LABEL_SCHEDULE)
        if schedule is None:
            name: str = job["metadata"]["name"]
            return name
        runs = sum(name.startswith(f"{schedule}-") for name in self.names.values())
        return f"{schedule}-{runs + 1}"

    def children(self, resource: Resource, name: str) -> list[Object]:
        """Return the pods or batch Jobs of the CrawlJob of that name, latest attempt last."""
        job = self.job(name)
        uid = job["metadata"]["uid"] if job is not None else "-"
        own = (each for each in self.objects[resource].values() if job_uid(each) == uid)
        return sorted(own, key=lambda each: (attempt_of(each), int(each["metadata"]["resourceVersion"])))

    def child(self, resource: Resource, name: str) -> Object | None:
        """Return the latest pod or batch Job of the CrawlJob of that name that nobody is deleting."""
        return next((each for each in reversed(self.children(resource, name)) if not leaving(each)), None)

    def live(self) -> Iterator[Object]:
        """Iterate over the children that run, or are about to; where a batch Job has a pod, the pod tells."""
        pods = self.objects[PODS].values()
        for each in itertools.chain(pods, self.objects[BATCH_JOBS].values()):
            if not job_uid(each) or ended(each):
                continue
            if each["kind"] == "Pod" or not any(owner_uid(pod) == each["metadata"]["uid"] for pod in pods):
                yield each

    def workers(self) -> dict[str, set[str]]:
        """Return the UIDs of jobs that a worker runs for, or is about to, and of which children."""
        found: dict[str, set[str]] = {}
        for each in self.live():
            found.setdefault(job_uid(each), set()).add(each["metadata"]["uid"])
        return found


class World:
    """One namespace: what is in it now, all that ever was, and what a watch still owes."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.clock = Clock()
        self.now = Picture()
        self.history: list[Seen] = []
        self.listeners: list[Callable[[Seen], None]] = []
        self.late: set[str] = set()
        """Names of what an operator had asked for that was overtaken before it came to be."""
        self._versions: dict[str, int] = {}
        self._gone: set[str] = set()
        self._owed: dict[str, int] = {}  # UID → the version that is to be told

    def see(self, resource: Resource, body: Object, *, gone: bool) -> None:
        """Take what a watch tells."""
        seen = Seen(resource, gone, body, self.clock.now())
        self.history.append(seen)
        self.now.take(seen)
        self._versions[seen.uid] = seen.version
        if seen.gone:
            self._gone.add(seen.uid)
        if seen.gone or self._owed.get(seen.uid, sys.maxsize) <= seen.version:
            self._owed.pop(seen.uid, None)
        for listener in list(self.listeners):
            listener(seen)

    def expect(self, answer: Object) -> None:
        """Take note of what a write was answered with: the watch will tell the same."""
        # What another deletes at the same moment may be answered without a version.
        if answer.get("kind") in KINDS.values() and "resourceVersion" in answer["metadata"]:
            self._owe(answer["metadata"]["uid"], int(answer["metadata"]["resourceVersion"]))

    def expect_gone(self, uid: str) -> None:
        """Take note of a deletion: the watch will tell it."""
        self._owe(uid, sys.maxsize)

    @property
    def caught_up(self) -> bool:
        """Whether the watches have told all that was written."""
        return not self._owed

    def _owe(self, uid: str, version: int) -> None:
        if uid not in self._gone and self._versions.get(uid, 0) < version:
            self._owed[uid] = max(version, self._owed.get(uid, 0))

    def moments(self) -> Iterator[tuple[Seen, Picture, Picture]]:
        """Yield every change in the order in which it happened, with the picture before and after it."""
        before = Picture()
        for seen in sorted(self.history, key=lambda each: each.version):
            after = before.copy()
            after.take(seen)
            yield seen, before, after
            before = after


def phase_of(body: Object) -> str:
    phase: str = (body.get("status") or {}).get("phase", "")
    return phase


def ended(child: Object) -> bool:
    """Tell whether a pod or batch Job will run no more."""
    if child["kind"] == "Pod":
        return phase_of(child) in {"Succeeded", "Failed"}
    conditions = (child.get("status") or {}).get("conditions") or ()
    return any(each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in conditions)


def leaving(body: Object | None) -> bool:
    """Tell whether an object is being deleted, or gone."""
    return body is None or "deletionTimestamp" in body["metadata"]


def job_uid(child: Object) -> str:
    """Return the UID of the CrawlJob that a child works for; empty for what is no child."""
    uid: str = child["metadata"].get("labels", {}).get(LABEL_JOB_UID, "")
    return uid


def attempt_of(child: Object) -> int:
    """Return the attempt that a child runs; 0 for what is no child."""
    return int(child["metadata"].get("labels", {}).get(LABEL_ATTEMPT, 0))


def owner_uid(body: Object) -> str:
    return next((each["uid"] for each in body["metadata"].get("ownerReferences", ())), "")


def owner_kind(body: Object) -> str:
    return next((each["kind"] for each in body["metadata"].get("ownerReferences", ())), "")
