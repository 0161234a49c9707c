"""What Linux offers to make processes end together, and what is needed to end only one's own.

A process id alone is no proof: it may have been given to someone else by now. So processes are known by id and start
time, or as descendants, and nothing else is ever signalled.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

MARK = "LOCAL_CLUSTER_STATE"
"""Environment variable that every process of a cluster inherits; its value is the state folder."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.02
# Loaded before any fork: a freshly forked child should not load libraries.
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; meant for the moment before a program starts."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, instead of PID 1."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a child subreaper")


def descendants() -> list[psutil.Process]:
    """Return all living descendants of this process; zombies are no longer alive."""
    return [process for process in psutil.Process().children(recursive=True) if _alive(process)]


def marked(state: Path) -> list[psutil.Process]:
    """Return all living processes that were started as part of the cluster with this state folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(state) and _alive(process):
                found.append(process)
    return found


def end_all(find: Callable[[], Iterable[psutil.Process]], *, grace: float, limit: float) -> bool:
    """Terminate what `find` finds, kill what is left after `grace` seconds; say whether all ended within `limit`.

    Looks again after each round: processes that are being ended may start others.
    """
    started = time.monotonic()
    asked: set[psutil.Process] = set()
    while remaining := list(find()):
        elapsed = time.monotonic() - started
        if elapsed > limit:
            return False
        for process in remaining:
            with contextlib.suppress(psutil.NoSuchProcess):
                if elapsed >= grace:
                    process.kill()
                elif process not in asked:
                    asked.add(process)
                    process.terminate()
        time.sleep(_POLL_SECONDS)
    return True


def reap() -> dict[int, int]:
    """Collect the children that have ended: exit status by process id, negative for a signal."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


def started(pid: int) -> int:
    """Return when a process started, in clock ticks since boot: unlike a time of day, that never changes.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError as error:
        raise ProcessLookupError(f"no process {pid}") from error
    # Field 22 of proc(5); the second is the name in parentheses, which may hold anything.
    return int(status.rpartition(")")[2].split()[19])


def find(pid: int, start: int) -> psutil.Process | None:
    """Return the process with this id, if it is still the one that started then."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        process = psutil.Process(pid)
        if started(pid) == start and _alive(process):
            return process
    return None


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
