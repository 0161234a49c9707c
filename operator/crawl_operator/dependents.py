"""Who waits for whom: so that a job's end wakes the jobs that depend on it."""

from collections.abc import Callable

from crawl_operator.decide.model import Job, JobKey


class Dependents:
    """The jobs that wait for others.

    Args:
        wake: called with the key of a waiting job when something has changed about what it waits for.
    """

    def __init__(self, wake: Callable[[JobKey], None]) -> None:
        self._wake = wake
        self._waits_for: dict[JobKey, tuple[str, ...]] = {}
        self._waited_for_by: dict[JobKey, set[JobKey]] = {}

    def waits_for(self, namespace: str, name: str) -> tuple[str, ...]:
        """Return the names of the jobs that a job waits for."""
        return self._waits_for.get(JobKey(namespace, name), ())

    def put(self, job: Job) -> None:
        """Take note of what a job waits for, and wake those that wait for it."""
        self._forget(job.key)
        if job.depends_on:
            self._waits_for[job.key] = job.depends_on
            for name in job.depends_on:
                self._waited_for_by.setdefault(JobKey(job.key.namespace, name), set()).add(job.key)
        self._wake_all(job.key)

    def remove(self, key: JobKey) -> None:
        """Take note that a job is gone, and wake those that wait for it."""
        self._forget(key)
        self._wake_all(key)

    def _forget(self, key: JobKey) -> None:
        for name in self._waits_for.pop(key, ()):
            awaited = JobKey(key.namespace, name)
            waiting = self._waited_for_by[awaited]
            waiting.discard(key)
            if not waiting:
                del self._waited_for_by[awaited]

    def _wake_all(self, key: JobKey) -> None:
        for waiting in self._waited_for_by.get(key, ()):
            self._wake(waiting)
