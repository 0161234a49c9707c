"""The parts of an operator, joined: all of it but its process, its watches and its credentials."""

from crawl_operator.decide.model import JobKey
from crawl_operator.health import HealthApi
from crawl_operator.kube import Kube
from crawl_operator.queue import WorkQueue
from crawl_operator.reconciler import Reconciler
from crawl_operator.results import ResultStore
from crawl_operator.settings import Settings
from crawl_operator.store import Store
from crawl_operator.tokens import TokenVerifier
from crawl_operator.watch_guard import WatchGuard
from crawl_operator.worker_api import WorkerApi


class Assembly:
    """One operator's memory and everything that works on it; made anew, it knows nothing.

    Args:
        settings: how it shall behave.
        kube: an open client of the API server.

    Raises:
        OSError: the result folder cannot be made.
    """

    def __init__(self, settings: Settings, kube: Kube) -> None:
        self.queue: WorkQueue[JobKey] = WorkQueue()
        self.store = Store(self.queue.add, settings.limits.running)
        results = ResultStore(
            settings.results.folder,
            max_bytes=settings.results.max_bytes,
            inline_limit=settings.results.inline_limit_bytes,
        )
        self.guard = WatchGuard(self.store, kube, settings.namespaces, settings.reconcile.relist_seconds)
        self.probes = HealthApi(self.guard, self.queue).application()
        self.reports = WorkerApi(self.store, TokenVerifier(kube.read), results).application()
        self.reconciler = Reconciler(self.store, self.queue, kube, results, settings)
