"""Locks between processes that cannot be left behind.

The kernel drops a lock on a file when the last process that holds it ends, however it ends. So a held lock also says
that its holder is alive, which no file with a process id in it can say.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from local_cluster.errors import LocalClusterError

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def hold(path: Path, seconds: float, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock `path` inside the block; `on_wait` is called once if it is not to be had immediately.

    Raises:
        LocalClusterError: somebody else held it for all of `seconds`.
    """
    lock = _wait(path, seconds, on_wait)
    try:
        yield
    finally:
        os.close(lock)


def take(path: Path) -> int:
    """Take the lock and return the file descriptor that holds it. Its holder, and nobody else, may remove the file.

    Raises:
        BlockingIOError: somebody else has it.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise
    if os.fstat(lock).st_nlink == 0:
        os.close(lock)
        raise BlockingIOError(f"{path} has just been removed by its holder")
    return lock


def _wait(path: Path, seconds: float, on_wait: Callable[[], None]) -> int:
    deadline = time.monotonic() + seconds
    waiting = False
    while True:
        with contextlib.suppress(BlockingIOError):
            return take(path)
        if not waiting:
            waiting = True
            on_wait()
        if time.monotonic() > deadline:
            raise LocalClusterError(f"another process has held {path} for {seconds:g} s: is it stuck?")
        time.sleep(_POLL_SECONDS)
