"""What an attempt knows, on local disk: where to go, where it was and what it brought, in one SQLite file.

A finding is one transaction, so a worker that is killed at any moment has lost only what was in flight, and starts
again from this file. Segments of it (`journal`) go to the operator on the way (`checkpoints`), for the worker that
comes after a lost disk.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from crawl_api.status import JobError
from crawl_worker.findings import Finding, Visit, VisitKind
from crawl_worker.records import Record, to_line

LEDGER_FILE: Final = "ledger.sqlite"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS visits (
    id INTEGER PRIMARY KEY AUTOINCREMENT, finding INTEGER NOT NULL, url TEXT NOT NULL UNIQUE, depth INTEGER NOT NULL,
    hops INTEGER NOT NULL, kind TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT, finding INTEGER NOT NULL, url TEXT NOT NULL, number INTEGER NOT NULL,
    visit TEXT, line BLOB, bytes INTEGER NOT NULL, error TEXT, retryable INTEGER NOT NULL, UNIQUE (url, number));
CREATE INDEX IF NOT EXISTS results_by_visit ON results (visit);
CREATE TABLE IF NOT EXISTS exchanges (
    id INTEGER PRIMARY KEY AUTOINCREMENT, finding INTEGER NOT NULL, url TEXT NOT NULL, time TEXT NOT NULL,
    head BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (url, time));
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
ADD_VISIT: Final = "INSERT OR IGNORE INTO visits (finding, url, depth, hops, kind) VALUES (?, ?, ?, ?, ?)"
RESULT_COLUMNS: Final = "url, number, visit, line, bytes, error, retryable"
_ADD_RESULT: Final = f"INSERT OR IGNORE INTO results (finding, {RESULT_COLUMNS}) VALUES (?{', ?' * 7})"  # noqa: S608 (constants)
ADD_EXCHANGE: Final = "INSERT OR IGNORE INTO exchanges (finding, url, time, head, body) VALUES (?, ?, ?, ?, ?)"
TABLES: Final = ("visits", "exchanges", "results")
"""Within a finding: where to go before what says that it is known."""


class LedgerError(Exception):
    """The local disk takes no more, or what is there cannot be read."""


@dataclass(frozen=True)
class Exchange:
    """An answer as it came, for an archive."""

    url: str
    time: str
    """RFC 3339."""
    head: bytes
    """Status line and headers, to the empty line."""
    body: bytes


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
            self.db = self._open(job)
            """For `journal`, which reads and writes the same tables."""
            self._finding = max(self.number(f"SELECT coalesce(max(finding), 0) FROM {table}") for table in TABLES)  # noqa: S608 (constants)
        self.unsaved = 0
        """Results that no segment of the journal holds yet."""

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
        with self.transaction():
            self.db.execute("DELETE FROM results WHERE retryable")
        self.count_unsaved()

    def count_unsaved(self) -> None:
        """Count anew how many results no segment holds."""
        self.unsaved = self.number("SELECT count(*) FROM results WHERE id > ?", (self.mark("results"),))

    def keep(self, finding: Finding) -> list[Record]:
        """Keep a finding; return those of its records that are new.

        Raises:
            LedgerError: the disk does not take it; then nothing of it is kept.
        """
        new: list[Record] = []
        numbers: Counter[str] = Counter()
        done = 0
        self._finding += 1
        with self.transaction():
            for record in finding.records:
                if self._insert(record, numbers[record.url], finding.visit):
                    new.append(record)
                numbers[record.url] += 1
            if finding.visit is not None and not finding.records and not finding.again:
                row = (self._finding, finding.visit.url, -1, finding.visit.url, None, 0, None, 0)
                done = self.db.execute(_ADD_RESULT, row).rowcount
            if finding.page is not None and finding.page.head:
                page = finding.page
                answer = (self._finding, page.final_url, _utc(page.fetched_at), page.head, page.body)
                self.db.execute(ADD_EXCHANGE, answer)
            rows = [(self._finding, to.url, to.depth, to.hops, to.kind) for to in finding.found]
            self.db.executemany(ADD_VISIT, rows)
        self.unsaved += len(new) + done
        return new

    def _insert(self, record: Record, number: int, visit: Visit | None) -> bool:
        error = record.error.model_dump_json(by_alias=True) if record.error is not None else None
        retryable = record.error is not None and record.error.retryable
        told = (record.url, number, visit.url if visit is not None else None, to_line(record), record.bytes or 0)
        row = (self._finding, *told, error, retryable)
        return self.db.execute(_ADD_RESULT, row).rowcount == 1

    def visits(self) -> Iterator[tuple[Visit, bool]]:
        """Yield every known visit, in the order of discovery, and whether it is done."""
        query = """SELECT url, depth, hops, kind, EXISTS (SELECT 1 FROM results WHERE visit = visits.url)
                   FROM visits ORDER BY id"""
        for url, depth, hops, kind, done in self.db.execute(query):
            yield Visit(url, depth, hops, VisitKind(kind)), bool(done)

    def missing(self, urls: Iterable[str]) -> list[str]:
        """Return those of these URLs that have no record, as often as they have none."""
        recorded = Counter(url for (url,) in self.db.execute("SELECT url FROM results WHERE line IS NOT NULL"))
        return list((Counter(urls) - recorded).elements())

    def counted(self) -> Iterator[tuple[int, JobError | None, bool]]:
        """Yield size and error of each record, and whether its answer had been kept, in order."""
        query = """SELECT bytes, error, json_extract(CAST(line AS TEXT), '$.fromCache') IS TRUE
                   FROM results WHERE line IS NOT NULL ORDER BY id"""
        for size, error, kept in self.db.execute(query):
            yield size, JobError.model_validate_json(error) if error is not None else None, bool(kept)

    @property
    def items(self) -> int:
        """How many records there are."""
        return self.number("SELECT count(*) FROM results WHERE line IS NOT NULL")

    @property
    def line_bytes(self) -> int:
        """How large a record's line is on average."""
        return self.number("SELECT coalesce(avg(length(line)), 0) FROM results WHERE line IS NOT NULL")

    def lines(self) -> Iterator[bytes]:
        """Yield all records, each as one line of JSON, in order."""
        with self._guarded():
            for (line,) in self.db.execute("SELECT line FROM results WHERE line IS NOT NULL ORDER BY id"):
                yield line + b"\n"

    def exchanges(self) -> Iterator[Exchange]:
        """Yield all archived answers, in order."""
        with self._guarded():
            for row in self.db.execute("SELECT url, time, head, body FROM exchanges ORDER BY id"):
                yield Exchange(*row)

    def records_with(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield those records, parsed, in which a value of that name is set."""
        for line in self.lines():
            record = json.loads(line)
            if name in record:
                yield record

    def records(self) -> list[Any]:
        """Return all records, parsed; for results that are known to be small."""
        return [json.loads(line) for line in self.lines()]

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def mark(self, name: str) -> int:
        """Return a number that is kept under a name; 0 at first."""
        return self.number("SELECT coalesce((SELECT value FROM marks WHERE name = ?), 0)", (name,))

    def set_mark(self, name: str, value: int) -> None:
        """Keep a number under a name."""
        self.db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, str(value)))

    def number(self, query: str, arguments: tuple[object, ...] = ()) -> int:
        """Return the one number that a query asks for."""
        return int(self.db.execute(query, arguments).fetchone()[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing; raises LedgerError."""
        with self._guarded():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path} cannot be used: {error}") from error


def _utc(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
