"""A documentation tree served from memory, as cheaply as Python can, so that the crawlers are what is measured."""

import asyncio
import mimetypes
import time
from collections import Counter
from pathlib import Path

_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class DocSite:
    """Answers by path, and remembers what was asked for and when that began."""

    def __init__(self, root: Path) -> None:
        self._answers = {f"/{path.relative_to(root).as_posix()}": _answer(path) for path in _files(root)}
        self.seen: Counter[str] = Counter()
        self.first: float | None = None
        """When the first page was asked for, on the monotonic clock."""

    def reset(self) -> None:
        """Forget what was asked for."""
        self.seen.clear()
        self.first = None

    @property
    def pages(self) -> int:
        """How many files were served."""
        return sum(1 for path in self.seen if path in self._answers)

    def answer(self, path: str) -> bytes:
        """Return what is sent for a path."""
        path = f"{path}index.html" if path.endswith("/") else path
        answer = self._answers.get(path)
        if answer is None:
            return _NOT_FOUND
        if self.first is None:
            self.first = time.monotonic()
        self.seen[path] += 1
        return answer

    async def serve(self) -> asyncio.Server:
        """Listen on a free port of loopback."""
        return await asyncio.get_running_loop().create_server(lambda: _Connection(self), "127.0.0.1", 0)


class _Connection(asyncio.Protocol):
    """One connection; requests have no bodies."""

    def __init__(self, site: DocSite) -> None:
        self._site = site
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, self._read = self._read.split(b"\r\n\r\n", 1)
            target = head.split(b" ", 2)[1].decode("ascii", "replace").partition("?")[0]
            self._transport.write(self._site.answer(target))


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def _answer(path: Path) -> bytes:
    body = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    charset = "; charset=utf-8" if kind.startswith("text/") else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}{charset}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
