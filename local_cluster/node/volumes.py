"""The volumes of one pod: made before its containers start, and kept true while they run.

`emptyDir` is a directory of the pod (its `medium` and `sizeLimit` are accepted and change nothing); all other supported
kinds are files written from the API server's objects, replaced together when one of them changes.
"""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from local_cluster.node import atomic, downward
from local_cluster.node.atomic import File
from local_cluster.node.environment import Place
from local_cluster.node.k8s import Json
from local_cluster.node.objects import Data, Objects

_DEFAULT_MODE = 0o644
_TOKEN_SECONDS = 3600


class MountError(Exception):
    """A volume cannot be filled now; the message names the volume and what is missing."""


class Volumes:
    """The directories of a pod's volumes below `root`, one per volume."""

    def __init__(self, root: Path, place: Place, objects: Objects) -> None:
        self._root = root
        self._place = place
        self._objects = objects
        self._written: dict[str, Mapping[str, File]] = {}

    async def fill(self, pod: Json, max_age: float) -> None:
        """Make every volume show what the API server holds, with objects read at most `max_age` seconds ago.

        Raises:
            MountError: when an object or key is missing that is not optional.
            ApiError: when the API server cannot be asked.
        """
        await asyncio.gather(*(self._fill(pod, volume, max_age) for volume in pod["spec"].get("volumes") or []))

    def mounts(self, container: Json) -> dict[str, Path]:
        """Where each mount path of the container really is; directories named by a `subPath` are made."""
        found: dict[str, Path] = {}
        for mount in container.get("volumeMounts") or []:
            real = self._root / mount["name"]
            if sub_path := mount.get("subPath"):
                real /= sub_path
                if mount["name"] not in self._written and not real.exists():
                    real.mkdir(parents=True)
            found[mount["mountPath"]] = real
        return found

    def remove(self) -> None:
        """Delete everything the volumes hold."""
        shutil.rmtree(self._root, ignore_errors=True)
        self._written.clear()

    async def _fill(self, pod: Json, volume: Json, max_age: float) -> None:
        directory = self._root / volume["name"]
        if not directory.exists():
            directory.mkdir(parents=True)
            directory.chmod(0o777 if "emptyDir" in volume else 0o755)
        if "emptyDir" in volume:
            return
        try:
            files = await self._files(pod, volume, max_age)
        except MountError as error:
            raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error
        if files != self._written.get(volume["name"]):
            atomic.write(directory, files)
            self._written[volume["name"]] = files

    async def _files(self, pod: Json, volume: Json, max_age: float) -> dict[str, File]:
        projected = volume.get("projected")
        if projected is None:
            kind = next(kind for kind in ("configMap", "secret", "downwardAPI") if kind in volume)
            source = dict(volume[kind])
            mode = source.get("defaultMode", _DEFAULT_MODE)
            source.setdefault("name", source.get("secretName"))
            return await self._source(pod, kind, source, mode, max_age)
        mode = projected.get("defaultMode", _DEFAULT_MODE)
        sources = [item for entry in projected.get("sources") or [] for item in entry.items()]
        parts = await asyncio.gather(*(self._source(pod, kind, source, mode, max_age) for kind, source in sources))
        return {path: file for part in parts for path, file in part.items()}

    async def _source(self, pod: Json, kind: str, source: Json, mode: int, max_age: float) -> dict[str, File]:
        namespace = pod["metadata"]["namespace"]
        if kind == "serviceAccountToken":
            seconds = source.get("expirationSeconds") or _TOKEN_SECONDS
            token = await self._objects.token(pod, source.get("audience") or "", seconds)
            return {source["path"]: File(token.encode(), mode)}
        if kind == "downwardAPI":
            return {
                item["path"]: File(self._own(pod, item), item.get("mode", mode)) for item in source.get("items") or []
            }
        read = self._objects.secret if kind == "secret" else self._objects.config_map
        return select(kind.lower(), source, await read(namespace, source["name"], max_age), mode)

    def _own(self, pod: Json, item: Json) -> bytes:
        if reference := item.get("fieldRef"):
            return downward.field(pod, reference["fieldPath"], self._place.pod_ip, self._place.host_ip).encode()
        reference = item["resourceFieldRef"]
        containers = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]
        about = next(container for container in containers if container["name"] == reference["containerName"])
        return downward.resource(about, reference, self._place.allocatable).encode()


def select(kind: str, source: Json, data: Data | None, mode: int) -> dict[str, File]:
    """The files of a ConfigMap or Secret: all keys, or the listed items.

    Raises:
        MountError: when the object, or a listed key, is missing and not optional.
    """
    optional = bool(source.get("optional"))
    if data is None:
        if optional:
            return {}
        raise MountError(f'{kind} "{source["name"]}" not found')
    items = source.get("items")
    if not items:
        return {key: File(content, mode) for key, content in data.items()}
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not optional:
        raise MountError(f"{kind} references non-existent config key: {', '.join(missing)}")
    return {item["path"]: File(data[item["key"]], item.get("mode", mode)) for item in items if item["key"] in data}
