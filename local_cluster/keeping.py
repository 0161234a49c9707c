"""The owner's end of the keeper: starts it, gives it orders, lets it go."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from local_cluster import processes, states
from local_cluster.errors import LocalClusterError
from local_cluster.keeper import COMPONENTS_FILE

_ANSWER_SECONDS = 15
_END_SECONDS = 20
# Less work for Go's garbage collector: an eighth of the CPU time of a start, for some 30 MB.
_ENVIRONMENT = {"GOGC": "200"}


class Keeping:
    """One keeper process and what it keeps. The cluster ends with this object's process, or with `end`."""

    def __init__(self, state: Path, lock: int) -> None:
        self._state = state
        with (state / "logs" / "keeper.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local_cluster.keeper", str(state), str(os.getpid())],
                env=_ENVIRONMENT | os.environ | {processes.MARK: str(state)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C on the terminal is the owner's affair
            )

    def start(self, component: str, command: list[str]) -> None:
        """Start a component that is not running."""
        self._order({"start": component, "command": command})

    def kill(self, component: str) -> None:
        """Kill a component and wait until it has ended."""
        self._order({"kill": component})

    def components(self) -> dict[str, dict[str, Any]]:
        """Return what was started, by name: process id and, once ended, exit status."""
        return read_components(self._state)

    def wait(self) -> None:
        """Block until the keeper has ended."""
        self._process.wait()

    def end(self) -> None:
        """End the cluster; returns when no process and no file of it is left."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._state.exists():
            states.end_abandoned(self._state)

    def _order(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - both pipes were asked for; for the type checker
        assert self._process.stdout is not None  # noqa: S101 - same
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._answer(self._process.stdout.fileno())
        except (OSError, ValueError) as error:
            said = (self._state / "logs" / "keeper.log").read_text().strip() if self._state.exists() else ""
            raise LocalClusterError(f"the cluster has ended: its keeper is gone ({error}) {said}".rstrip()) from error
        if "error" in answer:
            raise LocalClusterError(f"the cluster's keeper reports: {answer['error']}")

    def _answer(self, pipe: int) -> dict[str, Any]:
        deadline = time.monotonic() + _ANSWER_SECONDS
        answer = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                if not selector.select(deadline - time.monotonic()):
                    raise TimeoutError("no answer")
                chunk = os.read(pipe, 65536)
                if not chunk:
                    raise BrokenPipeError("no answer")
                answer += chunk
        parsed: dict[str, Any] = json.loads(answer)
        return parsed


def read_components(state: Path) -> dict[str, dict[str, Any]]:
    """Return the keeper's record of what it has started in this state folder."""
    try:
        parsed: dict[str, dict[str, Any]] = json.loads((state / COMPONENTS_FILE).read_text())
    except FileNotFoundError:
        return {}
    return parsed
