"""Runs `go build` so that one can watch it: minutes of silence look like a hang.

Also turns what goes wrong there, which Go reports in dozens of lines about modules nobody has heard of, into the one
line a person needs.
"""

import collections
import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from local_cluster.errors import LocalClusterError
from local_cluster.processes import die_with_parent
from local_cluster.toolchain import Toolchain

_BUILD_SECONDS = 60 * 60
_LINE_SECONDS = 10
_TERMINAL_SECONDS = 0.5
_STOP_SECONDS = 10
_REASONS = (
    (r"no space left on device", "the disk is full: make room, or set XDG_CACHE_HOME to a folder on another disk"),
    (r"permission denied|read-only file system", "no write access: set XDG_CACHE_HOME, GOPATH and GOCACHE to yours"),
    (
        r"dial tcp|no such host|i/o timeout|connection refused|proxyconnect|TLS handshake|x509:|50\d ",
        "the Go modules cannot be fetched: check the network, or set GOPROXY to a module proxy that you can reach",
    ),
    (r"signal: killed|cannot allocate memory", "out of memory: the build needs about 3 GB"),
)


class Progress:
    """Tells on standard error what is happening: a line that updates on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = self._started
        self._terminal = sys.stderr.isatty()

    @property
    def elapsed(self) -> str:
        """Time since the start as m:ss."""
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02}"

    def say(self, text: str) -> None:
        """Print a line that stays."""
        clear = "\r\x1b[K" if self._terminal else ""
        sys.stderr.write(f"{clear}local cluster: {text}\n")
        sys.stderr.flush()

    def update(self, text: str) -> None:
        """Show the present state, unless one was shown a moment ago."""
        now = time.monotonic()
        if now - self._shown < (_TERMINAL_SECONDS if self._terminal else _LINE_SECONDS):
            return
        self._shown = now
        if self._terminal:
            sys.stderr.write(f"\r\x1b[Klocal cluster: {self.elapsed} {text}")
            sys.stderr.flush()
        else:
            self.say(f"{self.elapsed} {text}")


def compile_program(go: Toolchain, source: Path, arguments: Sequence[str], output: Path, progress: Progress) -> None:
    """Run `go build` with these arguments in the folder `source`, into the file `output`.

    Raises:
        LocalClusterError: with the reason in one line.
    """
    environment = (
        os.environ
        | {
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=readonly",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOTMPDIR": str(output.parent),  # linking needs room, and the system's temporary folder may be small
        }
        | go.environment
    )
    with subprocess.Popen(
        [go.go, "build", "-v", "-o", output, *arguments],
        cwd=source,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        process_group=0,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, which allocates nothing
    ) as process:
        try:
            lines = _watch(process, progress)
            status = process.wait(_STOP_SECONDS)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the compilers it has started as well
            raise
    if status != 0:
        raise LocalClusterError(_explain("\n".join(lines), status))


def _watch(process: subprocess.Popen[bytes], progress: Progress) -> collections.deque[str]:
    """Follow the build until it ends; return the last lines it wrote."""
    assert process.stderr is not None  # noqa: S101 - the pipe was asked for; this tells the type checker
    lines: collections.deque[str] = collections.deque(maxlen=40)
    downloads = packages = 0
    deadline = time.monotonic() + _BUILD_SECONDS
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(_TERMINAL_SECONDS):
                chunk = os.read(process.stderr.fileno(), 65536)
                if not chunk:
                    return lines
                *whole, rest = (rest + chunk).split(b"\n")
                for line in (piece.decode(errors="replace") for piece in whole):
                    downloads += line.startswith("go: downloading ")
                    packages += " " not in line
                    lines.append(line)
            progress.update(f"{downloads} modules fetched, {packages} packages compiled")
    raise LocalClusterError(f"the build has not ended after {_BUILD_SECONDS // 60} minutes")


def _explain(output: str, status: int) -> str:
    for pattern, reason in _REASONS:
        found = re.search(f"^.*({pattern}).*$", output, re.MULTILINE | re.IGNORECASE)
        if found is not None:
            return f"{reason} (go: {found[0].strip()[:200]})"
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
    return f"go build ended with {status}: {last.strip()[:300]}"
