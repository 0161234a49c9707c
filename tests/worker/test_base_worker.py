"""A worker of one's own: hooks in order, pauses that fit, an end by signal, and `/health`."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, eventually
from worker_site import Site

import crawl_worker
from crawl_worker.base_worker import BaseWorker, Pace, TooManyErrorsError
from crawl_worker.health import HealthServer

PROGRAM = """
import asyncio, os, sys
from crawl_worker.base_worker import BaseWorker

class Counting(BaseWorker):
    async def on_startup(self): print("startup", flush=True)
    async def on_shutdown(self):
        print("shutdown", flush=True)
        for _ in range(200):
            if not os.path.exists(os.environ.get("LINGER", "")): break
            await asyncio.sleep(0.05)
    async def on_error(self, error): print("error", error, flush=True)
    async def process_batch(self):
        print("batch", flush=True)
        mode = self.options["mode"]
        while (self.errors or mode == "slow") and os.path.exists(os.environ.get("HOLD", "")):
            await asyncio.sleep(0.05)
        match mode:
            case "fail": raise RuntimeError("no luck")
            case "slow": await asyncio.sleep(0.5)
            case "stuck":
                try:
                    await asyncio.sleep(60)
                finally:
                    print("handed back", flush=True)
        print("done", flush=True)
        return 3

sys.exit(Counting("counting", mode=sys.argv[1]).main(sys.argv[2:]))
"""


class Scripted(BaseWorker):
    """Returns, or raises, one thing of a script after the other."""

    def __init__(self, *script: int | Exception, pace: Pace | None = None) -> None:
        super().__init__("scripted", pace or Pace(idle_interval=0.01, min_delay=0.01, max_delay=0.02), worker_id="7")
        self.script = list(script)
        self.told: list[str] = []
        self.times: list[float] = []

    async def on_startup(self) -> None:
        self.told.append("startup")

    async def on_shutdown(self) -> None:
        self.told.append("shutdown")

    async def on_error(self, error: Exception) -> None:
        self.told.append(f"error {error}")

    async def process_batch(self) -> int:
        self.times.append(time.monotonic())
        if len(self.script) == 1:
            self.stop()
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        self.told.append(f"batch {step}")
        return step


async def test_hooks_run_in_order_and_items_are_counted() -> None:
    worker = Scripted(2, 0, ValueError("x"), 1)
    assert await worker.run() == 3
    assert worker.told == ["startup", "batch 2", "batch 0", "error x", "batch 1", "shutdown"]
    assert worker.options == {"worker_id": "7"}


async def test_once_is_one_batch() -> None:
    worker = Scripted(2, 2, 2)
    assert await worker.run(once=True) == 2
    assert worker.told == ["startup", "batch 2", "shutdown"]


async def test_an_error_of_the_one_batch_is_raised_after_the_hooks() -> None:
    worker = Scripted(ValueError("x"), 1)
    with pytest.raises(ValueError, match="x"):
        await worker.run(once=True)
    assert worker.told == ["startup", "error x", "shutdown"]


async def test_five_errors_in_a_row_end_the_worker_and_fewer_do_not() -> None:
    good = Scripted(*[ValueError("x")] * 4, 1, *[ValueError("y")] * 4, 0)
    assert await good.run() == 1
    bad = Scripted(*[ValueError("x")] * 9)
    with pytest.raises(TooManyErrorsError, match="5 errors in a row; the last: x"):
        await bad.run()
    assert bad.told == ["startup", *["error x"] * 5, "shutdown"]
    assert not bad.state().healthy


def test_pauses_double_from_one_second_to_five_minutes() -> None:
    assert [Pace().delay(errors) for errors in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]
    assert (Pace().idle_interval, Pace().max_errors) == (30, 5)


async def test_the_pause_is_short_after_work_and_long_after_none() -> None:
    worker = Scripted(1, 0, 1, pace=Pace(busy_interval=0.01, idle_interval=2))
    await worker.run()
    busy, idle = (after - before for before, after in zip(worker.times, worker.times[1:], strict=False))
    assert busy < 1.5
    assert idle > 1.99


async def test_stop_ends_a_pause_at_once() -> None:
    worker = Scripted(0, 0, pace=Pace(idle_interval=60))
    running = asyncio.create_task(worker.run())
    while len(worker.times) < 1:  # noqa: ASYNC110 (the loop under test has no event for it)
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    worker.stop()
    async with asyncio.timeout(2):
        assert await running == 0


def test_the_environment_sets_the_pace_and_all_that_is_wrong_is_said() -> None:
    environment = {"WORKER_IDLE_INTERVAL": "7.5", "WORKER_MAX_RETRIES": "2", "BACKOFF_MAX_DELAY": "9"}
    assert Pace.of(environment) == Pace(idle_interval=7.5, max_errors=2, max_delay=9)
    with pytest.raises(ValueError, match=r"WORKER_IDLE_INTERVAL.*; WORKER_MAX_RETRIES"):
        Pace.of({"WORKER_IDLE_INTERVAL": "-1", "WORKER_MAX_RETRIES": "many"})


def get(port: int | None, path: str = "/health") -> tuple[int, Any]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


async def test_health_is_told_and_a_worker_that_fails_is_not_healthy(port: int) -> None:
    worker = Scripted(3)
    async with HealthServer(worker.state, port):
        assert await asyncio.to_thread(get, port) == (
            200,
            {
                "status": "healthy",
                "worker": "scripted",
                "healthy": True,
                "processed": 0,
                "errors": 0,
                "batch_seconds": 0,
            },
        )
        await worker.run()
        worker.errors = 5
        status, told = await asyncio.to_thread(get, port)
        assert (status, told["status"], told["processed"]) == (503, "unhealthy", 3)
        assert (await asyncio.to_thread(get, port, "/else"))[0] == 404


async def start(tmp_path: Path, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(program), *arguments), stdout=asyncio.subprocess.PIPE, env=os.environ | environment
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, list[str]]:
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    return process.returncode, out.decode().split("\n")[:-1]


async def test_a_program_runs_once_and_exits_with_zero(tmp_path: Path) -> None:
    assert await ended(await start(tmp_path, "count", "--once")) == (0, ["startup", "batch", "done", "shutdown"])


async def test_a_program_that_cannot_go_on_says_so_by_its_code(tmp_path: Path) -> None:
    program = await start(tmp_path, "fail", WORKER_MAX_RETRIES="3", BACKOFF_MIN_DELAY="0.01")
    assert await ended(program) == (1, ["startup", *["batch", "error no luck"] * 3, "shutdown"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("mode", "last"), [("slow", ["batch", "done"]), ("stuck", ["batch", "handed back"])])
async def test_a_signal_lets_the_batch_end_or_hand_back(
    tmp_path: Path, number: signal.Signals, mode: str, *, last: list[str]
) -> None:
    """A batch that ends within the grace is finished, another one is cancelled; the hook runs, the code is 0."""
    hold = tmp_path / "hold"
    hold.touch()
    program = await start(tmp_path, mode, WORKER_GRACE_SECONDS="1" if mode == "stuck" else "10", HOLD=str(hold))
    assert program.stdout is not None
    assert await program.stdout.readline() == b"startup\n"
    assert await program.stdout.readline() == b"batch\n"
    program.send_signal(number)
    hold.unlink()
    code, lines = await ended(program)
    assert (code, ["batch", *lines]) == (0, [*last, "shutdown"])


async def health(port: int, process: asyncio.subprocess.Process, until: Callable[[int], bool]) -> tuple[int, Any]:
    """Ask a program for its health until the status is as it should be."""
    async with asyncio.timeout(20):
        while process.returncode is None:
            with contextlib.suppress(URLError):
                answer = await asyncio.to_thread(get, port)
                if until(answer[0]):
                    return answer
            await asyncio.sleep(0.05)
    pytest.fail(f"the program has ended with {process.returncode}")


async def test_a_program_tells_its_health(tmp_path: Path, port: int) -> None:
    program = await start(tmp_path, "slow", "--health-port", str(port))
    status, told = await health(port, program, lambda _: True)
    assert (status, told["status"], told["worker"], told["errors"]) == (200, "healthy", "counting", 0)
    program.send_signal(signal.SIGTERM)
    assert (await ended(program))[0] == 0


async def test_a_program_that_has_met_its_errors_says_so_while_it_ends(tmp_path: Path, port: int) -> None:
    """It is well up to its last error but one."""
    hold, linger = tmp_path / "hold", tmp_path / "linger"
    hold.touch()
    linger.touch()
    environment = {"WORKER_MAX_RETRIES": "2", "BACKOFF_MIN_DELAY": "0.01", "HOLD": str(hold), "LINGER": str(linger)}
    program = await start(tmp_path, "fail", "--health-port", str(port), **environment)
    status, told = await health(port, program, lambda _: True)
    assert (status, told["status"]) == (200, "healthy")
    hold.unlink()
    status, told = await health(port, program, lambda status: status != 200)
    assert (status, told["status"], told["errors"]) == (503, "unhealthy", 2)
    linger.unlink()
    assert (await ended(program))[0] == 1


async def test_a_crawl_tells_its_health_where_it_is_told_to(
    worker: Worker, site: Site, operator: StandIn, port: int
) -> None:
    site.delay, site.free = 0.2, 1
    worker.arguments = ("--once", "--health-port", str(port))
    process = await worker.start(assignment(operator, f"{site.url}/page/1"))
    await eventually(lambda: "/page/1" in site.seen)
    status, told = await asyncio.to_thread(get, port)
    assert (status, told["worker"], told["processed"]) == (200, "default/test", 0)
    assert told["batch_seconds"] > 0
    site.released.set()
    assert (await worker.end(process)).code == 0


def test_a_worker_needs_the_standard_library_alone(tmp_path: Path) -> None:
    """It runs where nothing is installed, not even what else the project has."""
    folder = str(Path(crawl_worker.__file__).parent)
    (tmp_path / "crawl_worker").symlink_to(folder)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = ['count', '--once']\n{PROGRAM}"
    command = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["startup", "batch", "done", "shutdown"]), done.stderr
