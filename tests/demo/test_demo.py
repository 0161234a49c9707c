"""`make demo` from start to end, as a person runs it: what it shows, what it leaves, and how it can be left."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from demo import folders
from demo.pages import PAGES

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def home() -> Iterator[Path]:
    """Make a home of its own for one test's demos, on a short path: sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="demo-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Yield a function that starts a demo, or ends a kept one."""
    (home / "run").mkdir(mode=0o700)
    environment = os.environ | {
        "PYTHONPATH": str(folders.EXAMPLES),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "SITE_PORT": "0",
    }
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", *arguments],
            env=environment | variables,
            cwd=folders.EXAMPLES.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in (*started, run("down")):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=60)
        process.kill()
        process.wait()


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    output, _ = process.communicate(timeout=200)
    assert process.returncode == status, output
    return output


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """Read the demo's lines up to one that matches; the test's own time limit bounds the wait."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"{pattern} never came:\n{seen}")


def processes(home: Path) -> list[psutil.Process]:
    """Return every process that a demo of this home has started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("XDG_RUNTIME_DIR") == str(home / "run"):
                found.append(process)
    return found


def remains(home: Path) -> list[str]:
    """Return what is left of the demos of this home: processes, and files other than locks.

    A process that was killed takes its moment to be gone.
    """
    psutil.wait_procs(processes(home), timeout=20)
    files = [str(path) for path in home.rglob("*") if path.is_file() and not path.name.endswith("lock")]
    return [str(process) for process in processes(home)] + files


def test_demo_shows_what_one_came_for_and_leaves_nothing(start: Start, home: Path) -> None:
    output = finish(start())
    assert "a Kubernetes API server and a node run at https://127.0.0.1:" in output
    assert "crawljob.crawl-operator.io/catalogue created" in output
    percents = [int(percent) for percent in re.findall(r"catalogue +Processing +(\d+)%", output)]
    assert percents == sorted(percents)
    assert len(set(percents)) > 2, "progress is seen rising"
    assert re.search(r"^NAME +TYPE +PRIORITY +PHASE", output, re.MULTILINE)
    assert re.search(r"^catalogue +Batch +High +Completed +100%", output, re.MULTILINE)
    assert re.search(r"^dead-links +Batch +Low +PartialSuccess", output, re.MULTILINE)
    assert re.search(r"^one-page +Single +Normal +Completed +100%", output, re.MULTILINE)
    assert re.search(r"^ *Complete +True", output, re.MULTILINE)
    for failed in ("HTTP_404", "/guide/weight", "HTTP_410", "/gone", "/private/notes", "169.254.169.254"):
        assert failed in output
    [price] = re.findall(r"^price +(\S+)", output, re.MULTILINE)
    assert price in {page.price for page in PAGES.values()}, "whichever page came first"
    assert "Length | Handbook of Measures" in output
    assert "The metre is the unit of length" in output
    *_, last = output.strip().splitlines()
    assert last == "Everything has been ended and removed."
    assert remains(home) == []


@pytest.mark.long
def test_kept_demo_can_be_talked_to_replaced_and_ended(start: Start, home: Path) -> None:
    output = finish(start(KEEP="1"))
    assert "make demo-down" in output
    assert output.strip().splitlines()[-1] == "Everything is still running, in the background."
    [env_file] = re.findall(r"^ +\. (/.+)$", output, re.MULTILINE)
    [site] = re.findall(r"served at (http://127.0.0.1:\d+)", output)
    with urlopen(site, timeout=5) as response:  # noqa: S310 - the demo's own http URL
        assert response.status == 200

    def kubectl(arguments: str) -> str:
        command = ["sh", "-c", f". '{env_file}' && kubectl {arguments}"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert "catalogue" in kubectl("get crawl")
    assert kubectl("logs -l crawl-operator.io/job=catalogue")
    manifest = Path(env_file).parent / "manifests" / "single.yaml"
    kubectl(f"delete crawl one-page && kubectl apply -f {manifest}")
    kubectl("wait --for=condition=Complete --timeout=30s crawl/one-page")

    again = start(KEEP="1")
    assert "it is ended first" in read_until(again, "a demo that was kept")
    read_until(again, "a Kubernetes API server")
    assert "another demo is running" in finish(start(), status=1)
    assert "The demo has ended." in finish(start("down"))
    assert "error" in finish(again, status=1)
    assert "No demo is running." in finish(start("down"))
    assert remains(home) == []


@pytest.mark.faults
@pytest.mark.parametrize("moment", ["A tour of", "a Kubernetes API server", "catalogue +Processing"])
def test_interrupted_demo_cleans_up(start: Start, home: Path, moment: str) -> None:
    process = start()
    read_until(process, moment)
    process.send_signal(signal.SIGINT)
    output = finish(process, status=130)
    assert output.strip().splitlines()[-1] == "Interrupted: everything the demo had started has been ended."
    assert remains(home) == []


@pytest.mark.faults
def test_killed_demo_leaves_no_process(start: Start, home: Path) -> None:
    process = start()
    read_until(process, "the operator is ready")
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(processes(home), timeout=30)
    assert not alive


def test_taken_port_is_one_line_that_names_the_fix(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        output = finish(start(SITE_PORT=str(taken.getsockname()[1])), status=1)
    [line] = [line for line in output.splitlines() if "error" in line]
    assert "make demo SITE_PORT=" in line
