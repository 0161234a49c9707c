"""Container logs in the line format of the container runtime interface, written by one side and read by the other.

Every line is `<time> <stream> <F or P> <text>`; `P` marks a piece whose line goes on. A log is bounded: when a file is
full it becomes the one predecessor that is kept.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from local_cluster.node.k8s import parse_time, utc_now

MAX_BYTES = 10 * 1024 * 1024
_MAX_REST = 16 * 1024
_BLOCK = 1 << 16
_FOLLOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a reader of a log asks for; `since` is the earliest time, `tail` and `limit_bytes` None for no bound."""

    follow: bool = False
    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None
    streams: frozenset[str] = frozenset({"stdout", "stderr"})


class LogWriter:
    """Writes one attempt's output to `path`, and tells followers when there is more."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.closed = False
        self._max_bytes = max_bytes
        self._rest: dict[str, bytes] = {}
        self._grown: asyncio.Event | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._size = os.fstat(self._file).st_size

    def feed(self, stream: str, data: bytes) -> None:
        """Take bytes of `stdout` or `stderr` as they come; a line without end is cut where the memory for it ends."""
        complete, newline, rest = (self._rest.get(stream, b"") + data).rpartition(b"\n")
        if newline:
            self._write(stream, b"F", complete)
        if len(rest) >= _MAX_REST:
            self._write(stream, b"P", rest)
            rest = b""
        self._rest[stream] = rest

    def close(self) -> None:
        """Write what came without a final newline; followers end when they have read all."""
        if self.closed:
            return
        for stream, rest in self._rest.items():
            if rest:
                self._write(stream, b"P", rest)
        self.closed = True
        os.close(self._file)
        self._tell()

    async def grown(self, seconds: float) -> None:
        """Wait until something was written, the log is closed, or the time is up."""
        if self.closed:
            return
        if self._grown is None:
            self._grown = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._grown.wait()
        except TimeoutError:
            return

    def _write(self, stream: str, tag: bytes, text: bytes) -> None:
        """Store lines, with the same time for all that came together."""
        if self.closed:
            return
        head = b"%b %b %b " % (utc_now().strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode(), stream.encode(), tag)
        block = head + text.replace(b"\n", b"\n" + head) + b"\n"
        with contextlib.suppress(OSError):  # a full disk costs the lines, not the container
            if self._size and self._size + len(block) > self._max_bytes:
                self._rotate()
            self._size += os.write(self._file, block)
        self._tell()

    def _rotate(self) -> None:
        os.close(self._file)
        self.path.rename(predecessor(self.path))
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._size = 0

    def _tell(self) -> None:
        if self._grown is not None:
            self._grown.set()
            self._grown = None


def predecessor(path: Path) -> Path:
    """Where the full file before this one is kept."""
    return path.with_name(path.name + ".1")


async def read(path: Path, writer: LogWriter | None, options: Options) -> AsyncIterator[bytes]:
    """The log's text as a reader wants it, in chunks. `writer` is the live log's, None when its container has ended."""
    left = options.limit_bytes
    async for block in _blocks(path, writer, options):
        text = b"".join(shown for line in block if (shown := show(line, options)) is not None)
        if left is not None:
            text = text[:left]
            left -= len(text)
        if text:
            yield text
        if left == 0:
            return


def show(line: bytes, options: Options) -> bytes | None:
    """One stored line as the reader wants it, None when it is not to be shown."""
    parts = line.removesuffix(b"\n").split(b" ", 3)
    if len(parts) < 4:
        return None
    time, stream, tag, text = parts
    if stream.decode() not in options.streams:
        return None
    if options.since is not None and parse_time(time.decode()) < options.since:
        return None
    return b"".join((time + b" " if options.timestamps else b"", text, b"\n" if tag == b"F" else b""))


async def _blocks(path: Path, writer: LogWriter | None, options: Options) -> AsyncIterator[list[bytes]]:
    """Stored lines from the wanted start on; while following, also those to come."""
    files, offset = _start(path, options.tail)
    with contextlib.ExitStack() as held:
        # Opened together: what is rotated away while the first is read can still be read.
        streams = [held.enter_context(file.open("rb")) for file in files]
        for stream in streams:
            stream.seek(offset)
            async for block in _rest(stream):
                yield block
            offset = 0
        while streams and options.follow and writer is not None:
            # Asked before reading: what was written before the end is then certainly read.
            closed = writer.closed
            async for block in _rest(streams[-1]):
                yield block
            if not _same(streams[-1], path):
                streams[-1].close()
                streams[-1] = held.enter_context(path.open("rb"))
            elif closed:
                return
            else:
                await writer.grown(_FOLLOW_SECONDS)


async def _rest(stream: BinaryIO) -> AsyncIterator[list[bytes]]:
    """All lines up to the present end of a file."""
    end = os.fstat(stream.fileno()).st_size
    while stream.tell() < end and (block := stream.readlines(_BLOCK)):
        yield block
        await asyncio.sleep(0)  # a long log must not keep the node from its containers


def _start(path: Path, tail: int | None) -> tuple[list[Path], int]:
    """The files to be read, and the offset in the first one, for the last `tail` lines or for all there are."""
    files = [file for file in (predecessor(path), path) if file.exists()]
    if tail is None or not files:
        return files, 0
    offset, missing = _tail_offset(files[-1], tail)
    if missing and len(files) > 1:
        return files, _tail_offset(files[0], missing)[0]
    return files[-1:], offset


def _tail_offset(path: Path, lines: int) -> tuple[int, int]:
    """Where the last `lines` lines of a file begin, and how many of them it lacks."""
    with path.open("rb") as stream:
        end = position = stream.seek(0, os.SEEK_END)
        while position > 0:
            size = min(_BLOCK, position)
            position -= size
            stream.seek(position)
            block = stream.read(size)
            cut = len(block) - 1 if position + size == end else len(block)  # the last line's own newline
            while (found := block.rfind(b"\n", 0, cut)) >= 0:
                if lines <= 1:
                    return (position + found + 1 if lines else end), 0
                lines -= 1
                cut = found
    return (0, max(lines - 1, 0)) if end and lines else (end, lines)


def _same(stream: BinaryIO, path: Path) -> bool:
    return os.path.samestat(os.fstat(stream.fileno()), path.stat())
