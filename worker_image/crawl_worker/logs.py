"""Logging: one line per event, as `time level event key=value …`, so that neither people nor tools need a parser.

Values are quoted as JSON strings, without what would steer a terminal: a page's text can never start a line.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from crawl_api.base import printable

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIET: Final = ("scrapy", "twisted", "asyncio", "py.warnings")


class LineFormatter(logging.Formatter):
    """Formats a record and its `extra` fields as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        pairs = "".join(f" {name}={_value(value)}" for name, value in fields.items())
        return f"{time} {record.levelname} {_value(record.getMessage())}{pairs}"


def _value(value: object) -> str:
    return str(value) if isinstance(value, int | float) else printable(json.dumps(str(value), ensure_ascii=False))


def configure() -> None:
    """Log INFO and above to the standard error; libraries only where something is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
