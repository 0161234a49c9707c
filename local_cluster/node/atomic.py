"""Directories whose files change all at once, laid out as kubelet does.

The files live in a directory with a new name for every version; `..data` is a link to the newest and every visible
name is a link through `..data`. Swapping that one link changes all files together, and a program that watches `..data`
sees it.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DATA = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """One file's content and permission bits."""

    content: bytes
    mode: int


def write(directory: Path, files: Mapping[str, File]) -> None:
    """Make `directory` show exactly `files`, whose names are relative paths without `..`."""
    version = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    version.chmod(0o755)
    for name, file in files.items():
        target = version / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
    old = directory / (directory / _DATA).readlink() if (directory / _DATA).is_symlink() else None
    swap = directory / "..data_tmp"
    swap.unlink(missing_ok=True)
    swap.symlink_to(version.name)
    swap.rename(directory / _DATA)
    _link_names(directory, {Path(name).parts[0] for name in files})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _link_names(directory: Path, visible: set[str]) -> None:
    present = {entry.name for entry in directory.iterdir() if not entry.name.startswith("..")}
    for name in visible - present:
        (directory / name).symlink_to(f"{_DATA}/{name}")
    for name in present - visible:
        (directory / name).unlink()
