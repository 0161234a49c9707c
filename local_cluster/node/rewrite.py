"""Stand in for the mount namespace that processes here do not have.

A volume cannot appear at its `mountPath`: it lives below the pod's own directory, and the node tells the process so by
rewriting what the pod says to it. This is the one place that states the rule:

* Rewritten are the pod's command, arguments, working directory, and environment values (those from Secrets excepted:
  a secret is never a path), after `$(VAR)` references were expanded, exactly once.
* A mount path is replaced wherever it stands as a whole path or as the beginning of one: at the start of the value or
  after one of the characters that separate paths (space, quotes, brackets, `=`, `:`, `,`, `;`, `|`, `&`, `<`, `>`)
  or after `file://`; and followed by `/`, by such a separator, or by the end. So `--dir=/data/in`, `/data:/etc`,
  `cat /data/x > /out/y` and `{"dir": "/data"}` are rewritten; `http://host/data`, `/database` and `/srv/data` are not.
* Of nested mount paths the longest counts. A process that walks from one mount into another finds nothing there.
* The termination message path is one more mount path, of a single file.
* A program that has a mount path built in can find the real one in the environment variable `LOCAL_CLUSTER_MOUNTS`,
  a JSON object from mount path to real path.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

MOUNTS_VARIABLE = "LOCAL_CLUSTER_MOUNTS"

_SEPARATOR = r"\s\"'`=:,;|&<>()\[\]{}"


class Mounts:
    """Where each mount path of a container really is."""

    def __init__(self, real_paths: Mapping[str, Path]) -> None:
        self._real = {_normal(mount): str(real) for mount, real in real_paths.items()}
        longest_first = sorted(self._real, key=len, reverse=True)
        alternatives = "|".join(re.escape(mount) for mount in longest_first)
        self._pattern = re.compile(rf"(?:(?<![^{_SEPARATOR}])|(?<=file://))(?:{alternatives})(?=[/{_SEPARATOR}]|$)")

    def rewrite(self, value: str) -> str:
        """`value` with every mount path in it replaced by the real one."""
        if not self._real:
            return value
        return self._pattern.sub(lambda found: self._real[found[0]], value)

    def real(self, path: str) -> Path | None:
        """The real place of one mount path, None when nothing is mounted there."""
        found = self._real.get(_normal(path))
        return None if found is None else Path(found)

    def as_json(self) -> str:
        """The value of `LOCAL_CLUSTER_MOUNTS`."""
        return json.dumps(self._real, sort_keys=True)


def _normal(mount: str) -> str:
    return "/" + "/".join(part for part in mount.split("/") if part not in ("", "."))
