"""Observe, decide, act, for one schedule. What fails goes up to the loop that all kinds share."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from crawl_api.schedule import ScheduledCrawlJobStatus
from crawl_operator import events
from crawl_operator.decide.model import JobKey, RecordEvent
from crawl_operator.decide.run import Run, ScheduleKey
from crawl_operator.decide.schedule import decide
from crawl_operator.decide.schedule_model import DeleteRun, Schedule, ScheduleObservation, SchedulePlan, StartRun
from crawl_operator.kube import CRAWLJOBS, SCHEDULES, Kube, Object
from crawl_operator.kube_errors import AlreadyExistsError, ConflictError, NotFoundError, NotLeadingError, RefusedError
from crawl_operator.metrics import Metrics
from crawl_operator.patch import merge_patch
from crawl_operator.projection import job_of
from crawl_operator.runs import build_run
from crawl_operator.settings import Settings
from crawl_operator.store import Store

_log = logging.getLogger(__name__)

_CLOCK_SECONDS: Final = 10.0
_CLOCK_STEP: Final = 0.5


class RunRefusedError(RefusedError):
    """The cluster takes no run of a schedule: a quota, an admission policy, a name that is taken."""


class Scheduler:
    """Brings schedules a step further."""

    def __init__(
        self, store: Store, kube: Kube, settings: Settings, clock: Callable[[], datetime], metrics: Metrics
    ) -> None:
        self._store = store
        self._kube = kube
        self._policy = settings.policy
        self._clock = clock
        self._metrics = metrics
        self._asked: dict[str, JobKey] = {}  # schedule UID → the run that was asked for without an answer

    async def watch_clock(self) -> None:
        """Look at every schedule when the clock has stepped: what was to be waited for is reckoned anew."""
        ahead = self._clock().timestamp() - time.monotonic()
        while True:
            await asyncio.sleep(_CLOCK_SECONDS)
            now = self._clock().timestamp() - time.monotonic()
            if abs(now - ahead) > _CLOCK_STEP:
                _log.warning("the clock has stepped by %.1f s", now - ahead)
                self._store.schedules.wake_all()
            ahead = now

    async def reconcile(self, key: ScheduleKey) -> float | None:
        """Bring one schedule a step further; return in how many seconds to look again, if by the clock."""
        schedule = self._store.schedules.get(key)
        if schedule is None or schedule.deleting:
            return None
        await self._settle_asked(schedule)
        plan = self._decide(schedule)
        _log.debug("%s: %s", key, plan)
        try:
            await self._carry_out(schedule, plan)
        except RunRefusedError as error:
            await self._carry_out(schedule, self._decide(schedule, str(error)))
            raise
        return plan.requeue_after

    def _decide(self, schedule: Schedule, refusal: str = "") -> SchedulePlan:
        runs = self._store.schedules.runs(schedule)
        return decide(ScheduleObservation(schedule, runs, refusal), self._policy, self._clock())

    async def _settle_asked(self, schedule: Schedule) -> None:
        """Before anything is decided anew, find out whether a run that was asked for without an answer is there."""
        asked = self._asked.get(schedule.uid)
        if asked is None:
            return
        with contextlib.suppress(NotFoundError):
            self._store.put_job(job_of(await self._kube.get(CRAWLJOBS, asked.namespace, asked.name)))
        del self._asked[schedule.uid]

    async def _carry_out(self, schedule: Schedule, plan: SchedulePlan) -> None:
        if plan.status is not None:
            await self._write_status(schedule, plan.status)
        for action in plan.actions:
            match action:
                case StartRun():
                    await self._start(schedule, action)
                case DeleteRun():
                    await self._delete(action.run)
                case RecordEvent():
                    await events.post(self._kube, schedule, action, self._clock())

    async def _write_status(self, schedule: Schedule, status: ScheduledCrawlJobStatus) -> None:
        key, patch = schedule.key, merge_patch(_wire(schedule.status), _wire(status))
        try:
            body = await self._kube.patch_status(SCHEDULES, key.namespace, key.name, schedule.version, patch)
        except ConflictError:
            await self._read_again(schedule)
            raise
        except NotFoundError:
            self._store.schedules.remove(key, schedule.uid)
            return
        self._store.schedules.put(body)
        self._metrics.schedule_written(schedule.status, status)

    async def _read_again(self, schedule: Schedule) -> None:
        key = schedule.key
        try:
            body = await self._kube.get(SCHEDULES, key.namespace, key.name)
        except NotFoundError:
            self._store.schedules.remove(key, schedule.uid)
        else:
            self._store.schedules.put(body)

    async def _start(self, schedule: Schedule, start: StartRun) -> None:
        """Create a run, or adopt the one that an earlier, unanswered try has made."""
        wanted = build_run(schedule, start)
        name = wanted["metadata"]["name"]
        self._asked[schedule.uid] = JobKey(schedule.key.namespace, name)
        try:
            body = await self._kube.create(CRAWLJOBS, schedule.key.namespace, wanted)
        except AlreadyExistsError:
            body = await self._kube.get(CRAWLJOBS, schedule.key.namespace, name)
            if not _is_run(body, schedule, start):
                del self._asked[schedule.uid]
                raise RunRefusedError(f"{name} exists and is something else") from None
        except (NotLeadingError, RefusedError) as error:
            del self._asked[schedule.uid]
            raise error if isinstance(error, NotLeadingError) else RunRefusedError(str(error)) from error
        else:
            late = (self._clock() - start.slot).total_seconds() if start.slot is not None else None
            self._metrics.run_made(late)
            _log.info("%s: %s created", schedule.key, name)
        del self._asked[schedule.uid]
        self._store.put_job(job_of(body))

    async def _delete(self, run: Run) -> None:
        key = JobKey(run.schedule.namespace, run.name)
        try:
            gone = await self._kube.delete(CRAWLJOBS, key.namespace, key.name, run.uid)
        except NotFoundError:
            gone = True
        except ConflictError:
            if await self._lives(key, run.uid):
                raise
            gone = True
        else:
            _log.info("%s: %s deleted", run.schedule, run.name)
        if gone:
            self._store.remove_job(key, run.uid)

    async def _lives(self, key: JobKey, uid: str) -> bool:
        """Ask whether a run is there: who forgets one that is would never look at it again."""
        try:
            body = await self._kube.get(CRAWLJOBS, key.namespace, key.name)
        except NotFoundError:
            return False
        found: str = body["metadata"]["uid"]
        return found == uid


def _is_run(body: Object, schedule: Schedule, start: StartRun) -> bool:
    run = job_of(body).run
    return (
        run is not None
        and run.schedule_uid == schedule.uid
        and run.number > 0
        and (run.slot, run.trigger) == (start.slot, start.trigger)
    )


def _wire(status: ScheduledCrawlJobStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_defaults=True)
