"""The program as a process: on pipes, or on a terminal whose screen can be read."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
import yaml

from local_cluster.cluster import LocalCluster

COLUMNS, LINES = 140, 40
BIN = Path(sys.executable).parent


class Program:
    """`python -m crawl_cli`, and what it says."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self.cluster = cluster
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["contexts"][0]["context"]["namespace"] = namespace
        self.kubeconfig = cluster.state_dir / f"{namespace}.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self.namespace = namespace

    def environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join((str(BIN), str(self.cluster.kubectl_path.parent), os.environ["PATH"]))
        plain = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR"}}
        return plain | {"KUBECONFIG": str(self.kubeconfig), "PATH": path, "TERM": "xterm-256color"} | more

    def run(self, *words: str, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:  # noqa: A002 - as in subprocess
        """Run it with its output on pipes."""
        return subprocess.run(
            [sys.executable, "-m", "crawl_cli", *words],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
            env=self.environment(**env),
        )

    def says(self, *words: str, code: int = 0, **options: str) -> str:
        """Run it, see that it ends with this code, and return what it printed."""
        done = self.run(*words, **options)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        assert "asyncgen" not in done.stderr
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.says(*words, "-o", "json"))

    @contextlib.contextmanager
    def on_terminal(self, *words: str, **env: str) -> Iterator["Terminal"]:
        """Run it on a terminal of its own; yields that."""
        main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "crawl_cli", *words],
            stdin=side,
            stdout=side,
            stderr=side,
            env=self.environment(**env),
            start_new_session=True,
            preexec_fn=_interruptible,  # noqa: PLW1509 - one system call, which allocates nothing
        )
        os.close(side)
        try:
            yield Terminal(process, main)
        finally:
            process.kill()
            process.wait()
            os.close(main)


def _interruptible() -> None:
    """Take interrupts as on a terminal of one's own, also where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """What stands on a screen, and what was sent to it."""

    def __init__(self, process: subprocess.Popen[bytes], main: int) -> None:
        self.process = process
        self.sent = b""
        self._main = main
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def read(self, seconds: float = 0.2) -> None:
        """Take what comes within a time."""
        ready, _, _ = select.select([self._main], [], [], seconds)
        if not ready:
            return
        with contextlib.suppress(OSError):  # the other side is gone
            chunk = os.read(self._main, 1 << 16)
            self.sent += chunk
            self._stream.feed(chunk)

    def until(self, holds: Callable[[str], object], what: str, seconds: float = 30) -> str:
        """Wait for something to stand on the screen."""
        deadline = time.monotonic() + seconds
        while not holds(self.text):
            assert time.monotonic() < deadline, f"it did not come that {what}:\n{self.text}"
            self.read()
        return self.text

    def end(self, seconds: float = 60) -> int:
        """Wait for its end; return the exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on:\n{self.text}"
            self.read()
        for _ in range(5):
            self.read(0.05)
        return self.process.returncode
