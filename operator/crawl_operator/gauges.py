"""Prometheus metrics of what is so at the moment of a scrape, read from where it is known; nothing is walked for it."""

from collections.abc import Callable
from functools import partial

from prometheus_client import Gauge

from crawl_api.crawljob import Priority
from crawl_api.status import Phase
from crawl_operator.metrics import Metrics
from crawl_operator.queue import WorkQueue
from crawl_operator.schedules import ScheduleState
from crawl_operator.store import Key, Store, WorkerState
from crawl_operator.watch_guard import WatchGuard


def expose(
    metrics: Metrics, store: Store, queue: WorkQueue[Key], guard: WatchGuard, standby: Callable[[], str]
) -> None:
    """Have every scrape read these; `standby` says why this operator does not lead, and nothing where it does."""

    def gauge(name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"crawl_operator_{name}", meaning, labels, registry=metrics.registry)

    jobs = gauge("jobs", "CrawlJobs there are, by phase.", "phase")
    for phase in Phase:
        jobs.labels(phase).set_function(partial(store.phases.__getitem__, phase))
    waiting = gauge("jobs_waiting", "Jobs that wait for a place to run.", "priority")
    running = gauge("jobs_running", "Jobs that hold a place: their worker lives or is being created.", "priority")
    for priority in Priority:
        waiting.labels(priority).set_function(partial(store.places.waiting_of, priority))
        running.labels(priority).set_function(partial(store.places.held_by, priority))
    gauge("places", "Jobs that may run at once (limits.running).").set_function(lambda: store.places.limits.total)
    workers = gauge("workers", "Worker pods that have not ended.", "state")
    for state in WorkerState:
        workers.labels(state).set_function(partial(store.workers.__getitem__, state))
    schedules = gauge("schedules", "ScheduledCrawlJobs there are, by state.", "state")
    for condition in ScheduleState:
        schedules.labels(condition).set_function(partial(store.schedules.states.__getitem__, condition))
    gauge("queue_depth", "Jobs that are to be looked at now.").set_function(lambda: len(queue))
    gauge(
        "queue_oldest_age_seconds", "For how long the job that waits longest, or is in hand longest, does."
    ).set_function(queue.oldest_age)
    watched = gauge("watch_age_seconds", "Time since the watch has delivered anything.", "resource")
    listed = gauge("relist_age_seconds", "Time since a list was last compared with the watch.", "resource")
    for kind in guard.kinds:
        watched.labels(kind.plural).set_function(partial(guard.watch_age, kind))
        listed.labels(kind.plural).set_function(partial(guard.relist_age, kind))
    gauge("leader", "1 if this operator may act, 0 if it stands by.").set_function(lambda: 0 if standby() else 1)
