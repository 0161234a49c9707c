"""A watch that lasts: it goes on from where it was when the connection ends, and says when it cannot."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from pydantic_core import from_json

from crawl_client.errors import RETRYABLE, APIError, UnavailableError, from_status
from crawl_client.transport import Transport

_SERVER_SECONDS: Final = 240
"""The API server ends a watch after this long; one that says nothing for longer is dead."""

_TRIES: Final = 6
_GONE: Final = 410


async def watch(
    transport: Transport, path: str, params: Mapping[str, str], version: str
) -> AsyncGenerator[tuple[str, dict[str, Any], str], None]:
    """Yield kind, object and version of each change after a version; bookmarks too. It never ends by itself.

    Raises:
        UnavailableError: with reason `Expired` when changes were missed, so that only a list can tell; else when the
            API server has not answered several times in a row.
        APIError: it was refused.
    """
    failures = 0
    while True:
        try:
            async with contextlib.aclosing(_once(transport, path, {**params, "resourceVersion": version})) as changes:
                async for kind, item in changes:
                    failures = 0
                    version = item["metadata"]["resourceVersion"]
                    yield kind, item, version
        except ValueError:
            failures += 1  # the connection broke in the middle of a line
        except APIError as error:
            if error.status_code == _GONE:
                raise UnavailableError(str(error), _GONE, reason="Expired") from error
            failures += 1
            if failures >= _TRIES or (error.status_code and error.status_code not in RETRYABLE):
                raise
        if failures:
            await asyncio.sleep(min(0.25 * 2**failures, 5))


async def _once(
    transport: Transport, path: str, params: Mapping[str, str]
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Yield changes until the connection ends."""
    asked = {**params, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(_SERVER_SECONDS)}
    async with transport.stream(path, asked, silence=_SERVER_SECONDS + 30) as response:
        async for line in response.aiter_lines():
            if not line:
                continue
            change = from_json(line)
            if change["type"] == "ERROR":
                raise _refused(change["object"], path)
            yield change["type"], change["object"]


def _refused(status: Mapping[str, Any], path: str) -> Exception:
    return from_status(int(status.get("code") or 0), status, 0, f"GET {path}")
