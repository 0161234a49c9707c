"""The demo site, as it runs in a pod: pages of the guide are held back until a file says otherwise.

So a crawl is in the middle of its work for as long as a test needs it to be. Each request is a line of the pod's log.
"""

import asyncio
import sys
import time
from pathlib import Path

from aiohttp import web

from demo.site import DemoSite

HELD_SECONDS = 40
"""How long a page is held back at most: less than workers wait for one."""
RELEASED = Path("/tmp/released")  # noqa: S108 - of the pod's own


class PodSite(DemoSite):
    """The demo site under the name of its Service."""

    @property
    def base_url(self) -> str:
        return sys.argv[1]

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        sys.stdout.write(f"{request.path_qs}\n")
        sys.stdout.flush()
        if request.path.startswith("/guide/"):
            until = time.monotonic() + HELD_SECONDS
            while time.monotonic() < until and not RELEASED.exists():  # noqa: ASYNC110, ASYNC240 - a file tells
                await asyncio.sleep(0.1)
        return await super()._answer(request)


async def main() -> None:
    async with PodSite(host="0.0.0.0", port=int(sys.argv[2])):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
