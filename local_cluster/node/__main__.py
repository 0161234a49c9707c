"""Starts the node: `python -m local_cluster.node --kubeconfig FILE --state DIR --name NAME …`."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path
from typing import Any

from local_cluster.node import kubeconfig, processes
from local_cluster.node.api import Api
from local_cluster.node.backoff import Backoff
from local_cluster.node.events import Events
from local_cluster.node.images import Images
from local_cluster.node.manager import Manager
from local_cluster.node.objects import Objects
from local_cluster.node.processes import Reaper
from local_cluster.node.registration import HOST_IP, Registration, machine_resources
from local_cluster.node.server import Server
from local_cluster.node.services import Services


def main() -> None:
    """Run the node until SIGTERM or SIGINT; its pods' processes end with it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = _arguments()
    options.state = options.state.absolute()
    options.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    state: Path = options.state
    reaper = Reaper()
    reaper.install(loop)
    if left := processes.kill_marked(f"{state / 'pods'}/"):
        logging.getLogger(__name__).warning("killed %d processes of an earlier life of this node", left)
    endpoint = kubeconfig.load(options.kubeconfig, state / "credentials")
    async with Api(endpoint) as api:
        images = Images(options.images)
        events = Events(api, options.name)
        services = Services(
            name=options.name,
            state=state,
            host_ip=HOST_IP,
            resources=machine_resources(),
            api=api,
            images=images,
            objects=Objects(api),
            events=events,
            reaper=reaper,
            backoff=Backoff(options.backoff_base, options.backoff_limit),
        )
        manager = Manager(services)
        server = Server(manager.find, options.serving_cert, options.serving_key, options.client_ca)
        registration = Registration(api, options.name, await server.start(), images.names())
        told_to_end = asyncio.create_task(ended.wait())
        duties: list[asyncio.Task[Any]] = [
            asyncio.create_task(duty) for duty in (events.run(), registration.run(), manager.run())
        ]
        done, _ = await asyncio.wait([told_to_end, *duties], return_when=asyncio.FIRST_COMPLETED)
        for duty in duties:
            duty.cancel()
        await manager.shut_down()
        await server.stop()
        for duty in done - {told_to_end}:
            duty.result()  # a duty that ends by itself is a defect, and its error the node's


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="local_cluster.node", description=__doc__)
    for name, meaning in (
        ("kubeconfig", "how to reach the API server, and who this node is"),
        ("state", "directory of everything the node keeps"),
        ("serving-cert", "certificate of the node's HTTPS server"),
        ("serving-key", "its key"),
        ("client-ca", "authority whose clients may read logs"),
        ("images", "JSON file: what each image name executes"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=meaning)
    parser.add_argument("--name", required=True, help="the node's name")
    parser.add_argument("--backoff-base", type=float, default=10.0, help="seconds before the second restart")
    parser.add_argument("--backoff-limit", type=float, default=300.0, help="longest wait before a restart, seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
