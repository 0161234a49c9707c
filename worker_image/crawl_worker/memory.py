"""Ending before the kernel does it: a worker that comes near its memory limit stops, hands over, and says so."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger(__name__)

SHARE: Final = 0.85
"""Of the limit at which the crawl stops."""
_CRAWL_BYTES: Final = 256 << 20
"""What the crawl itself may come to, bodies that are on their way and what all processes share included."""
_READER_BYTES: Final = 160 << 20
"""What a process that reads pages should have: a page of 2.5 MB of which everything is taken needs 140 MB."""
_LEAST_BYTES: Final = 64 << 20
_PAUSE_SECONDS: Final = 0.5
CGROUP: Final = Path("/sys/fs/cgroup")
_UNLIMITED: Final = 1 << 50


class MemoryGuard:
    """Watches the container's memory, or this process and its children where there is no container.

    Args:
        limit: bytes; 0 takes the container's own limit, and without one there is nothing to guard.
        cgroup: where the kernel tells of the container, in version 2 or 1 of its interface.
    """

    def __init__(self, limit: int, cgroup: Path = CGROUP) -> None:
        self._own = limit > 0
        self._cgroup = cgroup
        self.limit = limit or container_limit(cgroup)
        self.used = 0
        """At the last look, in bytes."""

    async def exhausted(self) -> None:
        """Return when the memory is nearly used up."""
        while not self.limit or self.used < SHARE * self.limit:
            await asyncio.sleep(_PAUSE_SECONDS)
            if self.limit:
                self.used = _processes() if self._own else _working_set(self._cgroup)
        _LOG.warning("memory is nearly used up", extra={"used": self.used, "limit": self.limit})


def readers(processes: int, most: int, limit: int) -> tuple[int, int]:
    """Return how many processes may read pages, and how many bytes each may allocate, so that no page stops the crawl.

    Args:
        processes: at most.
        most: bytes of each, in any case.
        limit: of the worker's memory in bytes; 0 for none.
    """
    if not limit:
        return processes, most
    room = max(int(SHARE * limit) - _CRAWL_BYTES, _LEAST_BYTES)
    count = max(1, min(processes, room // _READER_BYTES))
    return count, min(most, room // count)


def container_limit(cgroup: Path = CGROUP) -> int:
    """Return the container's own limit in bytes; 0 for none."""
    limit = _number(cgroup / "memory.max") or _number(cgroup / "memory" / "memory.limit_in_bytes")
    return limit if limit < _UNLIMITED else 0


def _working_set(cgroup: Path) -> int:
    """Return what the container uses, without the file pages that the kernel can take back: what it kills for."""
    for current, statistics, name in (
        (cgroup / "memory.current", cgroup / "memory.stat", "inactive_file"),
        (cgroup / "memory" / "memory.usage_in_bytes", cgroup / "memory" / "memory.stat", "total_inactive_file"),
    ):
        if used := _number(current):
            values = dict(line.split(maxsplit=1) for line in _text(statistics).splitlines())
            return max(0, used - int(values.get(name, 0)))
    return 0


def _processes() -> int:
    """Return what this process and its children hold in memory."""
    tasks = Path("/proc/self/task")
    children = " ".join(_text(task / "children") for task in tasks.iterdir()).split()
    return sum(_resident(process) for process in ("self", *children))


def _resident(process: str) -> int:
    fields = _text(Path("/proc") / process / "statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE") if fields else 0


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
