"""Where things lie on this machine.

Built programs are kept in the user's cache and shared by every cluster. The state of a running cluster (keys,
database, logs, sockets) is worth nothing once it ends, so it goes where such things go: the runtime folder.
"""

import os
import re
import stat
import tempfile
from pathlib import Path

from local_cluster.errors import LocalClusterError

_PROJECT = "crawl-operator"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,22}[a-z0-9])?")


def check_name(name: str) -> str:
    """Return `name` if it can be a cluster's, which becomes part of file names, host names and a node's name."""
    if _NAME.fullmatch(name) is None:
        raise LocalClusterError(f"{name!r} is no name for a cluster: it takes up to 24 of a-z, 0-9 and '-'")
    return name


def cache() -> Path:
    """Folder for what is costly to make: built programs, tool chains. It may not exist yet."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise LocalClusterError("no home folder for the cache: set XDG_CACHE_HOME to a folder of yours") from error
    return Path(base).absolute() / _PROJECT


def runtime() -> Path:
    """Folder for what lives only as long as a cluster; created, and certain to be readable by this user alone."""
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()).absolute()
    folder = base / f"{_PROJECT}-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise LocalClusterError(
            f"cannot create {folder} ({error.strerror}): set XDG_RUNTIME_DIR to a folder of yours"
        ) from error
    # The temporary folder is open to all: someone else may have made this name first.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise LocalClusterError(
            f"{folder} must be a folder that you own with mode 0700: remove it or set XDG_RUNTIME_DIR"
        )
    return folder
