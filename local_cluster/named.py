"""Clusters that run in the background under a name, so that several commands can speak of the same one.

Each is held by a process of its own (`up --foreground`, detached). That process holds a lock for as long as it lives,
so whether a cluster is up is never a guess: an entry without a held lock is a leftover, and is treated as one.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from pydantic import BaseModel

from local_cluster import folders, locks, processes, states
from local_cluster.components import Blueprint
from local_cluster.errors import LocalClusterError

_POLL_SECONDS = 0.05
_ENTRY_SECONDS = 5
_END_SECONDS = 30


class Entry(BaseModel):
    """What is known of a named cluster."""

    pid: int
    started: int
    """Start of the holding process: with the process id it names that process and no other."""
    blueprint: Blueprint | None = None
    """None while the cluster is starting."""
    components: tuple[str, ...] = ()


class NamedCluster:
    """One name; whether a cluster runs under it changes with time."""

    def __init__(self, name: str) -> None:
        folder = folders.runtime() / "named"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.name = folders.check_name(name)
        self.log = folder / f"{name}.log"
        """Output of the holding process, if it runs in the background."""
        self._file = folder / f"{name}.json"
        self._lock = folder / f"{name}.lock"

    @contextlib.contextmanager
    def hold(self) -> Iterator[Callable[[Blueprint, tuple[str, ...]], None]]:
        """Occupy the name inside the block; the yielded function makes known that the cluster is ready.

        Raises:
            LocalClusterError: the name is taken.
        """
        # Who asks whether the lock is held takes it for a moment, hence the patience.
        with locks.hold(self._lock, _ENTRY_SECONDS):
            entry = Entry(pid=os.getpid(), started=processes.started(os.getpid()))
            self._write(entry)
            try:
                yield lambda blueprint, components: self._write(
                    entry.model_copy(update={"blueprint": blueprint, "components": components})
                )
            finally:
                self._file.unlink(missing_ok=True)
                self._lock.unlink()

    def entry(self) -> Entry | None:
        """Return what is known of the cluster, or None if it is not up; clears away what a killed one has left."""
        deadline = time.monotonic() + _ENTRY_SECONDS
        while self._held():
            with contextlib.suppress(FileNotFoundError):  # the holder is just starting or ending
                return self._read()
            if time.monotonic() > deadline:
                raise LocalClusterError(f"cluster {self.name} neither starts nor ends; see {self.log}")
            time.sleep(_POLL_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            leftover = self._read()
            if leftover.blueprint is not None:
                states.await_removal(leftover.blueprint.state)
            self._file.unlink()
        return None

    def end(self) -> bool:
        """End the cluster; say whether there was one. Returns when nothing of it is left."""
        entry = self.entry()
        if entry is None:
            self.log.unlink(missing_ok=True)
            return False
        holder = processes.find(entry.pid, entry.started)
        if holder is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                holder.terminate()
                holder.wait(_END_SECONDS)
            if holder.is_running():
                holder.kill()  # its keeper notices, and ends the rest
        if entry.blueprint is not None:
            states.await_removal(entry.blueprint.state)
        self._file.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
        return True

    def _held(self) -> bool:
        try:
            lock = locks.take(self._lock)
        except BlockingIOError:
            return True
        self._lock.unlink()
        os.close(lock)
        return False

    def _read(self) -> Entry:
        return Entry.model_validate_json(self._file.read_text())

    def _write(self, entry: Entry) -> None:
        fresh = Path(f"{self._file}.new")
        fresh.write_text(entry.model_dump_json(indent=1))
        fresh.replace(self._file)
