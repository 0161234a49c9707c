"""Reading mounted Secrets: one file per key."""

import re
from pathlib import Path
from typing import Final

MAX_VALUE: Final = 64 << 10

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_NOT_TO_BE_SET: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "user-agent"})
"""They belong to the connection, or have a field of their own."""


class SecretError(Exception):
    """A Secret does not hold what it should; the text names keys, never values."""


def secret(folder: Path | None) -> dict[str, str]:
    """Return what a Secret holds by key; nothing where there is none."""
    if folder is None or not folder.is_dir():
        return {}
    values = {}
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".."):  # what a volume keeps beside the keys
            with path.open(encoding="utf-8") as file:
                values[path.name] = file.read(MAX_VALUE).strip()
    return values


def headers(folder: Path | None) -> dict[str, str]:
    """Return a Secret as request headers.

    Raises:
        SecretError: it holds what can be no header, or one that is not to be set.
    """
    found = secret(folder)
    bad = [
        name
        for name, value in found.items()
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value) or name.lower() in _NOT_TO_BE_SET
    ]
    if bad:
        raise SecretError(f"fetch.headersFrom: not to be sent as headers: {', '.join(bad)}")
    return found
