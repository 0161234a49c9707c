"""What came of many, in the words of `/v1`."""

from collections.abc import Awaitable, Callable
from typing import Any

from crawl_client.bulk import for_each
from crawl_client.errors import AppError
from crawl_gateway.errors import RefusedError, problem_of, render


async def outcome(count: int, act: Callable[[int], Awaitable[Any]], name: Callable[[int], str]) -> dict[str, Any]:
    """Do something to each of `count` items by its number; one that goes wrong stops no other."""
    failed: list[dict[str, Any]] = []

    async def one(number: int) -> Any:
        try:
            return await act(number)
        except (AppError, RefusedError) as error:
            _, body = render(problem_of(error))
            failed.append({"index": number, "name": name(number), "error": body["error"]})
            return None

    done = (await for_each(range(count), one)).done
    return {
        "done": [each for each in done if each is not None],
        "failed": sorted(failed, key=lambda each: int(each["index"])),
    }
