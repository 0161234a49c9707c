"""What all requests share: the connection to the API server, what is in memory, who is who, who may what."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from crawl_api.names import PLURAL, SCHEDULE_PLURAL
from crawl_client.jobs import Jobs
from crawl_client.kubeconfig import Login
from crawl_client.schedules import Schedules
from crawl_client.transport import Transport
from crawl_gateway.entries import job_entry, schedule_entry
from crawl_gateway.identity import Caller, Identity
from crawl_gateway.jobs import JobDesk
from crawl_gateway.limits import Limiter
from crawl_gateway.metrics import Metrics
from crawl_gateway.mirrors import Mirrors, run_all
from crawl_gateway.places import Places
from crawl_gateway.rights import Rights
from crawl_gateway.schedules import ScheduleDesk
from crawl_gateway.settings import Settings
from crawl_gateway.statistics import HOLDS_SECONDS, Counts
from crawl_gateway.stored import Stored


class Core:
    """The parts of one gateway, put together.

    Args:
        settings: how.
        login: where the API server is, and who the gateway is there.
    """

    def __init__(self, settings: Settings, login: Login) -> None:
        self.settings = settings
        self.transport = Transport(login, timeout=settings.request_timeout_seconds, retries=2, parallel=64)
        self.client_jobs = Jobs(self.transport)
        self.client_schedules = Schedules(self.transport)
        self.results = Stored(self.transport, self.client_jobs, settings.results_url)
        self.identity = Identity(self.transport, settings.audiences, settings.token_seconds, settings.anonymous)
        self.rights = Rights(self.transport, settings.rights_seconds)
        self.limiter = Limiter(settings.requests_per_second, settings.burst)
        kept = (settings.namespaces, settings.remembered_changes)
        self.jobs = Mirrors(self.transport, self.client_jobs.objects, PLURAL, job_entry, *kept)
        self.schedules = Mirrors(self.transport, self.client_schedules.objects, SCHEDULE_PLURAL, schedule_entry, *kept)
        self._counts = Counts(HOLDS_SECONDS)
        self.metrics = Metrics()
        self.metrics.watch(self.jobs, self.schedules)
        self.streams = Places(settings.streams_per_caller)
        self.stopping = asyncio.Event()
        """Set when the process has been told to end: streams do."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, and keep what is in memory up to date meanwhile."""
        async with self.transport:
            keeping = [
                asyncio.create_task(run_all(self.jobs, self.schedules)),
                asyncio.create_task(self._end_streams()),
            ]
            try:
                yield
            finally:
                for task in keeping:
                    task.cancel()
                await asyncio.gather(*keeping, return_exceptions=True)
                await self.results.aclose()

    async def _end_streams(self) -> None:
        await self.stopping.wait()
        self.jobs.wake()
        self.schedules.wake()

    def job_desk(self, caller: Caller, namespace: str) -> JobDesk:
        """Return what a caller does to the jobs of a namespace.

        Raises:
            RefusedError: the namespace is not served, or not yet.
        """
        return JobDesk(
            caller=caller,
            namespace=namespace,
            rights=self.rights,
            resource=PLURAL,
            objects=self.client_jobs.objects,
            mirror=self.jobs.of(namespace),
            jobs=self.client_jobs,
            counts=self._counts,
        )

    def schedule_desk(self, caller: Caller, namespace: str) -> ScheduleDesk:
        """Return what a caller does to the schedules of a namespace."""
        return ScheduleDesk(
            caller=caller,
            namespace=namespace,
            rights=self.rights,
            resource=SCHEDULE_PLURAL,
            objects=self.client_schedules.objects,
            mirror=self.schedules.of(namespace),
            schedules=self.client_schedules,
        )
