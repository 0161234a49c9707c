"""Removes all that a real node leaves: processes, mounts, cgroups, network and files, however it ended.

Containers outlive a runtime that is killed, and hold mounts and cgroups. They are known by the cgroup and the folder
that belong to this node alone; nothing else is touched.
"""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from local_cluster.errors import LocalClusterError
from local_cluster.real import network

CGROUPS: Final = Path("/sys/fs/cgroup")
CGROUP: Final = "crawl-node"
"""The cgroup, in every hierarchy, below which all pods of the node live."""

_SECONDS: Final = 30
_CPU_SHARES: Final = 8192
"""Of all pods together; by default they have no more than a single process of the machine has."""
_CNI_RESULTS: Final = Path("/var/lib/cni/results")
_POD_LOGS: Final = Path("/var/log/containers")
_SHIM_SOCKETS: Final = Path("/run/containerd/s")


def purge(folder: Path) -> None:
    """Remove what a node with this folder has left; nothing is not an error.

    Raises:
        LocalClusterError: something does not go; it is named.
    """
    end_processes(folder)
    deadline = time.monotonic() + _SECONDS
    unmount(folder)
    network.remove()
    while cgroups := [path for root in _cgroup_roots() for path in _deepest_first(root)]:
        for path in cgroups:
            with contextlib.suppress(OSError):
                path.rmdir()
        if time.monotonic() > deadline:
            raise LocalClusterError(f"cgroups of the node do not go: {cgroups[:3]}")
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)
    _remove_litter()


def unmount(folder: Path) -> None:
    """Unmount what is mounted in a folder.

    Raises:
        LocalClusterError: something does not go; it is named.
    """
    for mount in sorted(_mounts(folder), reverse=True):  # the deepest first
        subprocess.run(["umount", "--lazy", mount], check=False, timeout=10)
    if mounts := list(_mounts(folder)):
        raise LocalClusterError(f"still mounted: {mounts[:3]}")


def end_processes(folder: Path) -> None:
    """Kill the containers of the node, what keeps them, and every program that was started with this folder.

    Raises:
        LocalClusterError: they do not end.
    """
    deadline = time.monotonic() + _SECONDS
    while left := [*_processes(folder)]:
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        if time.monotonic() > deadline:
            raise LocalClusterError(f"processes of the node do not end: {[process.pid for process in left]}")
        time.sleep(0.1)


def make_cgroups() -> None:
    """Make the node's cgroup where the kernel has one hierarchy per controller; with a single one kubelet does it."""
    if (CGROUPS / "cgroup.controllers").exists():
        return
    for hierarchy in CGROUPS.iterdir():
        if hierarchy.is_symlink() or not (hierarchy / "cgroup.procs").exists() or hierarchy.name == "unified":
            continue
        (hierarchy / CGROUP).mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / name).exists():
                (hierarchy / CGROUP / name).write_text((hierarchy / name).read_text())
        if (shares := hierarchy / CGROUP / "cpu.shares").exists():
            shares.write_text(str(_CPU_SHARES))


def _processes(folder: Path) -> Iterator[psutil.Process]:
    found: set[int] = set()
    for root in _cgroup_roots():
        for procs in root.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in procs.read_text().split())
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.pid in found or any(argument.startswith(str(folder)) for argument in process.cmdline())
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _mounts(folder: Path) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        where = line.split()[4].encode().decode("unicode_escape")
        if Path(where).is_relative_to(folder):
            yield where


def _cgroup_roots() -> Iterator[Path]:
    for root in (CGROUPS / CGROUP, *CGROUPS.glob(f"*/{CGROUP}")):
        if root.is_dir() and not root.parent.is_symlink():
            yield root


def _deepest_first(root: Path) -> list[Path]:
    return sorted((path for path in (root, *root.rglob("*")) if path.is_dir()), key=lambda path: -len(path.parts))


def _remove_litter() -> None:
    """Remove what kubelet, CNI and shims write to fixed places."""
    for link in _POD_LOGS.glob("*") if _POD_LOGS.is_dir() else ():
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)
    for result in _CNI_RESULTS.glob("crawl-node-*") if _CNI_RESULTS.is_dir() else ():
        result.unlink(missing_ok=True)
    if _SHIM_SOCKETS.is_dir() and not any(process.name().startswith("containerd") for process in psutil.process_iter()):
        shutil.rmtree(_SHIM_SOCKETS, ignore_errors=True)
