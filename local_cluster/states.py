"""State folders of clusters: made, recognised as abandoned, and removed.

A state folder belongs to a living cluster exactly as long as its lock is held (by the cluster's keeper). What was
left by a keeper that was killed is removed, with the processes it left, as soon as anybody starts a cluster.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from local_cluster import folders, locks, processes
from local_cluster.errors import LocalClusterError

_LOCK = "lock"
_LOCK_SECONDS = 30
_END_SECONDS = 10
_REMOVAL_SECONDS = 30
_POLL_SECONDS = 0.02
# etcd's socket lies in the folder, and the kernel takes at most 107 bytes for a socket's path.
_LONGEST = 85


@contextlib.contextmanager
def create(name: str) -> Iterator[tuple[Path, int]]:
    """Make a folder for one cluster; yield it with the descriptor of its lock, which a child may inherit."""
    base = folders.runtime() / "state"
    if len(os.fsencode(base)) + len(name) > _LONGEST:
        raise LocalClusterError(f"{base} is too long for a socket's path: set XDG_RUNTIME_DIR to a shorter one")
    with locks.hold(folders.runtime() / _LOCK, _LOCK_SECONDS):
        base.mkdir(mode=0o700, exist_ok=True)
        _remove_abandoned(base)
        state = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base))
        lock = locks.take(state / _LOCK)
    try:
        yield state, lock
    except BaseException:
        remove(state)
        raise
    finally:
        os.close(lock)


def remove(state: Path) -> None:
    """Remove a state folder and all in it, whatever permissions pods have left on their folders."""
    for folder, inner, _ in os.walk(state):  # top down: a folder is opened before it is entered
        for path in (Path(folder, name) for name in inner):
            with contextlib.suppress(FileNotFoundError):  # another removes it too
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(state, ignore_errors=True)


def await_removal(state: Path) -> None:
    """Wait until a cluster that is ending has gone; end what is left of it if nobody does so any more."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while state.exists():
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = locks.take(state / _LOCK)
            end_abandoned(state)
            os.close(lock)
        if time.monotonic() > deadline:
            raise LocalClusterError(f"{state} is still in use {_REMOVAL_SECONDS} s after its cluster was told to end")
        time.sleep(_POLL_SECONDS)


def end_abandoned(state: Path) -> None:
    """End what is left of a cluster whose keeper is gone, and remove its folder."""
    processes.end_all(lambda: processes.marked(state), grace=0, limit=_END_SECONDS)
    remove(state)


def _remove_abandoned(base: Path) -> None:
    for state in base.iterdir():
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = locks.take(state / _LOCK)
            end_abandoned(state)
            os.close(lock)
