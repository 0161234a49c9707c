"""What a container leaves to be read in its pod's status: the termination message."""

import os
from pathlib import Path

from local_cluster.node import logs
from local_cluster.node.k8s import Json

MAX_BYTES = 4096
_FALLBACK_BYTES = 2048
_FALLBACK_LINES = 80


def message_of(container: Json, message_file: Path, log_file: Path, *, failed: bool) -> str:
    """The end of the message file; of the log if that is empty, the container failed, and the pod asks for it."""
    message = _last_bytes(message_file, MAX_BYTES)
    if message or not failed or container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return message.decode(errors="replace")
    shown = (
        logs.show(line, logs.Options()) for line in _last_bytes(log_file, _FALLBACK_BYTES * 4).splitlines(keepends=True)
    )
    lines = b"".join(text for text in shown if text is not None).splitlines(keepends=True)
    return b"".join(lines[-_FALLBACK_LINES:])[-_FALLBACK_BYTES:].decode(errors="replace")


def _last_bytes(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - count, 0))
            return file.read(count)
    except OSError:
        return b""
