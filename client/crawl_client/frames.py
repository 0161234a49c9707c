"""Records → tables of other libraries, which are loaded when they are asked for."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arro3.core import Table
    from pandas import DataFrame


async def _all(records: AsyncIterator[dict[str, Any]] | Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(records, AsyncIterator):
        return [record async for record in records]
    return list(records)


async def to_arrow(records: AsyncIterator[dict[str, Any]] | Iterable[dict[str, Any]]) -> "Table":
    """Return records as an Arrow table (arro3; other libraries take it as it is).

    A column holds text, whole numbers, numbers or truths where all of its values are of that kind; else JSON as text.
    """
    from arro3.core import Array, DataType, Table  # noqa: PLC0415 - optional, and heavy

    rows = await _all(records)
    kinds = {str: DataType.utf8(), int: DataType.int64(), float: DataType.float64(), bool: DataType.bool()}
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        found = {type(value) for value in values if value is not None}
        kind = kinds.get(found.pop()) if len(found) == 1 else None
        if kind is None:
            values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
        columns[name] = Array(values, type=kind or DataType.utf8())
    return Table.from_pydict(columns)


async def to_pandas(records: AsyncIterator[dict[str, Any]] | Iterable[dict[str, Any]]) -> "DataFrame":
    """Return records as a pandas DataFrame, one column for each key."""
    import pandas as pd  # noqa: PLC0415 - optional, and heavy

    return pd.DataFrame.from_records(await _all(records))
