"""What an image name means on this node: nothing is pulled, a file says what each image would execute."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from local_cluster.node.k8s import Json


@dataclass(frozen=True, slots=True)
class Image:
    """An image's entrypoint, command and environment."""

    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)


class UnknownImageError(Exception):
    """The images file does not name the image."""


class Images:
    """The images file, read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._images: dict[str, Image] = {}

    def names(self) -> list[str]:
        """The names of all images, sorted."""
        self._refresh()
        return sorted(self._images)

    def find(self, name: str) -> Image:
        """The image of that name.

        Raises:
            UnknownImageError: with a message that names the images there are.
        """
        self._refresh()
        if name not in self._images:
            known = ", ".join(sorted(self._images)) or "none"
            raise UnknownImageError(
                f'image "{name}" is not known to this node, which pulls nothing; known images: {known}'
            )
        return self._images[name]

    def _refresh(self) -> None:
        status = self._path.stat()
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._images = {name: _image(entry) for name, entry in json.loads(self._path.read_text()).items()}
            self._stamp = stamp


def _image(entry: Json) -> Image:
    return Image(
        entrypoint=list(entry.get("entrypoint") or []),
        command=list(entry.get("command") or []),
        env=dict(entry.get("env") or {}),
    )
