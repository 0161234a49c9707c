"""`python -m crawl_gateway`: serve HTTP, and end in order."""

import argparse
import asyncio
import logging
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from crawl_client.errors import ConfigurationError as NoClusterError
from crawl_client.kubeconfig import find
from crawl_gateway.app import create
from crawl_gateway.core import Core
from crawl_gateway.settings import ENV_PREFIX, ConfigurationError, Settings

_log = logging.getLogger("crawl_gateway")


class Server(uvicorn.Server):
    """Tells streams to end as soon as there is a signal; requests under way have the time that settings say."""

    def __init__(self, config: uvicorn.Config, core: Core) -> None:
        super().__init__(config)
        self._core = core

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say where."""
        await super().startup(sockets)
        if self.started:
            _log.info("listening on %s, port %d", self.config.host, self.config.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests under way end."""
        _log.info("stopping")
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal is not waited with."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._core.stopping.set()


def main() -> int:
    """Run the gateway; 0 after a signal, 1 when it cannot go on, 2 when its configuration is wrong."""
    options = _arguments()
    try:
        settings = Settings.load(options.config)
        core = Core(settings, find(options.kubeconfig))
    except (ConfigurationError, NoClusterError) as error:
        sys.stderr.write(f"crawl-gateway: the configuration is wrong:\n{error}\n")
        return 2
    logging.basicConfig(
        level=settings.logging.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for talkative in ("httpcore2", "httpx2", "uvicorn.error"):  # the last writes queries and headers of WebSockets
        logging.getLogger(talkative).setLevel(max(logging.WARNING, logging.getLogger().level))
    config = uvicorn.Config(
        create(core),
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
        timeout_keep_alive=75,  # longer than proxies keep a connection that nobody uses
        ws="websockets-sansio",
        ws_max_size=1 << 16,
    )
    server = Server(config, core)
    try:
        asyncio.run(server.serve())
    except NoClusterError as error:
        _log.critical("cannot go on: %s", error)
        return 1
    return 0 if server.started else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m crawl_gateway",
        description="REST gateway: CrawlJobs and ScheduledCrawlJobs over HTTP, with Kubernetes identities and rights.",
        epilog="Credentials: the pod's service account, else KUBECONFIG or ~/.kube/config. Every setting can be "
        f"overridden by a variable, lists and maps as JSON: defaultNamespace is {ENV_PREFIX}DEFAULT_NAMESPACE.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as YAML; all have defaults")
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="where the API server is, outside of a cluster")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
