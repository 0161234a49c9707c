"""Results as the operator hands them out to whoever may read them: the paths, and what is told of a result.

Whoever asks sends a token of the Kubernetes API as `Authorization: Bearer`, and needs the right to `get` the
subresource `crawljobs/results` of that job. What is refused is answered with a Kubernetes `Status`, whose `reason` is
one of `Refusal` or a word of the Kubernetes API.
"""

from enum import StrEnum
from typing import Final, TypedDict

RESULTS_RESOURCE: Final = "results"
"""The subresource of `crawljobs` that the right is about; the Kubernetes API itself does not serve it."""


def manifest_path(namespace: str, name: str) -> str:
    """GET a `Manifest` here."""
    return f"/v1/namespaces/{namespace}/jobs/{name}/results"


def part_path(namespace: str, name: str, part: str) -> str:
    """GET a part here, as it is stored: 200, or 206 for a `Range`. Its ETag is its checksum in quotes."""
    return f"{manifest_path(namespace, name)}/{part}"


class Refusal(StrEnum):
    """Why there is nothing to be downloaded."""

    OFF = "DownloadsOff"
    NOT_SERVED = "NamespaceNotServed"
    NOT_FINISHED = "NotFinished"
    NO_RESULT = "NoResult"
    EXPIRED = "ResultExpired"
    """Its time (`spec.ttl.resultSeconds`) is over."""
    ELSEWHERE = "StoredElsewhere"
    """In a store that the job names: the operator has no credentials for it."""
    LOST = "ResultLost"
    """The operator's store does not hold it, or not whole."""
    NO_PART = "PartNotFound"


class Part(TypedDict):
    """One file of a result."""

    name: str
    format: str
    """`JSONLines`, `Parquet` or `WARC`."""
    compression: str
    """Of JSON Lines: `none`, `gzip` or `zstd`."""
    mediaType: str
    bytes: int
    sha256: str
    path: str
    """Where it is downloaded from."""


class Manifest(TypedDict):
    """What a result consists of."""

    namespace: str
    name: str
    uid: str
    items: int
    """Records in all parts."""
    parts: list[Part]


def form_of(file: str) -> tuple[str, str, str]:
    """Return format, compression and media type of a result by its file's name."""
    match file.rsplit(".", maxsplit=2)[-2:]:
        case [_, "parquet"]:
            return "Parquet", "none", "application/vnd.apache.parquet"
        case ["warc", "gz"]:
            return "WARC", "none", "application/warc"
        case ["jsonl", "gz"]:
            return "JSONLines", "gzip", "application/gzip"
        case ["jsonl", "zst"]:
            return "JSONLines", "zstd", "application/zstd"
    return "JSONLines", "none", "application/x-ndjson"
