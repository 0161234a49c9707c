"""Rows → CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic_core import to_json

CSV: Final = "text/csv; charset=utf-8"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Write rows, their nested values as JSON."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return to_json(value).decode()
    # A spreadsheet shall not take a text, which anybody may have written, for a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
