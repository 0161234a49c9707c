"""The process in which pages are read: it may be slow, run wild or die, and costs the crawl one page.

It speaks frames on its standard streams (four bytes of length, then as many bytes) and ends when they close. It also
dies with its parent if it is too busy to notice, and has no more memory than it was given.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydantic import BaseModel

from crawl_api.options import ExtractOptions
from crawl_worker.errors import PageError
from crawl_worker.extract.pages import Kind, extract

HEADER: Final = struct.Struct(">II")
"""Of a request: length of the JSON head, length of the body."""
LENGTH: Final = struct.Struct(">I")
"""Of an answer."""
READY: Final = b"ready"
EXTRACTED: Final = b"+"
FAILED: Final = b"-"

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Read pages until the parent closes the pipe."""
    _die_with_parent(int(sys.argv[1]))
    _limit_memory(int(sys.argv[2]))
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not garble the protocol
    _answer(answers, READY)
    while header := requests.read(HEADER.size):
        head_size, body_size = HEADER.unpack(header)
        head = json.loads(requests.read(head_size))
        _answer(answers, read_page(head, requests.read(body_size)))


def read_page(head: dict[str, Any], body: bytes) -> bytes:
    """Return what the page yields, or its error, as JSON behind a byte that says which.

    Args:
        head: `url`, `contentType`, `kind` and `options`.
        body: the page.
    """
    try:
        extracted = _read(Kind(head["kind"]), head, body)
        return EXTRACTED + extracted.model_dump_json(by_alias=True, exclude_none=True).encode()
    except PageError as error:
        return _error(error.code, error.message)
    except MemoryError:
        pass  # what the parser held is held until here: only now there is room for an answer
    except Exception as error:  # noqa: BLE001 (parsers raise anything on hostile pages; it is that page's error)
        return _failed(f"{type(error).__name__}: {error}")
    return _failed("it needs more memory than extraction may have")


def _read(kind: Kind, head: dict[str, Any], body: bytes) -> BaseModel:
    if kind is Kind.SITEMAP:
        from crawl_worker.extract.sitemaps import read_sitemap  # noqa: PLC0415 (needed by few jobs)

        return read_sitemap(body, head["url"])
    options = _options(json.dumps(head["options"]))
    if kind is Kind.PDF:
        from crawl_worker.extract.pdf import read_pdf  # noqa: PLC0415 (as above)

        return read_pdf(body, options)
    return extract(body, head["contentType"], kind, head["url"], options)


@cache
def _options(text: str) -> ExtractOptions:
    return ExtractOptions.model_validate_json(text)


def _failed(message: str) -> bytes:
    return _error("ExtractionFailed", message)


def _error(code: str, message: str) -> bytes:
    return FAILED + json.dumps({"code": code, "message": message}).encode()


def _answer(stream: BinaryIO, payload: bytes) -> None:
    stream.write(LENGTH.pack(len(payload)) + payload)
    stream.flush()


def _limit_memory(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or size < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    # Where memory is short in spite of the limit, the kernel should take this process and not the crawl; a sandbox
    # that does not let it say so is no reason not to read pages.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _die_with_parent(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)


if __name__ == "__main__":
    main()
