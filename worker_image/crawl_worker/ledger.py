"""What an attempt knows, on local disk: where to go, where it was and what it brought, in one SQLite file.

A finding is one transaction, so a worker that is killed at any moment has lost only what was in flight, and starts
again from this file. Segments of it go to the operator on the way (`checkpoints`), for the worker that comes after a
lost disk.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crawl_api.status import JobError
from crawl_worker.findings import Finding, Visit, VisitKind
from crawl_worker.records import Record, to_line

LEDGER_FILE: Final = "ledger.sqlite"

SEGMENT_ROWS: Final = 500
SEGMENT_BYTES: Final = 8 << 20
"""A segment takes no further row beyond this; one row may be as large as a page."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS visits (
    id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL UNIQUE, depth INTEGER NOT NULL, hops INTEGER NOT NULL,
    kind TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL, number INTEGER NOT NULL, visit TEXT, line BLOB,
    bytes INTEGER NOT NULL, error TEXT, retryable INTEGER NOT NULL, UNIQUE (url, number));
CREATE INDEX IF NOT EXISTS results_by_visit ON results (visit);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_ADD_VISIT: Final = "INSERT OR IGNORE INTO visits (url, depth, hops, kind) VALUES (?, ?, ?, ?)"
_RESULT: Final = "(url, number, visit, line, bytes, error, retryable)"


class LedgerError(Exception):
    """The local disk takes no more, or what is there cannot be read."""


@dataclass(frozen=True)
class Segment:
    """What the ledger has gained, as JSON Lines, and up to where."""

    content: bytes
    last_visit: int
    last_result: int


class Ledger:
    """The state of one job's attempt.

    Args:
        directory: where it lies; what another job has left there is thrown away.
        job: the job's UID.

    Raises:
        LedgerError: the disk does not take it.
    """

    def __init__(self, directory: Path, job: str) -> None:
        self.path = directory / LEDGER_FILE
        with self._guarded():
            self._db = self._open(job)
        self.unsaved = 0
        """Results that no segment holds yet."""

    def _open(self, job: str) -> sqlite3.Connection:
        db = self._connect()
        if (owner := db.execute("SELECT value FROM marks WHERE name = 'job'").fetchone()) != (job,):
            if owner is not None:
                db.close()
                self.path.unlink()
                db = self._connect()
            db.execute("INSERT INTO marks VALUES ('job', ?)", (job,))
        return db

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None)
        # One process owns the file; a killed process loses nothing that was written, so no write waits for the disk.
        db.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _SCHEMA)
        return db

    def begin(self) -> None:
        """Forget failures that another try may change: their pages are pending again.

        Raises:
            LedgerError: the disk does not take it.
        """
        with self._transaction():
            self._db.execute("DELETE FROM results WHERE retryable")
        self.unsaved = self._number("SELECT count(*) FROM results WHERE id > ?", (self._mark("last_result"),))

    @property
    def holds_earlier(self) -> bool:
        """Whether what earlier attempts have left is in here."""
        return bool(self._mark("restored"))

    def restore(self, lines: Iterable[bytes]) -> None:
        """Take over the segments of earlier attempts, oldest first; lines that make no sense are passed over.

        Raises:
            LedgerError: the disk does not take it.
        """
        with self._transaction():
            for line in lines:
                self._replay(line)
            for table, mark in (("visits", "last_visit"), ("results", "last_result")):
                self._set_mark(mark, self._number(f"SELECT coalesce(max(id), 0) FROM {table}"))  # noqa: S608 (constants)
            self._set_mark("restored", 1)

    def _replay(self, line: bytes) -> None:
        try:
            match json.loads(line):
                case {"visit": [str(url), int(depth), int(hops), str(kind)]}:
                    self._db.execute(_ADD_VISIT, (url, depth, hops, VisitKind(kind)))
                case {"result": [str(url), int(number), visit, text, int(size), error, int(retryable)]}:
                    if text is not None:
                        Record.model_validate_json(text)
                    row = (url, number, visit, text.encode() if text else None, size, error, retryable)
                    self._db.execute(f"INSERT OR REPLACE INTO results {_RESULT} VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
        except ValueError:
            return

    def keep(self, finding: Finding) -> list[Record]:
        """Keep a finding; return those of its records that are new.

        Raises:
            LedgerError: the disk does not take it; then nothing of it is kept.
        """
        new: list[Record] = []
        numbers: Counter[str] = Counter()
        with self._transaction():
            for record in finding.records:
                if self._insert(record, numbers[record.url], finding.visit):
                    new.append(record)
                numbers[record.url] += 1
            if finding.visit is not None and not finding.records and not finding.again:
                row = (finding.visit.url, -1, finding.visit.url, None, 0, None, 0)
                self._db.execute(f"INSERT OR IGNORE INTO results {_RESULT} VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
            self._db.executemany(_ADD_VISIT, [(to.url, to.depth, to.hops, to.kind) for to in finding.found])
        self.unsaved += len(new)
        return new

    def _insert(self, record: Record, number: int, visit: Visit | None) -> bool:
        error = record.error.model_dump_json(by_alias=True) if record.error is not None else None
        row = (
            *(record.url, number, visit.url if visit is not None else None, to_line(record), record.bytes or 0),
            *(error, record.error is not None and record.error.retryable),
        )
        statement = f"INSERT OR IGNORE INTO results {_RESULT} VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (constants)
        return self._db.execute(statement, row).rowcount == 1

    def visits(self) -> Iterator[tuple[Visit, bool]]:
        """Yield every known visit, in the order of discovery, and whether it is done."""
        query = """SELECT url, depth, hops, kind, EXISTS (SELECT 1 FROM results WHERE visit = visits.url)
                   FROM visits ORDER BY id"""
        for url, depth, hops, kind, done in self._db.execute(query):
            yield Visit(url, depth, hops, VisitKind(kind)), bool(done)

    def missing(self, urls: Iterable[str]) -> list[str]:
        """Return those of these URLs that have no record, as often as they have none."""
        recorded = Counter(url for (url,) in self._db.execute("SELECT url FROM results WHERE line IS NOT NULL"))
        return list((Counter(urls) - recorded).elements())

    def counted(self) -> Iterator[tuple[int, JobError | None]]:
        """Yield size and error of each record, in order."""
        for size, error in self._db.execute("SELECT bytes, error FROM results WHERE line IS NOT NULL ORDER BY id"):
            yield size, JobError.model_validate_json(error) if error is not None else None

    @property
    def items(self) -> int:
        """How many records there are."""
        return self._number("SELECT count(*) FROM results WHERE line IS NOT NULL")

    def lines(self) -> Iterator[bytes]:
        """Yield all records, each as one line of JSON, in order."""
        with self._guarded():
            for (line,) in self._db.execute("SELECT line FROM results WHERE line IS NOT NULL ORDER BY id"):
                yield line + b"\n"

    def records_with(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield those records, parsed, in which a value of that name is set."""
        for line in self.lines():
            record = json.loads(line)
            if name in record:
                yield record

    def records(self) -> list[Any]:
        """Return all records, parsed; for results that are known to be small."""
        return [json.loads(line) for line in self.lines()]

    def segment(self) -> Segment | None:
        """Return the oldest part that no segment holds yet; None if there is nothing new."""
        last_visit, last_result = self._mark("last_visit"), self._mark("last_result")
        parts: list[bytes] = []
        size = 0
        visits = "SELECT id, url, depth, hops, kind FROM visits WHERE id > ? ORDER BY id LIMIT 20000"
        for row, *visit in self._db.execute(visits, (last_visit,)):
            parts.append(json.dumps({"visit": visit}).encode() + b"\n")
            last_visit = row
        results = f"SELECT id, {_RESULT[1:-1]} FROM results WHERE id > ? ORDER BY id LIMIT {SEGMENT_ROWS}"  # noqa: S608
        for row, url, number, visit, line, *rest in self._db.execute(results, (last_result,)):
            text = line.decode() if line is not None else None
            parts.append(json.dumps({"result": [url, number, visit, text, *rest]}).encode() + b"\n")
            last_result = row
            size += len(parts[-1])
            if size > SEGMENT_BYTES:
                break
        return Segment(b"".join(parts), last_visit, last_result) if parts else None

    def saved(self, segment: Segment) -> None:
        """Remember that a segment is stored elsewhere.

        Raises:
            LedgerError: the disk does not take it.
        """
        with self._transaction():
            self._set_mark("last_visit", segment.last_visit)
            self._set_mark("last_result", segment.last_result)
            self._set_mark("segments", self.segments + 1)
        self.unsaved = self._number("SELECT count(*) FROM results WHERE id > ?", (segment.last_result,))

    @property
    def segments(self) -> int:
        """How many segments of this attempt are stored elsewhere."""
        return self._mark("segments")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _mark(self, name: str) -> int:
        return self._number("SELECT coalesce((SELECT value FROM marks WHERE name = ?), 0)", (name,))

    def _set_mark(self, name: str, value: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, str(value)))

    def _number(self, query: str, arguments: tuple[object, ...] = ()) -> int:
        return int(self._db.execute(query, arguments).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guarded():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path} cannot be used: {error}") from error
