"""The extraction processes: started when needed, killed at their time limit, replaced, and never left behind.

An own small protocol rather than a pool library: what is needed is one pipe to each process, from the event loop,
without the helper threads, locks and semaphores that pools bring and that a killed process can leave broken.
"""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from crawl_api.options import ExtractOptions
from crawl_worker.errors import PageError
from crawl_worker.extract.pages import Kind
from crawl_worker.extract.process import EXTRACTED, HEADER, LENGTH, READY
from crawl_worker.extract.sitemaps import SitemapLinks
from crawl_worker.records import Extracted

_M = TypeVar("_M", bound=BaseModel)

_CODES: Final = frozenset({"SelectorRequired", "PdfEncrypted", "PdfBroken"})
"""Errors that a parser may report by name."""
_PIPE_BYTES: Final = 1 << 20
"""Room for a page, so that neither side waits in the middle of most."""
_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 2.0
_MAX_ANSWER: Final = 256 << 20
"""Above what the bounded texts of one page can come to."""
_PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR")
"""Environment that an extraction process gets: nothing that leads to a credential."""


Options = dict[str, Any]
"""What to take from a page, as JSON."""


@dataclass(frozen=True)
class Source:
    """A page as it was received."""

    url: str
    content_type: str
    kind: Kind
    body: bytes


class Extractors:
    """Up to `limit` extraction processes.

    Args:
        options: what to take from each page.
        limit: processes at most.
        seconds: time limit of one page.
        memory: bytes of data that one process may allocate.
    """

    def __init__(self, options: ExtractOptions, *, limit: int, seconds: float, memory: int) -> None:
        self._options = _wire(options)
        self._starting = asyncio.Lock()
        self._turns = asyncio.Semaphore(limit)
        self._seconds = seconds
        self._memory = memory
        self._idle: list[Process] = []
        self._all: set[Process] = set()

    async def warm_up(self) -> None:
        """Start the first process while the first page is still on its way."""
        async with self._turns:
            with contextlib.suppress(PageError):  # the first page will meet it again, and tell
                self._idle.append(await self._take())

    async def extract(self, source: Source, options: ExtractOptions | None = None) -> Extracted:
        """Take from a page what the job asks for, or what these options say.

        Raises:
            PageError: ExtractionTimeout, ExtractionFailed, SelectorRequired.
        """
        return await self._read(source, Extracted, self._options if options is None else _wire(options))

    async def sitemap(self, url: str, body: bytes) -> SitemapLinks:
        """Return what a sitemap lists.

        Raises:
            PageError: ExtractionTimeout, ExtractionFailed.
        """
        return await self._read(Source(url, "", Kind.SITEMAP, body), SitemapLinks, self._options)

    async def _read(self, source: Source, model: type[_M], options: Options) -> _M:
        async with self._turns:
            process = await self._take()
            healthy = False
            try:
                async with asyncio.timeout(self._seconds):
                    answer = await self._ask(process, source, options)
                healthy = True
            except TimeoutError:
                raise PageError("ExtractionTimeout", f"not read within {self._seconds:g} s") from None
            except (OSError, EOFError, ValueError):
                raise PageError("ExtractionFailed", f"the process that read it {await _ending(process)}") from None
            finally:
                if healthy:
                    self._idle.append(process)
                else:
                    self._kill(process)
        return _parse(answer, model)

    async def close(self) -> None:
        """Kill all processes and wait until they are gone."""
        for process in self._all:
            self._kill(process)
        if self._all:
            await asyncio.wait([asyncio.create_task(process.wait()) for process in self._all], timeout=_END_SECONDS)

    async def _take(self) -> Process:
        # Behind a lock, so that whoever comes while a process starts takes that one and starts no second.
        async with self._starting:
            return self._idle.pop() if self._idle else await self._start()

    async def _start(self) -> Process:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "crawl_worker.extract.process", str(os.getpid()), str(self._memory)),
                stdin=PIPE,
                stdout=PIPE,
                limit=_PIPE_BYTES,
                pipesize=_PIPE_BYTES,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            )
        except OSError as error:
            raise PageError("ExtractionFailed", f"no process to read it: {error}", retryable=True) from error
        self._all.add(process)
        ready = False
        try:
            async with asyncio.timeout(_START_SECONDS):
                ready = await _receive(process) == READY
        except (OSError, EOFError, TimeoutError) as error:
            raise PageError("ExtractionFailed", "the process to read it did not start", retryable=True) from error
        finally:
            if not ready:
                self._kill(process)
        return process

    async def _ask(self, process: Process, source: Source, options: Options) -> bytes:
        head = json.dumps(
            {"url": source.url, "contentType": source.content_type, "kind": source.kind, "options": options}
        ).encode()
        assert process.stdin is not None  # noqa: S101 (it was started with a pipe)
        process.stdin.writelines((HEADER.pack(len(head), len(source.body)), head, source.body))
        await process.stdin.drain()
        return await _receive(process)

    def _kill(self, process: Process) -> None:
        assert process.stdin is not None  # noqa: S101 (it was started with a pipe)
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _wire(options: ExtractOptions) -> Options:
    return options.model_dump(mode="json", by_alias=True)


async def _ending(process: Process) -> str:
    try:
        async with asyncio.timeout(_END_SECONDS):
            code = await process.wait()
    except TimeoutError:
        return "answered nonsense"
    return f"died by signal {-code}" if code < 0 else f"ended with code {code}"


async def _receive(process: Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 (it was started with a pipe)
    (size,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    if size > _MAX_ANSWER:
        raise ValueError("an answer beyond any page")
    return await process.stdout.readexactly(size)


def _parse(answer: bytes, model: type[_M]) -> _M:
    """Read the answer as what a compromised parser might have written: only what the model knows gets through."""
    try:
        if answer[:1] == EXTRACTED:
            return model.model_validate_json(answer[1:])
        error = json.loads(answer[1:])
        code = error["code"] if error["code"] in _CODES else "ExtractionFailed"
        raise PageError(code, str(error["message"]))
    except (ValueError, KeyError, TypeError):
        raise PageError("ExtractionFailed", "the process that read it answered nonsense") from None
