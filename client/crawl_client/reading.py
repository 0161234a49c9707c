"""Result files → records, as a stream: JSON Lines (plain, gzip, zstd) and Parquet."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from io import BytesIO
from typing import Any, Protocol

from pydantic_core import from_json

from crawl_client.errors import ResultUnavailableError

_GZIP = zlib.MAX_WBITS | 16


class _Decompressor(Protocol):
    def decompress(self, data: bytes) -> bytes: ...


class _Plain:
    def decompress(self, data: bytes) -> bytes:
        return data


async def records_of(chunks: AsyncIterator[bytes], file: str) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the records of a file whose name says its form.

    Raises:
        ResultUnavailableError: a library is missing that this form needs.
    """
    if file.endswith(".parquet"):
        for record in _of_parquet(b"".join([chunk async for chunk in chunks])):
            yield record
        return
    decompressor, rest = _decompressor(file), b""
    async for chunk in chunks:
        *lines, rest = (rest + decompressor.decompress(chunk)).split(b"\n")
        for line in lines:
            if line:
                yield from_json(line)
    if rest.strip():
        yield from_json(rest)


def _decompressor(file: str) -> _Decompressor:
    if file.endswith(".gz"):
        return zlib.decompressobj(_GZIP)
    if file.endswith(".zst"):
        try:
            import zstandard  # noqa: PLC0415 - optional
        except ImportError as error:
            raise _missing(file) from error
        return zstandard.ZstdDecompressor().decompressobj()
    return _Plain()


def _of_parquet(content: bytes) -> Iterable[dict[str, Any]]:
    try:
        from arro3.io import read_parquet  # noqa: PLC0415 - optional, and heavy
    except ImportError as error:
        raise _missing(file="Parquet") from error
    for group in read_parquet(BytesIO(content)):
        names = group.schema.names
        columns = [group.column(name).to_pylist() for name in names]
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))


def _missing(file: str) -> ResultUnavailableError:
    return ResultUnavailableError(f"to read {file} install crawl-operator[results]", 404, reason="Unreadable")
