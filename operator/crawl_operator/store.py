"""What the operator has seen: jobs and their children, never older than the operator's own last write.

The watches, the periodic relist and the answers to the operator's own writes all end here, in any order. Of two
versions of an object the later wins; what was seen deleted does not come back.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from crawl_api.status import Phase
from crawl_api.worker_protocol import ProgressReport
from crawl_operator.decide.model import BatchJob, Child, Job, JobKey, WorkerPod
from crawl_operator.places import Places

_REMEMBERED_DELETIONS: Final = 10_000


class Store:
    """Jobs, their children and their newest progress reports.

    Args:
        changed: called with the key of a job whenever something about it is new.
        limit: jobs that may run at once.
    """

    def __init__(self, changed: Callable[[JobKey], None], limit: int) -> None:
        self._changed = changed
        self.places = Places(limit, changed)
        self._jobs: dict[JobKey, Job] = {}
        self._children: dict[JobKey, dict[str, tuple[str, Child]]] = {}  # key → child UID → (job UID, child)
        self._pods: dict[str, JobKey] = {}  # by pod UID
        self._reports: dict[str, ProgressReport] = {}  # by job UID
        self._gone: OrderedDict[str, None] = OrderedDict()  # UIDs of deleted objects

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

    def all_children(self, kind: type[Child]) -> dict[str, tuple[JobKey, int]]:
        """Return UID → (job's key, version) of all children of a kind."""
        return {
            uid: (key, child.version)
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
        """Return the newest progress report of a job."""
        return self._reports.get(job.uid)

    def buried(self, uid: str) -> bool:
        """Tell whether an object was seen deleted."""
        return uid in self._gone

    def put_job(self, job: Job) -> bool:
        """Take a job's state as seen; False if it was known already, or is older than what is known."""
        before = self._jobs.get(job.key)
        if job.uid in self._gone or (before is not None and before.version >= job.version):
            return False
        self._jobs[job.key] = job
        if before is not None and before.order != job.order:
            self.places.leave(before)
        self._line_up(job)
        if job.phase.terminal:
            self._reports.pop(job.uid, None)
        self._changed(job.key)
        return True

    def remove_job(self, key: JobKey, uid: str) -> None:
        """Take note that a job is gone."""
        self._bury(uid)
        job = self._jobs.get(key)
        if job is not None and job.uid == uid:
            del self._jobs[key]
            self._reports.pop(uid, None)
            self.places.leave(job)
            self._changed(key)

    def put_child(self, key: JobKey, job_uid: str, child: Child) -> bool:
        """Take a child's state as seen; False if it was known already, or is older than what is known."""
        siblings = self._children.get(key, {})
        before = siblings.get(child.uid)
        if child.uid in self._gone or (before is not None and before[1].version >= child.version):
            return False
        self._children.setdefault(key, siblings)[child.uid] = (job_uid, child)
        if isinstance(child, WorkerPod):
            self._pods[child.uid] = key
        self._settle(key)
        self._changed(key)
        return True

    def remove_child(self, key: JobKey, uid: str) -> None:
        """Take note that a child is gone."""
        self._bury(uid)
        self._pods.pop(uid, None)
        siblings = self._children.get(key, {})
        if siblings.pop(uid, None) is None:
            return
        if not siblings:
            del self._children[key]
        self._settle(key)
        self._changed(key)

    def put_report(self, job: Job, report: ProgressReport) -> None:
        """Take the newest progress report of a job's running attempt."""
        self._reports[job.uid] = report
        self._changed(job.key)

    def _settle(self, key: JobKey) -> None:
        """Work out anew which jobs under this key have a live worker, and who of them waits for one."""
        siblings = self._children.get(key, {}).values()
        # The pod of a batch Job may end a moment before the Job itself does: the pod tells.
        pods = {uid for uid, child in siblings if isinstance(child, WorkerPod)}
        live = {uid for uid, child in siblings if not child.ended and (isinstance(child, WorkerPod) or uid not in pods)}
        self.places.set_live(key, frozenset(live))
        if job := self._jobs.get(key):
            self._line_up(job)

    def _line_up(self, job: Job) -> None:
        """Have a job stand in line exactly while it waits for a place: not while it has, or has had, a worker."""
        has_worker = any(uid == job.uid for uid, _ in self._children.get(job.key, {}).values())
        if job.phase is Phase.PENDING and not (job.deleting or has_worker or self.places.holds(job)):
            self.places.wait(job)
        else:
            self.places.leave(job)

    def _bury(self, uid: str) -> None:
        self._gone[uid] = None
        while len(self._gone) > _REMEMBERED_DELETIONS:
            self._gone.popitem(last=False)
