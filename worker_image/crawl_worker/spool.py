"""Records on local disk while the crawl runs: what is done is kept, whatever happens to the rest."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from crawl_api.worker_protocol import RESULTS_FILE

_CHUNK_BYTES: Final = 256 << 10


class SpoolError(Exception):
    """The local disk takes no more records."""


@dataclass
class Spool:
    """An append-only file of records, in `directory`; the whole lines in it are always good."""

    directory: Path
    name: str = RESULTS_FILE
    items: int = field(default=0, init=False)
    size: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.path = self.directory / self.name
        self._digest = hashlib.sha256()
        try:
            self._file = self.path.open("wb", buffering=0)
        except OSError as error:
            raise SpoolError(f"{self.path} cannot be written: {error.strerror}") from error

    @property
    def sha256(self) -> str:
        """Checksum of all lines so far."""
        return self._digest.hexdigest()

    def append(self, line: bytes) -> None:
        """Write one whole line, or none of it.

        Raises:
            SpoolError: the disk is full or broken.
        """
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(self.size)
            self._file.seek(self.size)
            raise SpoolError(f"{self.path} cannot be written: {error.strerror}") from error
        self._digest.update(line)
        self.size += len(line)
        self.items += 1

    def chunks(self) -> Iterator[bytes]:
        """Yield the file from its start, in pieces that fit into memory."""
        with self.path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def records(self) -> list[Any]:
        """Return all records, parsed; for results that are known to be small."""
        with self.path.open("rb") as file:
            return [json.loads(line) for line in file]

    def close(self) -> None:
        """Close the file; it stays readable."""
        self._file.close()
