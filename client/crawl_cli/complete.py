"""Live names for the shell's completion. It never fails and never takes long: nothing is better than an error there."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

_SECONDS: Final = 2.0
_MOST: Final = 200


def jobs(incomplete: str) -> list[tuple[str, str]]:
    """Names of jobs, with phase and type."""

    async def found(client: Any) -> AsyncIterator[tuple[str, str]]:
        async for job in client.jobs.iterate():
            yield job.name, f"{job.type} {job.phase}"

    return _names(incomplete, found)


def schedules(incomplete: str) -> list[tuple[str, str]]:
    """Names of schedules, with their lines."""

    async def found(client: Any) -> AsyncIterator[tuple[str, str]]:
        async for schedule in client.schedules.iterate():
            yield schedule.name, schedule.cron

    return _names(incomplete, found)


def dead_letters(incomplete: str) -> list[tuple[str, str]]:
    """Names of dead letters, with their last error."""

    async def found(client: Any) -> AsyncIterator[tuple[str, str]]:
        async for job in client.dead_letters.iterate():
            yield job.name, job.last_error[:60]

    return _names(incomplete, found)


def namespaces(incomplete: str) -> list[tuple[str, str]]:
    """Names of namespaces."""

    async def found(client: Any) -> AsyncIterator[tuple[str, str]]:
        for name in await client.namespaces():
            yield name, ""

    return _names(incomplete, found)


def kube_contexts(incomplete: str) -> list[str]:
    """Names of the kubeconfig's contexts."""
    from crawl_client.kubeconfig import contexts

    return [name for name in contexts(_given("--kubeconfig")) if name.startswith(incomplete)]


def _names(incomplete: str, found: Callable[[Any], AsyncIterator[tuple[str, str]]]) -> list[tuple[str, str]]:
    from crawl_client.client import CrawlClient

    names: list[tuple[str, str]] = []

    async def ask() -> None:
        opened = CrawlClient(
            kubeconfig=_given("--kubeconfig"),
            context=_given("--context"),
            namespace=_given("--namespace") or _given("-n"),
            retries=0,
        )
        async with asyncio.timeout(_SECONDS), opened as client:
            async for name, meaning in found(client):
                if name.startswith(incomplete):
                    names.append((name, meaning))
                if len(names) >= _MOST:
                    return

    with contextlib.suppress(Exception):  # see the module
        asyncio.run(ask())
    return names


_line: list[str] = []


def take_line(words: list[str]) -> None:
    """Remember the words of the line that is completed: its flags say which cluster is meant."""
    _line[:] = words


def _given(flag: str) -> str | None:
    line = _line or (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split()
    for word, after in zip(line, [*line[1:], ""], strict=True):
        if word == flag:
            return after or None
        if word.startswith(f"{flag}=") and flag.startswith("--"):
            return word.partition("=")[2]
    return None
