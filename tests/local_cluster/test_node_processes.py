"""Container processes: their end is seen at once, and nothing of them is left."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from local_cluster.node import processes
from local_cluster.node.processes import Command, Process, Reaper, StartError, kill_marked

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


@pytest.fixture
async def reaper() -> AsyncIterator[Reaper]:
    loop = asyncio.get_running_loop()
    reaper = Reaper()
    reaper.install(loop)
    yield reaper
    loop.remove_signal_handler(signal.SIGCHLD)
    # The orphans of other tests are not this process's business.
    processes._libc.prctl(processes._PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def start(reaper: Reaper, script: str, directory: Path, output: bytearray | None = None) -> Process:
    taken = bytearray() if output is None else output
    command = Command(["sh", "-c", script], ENVIRONMENT, directory)
    return Process(command, str(directory / "marker"), reaper, lambda _, data: taken.extend(data))


async def test_exit_code_and_output(reaper: Reaper, tmp_path: Path) -> None:
    output = bytearray()
    process = start(reaper, "echo out; echo err >&2; exit 7", tmp_path, output)
    async with asyncio.timeout(5):
        code, _ = await process.gone
    assert code == 7
    assert sorted(output.split()) == [b"err", b"out"]


async def test_a_kill_from_outside_is_seen_as_its_signal(reaper: Reaper, tmp_path: Path) -> None:
    process = start(reaper, "exec sleep 60", tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        assert (await process.gone)[0] == -signal.SIGKILL


async def test_descendants_end_with_their_container(reaper: Reaper, tmp_path: Path) -> None:
    """Whether they stay in the group, open a session of their own, or have lost their parent."""
    each = "sh -c 'echo $$ >> pids; exec sleep {}'"
    script = (
        f": > pids; {each.format(61)} & setsid {each.format(62)} & (setsid setsid --fork {each.format(63)} &) ; "
        "until [ $(wc -l < pids) -eq 3 ]; do sleep 0.02; done"
    )
    process = start(reaper, script, tmp_path)
    async with asyncio.timeout(10):
        await process.gone
    pids = {int(line) for line in (tmp_path / "pids").read_text().split()}
    assert len(pids) == 3
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


async def test_what_cannot_be_executed_is_an_error(reaper: Reaper, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no-such-program"):
        Process(Command(["no-such-program"], ENVIRONMENT, tmp_path), "m", reaper, lambda *_: None)
    with pytest.raises(StartError, match="absent"):
        Process(Command(["true"], ENVIRONMENT, tmp_path / "absent"), "m", reaper, lambda *_: None)


async def test_what_an_earlier_node_left_is_killed_by_its_marker(reaper: Reaper, tmp_path: Path) -> None:
    process = start(reaper, "exec sleep 60", tmp_path)
    assert kill_marked(f"{tmp_path}/") == 1
    async with asyncio.timeout(5):
        await process.gone
    assert kill_marked(f"{tmp_path}/") == 0
