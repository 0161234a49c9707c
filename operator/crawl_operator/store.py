"""What the operator has seen: jobs, their children and their schedules, never older than the operator's own last write.

The watches, the periodic relist and the answers to the operator's own writes all end here, in any order. Of two
versions of an object the later wins; what was seen deleted does not come back.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from crawl_api.status import Phase
from crawl_api.worker_protocol import ProgressReport
from crawl_operator.buried import Buried
from crawl_operator.decide.capacity import RunningLimits
from crawl_operator.decide.model import BatchJob, Child, Job, JobKey, WorkerPod
from crawl_operator.decide.run import ScheduleKey
from crawl_operator.dependents import Dependents
from crawl_operator.places import Places
from crawl_operator.schedules import Schedules

Key = JobKey | ScheduleKey
"""What names an object that is looked at."""


class WorkerState(StrEnum):
    """How far a live worker is."""

    STARTING = "Starting"
    RUNNING = "Running"
    ENDING = "Ending"


class Store:
    """Jobs, their children and their newest progress reports.

    Args:
        changed: called with the key of a job or schedule whenever something about it is new.
        limits: how many jobs may run at once.
        clock: tells the time.

    Attributes:
        places: who runs and who waits.
        phases: how many jobs there are in each phase, counted as they come and go.
        workers: how many pods live, by state, counted likewise.
    """

    def __init__(self, changed: Callable[[Key], None], limits: RunningLimits, clock: Callable[[], datetime]) -> None:
        self._changed = changed
        self.places = Places(limits, changed, clock)
        self.dependents = Dependents(changed)
        self._gone = Buried()
        self.schedules = Schedules(changed, self._gone)
        self.phases: Counter[Phase] = Counter()
        self.workers: Counter[WorkerState] = Counter()
        self._jobs: dict[JobKey, Job] = {}
        self._children: dict[JobKey, dict[str, tuple[str, Child]]] = {}  # key → child UID → (job UID, child)
        self._pods: dict[str, JobKey] = {}  # by pod UID
        self._reports: dict[str, tuple[int, ProgressReport]] = {}  # by job UID: attempt, report
        self.removed: dict[JobKey, set[str]] = {}
        """UIDs of jobs that are gone, or seem to be, until what they have stored is removed."""

    def job(self, key: JobKey) -> Job | None:
        """Return a job as last seen."""
        return self._jobs.get(key)

    def jobs(self) -> Iterator[Job]:
        """Iterate over all jobs."""
        return iter(self._jobs.values())

    def children(self, job: Job) -> tuple[tuple[WorkerPod, ...], tuple[BatchJob, ...]]:
        """Return the pods and batch Jobs that belong to this very job, not to a namesake before it."""
        own = [child for uid, child in self._children.get(job.key, {}).values() if uid == job.uid]
        pods = tuple(child for child in own if isinstance(child, WorkerPod))
        return pods, tuple(child for child in own if isinstance(child, BatchJob))

    def all_children(self, kind: type[Child]) -> dict[str, tuple[JobKey, Child]]:
        """Return UID → (job's key, child) of all children of a kind."""
        return {
            uid: (key, child)
            for key, siblings in self._children.items()
            for uid, (_, child) in siblings.items()
            if isinstance(child, kind)
        }

    def worker(self, pod_uid: str) -> tuple[JobKey, str, WorkerPod] | None:
        """Return the key and UID of the job that a pod works for, and the pod."""
        key = self._pods.get(pod_uid)
        if key is None:
            return None
        match self._children.get(key, {}).get(pod_uid):
            case (str() as job_uid, WorkerPod() as pod):
                return key, job_uid, pod
            case _:
                return None

    def report(self, job: Job) -> ProgressReport | None:
        """Return the newest progress report of the attempt that is not over."""
        attempt, report = self._reports.get(job.uid, (0, None))
        return report if attempt > job.attempts_over else None

    def dependencies(self, job: Job) -> dict[str, Phase | None]:
        """Return the phases of the jobs that a job depends on, by name; None for one that is not there."""
        found = {name: self._jobs.get(JobKey(job.key.namespace, name)) for name in job.depends_on}
        return {name: other.phase if other is not None else None for name, other in found.items()}

    def buried(self, uid: str) -> bool:
        """Tell whether an object was seen deleted."""
        return uid in self._gone

    def knows(self, key: JobKey, uid: str, version: int) -> bool:
        """Tell whether a job, or a child of it, has been seen in this version or a later one."""
        job = self._jobs.get(key)
        if job is not None and job.uid == uid:
            return job.version >= version
        _, child = self._children.get(key, {}).get(uid, (None, None))
        return child is not None and child.version >= version

    def put_job(self, job: Job) -> bool:
        """Take a job's state as seen; False if it was known already, or is older than what is known."""
        before = self._jobs.get(job.key)
        if job.uid in self._gone or (before is not None and before.version >= job.version):
            return False
        self._jobs[job.key] = job
        self.phases[job.phase] += 1
        if before is not None:
            self.phases[before.phase] -= 1
        self._line_up(job)
        if job.phase.terminal:
            self._reports.pop(job.uid, None)
        if job.settled and job.key in self._children:
            self._children[job.key] = {
                uid: (owner, _kept_of(child, owner, job)) for uid, (owner, child) in self._children[job.key].items()
            }
        self.dependents.put(job)
        if before is not None and before.run is not None and before.uid != job.uid:
            self.schedules.remove_run(before.run)
        if job.run is not None:
            self.schedules.put_run(job.run)
        self._changed(job.key)
        return True

    def remove_job(self, key: JobKey, uid: str) -> None:
        """Take note that a job is gone."""
        self._gone.add(uid)
        job = self._jobs.get(key)
        if job is not None and job.uid == uid:
            del self._jobs[key]
            self.removed.setdefault(key, set()).add(uid)
            self.phases[job.phase] -= 1
            self._reports.pop(uid, None)
            self.places.leave(job)
            self.dependents.remove(key)
            if job.run is not None:
                self.schedules.remove_run(job.run)
            self._changed(key)

    def left_behind(self, key: JobKey, uid: str) -> None:
        """Take note that there is something stored of a job that may have gone while nobody watched."""
        job = self._jobs.get(key)
        if job is None or job.uid != uid:
            self.removed.setdefault(key, set()).add(uid)
            self._changed(key)

    def cleared(self, key: JobKey, uid: str) -> None:
        """Take note that what a job has stored, which is gone, was removed."""
        uids = self.removed.get(key, set())
        uids.discard(uid)
        if not uids:
            self.removed.pop(key, None)

    def put_child(self, key: JobKey, job_uid: str, child: Child) -> bool:
        """Take a child's state as seen; False if it was known already, or is older than what is known."""
        siblings = self._children.get(key, {})
        before = siblings.get(child.uid)
        if child.uid in self._gone or (before is not None and before[1].version >= child.version):
            return False
        self._children.setdefault(key, siblings)[child.uid] = (job_uid, _kept_of(child, job_uid, self._jobs.get(key)))
        self._count(child, 1)
        if before is not None:
            self._count(before[1], -1)
        if isinstance(child, WorkerPod):
            self._pods[child.uid] = key
        self._settle(key)
        self._changed(key)
        return True

    def remove_child(self, key: JobKey, uid: str) -> None:
        """Take note that a child is gone."""
        self._gone.add(uid)
        self._pods.pop(uid, None)
        siblings = self._children.get(key, {})
        before = siblings.pop(uid, None)
        if before is None:
            return
        self._count(before[1], -1)
        if not siblings:
            del self._children[key]
        self._settle(key)
        self._changed(key)

    def put_report(self, job: Job, attempt: int, report: ProgressReport) -> None:
        """Take the newest progress report of one of a job's attempts."""
        if attempt >= self._reports.get(job.uid, (0, None))[0]:
            self._reports[job.uid] = attempt, report
            self._changed(job.key)

    def return_place(self, job: Job) -> None:
        """Take a place back whose worker was never asked for: the job waits again."""
        self.places.release(job)
        if current := self._jobs.get(job.key):
            self._line_up(current)

    def _count(self, child: Child, number: int) -> None:
        if isinstance(child, WorkerPod) and not child.ended:
            started = WorkerState.RUNNING if child.started is not None else WorkerState.STARTING
            self.workers[WorkerState.ENDING if child.deleting else started] += number

    def _settle(self, key: JobKey) -> None:
        """Work out anew which jobs under this key have a live worker, and who of them waits for one."""
        siblings = self._children.get(key, {}).values()
        # The pod of a batch Job may end a moment before the Job itself does: the pod tells.
        pods = {(uid, child.attempt) for uid, child in siblings if isinstance(child, WorkerPod)}
        live = {
            uid: child.priority
            for uid, child in siblings
            if not child.ended and (isinstance(child, WorkerPod) or (uid, child.attempt) not in pods)
        }
        self.places.set_live(key, live)
        if job := self._jobs.get(key):
            self._line_up(job)

    def _line_up(self, job: Job) -> None:
        """Have a job stand in line exactly while it waits for a place: not while its attempt has a worker."""
        has_worker = any(
            uid == job.uid and child.attempt > job.attempts_over
            for uid, child in self._children.get(job.key, {}).values()
        )
        if job.phase is Phase.PENDING and not (job.deleting or has_worker or self.places.holds(job)):
            self.places.wait(job)
        else:
            self.places.leave(job)


def _kept_of(child: Child, owner: str, job: Job | None) -> Child:
    """Return what is kept of a child: of a pod that ended before all was settled with its job, not what it said then.

    One that changed later may have worked for a run that is not known yet.
    """
    if job is None or not job.settled or job.uid != owner or child.version > job.version:
        return child
    if not (isinstance(child, WorkerPod) and child.ended):
        return child
    return replace(child, started=None, finished=None, end_message="", termination_message="")
