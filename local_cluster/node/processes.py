"""Container processes: start them, see their end at once, and leave nothing of them behind.

One reaper collects every child of the node. The node is a child subreaper, so whatever a container's process leaves
behind becomes the node's own child, where it is found by its session or by the marker in its environment. A container's
first process also dies with the node (PR_SET_PDEATHSIG).

Every process of a container is started from the node's main thread and the node has no other: the parent death signal
is tied to the thread, and a fork among threads could inherit their locks.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from local_cluster.node.k8s import utc_now
from local_cluster.processes import MARK

MARKER = "LOCAL_CLUSTER_CONTAINER"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CHUNK = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: arguments, the whole environment, the working directory."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path


class StartError(Exception):
    """The operating system refused to start a command."""


class Reaper:
    """Collects the end of every child of this process, exactly once."""

    def __init__(self) -> None:
        self._ended: dict[int, Callable[[int], None]] = {}

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Become the parent of orphaned descendants and listen for the end of children."""
        if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "this kernel has no child subreapers")
        loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def expect(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with the exit code (negative: the signal) when the child ends."""
        self._ended[pid] = ended

    def knows(self, pid: int) -> bool:
        """Whether the child is the first process of a container."""
        return pid in self._ended

    def _reap(self) -> None:
        while True:
            try:
                # Look before collecting: until then the kernel keeps the number, so its group cannot be a stranger's.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            ended = self._ended.pop(found.si_pid, None)
            if ended is not None:
                send_signal_to_group(found.si_pid, signal.SIGKILL)
            _, status = os.waitpid(found.si_pid, 0)
            if ended is not None:
                ended(os.waitstatus_to_exitcode(status))


class Process:
    """A running container: its first process and all that descends from it.

    Attributes:
        pid: the first process, leader of a session and group of its own.
        started_at: when it was started.
        gone: done, with the exit code (negative: the signal), when no process of the container is left.
    """

    def __init__(self, command: Command, marker: str, reaper: Reaper, output: Callable[[str, bytes], None]) -> None:
        """Start the command; `output` gets the stream's name and bytes as they come.

        Raises:
            StartError: when it cannot be executed.
        """
        self._marker = marker
        self._reaper = reaper
        self._output = output
        self._loop = asyncio.get_running_loop()
        self._pipes: dict[int, str] = {}
        self.gone: asyncio.Future[tuple[int, datetime]] = self._loop.create_future()
        popen = _spawn(command, marker)
        self.pid = popen.pid
        self.started_at = utc_now()
        reaper.expect(popen.pid, self._ended)
        for stream, pipe in (("stdout", popen.stdout), ("stderr", popen.stderr)):
            if pipe is not None:
                descriptor = os.dup(pipe.fileno())
                pipe.close()
                os.set_blocking(descriptor, False)
                self._pipes[descriptor] = stream
                self._loop.add_reader(descriptor, self._read, descriptor)
        popen.returncode = 0  # the reaper collects it, so the standard library must not try

    def terminate(self) -> None:
        """Ask the container's process group to end."""
        if not self.gone.done():
            send_signal_to_group(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the container's process group; what it left elsewhere follows when its first process is gone."""
        if not self.gone.done():
            send_signal_to_group(self.pid, signal.SIGKILL)

    def _ended(self, code: int) -> None:
        finished_at = utc_now()
        if next(self._left_behind(), None) is None:
            self._close(code, finished_at)
        else:
            self._task = self._loop.create_task(self._clear(code, finished_at))

    async def _clear(self, code: int, finished_at: datetime) -> None:
        """Kill what is left until nothing is; only the kernel can make that long, and then it is the truth."""
        delay = 0.002
        while left := list(self._left_behind()):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)
        self._close(code, finished_at)

    def _left_behind(self) -> Iterator[int]:
        own = os.getpid()
        for pid, parent, session in process_table():
            if (
                parent == own
                and not self._reaper.knows(pid)
                and (session == self.pid or marker_of(pid) == self._marker)
            ):
                yield pid

    def _close(self, code: int, finished_at: datetime) -> None:
        for descriptor in list(self._pipes):
            while self._read(descriptor):
                pass
            self._drop(descriptor)
        if not self.gone.done():
            self.gone.set_result((code, finished_at))

    def _read(self, descriptor: int) -> bool:
        """Pass on one chunk; whether there may be more at once."""
        stream = self._pipes.get(descriptor)
        if stream is None:
            return False
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._output(stream, data)
            return True
        self._drop(descriptor)
        return False

    def _drop(self, descriptor: int) -> None:
        if self._pipes.pop(descriptor, None) is not None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)


def _spawn(command: Command, marker: str) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def die_with_the_node() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the node ended before the signal was armed
            os._exit(128 + signal.SIGKILL)

    try:
        return subprocess.Popen(
            list(command.arguments),
            env={**command.environment, MARKER: marker, **_cluster_mark()},
            cwd=command.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_the_node,  # noqa: PLW1509 - the node has one thread, see the module's docstring
        )
    except (OSError, ValueError) as error:
        raise StartError(str(error)) from error


def _cluster_mark() -> dict[str, str]:
    """The variable by which the cluster this node belongs to finds all its processes, if there is a cluster."""
    return {MARK: os.environ[MARK]} if MARK in os.environ else {}


def send_signal_to_group(leader: int, number: signal.Signals) -> None:
    """Signal a process group that may be gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def process_table() -> Iterator[tuple[int, int, int]]:
    """Process, parent and session numbers of every process that has not ended."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - a path object per process is most of the cost
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - same
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] not in (b"Z", b"X"):
                yield int(name), int(fields[1]), int(fields[3])


def marker_of(pid: int) -> str | None:
    """The marker a process inherited, None when it has none or is another user's."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    prefix = MARKER.encode() + b"="
    for entry in environment.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode(errors="replace")
    return None


def kill_marked(prefix: str) -> int:
    """Kill every process whose marker starts with `prefix`, left by a node that ended hard; how many there were."""
    found = [pid for pid, _, _ in process_table() if (marker_of(pid) or "").startswith(prefix)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def remove_tree(directory: Path) -> None:
    """Delete a directory, however much a pod has left in it, beside everything else; the reaper collects the helper."""
    trash = directory.with_name(directory.name + ".gone")
    with contextlib.suppress(FileNotFoundError):
        directory.rename(trash)
        popen = subprocess.Popen(["rm", "-rf", "--", trash], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        popen.returncode = 0  # as for containers
