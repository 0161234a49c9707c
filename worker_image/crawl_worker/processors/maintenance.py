"""`Maintenance`: clean up what crawls leave behind, see whether all that they need is there, tell what can be run."""

import shutil
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from crawl_api.job_types import MaintenanceRun
from crawl_api.worker_protocol import Cleaning, Leftover
from crawl_worker.context import Context
from crawl_worker.errors import PageError
from crawl_worker.extract.pages import Kind
from crawl_worker.extract.pool import Source
from crawl_worker.fetch.urls import normalise
from crawl_worker.findings import Finding
from crawl_worker.operator_client import RejectedError
from crawl_worker.processors.custom import CustomProcessor, InvalidJobError, catalogue, checked, described, run
from crawl_worker.records import Record
from crawl_worker.store import StoreUnavailableError

_PROBE: Final = "0" * 64
"""A key that no URL has."""
_LEAST_DISK: Final = 16 << 20


class _Parameters(BaseModel):
    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, alias_generator=to_camel, populate_by_name=True
    )


class CacheCleanup(_Parameters):
    """Remove answers from the cache of the namespace."""

    older_than_seconds: Annotated[int, Field(ge=0)] = 3600
    """What is younger stays; 0 empties the cache."""


class ResultCleanup(_Parameters):
    """Remove results of the namespace: in the operator's store those of jobs that are gone, in another one all."""

    older_than_seconds: Annotated[int, Field(ge=0)] = 30 * 86400
    """What is younger stays."""


class HealthCheck(_Parameters):
    """See whether store, disk and extraction work, and whether sites can be reached."""

    urls: Annotated[list[str], Field(max_length=50)] = []
    """Sites to fetch a page of."""


class ListProcessors(_Parameters):
    """Tell the processors of the worker's image and the maintenance tasks, with the schemas of their parameters."""


async def _clean(what: Leftover, task: str, seconds: int, context: Context) -> AsyncGenerator[Record, None]:
    try:
        cleaned = await context.store.clean(Cleaning(what=what, older_than_seconds=seconds))
    except StoreUnavailableError as error:
        yield _failed(context, task, PageError("StoreUnavailable", str(error), retryable=True))
    except RejectedError as error:
        yield _failed(context, task, PageError("StoreRejected", str(error)))
    else:
        yield Record(url=_name(task), data=cleaned.model_dump(by_alias=True))


def _cache_cleanup(parameters: CacheCleanup, context: Context) -> AsyncGenerator[Record, None]:
    return _clean(Leftover.CACHE, "cache_cleanup", parameters.older_than_seconds, context)


def _result_cleanup(parameters: ResultCleanup, context: Context) -> AsyncGenerator[Record, None]:
    return _clean(Leftover.RESULTS, "result_cleanup", parameters.older_than_seconds, context)


async def _health_check(parameters: HealthCheck, context: Context) -> AsyncGenerator[Record, None]:
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "store": lambda: _store(context),
        "disk": lambda: _disk(context),
        "extraction": lambda: _extraction(context),
    }
    checks |= {url: _site(context, url) for url in parameters.urls}
    for name, check in checks.items():
        started = time.monotonic()
        try:
            await check()
        except PageError as error:
            yield _failed(context, f"health_check:{name}", error)
        else:
            elapsed = round((time.monotonic() - started) * 1000)
            yield Record(url=_name(f"health_check:{name}"), data={"healthy": True}, elapsed_ms=elapsed)


async def _store(context: Context) -> None:
    written = datetime.now(UTC).isoformat().encode()
    try:
        await context.store.keep_cached(_PROBE, written)
        if await context.store.cached(_PROBE) is None:
            raise PageError("Unhealthy", "the store does not give back what was written", retryable=True)
    except StoreUnavailableError as error:
        raise PageError("Unhealthy", f"the store: {error}", retryable=True) from error


async def _disk(context: Context) -> None:
    free = shutil.disk_usage(context.work_dir).free
    if free < _LEAST_DISK:
        raise PageError("Unhealthy", f"{free} bytes are left on the worker's disk", retryable=True)


async def _extraction(context: Context) -> None:
    page = await context.extract(Source("http://page/", "text/html", Kind.HTML, b"<title>healthy</title>"))
    if page.title != "healthy":
        raise PageError("Unhealthy", "a page is not read as it should be")


def _site(context: Context, url: str) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        page = await context.fetch(normalise(url))
        if page.error is not None:
            raise page.error

    return check


async def _list_processors(_parameters: ListProcessors, context: Context) -> AsyncGenerator[Record, None]:
    for each in catalogue():
        yield Record(url=f"processor:{each['name']}", data=each)
    for name, task in TASKS.items():
        yield Record(url=_name(name), data=described(name, task))


def _failed(context: Context, task: str, error: PageError) -> Record:
    name = _name(task)
    return Record(url=name, error=error.job_error(name, context.job.attempt))


def _name(task: str) -> str:
    return f"maintenance:{task}"


TASKS: Final[Mapping[str, CustomProcessor]] = MappingProxyType(
    {
        "cache_cleanup": CustomProcessor(CacheCleanup, _cache_cleanup, examples=({"olderThanSeconds": 86400},)),
        "health_check": CustomProcessor(HealthCheck, _health_check, examples=({"urls": ["https://example.org/"]},)),
        "list_processors": CustomProcessor(ListProcessors, _list_processors),
        "result_cleanup": CustomProcessor(ResultCleanup, _result_cleanup),
    }
)


async def maintenance(context: Context) -> AsyncGenerator[Finding, None]:
    """Yield what the task tells."""
    wanted = context.job.maintenance
    assert wanted is not None  # noqa: S101 (checked with the assignment)
    async for finding in run(*chosen(wanted), context):
        yield finding


def chosen(wanted: MaintenanceRun) -> tuple[CustomProcessor, BaseModel]:
    """Return the task that a job names, and its parameters, defaults included.

    Raises:
        InvalidJobError: there is none of that name, or the parameters do not fit, with all errors.
    """
    task = TASKS.get(wanted.task)
    if task is None:
        raise InvalidJobError(f"no maintenance task is called {wanted.task}; there are: {', '.join(TASKS)}")
    return task, checked(task.parameters, wanted.parameters, "maintenance")


def told(parameters: BaseModel) -> dict[str, Any]:
    """Return parameters as a status shows them."""
    return parameters.model_dump(mode="json", by_alias=True)
