"""The parts of one operator, joined: all but its process, its watches and its way to the API server."""

from collections.abc import Callable
from datetime import datetime

from crawl_api.crawljob import Priority
from crawl_operator.decide.run import ScheduleKey
from crawl_operator.forwarding import Forwarder
from crawl_operator.gauges import expose
from crawl_operator.health import HealthApi
from crawl_operator.kube import SCHEDULES, Kube
from crawl_operator.metrics import Metrics
from crawl_operator.page_cache import PageCache
from crawl_operator.queue import WorkQueue
from crawl_operator.reconciler import Reconciler, utc_now
from crawl_operator.result_api import ResultApi
from crawl_operator.results import ResultStore
from crawl_operator.settings import Settings
from crawl_operator.store import Key, Store
from crawl_operator.tokens import TokenVerifier
from crawl_operator.watch_guard import KINDS, WatchGuard
from crawl_operator.worker_api import Keeping, WorkerApi


class Assembly:
    """An operator's parts; to be made inside the event loop that they live in.

    Args:
        settings: its configuration.
        kube: its client of the API server.
        metrics: what counts; by default an object of its own.
        standby: says who acts in its place; empty while it acts itself.
        clock: returns the time that decisions go by.
        forwarder: how it reaches the operator that acts in its place.

    Raises:
        OSError: the result folder cannot be made.
    """

    def __init__(  # noqa: PLR0913 - here all parts are joined
        self,
        settings: Settings,
        kube: Kube,
        metrics: Metrics | None = None,
        standby: Callable[[], str] = str,
        clock: Callable[[], datetime] = utc_now,
        *,
        forwarder: Forwarder | None = None,
    ) -> None:
        metrics = metrics or Metrics()
        self.queue: WorkQueue[Key] = WorkQueue(self._urgent)
        self.store = Store(self.queue.add, settings.running_limits, clock)
        results = ResultStore(
            settings.results.folder,
            max_bytes=settings.results.max_bytes,
            inline_limit=settings.results.inline_limit_bytes,
        )
        cache = PageCache(settings.results.folder, settings.results.cache_bytes)
        kinds = [kind for kind in KINDS if kind is not SCHEDULES or settings.scheduler.enabled]
        self.guard = WatchGuard(
            self.store, kube, settings.namespaces, settings.reconcile.relist_seconds, metrics, kinds
        )
        self.reconciler = Reconciler(self.store, self.queue, kube, results, settings, clock, metrics)

        def closed() -> str:
            return "" if forwarder is not None and forwarder.url else standby()

        self.probes = HealthApi(self.guard, self.queue, metrics, closed).application()
        worker_api = WorkerApi(self.store, TokenVerifier(kube.read), Keeping(results, cache), metrics, standby)
        self.reports = worker_api.application(*([forwarder.middleware] if forwarder is not None else []))
        downloads = ResultApi(kube, results, settings.downloads, namespaces=settings.namespaces, metrics=metrics)
        downloads.add_to(self.reports)
        expose(metrics, self.store, self.queue, self.guard, standby)

    def lead(self) -> None:
        """Begin to act, all that exists having been seen: places are given, and every object is looked at.

        One that has ended long ago may be kept no longer, and of one that is gone something may be stored.
        """
        self.store.places.open()
        for job in self.store.jobs():
            self.queue.add(job.key)
        for key in tuple(self.store.removed):
            self.queue.add(key)
        self.store.schedules.wake_all()

    def _urgent(self, key: Key) -> bool:
        if isinstance(key, ScheduleKey):
            return True  # it keeps a time
        job = self.store.job(key)
        return job is not None and job.priority is Priority.CRITICAL
