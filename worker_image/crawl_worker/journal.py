"""The ledger as JSON Lines, in segments: what it has gained since the last one, and how another disk takes it over.

Segments keep the order of the findings. Whatever is the last one that was saved, a page that they call done has its
links in them, and its archived answer.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import Any, Final

from crawl_worker.findings import VisitKind
from crawl_worker.ledger import ADD_EXCHANGE, ADD_VISIT, RESULT_COLUMNS, TABLES, Ledger
from crawl_worker.records import Record

SEGMENT_BYTES: Final = 8 << 20
"""Beyond this a segment takes nothing but the rest of what belongs together, which may be as large as a page."""
_MAX_ROWS: Final = 20_000

_COLUMNS: Final = {"visits": "url, depth, hops, kind", "exchanges": "url, time, head, body", "results": RESULT_COLUMNS}
_REPLACE_RESULT: Final = f"INSERT OR REPLACE INTO results (finding, {RESULT_COLUMNS}) VALUES (0, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (constants)


@dataclass(frozen=True)
class Segment:
    """A part of the journal, and up to which row of each table it goes."""

    content: bytes
    marks: dict[str, int]


class Journal:
    """The journal of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def taken_over(self) -> bool:
        """Whether the ledger holds what earlier attempts have left."""
        return bool(self._ledger.mark("taken over"))

    def take_over(self, lines: Iterable[bytes]) -> None:
        """Take over the segments of earlier attempts, oldest first; lines that make no sense are passed over.

        Raises:
            LedgerError: the disk does not take it.
        """
        with self._ledger.transaction():
            for line in lines:
                self._replay(line)
            for table in TABLES:
                self._ledger.set_mark(table, self._ledger.number(f"SELECT coalesce(max(id), 0) FROM {table}"))  # noqa: S608 (a constant)
            self._ledger.set_mark("taken over", 1)

    def _replay(self, line: bytes) -> None:
        try:
            match json.loads(line):
                case {"visits": [str(url), int(depth), int(hops), str(kind)]}:
                    self._ledger.db.execute(ADD_VISIT, (0, url, depth, hops, VisitKind(kind)))
                case {"results": [str(url), int(number), visit, text, int(size), error, int(retryable)]}:
                    if text is not None:
                        Record.model_validate_json(text)
                    row = (url, number, visit, text.encode() if text else None, size, error, retryable)
                    self._ledger.db.execute(_REPLACE_RESULT, row)
                case {"exchanges": [str(url), str(time), {"base64": str(head)}, {"base64": str(body)}]}:
                    self._ledger.db.execute(ADD_EXCHANGE, (0, url, time, b64decode(head), b64decode(body)))
        except ValueError:
            return

    def segment(self) -> Segment | None:
        """Return the oldest part that is not saved yet; None if there is nothing new."""
        lines: list[bytes] = []
        marks: dict[str, int] = {}
        size, last = 0, (0, "")
        for finding, table, row, columns in self._gained():
            # A finding that is begun may be left after its visits, which are told before it is called done.
            if (size > SEGMENT_BYTES or len(lines) >= _MAX_ROWS) and (last[0] != finding or last[1] == "visits"):
                break
            lines.append(json.dumps({table: columns}, default=_text).encode() + b"\n")
            marks[table], last = row, (finding, table)
            size += len(lines[-1])
        return Segment(b"".join(lines), marks) if lines else None

    def _gained(self) -> Iterator[tuple[int, str, int, list[Any]]]:
        """Yield finding, table, id and columns of the rows that no segment holds, in order of the findings."""
        rows = merge(*(self._rows(rank, table) for rank, table in enumerate(TABLES)))
        for finding, rank, row, columns in rows:
            if TABLES[rank] == "results" and columns[3] is not None:
                columns[3] = columns[3].decode()
            yield finding, TABLES[rank], row, columns

    def _rows(self, rank: int, table: str) -> Iterator[tuple[int, int, int, list[Any]]]:
        query = f"SELECT finding, id, {_COLUMNS[table]} FROM {table} WHERE id > ? ORDER BY id"  # noqa: S608 (constants)
        for finding, row, *columns in self._ledger.db.execute(query, (self._ledger.mark(table),)):
            yield finding, rank, row, columns

    def saved(self, segment: Segment) -> None:
        """Remember that a segment is stored elsewhere.

        Raises:
            LedgerError: the disk does not take it.
        """
        with self._ledger.transaction():
            for table, row in segment.marks.items():
                self._ledger.set_mark(table, row)
            self._ledger.set_mark("segments", self.segments + 1)
        self._ledger.count_unsaved()

    @property
    def segments(self) -> int:
        """How many segments of this attempt are stored elsewhere."""
        return self._ledger.mark("segments")


def _text(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode("ascii")}
    raise TypeError(f"a {type(value).__name__} is kept in no table")
