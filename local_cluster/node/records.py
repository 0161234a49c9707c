"""What the node remembers of each container, in memory and on disk.

The disk copy makes two promises hold across a restart of the node: a container that had been started is never taken
for one that had not, and an end that was seen is not forgotten because the API server had not heard of it.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from local_cluster.node.k8s import Json, utc_now

LOST_MESSAGE = "the node ended and this container's processes with it"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A container that has no process, and why."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A container whose process lives."""

    container_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Terminated:
    """How a container ended. `signal` is 0 unless a signal ended it; then `exit_code` is 128 more than it."""

    container_id: str
    exit_code: int
    reason: str
    message: str
    started_at: datetime | None
    finished_at: datetime
    signal: int = 0


State = Waiting | Running | Terminated


@dataclass(slots=True)
class Record:
    """One container: its state now, how it ended before, and how often it was started again."""

    name: str
    init: bool = False
    state: State = Waiting("ContainerCreating")
    last: Terminated | None = None
    attempts: int = 0
    started: bool = False
    ready: bool = False

    @property
    def restarts(self) -> int:
        """How often the container was started after its first time."""
        return max(self.attempts - 1, 0)

    def run(self, container_id: str, started_at: datetime) -> None:
        """Note a new attempt."""
        self.attempts += 1
        if isinstance(self.state, Terminated):
            self.last = self.state
        self.state = Running(container_id, started_at)

    def end(self, end: Terminated) -> None:
        """Note the end of the attempt."""
        self.state, self.started, self.ready = end, False, False

    def wait(self, reason: str, message: str = "") -> None:
        """Note why no process is running."""
        if isinstance(self.state, Terminated):
            self.last = self.state
        self.state = Waiting(reason, message)


def end_of(code: int) -> tuple[int, int, str]:
    """Exit code, signal and reason for what the operating system reports (negative: ended by that signal)."""
    if code < 0:
        return 128 - code, -code, "Error"
    return code, 0, "Completed" if code == 0 else "Error"


class Memory:
    """The records of one pod in a file of its directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, records: list[Record]) -> None:
        """Write the records so that a reader finds the old or the new ones, never a part."""
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps([asdict(record) for record in records], default=datetime.isoformat))
        os.replace(temporary, self._path)  # noqa: PTH105 - says what it does

    def load(self) -> list[Record] | None:
        """The records of an earlier life of this node, None when there are none; what ran then has ended."""
        try:
            entries = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        return [_lost(_record(entry)) for entry in entries]


def _lost(record: Record) -> Record:
    if isinstance(record.state, Running):
        running = record.state
        record.end(Terminated(running.container_id, 137, "Error", LOST_MESSAGE, running.started_at, utc_now(), 9))
    return record


def _record(entry: Json) -> Record:
    state = _state(entry["state"])
    last = entry["last"] and _state(entry["last"])
    return Record(**{**entry, "state": state, "last": last if isinstance(last, Terminated) else None})


def _state(entry: Json) -> State:
    values = dict(entry)
    for key in ("started_at", "finished_at"):
        if values.get(key):
            values[key] = datetime.fromisoformat(values[key])
    kind = Terminated if "finished_at" in entry else Running if "container_id" in entry else Waiting
    return kind(**values)
