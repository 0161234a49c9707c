"""The demo's end of the holder: starts it, hears its reports, and ends it or lets it live."""

import contextlib
import json
import os
import selectors
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demo import folders
from demo.holder import KEEP, OPERATOR_LOG
from local_cluster import build
from local_cluster.named import NamedCluster

_REPORT_SECONDS: Final = 90
_END_SECONDS: Final = 60
_KUBECTL_SECONDS: Final = 60
_KEPT_MARK: Final = "kept"


class DemoError(Exception):
    """The demo cannot go on; the message says why, and what to do."""


@dataclass
class Stage:
    """What runs behind the demo."""

    folder: Path
    env: dict[str, str]
    """Environment in which kubectl talks to the cluster."""
    site: str
    _holder: subprocess.Popen[str]

    @property
    def operator_log(self) -> Path:
        """Where the operator logs."""
        return self.folder / OPERATOR_LOG

    @property
    def env_file(self) -> Path:
        """A file that a shell can source to talk to the cluster."""
        return self.folder / "env"

    def kubectl(self, *arguments: str | Path) -> str:
        """Run kubectl and return what it printed.

        Raises:
            DemoError: it failed; with what it said.
        """
        try:
            result = subprocess.run(  # noqa: S603 - the cluster's own kubectl
                [shutil.which("kubectl", path=self.env["PATH"]) or "kubectl", *arguments],
                env=os.environ | self.env,
                capture_output=True,
                text=True,
                check=False,
                timeout=_KUBECTL_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"kubectl {arguments[0]} took longer than {_KUBECTL_SECONDS} s") from error
        if result.returncode:
            raise DemoError(f"kubectl {arguments[0]}: {result.stderr.strip()}")
        return result.stdout

    def keep(self) -> None:
        """Let everything outlive the demo."""
        assert self._holder.stdin is not None  # noqa: S101 - it was asked for; for the type checker
        (self.folder / _KEPT_MARK).touch()
        self._holder.stdin.write(f"{KEEP}\n")
        self._holder.stdin.flush()


def is_kept() -> bool:
    """Say whether a former demo was asked to stay, and has not been ended since."""
    return (folders.state() / _KEPT_MARK).exists()


def end_kept() -> bool:
    """End a demo that was asked to stay, or is still running, and remove its traces; say whether there was one."""
    ended = NamedCluster(folders.CLUSTER).end()
    shutil.rmtree(folders.state(), ignore_errors=True)
    return ended


@contextlib.contextmanager
def running(site_port: int, say: Callable[[str], None]) -> Iterator[Stage]:
    """Set the stage for the block, and clear it away behind it unless it is kept; `say` hears of each step.

    What was logged stays if a `DemoError` ends the block.

    Raises:
        DemoError: the stage cannot be set.
        LocalClusterError: the cluster's programs cannot be built.
    """
    if NamedCluster(folders.CLUSTER).entry() is not None:
        if not is_kept():
            raise DemoError("another demo is running: wait for its end, or end it with: make demo-down")
        say("a demo that was kept is running: it is ended first")
    end_kept()
    _check_port(site_port)
    build.ensure()
    folder = folders.state()
    folder.mkdir(parents=True)
    try:
        with _holder(folder, site_port) as holder:
            facts = _await_ready(holder, say)
            stage = Stage(folder, facts["env"], facts["site"], holder)
            exports = (f"export {key}={shlex.quote(value)}\n" for key, value in stage.env.items())
            stage.env_file.write_text("".join(exports))
            yield stage
            if not is_kept():
                _end(holder)
                shutil.rmtree(folder, ignore_errors=True)
    except DemoError as error:
        error.add_note(f"Everything has been ended; the logs are in {folder}")
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def _holder(folder: Path, site_port: int) -> Iterator[subprocess.Popen[str]]:
    """Start the process that holds everything; end it if the block fails."""
    with (folder / "holder.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this package's own module
            [sys.executable, "-m", "demo.holder", "--site-port", str(site_port)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folders.EXAMPLES), *_python_path()])},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C on the terminal is the demo's affair
        )
    try:
        yield process
    except BaseException:
        _end(process)
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _check_port(port: int) -> None:
    """Find out now, and not after a long build, whether the site can be served."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise DemoError(
                f"the site cannot be served on port {port} ({error}): choose another with make demo SITE_PORT=PORT, "
                "where 0 takes any that is free"
            ) from error


def _python_path() -> list[str]:
    return [path for path in [os.environ.get("PYTHONPATH")] if path]


def _end(holder: subprocess.Popen[str]) -> None:
    holder.terminate()
    try:
        holder.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        holder.kill()  # the cluster's keeper notices, and ends what is left
        holder.wait()


def _await_ready(holder: subprocess.Popen[str], say: Callable[[str], None]) -> dict[str, Any]:
    for report in _reports(holder):
        match report:
            case {"done": str(what)}:
                say(what)
            case {"ready": dict(facts)}:
                return facts
            case {"failed": str(why)}:
                raise DemoError(why)
    raise DemoError(f"the demo's background process ended early; see {folders.state() / 'holder.log'}")


def _reports(holder: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert holder.stdout is not None  # noqa: S101 - it was asked for; for the type checker
    deadline = time.monotonic() + _REPORT_SECONDS
    text = b""
    with selectors.DefaultSelector() as selector:
        selector.register(holder.stdout.fileno(), selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(holder.stdout.fileno(), 65536)
            if not chunk:
                return
            *lines, text = (text + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)
    raise DemoError(f"the demo's background process is not ready after {_REPORT_SECONDS} s")
