"""What a Service does for workers: a fixed address that leads to whichever operator is ready."""

import asyncio
import contextlib
from threading import Thread
from typing import Self

from operator_process import OperatorProcess, ask


class Service:
    """Forwards connections, each to an operator that is ready when it is made; as long as the `with` block."""

    def __init__(self) -> None:
        self.operators: list[OperatorProcess] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="service", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await asyncio.sleep(0.1)  # closed connections are let go of in later turns of the loop

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            for operator in self.operators:
                if (await asyncio.to_thread(ask, operator.health_port, "readyz", 1))[0] == 200:
                    there = await asyncio.open_connection("127.0.0.1", operator.port)
                    with contextlib.closing(there[1]):
                        await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
                    return


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends, and then the other."""
    try:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
