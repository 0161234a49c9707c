"""Builds the project's images with buildah, on a base made from Debian packages: no image registry is asked.

Layers and base are kept in the user's cache, so that a second build takes seconds.
"""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from local_cluster import folders
from local_cluster.compiler import Progress
from local_cluster.errors import LocalClusterError
from local_cluster.real.purge import unmount

BASE: Final = "localhost/base:bookworm"
_PACKAGES: Final = ("python3", "python3-venv", "ca-certificates")
_SLIM: Final = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
_SECONDS: Final = 1200
_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")


class Images:
    """Images in a store of this user's; what is mounted to make them goes when the block ends."""

    def __init__(self) -> None:
        self._folder = folders.cache() / "images"
        self._progress = Progress()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        unmount(self._folder)  # buildah leaves its store mounted

    def build(self, containerfile: Path, context: Path, name: str, **arguments: str) -> None:
        """Build an image from a Containerfile, with these build arguments, under a name.

        Raises:
            LocalClusterError: with the end of what buildah said.
        """
        self._make_base()
        self._progress.say(f"building {name}")
        options = [f"--build-arg={key}={value}" for key, value in {"BASE": BASE, **arguments}.items()]
        with tempfile.TemporaryDirectory() as folder:
            # pip asks as this machine would: nothing of it lands in the image.
            configuration = Path(folder, "pip.conf")
            configuration.write_text(_pip_configuration())
            for source, target in ((_BUNDLE, _BUNDLE), (configuration, Path("/etc/pip.conf"))):
                options.append(f"--volume={source}:{target}:ro")
            self._buildah(
                "bud", "--isolation=chroot", "--network=host", "--layers", "--timestamp=0", *options,
                f"--file={containerfile}", f"--tag={name}", context,
            )  # fmt: skip

    def derive(self, name: str, entrypoint: Sequence[str]) -> None:
        """Make an image that is the base with an entry point."""
        self._make_base()
        container = self._buildah("from", BASE).strip()
        self._buildah("config", f"--entrypoint={list(entrypoint)!r}".replace("'", '"'), container)
        self._buildah("commit", "--rm", "--timestamp=0", container, name)

    def alias(self, name: str, other: str) -> None:
        """Give an image another name."""
        self._buildah("tag", name, other)

    def export(self, name: str, archive: Path) -> None:
        """Write an image into an archive that container runtimes import."""
        self._buildah("push", name, f"docker-archive:{archive}:{name}")

    def _make_base(self) -> None:
        if BASE in self._buildah("images", "--format={{.Name}}:{{.Tag}}").split():
            return
        self._progress.say("making a base image from Debian packages (a minute)")
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder, "base.tar")
            command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
            command += [f"--dpkgopt=path-exclude={path}" for path in _SLIM]
            _run([*command, _release(), archive])
            container = self._buildah("from", "scratch").strip()
            self._buildah("add", container, archive, "/")
            self._buildah("commit", "--rm", container, BASE)

    def _buildah(self, command: str, *arguments: str | Path) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        store = ("--root", self._folder / "store", "--runroot", self._folder / "run", "--storage-driver", "overlay")
        return _run(["buildah", *store, command, *arguments])


def _run(command: Sequence[str | Path]) -> str:
    environment = os.environ | {"TMPDIR": str(folders.cache() / "images")}  # archives are large
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    if result.returncode != 0:
        last = "\n".join((result.stdout + result.stderr).strip().splitlines()[-15:])
        raise LocalClusterError(f"{' '.join(map(str, command[:1]))} ended with {result.returncode}:\n{last}")
    return result.stdout


def _pip_configuration() -> str:
    lines = ["[global]", f"cert = {_BUNDLE}"]
    for variable, option in (("PIP_INDEX_URL", "index-url"), ("PIP_EXTRA_INDEX_URL", "extra-index-url")):
        if value := os.environ.get(variable):
            lines.append(f"{option} = {value}")
    return "\n".join(lines) + "\n"


def _release() -> str:
    """Return the code name of this machine's Debian: its packages are to be had here."""
    fields = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return fields.get("VERSION_CODENAME", "stable").strip('"')
