"""Results in each form, piece by piece: what is written is never held in memory as a whole."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from crawl_api.output import Compression, OutputFormat, OutputOptions
from crawl_worker.ledger import Exchange, Ledger
from crawl_worker.store import Content

_PIECE: Final = 256 << 10
_GROUP_ROWS: Final = 1000
_GROUP_BYTES: Final = 16 << 20
"""A row group of a Parquet file has as many rows as come to this on average, and no more than those."""
_TEMPORARY: Final = "results.tmp"

_TEXTS: Final = (
    "url",
    "finalUrl",
    "contentType",
    "kind",
    "fetchedAt",
    "title",
    "text",
    "markdown",
    "digest",
    "duplicateOf",
)
_NUMBERS: Final = ("status", "elapsedMs", "bytes")
_FLAGS: Final = ("fromCache",)
_DOCUMENTS: Final = ("links", "images", "tables", "jsonLd", "metadata", "fields", "pdf", "data", "truncated", "error")
"""Columns that hold JSON: their shape is the page's or the job's, not the file's."""


def content(ledger: Ledger, options: OutputOptions, directory: Path) -> Content:
    """Return the result of a ledger in the form that is asked for.

    Args:
        ledger: what to write.
        options: the form.
        directory: takes a temporary file where the form needs one.
    """
    match options.format, options.compression:
        case OutputFormat.PARQUET, _:
            return lambda: _from_file(directory / _TEMPORARY, lambda path: _write_parquet(ledger, path))
        case OutputFormat.WARC, _:
            return lambda: _warc(ledger.exchanges())
        case _, Compression.GZIP:
            return lambda: _gzipped(ledger.lines())
        case _, Compression.ZSTD:
            return lambda: _zstd(ledger.lines())
    return ledger.lines


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    yield from filter(None, map(compressor.compress, pieces))
    yield compressor.flush()


def _zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415 (needed by few jobs)

    compressor = zstandard.ZstdCompressor().compressobj()
    yield from filter(None, map(compressor.compress, pieces))
    yield compressor.flush()


def _from_file(path: Path, write: Callable[[Path], None]) -> Iterator[bytes]:
    try:
        write(path)
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    finally:
        path.unlink(missing_ok=True)


def _write_parquet(ledger: Ledger, path: Path) -> None:
    from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema  # noqa: PLC0415 (as above)
    from arro3.io import write_parquet  # noqa: PLC0415

    types = dict.fromkeys((*_TEXTS, *_DOCUMENTS), DataType.utf8()) | dict.fromkeys(_NUMBERS, DataType.int64())
    types |= dict.fromkeys(_FLAGS, DataType.bool())
    schema = Schema([Field(name, kind) for name, kind in types.items()])

    def batches() -> Iterator[Any]:
        for rows in _groups(ledger.lines()):
            columns = [Array([_cell(row, name) for row in rows], type=kind) for name, kind in types.items()]
            yield RecordBatch.from_arrays(columns, schema=schema)

    write_parquet(
        RecordBatchReader.from_batches(schema, batches()),
        path,
        compression="zstd(3)",
        max_row_group_size=max(
            1, min(_GROUP_ROWS, _GROUP_BYTES // max(1, ledger.line_bytes))
        ),  # held until it is whole
    )


def _groups(lines: Iterator[bytes]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        rows.append(json.loads(line))
        size += len(line)
        if len(rows) == _GROUP_ROWS or size > _GROUP_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _cell(row: dict[str, Any], name: str) -> Any:
    value = row.get(name)
    return json.dumps(value, ensure_ascii=False) if name in _DOCUMENTS and value is not None else value


def _warc(exchanges: Iterator[Exchange]) -> Iterator[bytes]:
    """Write each answer as a gzip member of its own, as readers of archives expect."""
    import io  # noqa: PLC0415

    from fastwarc.warc import WarcRecord, WarcRecordType  # noqa: PLC0415 (as above)

    for exchange in exchanges:
        record = WarcRecord()
        record.init_headers(record_type=WarcRecordType.response)
        record.headers["WARC-Target-URI"] = exchange.url
        record.headers["WARC-Date"] = exchange.time
        record.headers["Content-Type"] = "application/http; msgtype=response"
        record.set_bytes_content(exchange.head + exchange.body)
        stream = io.BytesIO()
        record.write(stream, checksum_data=True)
        yield gzip.compress(stream.getvalue(), 6)
