"""What may be downloaded of a job: its status → a result to hand out, or why there is none; a Range → bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crawl_api.downloads import Manifest, Part, Refusal, form_of, part_path
from crawl_api.enums import Phase
from crawl_operator.decide.model import JobKey

Json = Mapping[str, Any]


class NothingToDownloadError(Exception):
    """There is nothing to be downloaded; the text says why.

    Attributes:
        reason: the same as one word.
    """

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Offer:
    """A result that is stored."""

    key: JobKey
    uid: str
    url: str
    """Where it lies."""
    bytes: int
    sha256: str
    items: int

    @property
    def file(self) -> str:
        """Its name."""
        return self.url.rpartition("/")[2]

    def manifest(self) -> Manifest:
        """Return what is told of it."""
        kind, compression, media_type = form_of(self.file)
        part = Part(
            name=self.file,
            format=kind,
            compression=compression,
            mediaType=media_type,
            bytes=self.bytes,
            sha256=self.sha256,
            path=part_path(self.key.namespace, self.key.name, self.file),
        )
        return Manifest(namespace=self.key.namespace, name=self.key.name, uid=self.uid, items=self.items, parts=[part])


def offer_of(key: JobKey, body: Json) -> Offer:
    """Return the result that a job's status tells of.

    Raises:
        NothingToDownloadError: there is none, not yet or not any more.
    """
    status: Json = body.get("status") or {}
    phase = status.get("phase", Phase.PENDING)
    if phase not in list(Phase) or not Phase(phase).terminal:
        raise NothingToDownloadError(Refusal.NOT_FINISHED, f"{key} is {phase}: it has no result yet")
    available: Json = next((each for each in status.get("conditions", ()) if each["type"] == "ResultAvailable"), {})
    if available.get("reason") == Refusal.EXPIRED:
        raise NothingToDownloadError(Refusal.EXPIRED, f"the result of {key} was {available.get('message', 'removed')}")
    result: Json = status.get("result") or {}
    url = str(status.get("resultURL", ""))
    if not url or not result.get("sha256"):
        why = status.get("lastError") or "no attempt stored one"
        raise NothingToDownloadError(Refusal.NO_RESULT, f"{key} has no result: {why}")
    return Offer(
        key=key,
        uid=str(body["metadata"]["uid"]),
        url=url,
        bytes=int(result.get("bytes", 0)),
        sha256=str(result["sha256"]),
        items=int(result.get("items", 0)),
    )


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file: from `start`, `length` of them, out of `size`."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The header that tells of it (RFC 9110, 14.4)."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def span_of(wanted: slice, size: int) -> Span | None:
    """Return the bytes that a Range header, read by the HTTP library, asks for; None for none that there are.

    Args:
        wanted: from a first byte to one before the stop, or with a negative start so many of the last ones.
        size: of the file.
    """
    start, stop = wanted.start or 0, size if wanted.stop is None else min(wanted.stop, size)
    start = max(size + start, 0) if start < 0 else start
    return Span(start, stop - start, size) if start < stop else None
